package fact

import (
	"encoding/json"
	"testing"
	"time"
)

func TestFieldsToJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	payload, err := Fields{"b": []string{"x\x1b[31m", "y"}, "a": -7, "c": nil, "d": map[string]int{"pid": 9}, "e": true, "f": []byte{0xff}}.Encode(at)
	if err != nil {
		t.Fatal(err)
	}
	got, err := JSON(payload)
	want := `{"a":-7,"at":"2026-01-02T03:04:05.000006Z","b":["x\u001b[31m","y"],"c":null,"d":{"pid":9},"e":true,"f":"ff"}`
	if err != nil || string(got) != want {
		t.Errorf("JSON = %s, %v, want %s", got, err, want)
	}
}

func TestJSONRefuses(t *testing.T) {
	for name, payload := range map[string]string{
		"array of 4 billion": "\xdd\xff\xff\xff\xff", "map of 4 billion": "\xdf\xff\xff\xff\xff", "bytes of 4 GB": "\xc6\xff\xff\xff\xff",
		"extension": "\xd4\x01\x00", "more": "\x01\x01", "number as key": "\x81\x01\x01", "unused code": "\xc1",
	} {
		if got, err := JSON([]byte(payload)); err == nil {
			t.Errorf("%s: JSON = %s, want an error", name, got)
		}
	}
	deep := make([]byte, 1<<16)
	for i := range deep {
		deep[i] = 0x91
	}
	if _, err := JSON(deep); err == nil {
		t.Error("a payload of 65,536 arrays in each other is accepted")
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("\x81\xa1a\x92\x01\xc0"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if got, err := JSON(payload); err == nil && !json.Valid(got) {
			t.Errorf("JSON(%x) = %s, which is none", payload, got)
		}
	})
}

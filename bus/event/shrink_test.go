package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShrinkJSON(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for in, want := range map[string]string{
		`{"pid": 4711, "a": "` + long + `", "name": "sh"}`:     `{"pid": 4711, "a": "xxx`,
		`["/usr/bin/bash", "` + long + `", "/sbin/init"]`:      `["/usr/bin/bash", "xxx`,
		strings.Repeat("7", 5000):                              `"777`,
		`{"a": [` + strings.Repeat(`"\u0001", `, 5000) + `1]}`: `{"a": ["\u0001", `,
	} {
		got := ShrinkJSON([]byte(in), 300)
		if !json.Valid(got) || len(got) > 300 || !bytes.HasPrefix(got, []byte(want)) || !bytes.Contains(got, []byte(mark)) {
			t.Errorf("ShrinkJSON(%.40s…) = %s, want at most 300 bytes that begin with %s and hold a mark", in, got, want)
		}
	}
	got := ShrinkJSON([]byte(`{"pid": 4711, "a": "`+long+`", "name": "sh"}`), 300)
	var row struct {
		PID     int
		A, Name string
	}
	if err := json.Unmarshal(got, &row); err != nil || row.PID != 4711 || row.Name != "sh" || !strings.HasSuffix(row.A, "… [cut, 5000 bytes]") {
		t.Errorf("what is short must stay, got %s (%v)", got, err)
	}
	if whole := []byte(`{"a":  1}`); !bytes.Equal(ShrinkJSON(whole, 16), whole) {
		t.Error("a value that fits was changed")
	}
}

func FuzzShrinkJSON(f *testing.F) {
	f.Add([]byte(`{"pid": 1, "ancestors": ["/bin/sh", "/bin/\ud83d\ude00\u0001"], "n": null}`), 40)
	f.Add([]byte(`[[[[[[[[[["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]]]]]]]]]]`), 16)
	f.Add([]byte(`{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": 1, "b": 1e99999999999999999999}`), 64)
	f.Fuzz(func(t *testing.T, value []byte, limit int) {
		if !json.Valid(value) || !utf8.Valid(value) || limit < 16 || limit > 1<<20 {
			return
		}
		if got := ShrinkJSON(value, limit); !json.Valid(got) || len(got) > limit {
			t.Errorf("ShrinkJSON(%q, %d) = %q, %d bytes, valid %t", value, limit, got, len(got), json.Valid(got))
		}
	})
}

func TestCutText(t *testing.T) {
	for _, s := range []string{strings.Repeat("x", 500), strings.Repeat("é", 300)} {
		got := CutText(s, 100)
		if len(got) > 100 || !utf8.ValidString(got) || !strings.Contains(got, "bytes]") || !strings.HasPrefix(s, got[:40]) {
			t.Errorf("CutText = %q, %d bytes", got, len(got))
		}
	}
}

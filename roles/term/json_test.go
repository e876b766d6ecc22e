package term

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// What EscapeJSON makes is the same JSON and has nothing that acts on a terminal.
func TestEscapeJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "object")
		want["\u009b31m"] = "\u202e\U000e0001\x1b[2J"
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		ascii := rapid.Bool().Draw(t, "ascii")
		text := EscapeJSON(b.Bytes(), ascii)
		for _, r := range string(text) {
			if r != '\n' && !unicode.IsGraphic(r) || ascii && r > unicode.MaxASCII {
				t.Fatalf("%q has %q", text, r)
			}
		}
		var got map[string]string
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q reads as %q (%v), want %q", text, got, err, want)
		}
	})
}

func TestClockShowsOtherDays(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	zone := time.FixedZone("elsewhere", 9*3600) // whatever the machine's is
	o := &Output{Terminal: true, Now: func() time.Time { return now }}
	for at, want := range map[time.Time][2]string{
		now:                                    {"10:00:00Z", "10:00:00Z"},
		now.Add(-11 * time.Hour):               {"2026-03-01 23:00:00Z", "Mar 01 23:00Z"},
		now.AddDate(-2, 0, 0):                  {"2024-03-02 10:00:00Z", "2024-03-02"},
		now.Add(13*time.Hour + 59*time.Minute): {"23:59:00Z", "23:59:00Z"},
	} {
		if got := [2]string{o.Clock(at.In(zone)), o.Moment(at.In(zone))}; got != want {
			t.Errorf("Clock, Moment(%v) = %q, want %q", at, got, want)
		}
	}
}

//go:build linux && (amd64 || arm64)

package bpf

import (
	"testing"
	"time"
)

// TestPace: looks are few while many records come, whether each look finds some
// or many, and frequent for a few processes and after a pause.
func TestPace(t *testing.T) {
	for _, test := range []struct {
		name  string
		found int
		every time.Duration
		busy  bool
	}{
		{"200 processes a second, a look for each event", 1, 1666 * time.Microsecond, false},
		{"200 processes a second, a look for each", 3, 5 * time.Millisecond, false},
		{"400 processes a second, a look for each event", 1, 833 * time.Microsecond, true},
		{"1,000 processes a second", 30, 10 * time.Millisecond, true},
		{"20,000 processes a second", 600, 10 * time.Millisecond, true},
	} {
		var s Source
		now := time.Now()
		for range 50 {
			now = now.Add(test.every)
			s.pace(test.found, now)
		}
		if s.busy != test.busy {
			t.Errorf("%s: busy %v, want %v", test.name, s.busy, test.busy)
		}
		if s.pace(test.found, now.Add(time.Minute)); s.busy {
			t.Errorf("%s: busy after a pause", test.name)
		}
	}
}

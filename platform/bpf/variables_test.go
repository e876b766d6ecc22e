package bpf

import "testing"

func TestRoom(t *testing.T) {
	const loader, always, requested = 32 << 10, 24 << 10, 16 << 10
	for variable, want := range map[string]int{
		"LD_PRELOAD=/x": loader, "LD_AUDIT=": loader, "LD_LIBRARY_PATH=": always, "PYTHONPATH=/x": always, "ENV=/x": always, "BASH_ENV=": always,
		"PERL5LIB=/x": always, "LD_": always, "": 0, "HOME=/root": 0, "ENVIRON=x": 0, "LD": 0, "PATH=/bin": 0, "XLD_PRELOAD=": 0,
	} {
		if got := Room(variable, false); got != want {
			t.Errorf("Room(%q, false) = %d, want %d", variable, got, want)
		}
		if want == 0 {
			want = requested
		}
		if got := Room(variable, true); got != want {
			t.Errorf("Room(%q, true) = %d, want %d", variable, got, want)
		}
	}
}

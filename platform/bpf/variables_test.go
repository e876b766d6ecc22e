package bpf

import "testing"

func TestKeeps(t *testing.T) {
	for variable, want := range map[string]bool{
		"LD_PRELOAD=/x": true, "PYTHONPATH=/x": true, "ENV=/x": true, "BASH_ENV=": true, "PERL5LIB=/x": true, "LD_": true,
		"": false, "HOME=/root": false, "ENVIRON=x": false, "LD": false, "PATH=/bin": false, "XLD_PRELOAD=": false,
	} {
		if got := Keeps(variable); got != want {
			t.Errorf("Keeps(%q) = %t, want %t", variable, got, want)
		}
	}
}

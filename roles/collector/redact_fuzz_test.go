package collector

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever the arguments: as many as before, valid UTF-8 where they were,
// longer by a bounded number of bytes, and nothing more to redact in them.
func FuzzRedact(f *testing.F) {
	f.Add("mysql\x00-phunter2\x00--password")
	f.Add("sh\x00-c\x00curl -u a:b 'x \" y")
	f.Add("a\x00https://u:p@h\x00{\"password\": \"x\\\"")
	for line := range strings.Lines(secretLines) {
		f.Add(strings.Join(splitLine(strings.TrimSpace(line)), "\x00"))
	}
	lines, err := os.ReadFile("testdata/harmless.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		f.Add(strings.ReplaceAll(strings.TrimSpace(line), "\t", "\x00"))
	}
	r := newTestRedactor(f, Redaction{})
	f.Fuzz(func(t *testing.T, cmdline string) {
		list := strings.Split(cmdline, "\x00")
		out := r.args(list)
		if len(out) != len(list) {
			t.Fatalf("args(%q) has %d words, want %d", list, len(out), len(list))
		}
		got := strings.Join(out, "\x00")
		if len(got) > len(cmdline)+maxGrowth {
			t.Errorf("args(%q) has %d bytes, %d more than before", list, len(got), len(got)-len(cmdline))
		}
		for i := range out {
			if utf8.ValidString(list[i]) && !utf8.ValidString(out[i]) {
				t.Errorf("args(%q)[%d] = %q, not valid", list, i, out[i])
			}
		}
		if again := r.args(out); !slices.Equal(again, out) {
			t.Errorf("args(%q) = %q, and that becomes %q", list, out, again)
		}
		value := r.variable("X", cmdline)
		if len(value) > len(cmdline)+maxGrowth || utf8.ValidString(cmdline) && !utf8.ValidString(value) {
			t.Errorf("variable(%q) = %q", cmdline, value)
		}
		if again := r.variable("X", value); again != value {
			t.Errorf("variable(%q) = %q, and that becomes %q", cmdline, value, again)
		}
	})
}

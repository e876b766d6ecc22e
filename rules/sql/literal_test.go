package sql

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Entries in which the literal is not are known, all others and no more are left open.
func TestWithoutLiteral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		literal := rapid.StringOfN(rapid.SampledFrom([]rune("ab-É")), 1, 4, -1).Draw(t, "literal")
		list := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab-É\x01\x05")), 0, 12, -1), 0, 9).Draw(t, "list")
		var plain []byte
		for _, s := range list {
			plain = append(binary.LittleEndian.AppendUint32(plain, uint32(len(s))), s...)
		}
		known := make([]truth, len(list))
		withoutLiteral(plain, []byte(literal), known, truthFalse)
		for i, s := range list {
			if open := known[i] == truthUnknown; open != strings.Contains(s, literal) {
				t.Fatalf("literal %q, entry %d of %q: %v", literal, i, list, known[i])
			}
		}
	})
}

// A match can not begin in the length of a text: its last byte is 0 up to 16
// MB. Where it does seem to, the next one is found.
func TestWithoutLiteralAcrossLengths(t *testing.T) {
	list := []string{"x", strings.Repeat("q", 'a'), "a", "", "b"} // lengths 1, 97 ('a'), 1, 0, 1
	var plain []byte
	for _, s := range list {
		plain = append(binary.LittleEndian.AppendUint32(plain, uint32(len(s))), s...)
	}
	known := make([]truth, len(list))
	withoutLiteral(plain, []byte("a"), known, truthTrue)
	if got := fmt.Sprint(known); got != fmt.Sprint([]truth{truthTrue, truthTrue, truthUnknown, truthTrue, truthTrue}) {
		t.Error(got)
	}
}

func TestLikeLiteral(t *testing.T) {
	for pattern, want := range map[string]string{
		"%needle%": "needle", "a%bcd_e": "bcd", `%\%\_%`: "%_", "%": "", "": "", "x": "x", `abc\`: "", `a\\b%cd`: `a\b`,
	} {
		if got := likeLiteral(pattern); got != want {
			t.Errorf("likeLiteral(%q) = %q, want %q", pattern, got, want)
		}
	}
	for pattern, want := range map[string]string{
		"curl .*--output": "--output", "cur[l1]": "", "(?i)curl": "", "a|b": "", "wget +http": "wget",
	} {
		if got := regexpLiteral(pattern); got != want {
			t.Errorf("regexpLiteral(%q) = %q, want %q", pattern, got, want)
		}
	}
}

func BenchmarkWithoutLiteral(b *testing.B) {
	var plain []byte
	n := 0
	for ; len(plain) < 2<<20; n++ {
		s := fmt.Sprintf("/usr/bin/rsync --archive --verbose --exclude=*.tmp /srv/data-%05d/ backup@10.1.%d.%d:/var/backups/%x", n, n>>8&255, n&255, n*7919)
		plain = append(binary.LittleEndian.AppendUint32(plain, uint32(len(s))), s...)
	}
	known := make([]truth, n)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		withoutLiteral(plain, []byte("job-5f3a9c"), known, truthFalse)
	}
}

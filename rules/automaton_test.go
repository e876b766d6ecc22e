package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daemoneye/rules/sql"
)

// An automaton finds what strings.Index finds, however few states are tabled.
func TestAutomaton(t *testing.T) {
	letters := rapid.SampledFrom([]rune("abc/é"))
	rapid.Check(t, func(t *rapid.T) {
		set := map[string]bool{}
		for _, l := range rapid.SliceOfN(rapid.StringOfN(letters, 1, 6, -1), 1, 30).Draw(t, "literals") {
			set[l] = true
		}
		literals := slices.Sorted(maps.Keys(set))
		a := newAutomaton(literals)
		if rapid.Bool().Draw(t, "few tabled") {
			a.tabled, a.table = 1, a.table[:a.classes]
		}
		texts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("aAbBcC/éÉx")), 0, 40, -1), 0, 12).Draw(t, "texts")
		got, want := map[string]int{}, map[string]int{}
		a.find(texts, func(k int, list []occurrence) {
			got[fmt.Sprint(k)]++
			for _, o := range list {
				got[fmt.Sprint(k, literals[o.literal], o.end)]++
			}
		})
		for k, text := range texts {
			want[fmt.Sprint(k)]++
			lower := sql.Lower(text)
			for _, l := range literals {
				for end := len(l); end <= len(lower); end++ {
					if strings.HasSuffix(lower[:end], l) {
						want[fmt.Sprint(k, l, end)]++
					}
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%q in %q: %v, want %v", literals, texts, got, want)
		}
	})
}

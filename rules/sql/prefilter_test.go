package sql

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPrefilter(t *testing.T) {
	for _, c := range []struct {
		pattern string
		fold    bool
		want    []string
	}{
		{"abc", false, []string{"abc"}},
		{"abc", true, []string{"abc"}},
		{"^/tmp/", false, []string{"/tmp/"}},
		{"/(cat|tac)$", false, []string{"/cat", "/tac"}},
		{"(curl|wget) [^|]*sh", false, []string{"curl ", "wget "}},
		{"x*", false, nil},
		{"(abc)?", false, nil},
		{"(abc|x*)", false, nil},
		{"(ab)+c{2,3}", false, []string{"ab"}},
		{"a.b", false, nil}, // too short
		{"stratum[0-9]?://", false, []string{"stratum"}},
	} {
		re, err := compileRegexp(c.pattern, c.fold)
		if err != nil {
			t.Fatal(err)
		}
		got := newPrefilter(re.String())
		if !slices.Equal(got.literals, c.want) || got.fold != c.fold {
			t.Errorf("newPrefilter(%q) = %q, fold %t, want %q, %t", c.pattern, got.literals, got.fold, c.want, c.fold)
		}
	}
}

// What an expression matches must pass its prefilter.
func TestPrefilterIsNecessary(t *testing.T) {
	atom := rapid.SampledFrom([]string{"a", "B", "ab", "/c", "[ab]", "[Aa]", "[^a]", ".", "(ab|c)", "(a|)", "\\y", "^", "$", "é", "[éa]"})
	quantifier := rapid.SampledFrom([]string{"", "", "", "*", "+", "?", "{2}", "{0,1}", "{1,3}"})
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aAbBcé/ x")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		var pattern string
		for range rapid.IntRange(1, 6).Draw(t, "atoms") {
			part := atom.Draw(t, "atom")
			if part != "^" && part != "$" && part != "\\y" {
				part = "(" + part + ")" + quantifier.Draw(t, "quantifier")
			}
			if rapid.IntRange(0, 5).Draw(t, "or") == 0 {
				part += "|"
			}
			pattern += part
		}
		re, err := compileRegexp(pattern, rapid.Bool().Draw(t, "fold"))
		if err != nil {
			t.Skip(err)
		}
		p := newPrefilter(re.String())
		for range 20 {
			s := text.Draw(t, "text")
			if re.MatchString(s) && !p.passes(s) {
				t.Fatalf("%q matches %q (%v) and does not pass %+v", s, pattern, re, p)
			}
		}
	})
}

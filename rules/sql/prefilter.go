package sql

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// A prefilter is a list of literals of which every match of a regular
// expression has at least one. Looking for them is many times cheaper than
// running the expression, and nearly all values have none.
type prefilter struct {
	literals []string // lower-case when fold is set; empty: every text may match
	fold     bool     // ASCII letters of either case are alike
}

const (
	maxLiterals   = 64 // of a prefilter; also bounds the products of concatenations
	minLiteralLen = 2  // a shorter literal is in most texts
)

// newPrefilter analyses an expression in Go's syntax.
func newPrefilter(expression string) prefilter {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return prefilter{}
	}
	var a literalAnalysis
	set := a.analyse(re).best()
	if len(set) == 0 || shortest(set) < minLiteralLen {
		return prefilter{}
	}
	if a.fold {
		for i, l := range set {
			set[i] = lowerASCII(l)
		}
	}
	return prefilter{literals: set, fold: a.fold}
}

// passes reports whether s may match.
func (p *prefilter) passes(s string) bool {
	if len(p.literals) == 0 {
		return true
	}
	if p.fold {
		s = lowerASCII(s)
	}
	for _, l := range p.literals {
		if strings.Contains(s, l) {
			return true
		}
	}
	return false
}

// literals is what is known of the texts that a part of an expression matches.
type literals struct {
	exact    []string // all of them, when they are few; nil when not known
	required []string // each has one of these; nil when nothing is known
}

func (l literals) best() []string {
	if better(l.exact, l.required) {
		return l.exact
	}
	return l.required
}

// better reports whether a says more than b: longer literals, then fewer.
func better(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) > 0
	}
	if x, y := shortest(a), shortest(b); x != y {
		return x > y
	}
	return len(a) < len(b)
}

func shortest(set []string) int {
	n := len(set[0])
	for _, s := range set {
		n = min(n, len(s))
	}
	return n
}

// literalAnalysis walks one expression.
type literalAnalysis struct {
	fold bool // a literal was found that stands for either case
}

func (a *literalAnalysis) analyse(re *syntax.Regexp) literals {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return literals{exact: []string{""}}
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			if !ascii(string(re.Rune)) {
				return literals{}
			}
			a.fold = true
		}
		return literals{exact: []string{string(re.Rune)}}
	case syntax.OpCharClass:
		return a.class(re.Rune)
	case syntax.OpCapture:
		return a.analyse(re.Sub[0])
	case syntax.OpPlus:
		return literals{required: a.analyse(re.Sub[0]).best()}
	case syntax.OpQuest:
		if sub := a.analyse(re.Sub[0]); sub.exact != nil {
			return literals{exact: append([]string{""}, sub.exact...)}
		}
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literals{required: a.analyse(re.Sub[0]).best()}
		}
	case syntax.OpAlternate:
		return a.alternate(re.Sub)
	case syntax.OpConcat:
		return a.concat(re.Sub)
	}
	return literals{}
}

// class takes a class of few characters apart. A letter in both cases counts
// as one: [Aa] is how a case-insensitive pattern spells a.
func (a *literalAnalysis) class(ranges []rune) literals {
	var set []string
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(set) == 8 || r == utf8.RuneError {
				return literals{}
			}
			set = append(set, string(r))
		}
	}
	if len(set) == 2 && set[0] != set[1] && lowerASCII(set[0]) == lowerASCII(set[1]) {
		a.fold = true
		set = []string{lowerASCII(set[0])}
	}
	return literals{exact: set}
}

func (a *literalAnalysis) alternate(subs []*syntax.Regexp) literals {
	var all literals
	exact, required := true, true
	for _, sub := range subs {
		l := a.analyse(sub)
		exact = exact && l.exact != nil && len(all.exact)+len(l.exact) <= maxLiterals
		best := l.best()
		required = required && len(best) > 0 && len(all.required)+len(best) <= maxLiterals
		all.exact, all.required = append(all.exact, l.exact...), append(all.required, best...)
	}
	if !exact {
		all.exact = nil
	}
	if !required {
		all.required = nil
	}
	return all
}

// concat multiplies neighbours that are known exactly, and takes the best of
// these products and of what the others require.
func (a *literalAnalysis) concat(subs []*syntax.Regexp) literals {
	run, whole := []string{""}, true
	var required []string
	note := func(set []string) {
		if better(set, required) {
			required = set
		}
	}
	for _, sub := range subs {
		l := a.analyse(sub)
		if l.exact != nil && len(run)*len(l.exact) <= maxLiterals {
			run = product(run, l.exact)
			continue
		}
		whole = false
		note(run)
		note(l.best())
		run = []string{""}
		if l.exact != nil {
			run = l.exact
		}
	}
	if whole {
		return literals{exact: run}
	}
	note(run)
	return literals{required: required}
}

func product(left, right []string) []string {
	out := make([]string, 0, len(left)*len(right))
	for _, l := range left {
		for _, r := range right {
			out = append(out, l+r)
		}
	}
	return out
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

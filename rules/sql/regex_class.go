package sql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// runeSet is a set of characters: ranges in order that do not touch.
type runeSet struct {
	ranges []rune // low, high, low, high, …
	ascii  [2]uint64
}

func newRuneSet(pairs ...rune) *runeSet {
	type span struct{ low, high rune }
	var spans []span
	for i := 0; i < len(pairs); i += 2 {
		if low, high := pairs[i], min(pairs[i+1], utf8.MaxRune); low <= high {
			spans = append(spans, span{low, high})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.low - b.low) })
	s := &runeSet{}
	for _, p := range spans {
		if n := len(s.ranges); n > 0 && p.low <= s.ranges[n-1]+1 {
			s.ranges[n-1] = max(s.ranges[n-1], p.high)
		} else {
			s.ranges = append(s.ranges, p.low, p.high)
		}
	}
	for i := 0; i < len(s.ranges); i += 2 {
		for r := s.ranges[i]; r <= min(s.ranges[i+1], 127); r++ {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return s
}

// complement holds every character that is not in s, nor in without.
func (s *runeSet) complement(without ...rune) *runeSet {
	var out []rune
	next := rune(0)
	all := newRuneSet(append(slices.Clone(s.ranges), without...)...)
	for i := 0; i < len(all.ranges); i += 2 {
		if all.ranges[i] > next {
			out = append(out, next, all.ranges[i]-1)
		}
		next = all.ranges[i+1] + 1
	}
	return newRuneSet(append(out, next, utf8.MaxRune)...)
}

func (s *runeSet) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r>>6]&(1<<(r&63)) != 0
	}
	low, high := 0, len(s.ranges)/2
	for low < high {
		mid := (low + high) / 2
		switch {
		case r < s.ranges[2*mid]:
			high = mid
		case r > s.ranges[2*mid+1]:
			low = mid + 1
		default:
			return true
		}
	}
	return false
}

// folded adds the other case of each ASCII letter.
func folded(pairs []rune) []rune {
	out := slices.Clone(pairs)
	for i := 0; i < len(pairs); i += 2 {
		for _, letters := range [...]struct{ low, high, shift rune }{{'A', 'Z', 32}, {'a', 'z', -32}} {
			low, high := max(pairs[i], letters.low), min(pairs[i+1], letters.high)
			if low <= high {
				out = append(out, low+letters.shift, high+letters.shift)
			}
		}
	}
	return out
}

// syntax writes s in Go's syntax.
func (s *runeSet) syntax() string {
	switch {
	case len(s.ranges) == 0:
		return `[^\x00-\x{10FFFF}]`
	case len(s.ranges) == 2 && s.ranges[0] == s.ranges[1]:
		return regexp.QuoteMeta(string(s.ranges[0]))
	}
	var b strings.Builder
	b.WriteByte('[')
	for i := 0; i < len(s.ranges); i += 2 {
		fmt.Fprintf(&b, `\x{%x}-\x{%x}`, s.ranges[i], s.ranges[i+1])
	}
	b.WriteByte(']')
	return b.String()
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isWord(r rune) bool { return r == '_' || r >= '0' && r <= '9' || isLetter(r) }

// regexClasses are the named classes and escapes; letters, digits and case
// are ASCII's, by collation C.
var regexClasses = map[string][]rune{
	"alpha": {'A', 'Z', 'a', 'z'}, "digit": {'0', '9'}, "alnum": {'0', '9', 'A', 'Z', 'a', 'z'}, "upper": {'A', 'Z'}, "lower": {'a', 'z'},
	"space": {'\t', '\r', ' ', ' '}, "blank": {'\t', '\t', ' ', ' '}, "punct": {'!', '/', ':', '@', '[', '`', '{', '~'},
	"xdigit": {'0', '9', 'A', 'F', 'a', 'f'}, "cntrl": {0, 0x1f, 0x7f, 0x7f}, "print": {' ', '~'}, "graph": {'!', '~'},
	"word": {'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}, "ascii": {0, 0x7f},
}

var regexEscapes = map[rune]string{'d': "digit", 's': "space", 'w': "word"}

// bracket reads […], from after the [.
func (p *regexParser) bracket() (*runeSet, error) {
	negated := p.take("^")
	var pairs []rune
	for first := true; ; first = false {
		switch {
		case p.rest() == "":
			return nil, invalidRegexp("brackets [] not balanced")
		case !first && p.take("]"):
			if !negated {
				return newRuneSet(pairs...), nil
			}
			var newline []rune
			if p.opt.newline {
				newline = []rune{'\n', '\n'}
			}
			return newRuneSet(pairs...).complement(newline...), nil
		}
		item, err := p.bracketItem(first)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, item...)
	}
}

// bracketItem reads a class, a character or a range.
func (p *regexParser) bracketItem(first bool) ([]rune, error) {
	if p.take("[:") {
		name, ok := p.until(":]")
		class := regexClasses[name]
		if !ok || class == nil || name == "ascii" {
			return nil, invalidRegexp("invalid character class")
		}
		if p.opt.fold && (name == "upper" || name == "lower") {
			class = regexClasses["alpha"]
		}
		return class, nil
	}
	if p.opt.advanced && strings.HasPrefix(p.rest(), `\`) && len(p.rest()) > 1 {
		c := rune(p.rest()[1])
		if name, ok := regexEscapes[c|0x20]; ok {
			p.i += 2
			if c >= 'a' {
				return regexClasses[name], nil
			}
			return newRuneSet(regexClasses[name]...).complement().ranges, nil
		}
	}
	if p.take("[=") {
		r, err := p.collating("=]")
		return p.cased(r, r), err
	}
	if rest := p.rest(); rest[0] == '-' && !first && !strings.HasPrefix(rest, "-]") {
		return nil, invalidRegexp("invalid character range")
	}
	low, err := p.bracketChar()
	if err != nil {
		return nil, err
	}
	high := low
	if rest := p.rest(); len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
		p.i++
		if high, err = p.bracketChar(); err != nil {
			return nil, err
		}
		if high < low {
			return nil, invalidRegexp("invalid character range")
		}
	}
	return p.cased(low, high), nil
}

func (p *regexParser) cased(low, high rune) []rune {
	if p.opt.fold {
		return folded([]rune{low, high})
	}
	return []rune{low, high}
}

// bracketChar reads one end of a range.
func (p *regexParser) bracketChar() (rune, error) {
	switch {
	case p.rest() == "":
		return 0, invalidRegexp("brackets [] not balanced")
	case p.take("[."):
		return p.collating(".]")
	case strings.HasPrefix(p.rest(), "[=") || strings.HasPrefix(p.rest(), "[:"):
		return 0, invalidRegexp("invalid character range")
	case p.opt.advanced && p.take(`\`):
		if rest := p.rest(); rest == "" || strings.IndexByte("dDsSwW", rest[0]) >= 0 {
			return 0, invalidRegexp("invalid character range")
		}
		if n := digits(p.rest()); n > 0 && p.rest()[0] != '0' && (n == 1 || n < 6 && number(p.rest()[:n]) <= p.groups) {
			return 0, invalidRegexp("invalid escape \\ sequence")
		}
		return p.escapedChar()
	}
	return p.char(), nil
}

// collating reads the collating element that ends so: one character.
func (p *regexParser) collating(end string) (rune, error) {
	name, ok := p.until(end)
	if !ok {
		return 0, invalidRegexp("brackets [] not balanced")
	}
	r, n := utf8.DecodeRuneInString(name)
	switch {
	case name == "":
		return 0, invalidRegexp("invalid collating element")
	case n < len(name):
		return 0, refuse(-1, "a named collating element in a regular expression")
	}
	return r, nil
}

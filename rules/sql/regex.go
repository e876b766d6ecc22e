package sql

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// regex is a compiled regular expression of PostgreSQL's section 9.7.3, run
// in linear time. Whether a text matches is asked of Go's regexp, which knows
// the same languages but for \m and \M; where it matches, of an automaton of
// our own, since PostgreSQL's rules of what is longest are its own. What has
// no equal (back references, look-around) is refused by name.
type regex struct {
	source string         // in Go's syntax
	length int            // of the pattern in bytes, or its instructions if these are more
	loose  *regexp.Regexp // matches all that this does, and just that if exact
	exact  bool
	tree   *subre
	groups int

	program  func() reProgram // of the whole
	dividers sync.Map         // *subre → [2]reProgram
}

// compileRegexp compiles what the operators ~ and ~* take.
func compileRegexp(pattern string, foldCase bool) (*regex, error) {
	return compileRegex(pattern, regexOptions{advanced: true, fold: foldCase})
}

func compileRegex(pattern string, opt regexOptions) (*regex, error) {
	if len(pattern) > maxPattern {
		return nil, fail(codeLimit, "a regular expression has at most %d bytes", maxPattern)
	}
	tree, groups, err := parseRegexp(pattern, opt)
	if err != nil {
		return nil, err
	}
	if tree.lang.size() > maxRegexp {
		return nil, errRegexpSize()
	}
	var b strings.Builder
	exact := tree.lang.syntax(&b)
	loose, err := regexp.Compile(b.String())
	if err != nil {
		return nil, errRegexpSize() // nothing but size and depth can be wrong with it
	}
	re := &regex{source: b.String(), length: max(len(pattern), tree.lang.size()), loose: loose, exact: exact, tree: tree, groups: groups}
	re.program = sync.OnceValue(func() reProgram { return tree.lang.compile(false) })
	return re, nil
}

func errRegexpSize() error {
	return fail(codeLimit, "a regular expression is too large").hint("use smaller counts in {m,n}")
}

// String returns an expression in Go's syntax that matches what re does, and
// perhaps more.
func (re *regex) String() string { return re.source }

// MatchString reports whether s has a match. It panics on nothing, and says
// false where find would fail for want of steps.
func (re *regex) MatchString(s string) bool {
	ok, err := re.matches(nil, s)
	return ok && err == nil
}

func (re *regex) matches(x *env, s string) (bool, error) {
	if err := withinRegexpSteps(re.length, len(s)); err != nil {
		return false, err
	}
	if !re.loose.MatchString(s) {
		return false, nil
	}
	if re.exact {
		return true, nil
	}
	m := &reMachine{text: s, env: x}
	at, err := m.search(re.program(), 0)
	return at >= 0, err
}

// find returns the first match from byte from on, as pairs of byte offsets:
// of the whole and, if groups is set, of each group, -1 for one that is not
// part of the match. It returns nil when there is none.
func (m *reMachine) find(re *regex, from int, groups bool) ([]int, error) {
	if from > len(m.text) {
		return nil, nil
	}
	begin, err := m.search(re.program(), from)
	if begin < 0 || err != nil {
		return nil, err
	}
	end := -1
	err = m.forward(re.program(), begin, len(m.text), func(at int) bool {
		end = at
		return re.tree.flags&shorter == 0
	})
	if err != nil {
		return nil, err
	}
	out := []int{begin, end}
	if groups {
		out = slices.Grow(out, 2*re.groups)
		for range 2 * re.groups {
			out = append(out, -1)
		}
		err = m.divide(re, re.tree, begin, end, out)
	}
	return out, err
}

// programs returns the automata of a part, forwards and backwards.
func (re *regex) programs(t *subre) [2]reProgram {
	if p, ok := re.dividers.Load(t); ok {
		return p.([2]reProgram)
	}
	p, _ := re.dividers.LoadOrStore(t, [2]reProgram{t.lang.compile(false), t.lang.compile(true)})
	return p.([2]reProgram)
}

// divide finds the groups of a part that matches from begin to end, as
// cdissect of PostgreSQL's regexec.c without what is for back references.
func (m *reMachine) divide(re *regex, t *subre, begin, end int, out []int) error {
	if t.cap > 0 {
		out[2*t.cap], out[2*t.cap+1] = begin, end
	}
	if t.flags&captures == 0 {
		return nil
	}
	switch t.op {
	case '.':
		return m.divideChain(re, t, begin, end, out)
	case '(':
		return m.divide(re, t.kids[0], begin, end, out)
	case '|':
		for _, k := range t.kids {
			whole := false
			err := m.forward(re.programs(k)[0], begin, end, func(at int) bool {
				whole = at == end
				return true
			})
			if err != nil || whole {
				if err == nil {
					err = m.divide(re, k, begin, end, out)
				}
				return err
			}
		}
	case '*':
		return m.divideRepeat(re, t, begin, end, out)
	}
	return nil
}

// maxDivision bounds the bits that a division holds.
const maxDivision = 1 << 27

func (m *reMachine) tooMuch() error {
	return fail(codeLimit, "a match of a regular expression in a text of %d bytes can not be divided into its groups: too long", len(m.text))
}

// divideChain divides what a row of parts matches: each in turn gets the
// longest or shortest piece that lets the others match.
func (m *reMachine) divideChain(re *regex, t *subre, begin, end int, out []int) error {
	var parts []*subre
	for ; t.op == '.' && t.cap == 0 || len(parts) == 0; t = t.kids[1] {
		parts = append(parts, t.kids[0])
	}
	parts = append(parts, t)
	if len(parts)*(end-begin) > maxDivision {
		return m.tooMuch()
	}
	// rest[k] is where the parts from k on match up to the end.
	rest := make([]bitset, len(parts))
	rest[len(parts)-1] = nil
	ends := make(bitset, (end-begin)/64+1)
	ends.set(end - begin)
	for k := len(parts) - 1; k > 0; k-- {
		var err error
		if ends, err = m.backward(re.programs(parts[k])[1], begin, end, ends); err != nil {
			return err
		}
		rest[k] = ends
	}
	at := begin
	for k, part := range parts {
		to := end
		if k < len(parts)-1 {
			var err error
			if to, err = m.piece(re, part, at, begin, end, rest[k+1], false); err != nil {
				return err
			}
		}
		if err := m.divide(re, part, at, to, out); err != nil {
			return err
		}
		at = to
	}
	return nil
}

// piece returns where the piece of part that starts at from ends: at the last
// of the places allowed, or the first if the part prefers that.
func (m *reMachine) piece(re *regex, part *subre, from, begin, end int, allowed bitset, nonempty bool) (int, error) {
	to := from
	err := m.forward(re.programs(part)[0], from, end, func(at int) bool {
		if !allowed.has(at-begin) || nonempty && at == from {
			return true
		}
		to = at
		return part.flags&shorter == 0
	})
	return to, err
}

// divideRepeat divides what a repeated part matches; the groups are those of
// the last repetition.
func (m *reMachine) divideRepeat(re *regex, t *subre, begin, end int, out []int) error {
	part := t.kids[0]
	if begin == end {
		// One repetition, if it can be empty and prefers to be long; else none.
		if part.flags&shorter != 0 {
			return nil
		}
		empty := false
		err := m.forward(re.programs(part)[0], begin, end, func(int) bool { empty = true; return false })
		if err == nil && empty {
			err = m.divide(re, part, begin, end, out)
		}
		return err
	}
	rounds := t.max
	if rounds < 0 || rounds > end-begin {
		rounds = end - begin
	}
	if t.max == 1 {
		return m.divide(re, part, begin, end, out)
	}
	if t.max > 0 && rounds*(end-begin) > maxDivision {
		return m.tooMuch()
	}
	// rest[k] is where at most k more repetitions lead to the end; without a
	// bound on them one set is enough.
	last := make(bitset, (end-begin)/64+1)
	last.set(end - begin)
	rest := []bitset{last}
	if t.max < 0 {
		any := &subre{lang: &reNode{op: reRepeat, subs: []*reNode{part.lang}, max: -1}}
		all, err := m.backward(any.lang.compile(true), begin, end, last)
		if err != nil {
			return err
		}
		rest[0] = all
	}
	for k := 1; t.max > 0 && k < rounds; k++ {
		more, err := m.backward(re.programs(part)[1], begin, end, rest[k-1])
		if err != nil {
			return err
		}
		more.set(end - begin)
		rest = append(rest, more)
	}
	at := begin
	for k := rounds - 1; at < end; k-- {
		to, err := m.piece(re, part, at, begin, end, rest[max(min(k, len(rest)-1), 0)], true)
		if err != nil {
			return err
		}
		if to == end {
			return m.divide(re, part, at, end, out)
		}
		if to == at {
			return nil
		}
		at = to
	}
	return nil
}

package sql

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRegexp bounds the instructions of a compiled regular expression, about.
const maxRegexp = 50_000

// maxRegexpSteps bounds the work of finding where an expression matches: some seconds.
const maxRegexpSteps = 1 << 28

// reProgram is a nondeterministic automaton: reads of a character, jumps,
// forks and constraints.
type reProgram []reInst

type reInst struct {
	op       reOp // reSet, reEmpty (jump), reAlternate (fork), a constraint, or reConcat for the end
	set      *runeSet
	out, alt int32
}

// size is how many instructions n becomes, about.
func (n *reNode) size() int {
	total := 1
	for _, s := range n.subs {
		total = min(total+s.size(), 1<<30)
	}
	if n.op == reRepeat {
		total = min(total*max(n.max, n.min, 1), 1<<30)
	}
	return total
}

// compile makes the automaton of n, or of the same text read backwards.
func (n *reNode) compile(backwards bool) reProgram {
	b := &programBuilder{backwards: backwards}
	end := b.emit(reInst{op: reConcat})
	b.start(b.node(n, end))
	return b.program
}

type programBuilder struct {
	program   reProgram
	backwards bool
}

func (b *programBuilder) emit(i reInst) int32 {
	b.program = append(b.program, i)
	return int32(len(b.program) - 1)
}

// start makes the last instruction a jump to at: execution begins there.
func (b *programBuilder) start(at int32) { b.emit(reInst{op: reEmpty, out: at}) }

// node emits n, to be followed by the instruction next, and returns where it begins.
func (b *programBuilder) node(n *reNode, next int32) int32 {
	switch n.op {
	case reEmpty:
		return next
	case reSet:
		return b.emit(reInst{op: reSet, set: n.set, out: next})
	case reConcat:
		if b.backwards {
			for _, s := range n.subs {
				next = b.node(s, next)
			}
			return next
		}
		for _, s := range slices.Backward(n.subs) {
			next = b.node(s, next)
		}
		return next
	case reAlternate:
		at := b.node(n.subs[0], next)
		for _, s := range n.subs[1:] {
			at = b.emit(reInst{op: reAlternate, out: at, alt: b.node(s, next)})
		}
		return at
	case reRepeat:
		return b.repeat(n, next)
	}
	return b.emit(reInst{op: n.op, out: next})
}

func (b *programBuilder) repeat(n *reNode, next int32) int32 {
	at := next
	if n.max < 0 {
		fork := b.emit(reInst{op: reAlternate, alt: next})
		b.program[fork].out = b.node(n.subs[0], fork)
		at = fork
	} else {
		for range n.max - n.min {
			at = b.emit(reInst{op: reAlternate, out: b.node(n.subs[0], at), alt: next})
		}
	}
	for range n.min {
		at = b.node(n.subs[0], at)
	}
	return at
}

// syntax writes n in Go's syntax; exact is false when what is written matches more.
func (n *reNode) syntax(b *strings.Builder) (exact bool) {
	exact = true
	group := func(s *reNode) {
		b.WriteString("(?:")
		exact = s.syntax(b) && exact
		b.WriteByte(')')
	}
	switch n.op {
	case reSet:
		b.WriteString(n.set.syntax())
	case reConcat:
		for _, s := range n.subs {
			if s.op == reAlternate {
				group(s)
			} else {
				exact = s.syntax(b) && exact
			}
		}
	case reAlternate:
		for i, s := range n.subs {
			if i > 0 {
				b.WriteByte('|')
			}
			exact = s.syntax(b) && exact
		}
	case reRepeat:
		if s := n.subs[0]; s.op == reSet {
			s.syntax(b)
		} else {
			group(s)
		}
		b.WriteString(repeatSyntax(n.min, n.max))
	case reWordBegin, reWordEnd:
		b.WriteString(`\b`)
		return false
	default:
		b.WriteString(map[reOp]string{reBeginText: `\A`, reEndText: `\z`, reBeginLine: `(?m:^)`, reEndLine: `(?m:$)`, reWordBoundary: `\b`, reNotBoundary: `\B`}[n.op])
	}
	return exact
}

func repeatSyntax(least, most int) string {
	switch {
	case least == 0 && most < 0:
		return "*"
	case least == 1 && most < 0:
		return "+"
	case least == 0 && most == 1:
		return "?"
	}
	out := "{" + strconv.Itoa(least)
	if most != least {
		out += ","
		if most >= 0 {
			out += strconv.Itoa(most)
		}
	}
	return out + "}"
}

// holds reports whether a constraint is true at byte i of s.
func (op reOp) holds(s string, i int) bool {
	wordBefore := i > 0 && isWord(rune(s[i-1]))
	wordAfter := i < len(s) && isWord(rune(s[i]))
	switch op {
	case reBeginText:
		return i == 0
	case reEndText:
		return i == len(s)
	case reBeginLine:
		return i == 0 || s[i-1] == '\n'
	case reEndLine:
		return i == len(s) || s[i] == '\n'
	case reWordBoundary:
		return wordBefore != wordAfter
	case reNotBoundary:
		return wordBefore == wordAfter
	case reWordBegin:
		return !wordBefore && wordAfter
	default:
		return wordBefore && !wordAfter
	}
}

// reMachine runs programs over one text, within a number of steps.
type reMachine struct {
	text  string
	env   *env // whose context can end a run; may be nil
	steps int
	look  int // steps at which to look at the context next
	lists [2]reList
	stack []int32
}

// reList is a set of instructions in the order in which they were reached,
// with the start of the match that reached each.
type reList struct {
	sparse []uint32
	order  []int32
	starts []int
	done   bool // the end was reached
	first  int  // with this start
}

func (l *reList) clear(n int) {
	if len(l.sparse) < n {
		l.sparse = make([]uint32, n)
	}
	l.order, l.starts, l.done = l.order[:0], l.starts[:0], false
}

func (l *reList) has(pc int32) bool {
	k := l.sparse[pc]
	return int(k) < len(l.order) && l.order[k] == pc
}

// add adds pc and what follows it without reading a character at byte at.
func (m *reMachine) add(p reProgram, l *reList, pc int32, at, start int) {
	m.stack = append(m.stack[:0], pc)
	for len(m.stack) > 0 {
		pc = m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if l.has(pc) {
			continue
		}
		l.sparse[pc] = uint32(len(l.order))
		l.order, l.starts = append(l.order, pc), append(l.starts, start)
		m.steps++
		switch i := &p[pc]; i.op {
		case reSet:
		case reConcat:
			if !l.done {
				l.done, l.first = true, start
			}
		case reEmpty:
			m.stack = append(m.stack, i.out)
		case reAlternate:
			m.stack = append(m.stack, i.alt, i.out)
		default:
			if i.op.holds(m.text, at) {
				m.stack = append(m.stack, i.out)
			}
		}
	}
}

// step reads r, and leads to byte at.
func (m *reMachine) step(p reProgram, from, to *reList, r rune, at int) {
	to.clear(len(p))
	for k, pc := range from.order {
		if i := &p[pc]; i.op == reSet && i.set.has(r) {
			m.add(p, to, i.out, at, from.starts[k])
		}
	}
}

// within gives an error when there were too many steps, or the run is to end.
func (m *reMachine) within() error {
	if m.steps < m.look {
		return nil
	}
	m.look = m.steps + 1<<20
	if m.steps > maxRegexpSteps {
		return fail(codeLimit, "a regular expression can not be matched with a text of %d bytes: too many steps", len(m.text))
	}
	if m.env == nil || m.env.ctx == nil {
		return nil
	}
	return m.env.ctx.Err()
}

// forward runs p from byte begin, at most to byte end, and calls visit for
// each place where it matches, until that returns false.
func (m *reMachine) forward(p reProgram, begin, end int, visit func(at int) bool) error {
	now, next := &m.lists[0], &m.lists[1]
	now.clear(len(p))
	m.add(p, now, int32(len(p)-1), begin, begin)
	for at := begin; ; {
		if now.done && !visit(at) || len(now.order) == 0 || at >= end {
			return nil
		}
		r, n := utf8.DecodeRuneInString(m.text[at:])
		at += n
		m.step(p, now, next, r, at)
		if err := m.within(); err != nil {
			return err
		}
		now, next = next, now
	}
}

// backward runs a program made for it from each place of ends between begin
// and end down to begin, and returns the places where it matches.
func (m *reMachine) backward(p reProgram, begin, end int, ends bitset) (bitset, error) {
	out := make(bitset, (end-begin)/64+1)
	now, next := &m.lists[0], &m.lists[1]
	now.clear(len(p))
	for at := end; ; {
		if ends.has(at - begin) {
			m.add(p, now, int32(len(p)-1), at, 0)
		}
		if now.done {
			out.set(at - begin)
		}
		if at <= begin {
			return out, nil
		}
		r, n := utf8.DecodeLastRuneInString(m.text[:at])
		at -= n
		m.step(p, now, next, r, at)
		if err := m.within(); err != nil {
			return nil, err
		}
		now, next = next, now
	}
}

// search returns where the leftmost match from byte begin on starts, -1 when
// there is none.
func (m *reMachine) search(p reProgram, begin int) (int, error) {
	found := -1
	now, next := &m.lists[0], &m.lists[1]
	now.clear(len(p))
	for at := begin; ; {
		if found < 0 {
			m.add(p, now, int32(len(p)-1), at, at)
		}
		if now.done && (found < 0 || now.first < found) {
			found = now.first
			// Only what started before may still be better.
			k, _ := slices.BinarySearch(now.starts, found)
			now.order, now.starts = now.order[:k], now.starts[:k]
		}
		if found >= 0 && len(now.order) == 0 || at >= len(m.text) {
			return found, nil
		}
		r, n := utf8.DecodeRuneInString(m.text[at:])
		at += n
		m.step(p, now, next, r, at)
		if err := m.within(); err != nil {
			return -1, err
		}
		now, next = next, now
	}
}

// bitset is a set of offsets.
type bitset []uint64

func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) has(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

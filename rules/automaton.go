package rules

import (
	"cmp"
	"slices"
)

// automaton finds which of a set of literals are in a text, in one pass over
// it (Aho and Corasick, 1975). Letters of either case are alike to it; who
// tells them apart compares again.
//
// States are numbered by their distance from the start, so that the children
// of one are neighbours. Those near the start, which are passed most, have a
// table of what follows; the others have their children and where to go on
// when there is none that fits.
type automaton struct {
	class   [256]uint8 // of a byte; 0: in no literal
	classes int
	table   []uint32 // of the first states: state × classes + class; with ending
	tabled  uint32   // states of it
	states  []acState
	ends    []uint32 // literals that end at a state, in the order of the states
}

// ending marks a state when a literal ends at it, or at a next one.
const ending = 1 << 31

// acState is one state; its children are those from first up to the next one's first.
type acState struct {
	first, fail uint32
	end         uint32 // in ends, up to the next one's
	next        uint32 // the nearest state among its fails at which a literal ends; 0: none
	label       uint8  // class of the byte that leads to it
}

const maxTable = 1 << 20 // entries of an automaton's table

// newAutomaton makes one of literals that are in lower case, not empty, and
// different from each other.
func newAutomaton(literals []string) *automaton {
	if len(literals) == 0 {
		return nil
	}
	a := &automaton{classes: 1}
	for _, l := range literals {
		for _, b := range []byte(l) {
			if a.class[b] == 0 {
				a.class[b] = uint8(a.classes)
				a.classes++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		a.class[b] = a.class[b+'a'-'A']
	}
	a.grow(literals)
	a.connect()
	return a
}

// grow makes the states, level by level: the literals are sorted, so that
// those through one state are a range of them.
func (a *automaton) grow(literals []string) {
	order := make([]uint32, len(literals))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return cmp.Compare(literals[x], literals[y]) })
	type span struct{ from, to, depth int }
	spans := []span{{0, len(order), 0}}
	a.states = []acState{{}}
	for s := 0; s < len(spans); s++ {
		at := spans[s]
		a.states[s].first, a.states[s].end = uint32(len(a.states)), uint32(len(a.ends))
		for at.from < at.to && len(literals[order[at.from]]) == at.depth {
			a.ends = append(a.ends, order[at.from])
			at.from++
		}
		for at.from < at.to {
			b, to := literals[order[at.from]][at.depth], at.from+1
			for to < at.to && literals[order[to]][at.depth] == b {
				to++
			}
			spans = append(spans, span{at.from, to, at.depth + 1})
			a.states = append(a.states, acState{label: a.class[b]})
			at.from = to
		}
	}
	a.states = append(a.states, acState{first: uint32(len(a.states)), end: uint32(len(a.ends))})
	a.states = slices.Clip(a.states)
}

// connect finds where each state goes on, and fills the table.
func (a *automaton) connect() {
	count := uint32(len(a.states) - 1)
	a.tabled = min(count, uint32(max(1, maxTable/a.classes)))
	a.table = make([]uint32, int(a.tabled)*a.classes)
	for s := range count {
		state := &a.states[s]
		if s > 0 {
			f := &a.states[state.fail]
			state.next = f.next
			if a.states[state.fail+1].end > f.end {
				state.next = state.fail
			}
		}
		if s < a.tabled && s > 0 {
			copy(a.row(s), a.row(state.fail))
		}
		for child := state.first; child < a.states[s+1].first; child++ {
			if s > 0 {
				a.states[child].fail = a.step(state.fail, a.states[child].label)
			}
			if s < a.tabled {
				a.row(s)[a.states[child].label] = child
			}
		}
	}
	for i, s := range a.table {
		a.table[i] = a.marked(s)
	}
}

func (a *automaton) marked(s uint32) uint32 {
	if a.states[s].next != 0 || a.states[s+1].end > a.states[s].end {
		return s | ending
	}
	return s
}

func (a *automaton) row(s uint32) []uint32 {
	return a.table[int(s)*a.classes : (int(s)+1)*a.classes]
}

// step returns the state after s and a byte of the class, while the table has
// no marks yet.
func (a *automaton) step(s uint32, class uint8) uint32 {
	s, child := a.down(s, class)
	if child != 0 {
		return child
	}
	return a.row(s)[class]
}

// down looks for the state after s, which is none of the table: it is child,
// or, with child 0, that of the table after the state returned.
func (a *automaton) down(s uint32, class uint8) (last, child uint32) {
	for s >= a.tabled {
		for child := a.states[s].first; child < a.states[s+1].first; child++ {
			if a.states[child].label == class {
				return s, child
			}
		}
		s = a.states[s].fail
	}
	return s, 0
}

// next returns the state after s and a byte of the class, both marked.
func (a *automaton) next(s uint32, class uint8) uint32 {
	s &^= ending
	if s < a.tabled {
		return a.table[int(s)*a.classes+int(class)]
	}
	last, child := a.down(s, class)
	if child != 0 {
		return a.marked(child)
	}
	return a.row(last)[class]
}

// occurrence is a literal in a text, which ends before byte end.
type occurrence struct{ literal, end uint32 }

// lane is a text on its way.
type lane struct {
	number int // of the text
	rest   string
	at     uint32 // of rest in the text
	state  uint32
	found  []occurrence
}

// lanes is how many texts are gone through at once: each step waits for memory,
// and those of several texts do so together.
const lanes = 4

// find calls found for each text with the literals in it, of which one may be
// told again when it is there again.
func (a *automaton) find(texts []string, found func(number int, list []occurrence)) {
	if a == nil {
		for k := range texts {
			found(k, nil)
		}
		return
	}
	var l [lanes]lane
	next := 0
	// fill gives a lane the next text that is not empty, after the one that it is through with.
	fill := func(l *lane) bool {
		for ; next < len(texts); next++ {
			if texts[next] == "" {
				found(next, nil)
				continue
			}
			*l = lane{number: next, rest: texts[next], found: l.found[:0]}
			next++
			return true
		}
		return false
	}
	for i := range l {
		if !fill(&l[i]) {
			for k := range i {
				a.finish(&l[k])
				found(l[k].number, l[k].found)
			}
			return
		}
	}
	for {
		a.together(&l)
		for i := range l {
			if l[i].rest != "" {
				continue
			}
			found(l[i].number, l[i].found)
			if fill(&l[i]) {
				continue
			}
			for k := range l { // those before it have a text again
				if k != i {
					a.finish(&l[k])
					found(l[k].number, l[k].found)
				}
			}
			return
		}
	}
}

// together goes on with all lanes up to the end of the shortest.
func (a *automaton) together(l *[lanes]lane) {
	n := len(l[0].rest)
	for i := range l {
		n = min(n, len(l[i].rest))
	}
	t0, t1, t2, t3 := l[0].rest[:n], l[1].rest[:n], l[2].rest[:n], l[3].rest[:n]
	s0, s1, s2, s3 := l[0].state, l[1].state, l[2].state, l[3].state
	table, classes := a.table, a.classes
	for i := range n {
		c0, c1, c2, c3 := a.class[t0[i]], a.class[t1[i]], a.class[t2[i]], a.class[t3[i]]
		i0, i1 := int(s0&^ending)*classes+int(c0), int(s1&^ending)*classes+int(c1)
		i2, i3 := int(s2&^ending)*classes+int(c2), int(s3&^ending)*classes+int(c3)
		if max(i0, i1, i2, i3) < len(table) {
			s0, s1, s2, s3 = table[i0], table[i1], table[i2], table[i3]
		} else {
			s0, s1, s2, s3 = a.next(s0, c0), a.next(s1, c1), a.next(s2, c2), a.next(s3, c3)
		}
		if (s0|s1|s2|s3)&ending != 0 {
			for k, s := range [lanes]uint32{s0, s1, s2, s3} {
				a.note(&l[k], s, i)
			}
		}
	}
	for k, s := range [lanes]uint32{s0, s1, s2, s3} {
		l[k].state, l[k].rest, l[k].at = s, l[k].rest[n:], l[k].at+uint32(n)
	}
}

// finish goes through the rest of one lane.
func (a *automaton) finish(l *lane) {
	s := l.state
	for i := range len(l.rest) {
		if s = a.next(s, a.class[l.rest[i]]); s&ending != 0 {
			a.note(l, s, i)
		}
	}
	l.rest = ""
}

// note adds the literals that end at a state after byte i of the rest.
func (a *automaton) note(l *lane, s uint32, i int) {
	if s&ending == 0 {
		return
	}
	for t := s &^ ending; t != 0; t = a.states[t].next {
		for _, literal := range a.ends[a.states[t].end:a.states[t+1].end] {
			l.found = append(l.found, occurrence{literal, l.at + uint32(i) + 1})
		}
	}
}

// size is how many bytes it takes.
func (a *automaton) size() int {
	if a == nil {
		return 0
	}
	return 4*len(a.table) + 20*len(a.states) + 4*len(a.ends)
}

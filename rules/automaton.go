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
	table   []uint32 // of the first states: state × classes + class
	tabled  uint32   // states of it
	states  []acState
	ends    []uint32 // literals that end at a state, in the order of the states
	ending  []uint64 // a bit for each state: a literal ends at it, or at a next one
}

// acState is one state; its children are those from first up to the next one's first.
type acState struct {
	first, fail uint32
	end         uint32 // in ends, up to the next one's
	next        uint32 // the nearest state among its fails at which a literal ends; 0: none
	label       uint8  // class of the byte that leads to it
}

const maxTable = 1 << 18 // entries of an automaton's table

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
	a.table, a.ending = make([]uint32, int(a.tabled)*a.classes), make([]uint64, count/64+1)
	for s := range count {
		state := &a.states[s]
		if s > 0 {
			f := &a.states[state.fail]
			state.next = f.next
			if a.states[state.fail+1].end > f.end {
				state.next = state.fail
			}
		}
		if state.next != 0 || a.states[s+1].end > state.end {
			a.ending[s/64] |= 1 << (s % 64)
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
}

func (a *automaton) row(s uint32) []uint32 {
	return a.table[int(s)*a.classes : (int(s)+1)*a.classes]
}

// step returns the state after s and a byte of the class.
func (a *automaton) step(s uint32, class uint8) uint32 {
	for s >= a.tabled {
		for child := a.states[s].first; child < a.states[s+1].first; child++ {
			if a.states[child].label == class {
				return child
			}
		}
		s = a.states[s].fail
	}
	return a.table[int(s)*a.classes+int(class)]
}

// find calls found for each literal that ends before byte end of the text; it
// may do so again when the literal is there again.
func (a *automaton) find(text string, found func(literal uint32, end int)) {
	s, classes := uint32(0), uint32(a.classes)
	for i := range len(text) {
		if class := a.class[text[i]]; s < a.tabled {
			s = a.table[s*classes+uint32(class)]
		} else {
			s = a.step(s, class)
		}
		if a.ending[s/64]&(1<<(s%64)) == 0 {
			continue
		}
		for t := s; t != 0; t = a.states[t].next {
			for _, literal := range a.ends[a.states[t].end:a.states[t+1].end] {
				found(literal, i+1)
			}
		}
	}
}

// size is how many bytes it takes.
func (a *automaton) size() int {
	if a == nil {
		return 0
	}
	return 4*len(a.table) + 20*len(a.states) + 4*len(a.ends) + 8*len(a.ending)
}

package rules

import (
	"slices"
	"strings"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// texts knows which tests a text of one column passes.
type texts struct {
	column   int      // position in Table.Columns
	same     [2]cases // letters as they are, and in lower case
	literals *automaton
	parts    [][]part // by literal of the automaton

	passed  []uint32 // marks by test, for the text at hand
	text    uint32
	scratch []int32

	// What was found of the texts met last: young is filled, then becomes old.
	young, old map[string][]int32
	held       int       // bytes of young
	byCode     [][]int32 // of the batch at hand; nil: not looked up yet
}

// cases are the tests for whole texts, their beginnings and their ends.
type cases struct {
	is           map[string][]int32
	begins, ends affixes
}

// part is a literal within texts.
type part struct {
	written string // "": in either case
	length  int
	tests   []int32
}

const (
	maxHeld     = 512 << 10 // bytes of the young texts of a column
	maxHeldText = 16 << 10  // of one text
)

// nothing is passed by a text.
var nothing = []int32{}

// begin prepares for a batch whose column is v.
func (c *texts) begin(v *event.Vector) {
	n := 0
	if v != nil {
		n = len(v.Dict)
	}
	c.byCode = slices.Grow(c.byCode[:0], n)[:n]
	clear(c.byCode)
}

// hits returns the tests that a text passes, each once; code is its place in
// the dictionary of the batch at hand.
func (c *texts) hits(text string, code uint32) []int32 {
	if list := c.byCode[code]; list != nil {
		return list
	}
	list, ok := c.young[text]
	if !ok {
		if list, ok = c.old[text]; !ok {
			list = c.look(text)
		}
		c.remember(text, list)
	}
	c.byCode[code] = list
	return list
}

func (c *texts) remember(text string, list []int32) {
	if len(text) > maxHeldText {
		return
	}
	if c.held > maxHeld {
		c.old, c.young, c.held = c.young, c.old, 0
		clear(c.young)
	}
	c.young[strings.Clone(text)] = list // the batch's memory is not kept
	c.held += len(text) + 4*len(list) + mapEntry
}

// look finds the tests that a text passes.
func (c *texts) look(text string) []int32 {
	c.text++
	if c.text == 0 {
		clear(c.passed)
		c.text = 1
	}
	c.scratch = c.scratch[:0]
	for fold := range c.same {
		t := &c.same[fold]
		if t.empty() {
			continue
		}
		s := text
		if fold == 1 {
			s = sql.Lower(text)
		}
		c.pass(t.is[s])
		for _, n := range t.begins.lengths {
			if n > len(s) {
				break
			}
			c.pass(t.begins.tests[s[:n]])
		}
		for _, n := range t.ends.lengths {
			if n > len(s) {
				break
			}
			c.pass(t.ends.tests[s[len(s)-n:]])
		}
	}
	if c.literals != nil {
		c.literals.find(text, func(literal uint32, end int) {
			list := c.parts[literal]
			for i := range list {
				if p := &list[i]; p.written == "" || text[end-p.length:end] == p.written {
					c.pass(p.tests)
				}
			}
		})
	}
	if len(c.scratch) == 0 {
		return nothing
	}
	return slices.Clone(c.scratch)
}

func (t *cases) empty() bool {
	return len(t.is) == 0 && len(t.begins.tests) == 0 && len(t.ends.tests) == 0
}

func (c *texts) pass(tests []int32) {
	for _, test := range tests {
		if c.passed[test] != c.text {
			c.passed[test] = c.text
			c.scratch = append(c.scratch, test)
		}
	}
}

// size is about how many bytes the column's tables take, and what is remembered.
func (c *texts) size() int {
	n := c.literals.size() + 4*len(c.passed)
	count := func(m map[string][]int32) {
		for text, list := range m {
			n += len(text) + 4*len(list) + mapEntry
		}
	}
	for _, t := range c.same {
		count(t.is)
		count(t.begins.tests)
		count(t.ends.tests)
	}
	for _, list := range c.parts {
		n += 24
		for _, p := range list {
			n += 48 + len(p.written) + 4*len(p.tests)
		}
	}
	count(c.young)
	count(c.old)
	return n
}

// textsBuilder collects the tests of a column.
type textsBuilder struct {
	column, number int
	is             [2]map[string][]int32
	begins, ends   [2]map[string][]int32
	parts          map[string][]part // by literal in lower case
}

func newTextsBuilder(column, number int) *textsBuilder {
	b := &textsBuilder{column: column, number: number, parts: map[string][]part{}}
	for fold := range 2 {
		b.is[fold], b.begins[fold], b.ends[fold] = map[string][]int32{}, map[string][]int32{}, map[string][]int32{}
	}
	return b
}

// add notes one text of a test.
func (b *textsBuilder) add(r *sql.Requirement, text string, test int32) {
	f := fold(r)
	switch r.Test {
	case sql.TextIs:
		b.is[f][text] = append(b.is[f][text], test)
	case sql.TextBegins:
		b.begins[f][text] = append(b.begins[f][text], test)
	case sql.TextEnds:
		b.ends[f][text] = append(b.ends[f][text], test)
	case sql.TextIsPart:
		key, written := sql.Lower(text), text
		if r.Fold {
			written = ""
		}
		list := b.parts[key]
		i := slices.IndexFunc(list, func(p part) bool { return p.written == written })
		if i < 0 {
			i, list = len(list), append(list, part{written: written, length: len(text)})
		}
		list[i].tests = append(list[i].tests, test)
		b.parts[key] = list
	}
}

// texts makes the tables; tests is the number of all tests.
func (b *textsBuilder) texts(tests int) *texts {
	c := &texts{column: b.column, passed: make([]uint32, tests), young: map[string][]int32{}, old: map[string][]int32{}}
	for fold := range 2 {
		c.same[fold] = cases{b.is[fold], newAffixes(b.begins[fold]), newAffixes(b.ends[fold])}
	}
	literals := make([]string, 0, len(b.parts))
	for text, list := range b.parts {
		literals, c.parts = append(literals, text), append(c.parts, list)
	}
	c.literals = newAutomaton(literals)
	return c
}

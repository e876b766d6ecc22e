package rules

import (
	"hash/maphash"
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

	anchors [][]int32 // index.anchors

	passed  []uint32 // marks by test, for the text at hand
	text    uint32
	scratch []int32

	// What was found of the texts met last: young is filled, then becomes old.
	young, old map[string]*hits
	held       int          // bytes of young
	lately     [4096]uint32 // digests of texts that were looked up

	// Of the batch at hand:
	byCode []*hits  // by place in the dictionary; nil: no row has the text
	codes  []uint32 // of the texts that are not remembered
	fresh  []string // these texts
}

// hits are the tests that a text passes, each once, and the rules of which one
// of them is an anchor.
type hits struct {
	tests, rules []int32
}

func (h *hits) size() int { return 4*(len(h.tests)+len(h.rules)) + 48 }

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
var nothing = &hits{}

// begin looks up the texts of a batch's column.
func (c *texts) begin(v *event.Vector, rows int) {
	n := 0
	if v != nil {
		n = len(v.Dict)
	}
	c.byCode = slices.Grow(c.byCode[:0], n)[:n]
	clear(c.byCode)
	c.codes, c.fresh = c.codes[:0], c.fresh[:0]
	for i := range rows {
		if v.IsNull(i) {
			continue
		}
		for _, code := range codesOf(v, i) {
			if c.byCode[code] != nil {
				continue
			}
			text := v.Dict[code]
			h, ok := c.young[text]
			if !ok {
				if h, ok = c.old[text]; ok {
					c.remember(text, h)
				}
			}
			if !ok {
				h = nothing // until all are looked for together
				c.codes, c.fresh = append(c.codes, code), append(c.fresh, text)
			}
			c.byCode[code] = h
		}
	}
	c.literals.find(c.fresh, func(k int, list []occurrence) {
		h := c.look(c.fresh[k], list)
		if c.again(c.fresh[k]) {
			c.remember(c.fresh[k], h)
		}
		c.byCode[c.codes[k]] = h
	})
	clear(c.fresh) // the batch's memory is not kept
}

// codesOf are the codes of row i, which is not NULL.
func codesOf(v *event.Vector, i int) []uint32 {
	if v.Type == event.TextArray {
		return v.Codes[v.Offsets[i]:v.Offsets[i+1]]
	}
	return v.Codes[i : i+1]
}

// again reports whether the text was looked up lately: many come but once.
func (c *texts) again(text string) bool {
	sum := maphash.String(seed, text)
	last := &c.lately[sum%uint64(len(c.lately))]
	if *last == uint32(sum>>32) {
		return true
	}
	*last = uint32(sum >> 32)
	return false
}

func (c *texts) remember(text string, h *hits) {
	if len(text) > maxHeldText {
		return
	}
	if c.held > maxHeld {
		c.old, c.young, c.held = c.young, c.old, 0
		clear(c.young)
	}
	c.young[strings.Clone(text)] = h // the batch's memory is not kept
	c.held += len(text) + h.size() + mapEntry
}

// look finds the tests that a text passes, which has these literals.
func (c *texts) look(text string, literals []occurrence) *hits {
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
	for _, o := range literals {
		list := c.parts[o.literal]
		for i := range list {
			if p := &list[i]; p.written == "" || text[int(o.end)-p.length:o.end] == p.written {
				c.pass(p.tests)
			}
		}
	}
	if len(c.scratch) == 0 {
		return nothing
	}
	h := &hits{tests: slices.Clone(c.scratch)}
	for _, test := range h.tests {
		h.rules = append(h.rules, c.anchors[test]...)
	}
	slices.Sort(h.rules)
	h.rules = slices.Clip(slices.Compact(h.rules))
	return h
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
	for _, m := range []map[string]*hits{c.young, c.old} {
		for text, h := range m {
			n += len(text) + h.size() + mapEntry
		}
	}
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

// texts makes the tables; anchors are those of the index.
func (b *textsBuilder) texts(anchors [][]int32) *texts {
	c := &texts{column: b.column, anchors: anchors, passed: make([]uint32, len(anchors)), young: map[string]*hits{}, old: map[string]*hits{}}
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

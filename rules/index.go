package rules

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// index finds for each row of one table the rules that it may satisfy, by what
// their WHERE requires of texts. All rules share the tables of each column, so
// that a row is looked up once for all of them. What a text has is remembered:
// executables and command lines repeat.
//
// A rule is looked at for the rows that pass one of its anchors, which are
// tests of which its requirement needs one; then the whole requirement is
// evaluated, from what is known of the row's texts.
type index struct {
	rules   []*need   // by position; nil: a rule with no anchor
	all     []int32   // positions of these, which may match any row
	anchors [][]int32 // by test: positions of rules
	columns []*texts  // those with tests
	tests   int

	mu sync.Mutex // guards what is below, and what columns remember
	// A mark is set when it is the number of the row at hand.
	row    uint32
	hit    []uint32 // by test
	null   []uint32 // by column of columns
	looked []uint32 // by rule
	passed []*hits  // by the texts of the row
	found  []uint64
}

// need is a Requirement whose tests have numbers.
type need struct {
	kind      sql.RequirementKind
	not, null bool
	test      int32
	column    int32 // in index.columns
	of        []*need
}

// newIndex makes the index of rules of one table with these requirements.
func newIndex(requirements []*sql.Requirement) *index {
	b := &indexBuilder{numbers: map[string]int32{}, columns: map[int]*textsBuilder{}}
	x := &index{rules: make([]*need, len(requirements))}
	for i, r := range requirements {
		x.rules[i] = b.need(r)
	}
	x.tests = len(b.shared)
	x.anchors = make([][]int32, x.tests)
	for i, n := range x.rules {
		list, _, ok := b.anchorsOf(n)
		if !ok {
			x.rules[i], x.all = nil, append(x.all, int32(i))
			continue
		}
		for _, test := range list {
			x.anchors[test] = append(x.anchors[test], int32(i))
		}
		b.sortParts(n)
	}
	for _, c := range b.order {
		x.columns = append(x.columns, b.columns[c].texts(x.anchors))
	}
	x.hit, x.null, x.looked = make([]uint32, x.tests), make([]uint32, len(x.columns)), make([]uint32, len(x.rules))
	return x
}

// candidates returns the rules that rows of the batch may satisfy and these
// rows, as position<<32 | row, in ascending order; not those of x.all.
func (x *index) candidates(b *event.Batch) []uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	vectors := make([]*event.Vector, len(x.columns))
	for k, c := range x.columns {
		vectors[k] = b.Columns[c.column]
		c.begin(vectors[k], b.Rows)
	}
	x.found = x.found[:0]
	for i := range b.Rows {
		x.passed = x.passed[:0]
		anchored := false
		for k, c := range x.columns {
			v := vectors[k]
			if v.IsNull(i) {
				continue
			}
			for _, code := range codesOf(v, i) {
				h := c.byCode[code]
				x.passed = append(x.passed, h)
				anchored = anchored || len(h.rules) > 0
			}
		}
		if !anchored { // which is most rows
			continue
		}
		x.next()
		for k, v := range vectors {
			if v.IsNull(i) {
				x.null[k] = x.row
			}
		}
		for _, h := range x.passed {
			for _, test := range h.tests {
				x.hit[test] = x.row
			}
		}
		for _, h := range x.passed {
			for _, rule := range h.rules {
				if x.looked[rule] == x.row {
					continue
				}
				x.looked[rule] = x.row
				if x.holds(x.rules[rule]) {
					x.found = append(x.found, uint64(rule)<<32|uint64(i))
				}
			}
		}
	}
	slices.Sort(x.found)
	return slices.Clone(x.found)
}

// next begins a row: no mark is set.
func (x *index) next() {
	x.row++
	if x.row == 0 {
		clear(x.hit)
		clear(x.null)
		clear(x.looked)
		x.row = 1
	}
}

// holds evaluates a requirement for the row at hand.
func (x *index) holds(n *need) bool {
	switch n.kind {
	case sql.RequireText:
		if x.null[n.column] == x.row {
			return n.null
		}
		return (x.hit[n.test] == x.row) != n.not
	case sql.RequireAny:
		for _, part := range n.of {
			if x.holds(part) {
				return true
			}
		}
		return false
	default:
		for _, part := range n.of {
			if !x.holds(part) {
				return false
			}
		}
		return true
	}
}

// size is about how many bytes the index takes.
func (x *index) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 4 * (len(x.hit) + len(x.looked) + len(x.all))
	var count func(*need)
	count = func(r *need) {
		n += 48
		for _, part := range r.of {
			count(part)
		}
	}
	for _, r := range x.rules {
		n += 8
		if r != nil {
			count(r)
		}
	}
	for _, list := range x.anchors {
		n += 24 + 4*len(list)
	}
	for _, c := range x.columns {
		n += c.size()
	}
	return n
}

// indexBuilder numbers the tests: equal ones of several rules have one number.
type indexBuilder struct {
	numbers map[string]int32
	shared  []int32   // by test: how often rules need it
	rarity  []float64 // by test: in how many texts it is, by guess
	columns map[int]*textsBuilder
	order   []int
}

// need returns nil for nil.
func (b *indexBuilder) need(r *sql.Requirement) *need {
	if r == nil {
		return nil
	}
	n := &need{kind: r.Kind, not: r.Not, null: r.Null}
	for _, part := range r.Of {
		n.of = append(n.of, b.need(part))
	}
	if r.Kind != sql.RequireText {
		return n
	}
	c := b.columns[r.Column]
	if c == nil {
		c = newTextsBuilder(r.Column, len(b.order))
		b.columns[r.Column] = c
		b.order = append(b.order, r.Column)
	}
	n.column = int32(c.number)
	list := slices.Clone(r.Texts)
	slices.Sort(list)
	list = slices.Compact(list)
	key := string([]byte{byte(r.Column), byte(r.Column >> 8), byte(r.Test), fold(r)}) + strings.Join(list, "\x00")
	test, ok := b.numbers[key]
	if !ok {
		test = int32(len(b.shared))
		b.numbers[key] = test
		b.shared, b.rarity = append(b.shared, 0), append(b.rarity, 0)
		for _, text := range list {
			c.add(r, text, test)
			b.rarity[test] += frequency(r.Test, text)
		}
	}
	if !r.Not {
		b.shared[test]++
	}
	n.test = test
	return n
}

func fold(r *sql.Requirement) byte {
	if r.Fold {
		return 1
	}
	return 0
}

// frequency guesses in which share of all texts one is.
func frequency(test sql.TextTest, text string) float64 {
	if test != sql.TextIsPart {
		return 0.01
	}
	share := 1.0
	for range min(len(text), 8) {
		share *= 0.4
	}
	return share
}

// anchorsOf returns tests of which a row that satisfies n passes one, and how
// many rows pass one, by guess: what many rules need is in many rows. It is not
// ok when a row can satisfy n without passing any.
func (b *indexBuilder) anchorsOf(n *need) (tests []int32, cost float64, ok bool) {
	switch {
	case n == nil:
		return nil, 0, false
	case n.kind == sql.RequireText:
		return []int32{n.test}, b.rarity[n.test] * (1 + float64(b.shared[n.test])/8), !n.not && !n.null
	case n.kind == sql.RequireAny:
		for _, part := range n.of {
			list, c, ok := b.anchorsOf(part)
			if !ok {
				return nil, 0, false
			}
			tests, cost = append(tests, list...), cost+c
		}
		slices.Sort(tests)
		return slices.Compact(tests), cost, true
	}
	for _, part := range n.of {
		if list, c, has := b.anchorsOf(part); has && (!ok || c < cost) {
			tests, cost, ok = list, c, true
		}
	}
	return tests, cost, ok
}

// sortParts puts first of what must all hold what holds of the fewest rows.
func (b *indexBuilder) sortParts(n *need) {
	for _, part := range n.of {
		b.sortParts(part)
	}
	if n.kind != sql.RequireAll {
		return
	}
	costs := make(map[*need]float64, len(n.of))
	for _, part := range n.of {
		if _, cost, ok := b.anchorsOf(part); ok {
			costs[part] = cost
		} else {
			costs[part] = math.Inf(1)
		}
	}
	slices.SortStableFunc(n.of, func(p, q *need) int { return cmp.Compare(costs[p], costs[q]) })
}

// sizes of maps, with what a bucket takes beside its entries
const mapEntry = 64

// affixes are the beginnings or the ends of texts for which there are tests.
type affixes struct {
	lengths []int // ascending
	tests   map[string][]int32
}

func newAffixes(m map[string][]int32) affixes {
	lengths := map[int]bool{}
	for text := range m {
		lengths[len(text)] = true
	}
	return affixes{slices.Sorted(maps.Keys(lengths)), m}
}

package sql

import (
	"slices"
	"sync/atomic"
)

// Before a join spills it asks which keys its left side has: most processes
// have no children, so that of the parents few are looked up. If the right side
// without the others fits into memory, nothing is written.

// keyFilter is a Bloom filter of hashes of keys, each of which has three bits
// of one word. Several goroutines may add at once.
type keyFilter struct{ words []atomic.Uint64 }

// newKeyFilter makes a filter of so many bytes, or somewhat fewer.
func newKeyFilter(bytes int64) *keyFilter {
	n := int64(1)
	for 2*8*n <= bytes {
		n *= 2
	}
	return &keyFilter{words: make([]atomic.Uint64, n)}
}

func (f *keyFilter) word(h uint64) (w *atomic.Uint64, bits uint64) {
	return &f.words[h>>18&uint64(len(f.words)-1)], 1<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63)
}

func (f *keyFilter) add(hashes []uint64) {
	for _, h := range hashes {
		if w, bits := f.word(h); w.Load()&bits != bits {
			w.Or(bits)
		}
	}
}

// has reports whether h may have been added.
func (f *keyFilter) has(h uint64) bool {
	w, bits := f.word(h)
	return w.Load()&bits == bits
}

// keyFilterShare is what part of the memory of a query a filter may take.
const keyFilterShare = 32

// asksAt is with how many bytes of the right side leftFilter is worth it: early
// if no condition has to be evaluated for it a second time.
func (n *joinNode) asksAt(x *env) int64 {
	op := n.left
	if m, ok := op.(*meterNode); ok {
		op = m.input
	}
	if _, ok := op.(*scanNode); ok {
		return x.limit / 8
	}
	return x.limit / 8 * 3
}

// leftFilter returns the keys of the left side, nil if it would take more than
// another scan to find them. What the filter takes is counted.
func (n *joinNode) leftFilter(x *env) *keyFilter {
	left := keyScan(n.left)
	if n.kind == joinFull || left == nil || slices.ContainsFunc(n.leftKeys, hasSubquery) {
		return nil
	}
	f := newKeyFilter(x.limit / keyFilterShare)
	if x.grow(joinMemory, f.size()) != nil {
		x.used.Add(-int64(f.size()))
		return nil
	}
	taker := func(int) func(*env, *chunk) error {
		var seen entrySet
		return func(x *env, c *chunk) error {
			keys, err := evalAll(x, c, n.leftKeys, c.rows())
			if err != nil {
				return err
			}
			f.add(hashRows(keys, seen.firsts(keys, c.rows())))
			return nil
		}
	}
	done, err := parallel(x, left, taker)
	if err == nil && !done {
		take := taker(0)
		err = left.run(x, func(c *chunk) error { return take(x, c) })
	}
	if err != nil { // which comes again when the rows are joined, if they are
		x.used.Add(-int64(f.size()))
		return nil
	}
	return f
}

func (f *keyFilter) size() int { return 8 * len(f.words) }

// keyScan is a scan with the filters above it, of which nothing is kept; nil if
// op is another.
func keyScan(op operator) operator {
	switch n := op.(type) {
	case *scanNode:
		s := *n
		s.passing = passable(n)
		return &s
	case *meterNode:
		return keyScan(n.input)
	case *filterNode:
		if in := keyScan(n.input); in != nil && !hasSubquery(n.cond) {
			return &filterNode{input: in, cond: n.cond}
		}
	}
	return nil
}

// passable lists the columns of which no expression keeps anything.
func passable(s *scanNode) []int {
	var out []int
	for k, i := range s.columns {
		if typeOf(s.table.Columns[i].Type).phys() != physObj {
			out = append(out, k)
		}
	}
	return out
}

// entrySet is the entries of the dictionary at hand that were met.
type entrySet struct {
	dictionary any
	met        []bool
}

// firsts returns of rows sel those with a key that was not met yet, if the key
// is one column with a dictionary.
func (s *entrySet) firsts(keys []*vector, sel []int32) []int32 {
	n, coded := keys[0].coded()
	if !coded || len(keys) > 1 {
		return sel
	}
	v := keys[0]
	if d := v.dictionary(); d != s.dictionary || len(s.met) != n {
		s.dictionary, s.met = d, slices.Grow(s.met[:0], n)[:n]
		clear(s.met)
	}
	var out []int32
	for _, i := range sel {
		if e := v.codes[i]; !s.met[e] && !v.nulls.Has(int(i)) {
			s.met[e] = true
			out = append(out, i)
		}
	}
	return out
}

// filteredNode passes the rows whose keys a filter may have, once there is one.
type filteredNode struct {
	input  operator
	keys   []expr
	filter atomic.Pointer[keyFilter]
	tally  *tally
	copies bool // of rows that leave their goroutine: the input's memory is used again
}

// close gives back what the filter holds.
func (n *filteredNode) close(x *env) {
	if f := n.filter.Load(); f != nil {
		x.used.Add(-int64(f.size()))
	}
}

func (n *filteredNode) run(x *env, yield func(*chunk) error) error {
	return n.input.run(x, func(c *chunk) error { return n.pass(x, c, yield) })
}

func (n *filteredNode) split(x *env, keeps bool) (*split, error) {
	if !n.copies {
		return splitInput(x, keeps, n.input, n.pass)
	}
	return splitInput(x, false, n.input, func(x *env, c *chunk, yield func(*chunk) error) error {
		return n.pass(x, c, func(c *chunk) error {
			if err := c.settle(); err != nil {
				return err
			}
			return yield(c.copied())
		})
	})
}

func (n *filteredNode) pass(x *env, c *chunk, yield func(*chunk) error) error {
	f := n.filter.Load()
	if f == nil {
		return yield(c)
	}
	x.scratch = 0
	sel := c.rows()
	keys, err := evalAll(x, c, n.keys, sel)
	if err != nil {
		return err
	}
	out := make([]int32, 0, len(sel)/4)
	for k, h := range hashRows(keys, sel) {
		if f.has(h) {
			out = append(out, sel[k])
		}
	}
	n.tally.leftOut.Add(int64(len(sel) - len(out)))
	if len(out) == 0 {
		return nil
	}
	return yield(&chunk{n: c.n, sel: out, cols: c.cols})
}

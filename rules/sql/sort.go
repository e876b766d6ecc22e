package sql

import (
	"container/heap"
	"math"
)

// sortNode orders rows by columns of its input; what is equal stays in the
// order of the input, so that this does not depend on how the rows were cut
// into batches. With a LIMIT it keeps only the rows that can still be wanted.
type sortNode struct {
	input operator
	keys  []sortKey
	limit *limitNode // nil: all rows
}

func (k sortKey) compare(a, b value) int {
	switch {
	case a.null && b.null:
		return 0
	case a.null != b.null:
		if a.null == k.nullsFirst {
			return -1
		}
		return 1
	}
	c := compare(k.typ, a, b)
	if k.descending {
		return -c
	}
	return c
}

func (s *sortNode) run(x *env, yield func(*chunk) error) error {
	wanted := int64(math.MaxInt64)
	if s.limit != nil {
		skip, count, err := s.limit.window(x)
		if err != nil || count == 0 {
			return err
		}
		if count < math.MaxInt64-skip {
			wanted = skip + count
		}
	}
	t := &topRows{node: s, wanted: wanted}
	if err := (&gatherNode{s.input}).run(x, func(c *chunk) error { return t.add(x, c) }); err != nil {
		return err
	}
	if t.rows == nil {
		return nil
	}
	order, err := t.rows.sorted(x, s.keys, "sort")
	if err != nil {
		return err
	}
	if int64(len(order)) > wanted {
		order = order[:wanted]
	}
	return t.rows.emitOrder(x, order, yield)
}

// topRows holds the rows that can still be among the first wanted ones, and
// some more until they are sorted out.
type topRows struct {
	node   *sortNode
	wanted int64
	rows   *rowStore
	last   []value // the keys of the last wanted row, once there are as many
	best   keyHeap // the first keys of the first wanted rows so far, if these are few
}

const fewRows = 4096 // up to so many wanted rows are told by a heap of their first keys

// keyHeap has its greatest number on top.
type keyHeap []uint64

func (h keyHeap) Len() int           { return len(h) }
func (h keyHeap) Less(i, j int) bool { return h[i] > h[j] }
func (h keyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *keyHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *keyHeap) Pop() any          { panic("sql: nothing is taken from a keyHeap") }

// leading leaves the rows whose first key is among the first wanted ones of
// all rows so far. This alone leaves little of rows that come in the opposite
// of the order.
func (t *topRows) leading(c *chunk) *chunk {
	k := t.node.keys[0]
	v := c.cols[k.column]
	p := k.typ.phys()
	if t.wanted > fewRows || p != physInt && p != physFloat || v.nulls != nil || v.constant {
		return c
	}
	rank := func(i int32) uint64 {
		n := uint64(0)
		if p == physInt {
			n = uint64(v.ints[i]) ^ 1<<63
		} else {
			n = rankFloat(v.floats[i])
		}
		if k.descending {
			return ^n
		}
		return n
	}
	for _, i := range c.rows() {
		switch n := rank(i); {
		case int64(len(t.best)) < t.wanted:
			heap.Push(&t.best, n)
		case n < t.best[0]:
			t.best[0] = n
			heap.Fix(&t.best, 0)
		}
	}
	if int64(len(t.best)) < t.wanted {
		return c
	}
	sel := make([]int32, 0, 64)
	for _, i := range c.rows() {
		if rank(i) <= t.best[0] {
			sel = append(sel, i)
		}
	}
	return &chunk{n: c.n, sel: sel, cols: c.cols}
}

func (t *topRows) add(x *env, c *chunk) error {
	if _, err := c.column(t.node.keys[0].column); err != nil {
		return err
	}
	if t.rows == nil {
		t.rows = newRowStore(chunkTypes(c))
	}
	if c = t.leading(c); c.len() == 0 {
		return nil
	}
	if err := c.settle(); err != nil {
		return err
	}
	if t.last != nil {
		if c = t.candidates(c); c.len() == 0 {
			return nil
		}
	}
	if err := t.rows.add(x, "sort", c); err != nil {
		return err
	}
	if t.wanted > math.MaxInt64/4 || int64(t.rows.n) < max(2*t.wanted, 4*chunkRows) {
		return nil
	}
	return t.cut(x)
}

func chunkTypes(c *chunk) []Type {
	types := make([]Type, len(c.cols))
	for i, v := range c.cols {
		types[i] = v.typ
	}
	return types
}

// candidates leaves out the rows that come after the last wanted one.
func (t *topRows) candidates(c *chunk) *chunk {
	first := t.node.keys[0]
	v, last := c.cols[first.column], t.last[0]
	var sel []int32
	if first.typ.phys() == physInt && v.nulls == nil && !v.constant && !last.null {
		for _, i := range c.rows() {
			if n := v.ints[i]; (n < last.i) != first.descending || n == last.i {
				sel = append(sel, i)
			}
		}
	} else {
		for _, i := range c.rows() {
			if first.compare(v.at(int(i)), last) <= 0 {
				sel = append(sel, i)
			}
		}
	}
	if len(t.node.keys) == 1 || len(sel) == 0 {
		return &chunk{n: c.n, sel: sel, cols: c.cols}
	}
	kept := sel[:0]
	for _, i := range sel {
		if !t.after(c, int(i)) {
			kept = append(kept, i)
		}
	}
	return &chunk{n: c.n, sel: kept, cols: c.cols}
}

// after reports whether row i comes after the last wanted one; one that is
// equal does, since it came later.
func (t *topRows) after(c *chunk, i int) bool {
	for k, key := range t.node.keys {
		if d := key.compare(c.cols[key.column].at(i), t.last[k]); d != 0 {
			return d > 0
		}
	}
	return true
}

// cut keeps the first wanted rows.
func (t *topRows) cut(x *env) error {
	order, err := t.rows.sorted(x, t.node.keys, "sort")
	if err != nil {
		return err
	}
	order = order[:t.wanted]
	kept := newRowStore(t.rows.types)
	if err := t.rows.emitOrder(x, order, func(c *chunk) error { return kept.add(x, "sort", c) }); err != nil {
		return err
	}
	x.used.Add(-int64(t.rows.size))
	t.rows = kept
	t.last = nil
	for _, k := range t.node.keys {
		t.last = append(t.last, kept.value(k.column, kept.n-1))
	}
	return nil
}

// rowSize is about how many bytes a row of values holds.
func rowSize(vals []value) int {
	n := 40
	for _, v := range vals {
		n += 56 + len(v.s)
		switch o := v.o.(type) {
		case nil:
		case *array:
			n += 24 + rowSize(o.vals)
		default:
			n += 64
		}
	}
	return n
}

// emitRows yields rows as chunks of 1024.
func emitRows(x *env, types []Type, n int, row func(i int) ([]value, error), yield func(*chunk) error) error {
	const size = 1024
	for from := 0; from < n; from += size {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		m := min(size, n-from)
		c := &chunk{n: m, cols: make([]*vector, len(types))}
		for k, t := range types {
			c.cols[k] = newVector(t, m)
		}
		for i := range m {
			vals, err := row(from + i)
			if err != nil {
				return err
			}
			for k, v := range vals {
				c.cols[k].set(i, v, m)
			}
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

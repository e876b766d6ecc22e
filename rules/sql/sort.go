package sql

import (
	"container/heap"
	"math"
	"slices"
)

// sortNode orders rows by columns of its input. With a LIMIT it keeps only
// the rows that can still be wanted.
type sortNode struct {
	input operator
	keys  []sortKey
	limit *limitNode // nil: all rows
}

// sortedRow is a row with its place in the input, which breaks ties so that
// the order does not depend on how the rows were cut into batches.
type sortedRow struct {
	vals []value
	seq  int
}

func (s *sortNode) compareRows(a, b sortedRow) int {
	for _, k := range s.keys {
		if c := k.compare(a.vals[k.column], b.vals[k.column]); c != 0 {
			return c
		}
	}
	return compareInts(a.seq, b.seq)
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

// topRows is a heap with the last row in order on top.
type topRows struct {
	rows []sortedRow
	cmp  func(a, b sortedRow) int
}

func (t *topRows) Len() int           { return len(t.rows) }
func (t *topRows) Less(i, j int) bool { return t.cmp(t.rows[i], t.rows[j]) > 0 }
func (t *topRows) Swap(i, j int)      { t.rows[i], t.rows[j] = t.rows[j], t.rows[i] }
func (t *topRows) Push(x any)         { t.rows = append(t.rows, x.(sortedRow)) }
func (t *topRows) Pop() any {
	last := t.rows[len(t.rows)-1]
	t.rows = t.rows[:len(t.rows)-1]
	return last
}

func (s *sortNode) run(x *env, yield func(*chunk) error) error {
	skip, count := int64(0), int64(math.MaxInt64)
	if s.limit != nil {
		var err error
		if skip, count, err = s.limit.window(x); err != nil {
			return err
		}
	}
	wanted := int64(math.MaxInt64)
	if count < math.MaxInt64-skip {
		wanted = skip + count
	}
	if count == 0 {
		return nil
	}
	top := &topRows{cmp: s.compareRows}
	var types []Type
	seq := 0
	err := (&gatherNode{s.input}).run(x, func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		if types == nil {
			for _, v := range c.cols {
				types = append(types, v.typ)
			}
		}
		for _, i := range c.rows() {
			seq++
			if int64(len(top.rows)) >= wanted && s.afterTop(top.rows[0], c, int(i)) {
				continue
			}
			full := int64(len(top.rows)) >= wanted
			row := sortedRow{seq: seq}
			if full {
				row.vals = top.rows[0].vals // of the row that goes
				x.used.Add(-int64(rowSize(row.vals)))
			} else {
				row.vals = make([]value, len(c.cols))
			}
			for k, v := range c.cols {
				row.vals[k] = v.at(int(i))
			}
			if !full {
				if err := x.grow("sort", rowSize(row.vals)); err != nil {
					return err
				}
				if wanted == math.MaxInt64 {
					top.rows = append(top.rows, row)
				} else {
					heap.Push(top, row)
				}
				continue
			}
			x.used.Add(int64(rowSize(row.vals)))
			top.rows[0] = row
			heap.Fix(top, 0)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(top.rows, s.compareRows)
	return emitRows(x, types, len(top.rows), func(i int) ([]value, error) { return top.rows[i].vals, nil }, yield)
}

// afterTop reports whether row i of c comes after the row top.
func (s *sortNode) afterTop(top sortedRow, c *chunk, i int) bool {
	for _, k := range s.keys {
		if r := k.compare(c.cols[k.column].at(i), top.vals[k.column]); r != 0 {
			return r > 0
		}
	}
	return true
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

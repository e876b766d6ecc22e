package sql

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// order is a comparison of rows of a store by some of its columns.
type order []func(a, b int32) int

func (o order) compare(a, b int32) int {
	for _, f := range o {
		if c := f(a, b); c != 0 {
			return c
		}
	}
	return 0
}

// comparer compares rows by one column.
func (s *rowStore) comparer(k sortKey) func(a, b int32) int {
	c := s.cols[k.column]
	f := c.ascending()
	if k.descending {
		g := f
		f = func(a, b int32) int { return g(b, a) }
	}
	if c.nulls == nil {
		return f
	}
	return func(a, b int32) int {
		m, n := c.nulls.Has(int(a)), c.nulls.Has(int(b))
		switch {
		case m && n:
			return 0
		case m == n:
			return f(a, b)
		case m == k.nullsFirst:
			return -1
		}
		return 1
	}
}

func (c *storeColumn) ascending() func(a, b int32) int {
	switch c.typ.phys() {
	case physBool:
		return func(a, b int32) int {
			switch {
			case c.bools[a] == c.bools[b]:
				return 0
			case c.bools[b]:
				return -1
			}
			return 1
		}
	case physInt:
		return func(a, b int32) int { return cmp.Compare(c.ints[a], c.ints[b]) }
	case physFloat:
		return func(a, b int32) int { return compareFloats(c.floats[a], c.floats[b]) }
	case physText:
		ranks := c.texts.ranks()
		return func(a, b int32) int { return cmp.Compare(ranks[c.codes[a]], ranks[c.codes[b]]) }
	}
	return func(a, b int32) int { return compare(c.typ, value{o: c.objs[a]}, value{o: c.objs[b]}) }
}

// ranks gives each code its place in the order of the texts.
func (t *interner) ranks() []int32 {
	order := make([]int32, len(t.list))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(t.list[a], t.list[b]) })
	ranks := make([]int32, max(len(order), 1))
	for rank, code := range order {
		ranks[code] = int32(rank)
	}
	return ranks
}

// ranked is a row with its first key as a number in the same order.
type ranked struct {
	key uint64
	row int32
}

// sorted lists the rows of s in order; what is equal stays as it came. Most
// comparisons are of the first keys alone, as numbers.
func (s *rowStore) sorted(x *env, keys []sortKey, operator string) ([]int32, error) {
	rows := make([]int32, s.n)
	if err := x.grow(operator, 20*s.n); err != nil {
		return nil, err
	}
	list := make([]ranked, s.n)
	for i := range list {
		list[i].row = int32(i)
	}
	var rest order
	for k, key := range keys {
		if k == 0 && s.rank(key, list) {
			continue
		}
		rest = append(rest, s.comparer(key))
	}
	seen, done := 0, error(nil)
	slices.SortFunc(list, func(a, b ranked) int {
		if seen++; seen&0xffff == 0 && done == nil {
			done = x.ctx.Err()
		}
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		if done == nil {
			if c := rest.compare(a.row, b.row); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.row, b.row)
	})
	for i, r := range list {
		rows[i] = r.row
	}
	x.used.Add(-int64(16 * s.n))
	return rows, done
}

// rank sets the keys of list to numbers in the order of the sort key; false,
// and nothing is set, if its values have none: objects, and beside NULLs those
// whose numbers fill 64 bits.
func (s *rowStore) rank(k sortKey, list []ranked) bool {
	c := s.cols[k.column]
	p := c.typ.phys()
	if p == physObj || c.nulls != nil && (p == physInt || p == physFloat) {
		return false
	}
	switch p {
	case physInt:
		for i := range list {
			list[i].key = uint64(c.ints[i]) ^ 1<<63
		}
	case physFloat:
		for i := range list {
			list[i].key = rankFloat(c.floats[i])
		}
	case physBool:
		for i := range list {
			list[i].key = 1
			if c.bools[i] {
				list[i].key = 2
			}
		}
	default:
		ranks := c.texts.ranks()
		for i := range list {
			list[i].key = uint64(ranks[c.codes[i]]) + 1
		}
	}
	if c.nulls != nil {
		ends := uint64(math.MaxUint64)
		if k.nullsFirst != k.descending {
			ends = 0
		}
		for i := range list {
			if c.nulls.Has(i) {
				list[i].key = ends
			}
		}
	}
	if k.descending {
		for i := range list {
			list[i].key = ^list[i].key
		}
	}
	return true
}

// rankFloat is the order of compareFloats: -0 is 0, NaN the greatest.
func rankFloat(f float64) uint64 {
	if f != f {
		return math.MaxUint64
	}
	if f == 0 {
		f = 0
	}
	bits := math.Float64bits(f)
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

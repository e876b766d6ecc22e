package sql

import (
	"cmp"
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

// sorted lists the rows of s in order; what is equal stays as it came.
func (s *rowStore) sorted(x *env, keys []sortKey, operator string) ([]int32, error) {
	rows := sequence(0, s.n)
	if err := x.grow(operator, 4*s.n); err != nil {
		return nil, err
	}
	var o order
	for _, k := range keys {
		o = append(o, s.comparer(k))
	}
	seen, done := 0, error(nil)
	slices.SortFunc(rows, func(a, b int32) int {
		if seen++; seen&0xffff == 0 && done == nil {
			done = x.ctx.Err()
		}
		if done != nil {
			return cmp.Compare(a, b)
		}
		if c := o.compare(a, b); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	return rows, done
}

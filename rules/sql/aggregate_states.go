package sql

import (
	"cmp"
	"math/big"
	"slices"
)

// accumulator is the state of one aggregate in one group.
type accumulator interface {
	add(args []value) error
	result() (value, error)
}

// states are those of one aggregate, one for each group. Rows sel of the
// arguments are of the groups ids; order are the keys of its ORDER BY.
type states interface {
	// more makes states for n more groups and returns the bytes that each takes.
	more(n int) (bytes int)
	// add returns how many bytes more are held.
	add(args, order []*vector, sel, ids []int32) (bytes int, err error)
	// merges reports whether merge works.
	merges() bool
	// merge takes over other states, made alike: those of group i are of group
	// ids[i] here. Their order is nothing to the result.
	merge(other states, ids []int32) (bytes int, err error)
	result(group int) (value, error)
}

func newStates(e *aggExpr) states {
	if len(e.order) > 0 || e.distinct && !e.fn.unordered {
		return newSortedStates(e)
	}
	var s states
	if e.fn.grouped != nil {
		s = e.fn.grouped()
	} else {
		s = &accumulators{fn: e.fn}
	}
	if !e.distinct {
		return s
	}
	return &distinctStates{states: s, had: newDistinctArgs(e)}
}

// counts are the states of count.
type counts struct{ n []int64 }

func (s *counts) more(n int) int {
	s.n = append(s.n, make([]int64, n)...)
	return 8
}

func (s *counts) add(args, _ []*vector, sel, ids []int32) (int, error) {
	switch {
	case len(args) > 0 && args[0].nulls != nil:
		for k, i := range sel {
			if !args[0].isNull(int(i)) {
				s.n[ids[k]]++
			}
		}
	case len(s.n) == 1:
		s.n[0] += int64(len(ids))
	default:
		for _, id := range ids {
			s.n[id]++
		}
	}
	return 0, nil
}

func (s *counts) merges() bool { return true }

func (s *counts) merge(other states, ids []int32) (int, error) {
	for i, n := range other.(*counts).n {
		s.n[ids[i]] += n
	}
	return 0, nil
}

func (s *counts) result(group int) (value, error) { return intValue(s.n[group]), nil }

// countOfRow is count of a row of so many columns, which is not NULL even where
// all of them are. Its name tells it from count in keys and plans.
func countOfRow(columns int) *function {
	return &function{
		name: "count of row", args: slices.Repeat([]Type{anyType}, columns), ret: Int8, unordered: true, ofRow: true,
		agg: func() accumulator { return &counter{} }, grouped: func() states { return &rowCounts{} },
	}
}

// rowCounts are the states of countOfRow.
type rowCounts struct{ counts }

func (s *rowCounts) add(_, _ []*vector, sel, ids []int32) (int, error) {
	return s.counts.add(nil, nil, sel, ids)
}

func (s *rowCounts) merge(other states, ids []int32) (int, error) {
	return s.counts.merge(&other.(*rowCounts).counts, ids)
}

// sums are the states of sum and avg of integers.
type sums struct {
	kind intSum
	n    []int64
	sum  []int64
	over map[int32]*big.Int // to be added to sum, which would have overflowed
}

func (s *sums) more(n int) int {
	s.n, s.sum = append(s.n, make([]int64, n)...), append(s.sum, make([]int64, n)...)
	return 16
}

// eachInt calls f with the group and the value of rows sel that are not NULL.
func eachInt(v *vector, sel, ids []int32, f func(id int32, n int64)) {
	for k, i := range sel {
		if v.nulls != nil && v.isNull(int(i)) {
			continue
		}
		if v.constant {
			i = 0
		}
		f(ids[k], v.ints[i])
	}
}

func (s *sums) add(args, _ []*vector, sel, ids []int32) (int, error) {
	eachInt(args[0], sel, ids, func(id int32, n int64) {
		s.n[id]++
		s.plus(id, n)
	})
	return 0, nil
}

func (s *sums) plus(id int32, n int64) {
	sum := s.sum[id]
	t := sum + n
	if (t > sum) != (n > 0) && n != 0 {
		s.plusOver(id, big.NewInt(sum))
		t = n
	}
	s.sum[id] = t
}

func (s *sums) plusOver(id int32, n *big.Int) {
	if s.over == nil {
		s.over = make(map[int32]*big.Int)
	}
	if s.over[id] == nil {
		s.over[id] = new(big.Int)
	}
	s.over[id].Add(s.over[id], n)
}

func (s *sums) merges() bool { return true }

func (s *sums) merge(other states, ids []int32) (int, error) {
	o := other.(*sums)
	for i, id := range ids {
		s.n[id] += o.n[i]
		s.plus(id, o.sum[i])
		if over := o.over[int32(i)]; over != nil {
			s.plusOver(id, over)
		}
	}
	return 0, nil
}

func (s *sums) result(group int) (value, error) {
	one := s.kind
	one.any, one.n, one.sum = s.n[group] > 0, s.n[group], s.sum[group]
	if over := s.over[int32(group)]; over != nil {
		one.over = new(big.Int).Add(over, big.NewInt(one.sum))
	}
	return one.result()
}

// extremes are the states of min and max of what is held as an integer.
type extremes struct {
	want int // as of extreme
	best []int64
	any  []bool
}

func (s *extremes) more(n int) int {
	s.best, s.any = append(s.best, make([]int64, n)...), append(s.any, make([]bool, n)...)
	return 9
}

func (s *extremes) add(args, _ []*vector, sel, ids []int32) (int, error) {
	eachInt(args[0], sel, ids, s.note)
	return 0, nil
}

func (s *extremes) note(id int32, n int64) {
	if !s.any[id] || s.want < 0 && n < s.best[id] || s.want > 0 && n > s.best[id] {
		s.best[id], s.any[id] = n, true
	}
}

func (s *extremes) merges() bool { return true }

func (s *extremes) merge(other states, ids []int32) (int, error) {
	o := other.(*extremes)
	for i, id := range ids {
		if o.any[i] {
			s.note(id, o.best[i])
		}
	}
	return 0, nil
}

func (s *extremes) result(group int) (value, error) {
	if !s.any[group] {
		return null, nil
	}
	return intValue(s.best[group]), nil
}

// accumulators are the states of an aggregate that has no better ones.
type accumulators struct {
	fn   *function
	list []accumulator
	row  []value
}

// merger is an accumulator that can take over what another one of its kind
// has, as if that had been added to it; in any order.
type merger interface {
	accumulator
	merge(other accumulator) error
}

const accumulatorSize = 96 // about

func (s *accumulators) more(n int) int {
	for range n {
		s.list = append(s.list, s.fn.agg())
	}
	return accumulatorSize
}

func (s *accumulators) add(args, _ []*vector, sel, ids []int32) (bytes int, err error) {
	grows := growing(s.fn.name)
	if s.row == nil {
		s.row = make([]value, len(args))
	}
	for k, i := range sel {
		for j, v := range args {
			s.row[j] = v.at(int(i))
		}
		if s.fn.strict && len(args) > 0 && s.row[0].null {
			continue
		}
		if err := s.list[ids[k]].add(s.row); err != nil {
			return bytes, err
		}
		if grows {
			bytes += rowSize(s.row)
		}
	}
	return bytes, nil
}

// growing reports whether an aggregate holds all its input.
func growing(name string) bool {
	return name == "array_agg" || name == "string_agg" || name == "jsonb_agg" || name == "jsonb_object_agg"
}

func (s *accumulators) merges() bool {
	_, ok := s.fn.agg().(merger)
	return ok
}

func (s *accumulators) merge(other states, ids []int32) (int, error) {
	for i, acc := range other.(*accumulators).list {
		if err := s.list[ids[i]].(merger).merge(acc); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (s *accumulators) result(group int) (value, error) { return s.list[group].result() }

// distinctArgs knows which arguments a group has had.
type distinctArgs struct {
	table *keyTable // of the group and the arguments
	types []Type
	group vector // the groups as a column
	found []int32
}

func newDistinctArgs(e *aggExpr) *distinctArgs {
	types := []Type{Int4}
	for _, a := range e.args {
		types = append(types, a.typ())
	}
	return &distinctArgs{table: newKeyTable(types), types: types}
}

// keep returns the rows whose arguments their group has not had yet.
func (d *distinctArgs) keep(args []*vector, sel, ids []int32) (newSel, newIDs []int32) {
	// The group is a column too, at the places of the rows.
	n := int(slices.Max(sel)) + 1
	d.group.typ, d.group.ints = Int4, slices.Grow(d.group.ints[:0], n)[:n]
	for k, i := range sel {
		d.group.ints[i] = int64(ids[k])
	}
	d.found = slices.Grow(d.found[:0], len(sel))[:len(sel)]
	last := int32(d.table.n) - 1
	d.table.number(append([]*vector{&d.group}, args...), sel, d.found)
	for k, f := range d.found {
		if f > last {
			last = f
			newSel, newIDs = append(newSel, sel[k]), append(newIDs, ids[k])
		}
	}
	return newSel, newIDs
}

// distinctStates pass on the arguments that their group has not had yet, to
// states to which their order is nothing.
type distinctStates struct {
	states
	had *distinctArgs
}

func (s *distinctStates) add(args, _ []*vector, sel, ids []int32) (int, error) {
	newSel, newIDs := s.had.keep(args, sel, ids)
	bytes, err := s.states.add(args, nil, newSel, newIDs)
	return bytes + s.had.table.grown(), err
}

func (s *distinctStates) merges() bool {
	return s.states.merges() && !slices.ContainsFunc(s.had.types, func(t Type) bool { return t.phys() == physObj })
}

func (s *distinctStates) merge(other states, ids []int32) (bytes int, err error) {
	o := other.(*distinctStates)
	for from := 0; from < o.had.table.n; from += chunkRows {
		cols := o.had.table.vectors(from, min(from+chunkRows, o.had.table.n))
		own := make([]int32, len(cols[0].ints))
		for k, id := range cols[0].ints {
			own[k] = ids[id]
		}
		n, err := s.add(cols[1:], nil, sequence(0, len(own)), own)
		if bytes += n; err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}

// sortedStates are those of an aggregate with ORDER BY, or DISTINCT where the
// order matters: they keep the rows, those of all groups in one store.
type sortedStates struct {
	agg    *aggExpr
	rows   *rowStore     // arguments, then the keys of ORDER BY, but of WITHIN GROUP, where the first argument is the key
	group  []int32       // by row
	had    *distinctArgs // nil without DISTINCT
	starts []int32       // by group, where its rows begin in list; made for the first result
	list   []int32
}

func newSortedStates(e *aggExpr) *sortedStates {
	var types []Type
	for _, a := range e.args {
		types = append(types, a.typ())
	}
	s := &sortedStates{agg: e}
	if e.distinct {
		s.had = newDistinctArgs(e)
	}
	if e.fn.ordered == nil {
		for _, o := range e.order {
			types = append(types, o.expr.typ())
		}
	}
	s.rows = newRowStore(types)
	return s
}

func (s *sortedStates) more(n int) int {
	s.starts = append(s.starts, make([]int32, n)...)
	return 4
}

func (s *sortedStates) add(args, order []*vector, sel, ids []int32) (bytes int, err error) {
	if s.agg.fn.strict && len(args) > 0 && args[0].nulls != nil {
		var notNull, own []int32
		for k, i := range sel {
			if !args[0].isNull(int(i)) {
				notNull, own = append(notNull, i), append(own, ids[k])
			}
		}
		sel, ids = notNull, own
	}
	if s.had != nil && len(sel) > 0 {
		sel, ids = s.had.keep(args, sel, ids)
		bytes = s.had.table.grown()
	}
	s.group = append(s.group, ids...)
	const places = 8 // a group, and a place in the list
	cols := args
	if s.agg.fn.ordered == nil {
		cols = slices.Concat(args, order)
	}
	return bytes + s.rows.append(cols, sel) + places*len(sel), nil
}

func (s *sortedStates) merges() bool { return false }

func (s *sortedStates) merge(states, []int32) (int, error) { panic("sql: merge of rows that are kept") }

// sort lists the rows by group, and those of a group in order. DISTINCT without
// ORDER BY goes by the order of the arguments, since PostgreSQL sorts to find what
// is equal.
func (s *sortedStates) sort() {
	ends := make([]int32, len(s.starts))
	for _, g := range s.group {
		ends[g]++
	}
	at := int32(0)
	for g, n := range ends {
		s.starts[g], ends[g] = at, at
		at += n
	}
	s.list = make([]int32, len(s.group))
	for i, g := range s.group {
		s.list[ends[g]] = int32(i)
		ends[g]++
	}
	var by order
	for k, o := range s.agg.order {
		column := len(s.agg.args) + k
		if s.agg.fn.ordered != nil {
			column = k
		}
		by = append(by, s.rows.comparer(sortKey{column: column, typ: o.expr.typ(), descending: o.descending, nullsFirst: o.nullsFirst}))
	}
	if s.agg.distinct {
		for k, arg := range s.agg.args {
			by = append(by, s.rows.comparer(sortKey{column: k, typ: arg.typ()}))
		}
	}
	for g, from := range s.starts {
		slices.SortFunc(s.list[from:ends[g]], func(a, b int32) int {
			if c := by.compare(a, b); c != 0 {
				return c
			}
			return cmp.Compare(a, b)
		})
	}
}

// result feeds the rows kept to the aggregate.
func (s *sortedStates) result(group int) (value, error) {
	if s.list == nil {
		s.sort()
	}
	from, to := int(s.starts[group]), len(s.list)
	if group+1 < len(s.starts) {
		to = int(s.starts[group+1])
	}
	row := func(i int) []value {
		out := make([]value, len(s.agg.args))
		for k := range out {
			out[k] = s.rows.value(k, int(s.list[from+i]))
		}
		return out
	}
	if final := s.agg.fn.ordered; final != nil {
		if from == to {
			return null, nil
		}
		vals := sortedValues{n: to - from, at: func(i int) value { return s.rows.value(0, int(s.list[from+i])) }}
		return final(vals, row(0)[1:])
	}
	acc := s.agg.fn.agg()
	for i := range to - from {
		if err := acc.add(row(i)); err != nil {
			return null, err
		}
	}
	return acc.result()
}

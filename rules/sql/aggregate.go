package sql

import "slices"

// aggregateNode groups its input by expressions, with a hash table, and
// gives one row a group: the expressions, then the aggregates, then what
// GROUPING says. Without expressions there is exactly one row.
type aggregateNode struct {
	input     operator
	groups    []expr
	aggs      []*aggExpr
	sets      [][]int // of GROUPING SETS: positions in groups; nil: one set of all
	groupings [][]int // of GROUPING(…): positions in groups
}

// accumulator is the state of one aggregate in one group.
type accumulator interface {
	add(args []value) error
	result() (value, error)
}

// group is one group and its aggregates.
type group struct {
	accs []accumulator
	// of aggregates with DISTINCT or ORDER BY
	seen map[int]map[string]struct{}
	rows map[int][]orderedArgs
}

type orderedArgs struct{ args, keys []value }

const groupSize = 200 // bytes of a group beside its key, about

func (a *aggregateNode) newGroup() *group {
	g := &group{accs: make([]accumulator, len(a.aggs))}
	for i, e := range a.aggs {
		g.accs[i] = e.fn.agg()
	}
	return g
}

func (a *aggregateNode) run(x *env, yield func(*chunk) error) error {
	tables, err := a.tables(x)
	if err != nil {
		return err
	}
	done := false
	if a.merges() {
		if done, err = a.inParts(x, tables); err != nil {
			return err
		}
	}
	if !done {
		if err := (&gatherNode{a.input}).run(x, func(c *chunk) error { return a.add(x, tables, c) }); err != nil {
			return err
		}
	}
	var types []Type
	for _, e := range a.groups {
		types = append(types, e.typ())
	}
	for _, e := range a.aggs {
		types = append(types, e.t)
	}
	for range a.groupings {
		types = append(types, Int4)
	}
	for _, t := range tables {
		if err := t.emit(x, types, yield); err != nil {
			return err
		}
	}
	return nil
}

func (a *aggregateNode) add(x *env, tables []*groupTable, c *chunk) error {
	x.scratch = 0
	keys, err := evalAll(x, c, a.groups, c.rows())
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.add(x, c, keys); err != nil {
			return err
		}
	}
	return nil
}

// merger is an accumulator that can take over what another one of its kind
// has, as if that had been added to it; in any order.
type merger interface {
	accumulator
	merge(other accumulator) error
}

// merges reports whether all aggregates can be computed in parts.
func (a *aggregateNode) merges() bool {
	for _, e := range a.aggs {
		if _, ok := e.fn.agg().(merger); !ok || e.distinct || len(e.order) > 0 {
			return false
		}
	}
	return true
}

// inParts fills tables by several goroutines, each with tables of its own
// that are merged at the end.
func (a *aggregateNode) inParts(x *env, tables []*groupTable) (bool, error) {
	var own [][]*groupTable
	done, err := parallel(x, a.input, func(worker int) func(*env, *chunk) error {
		mine := tables
		if worker > 0 {
			var err error
			if mine, err = a.tables(x); err != nil {
				return func(*env, *chunk) error { return err }
			}
			own = append(own, mine)
		}
		return func(x *env, c *chunk) error { return a.add(x, mine, c) }
	})
	if err != nil || !done {
		return done, err
	}
	for _, list := range own {
		for i, t := range list {
			if err := tables[i].merge(x, t); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// merge adds the groups of another table.
func (t *groupTable) merge(x *env, other *groupTable) error {
	groups := make([]*group, len(other.groups))
	if t.keys == nil {
		groups[0] = t.groups[0]
	} else {
		ids := make([]int32, len(other.groups))
		at := 0
		keys := make([]*vector, len(t.node.groups))
		err := other.values.emit(x, func(c *chunk) error {
			for i, k := range t.set {
				keys[k] = c.cols[i]
			}
			sel := c.rows()
			own := ids[at : at+len(sel)]
			if err := t.find(x, c, keys, sel, own); err != nil {
				return err
			}
			for k, id := range own {
				groups[at+k] = t.groups[id]
			}
			at += len(sel)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, g := range other.groups {
		for n, acc := range g.accs {
			other.settle(n, i, acc)
			if err := groups[i].accs[n].(merger).merge(acc); err != nil {
				return err
			}
		}
	}
	return nil
}

// tables makes one table for each grouping set.
func (a *aggregateNode) tables(x *env) ([]*groupTable, error) {
	sets := a.sets
	if sets == nil {
		all := make([]int, len(a.groups))
		for i := range all {
			all[i] = i
		}
		sets = [][]int{all}
	}
	var out []*groupTable
	for _, set := range sets {
		t := &groupTable{node: a, set: set}
		var types []Type
		for _, i := range set {
			types = append(types, a.groups[i].typ())
		}
		if len(set) > 0 {
			t.keys, t.values = newKeyTable(types), newRowStore(types)
		} else { // one group of everything, also of nothing
			t.groups = []*group{a.newGroup()}
		}
		if err := x.grow("grouping", 1024); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// groupTable finds the group of a row, in one grouping set.
type groupTable struct {
	node   *aggregateNode
	set    []int     // positions in node.groups
	keys   *keyTable // nil: there is one group
	values *rowStore // the keys of the groups
	groups []*group
	ids    []int32

	counts   [][]int64   // by aggregate: of those that only count, by group
	distinct []*keyTable // by aggregate: its arguments in each group, where their order is nothing to it
}

func (t *groupTable) add(x *env, c *chunk, keys []*vector) error {
	sel := c.rows()
	if cap(t.ids) < len(sel) {
		t.ids = make([]int32, len(sel))
	}
	ids := t.ids[:len(sel)]
	if t.keys == nil {
		clear(ids)
	} else if err := t.find(x, c, keys, sel, ids); err != nil {
		return err
	}
	for i, e := range t.node.aggs {
		if err := t.accumulate(x, c, e, i, sel, ids); err != nil {
			return err
		}
	}
	return nil
}

func (t *groupTable) find(x *env, c *chunk, keys []*vector, sel, ids []int32) error {
	own := make([]*vector, len(t.set))
	for i, k := range t.set {
		own[i] = keys[k]
	}
	t.keys.number(own, sel, ids)
	if t.keys.n == len(t.groups) {
		return nil
	}
	var added []int32
	for k, i := range sel {
		if int(ids[k]) == len(t.groups) {
			t.groups = append(t.groups, t.node.newGroup())
			added = append(added, i)
		}
	}
	if err := t.values.add(x, "grouping", &chunk{n: c.n, sel: added, cols: own}); err != nil {
		return err
	}
	return x.grow("grouping", len(added)*groupSize+t.keys.grown())
}

// countsOf are the counts of aggregate n, one for each group there is.
func (t *groupTable) countsOf(n int) []int64 {
	if t.counts == nil {
		t.counts = make([][]int64, len(t.node.aggs))
	}
	for len(t.counts[n]) < len(t.groups) {
		t.counts[n] = append(t.counts[n], 0)
	}
	return t.counts[n]
}

// emit gives one row a group.
func (t *groupTable) emit(x *env, types []Type, yield func(*chunk) error) error {
	return emitRows(x, types, len(t.groups), func(i int) ([]value, error) { return t.row(t.groups[i], i) }, yield)
}

func (t *groupTable) row(g *group, i int) ([]value, error) {
	a := t.node
	row := make([]value, len(a.groups), len(a.groups)+len(a.aggs)+len(a.groupings))
	for k := range row {
		row[k] = null
	}
	for k, p := range t.set {
		row[p] = t.values.value(k, i)
	}
	if err := t.finish(g); err != nil {
		return nil, err
	}
	for n, acc := range g.accs {
		t.settle(n, i, acc)
		v, err := acc.result()
		if err != nil {
			return nil, err
		}
		if arr, ok := v.o.(*array); ok && a.aggs[n].t.IsArray() {
			arr.elem = a.aggs[n].t.Elem()
		}
		row = append(row, v)
	}
	for _, list := range a.groupings {
		mask := int64(0)
		for _, p := range list {
			mask <<= 1
			if !slices.Contains(t.set, p) {
				mask |= 1
			}
		}
		row = append(row, intValue(mask))
	}
	return row, nil
}

// settle gives an accumulator what was counted for it.
func (t *groupTable) settle(n, group int, acc accumulator) {
	if t.counts == nil || group >= len(t.counts[n]) {
		return
	}
	acc.(*counter).n += t.counts[n][group]
	t.counts[n][group] = 0
}

// accumulate adds the rows sel of c to aggregate n of their groups.
func (t *groupTable) accumulate(x *env, c *chunk, e *aggExpr, n int, sel, ids []int32) error {
	if e.filter != nil {
		var err error
		if sel, ids, err = filterGroups(x, c, e.filter, sel, ids); err != nil || len(sel) == 0 {
			return err
		}
	}
	if len(e.args) == 0 {
		counts := t.countsOf(n)
		for _, id := range ids {
			counts[id]++
		}
		return nil
	}
	args, err := evalAll(x, c, e.args, sel)
	if err != nil {
		return err
	}
	if e.distinct && len(e.order) == 0 && e.fn.unordered {
		if sel, ids, err = t.newOnes(x, n, args, sel, ids); err != nil {
			return err
		}
	} else if e.distinct || len(e.order) > 0 {
		return t.keep(x, c, e, n, args, sel, ids)
	}
	if e.fn.counts {
		t.count(n, args[0], sel, ids)
		return nil
	}
	grows := growing(e.fn.name)
	row := make([]value, len(args))
	for k, i := range sel {
		for j, v := range args {
			row[j] = v.at(int(i))
		}
		if e.fn.strict && row[0].null {
			continue
		}
		if err := t.groups[ids[k]].accs[n].add(row); err != nil {
			return err
		}
		if grows {
			if err := x.grow(e.fn.name, rowSize(row)); err != nil {
				return err
			}
		}
	}
	return nil
}

// count counts the rows whose argument is not NULL.
func (t *groupTable) count(n int, arg *vector, sel, ids []int32) {
	counts := t.countsOf(n)
	for k, i := range sel {
		if arg.nulls == nil || !arg.isNull(int(i)) {
			counts[ids[k]]++
		}
	}
}

// newOnes leaves the rows whose arguments their group has not had yet.
func (t *groupTable) newOnes(x *env, n int, args []*vector, sel, ids []int32) (newSel, newIDs []int32, err error) {
	if t.distinct == nil {
		t.distinct = make([]*keyTable, len(t.node.aggs))
	}
	table := t.distinct[n]
	if table == nil {
		types := []Type{Int4}
		for _, a := range args {
			types = append(types, a.typ)
		}
		table = newKeyTable(types)
		t.distinct[n] = table
	}
	// The group is a column too, at the places of the rows.
	group := &vector{typ: Int4, ints: make([]int64, int(slices.Max(sel))+1)}
	for k, i := range sel {
		group.ints[i] = int64(ids[k])
	}
	found := make([]int32, len(sel))
	last := int32(table.n) - 1
	table.number(append([]*vector{group}, args...), sel, found)
	for k, f := range found {
		if f > last {
			last = f
			newSel, newIDs = append(newSel, sel[k]), append(newIDs, ids[k])
		}
	}
	return newSel, newIDs, x.grow("DISTINCT of an aggregate", table.grown())
}

// growing reports whether an aggregate holds all its input.
func growing(name string) bool {
	return name == "array_agg" || name == "string_agg" || name == "jsonb_agg" || name == "jsonb_object_agg"
}

func filterGroups(x *env, c *chunk, cond expr, sel, ids []int32) (outSel, outIDs []int32, err error) {
	v, err := cond.eval(x, c, sel)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range sel {
		if !v.isNull(int(i)) && v.boolAt(int(i)) {
			outSel, outIDs = append(outSel, i), append(outIDs, ids[k])
		}
	}
	return outSel, outIDs, nil
}

// keep stores the rows of an aggregate with ORDER BY, or DISTINCT where the
// order matters.
func (t *groupTable) keep(x *env, c *chunk, e *aggExpr, n int, args []*vector, sel, ids []int32) error {
	var order []*vector
	for _, o := range e.order {
		v, err := o.expr.eval(x, c, sel)
		if err != nil {
			return err
		}
		order = append(order, v)
	}
	row := make([]value, len(args))
	for k, i := range sel {
		for j, v := range args {
			row[j] = v.at(int(i))
		}
		if e.fn.strict && row[0].null {
			continue
		}
		if err := t.groups[ids[k]].keep(x, e, n, row, order, int(i)); err != nil {
			return err
		}
	}
	return nil
}

// keep stores a row for an aggregate with DISTINCT or ORDER BY.
func (g *group) keep(x *env, e *aggExpr, n int, row []value, order []*vector, i int) error {
	if e.distinct {
		var key []byte
		for j, v := range row {
			key = appendKey(key, e.args[j].typ(), v)
		}
		if g.seen == nil {
			g.seen = make(map[int]map[string]struct{})
		}
		if g.seen[n] == nil {
			g.seen[n] = make(map[string]struct{})
		}
		if _, ok := g.seen[n][string(key)]; ok {
			return nil
		}
		if err := x.grow(e.fn.name+"(DISTINCT)", len(key)+48); err != nil {
			return err
		}
		g.seen[n][string(key)] = struct{}{}
	}
	r := orderedArgs{args: slices.Clone(row)}
	for _, v := range order {
		r.keys = append(r.keys, v.at(i))
	}
	if g.rows == nil {
		g.rows = make(map[int][]orderedArgs)
	}
	g.rows[n] = append(g.rows[n], r)
	return x.grow(e.fn.name, rowSize(row)+rowSize(r.keys))
}

// finish feeds the rows kept to their aggregates. DISTINCT without ORDER BY
// goes by the order of the arguments, since PostgreSQL sorts to find what is equal.
func (t *groupTable) finish(g *group) error {
	for n, e := range t.node.aggs {
		rows := g.rows[n]
		slices.SortStableFunc(rows, func(a, b orderedArgs) int {
			for k, o := range e.order {
				o.typ = o.expr.typ()
				if c := o.compare(a.keys[k], b.keys[k]); c != 0 {
					return c
				}
			}
			if e.distinct {
				for k, arg := range e.args {
					if c := (sortKey{typ: arg.typ()}).compare(a.args[k], b.args[k]); c != 0 {
						return c
					}
				}
			}
			return 0
		})
		for _, r := range rows {
			if err := g.accs[n].add(r.args); err != nil {
				return err
			}
		}
	}
	return nil
}

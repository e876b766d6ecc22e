package sql

import (
	"errors"
	"slices"
)

// aggregateNode groups its input by expressions, with a hash table, and
// gives one row a group: the expressions, then the aggregates. Without
// expressions there is exactly one row.
type aggregateNode struct {
	input  operator
	groups []expr
	aggs   []*aggExpr
}

// accumulator is the state of one aggregate in one group.
type accumulator interface {
	add(args []value) error
	result() (value, error)
}

// group is one group and its aggregates.
type group struct {
	key  []value
	accs []accumulator
	// of aggregates with DISTINCT or ORDER BY
	seen map[int]map[string]struct{}
	rows map[int][]orderedArgs
}

type orderedArgs struct{ args, keys []value }

const groupSize = 200 // bytes of a group beside its key, about

func (a *aggregateNode) newGroup(key []value) *group {
	g := &group{key: key, accs: make([]accumulator, len(a.aggs))}
	for i, e := range a.aggs {
		g.accs[i] = e.fn.agg()
	}
	return g
}

func (a *aggregateNode) run(x *env, yield func(*chunk) error) error {
	t := &groupTable{node: a, index: make(map[string]*group)}
	if len(a.groups) == 0 {
		t.order = []*group{a.newGroup(nil)}
	}
	err := a.input.run(x, func(c *chunk) error { return t.add(x, c) })
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	var types []Type
	for _, e := range a.groups {
		types = append(types, e.typ())
	}
	for _, e := range a.aggs {
		types = append(types, e.t)
	}
	rows := make([][]value, len(t.order))
	for i, g := range t.order {
		if err := t.finish(g); err != nil {
			return err
		}
		rows[i] = g.key
		for n, acc := range g.accs {
			v, err := acc.result()
			if err != nil {
				return err
			}
			if a, ok := v.o.(*array); ok {
				a.elem = t.node.aggs[n].t.Elem()
			}
			rows[i] = append(rows[i], v)
		}
	}
	return emitRows(x, types, len(rows), func(i int) []value { return rows[i] }, yield)
}

// groupTable finds the group of a row.
type groupTable struct {
	node  *aggregateNode
	index map[string]*group
	order []*group
	key   []byte
	// of a single coded column: the group of each entry of its dictionary
	dict    *string
	entries []*group
}

func (t *groupTable) add(x *env, c *chunk) error {
	x.scratch = 0
	sel := c.rows()
	keys, err := evalAll(x, c, t.node.groups, sel)
	if err != nil {
		return err
	}
	groups := make([]*group, len(sel))
	if err := t.find(x, keys, sel, groups); err != nil {
		return err
	}
	for i, e := range t.node.aggs {
		if err := t.accumulate(x, c, e, i, sel, groups); err != nil {
			return err
		}
	}
	return nil
}

func (t *groupTable) find(x *env, keys []*vector, sel []int32, groups []*group) error {
	if len(keys) == 0 {
		for k := range groups {
			groups[k] = t.order[0]
		}
		return nil
	}
	one := len(keys) == 1 && keys[0].typ.phys() == physText && keys[0].codes != nil && len(keys[0].dict) > 0
	if one && (t.dict != &keys[0].dict[0] || len(t.entries) != len(keys[0].dict)) {
		t.dict, t.entries = &keys[0].dict[0], make([]*group, len(keys[0].dict))
	}
	for k, i := range sel {
		byEntry := one && !keys[0].isNull(int(i))
		if byEntry {
			if g := t.entries[keys[0].codes[i]]; g != nil {
				groups[k] = g
				continue
			}
		}
		t.key = t.key[:0]
		for _, v := range keys {
			t.key = appendKey(t.key, v.typ, v.at(int(i)))
		}
		g, ok := t.index[string(t.key)]
		if !ok {
			vals := make([]value, len(keys), len(keys)+len(t.node.aggs))
			for j, v := range keys {
				vals[j] = v.at(int(i))
			}
			if err := x.grow("grouping", groupSize+len(t.key)+rowSize(vals)); err != nil {
				return err
			}
			g = t.node.newGroup(vals)
			t.index[string(t.key)] = g
			t.order = append(t.order, g)
		}
		if byEntry {
			t.entries[keys[0].codes[i]] = g
		}
		groups[k] = g
	}
	return nil
}

// accumulate adds the rows sel of c to aggregate n of their groups.
func (t *groupTable) accumulate(x *env, c *chunk, e *aggExpr, n int, sel []int32, groups []*group) error {
	if e.filter != nil {
		var err error
		if sel, groups, err = filterGroups(x, c, e.filter, sel, groups); err != nil || len(sel) == 0 {
			return err
		}
	}
	if len(e.args) == 0 {
		for _, g := range groups {
			g.accs[n].(*counter).n++
		}
		return nil
	}
	args, err := evalAll(x, c, e.args, sel)
	if err != nil {
		return err
	}
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
		switch {
		case e.distinct || len(order) > 0:
			err = groups[k].keep(x, e, n, row, order, int(i))
		default:
			err = groups[k].accs[n].add(row)
			if err == nil && e.fn.args != nil && growing(e.fn.name) {
				err = x.grow(e.fn.name, rowSize(row))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// growing reports whether an aggregate holds all its input.
func growing(name string) bool { return name == "array_agg" || name == "string_agg" }

func filterGroups(x *env, c *chunk, cond expr, sel []int32, groups []*group) ([]int32, []*group, error) {
	v, err := cond.eval(x, c, sel)
	if err != nil {
		return nil, nil, err
	}
	var outSel []int32
	var outGroups []*group
	for k, i := range sel {
		if !v.isNull(int(i)) && v.boolAt(int(i)) {
			outSel, outGroups = append(outSel, i), append(outGroups, groups[k])
		}
	}
	return outSel, outGroups, nil
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

package sql

import "slices"

// lookupPlan answers a correlated subquery for all parameters at once: it is
// the subquery without the conditions inner = outer that tie it to the query
// around it, with their inner sides as keys of the rows, or groups, that each
// outer row looks up. This is a hash join with the outer query, built when the
// subquery is needed for a second set of parameters.
type lookupPlan struct {
	op    operator
	types []Type
	keys  int
	outer []expr // over the subquery's parameters
}

// decorrelate plans the look-up, nil if the subquery is none that can be.
func (p *planner) decorrelate(s *subExpr) (*lookupPlan, error) {
	b, ok := s.query.(*block)
	if !ok || len(s.frame.params) == 0 || b.where == nil || b.from == nil || b.limit != nil || b.offset != nil || len(b.groups) > 0 || b.sets != nil || b.having != nil {
		return nil, nil
	}
	if s.kind != sublinkExists && s.kind != sublinkScalar || s.kind == sublinkExists && b.grouped || b.distinctOn != nil {
		return nil, nil
	}
	where, err := p.fold(b.where)
	if err != nil {
		return nil, err
	}
	var inner, outer, rest []expr
	for _, c := range splitAnd(where) {
		in, out, ok := correlation(c)
		if !ok {
			rest = append(rest, c)
			continue
		}
		inner, outer = append(inner, in), append(outer, out)
	}
	if len(inner) == 0 || slices.ContainsFunc(rest, hasParam) || b.readsParams() {
		return nil, nil
	}
	c := &block{k: b.k, from: b.from, grouped: b.grouped, groups: nil}
	if len(rest) > 0 {
		c.where = joinAnd(rest)
	}
	for _, e := range inner {
		c.targets = append(c.targets, outputColumn{expr: e, at: -1})
	}
	switch {
	case s.kind == sublinkExists:
		c.distinct = true
	case b.grouped:
		c.groups = inner
		c.targets = append(c.targets, b.targets...)
	default:
		c.targets = append(c.targets, b.targets...)
		c.distinct = b.distinct
	}
	op, err := c.plan(p, allColumns(c))
	if err != nil {
		return nil, err
	}
	return &lookupPlan{op: op, types: columnTypes(c.columns()), keys: len(inner), outer: outer}, nil
}

// correlation takes apart inner = outer, of which one side reads columns only
// and the other parameters only.
func correlation(e expr) (inner, outer expr, ok bool) {
	c, isCall := e.(*callExpr)
	if !isCall || c.fn.compare != compareEq || len(c.args) != 2 || !sameKeys(c.args[0].typ(), c.args[1].typ()) {
		return nil, nil, false
	}
	for i, a := range c.args {
		o := c.args[1-i]
		if hasColumn(a) && !hasParam(a) && !hasSubquery(a) && hasParam(o) && !hasColumn(o) && !hasSubquery(o) {
			return a, o, true
		}
	}
	return nil, nil, false
}

func hasParam(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*paramExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// readsParams reports whether the select list or FROM needs the query around.
func (b *block) readsParams() bool {
	for _, t := range b.outs() {
		if hasParam(t.expr) || hasRows(t.expr) || hasWindow(t.expr) {
			return true
		}
	}
	found := false
	eachExpr(b.from, func(e expr) expr {
		found = found || hasParam(e)
		return e
	})
	return found || readsWorking(b.from)
}

// lookup is a lookupPlan's rows in one execution.
type lookup struct {
	rows  *rowStore
	table *keyTable
	row   []int32 // by key: its row; -1: there are several
}

func (l *lookupPlan) build(x *env) (*lookup, error) {
	out := &lookup{rows: newRowStore(l.types), table: newKeyTable(l.types[:l.keys])}
	held := 0
	err := (&gatherNode{l.op}).run(x, func(c *chunk) error {
		before := out.rows.size
		first := int32(out.rows.n)
		if err := out.rows.add(x, "subquery", c); err != nil {
			return err
		}
		sel := c.rows()
		ids := make([]int32, len(sel))
		out.table.number(c.cols[:l.keys], sel, ids)
		for k, id := range ids {
			if int(id) == len(out.row) {
				out.row = append(out.row, first+int32(k))
			} else {
				out.row[id] = -1
			}
		}
		n := out.table.grown()
		held += n + out.rows.size - before
		return x.grow("subquery", n)
	})
	if err != nil {
		x.used.Add(-int64(held))
		return nil, err
	}
	return out, nil
}

// look answers by the look-up; ok is false if the subquery must be run itself.
func (e *subExpr) look(x *env, params []value) (v value, ok bool, err error) {
	l := e.run.lookup
	made, err := x.once(l, func(x *env) (any, error) { return l.build(x.inner(e.frame, make([]value, len(params)))) })
	if err != nil {
		if x.ctx.Err() != nil {
			return null, false, x.ctx.Err()
		}
		return null, false, nil // an error of rows that nobody may ask for, or too many
	}
	in := x.inner(e.frame, params)
	cols := make([]*vector, len(l.outer))
	missing := false
	for i, o := range l.outer {
		k, err := evalOnce(in, o)
		if err != nil {
			return null, false, err
		}
		missing = missing || k.null
		cols[i] = constantVector(l.types[i], k)
	}
	t := made.(*lookup)
	id := [1]int32{-1}
	if !missing {
		x.mu.Lock()
		t.table.find(cols, []int32{0}, id[:])
		x.mu.Unlock()
	}
	switch {
	case e.kind == sublinkExists:
		return boolValue(id[0] >= 0), true, nil
	case id[0] >= 0 && t.row[id[0]] < 0:
		return null, false, nil // the error of several rows, if it is one
	case id[0] >= 0:
		return t.rows.value(l.keys, int(t.row[id[0]])), true, nil
	}
	// What the subquery is over no rows: NULL, or 0 of count.
	none, err := x.once(&l.keys, func(x *env) (any, error) {
		nulls := make([]value, len(params))
		for i := range nulls {
			nulls[i] = null
		}
		return e.single(x.inner(e.frame, nulls))
	})
	if err != nil {
		return null, false, nil
	}
	return none.(value), true, nil
}

package sql

import "slices"

// item is one of several relations that are joined by INNER JOIN.
type item struct {
	in      *stage
	lateral fromTree // in is nil: it depends on others
	rels    []*relation
}

// relationsIn adds the relations of t to list.
func relationsIn(t fromTree, list []*relation) []*relation {
	switch t := t.(type) {
	case *relation:
		return append(list, t)
	case *joinTree:
		return relationsIn(t.right, relationsIn(t.left, list))
	}
	return list
}

// relationsOf lists the relations whose columns e reads.
func relationsOf(e expr) []*relation {
	var out []*relation
	walk(e, func(e expr) bool {
		if c, ok := e.(*colExpr); ok && c.rel != nil && !slices.Contains(out, c.rel) {
			out = append(out, c.rel)
		}
		return true
	})
	return out
}

func subset(a, b []*relation) bool {
	for _, r := range a {
		if !slices.Contains(b, r) {
			return false
		}
	}
	return true
}

// take removes from *list the conjuncts that read only rels, and returns them.
func take(list *[]expr, rels []*relation) []expr {
	var taken, rest []expr
	for _, e := range *list {
		if subset(relationsOf(e), rels) {
			taken = append(taken, e)
		} else {
			rest = append(rest, e)
		}
	}
	*list = rest
	return taken
}

// joins plans a tree of joins under conditions that hold for its result.
func (p *planner) joins(t fromTree, conjuncts []expr) (*stage, error) {
	var parts []fromTree
	flatten(t, &parts, &conjuncts)
	if len(parts) == 1 {
		if j, ok := parts[0].(*joinTree); ok {
			return p.outerJoin(j, conjuncts)
		}
	}
	var items []*item
	for _, part := range parts {
		it := &item{rels: relationsIn(part, nil)}
		if len(depends(part)) > 0 {
			it.lateral = part
			items = append(items, it)
			continue
		}
		r, isRelation := part.(*relation)
		own := take(&conjuncts, it.rels)
		var err error
		if isRelation {
			if it.in, err = p.relation(r); err == nil {
				it.in, err = p.filter(it.in, own, false)
			}
		} else {
			it.in, err = p.joins(part, own)
		}
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return p.order(items, conjuncts)
}

// flatten splits nested inner joins into their parts and conditions.
func flatten(t fromTree, parts *[]fromTree, conjuncts *[]expr) {
	j, ok := t.(*joinTree)
	if !ok || j.kind != joinInner {
		*parts = append(*parts, t)
		return
	}
	flatten(j.left, parts, conjuncts)
	flatten(j.right, parts, conjuncts)
	if j.on != nil {
		*conjuncts = append(*conjuncts, splitAnd(j.on)...)
	}
}

// order joins the items from left to right, but takes first what an equality
// connects to what is joined already, so that no product is made needlessly.
func (p *planner) order(items []*item, conjuncts []expr) (*stage, error) {
	first := slices.IndexFunc(items, func(it *item) bool { return it.lateral == nil })
	var current *stage
	var rels []*relation
	if first < 0 { // all depend on an outer query only
		current = &stage{op: oneRow{}}
	} else {
		current, rels = items[first].in, items[first].rels
		items = slices.Delete(slices.Clone(items), first, first+1)
	}
	for len(items) > 0 {
		i := p.next(items, rels, conjuncts)
		it := items[i]
		items = slices.Delete(items, i, i+1)
		rels = append(slices.Clone(rels), it.rels...)
		conds := take(&conjuncts, rels)
		var err error
		if it.lateral != nil {
			current, err = p.lateral(current, it.lateral, joinInner, conds)
		} else {
			current, err = p.join(joinInner, current, it.in, conds)
		}
		if err != nil {
			return nil, err
		}
	}
	return p.filter(current, conjuncts, false)
}

// next chooses the item to join next.
func (p *planner) next(items []*item, rels []*relation, conjuncts []expr) int {
	possible := -1
	for i, it := range items {
		if it.lateral != nil && !subset(depends(it.lateral), rels) {
			continue
		}
		if possible < 0 {
			possible = i
		}
		for _, c := range conjuncts {
			if _, _, ok := equality(c, rels, it.rels); ok {
				return i
			}
		}
	}
	return max(possible, 0)
}

// depends lists the relations outside of t that it reads.
func depends(t fromTree) []*relation {
	own := relationsIn(t, nil)
	var out []*relation
	eachExpr(t, func(e expr) expr {
		for _, r := range relationsOf(e) {
			if !slices.Contains(own, r) && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
		return e
	})
	return out
}

// eachExpr replaces the expressions of a part of FROM: the conditions of its
// joins, and what its sources read of other relations.
func eachExpr(t fromTree, f func(expr) expr) {
	switch t := t.(type) {
	case *joinTree:
		eachExpr(t.left, f)
		eachExpr(t.right, f)
		if t.on != nil {
			t.on = f(t.on)
		}
	case *relation:
		switch s := t.source.(type) {
		case *querySource:
			args := slices.Clone(s.params())
			for i := range args {
				args[i] = f(args[i])
			}
			s.args = args
		case *functionSource:
			for i, c := range s.calls {
				d := *c
				d.args = slices.Clone(c.args)
				for k := range d.args {
					d.args[k] = f(d.args[k])
				}
				s.calls[i] = &d
			}
		case *valuesSource:
			for _, row := range s.rows {
				for i := range row {
					row[i] = f(row[i])
				}
			}
		}
	}
}

// outerJoin plans a LEFT, RIGHT or FULL JOIN, and filters its result.
func (p *planner) outerJoin(j *joinTree, conjuncts []expr) (*stage, error) {
	left, right, kind := j.left, j.right, j.kind
	if kind == joinRight {
		left, right, kind = right, left, joinLeft
	}
	lrels, rrels := relationsIn(left, nil), relationsIn(right, nil)
	var lconds, rconds []expr
	var on []expr
	if j.on != nil {
		on = splitAnd(j.on)
	}
	if kind == joinLeft {
		// What WHERE says of the rows that all stay can be asked before the
		// join, and so what ON says of the others.
		lconds = take(&conjuncts, lrels)
		if len(depends(right)) == 0 {
			rconds = take(&on, rrels)
		}
	}
	lin, err := p.part(left, lconds)
	if err != nil {
		return nil, err
	}
	var out *stage
	if len(depends(right)) > 0 {
		out, err = p.lateral(lin, right, kind, on)
	} else {
		var rin *stage
		if rin, err = p.part(right, rconds); err == nil {
			out, err = p.join(kind, lin, rin, on)
		}
	}
	if err != nil {
		return nil, err
	}
	return p.filter(out, conjuncts, false)
}

// part plans one side of a join.
func (p *planner) part(t fromTree, conjuncts []expr) (*stage, error) {
	r, ok := t.(*relation)
	if !ok {
		return p.joins(t, conjuncts)
	}
	in, err := p.relation(r)
	if err != nil {
		return nil, err
	}
	return p.filter(in, conjuncts, false)
}

// equality takes apart a conjunct left = right, or IS NOT DISTINCT FROM, whose
// sides are of one part each and equal exactly when they have the same key.
func equality(e expr, lrels, rrels []*relation) (l, r expr, ok bool) {
	c, isCall := e.(*callExpr)
	if !isCall || c.fn.compare != compareEq || len(c.args) != 2 || !sameKeys(c.args[0].typ(), c.args[1].typ()) {
		return nil, nil, false
	}
	l, r = c.args[0], c.args[1]
	a, b := relationsOf(l), relationsOf(r)
	switch {
	case len(a) == 0 || len(b) == 0:
		return nil, nil, false
	case subset(a, lrels) && subset(b, rrels):
		return l, r, true
	case subset(b, lrels) && subset(a, rrels):
		return r, l, true
	}
	return nil, nil, false
}

// sameKeys reports whether values of the two types that are equal by = have
// the same key in a keyTable.
func sameKeys(a, b Type) bool {
	return a == b || a.integer() && b.integer() || a.textual() && b.textual()
}

// join plans a join of two inputs: by hash where conditions are equalities,
// by trying all pairs otherwise.
func (p *planner) join(kind joinKind, left, right *stage, conds []expr) (*stage, error) {
	if kind == joinInner && bulk(left.op) < bulk(right.op) {
		left, right = right, left // the right side is the one that is kept
	}
	lrels, rrels := inputRelations(left), inputRelations(right)
	n := &joinNode{kind: kind, left: left.op, right: right.op}
	var rest []expr
	for _, c := range conds {
		l, r, ok := equality(c, lrels, rrels)
		if !ok {
			rest = append(rest, c)
			continue
		}
		n.leftKeys, n.rightKeys = append(n.leftKeys, left.bind(l)), append(n.rightKeys, right.bind(r))
	}
	n.leftTypes, n.rightTypes = typesOf(left.cols), typesOf(right.cols)
	n.copyRight()
	out := &stage{n, slices.Concat(left.cols, right.cols)}
	if err := p.planSubqueries(slices.Concat(n.leftKeys, n.rightKeys)...); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		n.cond = out.bind(joinAnd(rest))
		if err := p.planSubqueries(n.cond); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// copyRight lets a scan on the right side use its memory again: its rows are
// copied when they are kept.
func (n *joinNode) copyRight() {
	if keyScan(n.right) == nil || slices.ContainsFunc(n.rightKeys, hasSubquery) {
		return
	}
	s := scanBelow(n.right)
	s.passing, n.passing = passable(s), true
}

// bulk ranks op by how many rows it may give, as far as that can be told
// before: 0 for few, 1 for some of a table, 2 for all of it or not known.
func bulk(op operator) int {
	switch n := op.(type) {
	case *workingNode, *valuesNode, oneRow, *limitNode:
		return 0
	case *filterNode:
		return min(bulk(n.input), 1)
	case *aggregateNode:
		return min(bulk(n.input), 1)
	case *projectNode:
		return bulk(n.input)
	case *frameNode:
		return bulk(n.input)
	case *cutNode:
		return bulk(n.input)
	case *joinNode:
		return max(bulk(n.left), bulk(n.right))
	}
	return 2
}

func inputRelations(in *stage) []*relation {
	var out []*relation
	for _, c := range in.cols {
		if !slices.Contains(out, c.rel) {
			out = append(out, c.rel)
		}
	}
	return out
}

func typesOf(cols []colKey) []Type {
	out := make([]Type, len(cols))
	for i, c := range cols {
		out[i] = c.rel.types[c.i]
	}
	return out
}

// lateral joins left with a part of FROM that is computed for each of its rows.
func (p *planner) lateral(left *stage, t fromTree, kind joinKind, conds []expr) (*stage, error) {
	r, isRelation := t.(*relation)
	if isRelation {
		if s, ok := r.source.(*functionSource); ok && kind == joinInner {
			in, err := p.functionScan(r, s, left)
			if err != nil {
				return nil, err
			}
			return p.filter(in, conds, false)
		}
	}
	// What it reads of the left side becomes parameters of a frame of its own.
	f := &frame{}
	own := relationsIn(t, nil)
	restore := snapshot(t)
	eachExpr(t, func(e expr) expr { return f.parametrize(e, own) })
	right, err := p.part(t, nil)
	restore() // a query may be planned twice
	if err != nil {
		return nil, err
	}
	n := &lateralNode{kind: kind, left: left.op, right: right.op, frame: f, params: left.bindAll(f.params)}
	n.leftTypes, n.rightTypes = typesOf(left.cols), typesOf(right.cols)
	out := &stage{n, slices.Concat(left.cols, right.cols)}
	if err := p.planSubqueries(n.params...); err != nil {
		return nil, err
	}
	if len(conds) > 0 {
		n.cond = out.bind(joinAnd(conds))
		if err := p.planSubqueries(n.cond); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// snapshot returns what undoes changes by eachExpr.
func snapshot(t fromTree) (restore func()) {
	switch t := t.(type) {
	case *joinTree:
		on, left, right := t.on, snapshot(t.left), snapshot(t.right)
		return func() {
			t.on = on
			left()
			right()
		}
	case *relation:
		switch s := t.source.(type) {
		case *querySource:
			args := s.args
			return func() { s.args = args }
		case *functionSource:
			calls := slices.Clone(s.calls)
			return func() { s.calls = calls }
		case *valuesSource:
			rows := make([][]expr, len(s.rows))
			for i, row := range s.rows {
				rows[i] = slices.Clone(row)
			}
			return func() { s.rows = rows }
		}
	}
	return func() {}
}

// parametrize makes parameters of f of what e reads of other relations than
// own, and of the parameters that it uses already.
func (f *frame) parametrize(e expr, own []*relation) expr {
	switch c := e.(type) {
	case *colExpr:
		if slices.Contains(own, c.rel) {
			return e
		}
		return f.param(c)
	case *paramExpr:
		return f.param(c)
	}
	return rewriteChildren(e, func(e expr) expr { return f.parametrize(e, own) })
}

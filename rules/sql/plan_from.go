package sql

import "slices"

// from plans FROM and WHERE.
func (p *planner) from(b *block, where expr) (*stage, error) {
	var conjuncts []expr
	if where != nil {
		conjuncts = splitAnd(where)
	}
	if b.from == nil {
		return p.filter(&stage{op: oneRow{}}, conjuncts, b.limit != nil)
	}
	use(conjuncts...)
	if err := p.useJoins(b.from); err != nil {
		return nil, err
	}
	if r, ok := b.from.(*relation); ok {
		in, err := p.relation(r)
		if err != nil {
			return nil, err
		}
		return p.filter(in, conjuncts, b.limit != nil)
	}
	return p.joins(b.from, conjuncts)
}

// splitAnd lists the conjuncts of e.
func splitAnd(e expr) []expr {
	if l, ok := e.(*logicExpr); ok && l.kind == logicAnd {
		var out []expr
		for _, a := range l.args {
			out = append(out, splitAnd(a)...)
		}
		return out
	}
	return []expr{e}
}

func joinAnd(list []expr) expr {
	if len(list) == 1 {
		return list[0]
	}
	return &logicExpr{kind: logicAnd, args: list}
}

// useJoins folds the conditions of joins and marks the columns that they,
// and sources that depend on other relations, read.
func (f *folder) useJoins(t fromTree) error {
	switch t := t.(type) {
	case *joinTree:
		if err := f.useJoins(t.left); err != nil {
			return err
		}
		if err := f.useJoins(t.right); err != nil {
			return err
		}
		var err error
		if t.on, err = f.foldMaybe(t.on); err != nil {
			return err
		}
		use(t.on)
	case *relation:
		switch s := t.source.(type) {
		case *querySource:
			use(s.params()...)
		case *functionSource:
			for _, c := range s.calls {
				use(c.args...)
			}
		}
	}
	return nil
}

// filter adds a filter of all conjuncts.
func (p *planner) filter(in *stage, conjuncts []expr, split bool) (*stage, error) {
	if len(conjuncts) == 0 {
		return in, nil
	}
	cond := in.bind(joinAnd(conjuncts))
	if err := p.planSubqueries(cond); err != nil {
		return nil, err
	}
	f := &filterNode{input: in.op, cond: cond, halves: split}
	if s, ok := in.op.(*scanNode); ok {
		s.where = cond
		s.findBounds(cond)
		s.passing = passing(in.cols, conjuncts)
		f.drop = s.passing
	}
	return &stage{f, in.cols}, nil
}

// passing lists the positions of the columns that nothing but these conjuncts
// reads, and of which these keep nothing.
func passing(cols []colKey, conjuncts []expr) []int {
	reads := make(map[colKey]int)
	for _, e := range conjuncts {
		if hasSubquery(e) { // which may keep answers by its parameters
			continue
		}
		walk(e, func(e expr) bool {
			if c, ok := e.(*colExpr); ok {
				reads[colKey{c.rel, c.index}]++
			}
			return true
		})
	}
	var out []int
	for i, c := range cols {
		if c.rel.types[c.i].phys() != physObj && reads[c] == c.rel.reads[c.i] {
			out = append(out, i)
		}
	}
	return out
}

// relation plans one item of FROM that depends on no other.
func (p *planner) relation(r *relation) (*stage, error) {
	switch s := r.source.(type) {
	case *tableSource:
		return p.scan(r, s), nil
	case *querySource:
		op, err := s.query.plan(p, r.used())
		if err != nil {
			return nil, err
		}
		if s.frame != nil {
			op = &frameNode{input: op, frame: s.frame, params: s.params()}
		}
		return &stage{op, columnsOf(r)}, nil
	case *cteSource:
		op, err := p.cte(r, s)
		return &stage{op, columnsOf(r)}, err
	case *valuesSource:
		op, err := p.values(s, r)
		return &stage{op, columnsOf(r)}, err
	case *functionSource:
		return p.functionScan(r, s, &stage{op: oneRow{}})
	}
	panic("sql: relation without source")
}

func (p *planner) scan(r *relation, s *tableSource) *stage {
	n := &scanNode{table: s.table}
	in := &stage{op: n}
	for i, reads := range r.reads {
		if reads > 0 {
			n.columns = append(n.columns, i)
			in.cols = append(in.cols, colKey{r, i})
		}
	}
	p.scans = append(p.scans, n)
	return in
}

func (p *planner) values(s *valuesSource, r *relation) (operator, error) {
	n := &valuesNode{types: r.types}
	for _, row := range s.rows {
		list := make([]expr, len(row))
		for i, e := range row {
			var err error
			if list[i], err = p.fold(e); err != nil {
				return nil, err
			}
		}
		if err := p.planSubqueries(list...); err != nil {
			return nil, err
		}
		n.rows = append(n.rows, list)
	}
	return n, nil
}

// functionScan adds the rows of set-returning functions to each row of in.
func (p *planner) functionScan(r *relation, s *functionSource, in *stage) (*stage, error) {
	n := &rowsNode{input: in.op, ordinality: s.ordinality}
	for _, c := range s.calls {
		folded, err := p.foldRows(c)
		if err != nil {
			return nil, err
		}
		n.calls = append(n.calls, in.bind(folded).(*srfExpr))
	}
	if err := p.planSubqueries(rowExprs(n.calls)...); err != nil {
		return nil, err
	}
	return &stage{n, append(slices.Clone(in.cols), columnsOf(r)...)}, nil
}

func (f *folder) foldRows(c *srfExpr) (*srfExpr, error) {
	e, err := f.fold(c)
	if err != nil {
		return nil, err
	}
	return e.(*srfExpr), nil
}

// cte plans a reference to a query of WITH: in place if it is the only one
// and stands in the same frame, else computed once and kept.
func (p *planner) cte(r *relation, s *cteSource) (operator, error) {
	c := s.cte
	if s.working {
		n := p.working[c]
		if n == nil {
			n = &workingNode{cte: c}
			p.working[c] = n
		}
		return n, nil
	}
	if n := p.shared[c]; n != nil {
		return n, nil
	}
	c.planned = true
	if c.refs == 1 && !c.keep && c.step == nil && len(c.frame.params) == 0 {
		return c.query.plan(p, r.used())
	}
	n := &sharedNode{cte: c}
	p.shared[c] = n
	p.kept = append(p.kept, n)
	op, err := c.query.plan(p, allColumns(c.query))
	if err != nil {
		return nil, err
	}
	if c.step != nil {
		before := len(p.kept)
		step, err := c.step.plan(p, allColumns(c.step))
		if err != nil {
			return nil, err
		}
		op = &recursiveNode{cte: c, first: op, step: step, all: c.all, within: p.kept[before:]}
	}
	n.input, n.once = op, c.refs == 1
	return n, nil
}

// plan plans a set operation, which compares all columns.
func (s *setOp) plan(p *planner, need []bool) (operator, error) {
	union := s.kind == setUnion && s.all
	sides := [2]operator{}
	for i, q := range []query{s.left, s.right} {
		wanted := allColumns(q)
		if union && s.casts == nil {
			wanted = need
		}
		op, err := q.plan(p, wanted)
		if err != nil {
			return nil, err
		}
		sides[i] = op
	}
	var op operator
	switch {
	case s.kind == setUnion:
		op = &appendNode{inputs: sides[:]}
		if !s.all {
			op = &uniqueNode{input: op, columns: firstColumns(len(s.names)), name: "UNION"}
		}
	default:
		op = &setNode{kind: s.kind, all: s.all, left: sides[0], right: sides[1]}
	}
	if s.casts != nil {
		list := make([]expr, len(s.names))
		for i, c := range s.casts {
			if list[i] = c; c == nil {
				list[i] = &colExpr{index: i, t: s.names[i].Type}
			}
		}
		op = &projectNode{input: op, exprs: list}
	}
	return op, nil
}

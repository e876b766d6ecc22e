package sql

import "slices"

// rowsStep is the set-returning functions of a list of expressions, which run
// side by side in a step before it.
type rowsStep struct {
	calls []*srfExpr
	rel   *relation
	// beside are the other expressions if each function is one of the list as
	// it stands; PostgreSQL then evaluates them for a row of which no function
	// makes any.
	beside []expr
}

// extractAll replaces the functions in list by columns of the step.
func (s *rowsStep) extractAll(list []expr) {
	s.rel = &relation{}
	within := false
	for i, e := range list {
		_, whole := e.(*srfExpr)
		many := hasRows(e)
		within = within || many && !whole
		list[i] = s.extract(e)
		if !many && !hasSubquery(e) {
			s.beside = append(s.beside, list[i])
		}
	}
	if within || len(s.calls) == 0 {
		s.beside = nil
	}
}

func (s *rowsStep) extract(e expr) expr {
	if r, ok := e.(*srfExpr); ok {
		i := slices.Index(s.calls, r)
		if i < 0 {
			i = len(s.calls)
			s.calls = append(s.calls, r)
			s.rel.add("", r.types[0])
		}
		return &colExpr{rel: s.rel, index: i, t: r.types[0], name: "." + exprText(r)}
	}
	if !hasRows(e) {
		return e
	}
	return rewriteChildren(e, s.extract)
}

func rowExprs(list []*srfExpr) []expr {
	out := make([]expr, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out
}

// plan plans the step over in, which it returns if there are no functions.
func (s *rowsStep) plan(p *planner, in *stage) (*stage, error) {
	if len(s.calls) == 0 {
		return in, nil
	}
	n := &rowsNode{input: in.op, beside: in.bindAll(s.beside)}
	for _, r := range s.calls {
		n.calls = append(n.calls, in.bind(r).(*srfExpr))
	}
	if err := p.planSubqueries(rowExprs(n.calls)...); err != nil {
		return nil, err
	}
	return &stage{n, append(slices.Clone(in.cols), columnsOf(s.rel)...)}, nil
}

package sql

// group moves the output and HAVING above the aggregation: what equals a
// GROUP BY expression and what is an aggregate become columns of its output.
func (s *steps) group() error {
	b := s.b
	r := &regrouper{node: &aggregateNode{sets: b.sets}, rel: &relation{}, keys: make(map[string]int), aggs: make(map[string]int), groupings: make(map[string]int)}
	for i, g := range b.groups {
		r.keys[exprKey(g)] = i
		r.node.groups = append(r.node.groups, g)
		r.rel.add("", g.typ())
	}
	// GROUP BY expressions are compared as they were written, so before folding.
	unread := &regrouper{node: &aggregateNode{sets: b.sets}, rel: r.rel, keys: r.keys, aggs: make(map[string]int), groupings: make(map[string]int)}
	for i, o := range b.outs() {
		if s.skipped[i] { // it must be right all the same
			if _, err := unread.rewrite(o.expr); err != nil {
				return err
			}
			continue
		}
		e, err := r.rewrite(o.expr)
		if err != nil {
			return err
		}
		s.list[i] = e
	}
	if b.having != nil {
		var err error
		if s.having, err = r.rewrite(b.having); err != nil {
			return err
		}
	}
	return s.foldGroups(r)
}

func (s *steps) foldGroups(r *regrouper) error {
	fix := func(list []expr) error {
		for i, e := range list {
			folded, err := s.b.k.stmt.fold(e)
			if err != nil {
				return err
			}
			list[i] = folded
		}
		return nil
	}
	// The columns of aggregates come after those of all groups; those of
	// GROUPING after the aggregates.
	shift := func(e expr) expr { return r.place(e) }
	for i := range s.list {
		s.list[i] = shift(s.list[i])
	}
	if s.having != nil {
		s.having = shift(s.having)
	}
	if err := fix(s.list); err != nil {
		return err
	}
	var err error
	if s.having, err = s.b.k.stmt.foldMaybe(s.having); err != nil {
		return err
	}
	if err := fix(r.node.groups); err != nil {
		return err
	}
	for i, a := range r.node.aggs {
		folded, err := s.b.k.stmt.foldAggregate(a)
		if err != nil {
			return err
		}
		r.node.aggs[i] = folded
		r.rel.add("", a.t)
	}
	for range r.node.groupings {
		r.rel.add("", Int4)
	}
	s.aggregate, s.groups = r.node, r.rel
	return nil
}

func (f *folder) foldAggregate(a *aggExpr) (*aggExpr, error) {
	folded, err := f.fold(a)
	if err != nil {
		return nil, err
	}
	return folded.(*aggExpr), nil
}

// regrouper rewrites expressions over the aggregation's output.
type regrouper struct {
	node      *aggregateNode
	rel       *relation
	keys      map[string]int // of GROUP BY expressions
	aggs      map[string]int
	groupings map[string]int
}

// slotKind says which part of the aggregation's output a column is in, until
// the number of aggregates is known.
type slotExpr struct {
	grouping bool
	i        int
	t        Type
	name     string
}

func (e *slotExpr) typ() Type { return e.t }
func (e *slotExpr) eval(*env, *chunk, []int32) (*vector, error) {
	panic("sql: column of an aggregation without place")
}

// place turns slots into columns.
func (r *regrouper) place(e expr) expr {
	if s, ok := e.(*slotExpr); ok {
		i := len(r.node.groups) + s.i
		if s.grouping {
			i += len(r.node.aggs)
		}
		return &colExpr{rel: r.rel, index: i, t: s.t, name: s.name}
	}
	return rewriteChildren(e, r.place)
}

func (r *regrouper) rewrite(e expr) (expr, error) {
	key := exprKey(e)
	if i, ok := r.keys[key]; ok {
		if _, constant := e.(*constExpr); !constant || r.node.sets != nil {
			return &colExpr{rel: r.rel, index: i, t: e.typ(), name: "." + exprText(e)}, nil
		}
	}
	switch e := e.(type) {
	case *colExpr:
		return nil, failAt(e.at, codeGrouping, "column %q must appear in the GROUP BY clause or be used in an aggregate function", e.name).
			hint("write GROUP BY, or min(…) for one of its values")
	case *aggExpr:
		if e.fn.ordered != nil && !constants(e.args[1:]) {
			return r.byGroup(e)
		}
		i, ok := r.aggs[key]
		if !ok {
			i = len(r.node.aggs)
			r.aggs[key] = i
			r.node.aggs = append(r.node.aggs, e)
		}
		return &slotExpr{i: i, t: e.t, name: "." + exprText(e)}, nil
	case *groupingExpr:
		return r.grouping(e, key)
	}
	out := clone(e)
	for _, c := range children(out) {
		n, err := r.rewrite(*c)
		if err != nil {
			return nil, err
		}
		*c = n
	}
	return out, nil
}

// byGroup rewrites an aggregate with arguments of its group.
func (r *regrouper) byGroup(e *aggExpr) (expr, error) {
	if e.args[0].typ().IsArray() {
		return nil, refuse(e.at, "an argument that is not constant before WITHIN GROUP of arrays")
	}
	collect, final := e.byGroup()
	out := &callExpr{fn: final, args: append([]expr{collect}, e.args[1:]...), t: e.t, at: e.at, run: final.eval}
	for i, a := range out.args {
		var err error
		if out.args[i], err = r.rewrite(a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func constants(list []expr) bool {
	for _, e := range list {
		if _, ok := isConstant(e); !ok {
			return false
		}
	}
	return true
}

func (r *regrouper) grouping(e *groupingExpr, key string) (expr, error) {
	i, ok := r.groupings[key]
	if !ok {
		var list []int
		for _, a := range e.args {
			g, ok := r.keys[exprKey(a)]
			if !ok {
				return nil, failAt(e.at, codeGrouping, "arguments to GROUPING must be grouping expressions of the associated query level")
			}
			list = append(list, g)
		}
		i = len(r.node.groupings)
		r.groupings[key] = i
		r.node.groupings = append(r.node.groupings, list)
	}
	return &slotExpr{grouping: true, i: i, t: Int4, name: ".grouping(" + exprTexts(e.args) + ")"}, nil
}

package sql

// marks are the numbers of parameters of a frame and those around it.
func (f *frame) marks() []int {
	out := []int{len(f.params)}
	for f.outer != nil {
		f = f.outer.frame
		out = append(out, len(f.params))
	}
	return out
}

// own gives an aggregate, or GROUPING(…), to the query that it is of: this one,
// or one around it if all its columns are of that (check_agg_arguments of
// parse_agg.c). For this one it is then a parameter, and those that stood for
// its columns, the ones after marks, are none.
func (k *checker) own(e expr, pos int, what string, marks []int) (expr, error) {
	f := k.frame
	if f.outer != nil && onlyOuter(e) {
		if hasSubquery(e) {
			return nil, refuse(pos, "a subquery in an aggregate of the outer query")
		}
		e = f.lift(e)
		f.params = f.params[:marks[0]]
		out, err := f.outer.own(e, pos, what, marks[1:])
		if err != nil {
			return nil, err
		}
		return f.param(out), nil
	}
	nested := k.inAggregate
	for _, c := range children(e) {
		nested = nested || hasAggregate(*c)
	}
	switch {
	case nested:
		return nil, failAt(pos, codeGrouping, "aggregate function calls cannot be nested")
	case k.context.noAggregate:
		e := failAt(pos, codeGrouping, "%s are not allowed in %s", what, k.context.name)
		if k.context.name == "WHERE" {
			_ = e.hint("conditions on them go into HAVING")
		}
		return nil, e
	}
	k.aggregates = true
	return e, nil
}

// onlyOuter reports whether the columns below e are all of outer queries, and some are.
func onlyOuter(e expr) bool {
	outer := false
	for _, c := range children(e) {
		if hasColumn(*c) {
			return false
		}
		outer = outer || hasParam(*c)
	}
	return outer
}

// lift is e in terms of the query around.
func (f *frame) lift(e expr) expr {
	if p, ok := e.(*paramExpr); ok {
		return f.params[p.slot]
	}
	return rewriteChildren(e, f.lift)
}

// grouping checks GROUPING(…), whose arguments must be GROUP BY expressions.
func (k *checker) grouping(n groupingCall) (expr, error) {
	if len(n.args) > 31 {
		return nil, failAt(n.pos(), codeLimit, "GROUPING must have fewer than 32 arguments")
	}
	marks := k.frame.marks()
	args, err := k.exprs(n.args)
	if err != nil {
		return nil, err
	}
	return k.own(&groupingExpr{args: args, at: n.pos()}, n.pos(), "grouping operations", marks)
}

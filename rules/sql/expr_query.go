package sql

import "errors"

// paramExpr is a value of the query around this one, the same for all rows of
// one execution.
type paramExpr struct {
	slot int
	t    Type
}

// windowExpr is a call with OVER; before execution a colExpr takes its place.
type windowExpr struct {
	fn     *function // a window function or an aggregate
	args   []expr
	filter expr
	spec   windowSpec
	t      Type
	at     int
}

// srfExpr is a call of a set-returning function; before execution a colExpr
// takes its place.
type srfExpr struct {
	fn    *function
	args  []expr
	types []Type // of its columns
	at    int
}

// groupingExpr is GROUPING(…); before execution a colExpr takes its place.
type groupingExpr struct {
	args []expr
	at   int
}

// subExpr is a subquery in an expression. Its tests, of ANY and ALL, and its
// params are expressions of this query, evaluated for each row.
type subExpr struct {
	kind    sublinkKind
	query   query
	frame   *frame
	params  []expr
	tests   []expr
	pairs   []pairTest
	rel     *relation // the columns of query, for pairs
	negated bool      // the operator is <>
	order   expr      // of an operator such as < between rows: over the tests and the columns of run
	t       Type
	at      int
	key     string   // equal for subqueries of one query that are equal as written
	run     *subPlan // once it is planned
}

// pairTest compares a test with a column of the subquery: call with its
// arguments replaced by the test and right, an expression over the subquery.
type pairTest struct {
	call  *callExpr
	right expr
}

func (e *paramExpr) typ() Type    { return e.t }
func (e *windowExpr) typ() Type   { return e.t }
func (e *groupingExpr) typ() Type { return Int4 }
func (e *subExpr) typ() Type      { return e.t }

func (e *srfExpr) typ() Type { return e.types[0] }

// errNoParams is the error of a subquery's expression that is evaluated
// outside of it, to see which bounds do not depend on the query around it.
var errNoParams = errors.New("the row of the query around it is not known")

func (e *paramExpr) eval(x *env, _ *chunk, _ []int32) (*vector, error) {
	if e.slot >= len(x.params) {
		return nil, errNoParams
	}
	return constantVector(e.t, x.params[e.slot]), nil
}

func (e *windowExpr) eval(*env, *chunk, []int32) (*vector, error) {
	panic("sql: window function outside of a window")
}

func (e *srfExpr) eval(*env, *chunk, []int32) (*vector, error) {
	panic("sql: set-returning function outside of its step")
}

func (e *groupingExpr) eval(*env, *chunk, []int32) (*vector, error) {
	panic("sql: GROUPING outside of an aggregation")
}

func (e *windowExpr) children() []*expr {
	var out []*expr
	for i := range e.args {
		out = append(out, &e.args[i])
	}
	if e.filter != nil {
		out = append(out, &e.filter)
	}
	for i := range e.spec.partition {
		out = append(out, &e.spec.partition[i])
	}
	for i := range e.spec.order {
		out = append(out, &e.spec.order[i].expr)
	}
	for _, bound := range []*expr{&e.spec.start, &e.spec.end} {
		if *bound != nil {
			out = append(out, bound)
		}
	}
	return out
}

// cloneQuery is clone for the expressions of this file.
func cloneQuery(e expr) expr {
	list := func(l []expr) []expr { return append([]expr(nil), l...) }
	switch e := e.(type) {
	case *windowExpr:
		c := *e
		c.args, c.spec.partition, c.spec.order = list(e.args), list(e.spec.partition), append([]sortKey(nil), e.spec.order...)
		return &c
	case *srfExpr:
		c := *e
		c.args = list(e.args)
		return &c
	case *groupingExpr:
		c := *e
		c.args = list(e.args)
		return &c
	case *subExpr:
		c := *e
		c.tests, c.params = list(e.tests), list(e.params)
		return &c
	}
	return e
}

func hasRows(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*srfExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// rowsCall completes a call of a set-returning function.
func (k *checker) rowsCall(fn *function, args []expr, t Type, pos int) (expr, error) {
	out := &srfExpr{fn: fn, args: args, types: []Type{t}, at: pos}
	if fn.types != nil {
		types := make([]Type, len(args))
		for i, a := range args {
			types[i] = a.typ()
		}
		out.types = fn.types(types)
	}
	if len(out.types) > 1 && k.context.srf != srfFrom && !k.wide {
		return nil, refuse(pos, "the row of "+fn.name+" as a value").hint("write FROM …, %s(…), or (%[1]s(…)).key", fn.name)
	}
	return out, nil
}

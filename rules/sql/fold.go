package sql

import (
	"context"
	"time"
)

// folder computes constants, within a time for all of a statement.
type folder struct {
	ctx   context.Context
	limit time.Duration
}

// fold computes what is constant when a query is compiled, as PostgreSQL's
// planner does (eval_const_expressions of clauses.c), so that the same errors
// come up: CASE WHEN pid > 0 THEN 1/0 END fails whatever pid is. Functions
// that depend on the time of execution stay.
func (f *folder) fold(e expr) (expr, error) {
	switch e := e.(type) {
	case *colExpr, *constExpr, *paramExpr:
		return e, nil
	case *logicExpr:
		if e.kind != logicNot {
			return f.foldLogic(e)
		}
	case *caseExpr:
		return f.foldCase(e)
	case *coalesceExpr:
		return f.foldCoalesce(e)
	}
	e = clone(e)
	for _, c := range children(e) {
		folded, err := f.fold(*c)
		if err != nil {
			return nil, err
		}
		*c = folded
	}
	switch e := e.(type) {
	case *callExpr:
		return f.foldCall(e)
	case *srfExpr:
		return bindRows(e)
	case *aggExpr, *windowExpr, *groupingExpr, *subExpr:
		return e, nil
	case *quantExpr:
		if c, ok := e.array.(*constExpr); ok && !c.v.null {
			e.useSet(c.v.array())
			e.bindElements(c.v.array())
		}
	}
	if !allConstant(e) {
		return e, nil
	}
	return f.evalConstant(e)
}

func isConstant(e expr) (*constExpr, bool) {
	c, ok := e.(*constExpr)
	return c, ok
}

func allConstant(e expr) bool {
	for _, c := range children(e) {
		if _, ok := isConstant(*c); !ok {
			return false
		}
	}
	return true
}

// evalConstant computes an expression without columns.
func (f *folder) evalConstant(e expr) (expr, error) {
	v, err := evalOnce(newEnv(f.ctx, nil, Options{}), e)
	if f.ctx.Err() != nil {
		return nil, fail(codeCanceled, "the constants of the statement take more than %v to compute", f.limit).hint("use smaller ones, or allow more with sql.limits.constants in the configuration")
	}
	if err != nil {
		return nil, err
	}
	return &constExpr{v: v, t: e.typ(), at: exprPos(e, -1)}, nil
}

// evalOnce computes an expression that reads no column.
func evalOnce(x *env, e expr) (value, error) {
	v, err := e.eval(x, &chunk{n: 1}, []int32{0})
	if err != nil {
		return null, err
	}
	return v.at(0), nil
}

func (f *folder) foldCall(e *callExpr) (expr, error) {
	if e.fn.strict {
		for _, a := range e.args {
			if c, ok := isConstant(a); ok && c.v.null {
				return &constExpr{v: null, t: e.t, at: e.at}, nil
			}
		}
	}
	if e.fn.stable || !allConstant(e) {
		return bindCall(e)
	}
	out, err := f.evalConstant(e)
	if err != nil {
		return nil, positioned(copyError(err), e.at)
	}
	if c, ok := out.(*constExpr); ok && len(c.v.s) > maxConstant {
		return e, nil // made anew by each execution, within its memory limit
	}
	return out, nil
}

const maxConstant = 64 << 10 // bytes of a text that is kept with a query

func (f *folder) foldLogic(e *logicExpr) (expr, error) {
	decisive := e.kind == logicOr
	out := &logicExpr{kind: e.kind}
	sawNull := false
	for _, a := range e.args {
		a, err := f.fold(a)
		if err != nil {
			return nil, err
		}
		c, ok := isConstant(a)
		switch {
		case !ok:
			out.args = append(out.args, a)
		case c.v.null:
			sawNull = true
		case c.v.truth() == decisive:
			return &constExpr{v: boolValue(decisive), t: Bool}, nil
		}
	}
	if sawNull {
		out.args = append(out.args, &constExpr{v: null, t: Bool})
	}
	switch len(out.args) {
	case 0:
		return &constExpr{v: boolValue(!decisive), t: Bool}, nil
	case 1:
		return out.args[0], nil
	}
	return out, nil
}

func (f *folder) foldCase(e *caseExpr) (expr, error) {
	out := &caseExpr{t: e.t}
	for i, cond := range e.conds {
		cond, err := f.fold(cond)
		if err != nil {
			return nil, err
		}
		c, ok := isConstant(cond)
		if ok && (c.v.null || !c.v.truth()) {
			continue
		}
		result, err := f.fold(e.results[i])
		if err != nil {
			return nil, err
		}
		if ok {
			out.other = result
			break
		}
		out.conds, out.results = append(out.conds, cond), append(out.results, result)
	}
	if out.other == nil {
		var err error
		if out.other, err = f.fold(e.other); err != nil {
			return nil, err
		}
	}
	if len(out.conds) == 0 {
		return out.other, nil
	}
	return out, nil
}

func (f *folder) foldCoalesce(e *coalesceExpr) (expr, error) {
	out := &coalesceExpr{t: e.t}
	for _, a := range e.args {
		a, err := f.fold(a)
		if err != nil {
			return nil, err
		}
		c, ok := isConstant(a)
		if ok && c.v.null {
			continue
		}
		out.args = append(out.args, a)
		if ok {
			break
		}
	}
	switch {
	case len(out.args) == 0:
		return &constExpr{v: null, t: e.t}, nil
	case len(out.args) == 1:
		return out.args[0], nil
	}
	return out, nil
}

// useSet prepares = ANY or <> ALL of many constants for look-up, where equal
// values are the same value.
func (e *quantExpr) useSet(a *array) {
	wanted := compareEq
	if e.all {
		wanted = compareNe
	}
	l, r := e.left.typ(), e.array.typ().Elem()
	if len(a.vals) >= 4 && e.fn.compare == wanted && (l == r || l.integer() && r.integer()) {
		e.set = newValueSet(r, a.vals)
	}
}

// maxBound is how many elements of a constant array are prepared.
const maxBound = 256

// bindElements prepares the operator for each element of a constant array, such
// as patterns. An element that can not be tells its error when it is met.
func (e *quantExpr) bindElements(a *array) {
	if e.fn.bind == nil || len(a.vals) > maxBound {
		return
	}
	e.runs = make([]evalFunc, len(a.vals))
	for i, v := range a.vals {
		if v.null {
			continue
		}
		if run, err := e.fn.bind([]*value{nil, &v}); err == nil {
			e.runs[i] = run
		}
	}
}

// rewriteChildren returns e with its operands rewritten by f; e itself stays.
func rewriteChildren(e expr, f func(expr) expr) expr {
	if len(children(e)) == 0 {
		return e
	}
	e = clone(e)
	for _, c := range children(e) {
		*c = f(*c)
	}
	return e
}

// clone copies a node, sharing its operands.
func clone(e expr) expr {
	list := func(l []expr) []expr { return append([]expr(nil), l...) }
	switch e := e.(type) {
	case *callExpr:
		c := *e
		c.args = list(e.args)
		return &c
	case *aggExpr:
		c := *e
		c.args, c.order = list(e.args), append([]sortKey(nil), e.order...)
		return &c
	case *logicExpr:
		return &logicExpr{kind: e.kind, args: list(e.args)}
	case *nullExpr:
		c := *e
		return &c
	case *boolExpr:
		c := *e
		return &c
	case *distinctExpr:
		c := *e
		return &c
	case *caseExpr:
		return &caseExpr{conds: list(e.conds), results: list(e.results), other: e.other, t: e.t}
	case *coalesceExpr:
		return &coalesceExpr{args: list(e.args), t: e.t}
	case *extremeExpr:
		return &extremeExpr{args: list(e.args), greatest: e.greatest, t: e.t}
	case *arrayExpr:
		return &arrayExpr{elements: list(e.elements), t: e.t}
	case *quantExpr:
		c := *e
		return &c
	case *relabelExpr:
		c := *e
		return &c
	}
	return cloneQuery(e)
}

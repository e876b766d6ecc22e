package sql

import (
	"slices"
	"strings"
)

// quantified checks op ANY (array) and op ALL (array).
func (k *checker) quantified(n quantifiedNode) (expr, error) {
	args, err := k.exprs([]node{n.left, n.right})
	if err != nil {
		return nil, err
	}
	left, right := args[0], args[1]
	if right.typ() == Unknown {
		// An untyped array literal has elements of the type that the operator wants.
		elem := left.typ()
		if elem == Unknown {
			elem = Text
		}
		call, err := k.op(n.name, []expr{left, &constExpr{v: null, t: Unknown}}, n.pos())
		if err != nil {
			return nil, err
		}
		if c, ok := call.(*callExpr); ok && len(c.args) == 2 {
			elem = c.args[1].typ()
		}
		if elem.IsArray() {
			return nil, refuse(n.pos(), "an array of arrays")
		}
		if right, err = k.coerce(right, ArrayOf(elem), implicit, n.pos()); err != nil {
			return nil, err
		}
	}
	if !right.typ().IsArray() {
		return nil, failAt(n.pos(), codeWrongObject, "op ANY/ALL (array) requires array on right side")
	}
	return k.quantify(n.name, left, right, n.all, n.pos())
}

// quantify builds left op ANY/ALL (array).
func (k *checker) quantify(name string, left, arr expr, all bool, pos int) (expr, error) {
	// A column of the element type stands for the elements while the operator is resolved.
	element := &colExpr{t: arr.typ().Elem(), at: pos}
	resolved, err := k.op(name, []expr{left, element}, pos)
	if err != nil {
		return nil, err
	}
	call, ok := resolved.(*callExpr)
	if !ok || call.t != Bool {
		return nil, failAt(pos, codeWrongObject, "op ANY/ALL (array) requires operator to yield boolean")
	}
	if t := call.args[1].typ(); t != arr.typ().Elem() {
		if arr, err = k.coerce(arr, ArrayOf(t), implicit, pos); err != nil {
			return nil, err
		}
	}
	return &quantExpr{left: call.args[0], array: arr, fn: call.fn, run: call.run, all: all}, nil
}

// in checks IN and NOT IN: constants and other expressions without columns
// become = ANY (array), as in transformAExprIn; the rest a chain of OR.
func (k *checker) in(n inNode) (expr, error) {
	if row, ok := n.left.(rowNode); ok {
		return k.rowIn(row, n)
	}
	left, err := k.expr(n.left)
	if err != nil {
		return nil, err
	}
	list, err := k.exprs(n.list)
	if err != nil {
		return nil, err
	}
	op, logic := "=", logicOr
	if n.not {
		op, logic = "<>", logicAnd
	}
	var plain, columns []expr
	for _, e := range list {
		if hasColumn(e) {
			columns = append(columns, e)
		} else {
			plain = append(plain, e)
		}
	}
	out := &logicExpr{kind: logic}
	if len(plain) > 1 {
		types := []Type{left.typ()}
		for _, e := range plain {
			types = append(types, e.typ())
		}
		if t, ok := commonType(types); ok && !t.IsArray() {
			arr := &arrayExpr{t: ArrayOf(t), elements: plain}
			for i := range plain {
				if plain[i], err = k.coerce(plain[i], t, implicit, n.pos()); err != nil {
					return nil, err
				}
			}
			e, err := k.quantify(op, left, arr, n.not, n.pos())
			if err != nil {
				return nil, err
			}
			out.args, plain = append(out.args, e), nil
		}
	}
	for _, e := range append(plain, columns...) {
		e, err := k.op(op, []expr{left, e}, n.pos())
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, e)
	}
	return out.simplest(), nil
}

func hasColumn(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*colExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// rowIn is (a, b) IN ((c, d), …).
func (k *checker) rowIn(left rowNode, n inNode) (expr, error) {
	op, out := "=", &logicExpr{kind: logicOr}
	if n.not {
		op, out.kind = "<>", logicAnd
	}
	for _, item := range n.list {
		right, ok := item.(rowNode)
		if !ok {
			return nil, refuse(item.pos(), "this in a list of rows")
		}
		e, err := k.rows(op, left, right, n.pos())
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, e)
	}
	return out.simplest(), nil
}

// function checks a call of a function, aggregate or window function.
func (k *checker) function(n funcCall) (expr, error) {
	list := theCatalog().functions[n.name]
	if len(list) == 0 {
		if n.name == "list" {
			return k.list(n)
		}
		if t := typeByName(n.name); t != 0 && !t.pseudo() && len(n.args) == 1 {
			return k.typeCall(n, t)
		}
		return nil, k.unknownFunction(n)
	}
	if err := k.callForm(list[0], n); err != nil {
		return nil, err
	}
	leave := func() {}
	var marks []int
	if list[0].aggregate() {
		if n.over == nil {
			marks = k.frame.marks()
			saved, within := k.context, k.inAggregate
			k.inAggregate, k.context.srf = true, srfNowhere
			leave = func() { k.inAggregate, k.context = within, saved }
		} else if k.context.noWindow || k.inAggregate {
			return nil, k.windowMisplaced(n)
		}
	}
	if n.name == "count" {
		n, list = k.countOfRows(n, list)
	}
	args, err := k.arguments(list[0], n)
	if err == nil && n.distinct && list[0].ofRow && slices.ContainsFunc(args, func(e expr) bool { return e.typ() == Unknown }) {
		err = refuse(n.pos(), "a literal without a type in a row").hint("add a cast, such as ::text")
	}
	if err != nil {
		leave()
		return nil, err
	}
	var e expr
	switch {
	case n.within && n.over != nil:
		err = refuse(n.pos(), "OVER for an ordered-set aggregate")
	case n.within:
		a, err := k.withinGroup(n, list, args)
		leave()
		if err != nil {
			return nil, err
		}
		return k.own(a, n.pos(), "aggregate functions", marks)
	case len(n.names) > 0 || len(list[0].defaults) > 0 && len(args) < len(list[0].args) && !n.variadic:
		if n.names == nil {
			n.names = make([]string, len(args))
		}
		e, err = k.namedCall(n, list, args)
	case n.variadic:
		e, err = k.variadicCall(n, list, args)
	default:
		e, err = k.call(list, args, n.pos(), describeFunction(n.name), false)
	}
	if err != nil {
		leave()
		return nil, err
	}
	if a, ok := e.(*aggExpr); ok && n.over == nil {
		err := k.aggregate(a, n)
		leave()
		if err != nil {
			return nil, err
		}
		return k.own(a, n.pos(), "aggregate functions", marks)
	}
	if n.over != nil {
		return k.windowCall(e, n)
	}
	return e, nil
}

// arguments checks the arguments; those of a window call may hold aggregates
// but no windows, and no other set-returning function may stand within one.
func (k *checker) arguments(fn *function, n funcCall) ([]expr, error) {
	saved := k.context
	defer func() { k.context = saved }()
	if n.over != nil {
		k.context.noWindow = true
	}
	if fn.rows != nil || n.over != nil || fn.aggregate() {
		k.context.srf = srfNowhere
	}
	return k.exprs(n.args)
}

func (k *checker) windowMisplaced(n funcCall) error {
	if k.inAggregate {
		return failAt(n.pos(), codeGrouping, "aggregate function calls cannot contain window function calls")
	}
	return failAt(n.pos(), codeWindowing, "window functions are not allowed in %s", k.context.name).hint("compute them in a subquery in FROM")
}

// callForm checks what surrounds the arguments of a call.
func (k *checker) callForm(fn *function, n funcCall) error {
	star := noFunction(n.pos(), n.name+"()").hint("only count may be applied to *")
	switch {
	case n.within && n.star:
		return failAt(n.pos(), codeWrongObject, "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP", n.name)
	case n.within && fn.window != nil:
		return refuse(n.pos(), n.name+" as a hypothetical-set aggregate").hint("count the rows that come before the value")
	case n.within && fn.ordered == nil:
		return failAt(n.pos(), codeUndefinedFunction, "ordered-set aggregate %s does not exist", n.name)
	case n.star && n.name != "count":
		return star
	case fn.window != nil:
		switch {
		case n.over == nil:
			return failAt(n.pos(), codeWrongObject, "window function %s requires an OVER clause", n.name).hint("for example, %s() OVER (ORDER BY time)", n.name)
		case k.context.noWindow || k.inAggregate:
			return k.windowMisplaced(n)
		case n.distinct:
			return refuse(n.pos(), "DISTINCT in a window function")
		case len(n.orderBy) > 0:
			return refuse(n.pos(), "ORDER BY in the arguments of a window function")
		}
		return nil
	case fn.aggregate():
		switch {
		case len(n.args) == 0 && !n.star && n.name == "count":
			return failAt(n.pos(), codeWrongObject, "%s(*) must be used to call a parameterless aggregate function", n.name).hint("write count(*)")
		case !n.within && fn.ordered != nil && len(n.args) != len(fn.args):
			return failAt(n.pos(), codeUndefinedFunction, "function %s does not exist with %d arguments", n.name, len(n.args)).hint("write WITHIN GROUP (ORDER BY …) after it")
		case !n.within && fn.ordered != nil:
			return failAt(n.pos(), codeWrongObject, "WITHIN GROUP is required for ordered-set aggregate %s", n.name)
		}
		return nil
	case fn.rows != nil:
		if k.context.srf == srfNowhere {
			return failAt(n.pos(), codeUnsupported, "set-returning functions are not allowed in %s", k.context.name)
		}
	}
	what := ""
	switch {
	case n.over != nil:
		return failAt(n.pos(), codeWrongObject, "OVER specified, but %s is not a window function nor an aggregate function", n.name)
	case n.distinct:
		what = "DISTINCT"
	case n.filter != nil:
		what = "FILTER"
	case len(n.orderBy) > 0:
		what = "ORDER BY"
	default:
		return nil
	}
	return failAt(n.pos(), codeWrongObject, "%s specified, but %s is not an aggregate function", what, n.name)
}

// typeCall is a cast written as a call: date(time).
func (k *checker) typeCall(n funcCall, t Type) (expr, error) {
	if n.over != nil {
		return nil, failAt(n.pos(), codeWrongObject, "OVER specified, but %s is not a window function nor an aggregate function", n.name)
	}
	if n.distinct || len(n.orderBy) > 0 || n.filter != nil {
		return nil, failAt(n.pos(), codeWrongObject, "%s is not an aggregate function", n.name)
	}
	if n.names != nil || n.variadic {
		return nil, failAt(n.pos(), codeUndefinedFunction, "function %s does not exist with such arguments", n.name)
	}
	arg, err := k.expr(n.args[0])
	if err != nil {
		return nil, err
	}
	if !canCast(arg.typ(), t, explicit) {
		return nil, noFunction(n.pos(), describeFunction(n.name)([]Type{arg.typ()}))
	}
	return k.coerce(arg, t, explicit, n.pos())
}

func (k *checker) unknownFunction(n funcCall) error {
	var names []string
	for name := range theCatalog().functions {
		names = append(names, name)
	}
	slices.Sort(names)
	e := failAt(n.pos(), codeUndefinedFunction, "function %s is not supported", n.name)
	if hint := otherFunction(strings.ToLower(n.name)); hint != "" {
		return e.hint("%s", hint)
	}
	if hint := didYouMean(strings.ToLower(n.name), names); hint != "" {
		return e.hint("%s", hint)
	}
	return e.hint("docs/sql.md lists those that are")
}

// orderArgument makes e, of the ORDER BY of an aggregate with DISTINCT, the
// argument that it is, perhaps but for an implicit cast.
func (k *checker) orderArgument(a *aggExpr, e *expr) error {
	args := a.args
	if a.fn.ofRow { // the argument is the row of them
		args = nil
	}
	for _, arg := range args {
		cast := *e
		if canCast(cast.typ(), arg.typ(), implicit) {
			var err error
			if cast, err = k.coerce(cast, arg.typ(), implicit, 0); err != nil {
				return err
			}
		}
		if exprKey(arg) == exprKey(cast) {
			*e = arg
			return nil
		}
	}
	return fail(codeInvalidReference, "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list")
}

// aggregate completes an aggregate call with DISTINCT, ORDER BY and FILTER.
func (k *checker) aggregate(a *aggExpr, n funcCall) error {
	a.distinct = n.distinct
	if n.star {
		a.args = nil
	}
	for i, arg := range a.args {
		a.args[i] = k.known(arg)
	}
	for _, item := range n.orderBy {
		e, err := k.expr(item.expr)
		if err != nil {
			return err
		}
		a.order = append(a.order, sortKey{expr: k.known(e), descending: item.descending, nullsFirst: item.nullsFirst})
	}
	if a.distinct {
		for i := range a.order {
			if err := k.orderArgument(a, &a.order[i].expr); err != nil {
				return positioned(err, n.pos())
			}
		}
	}
	if n.filter != nil {
		k.inAggregate = false
		done := k.clause("FILTER")
		e, err := k.boolean(n.filter, "FILTER")
		done()
		if err != nil {
			return err
		}
		a.filter = e
	}
	return nil
}

package sql

import "daemoneye/bus/event"

// expr is a checked expression. eval computes it for the rows sel of c, which
// must not be empty; in the result only these rows mean anything. Whatever
// PostgreSQL would not evaluate for a row (the right side of a false AND, the
// branches of CASE not taken) is not evaluated for that row.
type expr interface {
	typ() Type
	eval(x *env, c *chunk, sel []int32) (*vector, error)
}

// colExpr is a column: of a relation, and once it is planned of the chunk.
type colExpr struct {
	rel   *relation // nil when planned
	index int
	t     Type
	name  string // as table.column, for errors
	at    int
}

// constExpr is a constant; one of type Unknown is a literal yet to be typed.
type constExpr struct {
	v    value
	t    Type
	at   int
	list string // the name of the list that it is, or ""
}

// callExpr is a call of a function, an operator or a cast.
type callExpr struct {
	fn   *function
	args []expr
	t    Type
	at   int
	run  evalFunc // fn.eval, or what fn.bind made of constant arguments

	literal []byte // of fn.literal
}

// aggExpr is an aggregate call; before execution a colExpr takes its place.
type aggExpr struct {
	fn       *function
	args     []expr
	t        Type
	at       int
	distinct bool
	order    []sortKey
	filter   expr
}

type logicExpr struct {
	kind logicKind
	args []expr
}

// simplest is e, or its argument if there is only one.
func (e *logicExpr) simplest() expr {
	if len(e.args) == 1 {
		return e.args[0]
	}
	return e
}

type nullExpr struct {
	arg expr
	not bool
}

type boolExpr struct {
	arg  expr
	test boolTestKind
}

// distinctExpr is IS [NOT] DISTINCT FROM, by the operator = of both sides.
type distinctExpr struct {
	left, right expr
	eq          *function
	not         bool
}

type caseExpr struct {
	conds, results []expr
	other          expr
	t              Type
}

type coalesceExpr struct {
	args []expr
	t    Type
}

// extremeExpr is GREATEST or LEAST.
type extremeExpr struct {
	args     []expr
	greatest bool
	t        Type
}

type arrayExpr struct {
	elements []expr
	t        Type
}

// quantExpr is left op ANY (array), or ALL.
type quantExpr struct {
	left, array expr
	fn          *function
	run         evalFunc
	all         bool
	set         *valueSet  // of a constant array of many elements under =
	runs        []evalFunc // by element of a constant array, where it is prepared
}

// relabelExpr has its argument's values as another type that holds them alike.
type relabelExpr struct {
	arg expr
	t   Type
}

func (e *colExpr) typ() Type      { return e.t }
func (e *constExpr) typ() Type    { return e.t }
func (e *callExpr) typ() Type     { return e.t }
func (e *aggExpr) typ() Type      { return e.t }
func (e *logicExpr) typ() Type    { return Bool }
func (e *nullExpr) typ() Type     { return Bool }
func (e *boolExpr) typ() Type     { return Bool }
func (e *distinctExpr) typ() Type { return Bool }
func (e *caseExpr) typ() Type     { return e.t }
func (e *coalesceExpr) typ() Type { return e.t }
func (e *extremeExpr) typ() Type  { return e.t }
func (e *arrayExpr) typ() Type    { return e.t }
func (e *quantExpr) typ() Type    { return Bool }
func (e *relabelExpr) typ() Type  { return e.t }

// children returns the operands, in order, as places that can be replaced.
func children(e expr) []*expr {
	refs := func(list []expr) []*expr {
		out := make([]*expr, len(list))
		for i := range list {
			out[i] = &list[i]
		}
		return out
	}
	switch e := e.(type) {
	case *callExpr:
		return refs(e.args)
	case *aggExpr:
		out := refs(e.args)
		for i := range e.order {
			out = append(out, &e.order[i].expr)
		}
		if e.filter != nil {
			out = append(out, &e.filter)
		}
		return out
	case *logicExpr:
		return refs(e.args)
	case *nullExpr:
		return []*expr{&e.arg}
	case *boolExpr:
		return []*expr{&e.arg}
	case *distinctExpr:
		return []*expr{&e.left, &e.right}
	case *caseExpr:
		var out []*expr
		for i := range e.conds {
			out = append(out, &e.conds[i], &e.results[i])
		}
		return append(out, &e.other)
	case *coalesceExpr:
		return refs(e.args)
	case *extremeExpr:
		return refs(e.args)
	case *arrayExpr:
		return refs(e.elements)
	case *quantExpr:
		return []*expr{&e.left, &e.array}
	case *relabelExpr:
		return []*expr{&e.arg}
	case *windowExpr:
		return e.children()
	case *srfExpr:
		return refs(e.args)
	case *groupingExpr:
		return refs(e.args)
	case *subExpr:
		return append(refs(e.tests), refs(e.params)...)
	}
	return nil
}

// walk calls f for e and, while it returns true, for everything below.
func walk(e expr, f func(expr) bool) {
	if !f(e) {
		return
	}
	for _, c := range children(e) {
		walk(*c, f)
	}
}

func (e *colExpr) eval(_ *env, c *chunk, _ []int32) (*vector, error) { return c.column(e.index) }

func (e *constExpr) eval(*env, *chunk, []int32) (*vector, error) {
	return constantVector(e.t, e.v), nil
}

func (e *aggExpr) eval(*env, *chunk, []int32) (*vector, error) {
	panic("sql: aggregate outside of an aggregation")
}

func (e *relabelExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	v, err := e.arg.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	return v.as(e.t), nil
}

// eval goes from operand to operand with the rows that are still undecided.
func (e *logicExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	if e.kind == logicNot {
		v, err := e.args[0].eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		out := newVector(Bool, c.n)
		for _, i := range sel {
			if v.isNull(int(i)) {
				out.setNull(int(i), c.n)
			} else {
				out.bools[i] = !v.boolAt(int(i))
			}
		}
		return out, nil
	}
	decisive := e.kind == logicOr
	out := newVector(Bool, c.n)
	for k, arg := range e.args {
		v, err := arg.eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		var open []int32
		for _, i := range sel {
			switch {
			case v.isNull(int(i)):
				out.setNull(int(i), c.n)
				open = append(open, i)
			case v.boolAt(int(i)) == decisive:
				out.bools[i] = decisive
				clearNull(out.nulls, int(i))
			default:
				if !out.nulls.Has(int(i)) {
					out.bools[i] = !decisive
				}
				open = append(open, i)
			}
		}
		if sel = open; len(sel) == 0 || k == len(e.args)-1 {
			break
		}
	}
	return out, nil
}

func (v *vector) boolAt(i int) bool {
	if v.constant {
		i = 0
	}
	return v.bools[i]
}

func clearNull(b event.Bitmap, i int) {
	if b != nil {
		b[i>>6] &^= 1 << (i & 63)
	}
}

func (e *nullExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	v, err := e.arg.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	out := newVector(Bool, c.n)
	for _, i := range sel {
		out.bools[i] = v.isNull(int(i)) != e.not
	}
	return out, nil
}

func (e *boolExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	v, err := e.arg.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	out := newVector(Bool, c.n)
	for _, i := range sel {
		isNull := v.isNull(int(i))
		truth := !isNull && v.boolAt(int(i))
		switch e.test {
		case isTrue:
			out.bools[i] = truth
		case isNotTrue:
			out.bools[i] = !truth
		case isFalse:
			out.bools[i] = !isNull && !truth
		case isNotFalse:
			out.bools[i] = isNull || truth
		case isUnknown:
			out.bools[i] = isNull
		case isNotUnknown:
			out.bools[i] = !isNull
		}
	}
	return out, nil
}

func (e *distinctExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	l, err := e.left.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	r, err := e.right.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	out := newVector(Bool, c.n)
	for _, i := range sel {
		a, b := l.at(int(i)), r.at(int(i))
		same := a.null && b.null
		if !a.null && !b.null {
			eq, err := e.eq.eval(x, []value{a, b})
			if err != nil {
				return nil, err
			}
			same = eq.truth()
		}
		out.bools[i] = same == e.not
	}
	return out, nil
}

func (e *caseExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	out := newVector(e.t, c.n)
	for k, cond := range e.conds {
		if len(sel) == 0 {
			return out, nil
		}
		v, err := cond.eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		var taken, rest []int32
		for _, i := range sel {
			if !v.isNull(int(i)) && v.boolAt(int(i)) {
				taken = append(taken, i)
			} else {
				rest = append(rest, i)
			}
		}
		if err := scatter(x, c, e.results[k], taken, out); err != nil {
			return nil, err
		}
		sel = rest
	}
	return out, scatter(x, c, e.other, sel, out)
}

// scatter computes e for rows sel and puts the values into out.
func scatter(x *env, c *chunk, e expr, sel []int32, out *vector) error {
	if len(sel) == 0 {
		return nil
	}
	v, err := e.eval(x, c, sel)
	if err != nil {
		return err
	}
	for _, i := range sel {
		out.set(int(i), v.at(int(i)), c.n)
	}
	return nil
}

func (e *coalesceExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	out := newVector(e.t, c.n)
	for _, arg := range e.args {
		if len(sel) == 0 {
			break
		}
		v, err := arg.eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		var rest []int32
		for _, i := range sel {
			if v.isNull(int(i)) {
				rest = append(rest, i)
			} else {
				out.set(int(i), v.at(int(i)), c.n)
			}
		}
		sel = rest
	}
	for _, i := range sel {
		out.setNull(int(i), c.n)
	}
	return out, nil
}

// evalAll computes each of list.
func evalAll(x *env, c *chunk, list []expr, sel []int32) ([]*vector, error) {
	out := make([]*vector, len(list))
	for i, e := range list {
		v, err := e.eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (e *extremeExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	args, err := evalAll(x, c, e.args, sel)
	if err != nil {
		return nil, err
	}
	out := newVector(e.t, c.n)
	for _, i := range sel {
		best := null
		for _, v := range args {
			a := v.at(int(i))
			if a.null {
				continue
			}
			if best.null || (compare(e.t, a, best) > 0) == e.greatest && compare(e.t, a, best) != 0 {
				best = a
			}
		}
		out.set(int(i), best, c.n)
	}
	return out, nil
}

func (e *arrayExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	args, err := evalAll(x, c, e.elements, sel)
	if err != nil {
		return nil, err
	}
	out := newVector(e.t, c.n)
	for _, i := range sel {
		a := &array{elem: e.t.Elem(), vals: make([]value, len(args))}
		for k, v := range args {
			a.vals[k] = v.at(int(i))
		}
		made, err := bounded(value{o: a})
		if err == nil {
			err = x.tick(nil)
		}
		if err == nil {
			err = x.charge(made, nil)
		}
		if err != nil {
			return nil, err
		}
		out.objs[i] = a
	}
	return out, nil
}

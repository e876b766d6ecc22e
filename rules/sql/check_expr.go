package sql

import (
	"fmt"
	"strconv"
	"strings"
)

// expr checks one expression and gives it types.
func (k *checker) expr(n node) (expr, error) {
	switch n := n.(type) {
	case literal:
		return k.literal(n)
	case columnRef:
		return k.column(n)
	case castNode:
		return k.cast(n)
	case funcCall:
		return k.function(n)
	case opNode:
		return k.operator(n)
	case quantifiedNode:
		return k.quantified(n)
	case inNode:
		return k.in(n)
	case betweenNode:
		return k.between(n)
	case distinctNode:
		return k.distinct(n)
	case nullIfNode:
		return k.nullIf(n)
	case logicNode:
		return k.logic(n)
	case nullTest:
		if row, ok := k.wholeRow(n.arg); ok {
			return k.rowNull(row, n.not)
		}
		arg, err := k.expr(n.arg)
		if err != nil {
			return nil, err
		}
		return &nullExpr{arg: k.known(arg), not: n.not}, nil
	case boolTest:
		arg, err := k.boolean(n.arg, n.test.String())
		if err != nil {
			return nil, err
		}
		return &boolExpr{arg: arg, test: n.test}, nil
	case caseNode:
		defer k.withoutRows("CASE")()
		return k.caseOf(n)
	case coalesceNode:
		defer k.withoutRows("COALESCE")()
		args, t, err := k.common(n.args, "COALESCE", n.pos())
		if err != nil {
			return nil, err
		}
		return &coalesceExpr{args: args, t: t}, nil
	case minMaxNode:
		name := "LEAST"
		if n.greatest {
			name = "GREATEST"
		}
		args, t, err := k.common(n.args, name, n.pos())
		if err != nil {
			return nil, err
		}
		return &extremeExpr{args: args, greatest: n.greatest, t: t}, nil
	case arrayNode:
		return k.array(n, 0)
	case subscriptNode:
		return k.subscript(n)
	case fieldNode:
		return k.member(n)
	case valueFunc:
		return k.function(funcCall{at: n.at, name: n.name})
	case sublink:
		return k.sublink(n)
	case collateNode:
		e, err := k.expr(n.arg)
		if err == nil && e.typ() != Unknown && e.typ().Elem().category() != 'S' {
			err = failAt(n.pos(), codeDatatypeMismatch, "collations are not supported by type %v", e.typ())
		}
		return e, err
	case groupingCall:
		return k.grouping(n)
	case rowNode:
		return nil, refuse(n.pos(), "a row as a value")
	}
	return nil, refuse(n.pos(), fmt.Sprintf("%T", n))
}

func (k *checker) exprs(list []node) ([]expr, error) {
	out := make([]expr, len(list))
	for i, n := range list {
		e, err := k.expr(n)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

func (k *checker) literal(n literal) (expr, error) {
	out := &constExpr{at: n.pos(), t: Unknown}
	switch n.kind {
	case litNull:
		out.v = null
	case litString:
		out.v = textValue(n.text)
	case litBool:
		out.v, out.t = boolValue(n.text == "t"), Bool
	case litInteger:
		i, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil {
			return nil, failAt(n.pos(), codeSyntax, "bad number %q", n.text)
		}
		out.v, out.t = intValue(i), Int4
	case litNumber:
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
			out.v, out.t = intValue(i), Int8
			if i == int64(int32(i)) {
				out.t = Int4
			}
			break
		}
		num, err := parseNumeric(n.text)
		if err != nil {
			return nil, positioned(err, n.pos())
		}
		out.v, out.t = numValue(num), Numeric
	}
	return out, nil
}

// boolean checks an operand that must be boolean; context is as PostgreSQL
// says it: "argument of WHERE must be type boolean".
func (k *checker) boolean(n node, context string) (expr, error) {
	e, err := k.expr(n)
	if err != nil {
		return nil, err
	}
	if t := e.typ(); t != Bool && t != Unknown {
		return nil, failAt(n.pos(), codeDatatypeMismatch, "argument of %s must be type boolean, not type %v", context, t)
	}
	return k.coerce(e, Bool, implicit, n.pos())
}

func (k *checker) cast(n castNode) (expr, error) {
	t, err := k.typeOf(n.typ)
	if err != nil {
		return nil, err
	}
	var e expr
	if a, ok := n.arg.(arrayNode); ok && t.IsArray() {
		e, err = k.array(a, t.Elem())
	} else {
		e, err = k.expr(n.arg)
	}
	if err != nil {
		return nil, err
	}
	if t == Interval && len(n.typ.mods) > 0 {
		if _, ok := e.(*constExpr); ok && e.typ() == Unknown {
			if e, err = k.intervalField(e.(*constExpr), &n.typ); err != nil {
				return nil, err
			}
		}
	}
	if e, err = k.coerce(e, t, explicit, n.pos()); err != nil {
		return nil, err
	}
	return k.typmod(e, n.typ, t)
}

// intervalField handles interval '5' minute, whose modifier is a mask of
// fields (INTERVAL_MASK of PostgreSQL's timestamp.h), for a bare number.
func (k *checker) intervalField(c *constExpr, t *typeName) (expr, error) {
	fields := map[int]string{1 << 2: "year", 1 << 1: "month", 1 << 3: "day", 1 << 10: "hour", 1 << 11: "minute", 1 << 12: "second"}
	unit, ok := fields[t.mods[0]]
	if !ok || c.v.null || digits(c.v.s) != len(c.v.s) || len(t.mods) > 1 {
		return c, nil
	}
	t.mods = nil
	return &constExpr{v: textValue(c.v.s + " " + unit), t: Unknown, at: c.at}, nil
}

// typeOf resolves the name of a type.
func (k *checker) typeOf(n typeName) (Type, error) {
	t := typeByName(n.name)
	if t == 0 || t.pseudo() || t == Unknown {
		if postgresTypes[n.name] {
			return 0, refuse(n.pos(), "the type "+n.name).hint("allowed: %s", strings.Join(typeNames(), ", "))
		}
		e := failAt(n.pos(), codeUndefinedObject, "type %q does not exist", n.name)
		if hint := didYouMean(n.name, typeNames()); hint != "" {
			return 0, e.hint("%s", hint)
		}
		return 0, e.hint("allowed: %s", strings.Join(typeNames(), ", "))
	}
	if n.dims > 0 {
		t = ArrayOf(t)
	}
	return t, nil
}

func typeNames() []string {
	var out []string
	for t := Bool; t < lastType; t++ {
		out = append(out, typeTable[t].internal)
	}
	return out
}

// postgresTypes are types that PostgreSQL has and this engine does not.
var postgresTypes = map[string]bool{
	"float4": true, "bpchar": true, "char": true, "name": true, "json": true, "jsonpath": true,
	"timetz": true, "oid": true, "money": true, "xml": true, "bit": true, "varbit": true,
	"point": true, "line": true, "lseg": true, "box": true, "path": true, "polygon": true, "circle": true,
	"regclass": true, "regproc": true, "regtype": true, "regrole": true, "regnamespace": true, "regoper": true,
	"tsvector": true, "tsquery": true, "macaddr": true, "macaddr8": true, "pg_lsn": true, "xid": true, "tid": true, "cid": true,
	"int4range": true, "int8range": true, "numrange": true, "tsrange": true, "tstzrange": true, "daterange": true,
	"int4multirange": true, "int8multirange": true, "nummultirange": true, "tsmultirange": true, "tstzmultirange": true, "datemultirange": true,
	"record": true, "void": true, "refcursor": true,
}

func (k *checker) operator(n opNode) (expr, error) {
	if l, ok := n.left.(rowNode); ok {
		if r, ok := n.right.(rowNode); ok {
			return k.rows(n.name, l, r, n.pos())
		}
		if s, ok := n.right.(sublink); ok && s.kind == sublinkScalar {
			s.at, s.kind, s.op, s.test = n.at, sublinkRow, n.name, l
			return k.sublink(s)
		}
	}
	var args []expr
	for _, side := range []node{n.left, n.right} {
		if side == nil {
			continue
		}
		e, err := k.expr(side)
		if err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	return k.op(n.name, args, n.pos())
}

func (k *checker) op(name string, args []expr, pos int) (expr, error) {
	list := k.operators(name)
	if len(list) == 0 {
		if postgresOperators[name] {
			return nil, refuse(pos, "the operator "+name)
		}
		types := make([]Type, len(args))
		for i := range args {
			types[i] = args[i].typ()
		}
		return nil, noOperator(pos, describeOperator(name)(types)).hint("%s", otherOperator(name))
	}
	return k.call(list, args, pos, describeOperator(name), true)
}

func (k *checker) operators(name string) []*function {
	if name == "!=" {
		name = "<>"
	}
	return theCatalog().operators[name]
}

// postgresOperators are operators that PostgreSQL has and this engine does not.
var postgresOperators = map[string]bool{
	"~~~": true,
	"@@":  true, "@?": true, "-|-": true, "<->": true,
}

func (k *checker) logic(n logicNode) (expr, error) {
	out := &logicExpr{kind: n.kind}
	for _, a := range n.args {
		e, err := k.boolean(a, n.kind.String())
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, e)
	}
	return out, nil
}

// common brings operands to one type.
func (k *checker) common(list []node, context string, pos int) ([]expr, Type, error) {
	args, err := k.exprs(list)
	if err != nil {
		return nil, 0, err
	}
	t, err := k.unify(args, context, pos)
	return args, t, err
}

// unify coerces args, in place, to their common type.
func (k *checker) unify(args []expr, context string, pos int) (Type, error) {
	types := make([]Type, len(args))
	for i, a := range args {
		types[i] = a.typ()
	}
	t, ok := commonType(types)
	if !ok {
		for i, a := range types {
			if a != Unknown && a.category() != t.category() {
				return 0, failAt(exprPos(args[i], pos), codeDatatypeMismatch, "%s types %v and %v cannot be matched", context, t, a)
			}
		}
		return 0, failAt(pos, codeCannotCoerce, "%s could not convert its operands to type %v", context, t)
	}
	for i := range args {
		var err error
		if args[i], err = k.coerce(args[i], t, implicit, pos); err != nil {
			return 0, err
		}
	}
	return t, nil
}

func exprPos(e expr, pos int) int {
	switch e := e.(type) {
	case *colExpr:
		return e.at
	case *constExpr:
		return e.at
	case *callExpr:
		return e.at
	}
	return pos
}

// between checks both ends by themselves, as PostgreSQL rewrites it.
func (k *checker) between(n betweenNode) (expr, error) {
	bounds := [2]node{n.low, n.high}
	compare := func(op string, bound int) (expr, error) {
		return k.operator(opNode{at: n.at, name: op, left: n.arg, right: bounds[bound]})
	}
	if _, ok := n.arg.(rowNode); !ok {
		args, err := k.exprs([]node{n.arg, n.low, n.high})
		if err != nil {
			return nil, err
		}
		compare = func(op string, bound int) (expr, error) {
			return k.op(op, []expr{args[0], args[1+bound]}, n.pos())
		}
	}
	pair := func(low, high int) (expr, error) {
		a, err := compare(">=", low)
		if err != nil {
			return nil, err
		}
		b, err := compare("<=", high)
		if err != nil {
			return nil, err
		}
		return &logicExpr{kind: logicAnd, args: []expr{a, b}}, nil
	}
	out, err := pair(0, 1)
	if err != nil {
		return nil, err
	}
	if n.symmetric {
		other, err := pair(1, 0)
		if err != nil {
			return nil, err
		}
		out = &logicExpr{kind: logicOr, args: []expr{out, other}}
	}
	if n.not {
		out = &logicExpr{kind: logicNot, args: []expr{out}}
	}
	return out, nil
}

// equality resolves the operator = for two sides, and coerces them.
func (k *checker) equality(l, r expr, pos int) (*callExpr, error) {
	e, err := k.op("=", []expr{l, r}, pos)
	if err != nil {
		return nil, err
	}
	return e.(*callExpr), nil
}

func (k *checker) distinct(n distinctNode) (expr, error) {
	l, leftRow := n.left.(rowNode)
	r, rightRow := n.right.(rowNode)
	if leftRow && rightRow {
		return k.rowsDistinct(n, l, r)
	}
	args, err := k.exprs([]node{n.left, n.right})
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		if c, ok := a.(*constExpr); ok && c.v.null && c.t == Unknown {
			return &nullExpr{arg: k.known(args[1-i]), not: !n.not}, nil
		}
	}
	eq, err := k.equality(args[0], args[1], n.pos())
	if err != nil {
		return nil, err
	}
	return &distinctExpr{left: eq.args[0], right: eq.args[1], eq: eq.fn, not: n.not}, nil
}

// nullIf is CASE WHEN l = r THEN NULL ELSE l END, with l as = takes it.
func (k *checker) nullIf(n nullIfNode) (expr, error) {
	args, err := k.exprs([]node{n.left, n.right})
	if err != nil {
		return nil, err
	}
	eq, err := k.equality(args[0], args[1], n.pos())
	if err != nil {
		return nil, err
	}
	l := eq.args[0]
	return &caseExpr{conds: []expr{eq}, results: []expr{&constExpr{v: null, t: l.typ()}}, other: l, t: l.typ()}, nil
}

func (k *checker) caseOf(n caseNode) (expr, error) {
	out := &caseExpr{}
	var subject expr
	var err error
	if n.arg != nil {
		if subject, err = k.expr(n.arg); err != nil {
			return nil, err
		}
		subject = k.known(subject)
	}
	// The type comes from ELSE first, as in transformCaseExpr.
	results := []expr{&constExpr{v: null, t: Unknown, at: n.pos()}}
	for _, w := range n.whens {
		var cond expr
		if subject == nil {
			cond, err = k.boolean(w.cond, "CASE/WHEN")
		} else if cond, err = k.expr(w.cond); err == nil {
			cond, err = k.op("=", []expr{subject, cond}, w.pos())
		}
		if err != nil {
			return nil, err
		}
		out.conds = append(out.conds, cond)
		result, err := k.expr(w.result)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	if n.other != nil {
		if results[0], err = k.expr(n.other); err != nil {
			return nil, err
		}
	}
	if out.t, err = k.unify(results, "CASE", n.pos()); err != nil {
		return nil, err
	}
	out.other, out.results = results[0], results[1:]
	return out, nil
}

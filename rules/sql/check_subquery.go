package sql

// sublink checks a subquery in an expression.
func (k *checker) sublink(n sublink) (expr, error) {
	f := &frame{outer: k}
	k.stmt.sublinks++
	defer func() { k.stmt.sublinks-- }()
	q, err := k.stmt.query(n.query, f, k.ctes, false)
	if err != nil {
		return nil, err
	}
	out := &subExpr{kind: n.kind, query: q, frame: f, params: f.params, t: Bool, at: n.pos(), key: nodeKey(n)}
	columns := q.columns()
	switch n.kind {
	case sublinkExists:
		return out, nil
	case sublinkScalar, sublinkArray:
		if len(columns) != 1 {
			return nil, failAt(n.pos(), codeSyntax, "subquery must return only one column")
		}
		out.t = columns[0].Type
		if n.kind == sublinkArray {
			if out.t.IsArray() {
				return nil, refuse(n.pos(), "an array of more than one dimension")
			}
			out.t = ArrayOf(out.t)
		}
		return out, nil
	}
	return k.comparison(out, n, columns)
}

// comparison completes test op ANY (query) and its like: the operator is
// resolved with the columns of the subquery on its right.
func (k *checker) comparison(out *subExpr, n sublink, columns []Column) (expr, error) {
	tests := []node{n.test}
	if row, ok := n.test.(rowNode); ok {
		tests = row.fields
	}
	switch {
	case len(columns) > len(tests):
		return nil, failAt(n.pos(), codeSyntax, "subquery has too many columns")
	case len(columns) < len(tests):
		return nil, failAt(n.pos(), codeSyntax, "subquery has too few columns")
	}
	op := n.op
	if op == "" {
		op = "="
	}
	out.rel = newRelation("", columns)
	for i, t := range tests {
		l, err := k.expr(t)
		if err != nil {
			return nil, err
		}
		e, err := k.op(op, []expr{l, out.rel.column(i, n.pos())}, n.pos())
		if err != nil {
			return nil, err
		}
		call, ok := e.(*callExpr)
		if !ok || call.t != Bool {
			return nil, failAt(n.pos(), codeDatatypeMismatch, "operator %s must return type boolean, not type %v", op, e.typ())
		}
		out.tests = append(out.tests, call.args[0])
		out.pairs = append(out.pairs, pairTest{call, call.args[1]})
	}
	out.negated = op == "<>" || op == "!="
	if len(tests) == 1 || op == "=" || out.negated {
		return out, nil
	}
	return out, k.orderRows(out, op, n.pos())
}

// orderRows prepares (a, b) < ANY (query) and its like.
func (k *checker) orderRows(out *subExpr, op string, pos int) error {
	var left, right []expr
	for i, p := range out.pairs {
		left = append(left, &colExpr{index: i, t: out.tests[i].typ(), at: pos})
		right = append(right, &colExpr{index: len(out.pairs) + i, t: p.right.typ(), at: pos})
	}
	var err error
	out.order, err = k.compareRows(op, left, right, pos)
	return err
}

// comparableRows checks that two rows have the same number of fields, and some.
func comparableRows(l, r rowNode, pos int) error {
	switch {
	case len(l.fields) != len(r.fields):
		return failAt(pos, codeSyntax, "unequal number of entries in row expressions")
	case len(l.fields) == 0:
		return refuse(pos, "a comparison of empty rows")
	}
	return nil
}

// rows checks a comparison of rows: (a, b) = (c, d), (a, b) < (c, d).
func (k *checker) rows(name string, l, r rowNode, pos int) (expr, error) {
	if err := comparableRows(l, r, pos); err != nil {
		return nil, err
	}
	left, err := k.exprs(l.fields)
	if err != nil {
		return nil, err
	}
	right, err := k.exprs(r.fields)
	if err != nil {
		return nil, err
	}
	return k.compareRows(name, left, right, pos)
}

// rowsDistinct checks (a, b) IS [NOT] DISTINCT FROM (c, d).
func (k *checker) rowsDistinct(n distinctNode, l, r rowNode) (expr, error) {
	if err := comparableRows(l, r, n.pos()); err != nil {
		return nil, err
	}
	out := &logicExpr{kind: logicOr}
	if n.not {
		out.kind = logicAnd
	}
	for i := range l.fields {
		e, err := k.distinct(distinctNode{at: n.at, left: l.fields[i], right: r.fields[i], not: n.not})
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, e)
	}
	return out.simplest(), nil
}

func (k *checker) compareRows(name string, left, right []expr, pos int) (expr, error) {
	pair := func(op string, i int) (expr, error) {
		e, err := k.op(op, []expr{left[i], right[i]}, pos)
		if err == nil && e.typ() != Bool {
			err = failAt(pos, codeDatatypeMismatch, "row comparison operator must yield type boolean, not type %v", e.typ())
		}
		return e, err
	}
	if len(left) == 1 {
		return pair(name, 0)
	}
	last := len(left) - 1
	out, err := pair(name, last)
	if err != nil {
		return nil, err
	}
	switch name {
	case "=", "<>", "!=":
		out := &logicExpr{kind: logicAnd}
		if name != "=" {
			out.kind = logicOr
		}
		for i := range left {
			e, err := pair(name, i)
			if err != nil {
				return nil, err
			}
			out.args = append(out.args, e)
		}
		return out.simplest(), nil
	case "<", "<=", ">", ">=":
	default:
		return nil, failAt(pos, codeUnsupported, "the operator %s for rows is not supported", name)
	}
	// a < c OR a = c AND (b < d OR …), which is NULL where the standard says so.
	strict := name[:1]
	for i := last - 1; i >= 0; i-- {
		less, err := pair(strict, i)
		if err != nil {
			return nil, err
		}
		equal, err := pair("=", i)
		if err != nil {
			return nil, err
		}
		out = &logicExpr{kind: logicOr, args: []expr{less, &logicExpr{kind: logicAnd, args: []expr{equal, out}}}}
	}
	return out, nil
}

// rowNull checks (a, b) IS [NOT] NULL: true if all fields are, or none is.
func (k *checker) rowNull(row rowNode, not bool) (expr, error) {
	out := &logicExpr{kind: logicAnd}
	for _, f := range row.fields {
		e, err := k.expr(f)
		if err != nil {
			return nil, err
		}
		out.args = append(out.args, &nullExpr{arg: k.known(e), not: not})
	}
	switch len(out.args) {
	case 0:
		return &constExpr{v: boolValue(true), t: Bool}, nil
	case 1:
		return out.args[0], nil
	}
	return out, nil
}

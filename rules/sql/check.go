package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// statement is what all queries of one statement share while it is checked.
type statement struct {
	*folder
	limits Limits
	frame  *frame
	tables []*event.Table
	ctes   []*cte // of all WITH clauses
	lists  map[string]*List
	used   []string // names of those that are read

	sublinks int // subqueries of expressions that are being checked, one within the other
	nullable int // likewise sides of outer joins whose columns may become NULL
}

// query is a checked query: a *block or a *setOp.
type query interface {
	columns() []Column // types of literals in a part of a set operation may be Unknown
	// coerce makes column i a t; the query is a part of a set operation.
	coerce(k *checker, i int, t Type, context string, pos int) error
	// plan plans the query; of columns that are not needed it may compute nothing.
	plan(p *planner, need []bool) (operator, error)
}

// checker gives one SELECT its meaning: names, types, and the rules about
// where aggregates and columns may stand.
type checker struct {
	stmt   *statement
	limits Limits
	frame  *frame
	ctes   *cteScope
	scope  *scope // what FROM lets expressions name; nil without FROM
	hidden *scope // what a subquery in FROM does not see, for the error
	barred *scope // what LATERAL does not see in the right side of a RIGHT or FULL JOIN

	outputs []target // the select list, whose names expressions do not see, for the error

	context     clause
	inAggregate bool
	wide        bool        // a call may give several columns, of which one is taken
	aggregates  bool        // an aggregate was seen
	named       []windowDef // the WINDOW clause
}

// clause is where an expression stands, and what it may not hold there.
type clause struct {
	name        string
	noAggregate bool
	noWindow    bool
	srf         srfPlace
}

// srfPlace says where set-returning functions may stand.
type srfPlace uint8

const (
	srfNowhere srfPlace = iota
	srfTarget           // in the select list
	srfFrom             // as the whole item of FROM
)

// clause begins the check of a clause without aggregates and windows; the
// function that it returns ends it.
func (k *checker) clause(name string) func() {
	saved := k.context
	k.context = clause{name: name, noAggregate: true, noWindow: true}
	return func() { k.context = saved }
}

// withoutRows begins the check of what may not hold set-returning functions;
// the function that it returns ends it.
func (k *checker) withoutRows(name string) func() {
	saved := k.context
	if k.context.srf != srfNowhere {
		k.context.srf, k.context.name = srfNowhere, name
	}
	return func() { k.context = saved }
}

// outputColumn is one column of the select list, or an expression added to sort by.
type outputColumn struct {
	name string
	expr expr
	at   int
}

// check checks and plans a statement.
func check(q *queryExpr, limits Limits, lists map[string]*List) (*Query, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limits.Constants)
	defer cancel()
	s := &statement{folder: &folder{ctx, limits.Constants}, limits: limits, frame: &frame{}, lists: lists}
	checked, err := s.query(q, s.frame, nil, false)
	if err != nil {
		return nil, err
	}
	planned, err := s.plan(checked)
	if err != nil {
		return nil, err
	}
	slices.Sort(s.used)
	planned.lists = s.used
	return planned, nil
}

// query checks a query. In a part of a set operation literals keep the type Unknown.
func (s *statement) query(q *queryExpr, f *frame, ctes *cteScope, part bool) (query, error) {
	if len(q.with) > 0 {
		var err error
		if ctes, err = s.with(q, f, ctes); err != nil {
			return nil, err
		}
	}
	k := &checker{stmt: s, limits: s.limits, frame: f, ctes: ctes}
	switch body := q.body.(type) {
	case *selectStmt:
		return k.block(body, q, part)
	case *valuesStmt:
		r, err := k.values(body)
		if err != nil {
			return nil, err
		}
		return k.over(r, q, false)
	default:
		op, err := s.setOp(q.body.(*setStmt), f, ctes)
		if err != nil || len(q.orderBy) == 0 && q.limit == nil && q.offset == nil {
			return op, err
		}
		r := newRelation("", op.columns())
		r.source = &querySource{query: op}
		return k.over(r, q, true)
	}
}

// over is SELECT * FROM r with the ORDER BY and LIMIT of q.
func (k *checker) over(r *relation, q *queryExpr, namesOnly bool) (query, error) {
	space := r.namespace("")
	k.scope = &scope{spaces: []*namespace{space}, fields: space.fields}
	b := &block{k: k, from: r}
	for i, name := range r.names {
		b.targets = append(b.targets, outputColumn{name, r.column(i, -1), -1})
	}
	if namesOnly {
		for _, item := range q.orderBy {
			_, isLiteral := item.expr.(literal)
			if _, ok := item.expr.(columnRef); !isLiteral && !ok {
				if _, err := k.expr(item.expr); err != nil {
					return nil, err
				}
				return nil, failAt(item.pos(), codeUnsupported, "an expression in ORDER BY of UNION, INTERSECT or EXCEPT is not supported").hint("name a column of the result")
			}
		}
	}
	return b, b.finish(q)
}

// block checks a SELECT.
func (k *checker) block(s *selectStmt, q *queryExpr, part bool) (query, error) {
	b := &block{k: k, distinct: s.distinct}
	var err error
	if b.from, err = k.from(s.from); err != nil {
		return nil, err
	}
	k.named, k.outputs = s.windows, s.targets
	k.context = clause{name: "SELECT", srf: srfTarget}
	if b.targets, err = k.targets(s.targets, part); err != nil {
		return nil, err
	}
	if s.where != nil {
		done := k.clause("WHERE")
		if b.where, err = k.boolean(s.where, "WHERE"); err != nil {
			return nil, err
		}
		done()
	}
	if s.having != nil {
		k.context = clause{name: "HAVING", noWindow: true}
		if b.having, err = k.boolean(s.having, "HAVING"); err != nil {
			return nil, err
		}
	}
	if err = b.sort(q.orderBy); err != nil {
		return nil, err
	}
	if err = b.groupBy(s); err != nil {
		return nil, err
	}
	if len(s.distinctOn) > 0 {
		if err = b.uniqueOn(s.distinctOn); err != nil {
			return nil, err
		}
	}
	// What stands in the WINDOW clause is computed even if nothing uses it.
	windows, err := k.namedWindows()
	if err != nil {
		return nil, err
	}
	for _, e := range windows {
		if _, err := b.hide(e, -1, false, ""); err != nil {
			return nil, err
		}
	}
	b.grouped = len(s.groupBy) > 0 || s.having != nil || k.aggregates
	if k.aggregates && readsWorking(b.from) {
		return nil, failAt(queryPos(q), codeInvalidRecursion, "aggregate functions are not allowed in a recursive query's recursive term")
	}
	return b, b.window(q)
}

// finish checks ORDER BY and LIMIT of a block without clauses of its own.
func (b *block) finish(q *queryExpr) error {
	if err := b.sort(q.orderBy); err != nil {
		return err
	}
	return b.window(q)
}

// window checks LIMIT and OFFSET.
func (b *block) window(q *queryExpr) (err error) {
	if b.limit, err = b.k.count(q.limit, "LIMIT"); err != nil {
		return err
	}
	if q.withTies {
		if l, ok := q.limit.(literal); ok && l.kind == litNull {
			return failAt(l.pos(), codeInvalidLimit, "row count cannot be null in FETCH FIRST ... WITH TIES clause")
		}
		if len(b.order) == 0 {
			return failAt(q.pos(), codeSyntax, "WITH TIES cannot be specified without ORDER BY clause")
		}
		b.withTies = true
	}
	b.offset, err = b.k.count(q.offset, "OFFSET")
	return err
}

// targets checks the select list.
func (k *checker) targets(list []target, part bool) ([]outputColumn, error) {
	var out []outputColumn
	for _, t := range list {
		fields, many, err := k.fieldsOf(t.expr)
		if err != nil {
			return nil, err
		}
		if many {
			for _, f := range fields {
				out = append(out, outputColumn{f.name, f.at(t.pos()), t.pos()})
			}
			continue
		}
		e, err := k.expr(t.expr)
		if err != nil {
			return nil, err
		}
		name := t.name
		if name == "" {
			name, _ = columnName(t.expr)
		}
		if name == "" {
			name = "?column?"
		}
		if !part {
			e = k.known(e)
		}
		out = append(out, outputColumn{name, e, t.pos()})
	}
	if len(out) > k.limits.List {
		return nil, overLimit(int(out[k.limits.List].at), "list", k.limits.List, "the result has %d columns, more than the limit of %d", len(out), k.limits.List)
	}
	return out, nil
}

// fieldsOf is what *, alias.*, (alias).* or (function(…)).* stands for.
func (k *checker) fieldsOf(n node) (list []field, many bool, err error) {
	switch n := n.(type) {
	case columnRef:
		if n.star {
			list, err = k.star(n)
			return list, true, err
		}
	case fieldNode:
		if n.name == "" {
			list, err = k.members(n)
			return list, true, err
		}
	}
	return nil, false, nil
}

// star is what * or alias.* stands for.
func (k *checker) star(ref columnRef) ([]field, error) {
	if len(ref.fields) == 0 {
		if k.scope == nil {
			return nil, failAt(ref.pos(), codeSyntax, "SELECT * with no tables specified is not valid")
		}
		return k.scope.fields, nil
	}
	if len(ref.fields) > 1 {
		table, err := k.withoutSchema(ref.fields, ref.pos())
		if err != nil {
			return nil, err
		}
		ref.fields = []string{table}
	}
	if k.scope != nil {
		if space := k.scope.space(ref.fields[0]); space != nil && len(ref.fields) == 1 {
			return space.fields, nil
		}
	}
	for c := k.frame.outer; c != nil; c = c.frame.outer {
		if c.scope != nil && c.scope.space(ref.fields[0]) != nil {
			return nil, refuse(ref.pos(), "alias.* of an outer query")
		}
	}
	return nil, k.unknownSpace(columnRef{at: ref.at, fields: []string{ref.fields[0], "*"}})
}

// columnName is FigureColnameInternal of parse_target.c: the name for a
// column without AS, and how good it is (0 none, 1 weak, 2 strong).
func columnName(n node) (string, int) {
	switch n := n.(type) {
	case columnRef:
		if len(n.fields) > 0 {
			return n.fields[len(n.fields)-1], 2
		}
	case subscriptNode:
		return columnName(n.arg)
	case fieldNode:
		return n.name, 2
	case collateNode:
		return columnName(n.arg)
	case funcCall:
		return n.name, 2
	case valueFunc:
		return n.name, 2
	case nullIfNode:
		return "nullif", 2
	case coalesceNode:
		return "coalesce", 2
	case minMaxNode:
		if n.greatest {
			return "greatest", 2
		}
		return "least", 2
	case arrayNode:
		return "array", 2
	case castNode:
		if name, strength := columnName(n.arg); strength == 2 {
			return name, 2
		}
		return n.typ.name, 1
	case groupingCall:
		return "grouping", 2
	case sublink:
		switch n.kind {
		case sublinkExists:
			return "exists", 2
		case sublinkArray:
			return "array", 2
		case sublinkScalar:
			return firstName(n.query)
		}
	case caseNode:
		if n.other != nil {
			if name, strength := columnName(n.other); strength == 2 {
				return name, 2
			}
		}
		return "case", 1
	}
	return "", 0
}

// firstName is the name of the only column of a subquery.
func firstName(q *queryExpr) (string, int) {
	switch b := q.body.(type) {
	case *setStmt:
		return firstName(b.left)
	case *valuesStmt:
		return "column1", 2
	case *selectStmt:
		if len(b.targets) == 1 {
			if t := b.targets[0]; t.name != "" {
				return t.name, 2
			} else if name, _ := columnName(t.expr); name != "" {
				return name, 2
			}
		}
	}
	return "", 0
}

// ordinal finds the target that a bare number in GROUP BY or ORDER BY names.
func ordinal(n node, targets []outputColumn, clause string) (int, error) {
	l, ok := n.(literal)
	if !ok {
		return -1, nil
	}
	if l.kind != litInteger {
		return -1, failAt(n.pos(), codeSyntax, "non-integer constant in %s", clause)
	}
	i := number(l.text)
	if strings.HasPrefix(l.text, "-") || i < 1 || i > len(targets) {
		return -1, failAt(n.pos(), codeInvalidReference, "%s position %s is not in select list", clause, l.text)
	}
	return i - 1, nil
}

// named finds the target with an output name, -1 when there is none.
func named(name string, targets []outputColumn, pos int, clause string) (int, error) {
	found := -1
	for i, t := range targets {
		if t.name != name {
			continue
		}
		if found >= 0 && exprKey(targets[found].expr) != exprKey(t.expr) {
			return -1, failAt(pos, codeAmbiguousColumn, "%s %q is ambiguous", clause, name)
		}
		if found < 0 {
			found = i
		}
	}
	return found, nil
}

func hasAggregate(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		switch e.(type) {
		case *aggExpr, *groupingExpr:
			found = true
		}
		return !found
	})
	return found
}

// count checks LIMIT or OFFSET; NULL is as good as none.
func (k *checker) count(n node, clause string) (expr, error) {
	if n == nil {
		return nil, nil
	}
	defer k.clause(clause)()
	e, err := k.expr(n)
	if err != nil {
		return nil, err
	}
	if hasColumn(e) {
		return nil, failAt(n.pos(), codeInvalidReference, "argument of %s must not contain variables", clause)
	}
	if t := e.typ(); t != Unknown && t.category() != 'N' {
		return nil, failAt(n.pos(), codeDatatypeMismatch, "argument of %s must be type bigint, not type %v", clause, t)
	}
	if e, err = k.coerce(e, Int8, explicit, n.pos()); err != nil {
		return nil, err
	}
	return k.stmt.fold(e)
}

// exprKey is equal for expressions that are equal as written.
func exprKey(e expr) string {
	var b strings.Builder
	writeKey(&b, e)
	return b.String()
}

func writeKey(b *strings.Builder, e expr) {
	switch e := e.(type) {
	case *colExpr:
		fmt.Fprintf(b, "col %p %d", e.rel, e.index)
	case *paramExpr:
		fmt.Fprintf(b, "param %d", e.slot)
	case *subExpr:
		b.WriteString(e.key)
	case *windowExpr:
		fmt.Fprintf(b, "window %s %v %d %s %v", e.fn.name, e.fn.args, e.t, e.spec.key(), e.filter != nil)
	case *srfExpr:
		fmt.Fprintf(b, "rows %s %v", e.fn.name, e.types)
	case *constExpr:
		fmt.Fprintf(b, "%d:", e.t)
		if !e.v.null {
			fmt.Fprintf(b, "%q", output(e.t, e.v))
		}
	case *callExpr:
		fmt.Fprintf(b, "%s %d %v", e.fn.name, e.t, e.fn.args)
		if e.fn.bind == nil && len(e.args) == 1 && e.fn.ret == e.args[0].typ() {
			fmt.Fprintf(b, "%p", e.fn) // a type modifier has a function of its own
		}
	case *aggExpr:
		fmt.Fprintf(b, "agg %s %v %d %v", e.fn.name, e.fn.args, e.t, e.distinct)
		for _, o := range e.order {
			fmt.Fprintf(b, " %v%v", o.descending, o.nullsFirst)
		}
		if e.filter != nil {
			b.WriteString(" filter")
		}
	case *logicExpr:
		b.WriteString(e.kind.String())
	case *nullExpr:
		fmt.Fprintf(b, "null %v", e.not)
	case *boolExpr:
		fmt.Fprintf(b, "bool %d", e.test)
	case *distinctExpr:
		fmt.Fprintf(b, "distinct %v", e.not)
	case *extremeExpr:
		fmt.Fprintf(b, "extreme %v", e.greatest)
	case *quantExpr:
		fmt.Fprintf(b, "quant %s %v", e.fn.name, e.all)
	default:
		fmt.Fprintf(b, "%T %d", e, e.typ())
	}
	b.WriteByte('(')
	for _, c := range children(e) {
		writeKey(b, *c)
		b.WriteByte(',')
	}
	b.WriteByte(')')
}

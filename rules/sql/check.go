package sql

import (
	"fmt"
	"strings"

	"daemoneye/bus/event"
)

// checker gives a syntax tree its meaning: names, types, and the rules about
// where aggregates and columns may stand.
type checker struct {
	limits Limits
	table  *event.Table // nil without FROM
	alias  string
	names  []string // of the table's columns, as the alias may have renamed them
	scan   *scanNode

	noAggregate string // the clause being checked, where no aggregate may stand
	inAggregate bool
	aggregates  bool // an aggregate was seen
}

// output is one column of the select list, or an expression added to sort by.
type outputColumn struct {
	name string
	expr expr
	at   int
}

// check checks and plans s.
func check(s *selectStmt, limits Limits) (*Query, error) {
	k := &checker{limits: limits}
	if err := k.from(s.from); err != nil {
		return nil, err
	}
	b := &builder{k: k}
	var err error
	if b.targets, err = k.targets(s.targets); err != nil {
		return nil, err
	}
	if s.where != nil {
		k.noAggregate = "WHERE"
		if b.where, err = k.boolean(s.where, "WHERE"); err != nil {
			return nil, err
		}
		k.noAggregate = ""
	}
	if b.having, err = k.having(s.having); err != nil {
		return nil, err
	}
	if err = b.sort(s); err != nil {
		return nil, err
	}
	if b.groups, err = k.groups(s.groupBy, b.targets); err != nil {
		return nil, err
	}
	b.grouped = len(s.groupBy) > 0 || s.hasHaving || k.aggregates
	b.distinct = s.distinct
	if b.limit, err = k.count(s.limit, "LIMIT"); err != nil {
		return nil, err
	}
	if b.offset, err = k.count(s.offset, "OFFSET"); err != nil {
		return nil, err
	}
	return b.plan()
}

func (k *checker) having(n node) (expr, error) {
	if n == nil {
		return nil, nil
	}
	return k.boolean(n, "HAVING")
}

func (k *checker) from(list []node) error {
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		return refuse(list[1].pos(), "more than one table in FROM")
	}
	t, ok := list[0].(*tableRef)
	if !ok {
		return refuse(list[0].pos(), "this in FROM")
	}
	if k.table = event.Lookup(t.name); k.table == nil {
		return unknownTable(t.pos(), t.name)
	}
	k.alias = t.alias
	k.scan = &scanNode{table: k.table}
	for _, c := range k.table.Columns {
		k.names = append(k.names, c.Name)
	}
	if len(t.columns) > len(k.names) {
		return failAt(t.pos(), codeInvalidReference, "table %q has %d columns available but %d columns specified", t.alias, len(k.names), len(t.columns))
	}
	copy(k.names, t.columns)
	return nil
}

func unknownTable(pos int, name string) *Error {
	var names []string
	for _, t := range event.Tables() {
		names = append(names, t.Name)
	}
	e := failAt(pos, codeUndefinedTable, "table %q does not exist", name)
	if hint := didYouMean(name, names); hint != "" {
		return e.hint("%s", hint)
	}
	return e.hint("tables: %s", strings.Join(names, ", "))
}

// column resolves a reference to a column.
func (k *checker) column(n columnRef) (expr, error) {
	if n.star {
		return nil, refuse(n.pos(), "* here")
	}
	name := n.fields[len(n.fields)-1]
	switch {
	case len(n.fields) == 2 && n.fields[0] != k.alias:
		if k.table != nil && n.fields[0] == k.table.Name {
			return nil, failAt(n.pos(), codeUndefinedTable, "invalid reference to FROM-clause entry for table %q", n.fields[0]).hint("write its alias %q", k.alias)
		}
		return nil, failAt(n.pos(), codeUndefinedTable, "missing FROM-clause entry for table %q", n.fields[0])
	case len(n.fields) > 2:
		return nil, refuse(n.pos(), "a name of more than two parts")
	}
	found := -1
	for i, c := range k.names {
		if c == name {
			if found >= 0 {
				return nil, failAt(n.pos(), codeAmbiguousColumn, "column reference %q is ambiguous", name)
			}
			found = i
		}
	}
	if found >= 0 {
		return k.columnAt(found, n.pos()), nil
	}
	if k.table == nil {
		return nil, failAt(n.pos(), codeUndefinedColumn, "column %q does not exist", name).hint("there is no FROM")
	}
	if name == k.alias && len(n.fields) == 1 {
		return nil, refuse(n.pos(), "a whole row as a value")
	}
	e := failAt(n.pos(), codeUndefinedColumn, "column %q does not exist in %s", name, k.table.Name)
	return nil, e.hint("%s", didYouMean(name, k.names))
}

// columnAt is column i of the table as read by the scan.
func (k *checker) columnAt(i, pos int) expr {
	return &colExpr{index: k.scan.use(i), t: typeOf(k.table.Columns[i].Type), name: k.alias + "." + k.names[i], at: pos}
}

// targets checks the select list.
func (k *checker) targets(list []target) ([]outputColumn, error) {
	var out []outputColumn
	for _, t := range list {
		if ref, ok := t.expr.(columnRef); ok && ref.star {
			if len(ref.fields) > 0 && ref.fields[0] != k.alias {
				return nil, failAt(t.pos(), codeUndefinedTable, "missing FROM-clause entry for table %q", ref.fields[0])
			}
			if k.table == nil {
				return nil, failAt(t.pos(), codeSyntax, "SELECT * with no tables specified is not valid")
			}
			for i, name := range k.names {
				out = append(out, outputColumn{name, k.columnAt(i, t.pos()), t.pos()})
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
		out = append(out, outputColumn{name, k.known(e), t.pos()})
	}
	if len(out) > k.limits.List {
		return nil, fail(codeLimit, "the result has %d columns, more than the limit of %d", len(out), k.limits.List)
	}
	return out, nil
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

// groups checks GROUP BY: a name is a column of the input before it is one of
// the output (the standard's order is the other way for ORDER BY).
func (k *checker) groups(list []node, targets []outputColumn) ([]expr, error) {
	k.noAggregate = "GROUP BY"
	defer func() { k.noAggregate = "" }()
	var out []expr
	for _, n := range list {
		i, err := ordinal(n, targets, "GROUP BY")
		if err != nil {
			return nil, err
		}
		if ref, ok := n.(columnRef); ok && i < 0 && len(ref.fields) == 1 && !contains(k.names, ref.fields[0]) {
			if i, err = named(ref.fields[0], targets, n.pos(), "GROUP BY"); err != nil {
				return nil, err
			}
		}
		if i >= 0 {
			if hasAggregate(targets[i].expr) {
				return nil, failAt(n.pos(), codeGrouping, "aggregate functions are not allowed in GROUP BY")
			}
			out = append(out, targets[i].expr)
			continue
		}
		e, err := k.expr(n)
		if err != nil {
			return nil, err
		}
		out = append(out, k.known(e))
	}
	return out, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func hasAggregate(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*aggExpr); ok {
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
	k.noAggregate = clause
	defer func() { k.noAggregate = "" }()
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
	return fold(e)
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
		fmt.Fprintf(b, "col %d", e.index)
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

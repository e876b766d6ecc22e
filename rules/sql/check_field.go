package sql

import "slices"

// member checks (arg).name, where arg is an item of FROM or a call of a
// function that gives several columns.
func (k *checker) member(n fieldNode) (expr, error) {
	if n.name == "" {
		return nil, refuse(n.pos(), "* here")
	}
	if ref, ok := k.itemOfFrom(n); ok {
		return k.column(columnRef{at: n.at, fields: []string{ref, n.name}})
	}
	e, err := k.composite(n)
	if err != nil {
		return nil, err
	}
	i := slices.Index(e.fn.columns, n.name)
	if i < 0 {
		return nil, failAt(n.pos(), codeUndefinedColumn, "could not identify column %q in record data type", n.name)
	}
	return e.column(i), nil
}

// members checks (arg).*.
func (k *checker) members(n fieldNode) ([]field, error) {
	if ref, ok := k.itemOfFrom(n); ok {
		return k.star(columnRef{at: n.at, fields: []string{ref}, star: true})
	}
	e, err := k.composite(n)
	if err != nil {
		return nil, err
	}
	var out []field
	for i, name := range e.fn.columns {
		out = append(out, field{name, e.column(i)})
	}
	return out, nil
}

// itemOfFrom reports whether arg is the name of an item of FROM and of no column.
func (k *checker) itemOfFrom(n fieldNode) (string, bool) {
	ref, ok := n.arg.(columnRef)
	if !ok || len(ref.fields) != 1 || ref.star {
		return "", false
	}
	s := k.spaceOf(ref.fields[0])
	return ref.fields[0], s != nil && s.value == nil
}

// spaceOf is the item of FROM with a name that is not one of a column.
func (k *checker) spaceOf(name string) *namespace {
	for c := k; c != nil; c = c.frame.outer {
		if c.scope == nil {
			continue
		}
		if slices.ContainsFunc(c.scope.fields, func(f field) bool { return f.name == name }) {
			return nil
		}
		if s := c.scope.space(name); s != nil {
			return s
		}
	}
	return nil
}

// wholeRow reports whether n is a row: as written, or alias, or alias.*.
func (k *checker) wholeRow(n node) (rowNode, bool) {
	if row, ok := n.(rowNode); ok {
		return row, true
	}
	ref, ok := n.(columnRef)
	if !ok || len(ref.fields) != 1 {
		return rowNode{}, false
	}
	s := k.spaceOf(ref.fields[0])
	if s == nil || s.value != nil {
		return rowNode{}, false
	}
	row := rowNode{at: ref.at}
	seen := make(map[string]bool)
	for _, f := range s.fields {
		if seen[f.name] {
			return rowNode{}, false // it can not be named
		}
		seen[f.name] = true
		row.fields = append(row.fields, columnRef{at: ref.at, fields: []string{ref.fields[0], f.name}})
	}
	return row, true
}

// countOfRows writes count of a row by its columns. A row that is written as
// one, such as (a, b), is never NULL. The row of a table is NULL where an outer
// join found none, as are then its columns, of which some are NULL nowhere else.
func (k *checker) countOfRows(n funcCall, list []*function) (funcCall, []*function) {
	if len(n.args) != 1 || len(n.names) > 0 || n.variadic {
		return n, list
	}
	if row, ok := n.args[0].(rowNode); ok && (len(row.fields) > 0 || !n.distinct) {
		n.args = row.fields
		return n, []*function{countOfRow(len(row.fields))}
	}
	ref, ok := n.args[0].(columnRef)
	if !ok || len(ref.fields) != 1 || n.distinct {
		return n, list
	}
	s := k.spaceOf(ref.fields[0])
	if s == nil {
		return n, list
	}
	for _, f := range s.fields {
		c, ok := f.expr.(*colExpr)
		if ok && c.rel.notes != nil && c.rel.notes.Columns[c.index].NotNull {
			n.args = []node{columnRef{at: ref.at, fields: []string{ref.fields[0], f.name}}}
			break
		}
	}
	return n, list
}

// composite checks the argument of n, which must be a call of a function that
// gives several columns.
func (k *checker) composite(n fieldNode) (*srfExpr, error) {
	saved := k.wide
	_, k.wide = n.arg.(funcCall)
	e, err := k.expr(n.arg)
	k.wide = saved
	if err != nil {
		return nil, err
	}
	s, ok := e.(*srfExpr)
	if !ok || len(s.types) < 2 {
		if len(theCatalog().functions[n.name]) > 0 || typeByName(n.name) != 0 || postgresTypes[n.name] {
			return nil, refuse(n.pos(), "a function called as a field").hint("write %s(…)", n.name)
		}
		return nil, failAt(n.pos(), codeWrongObject, "column notation .%s applied to type %v, which is not a composite type", n.name, k.known(e).typ())
	}
	return s, nil
}

// column is a call that gives column i only.
func (e *srfExpr) column(i int) *srfExpr {
	fn := *e.fn
	fn.name, fn.columns = e.fn.name+"."+e.fn.columns[i], []string{""}
	fn.rows = func(x *env, a []value, yield func([]value) error) error {
		return e.fn.rows(x, a, func(row []value) error { return yield(row[i : i+1]) })
	}
	return &srfExpr{fn: &fn, args: e.args, types: e.types[i : i+1], at: e.at}
}

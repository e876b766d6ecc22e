package sql

import (
	"fmt"
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// relation is what an expression's columns are of: an item of FROM, or what a
// step of the plan makes (groups, windows, rows of set-returning functions).
type relation struct {
	alias  string
	names  []string
	types  []Type
	notes  *event.Table // whose columns these are, nil if they are of no table
	source fromSource   // nil for a step of the plan
	reads  []int        // by position: in how many places the plan reads the column
}

func newRelation(alias string, columns []Column) *relation {
	r := &relation{alias: alias}
	for _, c := range columns {
		r.add(c.Name, c.Type)
	}
	return r
}

// used reports by position which columns the plan needs.
func (r *relation) used() []bool {
	out := make([]bool, len(r.reads))
	for i, n := range r.reads {
		out[i] = n > 0
	}
	return out
}

// add adds a column and returns its position.
func (r *relation) add(name string, t Type) int {
	r.names, r.types, r.reads = append(r.names, name), append(r.types, t), append(r.reads, 0)
	return len(r.names) - 1
}

// column is column i as an expression.
func (r *relation) column(i, pos int) *colExpr {
	return &colExpr{rel: r, index: i, t: r.types[i], name: r.alias + "." + r.names[i], at: pos}
}

// rename gives the first columns other names, as in t(a, b).
func (r *relation) rename(names []string, pos int) error {
	if len(names) > len(r.names) {
		return failAt(pos, codeInvalidReference, "table %q has %d columns available but %d columns specified", r.alias, len(r.names), len(names))
	}
	copy(r.names, names)
	return nil
}

// field is a name that an expression may use, and what it stands for.
type field struct {
	name string
	expr expr // of a merged column of USING, a COALESCE
}

// namespace is a name that may stand before a point: an alias and its fields.
type namespace struct {
	alias  string
	table  string // the name that the alias hides, "" when there is none
	fields []field
	public bool     // a table without alias, which the schema may stand before
	value  *colExpr // what the alias stands for by itself, of a function with one column
}

func (r *relation) namespace(table string) *namespace {
	n := &namespace{alias: r.alias}
	if table != r.alias {
		n.table = table
	}
	for i, name := range r.names {
		n.fields = append(n.fields, field{name, r.column(i, -1)})
	}
	return n
}

// scope is what FROM, or a part of it, lets expressions name.
type scope struct {
	spaces []*namespace
	fields []field // without qualification, in the order of *; a name may stand twice
}

func (s *scope) join(t *scope) *scope {
	return &scope{spaces: slices.Concat(s.spaces, t.spaces), fields: slices.Concat(s.fields, t.fields)}
}

func (s *scope) space(alias string) *namespace {
	for _, n := range s.spaces {
		if n.alias == alias {
			return n
		}
	}
	return nil
}

// at returns a copy of a field's expression with the position of a reference.
func (f field) at(pos int) expr {
	if c, ok := f.expr.(*colExpr); ok {
		d := *c
		d.at = pos
		return &d
	}
	return f.expr
}

// frame is a query that is run by itself: the statement, a subquery of an
// expression or of FROM. Its params are what it needs of the query around it,
// in that query's terms.
type frame struct {
	outer  *checker // nil for the statement
	params []expr
	plan   *subPlan // of a subquery of an expression, once it is planned
}

// param returns the parameter that stands for e, an expression of the outer query.
func (f *frame) param(e expr) expr {
	key := exprKey(e)
	for i, p := range f.params {
		if exprKey(p) == key {
			return &paramExpr{slot: i, t: e.typ()}
		}
	}
	f.params = append(f.params, e)
	return &paramExpr{slot: len(f.params) - 1, t: e.typ()}
}

// column resolves a reference to a column, of this query or of one around it.
func (k *checker) column(n columnRef) (expr, error) {
	switch {
	case n.star:
		return nil, refuse(n.pos(), "a whole row as a value")
	case len(n.fields) > 2:
		table, err := k.withoutSchema(n.fields[:len(n.fields)-1], n.pos())
		if err != nil {
			return nil, err
		}
		n.fields = []string{table, n.fields[len(n.fields)-1]}
	}
	e, err := k.lookup(n)
	if e != nil || err != nil {
		return e, err
	}
	return nil, k.unknownColumn(n)
}

// withoutSchema is table for public.table, the name of a table in FROM.
func (k *checker) withoutSchema(fields []string, pos int) (string, error) {
	if len(fields) > 2 {
		return "", refuse(pos, "a name of more than three parts")
	}
	for c := k; c != nil && fields[0] == "public"; c = c.frame.outer {
		if c.scope == nil {
			continue
		}
		if s := c.scope.space(fields[1]); s != nil && s.public {
			return fields[1], nil
		}
	}
	return "", failAt(pos, codeUndefinedTable, "missing FROM-clause entry for table %q", strings.Join(fields, "."))
}

// lookup returns nil, nil for a column that is not there.
func (k *checker) lookup(n columnRef) (expr, error) {
	if k.scope != nil {
		e, err := k.scope.find(n)
		if e != nil || err != nil {
			return e, err
		}
	}
	outer := k.frame.outer
	if outer == nil {
		return nil, nil
	}
	e, err := outer.lookup(n)
	if e == nil || err != nil {
		return nil, err
	}
	return k.frame.param(e), nil
}

func (s *scope) find(n columnRef) (expr, error) {
	name := n.fields[len(n.fields)-1]
	list := s.fields
	if len(n.fields) == 2 {
		space := s.space(n.fields[0])
		if space == nil {
			return nil, nil
		}
		list = space.fields
	}
	found := -1
	for i, f := range list {
		if f.name != name {
			continue
		}
		if found >= 0 {
			return nil, failAt(n.pos(), codeAmbiguousColumn, "column reference %q is ambiguous", name).hint("%s", s.qualified(name))
		}
		found = i
	}
	if found >= 0 {
		return list[found].at(n.pos()), nil
	}
	if space := s.space(name); len(n.fields) == 1 && space != nil {
		if space.value != nil {
			return field{expr: space.value}.at(n.pos()), nil
		}
		return nil, refuse(n.pos(), "a whole row as a value")
	}
	return nil, nil
}

// qualified says how to name one of the columns of this name.
func (s *scope) qualified(name string) string {
	var out []string
	for _, n := range s.spaces {
		if slices.ContainsFunc(n.fields, func(f field) bool { return f.name == name }) {
			out = append(out, n.alias+"."+name)
		}
	}
	if len(out) < 2 {
		return ""
	}
	return "write " + strings.Join(out, " or ")
}

// unknownColumn is the error for a name that no query knows.
func (k *checker) unknownColumn(n columnRef) error {
	name := n.fields[len(n.fields)-1]
	if len(n.fields) == 2 {
		return k.unknownSpace(n)
	}
	var names, tables []string
	for c := k; c != nil; c = c.frame.outer {
		if c.barred != nil && slices.ContainsFunc(c.barred.fields, func(f field) bool { return f.name == name }) {
			return failAt(n.pos(), codeInvalidReference, "invalid reference to column %q", name).hint("for LATERAL the JOIN must be INNER or LEFT")
		}
		if c.scope == nil {
			continue
		}
		for _, f := range c.scope.fields {
			names = append(names, f.name)
		}
		for _, s := range c.scope.spaces {
			tables = append(tables, s.alias)
			if s.table != "" {
				tables[len(tables)-1] = s.table
			}
		}
	}
	if len(tables) == 0 {
		return failAt(n.pos(), codeUndefinedColumn, "column %q does not exist", name).hint("there is no FROM")
	}
	e := failAt(n.pos(), codeUndefinedColumn, "column %q does not exist in %s", name, strings.Join(tables, ", "))
	for c := k; c != nil; c = c.frame.outer {
		if slices.ContainsFunc(c.outputs, func(t target) bool { return t.name == name }) {
			return e.hint("it names a column of the result, which expressions of the same SELECT can not use: write out what it stands for, or SELECT … FROM (SELECT …)")
		}
	}
	return e.hint("%s", columnHint(name, names, tables))
}

// columnHint says where an unknown column of the named tables is, or which of
// the columns known there it could be.
func columnHint(name string, names, tables []string) string {
	if slices.ContainsFunc(tables, func(t string) bool { return event.Lookup(t) != nil }) {
		if ours := otherColumn(name, names); ours != "" {
			return fmt.Sprintf("did you mean %q?", ours)
		}
		var of []string
		for _, t := range event.Tables() {
			if t.Index(name) >= 0 {
				of = append(of, t.Name)
			}
		}
		if len(of) > 0 {
			return "it is a column of " + strings.Join(of, ", ")
		}
	}
	return didYouMean(name, names)
}

// unknownSpace is the error for qualifier.column.
func (k *checker) unknownSpace(n columnRef) error {
	for c := k; c != nil; c = c.frame.outer {
		if c.barred != nil && c.barred.space(n.fields[0]) != nil {
			return failAt(n.pos(), codeInvalidReference, "invalid reference to FROM-clause entry for table %q", n.fields[0]).hint("for LATERAL the JOIN must be INNER or LEFT")
		}
		for _, s := range []*scope{c.scope, c.hidden} {
			if s == nil {
				continue
			}
			if space := s.space(n.fields[0]); space != nil && s == c.scope {
				var names []string
				for _, f := range space.fields {
					names = append(names, f.name)
				}
				of := space.alias
				if space.table != "" {
					of = space.table
				}
				e := failAt(n.pos(), codeUndefinedColumn, "column %q does not exist in %s", n.fields[1], of)
				return e.hint("%s", columnHint(n.fields[1], names, []string{of}))
			} else if space != nil {
				return failAt(n.pos(), codeUndefinedTable, "invalid reference to FROM-clause entry for table %q", n.fields[0]).hint("a subquery in FROM sees what is before it only with LATERAL")
			}
			for _, space := range s.spaces {
				if space.table == n.fields[0] {
					return failAt(n.pos(), codeUndefinedTable, "invalid reference to FROM-clause entry for table %q", n.fields[0]).hint("write its alias %q", space.alias)
				}
			}
		}
	}
	return failAt(n.pos(), codeUndefinedTable, "missing FROM-clause entry for table %q", n.fields[0])
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

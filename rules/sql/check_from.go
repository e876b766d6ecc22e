package sql

import (
	"fmt"
	"slices"

	"daemoneye/bus/event"
)

// fromTree is FROM after the check: a *relation, or a *joinTree.
type fromTree interface{}

// joinTree joins two parts of FROM.
type joinTree struct {
	kind        joinKind
	left, right fromTree
	on          expr // nil: every pair
}

// fromSource is where a relation's rows come from.
type fromSource interface{ isSource() }

type (
	tableSource struct{ table *event.Table }

	// querySource is a subquery; frame is nil if it is of the same frame.
	querySource struct {
		query query
		frame *frame
		args  []expr // instead of the frame's params; nil: these
	}

	// cteSource is a query of WITH, working one that refers to itself.
	cteSource struct {
		cte     *cte
		working bool
	}

	// valuesSource is VALUES; each row has as many expressions as there are columns.
	valuesSource struct{ rows [][]expr }

	// functionSource is one or several set-returning functions side by side.
	functionSource struct {
		calls      []*srfExpr
		ordinality bool
	}
)

// params are what the subquery needs of the query around it.
func (s *querySource) params() []expr {
	switch {
	case s.frame == nil:
		return nil
	case s.args != nil:
		return s.args
	}
	return s.frame.params
}

func (*tableSource) isSource()    {}
func (*querySource) isSource()    {}
func (*cteSource) isSource()      {}
func (*valuesSource) isSource()   {}
func (*functionSource) isSource() {}

// from checks FROM and lets the query's expressions see it.
func (k *checker) from(list []node) (fromTree, error) {
	if len(list) == 0 {
		return nil, nil
	}
	saved := k.context
	k.context = clause{name: "FROM clause of their own query level", noAggregate: true, noWindow: true}
	defer func() { k.context = saved }()
	var tree fromTree
	seen := &scope{}
	for _, n := range list {
		item, s, err := k.fromItem(n, seen)
		if err != nil {
			return nil, err
		}
		if err := distinctAliases(seen, s, n.pos()); err != nil {
			return nil, err
		}
		seen = seen.join(s)
		if tree == nil {
			tree = item
		} else {
			tree = &joinTree{kind: joinInner, left: tree, right: item}
		}
	}
	k.scope = seen
	return tree, nil
}

func distinctAliases(a, b *scope, pos int) error {
	for _, n := range b.spaces {
		if n.alias != "" && a.space(n.alias) != nil {
			return failAt(pos, codeDuplicateAlias, "table name %q specified more than once", n.alias)
		}
	}
	return nil
}

// fromItem checks one item; before is what stands to its left.
func (k *checker) fromItem(n node, before *scope) (fromTree, *scope, error) {
	var r *relation
	var space *namespace
	var err error
	switch n := n.(type) {
	case *joinRef:
		return k.join(n, before)
	case *tableRef:
		r, space, err = k.table(n)
	case *subqueryRef:
		r, err = k.subquery(n, before)
	case *functionRef:
		r, space, err = k.functions(n, before)
	default:
		return nil, nil, refuse(n.pos(), "this in FROM")
	}
	if err != nil {
		return nil, nil, err
	}
	if space == nil {
		space = r.namespace(r.alias)
	}
	return r, &scope{spaces: []*namespace{space}, fields: space.fields}, nil
}

func (k *checker) table(n *tableRef) (*relation, *namespace, error) {
	var r *relation
	if c := k.ctes.find(n.name); c != nil && !n.qualified {
		working, err := c.refer(n.pos())
		if err != nil {
			return nil, nil, err
		}
		r = newRelation(n.alias, c.columns)
		r.source = &cteSource{cte: c, working: working}
	} else {
		t := event.Lookup(n.name)
		if t == nil {
			return nil, nil, unknownTable(n.pos(), n.name)
		}
		r = &relation{alias: n.alias, source: &tableSource{t}, notes: t}
		for _, c := range t.Columns {
			r.add(c.Name, typeOf(c.Type))
		}
		if !slices.Contains(k.stmt.tables, t) {
			k.stmt.tables = append(k.stmt.tables, t)
		}
	}
	if err := r.rename(n.columns, n.pos()); err != nil {
		return nil, nil, err
	}
	space := r.namespace(n.name)
	space.public = r.notes != nil && space.table == ""
	return r, space, nil
}

// within runs f with only what is in sight visible to lateral references.
func (k *checker) within(visible, hidden *scope, f func() error) error {
	scope, was := k.scope, k.hidden
	k.scope, k.hidden = visible, hidden
	defer func() { k.scope, k.hidden = scope, was }()
	return f()
}

func (k *checker) subquery(n *subqueryRef, before *scope) (*relation, error) {
	f := &frame{outer: k}
	visible, hidden := before, (*scope)(nil)
	if !n.lateral {
		visible, hidden = nil, before
	}
	var q query
	err := k.within(visible, hidden, func() (err error) {
		q, err = k.stmt.query(n.query, f, k.ctes, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := newRelation(n.alias, q.columns())
	r.source = &querySource{query: q, frame: f}
	return r, r.rename(n.columns, n.pos())
}

// functions checks set-returning functions in FROM, which see what is before them.
func (k *checker) functions(n *functionRef, before *scope) (*relation, *namespace, error) {
	src := &functionSource{ordinality: n.ordinality}
	r := &relation{alias: n.alias, source: src}
	plain := len(n.calls) == 1 && !n.ordinality
	err := k.within(before, nil, func() error {
		for _, c := range spreadUnnest(n.calls) {
			saved := k.context
			k.context = clause{name: "functions in FROM", noAggregate: true, noWindow: true, srf: srfFrom}
			e, err := k.function(c)
			k.context = saved
			if err != nil {
				return err
			}
			s, ok := e.(*srfExpr)
			if !ok {
				s = scalarRows(k.known(e), c.name)
			}
			src.calls = append(src.calls, s)
			for i, t := range s.types {
				name := s.fn.columns[i]
				if name == "" {
					name = c.name
					if plain && n.alias != "" {
						name = n.alias
					}
				}
				r.add(name, t)
			}
			plain = plain && len(s.types) == 1
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if n.ordinality {
		r.add("ordinality", Int8)
	}
	if err := r.rename(n.columns, n.pos()); err != nil {
		return nil, nil, err
	}
	space := r.namespace(r.alias)
	if plain {
		space.value = r.column(0, -1)
	}
	return r, space, nil
}

// spreadUnnest writes unnest(a, b) as unnest(a) beside unnest(b).
func spreadUnnest(list []funcCall) []funcCall {
	var out []funcCall
	for _, c := range list {
		if c.name != "unnest" || len(c.args) < 2 {
			out = append(out, c)
			continue
		}
		for _, a := range c.args {
			one := c
			one.args = []node{a}
			out = append(out, one)
		}
	}
	return out
}

func (k *checker) join(n *joinRef, before *scope) (fromTree, *scope, error) {
	left, ls, err := k.side(n.left, before, n.kind == joinRight || n.kind == joinFull)
	if err != nil {
		return nil, nil, err
	}
	visible, barred := before.join(ls), k.barred
	if n.kind == joinRight || n.kind == joinFull {
		visible, k.barred = before, ls
	}
	right, rs, err := k.side(n.right, visible, n.kind == joinLeft || n.kind == joinFull)
	k.barred = barred
	if err != nil {
		return nil, nil, err
	}
	if err := distinctAliases(ls, rs, n.pos()); err != nil {
		return nil, nil, err
	}
	tree := &joinTree{kind: n.kind, left: left, right: right}
	both := ls.join(rs)
	using := n.using
	if n.natural {
		using = commonNames(ls, rs)
	}
	var merged []field
	if len(using) > 0 {
		if merged, err = k.using(tree, n, using, ls, rs); err != nil {
			return nil, nil, err
		}
		keep := func(f field) bool { return !slices.Contains(using, f.name) }
		both.fields = slices.Concat(merged, filterFields(ls.fields, keep), filterFields(rs.fields, keep))
		if n.usingAlias != "" {
			both.spaces = append(both.spaces, &namespace{alias: n.usingAlias, fields: merged})
		}
	}
	if n.on != nil {
		err := k.within(both, before, func() (err error) {
			defer k.clause("JOIN/ON")()
			tree.on, err = k.boolean(n.on, "JOIN/ON")
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if n.alias != "" {
		space := &namespace{alias: n.alias, fields: slices.Clone(both.fields)}
		if len(n.columns) > len(space.fields) {
			return nil, nil, failAt(n.pos(), codeInvalidReference, "table %q has %d columns available but %d columns specified", n.alias, len(space.fields), len(n.columns))
		}
		for i, name := range n.columns {
			space.fields[i].name = name
		}
		both = &scope{spaces: []*namespace{space}, fields: space.fields}
	}
	return tree, both, nil
}

// side checks one side of a join; nullable: the join may make its columns NULL.
func (k *checker) side(n node, before *scope, nullable bool) (fromTree, *scope, error) {
	if nullable {
		k.stmt.nullable++
		defer func() { k.stmt.nullable-- }()
	}
	return k.fromItem(n, before)
}

func filterFields(list []field, keep func(field) bool) []field {
	var out []field
	for _, f := range list {
		if keep(f) {
			out = append(out, f)
		}
	}
	return out
}

// commonNames are the columns by which NATURAL joins, in the order of the left side.
func commonNames(l, r *scope) []string {
	var out []string
	for _, f := range l.fields {
		if slices.ContainsFunc(r.fields, func(g field) bool { return g.name == f.name }) && !slices.Contains(out, f.name) {
			out = append(out, f.name)
		}
	}
	return out
}

// using adds equality of the named columns to the join's condition, and
// returns the merged columns: the left one, of a RIGHT JOIN the right one, of
// a FULL JOIN the one that is not NULL.
func (k *checker) using(tree *joinTree, n *joinRef, names []string, ls, rs *scope) ([]field, error) {
	var merged []field
	on := &logicExpr{kind: logicAnd}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, failAt(n.pos(), codeDuplicateColumn, "column name %q appears more than once in USING clause", name)
		}
		var sides [2]expr
		for j, s := range []*scope{ls, rs} {
			e, err := (&scope{fields: s.fields}).find(columnRef{at: at(n.pos()), fields: []string{name}})
			if err != nil {
				return nil, failAt(n.pos(), codeAmbiguousColumn, "common column name %q appears more than once in %s table", name, [...]string{"left", "right"}[j])
			}
			if e == nil {
				return nil, failAt(n.pos(), codeUndefinedColumn, "column %q specified in USING clause does not exist in %s table", name, [...]string{"left", "right"}[j])
			}
			sides[j] = e
		}
		both := []expr{sides[0], sides[1]}
		t, err := k.unify(both, "JOIN/USING", n.pos())
		if err != nil {
			return nil, err
		}
		eq, err := k.op("=", []expr{sides[0], sides[1]}, n.pos())
		if err != nil {
			return nil, err
		}
		on.args = append(on.args, eq)
		var e expr
		switch n.kind {
		case joinRight:
			e = both[1]
		case joinFull:
			e = &coalesceExpr{args: both, t: t}
		default:
			if e = both[0]; n.kind == joinInner && e != sides[0] && both[1] == sides[1] {
				e = both[1] // rather the one that needs no cast
			}
		}
		merged = append(merged, field{name, e})
	}
	tree.on = on
	if len(on.args) == 1 {
		tree.on = on.args[0]
	}
	return merged, nil
}

// scalarRows lets a function that gives one value stand in FROM.
func scalarRows(e expr, name string) *srfExpr {
	fn := &function{name: name, columns: []string{""}, ret: e.typ()}
	fn.rows = func(_ *env, a []value, yield func([]value) error) error { return yield(a) }
	return &srfExpr{fn: fn, args: []expr{e}, types: []Type{e.typ()}}
}

// values checks VALUES: each column has the common type of its rows.
func (k *checker) values(v *valuesStmt) (*relation, error) {
	defer k.clause("VALUES")()
	src := &valuesSource{}
	for _, row := range v.rows {
		if len(row) != len(v.rows[0]) {
			return nil, failAt(v.pos(), codeSyntax, "VALUES lists must all be the same length")
		}
		list, err := k.exprs(row)
		if err != nil {
			return nil, err
		}
		src.rows = append(src.rows, list)
	}
	r := &relation{alias: "*VALUES*", source: src}
	for i := range v.rows[0] {
		column := make([]expr, len(src.rows))
		for j, row := range src.rows {
			column[j] = row[i]
		}
		t, err := k.unify(column, "VALUES", v.pos())
		if err != nil {
			return nil, err
		}
		for j, e := range column {
			src.rows[j][i] = e
		}
		r.add(fmt.Sprintf("column%d", i+1), t)
	}
	return r, nil
}

package sql

import "slices"

// cte is a query of WITH.
type cte struct {
	name    string
	columns []Column
	query   query  // of a recursive one its first part
	step    query  // the recursive part, nil of others
	all     bool   // UNION ALL between the two
	frame   *frame // whose parameters the query uses
	refs    int
	keep    bool // AS MATERIALIZED: not in place of the reference
	planned bool

	state   cteState
	context *statement
	// while the recursive part is checked
	sublinks, nullable int
	working            int
}

type cteState uint8

const (
	cteDone cteState = iota
	cteNotRecursive
	cteFirstPart
	cteStep
)

// cteScope is the queries of WITH in sight, innermost first.
type cteScope struct {
	list []*cte
	next *cteScope
}

func (s *cteScope) find(name string) *cte {
	for ; s != nil; s = s.next {
		for _, c := range s.list {
			if c.name == name {
				return c
			}
		}
	}
	return nil
}

// refer counts a reference; working says that it is the recursive one.
func (c *cte) refer(pos int) (working bool, err error) {
	bad := func(what string) (bool, error) {
		return false, failAt(pos, codeInvalidRecursion, "recursive reference to query %q must not appear %s", c.name, what)
	}
	switch c.state {
	case cteDone:
		c.refs++
		return false, nil
	case cteNotRecursive:
		return false, failAt(pos, codeInvalidRecursion, "recursive query %q does not have the form non-recursive-term UNION [ALL] recursive-term", c.name)
	case cteFirstPart:
		return bad("within its non-recursive term")
	}
	switch {
	case c.context.sublinks > c.sublinks:
		return bad("within a subquery")
	case c.context.nullable > c.nullable:
		return bad("within an outer join")
	case c.working > 0:
		return bad("more than once")
	}
	c.working++
	return true, nil
}

// with checks the queries of WITH.
func (s *statement) with(q *queryExpr, f *frame, ctes *cteScope) (*cteScope, error) {
	scope := &cteScope{next: ctes}
	list, err := referredFirst(q)
	if err != nil {
		return nil, err
	}
	for _, def := range list {
		if scope.find(def.name) != nil && slices.ContainsFunc(scope.list, func(c *cte) bool { return c.name == def.name }) {
			return nil, failAt(def.pos(), codeDuplicateAlias, "WITH query name %q specified more than once", def.name)
		}
		c := &cte{name: def.name, frame: f, keep: def.keep, context: s}
		s.ctes = append(s.ctes, c)
		var err error
		if q.recursive {
			scope.list = append(scope.list, c)
			err = s.recursive(c, def, f, scope)
		} else if c.query, err = s.query(def.query, f, scope, false); err == nil {
			err = c.setColumns(c.query.columns(), def)
			scope.list = append(scope.list, c)
		}
		if err != nil {
			return nil, err
		}
		c.state = cteDone
	}
	return scope, nil
}

// referredFirst puts the queries of WITH RECURSIVE, which may refer to later
// ones, after those that they refer to.
func referredFirst(q *queryExpr) ([]cteDef, error) {
	if !q.recursive {
		return q.with, nil
	}
	waiting := make(map[string]bool)
	needs := make([][]string, len(q.with)) // the tables that each reads
	for i, d := range q.with {
		waiting[d.name] = true
		eachTable(d.query, func(n *tableRef) bool {
			if !n.qualified && n.name != d.name {
				needs[i] = append(needs[i], n.name)
			}
			return false
		})
	}
	var out []cteDef
	for left := slices.Clone(q.with); len(left) > 0; {
		ready := slices.IndexFunc(needs, func(names []string) bool {
			return !slices.ContainsFunc(names, func(name string) bool { return waiting[name] })
		})
		if ready < 0 {
			return nil, failAt(left[0].pos(), codeUnsupported, "mutual recursion between WITH items is not supported")
		}
		out = append(out, left[ready])
		delete(waiting, left[ready].name)
		left, needs = slices.Delete(left, ready, ready+1), slices.Delete(needs, ready, ready+1)
	}
	return out, nil
}

// setColumns sets the columns, renamed as WITH name (a, b) says.
func (c *cte) setColumns(columns []Column, def cteDef) error {
	c.columns = slices.Clone(columns)
	if len(def.columns) > len(columns) {
		return failAt(def.pos(), codeInvalidReference, "WITH query %q has %d columns available but %d columns specified", c.name, len(columns), len(def.columns))
	}
	for i, name := range def.columns {
		c.columns[i].Name = name
	}
	return nil
}

// recursive checks a query of WITH RECURSIVE, which may refer to itself in
// the right part of a UNION.
func (s *statement) recursive(c *cte, def cteDef, f *frame, scope *cteScope) error {
	set, ok := def.query.body.(*setStmt)
	if !ok || set.kind != setUnion || !mentions(def.query, c.name) {
		c.state = cteNotRecursive
		var err error
		if c.query, err = s.query(def.query, f, scope, false); err != nil {
			return err
		}
		return c.setColumns(c.query.columns(), def)
	}
	switch q := def.query; {
	case len(q.with) > 0:
		return refuse(def.pos(), "WITH directly within a recursive query")
	case len(q.orderBy) > 0:
		return refuse(def.pos(), "ORDER BY in a recursive query")
	case q.limit != nil:
		return refuse(def.pos(), "LIMIT in a recursive query")
	case q.offset != nil:
		return refuse(def.pos(), "OFFSET in a recursive query")
	}
	c.state = cteFirstPart
	first, err := s.query(set.left, f, scope, false)
	if err != nil {
		return err
	}
	if err := c.setColumns(first.columns(), def); err != nil {
		return err
	}
	c.state, c.sublinks, c.nullable = cteStep, s.sublinks, s.nullable
	step, err := s.query(set.right, f, scope, true)
	if err != nil {
		return err
	}
	k := &checker{stmt: s, limits: s.limits, frame: f, ctes: scope}
	types, err := k.matchColumns("UNION", first, step, set.pos())
	if err != nil {
		return err
	}
	for i, t := range types {
		if t != c.columns[i].Type {
			return failAt(def.pos(), codeDatatypeMismatch, "recursive query %q column %d has type %v in non-recursive term but type %v overall", c.name, i+1, c.columns[i].Type, t).
				hint("cast the output of the non-recursive term to the correct type")
		}
		if err := step.coerce(k, i, t, "UNION", set.pos()); err != nil {
			return err
		}
	}
	c.query, c.all = first, set.all
	if c.working > 0 {
		c.step = step
		return nil
	}
	// The name was only of a table of a query within: an ordinary UNION.
	op := &setOp{kind: setUnion, all: set.all, left: first, right: step, names: c.columns}
	c.query = op
	return nil
}

// setOp is a checked UNION, INTERSECT or EXCEPT.
type setOp struct {
	kind        setKind
	all         bool
	left, right query
	names       []Column
	casts       []expr // over the result, of an operation within another; nil: none
}

func (s *setOp) columns() []Column { return s.names }

func (s *setOp) coerce(k *checker, i int, t Type, context string, pos int) error {
	if s.names[i].Type == t {
		return nil
	}
	if s.casts == nil {
		s.casts = make([]expr, len(s.names))
	}
	from := s.casts[i]
	if from == nil {
		from = &colExpr{index: i, t: s.names[i].Type}
	}
	e, err := k.coerce(from, t, implicit, pos)
	if err != nil {
		return err
	}
	s.casts[i] = e
	s.names = slices.Clone(s.names)
	s.names[i].Type = t
	return nil
}

func (s *statement) setOp(n *setStmt, f *frame, ctes *cteScope) (*setOp, error) {
	left, err := s.query(n.left, f, ctes, true)
	if err != nil {
		return nil, err
	}
	right, err := s.query(n.right, f, ctes, true)
	if err != nil {
		return nil, err
	}
	k := &checker{stmt: s, limits: s.limits, frame: f, ctes: ctes}
	types, err := k.matchColumns(n.kind.String(), left, right, queryPos(n.right))
	if err != nil {
		return nil, err
	}
	out := &setOp{kind: n.kind, all: n.all, left: left, right: right}
	for i, t := range types {
		for _, q := range []query{left, right} {
			if err := q.coerce(k, i, t, n.kind.String(), queryPos(n.right)); err != nil {
				return nil, err
			}
		}
		out.names = append(out.names, Column{left.columns()[i].Name, t})
	}
	return out, nil
}

// matchColumns gives the common types of two parts of a set operation.
func (k *checker) matchColumns(context string, left, right query, pos int) ([]Type, error) {
	l, r := left.columns(), right.columns()
	if len(l) != len(r) {
		return nil, failAt(pos, codeSyntax, "each %s query must have the same number of columns", context)
	}
	var out []Type
	for i := range l {
		t, ok := commonType([]Type{l[i].Type, r[i].Type})
		if !ok {
			if l[i].Type.category() == r[i].Type.category() {
				return nil, failAt(pos, codeCannotCoerce, "%s could not convert type %v to %v", context, r[i].Type, t)
			}
			return nil, failAt(pos, codeDatatypeMismatch, "%s types %v and %v cannot be matched", context, l[i].Type, r[i].Type)
		}
		out = append(out, t)
	}
	return out, nil
}

// readsWorking reports whether FROM has the recursive reference of a WITH query.
func readsWorking(t fromTree) bool {
	switch t := t.(type) {
	case *joinTree:
		return readsWorking(t.left) || readsWorking(t.right)
	case *relation:
		s, ok := t.source.(*cteSource)
		return ok && s.working
	}
	return false
}

package sql

import (
	"slices"
	"strings"
)

// Restriction says of a text that it is one of Values or begins with one of
// Prefixes, which are not empty.
type Restriction struct {
	Values, Prefixes []string
}

// Restricts returns what WHERE proves of a text column in every scan of the
// table, whatever else the rows hold; false where one proves nothing. Who
// makes the rows needs to make no others for this query.
func (q *Query) Restricts(table, column string) (r Restriction, ok bool) {
	for _, s := range q.scans {
		if !strings.EqualFold(s.table.Name, table) {
			continue
		}
		one, proven := s.restricts(s.where, s.table.Index(column))
		if !proven {
			return Restriction{}, false
		}
		r, ok = r.or(one), true
	}
	return r, ok
}

func (r Restriction) or(other Restriction) Restriction {
	unite := func(a, b []string) []string {
		list := slices.Concat(a, b)
		slices.Sort(list)
		return slices.Compact(list)
	}
	return Restriction{unite(r.Values, other.Values), unite(r.Prefixes, other.Prefixes)}
}

func (s *scanNode) restricts(cond expr, column int) (r Restriction, ok bool) {
	is := func(e expr) bool {
		i, found := s.columnOf(e)
		return found && i == column
	}
	switch e := cond.(type) {
	case *logicExpr:
		return s.restrictsAny(e, column)
	case *quantExpr:
		if is(e.left) && !e.all && e.fn.compare == compareEq {
			return restrictedTo(e)
		}
	case *callExpr:
		if len(e.args) != 2 {
			return r, false
		}
		a, b := e.args[0], e.args[1]
		if e.fn.compare == compareEq && is(b) {
			a, b = b, a
		}
		c, constant := isConstant(b)
		if !is(a) || !constant || c.v.null || c.t.phys() != physText {
			return r, false
		}
		switch {
		case e.fn.compare == compareEq:
			return Restriction{Values: []string{c.v.s}}, true
		case e.fn.name == "starts_with":
			return prefixed(c.v.s)
		case e.fn.name == "~~":
			return prefixed(likePrefix(c.v.s))
		}
	}
	return r, false
}

func prefixed(prefix string) (Restriction, bool) {
	return Restriction{Prefixes: []string{prefix}}, prefix != ""
}

// restrictsAny is restricts of AND, of which one argument is enough, and of OR,
// of which all must restrict.
func (s *scanNode) restrictsAny(e *logicExpr, column int) (r Restriction, ok bool) {
	for i, arg := range e.args {
		one, proven := s.restricts(arg, column)
		switch {
		case e.kind == logicAnd && proven:
			return one, true
		case e.kind == logicOr && !proven:
			return Restriction{}, false
		case e.kind == logicOr:
			r, ok = r.or(one), i == len(e.args)-1
		}
	}
	return r, ok
}

// restrictedTo returns the texts of = ANY of a constant array.
func restrictedTo(e *quantExpr) (r Restriction, ok bool) {
	c, constant := isConstant(e.array)
	if !constant || c.v.null {
		return r, false
	}
	list, isArray := c.v.o.(*array)
	if !isArray || list.elem.phys() != physText {
		return r, false
	}
	for _, v := range list.vals {
		if !v.null { // equals nothing
			r.Values = append(r.Values, v.s)
		}
	}
	return r, true
}

// likePrefix returns what every text begins with that the pattern matches.
func likePrefix(pattern string) string {
	if parts, _ := likeParts(pattern); len(parts) > 0 && (parts[0].test == TextIs || parts[0].test == TextBegins) {
		return parts[0].texts[0]
	}
	return ""
}

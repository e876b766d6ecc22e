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

// Names returns the texts that conditions compare text columns of the table
// with, wherever they are true for a text that is one of Values or begins with
// one of Prefixes, in one case of letters or the other. Unlike Restricts it
// proves nothing: other rows can match, too.
func (q *Query) Names(table string, columns ...string) (r Restriction) {
	for _, s := range q.scans {
		if strings.EqualFold(s.table.Name, table) {
			for _, column := range columns {
				r = r.or(s.names(s.where, s.table.Index(column)))
			}
		}
	}
	return r
}

func (s *scanNode) names(cond expr, column int) (r Restriction) {
	is := func(e expr) bool {
		i, found := s.columnOf(e)
		return found && i == column
	}
	switch e := cond.(type) {
	case *logicExpr:
		if e.kind != logicNot {
			for _, arg := range e.args {
				r = r.or(s.names(arg, column))
			}
		}
	case *quantExpr:
		if is(e.left) && !e.all {
			texts, _ := restrictedTo(e)
			for _, text := range texts.Values {
				r = r.or(textNamed(e.fn, text))
			}
		}
	case *callExpr:
		if len(e.args) == 2 {
			a, b := e.args[0], e.args[1]
			if e.fn.compare == compareEq && is(b) {
				a, b = b, a
			}
			if c, constant := isConstant(b); is(a) && constant && !c.v.null && c.t.phys() == physText {
				return textNamed(e.fn, c.v.s)
			}
		}
	}
	return r
}

// textNamed is what a comparison with a constant names.
func textNamed(fn *function, text string) (r Restriction) {
	switch {
	case fn.compare == compareEq:
		r.Values = []string{text}
	case fn.name == "starts_with" && text != "":
		r.Prefixes = []string{text}
	case fn.name == "~~" || fn.name == "~~*":
		parts, _ := likeParts(text)
		if len(parts) > 0 && parts[0].test == TextIs {
			r.Values = parts[0].texts
		} else if begin := likePrefix(text); begin != "" {
			r.Prefixes = []string{begin}
		}
	}
	return r
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

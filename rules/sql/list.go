package sql

import (
	"slices"
	"strings"
)

// List is a list of values that stands beside the statement, which reads it as
// list('name'), an array of Type: op ANY (list('name')).
type List struct {
	Type Type // of each value

	values []value
}

// Add appends a value as it is written in a literal of the list's type.
func (l *List) Add(text string) error {
	if strings.IndexByte(text, 0) >= 0 {
		return fail(codeInvalidText, "a value can not hold a NUL byte")
	}
	v, err := input(l.Type, text)
	if err != nil {
		return copyError(err)
	}
	l.values = append(l.values, v)
	return nil
}

// Len returns the number of values.
func (l *List) Len() int { return len(l.values) }

// Lists returns the names of the lists that the query reads, sorted.
func (q *Query) Lists() []string { return q.lists }

// list checks list('name'), which is the constant array of the values that the
// list has when the statement is compiled.
func (k *checker) list(n funcCall) (expr, error) {
	wrong := failAt(n.pos(), codeUndefinedFunction, "list takes one constant, the name of a list").hint("write = ANY(list('name'))")
	if len(n.args) != 1 || n.star || n.distinct || n.variadic || n.within || n.over != nil || n.filter != nil || len(n.orderBy) > 0 || n.names != nil {
		return nil, wrong
	}
	e, err := k.expr(n.args[0])
	if err != nil {
		return nil, err
	}
	c, ok := e.(*constExpr)
	if !ok || c.v.null || c.t != Unknown && c.t != Text {
		return nil, wrong
	}
	l := k.stmt.lists[c.v.s]
	if l == nil {
		e := failAt(n.pos(), codeUndefinedFunction, "there is no list %q", c.v.s)
		var names []string
		for name := range k.stmt.lists {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) == 0 {
			return nil, e.hint("lists stand in lists/*.yaml of a directory of rules, and none is known here")
		}
		if hint := didYouMean(c.v.s, names); hint != "" {
			return nil, e.hint("%s", hint)
		}
		return nil, e.hint("there are %s", strings.Join(names[:min(len(names), 20)], ", "))
	}
	if !slices.Contains(k.stmt.used, c.v.s) {
		k.stmt.used = append(k.stmt.used, c.v.s)
	}
	return &constExpr{v: value{o: &array{elem: l.Type, vals: l.values}}, t: ArrayOf(l.Type), at: n.pos(), list: c.v.s}, nil
}

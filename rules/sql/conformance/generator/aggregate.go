package generator

import (
	"slices"
	"strings"
)

// aggregateOrWindow is an aggregate or a window function where s allows it.
func (g *gen) aggregateOrWindow(s scope, typ string) *node {
	if s.windows && g.percent(60) {
		if n := g.window(s, typ); n != nil {
			return n
		}
	}
	if s.args == nil {
		return nil
	}
	return g.aggregate(s, typ)
}

// arguments' scope: an aggregate whose arguments had columns of the outer query
// only would be that one's.
func (s scope) arguments() scope {
	a := *s.args
	a.outer, a.depth, a.args, a.windows, a.named = nil, min(s.depth, 1), nil, false, ""
	return a
}

// aggregate is a call of one that gives the type, nil when there is none.
func (g *gen) aggregate(s scope, typ string) *node {
	a := s.arguments()
	if n := g.orderedAggregate(a, typ); n != nil && g.percent(35) {
		return n
	}
	list := theCalls().aggregates[typ]
	list = slices.DeleteFunc(slices.Clone(list), func(c signature) bool { return !g.determined(c) })
	if len(list) == 0 {
		return nil
	}
	c := one(g, list)
	if len(c.args) == 0 {
		return typed(typ, "count(*)", g.filter(a))
	}
	of := c.args[0]
	if of == "any" {
		of = g.exactType()
	}
	arg := g.canonical(a, of)
	if of == "int8" && !g.risk && (c.name == "sum" || c.name == "avg") {
		arg = g.leaf(a, of)
	}
	distinct := ""
	if g.percent(20) {
		distinct = "DISTINCT "
	}
	return typed(typ, c.name+"("+distinct, arg, ")", g.filter(a))
}

// determined leaves out what the order of the rows changes: sums of double
// precision, but for min and max, and of intervals that may be out of range.
func (g *gen) determined(c signature) bool {
	if len(c.args) > 1 {
		return false
	}
	if len(c.args) == 1 && c.args[0] == "float8" {
		return c.name == "min" || c.name == "max" || c.name == "count"
	}
	if len(c.args) == 1 && c.args[0] == "interval" {
		return g.risk
	}
	return true
}

func (g *gen) filter(a scope) *node {
	if g.percent(15) {
		return optional(" FILTER (WHERE ", g.expr(a.deeper(), "bool"), ")")
	}
	return nil
}

// orderedAggregate is one with an ORDER BY that leaves no ties but of equal values.
func (g *gen) orderedAggregate(a scope, typ string) *node {
	distinct := ""
	if g.percent(25) {
		distinct = "DISTINCT "
	}
	direction := one(g, []string{"", " DESC", " NULLS FIRST", " DESC NULLS LAST"})
	if elem, ok := strings.CutSuffix(typ, "[]"); ok {
		x := g.expr(a, elem)
		return typed(typ, "array_agg("+distinct, x, " ORDER BY ", x, direction+")", g.filter(a)).fix()
	}
	switch typ {
	case "text":
		if g.percent(25) && !g.simple {
			return typed(typ, "mode() WITHIN GROUP (ORDER BY ", g.leaf(a, "text"), ")", g.filter(a))
		}
		x := g.expr(a, "text")
		return typed(typ, "string_agg("+distinct, x, ", ", quote(one(g, words)), " ORDER BY ", x, direction+")", g.filter(a)).fix()
	case "jsonb":
		if g.simple {
			return nil
		}
		x := g.expr(a, g.exactType())
		return typed(typ, "jsonb_agg("+distinct, x, " ORDER BY ", x, direction+")", g.filter(a)).fix()
	case "float8":
		if g.simple {
			return nil
		}
		return typed(typ, "percentile_cont("+one(g, []string{"0.5", "0", "1", "0.95"})+") WITHIN GROUP (ORDER BY ", g.leaf(a, "float8"), ")", g.filter(a))
	case "int4", "int8", "timestamptz":
		if g.simple {
			return nil
		}
		f := one(g, []string{"percentile_disc(0.5)", "percentile_disc(0.9)", "mode()"})
		return typed(typ, f+" WITHIN GROUP (ORDER BY ", g.expr(a, typ), one(g, []string{"", " DESC"})+")", g.filter(a))
	}
	return nil
}

// approximate is a sum of double precision, whose last digits depend on the
// order of the rows; the terms have one sign, so that its relative error is bounded.
func (g *gen) approximate(s scope) (*node, float64) {
	a := s.arguments()
	x := typed("float8", "abs(LEAST(", g.leaf(a, "float8"), ", 1e12))")
	if g.percent(30) {
		return typed("float8", one(g, []string{"stddev(", "variance(", "stddev_pop(", "var_samp("}), x, ")"), 1e-6
	}
	return typed("float8", one(g, []string{"sum(", "avg("}), x, ")"), 1e-12
}

// inexactCall is a call of a function of double precision whose last digit
// depends on the C library, nil when the engine lists none. Its argument is
// within the domain of most.
func (g *gen) inexactCall(s scope) *node {
	list := theCalls().inexact
	if len(list) == 0 {
		return nil
	}
	c := one(g, list)
	args := []*node{}
	for range c.args {
		x := typed("float8", "(abs(LEAST(GREATEST(", g.leaf(s, "float8"), ", -20), 20)) / 40)")
		if slices.Contains([]string{"acosh", "log", "log10", "ln"}, c.name) {
			x = typed("float8", "(", x, " + 1)")
		}
		args = append(args, x)
	}
	if c.operator && len(args) == 2 {
		return typed("float8", "(", args[0], " "+c.name+" ", args[1], ")")
	}
	if c.operator {
		return typed("float8", "("+c.name+" ", args[0], ")")
	}
	return typed("float8", c.name, listOf("(", ", ", ")", args...))
}

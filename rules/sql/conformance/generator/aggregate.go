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

// window is a window function that gives the type, nil when none does.
func (g *gen) window(s scope, typ string) *node {
	if g.simple {
		return nil
	}
	inner := s
	inner.windows = false
	inner.depth = min(s.depth-1, 1)
	var functions []string
	switch typ {
	case "int8":
		functions = []string{"row_number()", "rank()", "dense_rank()"}
	case "int4":
		functions = []string{"ntile(3)", "ntile(2)"}
	case "float8":
		functions = []string{"percent_rank()", "cume_dist()"}
	}
	if len(functions) > 0 && g.percent(50) {
		f := one(g, functions)
		over := g.overOrNamed(inner, !strings.Contains("rank() dense_rank() percent_rank() cume_dist()", f), false)
		if over == nil {
			return nil
		}
		return typed(typ, f, over)
	}
	if isExact(typ) && g.percent(50) {
		x := g.expr(inner, typ)
		call := []any{one(g, []string{"lag(", "lead(", "first_value(", "last_value("}), x}
		switch call[0] {
		case "lag(", "lead(":
			call = append(call, optional(", ", number(g.below(3)), optional(", ", g.literal(typ))))
		default:
			if g.percent(30) {
				call = []any{"nth_value(", x, ", " + number(1+g.below(3))}
			}
		}
		over := g.overOrNamed(inner, true, true)
		if over == nil {
			return nil
		}
		return typed(typ, append(call, ")", over)...)
	}
	var list []signature
	for _, c := range theCalls().aggregates[typ] {
		if len(c.args) < 2 && g.determined(c) {
			list = append(list, c)
		}
	}
	over := g.overOrNamed(inner, false, true)
	if len(list) == 0 || over == nil {
		return nil
	}
	c := one(g, list)
	if len(c.args) == 0 {
		return typed(typ, "count(*)", over)
	}
	of := c.args[0]
	if of == "any" {
		of = g.exactType()
	}
	return typed(typ, c.name+"(", g.canonical(inner, of), ")", over)
}

// overOrNamed is OVER with a window, or the name of one, nil when there is
// none as wanted.
func (g *gen) overOrNamed(s scope, total, frame bool) *node {
	if s.named != "" && (s.total || !total) && (frame || s.total) && g.percent(70) {
		return seq(" OVER " + s.named)
	}
	s.named = ""
	w := g.over(s, total, frame)
	if w == nil {
		return nil
	}
	return seq(" OVER (", w, ")")
}

// over is a window. A total one orders by what is unique, else peers are
// treated alike: without an order, by rank, or in RANGE frames.
func (g *gen) over(s scope, total, frame bool) *node {
	if total && s.unique == nil {
		return nil
	}
	partition := listOf("PARTITION BY ", ", ", "")
	for range g.below(3) {
		partition.parts = append(partition.parts, optional(g.expr(s, g.exactType())))
	}
	if !total && frame && g.percent(35) {
		if f := g.rangeFrame(s); f != nil {
			return seq(partition, " ", f)
		}
	}
	if !total && frame && g.percent(30) {
		return seq(partition)
	}
	order := listOf(" ORDER BY ", ", ", "").fix()
	for range g.below(2) {
		order.parts = append(order.parts, seq(g.expr(s, g.exactType()), g.direction()))
	}
	if s.unique != nil && (total || frame || g.percent(30)) {
		for _, c := range s.unique {
			order.parts = append(order.parts, seq(c.text, g.direction()))
		}
		total = true
	}
	if len(order.parts) == 0 {
		order.parts = append(order.parts, seq(g.expr(s, g.exactType()), g.direction()))
	}
	out := seq(partition, order)
	if frame && total && g.percent(60) {
		out.parts = append(out.parts, optional(one(g, []string{
			" ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS UNBOUNDED PRECEDING", " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
			" ROWS 2 PRECEDING", " ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING", " ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
			" ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " RANGE UNBOUNDED PRECEDING",
		})))
	}
	return out
}

// rangeFrame is a frame of values within a distance.
func (g *gen) rangeFrame(s scope) *node {
	typ := one(g, []string{"timestamptz", "int4", "int8", "timestamp", "date", "float8", "numeric"})
	c := g.column(s, typ)
	if c == nil {
		return nil
	}
	distance := one(g, []string{"1", "5", "0", "100"})
	switch typ {
	case "timestamptz", "timestamp", "date":
		distance = "interval " + quote(one(g, []string{"1 hour", "1 day", "00:10:00", "1 month", "0"}))
	case "int8":
		distance += "::int8"
	case "float8", "numeric":
		distance = one(g, []string{"0.5", "10", "1000"}) + "::" + typ
	}
	bounds := one(g, []string{
		distance + " PRECEDING", "BETWEEN " + distance + " PRECEDING AND " + distance + " FOLLOWING", "BETWEEN CURRENT ROW AND " + distance + " FOLLOWING",
		"BETWEEN UNBOUNDED PRECEDING AND " + distance + " PRECEDING", "BETWEEN " + distance + " FOLLOWING AND UNBOUNDED FOLLOWING",
	})
	return seq("ORDER BY ", c, one(g, []string{"", " DESC"}), " RANGE "+bounds)
}

func (g *gen) direction() string {
	return one(g, []string{"", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC"})
}

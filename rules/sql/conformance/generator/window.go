package generator

import "strings"

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
			return seq(partition, " ", f, g.exclusion())
		}
	}
	if !total && frame && g.percent(35) {
		return seq(partition, " ", g.groupsFrame(s))
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
			" GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " GROUPS 2 PRECEDING", " GROUPS BETWEEN 2 FOLLOWING AND UNBOUNDED FOLLOWING",
		}), g.exclusion()))
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

// groupsFrame is a frame of groups of peers, which it treats alike: so do the
// exclusions, of which the one of ties keeps a row only in its own frame.
func (g *gen) groupsFrame(s scope) *node {
	order := listOf("ORDER BY ", ", ", "").fix()
	for range 1 + g.below(2) {
		order.parts = append(order.parts, seq(g.expr(s, g.exactType()), g.direction()))
	}
	bounds := one(g, []string{
		"1 PRECEDING", "BETWEEN 1 PRECEDING AND 1 FOLLOWING", "BETWEEN CURRENT ROW AND 2 FOLLOWING", "CURRENT ROW", "BETWEEN 3 PRECEDING AND 1 PRECEDING",
		"BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING", "BETWEEN UNBOUNDED PRECEDING AND 0 FOLLOWING", "UNBOUNDED PRECEDING", "BETWEEN (1 + 1) PRECEDING AND CURRENT ROW",
	})
	return seq(order, " GROUPS "+bounds, g.exclusion())
}

// exclusion is what a frame leaves out of itself, nothing most times.
func (g *gen) exclusion() *node {
	if !g.percent(35) {
		return seq()
	}
	return optional(one(g, []string{" EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS"}))
}

func (g *gen) direction() string {
	return one(g, []string{"", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC"})
}

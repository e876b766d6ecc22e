package generator

import (
	"regexp"
	"slices"
)

// rowsTypes are those that rowsCall has functions for.
var rowsTypes = []string{"int4", "text", "int8", "timestamptz", "jsonb", "bool"}

// chooseRows decides whether the select list is to hold set-returning
// functions: each row then becomes several, of which no order is total but one
// by all columns.
func (x *selection) chooseRows() {
	g, w := x.g, x.w
	x.many = !w.one && !w.ordered && x.distinct != "DISTINCT ON" && g.percent(7)
	for _, typ := range w.types {
		if slices.Contains(rowsTypes, typ) {
			return
		}
	}
	x.many = x.many && w.types == nil
}

// rowsItem is an item of the select list with a set-returning function, alone
// or as an operand. The groups may be by it, if it stands first.
func (x *selection) rowsItem(typ string) *node {
	g := x.g
	n := g.rowsCall(x.s, typ)
	if g.percent(25) && typ != "jsonb" {
		switch typ {
		case "int4", "int8":
			return typed(typ, "(", n, " % 10 + ", g.leaf(x.s.row(), typ), " % 10)")
		case "text":
			return typed(typ, "(", n, " || ", g.leaf(x.s.row(), typ), ")")
		}
	}
	return n
}

// groupByFirst groups by the first item, a set-returning function, too.
func (x *selection) groupByFirst() {
	item := x.items.parts[0].(*node)
	if hasAggregate.MatchString(item.String()) {
		return
	}
	item.optional = false
	x.items.fix()
	x.group.parts = append(x.group.parts, seq("1"))
	x.s.unique = nil
}

// hasAggregate may take a function for an aggregate, but not the other way.
var hasAggregate = regexp.MustCompile(`count\(|sum\(|min\(|max\(|avg\(|_agg\(|WITHIN GROUP|FILTER|every\(|bool_|bit_|GROUPING|stddev|var|SELECT`)

// rowsCall is a set-returning function that gives the type. Its arguments take no window function, which may
// come before or after it.
func (g *gen) rowsCall(s scope, typ string) *node {
	s.windows, s.named, s.depth = false, "", min(s.depth, 1)
	array := func() *node {
		if n := g.column(s, typ+"[]"); n != nil {
			return n
		}
		return g.literal(typ + "[]")
	}
	switch {
	case typ == "int4" && g.percent(50):
		return typed(typ, "generate_series(", number(g.below(3)), ", ", typed("int4", "LEAST(", g.leaf(s, "int4"), ", 4)"), one(g, []string{"", ", 2", ", 1"})+")")
	case typ == "int4" && g.percent(20):
		return typed(typ, "generate_subscripts(", g.arrayOf(s, one(g, []string{"text[]", "int4[]"})), one(g, []string{", 1)", ", 2)"}))
	case typ == "timestamptz" && g.percent(60):
		return typed(typ, "generate_series(timestamptz '2024-03-01', timestamptz '2024-03-02', interval "+quote(one(g, []string{"1 day", "8 hours"}))+")")
	case typ == "jsonb":
		j := g.jsonOf(s)
		return typed(typ, "jsonb_array_elements(jsonb_build_array(", j, ", 1) || ", j, ")").fix()
	case typ == "text" && g.percent(50):
		if g.percent(50) {
			j := g.jsonOf(s)
			return typed(typ, "jsonb_object_keys(CASE WHEN jsonb_typeof(", j, ") = 'object' THEN ", j, " END)").fix()
		}
		return typed(typ, "unnest(string_to_array(", g.leaf(s, "text"), ", ", quote(one(g, []string{"/", " ", "a"})), "))")
	}
	return typed(typ, "unnest(", array(), ")")
}

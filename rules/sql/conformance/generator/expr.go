package generator

import (
	"slices"
	"strconv"
	"strings"
)

// expr makes an expression of the type.
func (g *gen) expr(s scope, typ string) *node {
	if s.depth <= 0 {
		return g.leaf(s, typ)
	}
	switch g.below(8) {
	case 0, 1:
		return g.leaf(s, typ)
	case 2, 3:
		if n := g.call(s.deeper(), typ); n != nil {
			return n
		}
	case 4:
		if n := g.special(s.deeper(), typ); n != nil {
			return n
		}
	case 5:
		if n := g.aggregateOrWindow(s, typ); n != nil {
			return n
		}
	case 6:
		return g.conditional(s.deeper(), typ)
	}
	if n := g.form(s.deeper(), typ); n != nil {
		return n
	}
	return g.leaf(s, typ)
}

// leaf is a column or a constant.
func (g *gen) leaf(s scope, typ string) *node {
	if g.percent(85) {
		if n := g.column(s, typ); n != nil {
			return n
		}
	}
	if s.args != nil && g.percent(60) {
		if n := g.aggregate(s, typ); n != nil {
			return n
		}
	}
	if elem, ok := strings.CutSuffix(typ, "[]"); ok && g.percent(60) {
		return typed(typ, listOf("ARRAY[", ", ", "]", g.leaf(s, elem), g.leaf(s, elem)))
	}
	if d, ok := derived[typ]; ok && g.percent(80) {
		if c := g.column(s, d.from); c != nil {
			return typed(typ, d.before, c, d.after)
		}
	}
	if typ == "text" && g.percent(30) {
		if c := g.column(s, g.anyType()); c != nil {
			return typed(typ, c, "::text")
		}
	}
	return g.literal(typ)
}

// derived are what columns of other types make of a type that few columns
// have; none of it fails.
var derived = map[string]struct{ from, before, after string }{
	"numeric":   {"int8", "", "::numeric"},
	"date":      {"timestamptz", "", "::date"},
	"timestamp": {"timestamptz", "", "::timestamp"},
	"time":      {"timestamptz", "", "::time"},
	"interval":  {"timestamptz", "(", " - timestamptz '2024-03-01')"},
	"int2":      {"int4", "(", " % 1000)::int2"},
	"int4[]":    {"int4", "ARRAY[", "]"},
	"varchar":   {"text", "", "::varchar"},
	"bytea":     {"text", "decode(md5(", "), 'hex')"},
	"uuid":      {"text", "md5(", ")::uuid"},
	"inet":      {"int4", "(inet '10.0.0.0/8' + (", " % 100))"},
	"bool":      {"text", "(", " > 'b')"},
	"int8":      {"int4", "", "::int8"},
	"float8":    {"int4", "", "::float8"},
}

// column is a reference to a column of the type, nil when there is none.
func (g *gen) column(s scope, typ string) *node {
	if c := g.columnOf(s, func(c column) bool { return c.typ == typ }); c != nil {
		return c.ref(g)
	}
	return nil
}

func (g *gen) columnOf(s scope, ok func(column) bool) *column {
	var list []column
	from := s.columns
	if len(s.outer) > 0 && (len(from) == 0 || g.percent(30)) {
		from = s.outer
	}
	for _, c := range from {
		if ok(c) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil
	}
	c := one(g, list)
	return &c
}

// conditional is a form that any type can have.
func (g *gen) conditional(s scope, typ string) *node {
	switch g.below(6) {
	case 0:
		n := typed(typ, "CASE", listOf(" ", " ", "", g.when(s, typ)), optional(" ELSE ", g.expr(s, typ)), " END")
		if g.percent(30) {
			n.parts[1].(*node).parts = append(n.parts[1].(*node).parts, g.when(s, typ))
		}
		return n
	case 1:
		return typed(typ, "COALESCE(", g.expr(s, typ), ", ", g.expr(s, typ), ")")
	case 2:
		if typ != "jsonb" || g.percent(50) {
			return typed(typ, "NULLIF(", g.expr(s, typ), ", ", g.expr(s, typ), ")")
		}
	case 3:
		if typ != "interval" {
			return typed(typ, one(g, []string{"GREATEST(", "LEAST("}), g.expr(s, typ), ", ", g.expr(s, typ), ")")
		}
	case 4:
		if n := g.scalarSubquery(s, typ); n != nil {
			return n
		}
	}
	of := one(g, []string{"text", "int4", "bool"})
	return typed(typ, "CASE ", g.expr(s, of), " WHEN ", g.literal(of), " THEN ", g.expr(s, typ), optional(" ELSE ", g.expr(s, typ)), " END")
}

func (g *gen) when(s scope, typ string) *node {
	return seq("WHEN ", g.expr(s, "bool"), " THEN ", g.expr(s, typ))
}

// form is grammar that has the type as its result, beside calls.
func (g *gen) form(s scope, typ string) *node {
	if elem, ok := strings.CutSuffix(typ, "[]"); ok {
		switch g.below(3) {
		case 0:
			return typed(typ, "ARRAY[", g.expr(s, elem), ", ", g.expr(s, elem), "]")
		case 1:
			if n := g.column(s, typ); n != nil {
				bound := strconv.Itoa(1 + g.below(3))
				return typed(typ, "(", n, ")["+one(g, []string{"1:" + bound, bound + ":", ":" + bound, "2:" + bound})+"]")
			}
		}
		return nil
	}
	switch typ {
	case "bool":
		return g.boolean(s)
	case "int2", "int4", "int8", "numeric", "float8":
		return g.arithmetic(s, typ)
	case "timestamptz", "timestamp", "date", "interval", "time":
		return g.timeArithmetic(s, typ)
	case "text":
		switch g.below(4) {
		case 0:
			return typed(typ, "(", g.expr(s, "text"), " || ", g.expr(s, g.plainType()), ")")
		case 1:
			return typed(typ, "(", g.arrayOf(s, "text[]"), ")[", strconv.Itoa(g.below(4)), "]")
		case 2:
			return g.jsonText(s)
		}
		return typed(typ, g.expr(s, g.plainType()), "::text")
	case "jsonb":
		return g.jsonPart(s)
	}
	return nil
}

// plainType is a type whose text is not long to write.
func (g *gen) plainType() string {
	return one(g, []string{"text", "int4", "int8", "bool", "timestamptz", "numeric", "float8", "date", "interval", "jsonb"})
}

// arrayOf is a column of the type if there is one.
func (g *gen) arrayOf(s scope, typ string) *node {
	if n := g.column(s, typ); n != nil {
		return n
	}
	return g.leaf(s, typ)
}

func (g *gen) jsonOf(s scope) *node {
	if n := g.column(s, "jsonb"); n != nil && g.percent(80) {
		return n
	}
	return typed("jsonb", quote(one(g, jsons))+"::jsonb")
}

func (g *gen) jsonText(s scope) *node {
	if g.percent(30) {
		return typed("text", "(", g.jsonOf(s), " #>> '{", one(g, keys[:6]), ",", one(g, []string{"b", "0", "1", "-1"}), "}')")
	}
	return typed("text", "(", g.jsonOf(s), " ->> ", g.key(s), ")")
}

func (g *gen) jsonPart(s scope) *node {
	switch g.below(4) {
	case 0:
		return typed("jsonb", "(", g.jsonOf(s), " #> '{", one(g, keys[:6]), ",", one(g, []string{"b", "0", "1", "-1"}), "}')")
	case 1:
		return typed("jsonb", "(", g.jsonOf(s), ")[", g.key(s), "]")
	}
	return typed("jsonb", "(", g.jsonOf(s), " -> ", g.key(s), ")")
}

// key is a member's name or an element's index.
func (g *gen) key(s scope) *node {
	if g.percent(30) {
		return seq(strconv.Itoa(g.below(4) - 1))
	}
	if g.percent(20) && s.depth > 0 {
		return g.leaf(s, "text")
	}
	return seq(quote(one(g, keys)))
}

// arithmetic keeps its operands small where nothing may fail.
func (g *gen) arithmetic(s scope, typ string) *node {
	if g.percent(25) {
		return g.cast(s, typ)
	}
	l, r := g.expr(s, typ), g.expr(s, typ)
	if typ == "float8" || typ == "numeric" {
		op := one(g, []string{"+", "-", "*"})
		if typ == "float8" && !g.risk {
			// Whatever the operands are, the result is in range.
			return typed(typ, "(LEAST(GREATEST(", l, ", -1e9), 1e9) ", op, " LEAST(GREATEST(", r, ", -1e9::float8), 1e9::float8))")
		}
		if g.percent(25) {
			if !g.risk {
				r = typed(typ, "NULLIF(", r, ", 0)")
			}
			op = "/"
		}
		if typ == "numeric" && op == "*" && !g.risk {
			op = "-" // chains of products get thousands of digits
		}
		return typed(typ, "(", l, " "+op+" ", r, ")")
	}
	if g.risk {
		return typed(typ, "(", l, " "+one(g, []string{"+", "-", "*", "/", "%", "&", "|", "#"})+" ", r, ")")
	}
	if g.percent(40) {
		return typed(typ, "(", l, " "+one(g, []string{"&", "|", "#"})+" ", r, ")")
	}
	small := one(g, []string{"7", "10", "100"})
	if typ != "int4" {
		small += "::" + typ
	}
	return typed(typ, "(", l, " % "+small+" "+one(g, []string{"+", "-", "*"})+" ", r, " % "+small+")")
}

// cast converts from another type, which may fail.
func (g *gen) cast(s scope, typ string) *node {
	if g.risk {
		from := one(g, []string{"text", "int4", "int8", "float8", "numeric", "bool"})
		if from == "bool" {
			return typed(typ, "(", g.expr(s, from), "::int4)::"+typ)
		}
		return typed(typ, g.expr(s, from), "::"+typ)
	}
	wider := map[string][]string{"int4": {"int2", "bool"}, "int8": {"int4", "int2"}, "numeric": {"int4", "int8"}, "float8": {"int4", "int8"}}[typ]
	if wider == nil {
		return g.literal(typ)
	}
	return typed(typ, g.expr(s, one(g, wider)), "::"+typ)
}

// timeArithmetic adds small constants, or subtracts times.
func (g *gen) timeArithmetic(s scope, typ string) *node {
	step := typed("interval", "interval "+quote(one(g, intervals)))
	if g.risk && g.percent(30) {
		step = g.expr(s, "interval")
	}
	sign := one(g, []string{" + ", " - "})
	switch typ {
	case "timestamptz":
		if g.percent(20) {
			return typed(typ, "(", g.expr(s, "timestamp"), " AT TIME ZONE 'UTC')")
		}
		return typed(typ, "(", g.expr(s, typ), sign, step, ")")
	case "timestamp":
		if g.percent(30) {
			return typed(typ, "(", g.expr(s, "timestamptz"), " AT TIME ZONE 'UTC')")
		}
		if g.percent(20) {
			return typed(typ, g.expr(s, "timestamptz"), "::timestamp")
		}
		return typed(typ, "(", g.expr(s, one(g, []string{"timestamp", "date"})), sign, step, ")")
	case "date":
		if g.percent(50) {
			return typed(typ, g.expr(s, "timestamptz"), "::date")
		}
		return typed(typ, "(", g.expr(s, typ), sign, strconv.Itoa(g.below(40)), ")")
	case "time":
		return typed(typ, g.expr(s, "timestamptz"), "::time")
	}
	switch g.below(4) {
	case 0:
		return typed(typ, "(", g.literal("interval"), sign, step, ")")
	case 1:
		return typed(typ, "(", g.literal("interval"), " * ", one(g, []string{"2", "1.5", "0", "-1"}), ")")
	case 2:
		of := one(g, []string{"timestamptz", "timestamp"})
		return typed(typ, "(", g.expr(s, of), " - ", g.expr(s, of), ")")
	}
	return typed(typ, "(", g.literal("interval"), " / ", one(g, []string{"2", "1.5", "-3"}), ")")
}

// canonical makes an expression of the type whose equal values are written
// alike, so that it does not matter which of them is shown.
func (g *gen) canonical(s scope, typ string) *node {
	switch typ {
	case "numeric":
		return typed(typ, "round(", g.expr(s, typ), ", 2)")
	case "float8":
		return typed(typ, "(", g.expr(s, typ), " + 0)") // not -0
	case "interval":
		return typed(typ, "(", g.leaf(s, "timestamptz"), " - ", g.leaf(s, "timestamptz"), ")")
	case "jsonb", "inet", "cidr":
		if c := g.columnOf(s, func(c column) bool { return c.typ == typ && c.canon }); c != nil {
			return c.ref(g)
		}
		return typed(typ, "NULL::"+typ)
	}
	return g.expr(s, typ)
}

// canonicalType is one of which canonical makes expressions.
func (g *gen) canonicalType() string {
	if g.percent(25) {
		return one(g, []string{"numeric", "float8", "interval"})
	}
	return g.exactType()
}

func isExact(typ string) bool { return slices.Contains(exact, typ) }

package generator

import "strconv"

var comparisons = []string{" = ", " < ", " <= ", " > ", " >= ", " <> "}

// comparable are the types that compare to themselves.
var comparable = []string{"text", "int4", "int8", "timestamptz", "float8", "numeric", "bool", "text[]", "interval", "jsonb", "date", "timestamp", "int2", "uuid", "inet", "bytea", "time"}

// boolean is a condition.
func (g *gen) boolean(s scope) *node {
	switch g.below(8) {
	case 0, 1:
		if g.percent(12) {
			return g.rowComparison(s)
		}
		return g.comparison(s)
	case 2:
		return typed("bool", "(", listOf("", one(g, []string{" AND ", " OR "}), "", g.conjunct(s), g.conjunct(s)), ")")
	case 3:
		return g.test(s)
	case 4:
		return g.pattern(s)
	case 5:
		return g.membership(s)
	case 6:
		if n := g.subqueryTest(s); n != nil {
			return n
		}
	}
	return g.containment(s)
}

func (g *gen) conjunct(s scope) *node {
	n := g.expr(s, "bool")
	return &node{typ: "bool", parts: []any{n}, optional: true}
}

func (g *gen) comparison(s scope) *node {
	typ := one(g, known(comparable))
	l := g.expr(s, typ)
	if c := g.column(s, typ); c != nil && g.percent(60) {
		l = c
	}
	r := g.expr(s, typ)
	if g.percent(30) {
		r = g.bare(typ)
	}
	if mixed := map[string][]string{
		"int4": {"int8", "int2", "numeric", "float8"}, "int8": {"int4", "numeric", "float8"}, "numeric": {"int4", "float8"}, "date": {"timestamp", "timestamptz"}, "timestamp": {"timestamptz"},
	}[typ]; mixed != nil && g.percent(20) {
		r = g.expr(s, one(g, mixed))
	}
	if g.percent(12) {
		return typed("bool", "(", l, one(g, []string{" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "}), r, ")")
	}
	return typed("bool", "(", l, one(g, comparisons), r, ")")
}

func (g *gen) test(s scope) *node {
	if g.percent(50) {
		return typed("bool", "(", g.expr(s, g.anyType()), one(g, []string{" IS NULL", " IS NOT NULL"}), ")")
	}
	if g.percent(40) {
		return typed("bool", "(NOT ", g.expr(s, "bool"), ")")
	}
	return typed("bool", "(", g.expr(s, "bool"), one(g, []string{" IS TRUE", " IS NOT TRUE", " IS FALSE", " IS NOT FALSE", " IS UNKNOWN", " IS NOT UNKNOWN"}), ")")
}

func (g *gen) pattern(s scope) *node {
	l := g.expr(s, "text")
	if c := g.column(s, "text"); c != nil && g.percent(60) {
		l = c
	}
	switch g.below(4) {
	case 0, 1:
		op := one(g, []string{" LIKE ", " NOT LIKE ", " ILIKE ", " NOT ILIKE "})
		n := typed("bool", "(", l, op, quote(one(g, patterns)), ")")
		if g.percent(10) {
			n = typed("bool", "(", l, op, quote("%"+one(g, []string{"#_", "##", "#%", "a"})+"%"), " ESCAPE '#')")
		}
		if g.percent(10) {
			n = typed("bool", "(", l, op, "ANY (ARRAY[", quote(one(g, patterns)), ", ", quote(one(g, patterns)), "]))")
		}
		return n
	case 2:
		if g.percent(30) {
			return typed("bool", "(", l, one(g, []string{" SIMILAR TO ", " NOT SIMILAR TO "}), quote(one(g, []string{"(b|s)%", "%[a-z]", "_+", "a*b?", "%/bin/%", ""})), ")")
		}
	}
	return typed("bool", "(", l, one(g, []string{" ~ ", " ~* ", " !~ ", " !~* "}), quote(one(g, regexps)), ")")
}

func (g *gen) membership(s scope) *node {
	typ := one(g, []string{"text", "int4", "int8", "timestamptz", "numeric", "date", "bool", "float8"})
	switch g.below(4) {
	case 0:
		list := listOf("(", ", ", ")")
		for range 1 + g.below(3) {
			list.parts = append(list.parts, g.element(s, typ))
		}
		return typed("bool", "(", g.expr(s, typ), one(g, []string{" IN ", " NOT IN "}), list, ")")
	case 1:
		if typ == "bool" {
			typ = "int4"
		}
		op := one(g, []string{" BETWEEN ", " NOT BETWEEN ", " BETWEEN SYMMETRIC ", " NOT BETWEEN SYMMETRIC "})
		return typed("bool", "(", g.expr(s, typ), op, g.expr(s, typ), " AND ", g.expr(s, typ), ")")
	case 2:
		if c := g.column(s, "text[]"); c != nil {
			return typed("bool", "(", g.expr(s, "text"), one(g, comparisons), one(g, []string{"ANY (", "ALL ("}), c, "))")
		}
	}
	of := one(g, []string{"text", "int4", "int8"})
	return typed("bool", "(", g.expr(s, of), one(g, comparisons), one(g, []string{"ANY (", "ALL ("}), g.literal(of+"[]"), "))")
}

func (g *gen) element(s scope, typ string) *node {
	var n *node
	switch {
	case g.percent(50):
		n = g.bare(typ)
	case g.percent(50):
		n = g.literal(typ)
	default:
		n = g.leaf(s, typ)
	}
	return optional(n)
}

// containment are the tests of arrays, documents and addresses.
func (g *gen) containment(s scope) *node {
	if theCalls().types["inet"] && g.percent(25) {
		return typed("bool", "(", g.leaf(s, "inet"), one(g, []string{" << ", " <<= ", " >> ", " >>= ", " && "}), g.literal("inet"), ")")
	}
	if g.percent(50) {
		op := one(g, []string{" @> ", " <@ ", " && "})
		return typed("bool", "(", g.arrayOf(s, "text[]"), op, g.expr(s, "text[]"), ")")
	}
	switch g.below(4) {
	case 0:
		return typed("bool", "(", g.jsonOf(s), " ? ", quote(one(g, keys)), ")")
	case 1:
		return typed("bool", "(", g.jsonOf(s), one(g, []string{" ?| ", " ?& "}), "ARRAY[", quote(one(g, keys)), ", ", quote(one(g, keys)), "])")
	case 2:
		return typed("bool", "(", g.jsonOf(s), one(g, []string{" @> ", " <@ "}), g.jsonOf(s), ")")
	}
	return typed("bool", "(jsonb_typeof(", g.jsonOf(s), ") = ", quote(one(g, []string{"object", "array", "string", "number", "boolean", "null"})), ")")
}

// subqueryTest is EXISTS, IN, ANY or ALL over a subquery.
func (g *gen) subqueryTest(s scope) *node {
	if g.simple || g.queries > 5 {
		return nil
	}
	if g.percent(40) {
		q := g.query(inside(s), want{types: []string{"int4"}, any: true})
		return typed("bool", one(g, []string{"EXISTS (", "NOT EXISTS ("}), q.node, ")")
	}
	if g.percent(25) {
		return g.rowSubqueryTest(s)
	}
	typ := one(g, []string{"int4", "text", "int8", "timestamptz"})
	l := g.expr(s, typ)
	q := g.query(inside(s), want{types: []string{typ}, any: true})
	if g.percent(50) {
		return typed("bool", "(", l, one(g, []string{" IN (", " NOT IN ("}), q.node, "))")
	}
	return typed("bool", "(", l, one(g, comparisons), one(g, []string{"ANY (", "ALL (", "SOME ("}), q.node, "))")
}

// scalarSubquery gives one row at most: it aggregates, or is limited.
func (g *gen) scalarSubquery(s scope, typ string) *node {
	if g.simple || g.queries > 5 {
		return nil
	}
	if typ == "text[]" && g.percent(40) || typ == "int4[]" && g.percent(40) {
		elem := typ[:len(typ)-2]
		q := g.query(inside(s), want{types: []string{elem}, ordered: true})
		if q.total {
			return typed(typ, "ARRAY(", q.node, ")")
		}
		return nil
	}
	q := g.query(inside(s), want{types: []string{typ}, one: true})
	if !q.single {
		return nil
	}
	return typed(typ, "(", q.node, ")")
}

// inside is the scope of a subquery in an expression.
func inside(s scope) scope {
	out := scope{outer: append([]column{}, s.outer...), depth: min(s.depth, 2)}
	for _, c := range s.columns {
		if c.plain {
			c.bare = ""
			out.outer = append(out.outer, c)
		}
	}
	return out
}

func number(i int) string { return strconv.Itoa(i) }

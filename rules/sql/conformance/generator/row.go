package generator

// rowComparison compares two rows of two or three values, or one with a list.
func (g *gen) rowComparison(s scope) *node {
	var types []string
	for range 2 + g.below(2) {
		types = append(types, one(g, known(comparable)))
	}
	l := g.rowOf(s, types)
	switch g.below(4) {
	case 0:
		list := listOf("(", ", ", ")")
		list.filled = true
		for range 1 + g.below(3) {
			list.parts = append(list.parts, optional(g.rowOf(s, types)))
		}
		return typed("bool", "(", l, one(g, []string{" IN ", " NOT IN "}), list, ")")
	case 1:
		if g.percent(50) {
			return typed("bool", "(", l, one(g, []string{" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "}), g.rowOf(s, types), ")")
		}
		return typed("bool", "(", l, one(g, []string{" IS NULL", " IS NOT NULL"}), ")")
	}
	return typed("bool", "(", l, one(g, comparisons), g.rowOf(s, types), ")")
}

// rowOf is a row of expressions of the types.
func (g *gen) rowOf(s scope, types []string) *node {
	row := listOf(one(g, []string{"(", "ROW("}), ", ", ")")
	for _, typ := range types {
		n := g.leaf(s, typ)
		if g.percent(30) {
			n = g.expr(s, typ)
		}
		row.parts = append(row.parts, n)
	}
	return row
}

// rowSubqueryTest looks for a row among those of a subquery, or compares it to
// the only one.
func (g *gen) rowSubqueryTest(s scope) *node {
	var types []string
	for range 2 + g.below(2) {
		types = append(types, one(g, []string{"int4", "text", "int8", "timestamptz", "bool"}))
	}
	l := g.rowOf(s, types)
	if g.percent(25) {
		q := g.query(inside(s), want{types: types, one: true})
		if q.single {
			return typed("bool", "(", l, one(g, comparisons), "(", q.node, "))")
		}
	}
	q := g.query(inside(s), want{types: types, any: true})
	return typed("bool", "(", l, one(g, []string{" IN (", " NOT IN (", " = ANY (", " <> ALL ("}), q.node, "))")
}

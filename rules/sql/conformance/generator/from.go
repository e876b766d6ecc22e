package generator

import (
	"slices"
	"strings"
)

// from makes a FROM clause and puts what it offers into rows.
func (g *gen) from(outer scope, rows *scope) *node {
	if g.simple {
		return g.oneTable(rows)
	}
	if g.percent(5) {
		rows.unique = []column{}
		return seq()
	}
	list := listOf(" FROM ", "", "")
	count := one(g, []int{1, 2, 1, 2, 3, 2, 1})
	heavy := 0
	start := 0 // of the join tree that ON may refer to
	rows.unique = []column{}
	for i := range count {
		item, r, lateral, big := g.fromItem(outer, *rows, heavy)
		if i == 0 {
			list.parts = append(list.parts, item)
			g.offer(rows, r, count == 1)
			heavy += big
			continue
		}
		join, comma := g.join(rows, start, item, r, lateral, heavy+big > 2)
		if comma {
			start = len(rows.columns)
		}
		heavy += big
		list.parts = append(list.parts, join)
		g.offer(rows, r, false)
	}
	return list
}

// offer adds a relation's columns to what expressions may use.
func (g *gen) offer(rows *scope, r relation, alone bool) {
	for _, c := range r.columns {
		c.text = r.alias + "." + c.name
		c.plain = true
		if alone {
			c.bare = c.name
		}
		rows.columns = append(rows.columns, c)
	}
	if r.unique == nil || rows.unique == nil {
		rows.unique = nil
		return
	}
	for _, c := range r.unique {
		c.text = r.alias + "." + c.name
		rows.unique = append(rows.unique, c)
	}
}

// oneTable is FROM with one table, or nothing.
func (g *gen) oneTable(rows *scope) *node {
	if g.percent(6) {
		rows.unique = []column{}
		return seq()
	}
	t := g.eventTable()
	r := relation{alias: t.name, columns: t.columns}
	text := " FROM " + t.name
	if g.percent(40) {
		r.alias = g.alias("t")
		text += one(g, []string{" AS ", " "}) + r.alias
	}
	r.unique = uniqueOf(t)
	rows.unique = []column{}
	g.offer(rows, r, true)
	return seq(text)
}

func uniqueOf(t table) []column {
	var out []column
	for _, name := range t.unique {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		out = append(out, t.columns[i])
	}
	return out
}

// fromItem is a table, a CTE, a subquery, VALUES or a function. big is 1 for
// what has dozens of rows.
func (g *gen) fromItem(outer, rows scope, heavy int) (n *node, r relation, lateral bool, big int) {
	kind := g.below(12)
	if kind >= 8 && heavy > 1 {
		kind -= 4
	}
	r.alias = g.alias("t")
	as := one(g, []string{" AS ", " "}) + r.alias
	switch {
	case len(g.ctes) > 0 && g.percent(60):
		t := one(g, g.ctes)
		r.columns, r.unique = t.columns, uniqueOf(t)
		return seq(t.name, as), r, false, 1
	case kind == 4 && g.queries < 6 && outer.depth > 0:
		inner := scope{outer: outer.outer, depth: 2}
		head := ""
		if len(rows.columns) > 0 && g.percent(50) {
			head, lateral = "LATERAL ", true
			inner.outer = append(slices.Clone(outer.outer), rows.columns...)
			for i := range inner.outer {
				inner.outer[i].bare = ""
			}
		}
		q := g.query(inner, want{any: true})
		r.columns = q.columns
		r.unique = uniqueOf(table{columns: q.columns, unique: q.unique})
		if q.unique == nil {
			r.unique = nil
		}
		if q.single {
			r.unique = []column{}
		}
		return seq(head+"(", q.node, ")"+as), r, lateral, 1
	case kind == 5:
		q := g.values_(scope{}, want{})
		columns, _, heading := g.renamed(strings.TrimSpace(r.alias), q.columns, nil)
		r.columns = columns
		return seq("(", q.node, ") AS "+heading), r, false, 0
	case kind == 6 || kind == 7:
		return g.fromFunction(rows, r)
	}
	t := g.eventTable()
	r.columns, r.unique = t.columns, uniqueOf(t)
	return seq(t.name, as), r, false, 1
}

// fromFunction is a function that gives rows.
func (g *gen) fromFunction(rows scope, r relation) (*node, relation, bool, int) {
	rows.outer, rows.depth = nil, 0
	lateral := len(rows.columns) > 0
	head := ""
	if lateral && g.percent(40) {
		head = "LATERAL "
	}
	a := " AS " + r.alias
	switch g.below(5) {
	case 0:
		r.columns = []column{{name: "n", typ: "int4", canon: true}}
		r.unique = r.columns
		limit := typed("int4", number(g.below(5)))
		if lateral && g.percent(50) {
			limit = typed("int4", "LEAST(", g.leaf(rows, "int4"), ", 4)")
		}
		step := one(g, []string{"", ", 2", ", 1"})
		return seq(head+"generate_series(1, ", limit, step+")"+a+" (n)"), r, lateral, 0
	case 1:
		r.columns = []column{{name: "at", typ: "timestamptz", canon: true}}
		r.unique = r.columns
		return seq(head + "generate_series(timestamptz '2024-03-01', timestamptz '2024-03-03', interval " + quote(one(g, []string{"1 day", "12 hours", "18 hours"})) + ")" + a + " (at)"), r, lateral, 0
	case 2:
		of := one(g, []string{"text", "int4"})
		array := g.arrayOf(rows, of+"[]")
		r.columns = []column{{name: "x", typ: of, canon: true}}
		if g.percent(50) {
			r.columns = append(r.columns, column{name: "n", typ: "int8", canon: true})
			r.unique = r.columns[1:]
			return seq(head+"unnest(", array, ") WITH ORDINALITY"+a+" (x, n)"), r, lateral, 0
		}
		return seq(head+"unnest(", array, ")"+a+" (x)"), r, lateral, 0
	case 3:
		j := g.jsonOf(rows)
		r.columns = []column{{name: "value", typ: "jsonb", canon: true}}
		return seq(head+"jsonb_array_elements(CASE WHEN jsonb_typeof(", j, ") = 'array' THEN ", j, " END)"+a).fix(), r, lateral, 0
	}
	j := g.jsonOf(rows)
	r.columns = []column{{name: "key", typ: "text", canon: true}, {name: "value", typ: "text", canon: true}}
	r.unique = r.columns[:1]
	return seq(head+"jsonb_each_text(CASE WHEN jsonb_typeof(", j, ") = 'object' THEN ", j, " END)"+a).fix(), r, lateral, 0
}

// join is the next item of FROM with how it is joined to those before.
func (g *gen) join(rows *scope, start int, item *node, r relation, lateral, heavy bool) (n *node, comma bool) {
	kind := g.below(8)
	left := rows.columns[start:]
	// In LATERAL after a comma only the tree at hand can be joined outer.
	if lateral {
		switch {
		case start > 0 || kind < 3:
			return optional(", ", item), true
		case kind < 6:
			return optional(" CROSS JOIN ", item), false
		}
		return optional(" LEFT JOIN ", item, " ON true"), false
	}
	equal, using := g.equality(left, r)
	if equal == nil && !heavy {
		if kind < 4 {
			return optional(", ", item), true
		}
		return optional(" CROSS JOIN ", item), false
	}
	if equal == nil {
		return optional(" LEFT JOIN ", item, " ON false"), false
	}
	word := one(g, []string{" JOIN ", " LEFT JOIN ", " INNER JOIN ", " RIGHT JOIN ", " FULL JOIN ", " LEFT OUTER JOIN ", " FULL OUTER JOIN "})
	if using != "" && g.percent(25) {
		return optional(word, item, " USING ("+using+")"), false
	}
	on := seq(" ON ", equal)
	if !strings.Contains(word, "FULL") {
		inner := scope{columns: slices.Clone(left), depth: 1}
		for i := range inner.columns {
			inner.columns[i].bare = ""
		}
		g.offer(&inner, r, false)
		switch {
		case g.percent(25):
			on = seq(" ON ", equal, optional(" AND ", g.expr(inner, "bool")))
		case g.percent(20) && !heavy:
			on = seq(" ON ", g.expr(inner, "bool"))
		}
	}
	return optional(word, item, on), false
}

// equality compares a column of those on the left to one of r; using is its
// name if both have the same, which no other on the left has.
func (g *gen) equality(left []column, r relation) (n *node, using string) {
	type pair struct{ a, b column }
	var same, other []pair
	for _, a := range left {
		for _, b := range r.columns {
			switch {
			case a.typ != b.typ || a.typ == "bool" || a.typ == "jsonb" || a.typ == "interval":
			case a.name == b.name:
				same = append(same, pair{a, b})
			case isExact(a.typ):
				other = append(other, pair{a, b})
			}
		}
	}
	list := same
	if len(list) == 0 || len(other) > 0 && g.percent(40) {
		list = other
	}
	if len(list) == 0 {
		return nil, ""
	}
	p := one(g, list)
	count := 0
	for _, c := range left {
		if c.name == p.a.name {
			count++
		}
	}
	if p.a.name == p.b.name && count == 1 {
		using = p.a.name
	}
	return seq(p.a.text, " = ", r.alias, "."+p.b.name).fix(), using
}

package generator

import (
	"regexp"
	"slices"
)

// selection is SELECT … FROM … WHERE … GROUP BY … ORDER BY … LIMIT ….
type selection struct {
	g        *gen
	w        want
	rows     scope // what WHERE sees
	s        scope // what the select list sees
	grouped  bool
	group    *node
	keys     []column // of GROUP BY
	items    *node
	distinct string
	on       *node
	many     bool // set-returning functions are among the items
	q        query
}

func (g *gen) selection(outer scope, w want) query {
	x := &selection{g: g, w: w}
	from := g.from(outer, &x.rows)
	x.q.single = len(x.rows.columns) == 0
	x.rows.outer, x.rows.depth = outer.outer, min(3, max(outer.depth, 1))
	where := (*node)(nil)
	if g.percent(55) {
		where = optional(" WHERE ", g.expr(x.rows.row(), "bool"))
	}
	x.grouping()
	having := (*node)(nil)
	if x.grouped && g.percent(25) {
		s := x.s
		s.windows, s.named = false, ""
		having = optional(" HAVING ", g.expr(s, "bool"))
	}
	windows := x.namedWindow()
	x.chooseDistinct()
	x.chooseRows()
	if x.star() {
		x.items = listOf("", ", ", "", seq("*"))
	} else {
		x.selectList()
	}
	head := "SELECT "
	if x.distinct != "" {
		head += x.distinct + " "
	}
	x.q.node = seq(head, x.on, x.items, from, where, x.group, having, windows)
	x.order()
	return x.q
}

// grouping decides whether the query groups, and by what.
func (x *selection) grouping() {
	g := x.g
	x.s = x.rows
	x.s.windows = !g.simple
	one_ := x.w.one && (g.percent(60) || x.rows.unique == nil)
	if !one_ && !g.percent(35) {
		return
	}
	x.grouped = true
	args := x.rows
	x.s = scope{outer: x.rows.outer, args: &args, windows: !g.simple, depth: min(x.rows.depth, 2)}
	if one_ || g.percent(20) {
		x.q.single = true
		x.s.unique = []column{}
		return
	}
	list := listOf(" GROUP BY ", ", ", "")
	for range 1 + g.below(3) {
		if k, n, ok := g.groupKey(x.rows); ok {
			x.keys = append(x.keys, k)
			list.parts = append(list.parts, n)
		}
	}
	if len(list.parts) == 0 {
		x.q.single = true
		x.s.unique = []column{}
		return
	}
	x.s.columns, x.s.unique, x.group = x.keys, x.keys, list
	if !g.simple && g.percent(20) {
		x.groupingSets(list)
	}
}

// groupKey is a column, or an expression of one, whose equal values are written alike.
func (g *gen) groupKey(s scope) (k column, n *node, ok bool) {
	s.outer = nil
	typ := g.exactType()
	c := g.columnOf(s, func(c column) bool { return c.typ == typ && c.canon })
	if c == nil {
		typ = "text"
		if c = g.columnOf(s, func(c column) bool { return c.typ == typ && c.canon }); c == nil {
			return k, nil, false
		}
	}
	k = column{text: c.text, name: c.name, typ: typ, plain: c.plain, bare: c.bare, canon: true}
	n = c.ref(g)
	if g.percent(60) {
		return k, n, true
	}
	k.bare, k.plain = "", false
	switch typ {
	case "text":
		k.text = one(g, []string{"lower(", "upper(", "COALESCE(", "split_part(", "left("})
		k.text += c.text + map[string]string{"COALESCE(": ", 'none')", "split_part(": ", '/', 2)", "left(": ", 1)"}[k.text]
		if k.text[len(k.text)-1] != ')' {
			k.text += ")"
		}
	case "int4", "int8", "int2":
		k.text = "(" + c.text + one(g, []string{" % 3)", " & 1)"})
		if typ == "int2" {
			k.typ = "int4"
		}
	case "timestamptz", "timestamp":
		k.text = "date_trunc(" + one(g, []string{"'hour'", "'day'", "'month'"}) + ", " + c.text + ")"
	default:
		k.text, k.typ = "("+c.text+" IS NULL)", "bool"
	}
	return k, seq(k.text), true
}

// groupingSets puts the keys into ROLLUP, CUBE or GROUPING SETS. A key may
// then be NULL in several groups, so the keys are not unique any more.
func (x *selection) groupingSets(list *node) {
	g := x.g
	x.s.unique = nil
	list.optional = true
	switch g.below(4) {
	case 0:
		list.prefix, list.suffix = " GROUP BY ROLLUP (", ")"
	case 1:
		list.prefix, list.suffix = " GROUP BY CUBE (", ")"
	case 2:
		list.prefix, list.suffix = " GROUP BY GROUPING SETS (", ", ())"
	default:
		list.prefix = " GROUP BY ROLLUP (" + x.keys[0].text + "), "
	}
	for _, k := range slices.Clone(x.keys) {
		x.s.columns = append(x.s.columns, column{text: "GROUPING(" + k.text + ")", name: "grouping", typ: "int4"})
	}
}

// namedWindow is a WINDOW clause, nil most times.
func (x *selection) namedWindow() *node {
	g := x.g
	if !x.s.windows || !g.percent(12) {
		return nil
	}
	inner := x.s
	inner.windows, inner.depth = false, 1
	total := x.s.unique != nil
	w := g.over(inner, total, true)
	if w == nil {
		return nil
	}
	x.s.named, x.s.total = g.alias("win"), total
	return optional(" WINDOW "+x.s.named+" AS (", w, ")")
}

func (x *selection) chooseDistinct() {
	g, w := x.g, x.w
	switch {
	case w.one || w.ordered:
	case g.percent(10):
		x.distinct = "DISTINCT"
	case !g.simple && !x.grouped && len(x.rows.unique) > 0 && !w.bare && g.percent(8):
		x.distinct = "DISTINCT ON"
	}
}

// star reports whether the select list is *, which only the outermost query may have.
func (x *selection) star() bool {
	return x.w.top && !x.grouped && x.distinct == "" && !x.many && len(x.rows.columns) > 0 && x.g.percent(5)
}

func (x *selection) selectList() {
	g, w := x.g, x.w
	types := w.types
	exactly := w.exact || x.distinct == "DISTINCT"
	if types == nil {
		count := 1 + g.below(4)
		if g.simple {
			count += g.below(5) // they cost little, and are about expressions
		}
		for range count {
			t := g.anyType()
			if exactly {
				t = g.canonicalType()
			}
			types = append(types, t)
		}
	}
	x.items = listOf("", ", ", "")
	x.items.filled = true
	add := func(n *node, typ string, alias string, canon bool, tolerance float64) {
		item := seq(n)
		item.optional = w.types == nil
		name := alias
		if alias != "" {
			item.parts = append(item.parts, one(g, []string{" AS ", " "})+alias)
		}
		if w.top {
			item.output = &output{tolerance}
		}
		x.items.parts = append(x.items.parts, item)
		x.q.columns = append(x.q.columns, column{name: name, typ: typ, canon: canon})
	}
	alias := func() string {
		if w.top && g.percent(50) {
			return ""
		}
		return "c" + number(len(x.q.columns)+1)
	}
	if w.types == nil && x.distinct == "" && x.s.unique != nil && g.percent(50) {
		for _, k := range x.s.unique {
			name := alias()
			if !w.top && !x.many {
				x.q.unique = append(x.q.unique, name)
			}
			add(seq(k.text), k.typ, name, true, 0)
		}
	}
	if x.many {
		x.q.single = false
		if types = slices.Clone(types); w.types == nil {
			types[0] = one(g, rowsTypes)
			if (exactly || x.group != nil) && types[0] == "jsonb" {
				types[0] = "int4"
			}
		}
	}
	for i, t := range types {
		switch {
		case x.many && slices.Contains(rowsTypes, t) && (i == 0 || w.types != nil || g.percent(25)) && (!exactly || isExact(t)):
			add(x.rowsItem(t), t, alias(), isExact(t), 0)
			if i == 0 && w.types == nil && len(x.q.columns) == 1 && x.group != nil {
				x.groupByFirst()
			}
		case w.top && x.distinct == "" && len(theCalls().inexact) > 0 && g.percent(4):
			add(g.inexactCall(x.s.row()), "float8", alias(), false, 1e-14)
		case w.top && x.grouped && x.distinct == "" && g.percent(8):
			n, tolerance := g.approximate(x.s)
			add(n, "float8", alias(), false, tolerance)
		case exactly:
			add(g.canonical(x.s, t), t, alias(), true, 0)
		default:
			add(g.expr(x.s, t), t, alias(), isExact(t), 0)
		}
	}
	if x.distinct == "DISTINCT" && !w.top {
		for _, c := range x.q.columns {
			x.q.unique = append(x.q.unique, c.name)
		}
	}
}

// order appends ORDER BY and LIMIT.
func (x *selection) order() {
	g, w := x.g, x.w
	switch {
	case x.distinct == "DISTINCT ON":
		x.distinctOn()
		return
	case w.bare:
		return
	case x.q.single && !x.grouped:
		return
	case !w.ordered && !(w.one && !x.q.single) && !g.percent(map[bool]int{true: 50, false: 20}[w.top]):
		return
	case len(x.q.columns) == 0:
		x.orderByUnique()
		return
	case x.distinct == "DISTINCT" && len(x.q.columns) > 0:
		g.orderByOutputs(&x.q, w, len(x.q.columns))
		return
	}
	x.orderByUnique()
}

// orderByUnique orders by outputs and expressions, and then by what is unique.
func (x *selection) orderByUnique() {
	g, w := x.g, x.w
	list := listOf(" ORDER BY ", ", ", "").fix()
	leading := true
	for range g.below(3) {
		if i := g.below(max(len(x.q.columns), 1)); i < len(x.q.columns) && g.percent(60) {
			c := x.q.columns[i]
			if (!c.canon || !isExact(c.typ)) && w.top {
				leading = false
			}
			text := number(i + 1)
			if c.name != "" && g.percent(50) {
				text = c.name
			}
			if leading {
				x.q.prefix = append(x.q.prefix, i)
			}
			if x.tolerant(i) {
				continue
			}
			list.parts = append(list.parts, seq(text, g.direction()))
			continue
		}
		leading = false
		n := g.expr(x.s, g.exactType())
		if bareConstant.MatchString(n.String()) {
			continue // no expression, but a position, or refused
		}
		list.parts = append(list.parts, seq(n, g.direction()))
	}
	if x.s.unique != nil && !x.many && (w.ordered || w.one || g.percent(70)) {
		for _, c := range x.s.unique {
			list.parts = append(list.parts, seq(c.text, g.direction()))
		}
		x.q.total = true
	}
	if len(list.parts) == 0 {
		if x.q.total {
			x.q.order = nil // one row at most
		}
		return
	}
	g.finish(&x.q, list, w)
	if !x.q.total && !g.simple && !w.top && g.percent(20) {
		x.q.node = seq(x.q.node, optional(" FETCH FIRST 2 ROWS WITH TIES"))
	}
}

// bareConstant is what ORDER BY takes for a position of the output.
var bareConstant = regexp.MustCompile(`^[(]*(true|false|NULL|-?\d+|'[^']*')[)]*$`)

func (x *selection) tolerant(i int) bool {
	item := x.items.parts[i].(*node)
	return item.output != nil && item.output.tolerance > 0
}

// distinctOn keeps of each group of rows the first by a total order.
func (x *selection) distinctOn() {
	g := x.g
	on := listOf("(", ", ", ") ")
	list := listOf(" ORDER BY ", ", ", "").fix()
	for range 1 + g.below(2) {
		k, _, ok := g.groupKey(x.rows)
		if !ok {
			continue
		}
		on.parts = append(on.parts, seq(k.text))
		list.parts = append(list.parts, seq(k.text, g.direction()))
	}
	if len(on.parts) == 0 {
		on.parts = append(on.parts, seq(x.rows.unique[0].text))
	}
	for _, c := range x.rows.unique {
		list.parts = append(list.parts, seq(c.text, g.direction()))
	}
	x.q.node.parts[1] = on.fix()
	x.q.total = true
	x.q.unique = nil
	g.finish(&x.q, list, x.w)
}

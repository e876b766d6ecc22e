package generator

import (
	"slices"
)

// want is what the place of a query asks of it.
type want struct {
	types   []string // of its columns; nil: any
	any     bool     // any number of rows, in any order
	one     bool     // one row at most
	ordered bool     // a total order
	exact   bool     // equal values are to be written alike
	inWith  bool     // follows WITH, so that no second one may
	bare    bool     // no ORDER BY and no LIMIT: stands in a set operation without brackets
	top     bool     // the outermost query
}

// query is what became of it.
type query struct {
	node    *node
	columns []column // name and typ
	unique  []string // output columns that are unique together; nil when not known
	single  bool     // one row at most
	total   bool     // its order is total
	order   *node
	prefix  []int // output columns that the order begins with
}

// statement is an outermost query.
func (g *gen) statement() *Statement {
	q := g.query(scope{depth: 3}, want{top: true})
	return &Statement{root: q.node, order: q.order, total: q.total, prefix: q.prefix}
}

// query makes any query.
func (g *gen) query(s scope, w want) query {
	g.queries++
	kind := g.below(8)
	if g.simple || s.depth <= 0 || g.queries > 6 {
		return g.selection(s, w)
	}
	switch {
	case kind == 7 && !w.bare && !w.inWith && len(g.ctes) < 3:
		return g.with(s, w)
	case kind == 6 && !w.one && !w.bare:
		return g.setOperation(s, w)
	case kind == 5 && !w.one && !w.ordered && g.percent(30):
		return g.values_(s, w)
	}
	return g.selection(s, w)
}

// with puts common table expressions before a query.
func (g *gen) with(s scope, w want) query {
	before := len(g.ctes)
	list := listOf("WITH ", ", ", " ")
	if g.percent(30) {
		list.prefix = "WITH RECURSIVE "
		list.parts = append(list.parts, g.recursive())
	}
	for range 1 + g.below(2) {
		q := g.query(scope{depth: 2}, want{any: true})
		name := g.alias("w")
		columns, unique := q.columns, q.unique
		heading := name
		if g.percent(30) {
			columns, unique, heading = g.renamed(name, columns, unique)
		}
		heading += one(g, []string{" AS (", " AS MATERIALIZED (", " AS NOT MATERIALIZED (", " AS ("})
		list.parts = append(list.parts, optional(heading, q.node, ")"))
		g.ctes = append(g.ctes, table{name: name, columns: columns, unique: unique})
	}
	w.inWith = true
	q := g.query(scope{outer: s.outer, depth: s.depth - 1}, w)
	g.ctes = g.ctes[:before]
	q.node = seq(list, q.node)
	return q
}

// renamed gives the columns of a relation other names: "w1 (x1, x2)".
func (g *gen) renamed(name string, columns []column, unique []string) ([]column, []string, string) {
	out := slices.Clone(columns)
	var names []string
	renamed := map[string]string{}
	for i := range out {
		out[i].name = "x" + number(i+1)
		renamed[columns[i].name] = out[i].name
		names = append(names, out[i].name)
	}
	heading := name + " ("
	for i, n := range names {
		if i > 0 {
			heading += ", "
		}
		heading += n
	}
	if unique != nil {
		list := make([]string, len(unique))
		for i, u := range unique {
			list[i] = renamed[u]
		}
		unique = list
	}
	return out, unique, heading + ")"
}

// recursive is one of a few recursions that end: up the tree of processes, or
// counting.
func (g *gen) recursive() *node {
	name := g.alias("r")
	columns := []column{{name: "pid", typ: "int4"}, {name: "ppid", typ: "int4"}, {name: "level", typ: "int4"}}
	union := one(g, []string{"UNION ALL", "UNION"})
	depth := number(1 + g.below(3))
	text := ""
	switch g.below(4) {
	case 0:
		columns = []column{{name: "level", typ: "int4"}}
		text = name + " (level) AS (SELECT 1 " + union + " SELECT level + 1 FROM " + name + " WHERE level < " + number(2+g.below(6)) + ")"
		g.ctes = append(g.ctes, table{name: name, columns: columns, unique: []string{"level"}})
		return seq(text)
	case 1:
		columns = append(columns, column{name: "path", typ: "text"})
		text = name + " AS (SELECT pid, ppid, 1 AS level, name AS path FROM processes WHERE pid < " + number(1+g.below(4)) +
			" UNION ALL SELECT p.pid, p.ppid, r.level + 1, r.path || '/' || p.name FROM processes AS p JOIN " + name + " AS r ON p.ppid = r.pid WHERE r.level < " + depth + ")"
	case 2:
		text = name + " AS (SELECT pid, ppid, 0 AS level FROM process_events WHERE event = 'exec' " + union +
			" SELECT p.pid, p.ppid, r.level + 1 FROM process_events AS p, " + name + " AS r WHERE p.pid = r.ppid AND r.level < " + depth + ")"
	default:
		text = name + " (pid, ppid, level) AS (SELECT DISTINCT pid, ppid, 0 FROM processes " + union +
			" SELECT DISTINCT p.pid, p.ppid, r.level + 1 FROM " + name + " AS r INNER JOIN processes AS p ON p.pid = r.ppid WHERE r.level < " + depth + ")"
	}
	g.ctes = append(g.ctes, table{name: name, columns: columns})
	return seq(text)
}

// values_ is VALUES as a query.
func (g *gen) values_(s scope, w want) query {
	types := w.types
	if types == nil {
		for range 1 + g.below(3) {
			types = append(types, g.exactType())
		}
	}
	rows := listOf("VALUES ", ", ", "")
	inner := scope{outer: s.outer, depth: 1}
	for range 1 + g.below(4) {
		row := listOf("(", ", ", ")")
		for _, t := range types {
			row.parts = append(row.parts, g.canonical(inner, t))
		}
		row.optional = true
		rows.parts = append(rows.parts, row)
	}
	q := query{node: rows}
	for i, t := range types {
		q.columns = append(q.columns, column{name: "column" + number(i+1), typ: t, canon: true})
	}
	return q
}

// setOperation joins two or three queries by UNION, INTERSECT or EXCEPT.
func (g *gen) setOperation(s scope, w want) query {
	types := w.types
	all := g.percent(40)
	if types == nil {
		for range 1 + g.below(3) {
			types = append(types, g.exactType())
		}
	}
	var q query
	operators := []string{" UNION ", " INTERSECT ", " EXCEPT ", " UNION ALL ", " INTERSECT ALL ", " EXCEPT ALL "}
	n := seq()
	count := 2 + g.below(2)
	onlyUnion := true
	for i := range count {
		op := ""
		if i > 0 {
			op = operators[g.below(6)]
			if all {
				op = " UNION ALL "
			}
			onlyUnion = onlyUnion && op == " UNION "
		}
		branch := want{types: types, exact: true, any: true}
		open, shut := "(", ")"
		if g.percent(60) {
			branch.bare, open, shut = true, "", ""
		}
		b := g.query(scope{outer: s.outer, depth: s.depth - 1}, branch)
		part := seq(op, open, b.node, shut)
		part.optional = i > 0
		n.parts = append(n.parts, part)
		if i == 0 {
			q.columns = slices.Clone(b.columns)
		}
	}
	for i := range q.columns {
		q.columns[i].canon = true
		if onlyUnion {
			q.unique = append(q.unique, q.columns[i].name)
		}
	}
	q.node = n
	if w.ordered || g.percent(40) {
		g.orderByOutputs(&q, w, len(types))
	}
	return q
}

// orderByOutputs orders by positions of the output, in any order, all of them
// if there is to be a limit.
func (g *gen) orderByOutputs(q *query, w want, count int) {
	list := listOf(" ORDER BY ", ", ", "")
	list.fixed = true
	positions := g.shuffled(count)
	if !w.ordered && g.percent(30) {
		positions = positions[:1+g.below(count)]
	}
	for _, i := range positions {
		q.prefix = append(q.prefix, i)
		list.parts = append(list.parts, seq(number(i+1), g.direction()))
	}
	q.total = len(positions) == count
	g.finish(q, list, w)
}

func (g *gen) shuffled(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	for i := range out {
		j := i + g.below(n-i)
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// finish appends ORDER BY and, over a total order, LIMIT and OFFSET.
func (g *gen) finish(q *query, order *node, w want) {
	limit := seq()
	switch {
	case !q.total || w.top && g.percent(60):
	case w.one:
		limit = seq(" LIMIT 1")
		q.single = true
	case g.percent(40):
		limit = optional(one(g, []string{" LIMIT 3", " LIMIT 1", " LIMIT 10", " OFFSET 2", " LIMIT 2 OFFSET 1", " FETCH FIRST 2 ROWS ONLY", " OFFSET 1 ROWS FETCH NEXT ROW ONLY", " LIMIT ALL", " LIMIT 0"}))
	}
	q.order = optional(order, limit)
	q.node = seq(q.node, q.order)
}

// Package generator makes random tables of the event view and random valid
// queries over them, for comparing the engine with PostgreSQL.
//
// A query's result is determined: what depends on the order of rows (LIMIT,
// row_number, string_agg) stands over a total order only, and where equal
// values may be written differently (1.0 and 1.00) none is picked from several.
package generator

import (
	"fmt"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// column is something an expression can refer to.
type column struct {
	text     string // as written
	name     string
	typ      string
	plain    bool   // no expression: may be used in subqueries of a grouped query
	bare     string // the name alone where it is unambiguous, else ""
	literals []string
	canon    bool // equal values are written alike
}

func (c column) ref(g *gen) *node {
	text := c.text
	if c.bare != "" && g.percent(60) {
		text = c.bare
	}
	return &node{typ: c.typ, parts: []any{text}, literals: c.literals}
}

// scope is what an expression at some place may use.
type scope struct {
	columns []column
	outer   []column // of the queries around
	unique  []column // together without duplicates; nil when nothing is known to be
	args    *scope   // of aggregates' arguments; nil where there can be none
	windows bool     // window functions are allowed
	named   string   // a window of the WINDOW clause, "" when there is none
	total   bool     // that window's order is total
	depth   int
}

func (s scope) deeper() scope {
	s.depth--
	return s
}

// row is s for what is evaluated for each row: no aggregate, no window.
func (s scope) row() scope {
	s.args, s.windows, s.named = nil, false, ""
	return s
}

// relation is an item of FROM.
type relation struct {
	alias   string
	columns []column
	unique  []column
}

// table is a CTE or a table of the event view.
type table struct {
	name    string
	columns []column // names and types
	unique  []string // names
}

// gen makes one statement.
type gen struct {
	t       *rapid.T
	risk    bool // operations that may fail are allowed anywhere
	simple  bool // one table, no subquery, no window
	aliases int
	queries int
	ctes    []table
	values  map[string]map[string][]string // table → column → literals
}

func (g *gen) alias(prefix string) string {
	g.aliases++
	return fmt.Sprintf("%s%d", prefix, g.aliases)
}

// Statements makes queries about data; equal seeds give equal queries.
func Statements(batches []*event.Batch) func(seed int) *Statement {
	values := literalsOf(batches)
	generator := rapid.Custom(func(t *rapid.T) *Statement {
		g := &gen{t: t, values: values}
		g.simple = g.percent(40)
		g.risk = g.percent(25)
		return g.statement()
	})
	return func(seed int) *Statement { return generator.Example(seed) }
}

// Filters makes queries about data that filter and project the table alone,
// as streaming rules do; equal seeds give equal queries.
func Filters(t *event.Table, batches []*event.Batch) func(seed int) *Statement {
	values := literalsOf(batches)
	generator := rapid.Custom(func(r *rapid.T) *Statement {
		g := &gen{t: r, values: values, simple: true}
		g.risk = g.percent(25)
		return g.filtering(t)
	})
	return func(seed int) *Statement { return generator.Example(seed) }
}

// filtering is SELECT … FROM the table WHERE …; each column has a name.
func (g *gen) filtering(t *event.Table) *Statement {
	from := g.describe(t)
	s := scope{depth: 3}
	g.offer(&s, relation{alias: t.Name, columns: from.columns}, true)
	items := listOf("", ", ", "")
	items.filled = true
	for i := range 1 + g.below(4) {
		typ := g.anyType()
		items.parts = append(items.parts, optional(g.expr(s.deeper(), typ), " AS c"+number(i+1)))
	}
	return &Statement{root: seq("SELECT ", items, " FROM "+t.Name+" WHERE ", g.expr(s, "bool"))}
}

// eventTable describes a table of the event view.
func (g *gen) eventTable() table {
	return g.describe(event.Lookup(one(g, tableNames)))
}

func (g *gen) describe(t *event.Table) table {
	out := table{name: t.Name, unique: []string{t.Time}}
	for _, c := range t.Columns {
		typ := shortName(c.Type.String())
		if c.Type == event.Timestamptz {
			typ = "timestamptz"
		}
		out.columns = append(out.columns, column{name: c.Name, typ: typ, plain: true, literals: g.values[t.Name][c.Name], canon: typ != "float8"})
	}
	return out
}

// literalsOf lists the different values of each column, for reducing a query.
func literalsOf(batches []*event.Batch) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for _, b := range batches {
		m := out[b.Table.Name]
		if m == nil {
			m = map[string][]string{}
			out[b.Table.Name] = m
		}
		for i, v := range b.Columns {
			c := b.Table.Columns[i]
			seen := map[string]bool{}
			for _, s := range m[c.Name] {
				seen[s] = true
			}
			for row := range b.Rows {
				if v.IsNull(row) || len(seen) == 24 {
					continue
				}
				if s := Literal(v, row) + "::" + c.Type.String(); !seen[s] {
					seen[s] = true
					m[c.Name] = append(m[c.Name], s)
				}
			}
		}
	}
	return out
}

// Package sql is the query engine of rules and hunts: it parses a SELECT with
// PostgreSQL's own grammar, checks it against the event view and one list of
// what is allowed, plans it, and runs it over batches of events, by column.
//
// What it accepts means what PostgreSQL 15 means by it (time zone UTC, collation
// C); what it does not accept is refused by name when the statement is
// compiled. The known differences are listed by [WriteDoc].
//
// A statement may hold parameters, written as in psql :name or :'name'. Both
// stand for one untyped string literal that is put into the syntax tree, so
// a value can never become syntax.
package sql

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"daemoneye/bus/event"
)

// Limits bound what Compile accepts. Zero means the default, and what is above
// MaxLimits means these.
type Limits struct {
	Text  int // bytes of the statement; 64 KiB
	Depth int // nesting of expressions; 200
	Nodes int // nodes of the syntax tree; 20,000
	List  int // elements of one list (IN, ARRAY, arguments, columns); 5,000

	Constants time.Duration // to compute what is constant when the statement is compiled; 2 s

	Tables int // tables, subqueries and functions in FROM; 64
	CTEs   int // queries of one WITH; 32

	// Operators bounds those of one expression, keywords such as OR and CASE
	// among them: what is between two commas, with all brackets in it; 5,000.
	Operators int
}

// DefaultLimits are those of a zero Limits.
func DefaultLimits() Limits {
	return Limits{Constants: 2 * time.Second, Text: 64 << 10, Depth: 200, Nodes: 20_000, List: 5_000, Tables: 64, CTEs: 32, Operators: 5_000}
}

// MaxLimits are the highest. With more depth or operators PostgreSQL's parser
// could exhaust the C stack of a thread, which ends the process; a longer text
// does not fit into a request to the agent.
func MaxLimits() Limits {
	return Limits{Constants: 30 * time.Second, Text: 512 << 10, Depth: 1_000, Nodes: 500_000, List: 100_000, Tables: 1_000, CTEs: 1_000, Operators: 5_000}
}

func (l Limits) withDefaults() Limits {
	d, m := DefaultLimits(), MaxLimits()
	in := func(n, def, most int) int {
		if n == 0 {
			return def
		}
		return min(n, most)
	}
	if l.Constants == 0 {
		l.Constants = d.Constants
	}
	return Limits{
		Constants: min(l.Constants, m.Constants),
		Text:      in(l.Text, d.Text, m.Text), Depth: in(l.Depth, d.Depth, m.Depth), Nodes: in(l.Nodes, d.Nodes, m.Nodes), List: in(l.List, d.List, m.List),
		Tables: in(l.Tables, d.Tables, m.Tables), CTEs: in(l.CTEs, d.CTEs, m.CTEs), Operators: in(l.Operators, d.Operators, m.Operators),
	}
}

// Config adjusts Compile; its zero value is the default.
type Config struct {
	Limits Limits
	Params map[string]string // values of :name
	Lists  map[string]*List  // what list(name) gives
}

// Column is one column of a result.
type Column struct {
	Name string
	Type Type
}

// Query is a checked and planned SELECT. It does not change once compiled,
// and may be run by several goroutines at once.
type Query struct {
	text    string
	prefix  string // see compile
	cfg     Config
	columns []Column
	plan    operator
	frame   *frame
	tables  []*event.Table
	scans   []*scanNode
	simple  *simplePlan // nil unless it streams
	lists   []string
}

// Compile parses, checks and plans one SELECT. Every error is an *Error.
func Compile(text string, cfg Config) (*Query, error) {
	return compile(text, "", cfg)
}

// CompileWhere compiles SELECT * FROM table WHERE condition. Positions in
// errors relate to condition.
func CompileWhere(table, condition string, cfg Config) (*Query, error) {
	if event.Lookup(table) == nil {
		return nil, unknownTable(-1, table)
	}
	return compile(condition, "SELECT * FROM "+table+" WHERE ", cfg)
}

// CompileOver compiles SELECT * FROM (query) AS result WHERE condition, for a
// query that was compiled. Positions in errors relate to condition.
func CompileOver(query, condition string, cfg Config) (*Query, error) {
	over := "(" + strings.TrimRight(query, "; \t\r\n") + "\n) AS result"
	return compile(condition, "SELECT * FROM "+over+" WHERE ", cfg.longer(len(over)))
}

// CompileMarked compiles a query with one more column at the end for each
// condition that CompileOver takes: whether it is true.
func CompileMarked(query string, conditions []string, cfg Config) (*Query, error) {
	var b strings.Builder
	b.WriteString("SELECT result.*")
	for _, c := range conditions {
		b.WriteString(", (" + c + "\n) IS TRUE")
	}
	b.WriteString(" FROM (" + strings.TrimRight(query, "; \t\r\n") + "\n) AS result")
	return Compile(b.String(), cfg.longer(b.Len()))
}

// longer allows a text that is so much longer.
func (c Config) longer(n int) Config {
	c.Limits.Text = c.Limits.withDefaults().Text + n
	return c
}

// compile compiles prefix+text; positions relate to text, and a prefix means
// that nothing but a condition may follow it.
func compile(text, prefix string, cfg Config) (*Query, error) {
	limits := cfg.Limits.withDefaults()
	stmt, err := parse(prefix+text, limits, cfg.Params)
	if err == nil && prefix != "" {
		err = stmt.onlyCondition()
	}
	var q *Query
	if err == nil {
		q, err = check(stmt, limits, cfg.Lists)
	}
	if err != nil {
		e, ok := copyError(err).(*Error)
		if !ok {
			e = fail(codeUnsupported, "%v", err)
		}
		if e.at > 0 {
			e.at = max(e.at-len(prefix), 1)
		}
		return nil, e.locate(text).singleQuotes()
	}
	q.text, q.prefix, q.cfg = text, prefix, cfg
	return q, nil
}

// onlyCondition refuses clauses after the condition of CompileWhere.
func (q *queryExpr) onlyCondition() error {
	s, ok := q.body.(*selectStmt)
	if !ok || len(s.groupBy) > 0 || s.having != nil || len(s.windows) > 0 || len(q.orderBy) > 0 || q.limit != nil || q.offset != nil {
		return fail(codeSyntax, "only a condition is allowed here").hint("leave out UNION, GROUP BY, HAVING, WINDOW, ORDER BY, LIMIT and OFFSET")
	}
	return nil
}

// Tables returns the event tables that the query reads, in the order of the text.
func (q *Query) Tables() []string {
	var out []string
	for _, t := range q.tables {
		out = append(out, t.Name)
	}
	return out
}

// Columns returns the columns of the result.
func (q *Query) Columns() []Column { return q.columns }

// Text returns the statement as it was given to Compile.
func (q *Query) Text() string { return q.text }

// Streams reports whether the query is a filter and projection of one event
// table, so that each row's answer depends on that row alone.
func (q *Query) Streams() bool { return q.simple != nil }

// TimeRange returns bounds from ≤ t < to, in µs since the Unix epoch, that
// WHERE proves for the time column of every scan of table at the time now;
// math.MinInt64 and math.MaxInt64 where there is none.
func (q *Query) TimeRange(table string, now time.Time) (from, to int64) {
	list := q.TimeRanges(table, now)
	if len(list) == 0 {
		return math.MinInt64, math.MaxInt64
	}
	return list[0].From, list[len(list)-1].To
}

// TimeRange is the times from ≤ t < to, in µs since the Unix epoch.
type TimeRange struct{ From, To int64 }

// TimeRanges returns the times of table that the query reads at the time now:
// those of its scans, as TimeRange bounds each, joined where they touch and in
// order. It is empty when the query does not read the table.
func (q *Query) TimeRanges(table string, now time.Time) []TimeRange {
	x := newEnv(context.Background(), nil, Options{Now: now})
	x.frame = q.frame
	var list []TimeRange
	for _, s := range q.scans {
		if strings.EqualFold(s.table.Name, table) {
			from, to := s.timeRange(x)
			list = append(list, TimeRange{from, to})
		}
	}
	slices.SortFunc(list, func(a, b TimeRange) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	var out []TimeRange
	for _, r := range list {
		if n := len(out); n > 0 && r.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

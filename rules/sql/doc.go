package sql

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Functions returns the allow-list of functions, aggregates and operators, in
// the order of the manual, one entry a name; the results of the examples are
// computed.
func Functions() []Function {
	c := theCatalog()
	var out []Function
	for _, e := range c.entries {
		list, operator := c.functions[e.name], e.kind == "operator"
		if operator {
			list = c.operators[e.name]
		}
		var signatures []string
		for _, f := range list {
			if f.group != e.group || f.refused != "" {
				continue
			}
			if s := f.signature(operator); !slices.Contains(signatures, s) {
				signatures = append(signatures, s)
			}
		}
		out = append(out, Function{
			Name: e.name, Kind: e.kind, Signature: strings.Join(signatures, "\n"),
			Doc: e.doc, Example: e.example, Result: exampleResult(e.example),
		})
	}
	return out
}

// exampleResult runs an example and joins its columns; the error if it fails,
// which the tests do not let pass.
func exampleResult(text string) string {
	q, err := Compile(text, Config{})
	if err != nil {
		return "error: " + err.Error()
	}
	var cells []string
	now := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	err = q.Run(context.Background(), nil, Options{Now: now}, func(r *Rows) error {
		for k := range r.Columns() {
			text, null := r.AppendText(nil, 0, k)
			if null {
				text = []byte("NULL")
			}
			cells = append(cells, string(text))
		}
		return nil
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.Join(cells, ", ")
}

// syntax is what the grammar accepts, beside functions and operators.
var grammar = [][2]string{
	{"SELECT [DISTINCT [ON (…)]] … FROM … [WHERE …]", "or no FROM"},
	{"FROM table [AS alias [(column, …)]], (SELECT …) AS s, (VALUES …) AS v, function(…) [WITH ORDINALITY]", "tables of the event view, subqueries, set-returning functions; LATERAL"},
	{"… [INNER|LEFT|RIGHT|FULL] JOIN … ON …|USING (…), CROSS JOIN, NATURAL JOIN", "by hash where the condition has equalities, else by trying all pairs"},
	{"GROUP BY …, ROLLUP (…), CUBE (…), GROUPING SETS (…) HAVING …", "expressions, output names and positions; GROUPING(…)"},
	{"function(…) [FILTER (WHERE …)] OVER ([PARTITION BY …] [ORDER BY …] [ROWS|RANGE|GROUPS …]), WINDOW w AS (…)", "window functions and aggregates"},
	{"… UNION|INTERSECT|EXCEPT [ALL] …, VALUES (…), (…)", ""},
	{"WITH [RECURSIVE] name AS (…)", "computed once if it is used more than once"},
	{"(SELECT …), EXISTS (…), [NOT] IN (SELECT …), op ANY|ALL (SELECT …), ARRAY(SELECT …)", "correlated ones too"},
	{"ORDER BY … [ASC|DESC] [NULLS FIRST|LAST]", "expressions, output names and positions"},
	{"LIMIT n OFFSET m, FETCH FIRST n ROWS ONLY|WITH TIES", "expressions without columns"},
	{"(a, b) = (c, d), (a, b) IN (…), (a, b) < (c, d), (a, b) < ALL (SELECT …)", "rows only in comparisons"},
	{"AND, OR, NOT; IS [NOT] NULL, TRUE, FALSE, UNKNOWN", "three-valued logic"},
	{"IS [NOT] DISTINCT FROM", "comparison in which NULL is a value"},
	{"[NOT] IN (…), [NOT] BETWEEN [SYMMETRIC] … AND …", ""},
	{"op ANY (array), op ALL (array)", "any operator that gives boolean"},
	{"[NOT] LIKE, [NOT] ILIKE, [NOT] SIMILAR TO … [ESCAPE …]", ""},
	{"CASE, COALESCE, NULLIF, GREATEST, LEAST", "evaluated only as far as needed"},
	{"CAST(x AS type), x::type, type 'literal'", ""},
	{"(alias).column, (jsonb_each(…)).key, (jsonb_each(…)).*, alias IS [NOT] NULL", "the only uses of a whole row"},
	{"op ANY (list('name'))", "the values of a list that stands beside the rules, an array; PostgreSQL has no such function"},
	{"ARRAY[…], x[i], x[i:j], json['key']", "arrays have one dimension, indexes start at 1"},
	{"aggregate([DISTINCT] x [ORDER BY …]) [FILTER (WHERE …)]", ""},
	{":name, :'name'", "a parameter: one untyped literal, put into the syntax tree, never into the text"},
}

// differences are what is knowingly not as in PostgreSQL 15.
var differences = []string{
	"Text is compared, and changed in case, by collation C: by bytes, and only ASCII letters have case. The time zone is UTC, the interval style postgres.",
	"Regular expressions run in linear time. Back references, look-ahead and look-behind, named collating elements, the option (?b), and the flags b and e of functions are refused.",
	"A constant expression that fails, such as a wrong pattern or literal, is an error when the query is compiled, even if no row would reach it.",
	"Times are read in ISO 8601's order only, perhaps with AM or PM, with the zones Z, UTC, GMT and ±HH[:MM]; 'now', 'today' and the like are refused, since they would be fixed when a rule is loaded. The last timestamp is in the year 294247.",
	"Time zones are IANA's by name, abbreviations that always mean the same, POSIX's without daylight saving, and intervals; others, and the type time with time zone, do not exist here.",
	"to_timestamp and to_date read years, months, days, clock times and offsets, but no weeks, centuries, Roman numbers, TH, FX or names of zones.",
	"Dates and times are not read with stray punctuation ('{2024-01-01}'::date).",
	"An untyped literal that PostgreSQL takes for a type that does not exist here, such as a bit string in get_bit('1', 0), is one of another type.",
	"In a format of to_char RN stands alone or beside 9 and 0.",
	"A FULL JOIN may have any condition; PostgreSQL wants an equality that it can hash or merge by.",
	"A set-returning function may stand beside min or max of a constant in ORDER BY, for which PostgreSQL's planner has no plan.",
	"NOT (x IS NULL) of a GROUPING SETS expression x IS NULL is NULL in the sets without it; PostgreSQL 15 rewrites it first and computes it from some row.",
	"A function can not be called as a field (e.count), nor a table's name used as a type.",
	"Interval fields as a type (INTERVAL DAY TO SECOND, INTERVAL(3)) are refused, but interval '5' minute and its like work.",
	"Arrays have one dimension and start at 1.",
	"A recursive query may make the values of its varchar(n) or numeric(p, s) column longer in the other term; PostgreSQL wants a cast.",
	"The last digit of an aggregate of double precision depends on the order of the rows; that of sinh, cosh, tanh, asinh, acosh, atanh, and rarely of other such functions may differ: PostgreSQL's is that of its C library.",
	"Numbers are written in decimal, as before PostgreSQL 16. A number of type numeric has at most 16,383 decimals.",
	"A text, array or jsonb that an expression makes has at most 16 MiB, and 262,144 elements. A LIKE pattern or regular expression has at most 64 KiB, and its length times that of the text matched is at most 2^30, the instructions of an expression times that 2^28.",
	"Rows come in no particular order without ORDER BY, which may be another one than PostgreSQL's.",
	"A table or column that is not in the event view, and a function or type that is not listed here, is an error even where PostgreSQL has one of that name.",
}

// WriteDoc writes the reference of the language as Markdown.
func WriteDoc(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# SQL\n\nRules and queries are PostgreSQL SELECTs over the event view. What is listed here means what PostgreSQL 15\nmeans by it; anything else is refused when the statement is compiled, with its place and what is allowed instead.\n\n")
	b.WriteString("## Syntax\n\n| syntax | |\n|---|---|\n")
	for _, s := range grammar {
		fmt.Fprintf(&b, "| `%s` | %s |\n", cell(s[0]), cell(s[1]))
	}
	b.WriteString("\n## Types\n\n| type | also written |\n|---|---|\n")
	for t := Bool; t < lastType; t++ {
		fmt.Fprintf(&b, "| %v | `%s` |\n", t, typeTable[t].internal)
	}
	b.WriteString("\nand arrays of these.\n")
	writeFunctions(&b)
	writeLimits(&b)
	b.WriteString("\n## Differences from PostgreSQL\n\n")
	for _, d := range differences {
		b.WriteString("- " + d + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeLimits(b *strings.Builder) {
	d, m := DefaultLimits(), MaxLimits()
	b.WriteString("\n## Limits\n\nEach has its own error, which names it. Those with a setting can be changed in the configuration.\n\n| limit | default | at most | setting |\n|---|---|---|---|\n")
	for _, l := range []struct{ name, what string }{
		{"text", "bytes of a statement"},
		{"depth", "nesting of expressions and subqueries"},
		{"expressions", "expressions in a statement"},
		{"list", "elements of one list"},
		{"tables", "tables, subqueries and functions in FROM"},
		{"ctes", "queries of one WITH"},
		{"operators", "operators and keywords such as OR in one expression"},
	} {
		fmt.Fprintf(b, "| %s | %d | %d | `sql.limits.%s` |\n", l.what, limitByName(d, l.name), limitByName(m, l.name), l.name)
	}
	fmt.Fprintf(b, "| memory for joining, sorting and grouping | %d MiB | | `agent.query_memory` |\n| temporary files, of joins and windows that need more | %d MiB | | `agent.temp_file_limit` |\n", defaultMemory>>20, defaultTemp>>20)
	b.WriteString("| time of a query | 30 s | 1 h | `agent.query_timeout`, `--timeout` |\n| rows of a result | none | | `--max-rows` |\n")
	b.WriteString("| time of one run of a rule | 30 s | | `rules.timeout` |\n| matches of one run of a rule | 10,000 | | `rules.max_matches` |\n")
	fmt.Fprintf(b, "| steps of a recursive query | %d | | |\n| bytes of a text, elements of an array or jsonb, that an expression makes | %d MiB, %d | | |\n", maxRecursion, maxText>>20, maxElements)
}

func writeFunctions(b *strings.Builder) {
	c := theCatalog()
	list := Functions()
	var groups []string
	for _, e := range c.entries {
		if !slices.Contains(groups, e.group) {
			groups = append(groups, e.group)
		}
	}
	slices.Sort(groups)
	for _, g := range groups {
		fmt.Fprintf(b, "\n## %s\n\n| name | arguments | | example | result |\n|---|---|---|---|---|\n", g)
		for i, e := range c.entries {
			if e.group != g {
				continue
			}
			f := list[i]
			lines := strings.Split(f.Signature, "\n")
			if len(lines) > 3 {
				lines = append(lines[:3], "…")
			}
			fmt.Fprintf(b, "| `%s` | `%s` | %s | `%s` | `%s` |\n", cell(f.Name), cell(strings.Join(lines, "; ")), cell(f.Doc), cell(f.Example), cell(f.Result))
		}
	}
}

// cell escapes what would end a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

package sql

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What is refused is told with its place, by the name that SQL has for it, and
// with what can be written instead.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT pid FROM processes FOR UPDATE":                             "line 1, column 27: FOR UPDATE or FOR SHARE is not supported (leave it out: a query only reads)",
		"SELECT 'for update', pid FROM processes -- for update\nFOR SHARE": "line 2, column 1: FOR UPDATE or FOR SHARE is not supported (leave it out: a query only reads)",
		"(SELECT substring(name FOR 3) FROM processes FOR NO KEY UPDATE)":  "line 1, column 46: FOR UPDATE or FOR SHARE is not supported (leave it out: a query only reads)",
		"SELECT pid INTO x FROM processes":                                 "line 1, column 17: SELECT INTO is not supported (leave INTO out: a query only reads)",
		"SELECT pid FROM processes TABLESAMPLE system(1)":                  "line 1, column 39: TABLESAMPLE is not supported (a condition such as pid % 100 = 0 takes some of the rows, LIMIT the first ones)",
		"SELECT pid FROM processes FETCH FIRST 3 ROWS WITH TIES":           "line 1, column 46: WITH TIES cannot be specified without ORDER BY clause (add ORDER BY, by which rows are ties)",
		"SELECT pid, count(*) FROM processes":                              `line 1, column 8: column "processes.pid" must appear in the GROUP BY clause or be used in an aggregate function (write GROUP BY, or min(…) for one of its values)`,
		"SELECT pid FROM processes WHERE count(*) > 1":                     "line 1, column 33: aggregate functions are not allowed in WHERE (conditions on them go into HAVING)",
		"SELECT row_number() FROM processes":                               "line 1, column 8: window function row_number requires an OVER clause (for example, row_number() OVER (ORDER BY time))",
		"SELECT pid FROM processes WHERE rank() OVER (ORDER BY pid) < 3":   "line 1, column 33: window functions are not allowed in WHERE (compute them in a subquery in FROM)",
		"/* a */ -- b\nDROP TABLE processes":                               "line 2, column 1: the statement DROP is not supported (only SELECT is)",
		"SET a = 1":                                                        "line 1, column 1: the statement SET is not supported (only SELECT is)",
		"EXPLAIN SELECT 1":                                                 "line 1, column 1: the statement EXPLAIN is not supported (daemoneye query --explain shows the plan of a SELECT)",
		"SELECT * FROM jsonb_to_recordset('[]') AS x(a int)":               "line 1, column 15: a list of column definitions is not supported (take JSON apart with jsonb_array_elements(…) and ->>)",
		"SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b int)":        "line 1, column 15: XMLTABLE is not supported (there is no type xml)",
		"SELECT 1, xmlelement(name a)":                                     "line 1, column 11: an XML expression is not supported (there is no type xml)",
		"SELECT JSON_OBJECTAGG('a': 1)":                                    "line 1, column 8: JSON_OBJECTAGG is not supported (write jsonb_object_agg(key, value))",
		"SELECT JSON_ARRAY(SELECT 1)":                                      "line 1, column 8: JSON_ARRAY is not supported (write jsonb_build_array(value, …))",
		"SELECT * FROM coalesce(1, 2)":                                     "line 1, column 15: this in FROM is not supported (only a table, a subquery in brackets, or a call of a function)",
		"SELECT * FROM pg_catalog.pg_class":                                `line 1, column 15: the schema "pg_catalog" is not supported (leave it out; "daemoneye schema" lists the tables)`,
		"SELECT public.now()":                                              "line 1, column 8: a function of another schema is not supported (leave out the schema)",
	} {
		if _, err := Compile(text, Config{}); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

// No refusal is without a place or shows a name of the parser's sources.
func TestRefusalsHavePlaces(t *testing.T) {
	internal := regexp.MustCompile(`\b[A-Z][a-z]+[A-Z]\w*|_pg_|\bsql\.`)
	for _, text := range []string{
		"INSERT INTO processes VALUES (1)", "CREATE TABLE x (a int)", "COPY processes TO stdout", "BEGIN", "VACUUM", "LISTEN x", "DO $$x$$",
		"WITH x AS (DELETE FROM processes RETURNING pid) SELECT 1", "SELECT 1 UNION SELECT 1 FOR UPDATE",
		"WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SEARCH DEPTH FIRST BY n SET o SELECT 1",
		"WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) CYCLE n SET c USING p SELECT 1",
		"SELECT * FROM ROWS FROM (json_to_recordset('[]') AS (a int)) x", "SELECT xmlserialize(content '' as text)", "SELECT 1 IS DOCUMENT",
		"SELECT '{}' IS JSON", "SELECT JSON_OBJECT('a': 1)", "SELECT JSON_ARRAY(1)", "SELECT JSON_ARRAYAGG(1)", "SELECT DEFAULT",
		"SELECT B'101'", "SELECT 1 ORDER BY 1 USING =", "SELECT (ROW(1, 2)).f1", "SELECT f(a => 1)", "SELECT a.b.c.d FROM processes",
		"SELECT current_user", "SELECT current_time", "SELECT 1::xml", "SELECT 1::setof int", "SELECT 1 OPERATOR(public.+) 2",
		"SELECT * FROM current_date", "SELECT pid FROM processes GROUP BY 5", "SELECT pid FROM processes GROUP BY count(*)",
		"SELECT grouping(pid) FROM processes", "SELECT ARRAY[[1]]", "SELECT ROW(1, 2)", "SELECT p FROM processes p",
		"SELECT interval '1' day to second", "SELECT count(DISTINCT pid) OVER () FROM processes", "SELECT 1 LIMIT pid", "SELECT 'a' COLLATE \"de\"",
		"SELECT 1 WHERE GROUPING(1) = 0", "MERGE INTO processes USING scans ON true WHEN MATCHED THEN DELETE",
	} {
		_, err := Compile(text, Config{})
		e, ok := err.(*Error)
		if !ok || e.Line == 0 || internal.MatchString(e.Message) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Each limit names itself.
func TestLimitsNameThemselves(t *testing.T) {
	for limit, c := range map[string]struct {
		text   string
		limits Limits
	}{
		"text":        {"SELECT 1, 2, 3", Limits{Text: 10}},
		"depth":       {"SELECT ((((1))))", Limits{Depth: 3}},
		"expressions": {"SELECT 1, 2, 3, 4", Limits{Nodes: 4}},
		"list":        {"SELECT 1 IN (1, 2, 3, 4)", Limits{List: 3}},
		"tables":      {"SELECT 1 FROM processes a, processes b, processes c", Limits{Tables: 2}},
		"ctes":        {"WITH a AS (SELECT 1), b AS (SELECT 1) SELECT 1", Limits{CTEs: 1}},
		"operators":   {"SELECT 1 + 1 + 1", Limits{Operators: 2}},
	} {
		_, err := Compile(c.text, Config{Limits: c.limits})
		e, ok := err.(*Error)
		if want := fmt.Sprintf("sql.limits.%s in the configuration allows more", limit); !ok || e.Hint != want || e.Code != codeLimit {
			t.Errorf("%s: %v, want the hint %q", c.text, err, want)
		} else if e.Line == 0 && limit != "text" {
			t.Errorf("%s: %v has no place", c.text, err)
		}
		c.limits = Limits{}
		if _, err := Compile(c.text, Config{Limits: c.limits}); err != nil {
			t.Errorf("%s within the limits: %v", c.text, err)
		}
	}
	if _, err := Compile("SELECT 1"+strings.Repeat(", 1", 5000), Config{}); err == nil || !strings.Contains(err.Error(), "sql.limits.list") || !strings.HasPrefix(err.Error(), "line 1, ") {
		t.Errorf("5,001 columns: %v", err)
	}
}

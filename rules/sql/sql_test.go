package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// memory is a Source of batches that notes what was asked for.
type memory struct {
	batches []*event.Batch
	last    ScanRequest
	scanned int
}

func (m *memory) Scan(_ context.Context, r ScanRequest, yield func(*event.Batch) error) error {
	m.last = r
	for _, b := range m.batches {
		if b.Table != r.Table {
			continue
		}
		m.scanned++
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

var testTime = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// eventBatch has n rows: pid i, name by i, time rising by a second, a command line for all but each fifth.
func eventBatch(n int) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range n {
		b.Column("time").Time(testTime.Add(time.Duration(i) * time.Second))
		b.Column("pid").Int(int64(i))
		b.Column("name").Text([]string{"bash", "curl", "sshd"}[i%3])
		if i%5 != 4 {
			b.Column("command_line").Text(fmt.Sprintf("run --job %d", i%7))
		}
		b.Column("ancestors").Texts([]string{"/sbin/init", "x"})
		b.Column("accessible").Bool(i%2 == 0)
		b.Column("namespaces").JSON([]byte(`{"pid":1,"mnt":2}`))
		b.EndRow()
	}
	return b.Batch()
}

func collect(t *testing.T, text string, cfg Config, opt Options, batches ...*event.Batch) (string, error) {
	t.Helper()
	q, err := Compile(text, cfg)
	if err != nil {
		return "", err
	}
	var lines []string
	err = q.Run(context.Background(), &memory{batches: batches}, opt, func(r *Rows) error {
		for i := range r.Len() {
			var cells []string
			for k := range r.Columns() {
				cell, null := r.AppendText(nil, i, k)
				if null {
					cell = []byte("NULL")
				}
				cells = append(cells, string(cell))
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return nil
	})
	return strings.Join(lines, "\n"), err
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want, caret string }{
		{"SELECT cmdline FROM process_events", `line 1, column 8: column "cmdline" does not exist in process_events (did you mean "command_line"?)`, "SELECT cmdline FROM process_events\n       ^"},
		{"SELECT 'é',\n  nme FROM process_events", `line 2, column 3: column "nme" does not exist in process_events (did you mean "name"?)`, "  nme FROM process_events\n  ^"},
		{"SELECT 'é', nme FROM process_events", `line 1, column 13: column "nme" does not exist in process_events (did you mean "name"?)`, "SELECT 'é', nme FROM process_events\n            ^"},
		{"SELECT 1 FROM proces_events", `line 1, column 15: table "proces_events" does not exist (did you mean "process_events"?)`, "SELECT 1 FROM proces_events\n              ^"},
		{"SELECT pid = 'x'::text FROM processes", `line 1, column 12: operator does not exist: integer = text (add a cast, such as ::text)`, "SELECT pid = 'x'::text FROM processes\n           ^"},
		{"SELECT time - 1 FROM process_events", `line 1, column 13: operator does not exist: timestamp with time zone - integer (a span of time is an interval, such as interval '1 hour')`, "SELECT time - 1 FROM process_events\n            ^"},
		{"SELECT time - '1 day' FROM process_events", `line 1, column 15: invalid input syntax for type timestamp with time zone: "1 day" (a span of time is written interval '1 day')`, "SELECT time - '1 day' FROM process_events\n              ^"},
		{"SELECT ancestors LIKE 'a' FROM processes", `line 1, column 18: operator does not exist: text[] ~~ unknown (for its elements write x = ANY (array), or EXISTS (SELECT FROM unnest(array) AS x WHERE …))`, "SELECT ancestors LIKE 'a' FROM processes\n                 ^"},
		{"SELECT namespaces->'net' = 1 FROM processes", `line 1, column 26: operator does not exist: jsonb = integer (take a field's text out of it with ->>)`, "SELECT namespaces->'net' = 1 FROM processes\n                         ^"},
		{"SELECT 1 FROM processes WHERE event = \"seen\"", `line 1, column 31: column "event" does not exist in processes (it is a column of process_events, file_events, network_events, kernel_events)`, "SELECT 1 FROM processes WHERE event = \"seen\"\n                              ^"},
		{"SELECT 1 FROM processes WHERE name = \"it's\"", `line 1, column 38: column "it's" does not exist in processes (a text stands in single quotes: 'it''s')`, "SELECT 1 FROM processes WHERE name = \"it's\"\n                                     ^"},
		{"SELECT 1 FROM process_events WHERE event = \"exec\"", `line 1, column 44: column "exec" does not exist in process_events (did you mean "exec_path"? a text stands in single quotes: 'exec')`, "SELECT 1 FROM process_events WHERE event = \"exec\"\n                                           ^"},
		{"SELECT name, count(*) AS n FROM processes GROUP BY 1 HAVING n > 3", `line 1, column 61: column "n" does not exist in processes (it names a column of the result, which expressions of the same SELECT can not use: write out what it stands for, or SELECT … FROM (SELECT …))`, "SELECT name, count(*) AS n FROM processes GROUP BY 1 HAVING n > 3\n                                                            ^"},
		{"SELECT array_agg(p.*) FROM processes p", `line 1, column 18: a whole row as a value is not supported (name its columns; jsonb_build_object('pid', pid, …) makes one value of them)`, "SELECT array_agg(p.*) FROM processes p\n                 ^"},
		{"SELECT count(DISTINCT (pid, 'x')) FROM processes", `line 1, column 8: a literal without a type in a row is not supported (add a cast, such as ::text)`, "SELECT count(DISTINCT (pid, 'x')) FROM processes\n       ^"},
		{"SELECT p.event FROM processes p", `line 1, column 8: column "event" does not exist in processes (it is a column of process_events, file_events, network_events, kernel_events)`, "SELECT p.event FROM processes p\n       ^"},
		{"SELECT regexp_split_to_rows('a', 'b')", `line 1, column 8: function regexp_split_to_rows is not supported (did you mean "regexp_split_to_array"?)`, "SELECT regexp_split_to_rows('a', 'b')\n       ^"},
		{"SELECT 1::strng", `line 1, column 11: type "strng" does not exist (allowed: bool, int2, int4, int8, float8, numeric, text, varchar, timestamptz, timestamp, date, time, interval, jsonb, bytea, uuid, inet, cidr)`, "SELECT 1::strng\n          ^"},
		{"SELECT ifnull(name, 'x') FROM processes", `line 1, column 8: function ifnull is not supported (write coalesce(…))`, "SELECT ifnull(name, 'x') FROM processes\n       ^"},
		{"SELECT length(pid) FROM processes", `line 1, column 8: function length(integer) does not exist (allowed: length(text), length(bytea), length(bytea, text))`, "SELECT length(pid) FROM processes\n       ^"},
		{"SELECT date(true)", `line 1, column 8: function date(boolean) does not exist`, "SELECT date(true)\n       ^"},
		{"SELECT max(*) FROM processes", `line 1, column 8: function max() does not exist (only count may be applied to *)`, "SELECT max(*) FROM processes\n       ^"},
		{"SELECT sum('1')", `line 1, column 8: function sum(unknown) is not unique (add a cast, such as ::text)`, "SELECT sum('1')\n       ^"},
		{"SELECT '1' + '2'", `line 1, column 12: operator is not unique: unknown + unknown (add a cast, such as ::text)`, "SELECT '1' + '2'\n           ^"},
		{"SELECT dd(name) FROM processes", `line 1, column 8: function dd is not supported (docs/sql.md lists those that are)`, "SELECT dd(name) FROM processes\n       ^"},
		{"SELECT uid FROM processes", `line 1, column 8: column "uid" does not exist in processes (did you mean "user_id"?)`, "SELECT uid FROM processes\n       ^"},
		{"SELECT p.parent_pid FROM processes p", `line 1, column 8: column "parent_pid" does not exist in processes (did you mean "ppid"?)`, "SELECT p.parent_pid FROM processes p\n       ^"},
		{"SELECT name == 'a' FROM processes", `line 1, column 13: operator does not exist: text == unknown (write =)`, "SELECT name == 'a' FROM processes\n            ^"},
		{"SELECT pid = 1 && true FROM processes", `line 1, column 16: operator does not exist: integer && boolean (write AND; && is for arrays and networks)`, "SELECT pid = 1 && true FROM processes\n               ^"},
		{"SELECT pid FROM processes p JOIN scans s ON true JOIN alerts a ON true", `line 1, column 8: column reference "pid" is ambiguous (write p.pid or a.pid)`, "SELECT pid FROM processes p JOIN scans s ON true JOIN alerts a ON true\n       ^"},
		{"SELECT 'éé' FROM FROM", `line 1, column 18: syntax error at or near "FROM"`, "SELECT 'éé' FROM FROM\n                 ^"},
		{"SELECT pg_sleep(1)", `line 1, column 8: function pg_sleep is not supported (docs/sql.md lists those that are)`, "SELECT pg_sleep(1)\n       ^"},
		{"SELECT lowr('x')", `line 1, column 8: function lowr is not supported (did you mean "lower"?)`, "SELECT lowr('x')\n       ^"},
		{"DELETE FROM processes", `line 1, column 1: the statement DELETE is not supported (only SELECT is)`, "DELETE FROM processes\n^"},
		{"SELECT 1; SELECT 2", `line 1, column 10: more than one statement is not supported (write one SELECT)`, "SELECT 1; SELECT 2\n         ^"},
		{"SELECT 'a' ~ '(?=b)'", `line 1, column 12: look-ahead (?= in a regular expression is not supported (matching takes linear time, which this can not)`, "SELECT 'a' ~ '(?=b)'\n           ^"},
	} {
		_, err := Compile(c.text, Config{})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Compile(%q) = %v, want an *Error", c.text, err)
			continue
		}
		if e.Error() != c.want || e.Caret() != c.caret {
			t.Errorf("Compile(%q) =\n%s\n%s\nwant\n%s\n%s", c.text, e, e.Caret(), c.want, c.caret)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", "  ", "-- nothing", "UPDATE processes SET pid = 1", "SELECT 1 INTO x", "SELECT pid FROM processes FOR UPDATE", "TABLE processes; DROP TABLE processes",
		"SELECT * FROM processes TABLESAMPLE SYSTEM (10)", "WITH x AS (DELETE FROM processes RETURNING *) SELECT * FROM x", "SELECT * FROM (SELECT 1)", "SELECT ROW(1, 2)",
		"SELECT $1", "SELECT B'101'",
		"SELECT pg_read_file('/etc/passwd')", "SELECT * FROM pg_class", "SELECT * FROM pg_catalog.pg_class", "SELECT current_user", "SELECT 'x' COLLATE \"en_US\"", "SELECT '1'::macaddr", "EXPLAIN SELECT 1", "COPY processes TO '/x'",
		"SELECT percentile_cont(cpu_usage) WITHIN GROUP (ORDER BY pid) FROM processes", "SELECT array_agg(ARRAY[1])", "SELECT 'now'::timestamptz", "SELECT '{{1}}'::int[]", "SELECT ARRAY[[1]]", "SELECT processes FROM processes", "SELECT '(' ~ '\\1'", "SELECT 'a' ~ '[[.space.]]'", "SELECT 'a' ~ '(?b)a'", "SELECT regexp_match('a', 'a', 'b')", "SELECT 'a' ~ 'a(?<!b)'",
	} {
		if q, err := Compile(text, Config{}); err == nil {
			t.Errorf("Compile(%q) = %v, want an error", text, q.Columns())
		} else if e := new(Error); !errors.As(err, &e) || e.Code == "" || e.Message == "" {
			t.Errorf("Compile(%q) = %v, want an *Error with a code", text, err)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"text", "SELECT '" + strings.Repeat("x", 64<<10) + "'"},
		{"brackets", "SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000)},
		{"not", "SELECT " + strings.Repeat("NOT ", 10000) + "true"},
		{"minus", "SELECT " + strings.Repeat("- ", 30000) + "pid FROM processes"},
		{"concatenation", "SELECT 'a'" + strings.Repeat("||'a'", 8000)},
		{"casts", "SELECT 1" + strings.Repeat("::int", 10000)},
		{"case", "SELECT " + strings.Repeat("CASE WHEN true THEN ", 1500) + "1" + strings.Repeat(" END", 1500)},
		{"list", "SELECT pid IN (1" + strings.Repeat(",1", 6000) + ") FROM processes"},
		{"targets", "SELECT 1" + strings.Repeat(",1", 6000)},
	} {
		_, err := Compile(c.text, Config{})
		var e *Error
		if !errors.As(err, &e) || e.Code != codeLimit {
			t.Errorf("%s: Compile = %v, want a limit error", c.name, err)
		}
	}
	if _, err := Compile("SELECT \x00", Config{}); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("NUL: %v", err)
	}
	if _, err := Compile("SELECT '\xff'", Config{}); err == nil || !strings.Contains(err.Error(), "line 1, column 9: the statement is not valid UTF-8: byte 0xff") {
		t.Errorf("UTF-8: %v", err)
	}
	if _, err := Compile("SELECT 123", Config{Limits: Limits{Text: 5}}); err == nil {
		t.Error("Limits.Text has no effect")
	}
	if _, err := Compile("SELECT 'x' || 'y' || 'z'", Config{Limits: Limits{Depth: 2}}); err == nil {
		t.Error("Limits.Depth has no effect")
	}
	long := "SELECT count(*) FROM process_events WHERE name = 'x'" + strings.Repeat(" OR name = 'y'", 2000)
	if _, err := Compile(long, Config{}); err != nil {
		t.Errorf("2,000 alternatives: %v", err)
	}
}

func TestParams(t *testing.T) {
	cfg := Config{Params: map[string]string{"pid": "4", "name": "x' OR true --", "n": "2"}}
	batch := eventBatch(10)
	for _, c := range []struct{ text, want string }{
		{"SELECT pid FROM process_events WHERE pid = :pid", "4"},
		{"SELECT pid FROM process_events WHERE pid = :'pid'", "4"},
		{"SELECT count(*) FROM process_events WHERE name = :name", "0"},
		{"SELECT :name", "x' OR true --"},
		{"SELECT ':pid', E'\\':pid', $$:pid$$, \"pid\" /* :pid */ FROM process_events WHERE pid = :pid -- :pid", ":pid|':pid|:pid|4"},
		{"SELECT :pid::int + 1", "5"},
		{"SELECT (ARRAY[1,2,3])[1:2]", "{1,2}"},
		{"SELECT pid FROM process_events ORDER BY pid LIMIT :n", "0\n1"},
		{"SELECT (ARRAY[5,6,7])[:n]", "6"},
	} {
		if got, err := collect(t, c.text, cfg, Options{}, batch); err != nil || got != c.want {
			t.Errorf("%s = %q, %v, want %q", c.text, got, err, c.want)
		}
	}
	_, err := Compile("SELECT 1 WHERE 1 = :missing", cfg)
	if err == nil || !strings.Contains(err.Error(), `parameter "missing" has no value`) {
		t.Errorf("missing parameter: %v", err)
	}
	_, err = Compile("SELECT pid FROM processes WHERE pid = :name", cfg)
	if e := new(Error); !errors.As(err, &e) || e.Column != 39 || e.Code != codeInvalidText {
		t.Errorf("bad parameter: %v", err)
	}
}

func TestCompileWhere(t *testing.T) {
	q, err := CompileWhere("process_events", "name = 'curl'", Config{})
	if err != nil || !q.Streams() {
		t.Fatalf("CompileWhere: %v", err)
	}
	for _, c := range []struct{ cond, want string }{
		{"nme = 'x'", `line 1, column 1: column "nme" does not exist in process_events (did you mean "name"?)`},
		{"name = 'x' ORDER BY pid", "only a condition is allowed here (leave out UNION, GROUP BY, HAVING, WINDOW, ORDER BY, LIMIT and OFFSET)"},
		{"true UNION SELECT 1", "only a condition is allowed here (leave out UNION, GROUP BY, HAVING, WINDOW, ORDER BY, LIMIT and OFFSET)"},
		{"name =", "line 1, column 7: syntax error at end of input"},
	} {
		if _, err := CompileWhere("process_events", c.cond, Config{}); err == nil || err.Error() != c.want {
			t.Errorf("CompileWhere(%q) = %v, want %s", c.cond, err, c.want)
		}
	}
	if _, err := CompileWhere("nope", "true", Config{}); err == nil {
		t.Error("CompileWhere of an unknown table gives no error")
	}
}

func TestMatch(t *testing.T) {
	q, err := Compile("SELECT pid, upper(name) AS n, namespaces FROM process_events WHERE name = 'curl' AND command_line LIKE '%job 4%'", Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := eventBatch(100)
	rows, out, err := q.Match(b, testTime)
	if err != nil || len(rows) == 0 || out.Len() != len(rows) {
		t.Fatalf("Match = %v, %v", rows, err)
	}
	want, err := collect(t, q.Text(), Config{}, Options{Now: testTime}, b)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for k, i := range rows {
		if b.Column("name").Text(i) != "curl" || !strings.Contains(b.Column("command_line").Text(i), "job 4") {
			t.Errorf("row %d does not match", i)
		}
		var line []byte
		for c := range out.Columns() {
			if c > 0 {
				line = append(line, '|')
			}
			line, _ = out.AppendText(line, k, c)
		}
		lines = append(lines, string(line))
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("Match gives\n%s\nRun gives\n%s", got, want)
	}
	if got := string(out.AppendJSON(nil, 0, 2)); got != `{"mnt": 2, "pid": 1}` {
		t.Errorf("jsonb as JSON = %s", got)
	}
	if rows, out, err := q.Match(eventBatch(0), testTime); err != nil || len(rows) != 0 || out.Len() != 0 {
		t.Errorf("Match of no rows = %v, %v", rows, err)
	}
	agg, err := Compile("SELECT count(*) FROM process_events", Config{})
	if err != nil || agg.Streams() {
		t.Fatalf("an aggregate streams: %v", err)
	}
	if _, _, err := agg.Match(b, testTime); err == nil {
		t.Error("Match of an aggregate gives no error")
	}
}

func TestTimeRange(t *testing.T) {
	at := func(s string) int64 {
		us, err := parseTimestamp(s, Timestamptz)
		if err != nil {
			t.Fatal(err)
		}
		return us
	}
	for _, c := range []struct {
		where    string
		from, to int64
	}{
		{"true", math.MinInt64, math.MaxInt64},
		{"time > now() - interval '1 hour'", at("2024-03-01 11:00:00") + 1, math.MaxInt64},
		{"time >= '2024-01-01' AND time < '2024-02-01' AND name = 'x'", at("2024-01-01"), at("2024-02-01")},
		{"time BETWEEN '2024-01-01' AND '2024-02-01'", at("2024-01-01"), at("2024-02-01") + 1},
		{"'2024-01-01' <= time", at("2024-01-01"), math.MaxInt64},
		{"time = '2024-01-01'", at("2024-01-01"), at("2024-01-01") + 1},
		{"time > '2024-01-01' OR pid = 1", math.MinInt64, math.MaxInt64},
		{"NOT time > '2024-01-01'", math.MinInt64, math.MaxInt64},
		{"start_time > '2024-01-01'", math.MinInt64, math.MaxInt64},
		{"time > start_time", math.MinInt64, math.MaxInt64},
		{"time > 'infinity'", math.MinInt64, math.MaxInt64},
	} {
		q, err := Compile("SELECT pid FROM process_events WHERE "+c.where, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if from, to := q.TimeRange("process_events", testTime); from != c.from || to != c.to {
			t.Errorf("TimeRange(%s) = %d, %d, want %d, %d", c.where, from, to, c.from, c.to)
		}
		src := &memory{}
		if err := q.Run(context.Background(), src, Options{Now: testTime}, func(*Rows) error { return nil }); err != nil || src.last.From != c.from || src.last.To != c.to {
			t.Errorf("Run(%s) scans %d, %d: %v", c.where, src.last.From, src.last.To, err)
		}
	}
}

func TestRunBounds(t *testing.T) {
	b := eventBatch(5000)
	if _, err := collect(t, "SELECT * FROM process_events ORDER BY pid", Config{}, Options{MemoryLimit: 1 << 20}, b); err == nil || !strings.Contains(err.Error(), "the sort needs more than the memory limit of 1 MiB") {
		t.Errorf("sort over the budget: %v", err)
	}
	if _, err := collect(t, "SELECT pid, count(*) FROM process_events GROUP BY pid", Config{}, Options{MemoryLimit: 1 << 20}, eventBatch(50_000)); err == nil || !strings.Contains(err.Error(), "grouping") {
		t.Errorf("grouping over the budget: %v", err)
	}
	if got, err := collect(t, "SELECT pid FROM process_events ORDER BY pid DESC LIMIT 2", Config{}, Options{MemoryLimit: 1 << 20}, b); err != nil || got != "4999\n4998" {
		t.Errorf("top 2 within the budget = %q, %v", got, err)
	}
	got, err := collect(t, "SELECT pid FROM process_events", Config{}, Options{MaxRows: 3}, b)
	if e := new(Error); !errors.As(err, &e) || e.Code != codeLimit || got != "0\n1\n2" {
		t.Errorf("MaxRows gives %q, %v", got, err)
	}
	q, err := Compile("SELECT pid FROM process_events LIMIT 1", Config{})
	if err != nil {
		t.Fatal(err)
	}
	src := &memory{batches: []*event.Batch{b, b, b}}
	if err := q.Run(context.Background(), src, Options{}, func(*Rows) error { return nil }); err != nil || src.scanned != 1 {
		t.Errorf("LIMIT 1 reads %d batches: %v", src.scanned, err)
	}
	if len(src.last.Columns) != 1 || src.last.Columns[0] != "pid" {
		t.Errorf("reads columns %v", src.last.Columns)
	}
	ctx, cancel := context.WithCancel(context.Background())
	q, err = Compile("SELECT count(*) FROM process_events", Config{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := q.Run(ctx, src, Options{}, func(*Rows) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run: %v", err)
	}
	stop := errors.New("stop")
	if err := q.Run(context.Background(), src, Options{}, func(*Rows) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of yield: %v", err)
	}
}

func TestTextBudget(t *testing.T) {
	b := eventBatch(100)
	for _, text := range []string{
		"SELECT repeat(name || pid, 1000000) FROM process_events",
		"SELECT repeat('x', 16777216 - pid) FROM process_events",
		"SELECT count(*) FROM process_events WHERE lpad(name || pid, 4000000) = 'x'",
		"SELECT " + strings.Repeat("repeat('x', 16777216), ", 50) + "1",
		"SELECT 'a' ~ '((a{200}){200}){200}'",
		"SELECT " + strings.Repeat("round(pid, 16383), ", 2000) + "1 FROM process_events",
	} {
		_, err := collect(t, text, Config{Limits: Limits{Constants: hopeless}}, Options{}, b)
		if e := new(Error); !errors.As(err, &e) || e.Code != codeOutOfMemory && e.Code != codeLimit && e.Code != codeInvalidRegexp {
			t.Errorf("%.60s: %v, want a limit", text, err)
		}
	}
}

// TestLimitHidesErrors: rows that a LIMIT does not want can not fail a query.
func TestLimitHidesErrors(t *testing.T) {
	b := eventBatch(100)
	for _, text := range []string{
		"SELECT 1 / (pid - 50) FROM process_events LIMIT 50",
		"SELECT pid FROM process_events WHERE 1 / (pid - 50) IS NOT NULL LIMIT 50",
	} {
		if got, err := collect(t, text, Config{}, Options{}, b); err != nil || strings.Count(got, "\n") != 49 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := collect(t, "SELECT 1 / (pid - 50) FROM process_events LIMIT 51", Config{}, Options{}, b); err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("row 51 does not fail: %v", err)
	}
}

func TestJSONOutput(t *testing.T) {
	q, err := Compile("SELECT true, 1, 1.50, 1.5::float8, 'a\"<b', NULL, timestamptz '2024-03-01 12:00:00.5+01', date '2024-03-01', interval '1 day', ARRAY['x', NULL], ARRAY[1], '{\"a\":1}'::jsonb, 'NaN'::float8, ARRAY[timestamptz '2024-03-01']", Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := `true 1 1.50 1.5 "a\"<b" null "2024-03-01T11:00:00.500000Z" "2024-03-01" "1 day" ["x",null] [1] {"a": 1} "NaN" ["2024-03-01T00:00:00.000000Z"]`
	err = q.Run(context.Background(), nil, Options{}, func(r *Rows) error {
		var got [][]byte
		for k := range r.Columns() {
			got = append(got, r.AppendJSON(nil, 0, k))
		}
		if s := string(bytes.Join(got, []byte(" "))); s != want {
			t.Errorf("JSON = %s, want %s", s, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDoc(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDoc(&b); err != nil {
		t.Fatal(err)
	}
	for _, f := range Functions() {
		if f.Doc == "" || f.Example == "" || f.Signature == "" || strings.HasPrefix(f.Result, "error") {
			t.Errorf("%s %s: doc %q, example %q, result %q", f.Kind, f.Name, f.Doc, f.Example, f.Result)
		}
	}
	documented := make(map[string]bool)
	for _, e := range theCatalog().entries {
		documented[e.name] = true
	}
	for name := range theCatalog().functions {
		if !documented[name] && name != "like_escape" && name != "similar_to_escape" && name != "transaction_timestamp" && name != "statement_timestamp" {
			t.Errorf("function %s is not documented", name)
		}
	}
	for name := range theCatalog().operators {
		if !documented[name] {
			t.Errorf("operator %s is not documented", name)
		}
	}
}

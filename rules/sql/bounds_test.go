package sql

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// Parts come as rows one by one, beyond what an array may hold, whose error
// says so.
func TestManyParts(t *testing.T) {
	const text = "repeat('a,', 300000)"
	for _, rows := range []string{"string_to_table(" + text + ", ',')", "(SELECT string_to_table(" + text + ", ',')) AS t", "regexp_split_to_table(" + text + ", ',')"} {
		if got, err := collect(t, "SELECT count(*) FROM "+rows, Config{}, Options{}); err != nil || got != "300001" {
			t.Errorf("rows of %s = %s, %v, want 300001", rows, got, err)
		}
	}
	_, err := collect(t, "SELECT cardinality(string_to_array("+text+", ','))", Config{}, Options{})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "262144 elements") || !strings.Contains(e.Hint, "string_to_table") {
		t.Errorf("an array of too many parts: %v, want the limit and what to write instead", err)
	}
}

// chains are statements of about 60 KB whose trees would be deep.
func chains() []string {
	const size = 60_000
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (size-len(before)-len(after))/len(unit)) + after
	}
	both := func(open, middle, end string) string {
		n := size / (len(open) + len(end))
		return "SELECT " + strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	return []string{
		fill("SELECT 1", "+1", ""),
		fill("SELECT 1", "+-1", ""),
		fill("SELECT ", "- ", "1"),
		fill("SELECT ", "-+", "1"),
		fill("SELECT ", "@", "1"),
		fill("SELECT ", "@ ", "1"),
		fill("SELECT ", "NOT ", "true"),
		fill("SELECT ", "not/**/", "true"),
		fill("SELECT 1", "::int", ""),
		fill("SELECT a", ".b", ""),
		fill("SELECT (a)", ".b", ""),
		fill("SELECT a$$", "+a", ""),
		fill("SELECT a$e'\\' ", "+'a'", ""),
		fill("SELECT E''\n'\\''", "||'a'", ""),
		fill("SELECT 1 --\r", "+1", ""),
		fill("SELECT x", "[1]", ""),
		fill("SELECT true", " AND true", ""),
		fill("SELECT true", " OR true", ""),
		fill("SELECT 1", " IS NULL", ""),
		fill("SELECT 1", " IS NULL IS NULL", ""),
		fill("SELECT 'a'", " LIKE 'a'", ""),
		fill("SELECT 'a'", " IN ('a')", ""),
		fill("SELECT 1", " BETWEEN 1 AND 1", ""),
		fill("SELECT 'a'", ` COLLATE"C"`, ""),
		fill("SELECT now()", " AT TIME ZONE 'UTC'", ""),
		fill("SELECT 1", " UNION SELECT 1", ""),
		fill("SELECT 1,2", " UNION SELECT 1,2", ""),
		fill("SELECT 1", " EXCEPT SELECT 1", ""),
		fill("SELECT 1 FROM a", " CROSS JOIN a", ""),
		fill("SELECT 1 FROM a", " NATURAL JOIN a", ""),
		fill("SELECT '{}'::jsonb", "->'a'", ""),
		fill("SELECT 1", " OPERATOR(+) 1", ""),
		fill("SELECT (1+1)", "+(1+1)", ""),
		both("(", "1", ")"),
		both("f(", "1", ")"),
		both("(0,", "1", ")"),
		both("ARRAY[", "1", "]"),
		"SELECT ARRAY" + strings.Repeat("[", size/2) + strings.Repeat("]", size/2),
		both("CASE WHEN true THEN ", "1", " END"),
		both("CASE 1 WHEN 1 THEN 1 ELSE ", "1", " END"),
		both("(SELECT ", "1", ")"),
	}
}

func TestChains(t *testing.T) {
	one := func(text string) {
		_, err := Compile(text, Config{})
		if e := new(Error); !errors.As(err, &e) || e.Code == "" {
			t.Errorf("%.40q: Compile = %v, want a refusal", text, err)
		}
	}
	var wg sync.WaitGroup
	for _, text := range chains() {
		one(text)
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				runtime.LockOSThread() // a thread, and a C stack, of its own
				one(text)
			}()
		}
	}
	wg.Wait()
	if _, err := Compile("SELECT 1"+strings.Repeat("+1", 30_000), Config{}); err == nil ||
		err.Error() != "line 1, column 10007: an expression has more than 5000 operators and keywords (write many alternatives as name IN (…) or name LIKE ANY (ARRAY[…]))" {
		t.Errorf("30,000 operators: %v", err)
	}
	for _, text := range []string{
		"SELECT pid IN (-1" + strings.Repeat(",-1", 4999) + ") FROM processes",
		"SELECT name IN ('a'::text" + strings.Repeat(",'+ + +'", 4999) + ") FROM processes",
		"SELECT pid" + strings.Repeat(",pid+1", 4000) + " FROM processes",
	} {
		if _, err := Compile(text, Config{}); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := Compile("SELECT 1+1+1", Config{Limits: Limits{Operators: 2}}); err == nil {
		t.Error("Limits.Operators has no effect")
	}
	if _, err := Compile("SELECT pid FROM processes WHERE pid=1"+strings.Repeat(" AND pid=1", 900), Config{Limits: Limits{Nodes: 1000}}); err == nil || !strings.HasPrefix(err.Error(), "line 1, column ") {
		t.Errorf("many expressions: %v, want a position", err)
	}
}

// closing is the bracket that closes r, or nothing.
func closing(r rune) rune {
	switch r {
	case '(':
		return ')'
	case '[':
		return ']'
	}
	return -1
}

// TestChainsSmallStack runs TestChains where C stacks have 2 MiB, and what is
// allowed to be as deep as it may.
func TestChainsSmallStack(t *testing.T) {
	if os.Getenv("SQL_SMALL_STACK") != "" {
		for _, text := range []string{
			"SELECT 1" + strings.Repeat("+1", 4990),
			"SELECT " + strings.Repeat("NOT ", 4990) + "true",
			"SELECT " + strings.Repeat("- ", 4990) + "pid FROM processes",
			"SELECT 1" + strings.Repeat("::int", 4990),
			"SELECT " + strings.Repeat("CASE WHEN true THEN ", 2400) + "1" + strings.Repeat(" END", 2400),
			"SELECT 1" + strings.Repeat(" UNION SELECT 1", 2400),
			"SELECT now()" + strings.Repeat(" AT TIME ZONE 'UTC'", 1240),
		} {
			if _, err := Compile(text, Config{}); err == nil {
				t.Errorf("%.40q is accepted", text)
			}
		}
		for _, open := range []string{"(", "abs(", "(SELECT ", "(0 + ", "ARRAY[", "CASE WHEN true THEN (", "(1 IN (", "(VALUES "} { // as deep as MaxLimits allow
			text := "SELECT " + strings.Repeat(open, 1000) + "1"
			for _, limits := range []Limits{MaxLimits(), {Depth: 1 << 30, Operators: 1 << 30, Nodes: 1 << 30, Text: 1 << 30}} {
				_, _ = Compile(text+strings.Repeat(strings.Map(closing, open), 1000), Config{Limits: limits}) // it returns
			}
		}
		return
	}
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no sh")
	}
	cmd := exec.Command(sh, "-c", `ulimit -s 2048 && exec "$0" -test.run '^TestChains'`, os.Args[0])
	cmd.Env = append(os.Environ(), "SQL_SMALL_STACK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with small stacks: %v\n%.2000s", err, out)
	}
}

// TestLargeResults: what would be too large is refused before it is made.
func TestLargeResults(t *testing.T) {
	b := eventBatch(1000)
	const big = "repeat('x', 16000000)"
	for _, text := range []string{
		"SELECT replace(repeat('x', 1000000), 'x', repeat('y', 1000000))",
		"SELECT replace(repeat('x', 4000), 'x', repeat('y', 1000000))",
		"SELECT translate(" + big + ", 'x', '€')",
		"SELECT " + big + " || " + big,
		"SELECT 1 || (" + big + " || repeat('x', 777216))",
		"SELECT concat(" + big + ", " + big + ")",
		"SELECT concat_ws(" + big + ", 1, 2, 3)",
		"SELECT array_to_string(ARRAY[1,2,3], " + big + ")",
		"SELECT array_to_string(ARRAY[NULL,NULL]::int[], '', " + big + ")",
		"SELECT string_to_array(" + big + ", 'x')",
		"SELECT string_to_array(" + big + ", NULL)",
		"SELECT ARRAY[" + big + strings.Repeat(", "+big, 20) + "]::text",
		"SELECT array_append(ARRAY[" + big + "], " + big + ")",
		"SELECT ('[1' || repeat(',1', 8000000) || ']')::jsonb",
		"SELECT ('{1' || repeat(',1', 8000000) || '}')::int[]",
		"SELECT repeat('1', 16000000)::numeric",
		"SELECT 'a' ~ " + big,
		"SELECT 'a' LIKE repeat('%', 16000000)",
		"SELECT repeat('a', 16000000) LIKE repeat('%_a', 20000)",
		"SELECT string_agg(repeat('x', 100000), ',') FROM process_events",
		"SELECT array_agg(repeat('x', 100000)) FROM process_events",
		"SELECT upper(" + big + ") || pid FROM process_events",
		"SELECT regexp_replace(repeat('x', 8000000), '(.*)', repeat('\\1', 1000000))",
		"SELECT regexp_replace(" + big + ", '', 'yy', 'g')",
		"SELECT regexp_split_to_array(repeat('x ', 1000000), ' ')",
		"SELECT regexp_match(" + big + ", '((a|b){0,200}){0,200}')",
		"SELECT format('%2000000000s', 'x')",
		"SELECT format(repeat('%1$s', 100), " + big + ")",
		"SELECT overlay(" + big + " placing " + big + " from 5 for 0)",
		"SELECT encode(" + big + "::bytea, 'hex')",
		"SELECT quote_literal(" + big + ")",
		"SELECT normalize(" + big + ", NFKD)",
		"SELECT array_fill(1, ARRAY[100000000])",
		"SELECT array_fill(" + big + ", ARRAY[10])",
		"SELECT jsonb_build_array(" + big + ", " + big + ")",
		"SELECT jsonb_agg(repeat('x', 100000)) FROM process_events",
		"SELECT jsonb_object_agg(pid, repeat('x', 100000)) FROM process_events",
		"SELECT string_agg(repeat('x', 100000)::bytea, ',') FROM process_events",
		"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY repeat('x', 100000) || pid) FROM process_events",
		"SELECT power(99.9, 1000000)",
		"SELECT to_char(1, " + big + ")",
		"SELECT to_char(now(), " + big + ")",
		"SELECT pid FROM process_events WHERE " + big + " || pid = 'x'",
		"SELECT upper(" + big + " || pid) FROM process_events",
		"SELECT reverse(" + big + " || pid) FROM process_events",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := collect(t, text, Config{Limits: Limits{Constants: hopeless}}, Options{}, b)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if e := new(Error); !errors.As(err, &e) || e.Code != codeOutOfMemory && e.Code != codeLimit && e.Code != codeOutOfRange {
			t.Errorf("%.70s: %v, want a limit", text, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 || took > hopeless {
			t.Errorf("%.70s: %d MiB allocated in %v", text, n>>20, took)
		}
		q, err := Compile(text, Config{})
		if err == nil && q.Streams() {
			if _, _, err := q.Match(b, testTime); err == nil {
				t.Errorf("%.70s: Match gives no error", text)
			}
		}
	}
}

// hopeless is what takes seconds at most, on the busiest machine, unless time
// grows with the square of the input.
const hopeless = time.Minute

// TestLargeInputs: time grows with the size of inputs, not with its square.
func TestLargeInputs(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SELECT length(translate(repeat('x',16000000), repeat('y',700000)||'x',''))", "0"},
		{"SELECT translate('12345', '1431', 'axq')", "a2qx5"},
		{"SELECT length(btrim(repeat('é',4000000), repeat('y',700000)||'é'))", "0"},
		{"SELECT reverse('aéb€')", "€béa"},
		{"SELECT split_part(repeat('a,', 5000000) || 'b', ',', -1), split_part('a,b,c', ',', -3), split_part('a,b', ',', -3), split_part('a,b', ',', 3), split_part('', 'x', 1)", "b|a|||"},
		{"SELECT string_to_array(repeat('a,', 200000), ',') @> string_to_array(repeat('a,', 200000), ',')", "t"},
		{"SELECT string_to_array(repeat('a,', 200000), 'b') && string_to_array(repeat('c,', 200000), ',')", "f"},
		{"SELECT ('[' || repeat('[1],', 100000) || '[1]]')::jsonb @> ('[' || repeat('[2],', 100000) || '[1]]')::jsonb", "f"},
		{"SELECT ('[' || repeat('1,', 200000) || '2]')::jsonb @> ('[' || repeat('2,', 200000) || '1.0]')::jsonb", "t"},
		{"SELECT '[1,2,3,4,5,6,7,8,9,[1,2]]'::jsonb @> '[1,2,3,4,5,6,7,8,9,[2]]'::jsonb", "t"},
		{"SELECT '{1,2,3,4,5,6,7,8,9,NULL}'::int[] @> '{1,2,3,4,5,6,7,8,9,NULL}'::int[]", "f"},
	} {
		began := time.Now()
		got, err := collect(t, c.text, Config{Limits: Limits{Constants: hopeless}}, Options{})
		if err != nil || got != c.want {
			t.Errorf("%.70s = %.50q, %v, want %q", c.text, got, err, c.want)
		}
		if took := time.Since(began); took > hopeless {
			t.Errorf("%.70s takes %v", c.text, took)
		}
	}
}

// TestCancelRows: a run stops within a batch.
func TestCancelRows(t *testing.T) {
	q, err := Compile("SELECT count(*) FROM process_events WHERE length(repeat(name || pid, 200)) + length(md5(repeat('a', 1000000) || pid)) = 0", Config{})
	if err != nil {
		t.Fatal(err)
	}
	q2, err := Compile("SELECT count(*) FROM process_events WHERE strpos(rpad('', 1000000, 'ab'), 'ba' || pid) > 0", Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := eventBatch(20_000)
	for _, q := range []*Query{q, q2} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		began := time.Now()
		err := q.Run(ctx, &memory{batches: []*event.Batch{b}}, Options{MemoryLimit: 1 << 40}, func(*Rows) error { return nil })
		cancel()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 20*time.Second {
			t.Errorf("%s: %v after %v", q.Text(), err, took)
		}
	}
}

// What is constant is computed within a time, and a regular expression is
// bounded by what it becomes, not by how it is written.
func TestConstantsInTime(t *testing.T) {
	text := "SELECT " + strings.Repeat("length(repeat('a',9000000)),", 2000) + "0"
	_, err := Compile(text, Config{Limits: Limits{Constants: 50 * time.Millisecond}})
	var e *Error
	if !errors.As(err, &e) || e.Code != codeCanceled {
		t.Errorf("Compile() = %v, want an error with code %s", err, codeCanceled)
	}
	_, err = collect(t, "SELECT repeat('ab',1000000) ~ '(a?){200}(b?a?){200}(.*)(.*)(.*)(.*)'", Config{}, Options{})
	if !errors.As(err, &e) || e.Code != codeLimit {
		t.Errorf("Run() = %v, want an error with code %s", err, codeLimit)
	}
}

package sql

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

const explained = `
limit  (2 rows)
  │  limit: 3
  └─ sort, keeping what the limit wants  (2 rows)
       │  by: count(*) DESC
       └─ compute  (2 rows)
            │  a.name, count(*)
            └─ group by hash  (2 rows)
                 │  by: a.name
                 │  of: count(*)
                 └─ hash join  (7 rows)
                      │  on: a.pid = b.pid
                      ├─ filter  (10 rows)
                      │    │  a.accessible
                      │    └─ scan process_events  (20 rows)
                      │            columns: accessible, name, pid
                      └─ filter  (14 rows)
                           │  (b.name <> 'sshd') AND b.accessible IS NOT NULL
                           └─ scan process_events  (20 rows)
                                   columns: accessible, name, pid
                                   to the source: accessible IS NOT NULL
`

func TestExplain(t *testing.T) {
	src := &memory{batches: nil}
	src.batches = append(src.batches, eventBatch(20))
	spent := regexp.MustCompile(`, [\d.]+[µmn]?s\)`)
	explain := func(text string, analyze bool) string {
		t.Helper()
		q, err := Compile(text, Config{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := q.Explain(context.Background(), src, Options{Now: testTime}, analyze)
		if err != nil {
			t.Fatal(err)
		}
		return "\n" + spent.ReplaceAllString(strings.Join(n.Text(), "\n"), ")") + "\n"
	}
	text := "SELECT a.name, count(*) FROM process_events a JOIN process_events b ON a.pid = b.pid AND a.accessible AND b.accessible IS NOT NULL WHERE b.name <> 'sshd' GROUP BY a.name ORDER BY 2 DESC LIMIT 3"
	got := explain(text, true)
	if got != explained {
		t.Errorf("got:%swant:%s", got, explained)
	}
	if plain := explain(text, false); strings.Contains(plain, "rows)") || regexp.MustCompile(`  \(\d+ rows\)`).ReplaceAllString(got, "") != plain {
		t.Errorf("without analyze:%s", plain)
	}
	for _, c := range []struct{ text, want string }{
		{"SELECT name FROM process_events o WHERE EXISTS (SELECT 1 FROM process_events i WHERE i.ppid = o.pid)", "subquery, by hash look-up"},
		{"SELECT name FROM process_events o WHERE EXISTS (SELECT 1 FROM process_events i WHERE i.ppid > o.pid)", "subquery, run for each distinct o.pid"},
		{"SELECT (SELECT max(pid) FROM process_events)", "subquery, run once"},
		{"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t", `recursive query "t"  (5 rows)`},
		{"SELECT count(*) FROM process_events WHERE time >= now() - interval '1 hour' AND name IN ('a','b','c','d')", "to the source: time >= now() - '01:00:00' AND name IN (4 values)"},
	} {
		if got := explain(c.text, true); !strings.Contains(got, c.want) {
			t.Errorf("%s:%swant %q in it", c.text, got, c.want)
		}
	}
}

// The time of a step is that of the steps below too, whoever ran them.
func TestExplainTimes(t *testing.T) {
	src := &inParts{}
	for range 8 {
		src.batches = append(src.batches, eventBatch(60_000))
	}
	q, err := Compile("SELECT name, count(*) FROM process_events WHERE command_line ~ '[a-z]+.*[3-5]$' GROUP BY name", Config{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := q.Explain(t.Context(), src, Options{Now: testTime, Workers: 4}, true)
	if err != nil {
		t.Fatal(err)
	}
	for n.Children != nil {
		below := n.Children[0]
		if n.Time < below.Time {
			t.Errorf("%s took %v, and %s below it %v", n.Step, n.Time, below.Step, below.Time)
		}
		n = below
	}
	if n.Rows != 480_000 {
		t.Errorf("%s gave %d rows, want 480,000", n.Step, n.Rows)
	}
}

package history

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// sealed returns a view of a store with so many rows of process_events, the
// last 5,000 of them waiting and the others in segments.
func sealed(t testing.TB, rows int) *View {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(t.TempDir(), store.Config{MaxAge: -1, MaxBytes: -1, MinFree: -1, RetainInterval: -1, SealInterval: -1, SealUnmatched: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	g := eventtest.New(eventtest.Config{Seed: 1, Rows: rows})
	append1 := func(seq int) {
		if _, err := s.Append(ctx, []store.Batch{{Collector: "c", Sequence: uint64(seq), Data: event.Encode(nil, g.Next())}}); err != nil {
			t.Fatal(err)
		}
	}
	batches := rows / 1000
	for seq := 1; seq <= batches-5; seq++ {
		append1(seq)
		if seq%66 == 0 {
			if _, err := s.SealAll(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.SealAll(ctx); err != nil {
		t.Fatal(err)
	}
	for seq := batches - 4; seq <= batches; seq++ {
		append1(seq)
	}
	return &View{Store: s}
}

// answerOf runs a statement and joins its rows.
func answerOf(t testing.TB, v *View, text string, workers int) string {
	t.Helper()
	q, err := sql.Compile(text, sql.Config{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	r := v.Reader()
	var out strings.Builder
	err = q.Run(context.Background(), r, sql.Options{Workers: workers}, func(rows *sql.Rows) error {
		for i := range rows.Len() {
			for k := range rows.Columns() {
				cell, _ := rows.AppendText(nil, i, k)
				out.Write(append(cell, '|'))
			}
			out.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if d := r.Damaged(); d != nil {
		t.Fatalf("%s: %v", text, d)
	}
	return out.String()
}

func TestQueriesOverSegments(t *testing.T) {
	const rows = 200_000
	v := sealed(t, rows)
	for text, want := range map[string]string{
		"SELECT count(*) FROM process_events":                                                                                                      fmt.Sprintf("%d|\n", rows),
		"SELECT count(*) FROM process_events WHERE time < '2025-01-01'":                                                                            "0|\n",
		"SELECT count(*) = count(DISTINCT entity_id || event) FROM process_events":                                                                 "t|\n",
		"SELECT count(*) FROM process_events a JOIN process_events b USING (entity_id, event) WHERE a.name = 'nope'":                               "0|\n",
		"SELECT count(*) - (SELECT sum(n) FROM (SELECT name, count(*) AS n FROM process_events GROUP BY name) s) FROM process_events":              "0|\n",
		"SELECT count(*) FROM (SELECT time, lag(time) OVER (ORDER BY time) AS before FROM process_events WHERE user_id = 0) s WHERE time < before": "0|\n",
	} {
		for _, workers := range []int{1, 4} {
			if got := answerOf(t, v, text, workers); got != want {
				t.Errorf("%s with %d workers = %q, want %q", text, workers, got, want)
			}
		}
	}
	text := "SELECT entity_id, event FROM process_events WHERE executable_path LIKE '%1' ORDER BY time, entity_id, event"
	if one, many := answerOf(t, v, text, 1), answerOf(t, v, text, 4); one != many || len(one) < 1000 {
		t.Errorf("%d bytes with one worker, %d with four", len(one), len(many))
	}
}

func TestEstimate(t *testing.T) {
	v := sealed(t, 200_000)
	explain := func(text string) string {
		t.Helper()
		q, err := sql.Compile(text, sql.Config{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := q.Explain(context.Background(), v.Reader(), sql.Options{Workers: 2}, true)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(n.Text(), "\n")
	}
	if got := explain("SELECT count(*) FROM process_events"); !strings.Contains(got, "estimated: 200000 rows") || !strings.Contains(got, "segments: 4 read, 0 left out") || !strings.Contains(got, "scan process_events  (200000 rows") {
		t.Errorf("all:\n%s", got)
	}
	first := answerOf(t, v, "SELECT min(time) FROM process_events", 1)
	got := explain("SELECT name FROM process_events WHERE time <= '" + strings.TrimSuffix(first, "|\n") + "'")
	if !strings.Contains(got, "segments: 1 read, 3 left out") || !strings.Contains(got, "waiting rows: 0 read, 5000 left out") {
		t.Errorf("the first:\n%s", got)
	}
	if got := explain("SELECT count(*) FROM process_events WHERE entity_id = 'nope'"); !strings.Contains(got, "segments: 0 read, 4 left out") {
		t.Errorf("none:\n%s", got)
	}
}

// A join with few rows tells the scan on its other side which keys it wants:
// bloom filters then leave nearly all segments out, in each step of a recursion.
func TestJoinsPruneSegments(t *testing.T) {
	v := sealed(t, 200_000)
	id := strings.TrimSuffix(answerOf(t, v, "SELECT entity_id FROM process_events WHERE parent_entity_id IS NOT NULL ORDER BY time DESC, entity_id LIMIT 1", 2), "|\n")
	text := "WITH RECURSIVE a AS (SELECT '" + id + "' AS id, 0 AS depth UNION SELECT p.parent_entity_id, a.depth + 1 FROM a JOIN process_events p ON p.entity_id = a.id WHERE p.parent_entity_id IS NOT NULL AND a.depth < 9) SELECT count(*) > 1 FROM a"
	if got := answerOf(t, v, text, 2); got != "t|\n" {
		t.Fatalf("ancestry = %q", got)
	}
	q, err := sql.Compile(text, sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := q.Explain(context.Background(), v.Reader(), sql.Options{Workers: 2}, true)
	if err != nil {
		t.Fatal(err)
	}
	read := int64(0)
	var look func(n *sql.PlanNode)
	look = func(n *sql.PlanNode) {
		if n.Step == "scan process_events" {
			read += n.Rows
		}
		for _, c := range n.Children {
			look(c)
		}
	}
	look(n)
	if read == 0 || read > 150_000 {
		t.Errorf("%d rows were read, want those of few segments:\n%s", read, strings.Join(n.Text(), "\n"))
	}
}

package rules

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

func TestWindowedSource(t *testing.T) {
	src := &windowed{
		src:  memory{eventBatch(2), eventsFrom(2, 3), eventsFrom(4, 1), eventsFrom(5, 2)},
		from: map[string]int64{"process_events": testStart.Add(3 * time.Second).UnixMicro()},
		to:   testStart.Add(6 * time.Second).UnixMicro(),
	}
	var pids []int64
	err := src.Scan(context.Background(), sql.ScanRequest{Table: event.Lookup("process_events"), From: math.MinInt64, To: math.MaxInt64}, func(b *event.Batch) error {
		for i := range b.Rows {
			pids = append(pids, b.Column("pid").Int(i))
		}
		return nil
	})
	if err != nil || fmt.Sprint(pids) != "[3 4 4 5]" {
		t.Errorf("rows %v, %v, want 3, 4, 4, 5", pids, err)
	}
}

// A window in the header holds; without one the SELECT's own bound does; the
// default is for tables that neither bounds.
func TestLookback(t *testing.T) {
	const join = "SELECT e.pid FROM process_events e JOIN process_samples s USING (entity_id)"
	for _, c := range []struct{ header, text, want string }{
		{"", "SELECT pid FROM process_events", "none each row once"},
		{"-- window: 2h\n", "SELECT pid FROM process_events", "none each row once"},
		{"", "SELECT count(*) FROM process_events", "default 1h"},
		{"-- window: 2h\n", "SELECT count(*) FROM process_events", "header 2h"},
		{"", "SELECT count(*) FROM process_events WHERE time >= now() - interval '1 day'", "select 1d"},
		{"-- window: 2h\n", "SELECT count(*) FROM process_events WHERE time >= now() - interval '5 minutes'", "select 5m"},
		{"-- window: 2h\n", "SELECT count(*) FROM process_events WHERE time >= now() - interval '1 day'", "header 2h though the SELECT asks for 1d"},
		{"", join, "default 1h; default 1h"},
		{"", join + " WHERE s.time >= now() - interval '3 hours'", "default 1h; select 3h"},
		{"", "SELECT count(*) FROM processes", "none the present state"},
		{"", "SELECT p.pid FROM processes p JOIN process_events e USING (entity_id)", "none the present state; default 1h"},
	} {
		r, err := Parse("r.sql", []byte(ruleText("r", c.header, c.text)), sql.Config{})
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		x, err := r.Explain(context.Background(), memory{}, sql.Options{Now: testStart}, MatcherConfig{}, false)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		for i, want := range strings.Split(c.want, "; ") {
			got := x.Tables[i]
			for k, part := range strings.SplitN(want, " ", 3) {
				if k == 0 && got.Window != part || k > 0 && !strings.Contains(got.Text, part) {
					t.Errorf("%s%s: %s is bounded by %s, %q; want %s", c.header, c.text, got.Table, got.Window, got.Text, want)
				}
			}
			// What is said is what is done.
			back := r.Lookback(got.Table, testStart)
			if cut := got.Window == "header" || got.Window == "default"; cut != (back != math.MinInt64) && got.Window != "select" {
				t.Errorf("%s%s: Lookback(%s) = %d, bounded by %s", c.header, c.text, got.Table, back, got.Window)
			}
		}
	}
}

// A Scan rule sees the present state whole, and of a stream what its window has.
func TestScanRuleSeesItsWindow(t *testing.T) {
	state := event.NewBuilder(event.Lookup("processes"))
	state.AddRow(eventsFrom(1, 1), 0)
	src := memory{state.Batch(), eventsFrom(1, 1)}
	for now, want := range map[time.Duration]string{time.Minute: "[1 1]", 2 * time.Hour: "[1 0]"} {
		set := mustLoad(t, files("a.sql", ruleText("r", "", "SELECT (SELECT count(*) FROM processes) AS p, (SELECT count(*) FROM process_events) AS e FROM processes")))
		got, err := NewMatcher(set, MatcherConfig{}).RunScan(context.Background(), src, testStart.Add(now))
		if err != nil || len(got) != 1 {
			t.Fatalf("%v later: %d matches, %v", now, len(got), err)
		}
		if row := string(got[0].Row()); row != strings.NewReplacer("[", `{"p": `, " ", `, "e": `, "]", "}").Replace(want) {
			t.Errorf("%v later the rule saw %s, want processes and events %s", now, row, want)
		}
	}
}

// What ends a run says what can be done about it.
func TestRunLimitsSayWhatToDo(t *testing.T) {
	b := event.NewBuilder(event.Lookup("processes"))
	for i := range 2000 {
		b.AddRow(eventsFrom(1+i, 1), 0)
	}
	src := memory{b.Batch()}
	for _, c := range []struct {
		cfg        MatcherConfig
		text, want string
	}{
		{MatcherConfig{Timeout: time.Millisecond}, "SELECT count(*) FROM processes a, processes b, processes c WHERE a.pid + b.pid > c.pid", "rules.timeout"},
		{MatcherConfig{MaxRows: 5}, "SELECT DISTINCT pid FROM processes", "rules.max_matches"},
		{MatcherConfig{Resources: sql.Options{MemoryLimit: 1}}, "SELECT DISTINCT pid FROM processes", "agent.query_memory"},
	} {
		m := NewMatcher(mustLoad(t, files("a.sql", ruleText("r", "", c.text))), c.cfg)
		if _, err := m.RunScan(context.Background(), src, testStart); err != nil {
			t.Fatal(err)
		}
		if e := m.Stats()[0].Error; e == nil || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s: %+v, want it to name %s", c.text, e, c.want)
		}
	}
}

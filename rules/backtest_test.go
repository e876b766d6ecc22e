package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

func mustParse(t *testing.T, text string) *Rule {
	t.Helper()
	r, err := Parse("rule.sql", []byte(text), sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// onlyAsked is a Source that gives no more columns than were asked for.
type onlyAsked struct{ memory }

func (s onlyAsked) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	return s.memory.Scan(ctx, r, func(b *event.Batch) error {
		thin := &event.Batch{Table: b.Table, Rows: b.Rows, Columns: make([]*event.Vector, len(b.Columns))}
		for _, name := range r.Columns {
			i := b.Table.Index(name)
			thin.Columns[i] = b.Columns[i]
		}
		return yield(thin)
	})
}

func TestBacktestStream(t *testing.T) {
	r := mustParse(t, ruleText("odd", "-- dedup: user_id\n-- window: 10s\n", "SELECT pid, name, time FROM process_events WHERE pid % 2 = 1 AND time > now() - interval '1 minute'"))
	src := onlyAsked{memory{eventsFrom(1, 20), eventsFrom(86_400, 6)}}
	cfg := BacktestConfig{From: testStart.Add(2 * time.Second), To: testStart.Add(24*time.Hour + 4*time.Second)}
	b, err := r.Backtest(context.Background(), src, cfg)
	if err != nil {
		t.Fatal(err)
	}
	// 3 to 19, 86401 and 86403; of three users, ten seconds an alert.
	if b.Rows != 19+4 || b.Matches != 11 || b.Alerts != 8 || b.Failed != 0 || b.Forced != 0 || b.Mode != "stream" {
		t.Errorf("%d rows, %d matches, %d alerts, %d failed, %d forced, %s", b.Rows, b.Matches, b.Alerts, b.Failed, b.Forced, b.Mode)
	}
	if got, want := fmt.Sprint(b.Days), "[{2026-03-01 6 9} {2026-03-02 2 2}]"; got != want {
		t.Errorf("days %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(b.Top), `[{name [{"sh" 11}] 0}]`; got != want {
		t.Errorf("top %s, want %s", got, want)
	}
	total := int64(0)
	for _, a := range b.Sample {
		total += a.Count
	}
	if len(b.Sample) != 8 || total != b.Matches {
		t.Errorf("%d samples with %d matches, want 8 with %d", len(b.Sample), total, b.Matches)
	}
}

// A burst that lies across a step is found all the same, and once.
func TestBacktestHistory(t *testing.T) {
	r := mustParse(t, ruleText("burst", "-- window: 20s\n-- dedup: name\n", "SELECT name, count(*) AS n FROM process_events GROUP BY name HAVING count(*) >= 10"))
	for first := 1; first < 40; first += 3 {
		src := memory{eventsFrom(0, 1), eventsFrom(first, 10), eventsFrom(100, 1)}
		b, err := r.Backtest(context.Background(), src, BacktestConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if b.Alerts != 1 || b.Matches < 1 || b.Runs < 10 || b.Step != 10 || b.Mode != "history" {
			t.Errorf("from %d: %d alerts, %d matches, %d runs, step %v s", first, b.Alerts, b.Matches, b.Runs, b.Step)
		}
	}
	few, err := r.Backtest(context.Background(), memory{eventsFrom(0, 9)}, BacktestConfig{})
	if err != nil || few.Matches != 0 || few.Days == nil || few.Top == nil || few.Sample == nil {
		t.Errorf("nine rows: %+v, %v", few, err)
	}
	none, err := r.Backtest(context.Background(), memory{}, BacktestConfig{})
	if err != nil || none.Rows != 0 || none.Runs != 0 {
		t.Errorf("no rows: %+v, %v", none, err)
	}
}

func TestBacktestAgainst(t *testing.T) {
	before := mustParse(t, ruleText("r", "", "SELECT pid FROM process_events WHERE pid <= 6"))
	after := mustParse(t, ruleText("r-new", "", "SELECT pid, name FROM process_events WHERE pid >= 4"))
	b, err := after.BacktestAgainst(context.Background(), memory{eventsFrom(1, 10)}, BacktestConfig{}, before)
	if err != nil {
		t.Fatal(err)
	}
	c := b.Against
	if b.Matches != 7 || c.Old.Matches != 6 || c.Added.Matches != 4 || c.Removed.Matches != 3 || len(c.Added.Sample) != 4 || len(c.Removed.Sample) != 3 {
		t.Errorf("%d now, %d before, %d added, %d removed", b.Matches, c.Old.Matches, c.Added.Matches, c.Removed.Matches)
	}
	for _, a := range c.Removed.Sample {
		if a.PID > 3 {
			t.Errorf("pid %d is not removed", a.PID)
		}
	}
}

func TestBacktestFails(t *testing.T) {
	state := mustParse(t, ruleText("state", "", "SELECT pid FROM processes"))
	if _, err := state.Backtest(context.Background(), memory{}, BacktestConfig{}); err == nil || !strings.Contains(err.Error(), "no history") {
		t.Errorf("present state: %v", err)
	}
	long := mustParse(t, ruleText("long", "-- window: 2s\n", "SELECT count(*) FROM process_events"))
	if _, err := long.Backtest(context.Background(), memory{eventsFrom(0, 1), eventsFrom(10_000_000, 1)}, BacktestConfig{}); err == nil || !strings.Contains(err.Error(), "the limit is 100000") {
		t.Errorf("too many runs: %v", err)
	}
	zero := mustParse(t, ruleText("zero", "", "SELECT pid FROM process_events WHERE 10 / (pid - 3) > 0"))
	b, err := zero.Backtest(context.Background(), memory{eventsFrom(1, 5)}, BacktestConfig{})
	if err != nil || b.Failed != 1 || b.Matches != 2 || !strings.Contains(b.Error, "division by zero") {
		t.Errorf("a row that fails: %+v, %v", b, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := zero.Backtest(ctx, memory{eventsFrom(1, 5)}, BacktestConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// What is remembered of values is bounded, and none is forgotten in the count.
func TestBacktestValues(t *testing.T) {
	c := &valueCount{name: "v", values: map[string]int64{}}
	for i := range 3 * backtestValues {
		c.count(fmt.Sprint(i % (2 * backtestValues)))
	}
	top := c.top()
	sum := top.Others
	for _, v := range top.Values {
		sum += v.Matches
	}
	if len(c.values) != backtestValues || sum != 3*backtestValues {
		t.Errorf("%d values held, %d counted, want %d and %d", len(c.values), sum, backtestValues, 3*backtestValues)
	}
}

// Matches that meet an exception of the rule in force are counted apart, for
// every version of the rule, and an exception that does not fit it is told.
func TestBacktestExceptions(t *testing.T) {
	now := testStart
	set := Load(LoadConfig{Now: now}, files("odd.sql", ruleText("odd", "", "SELECT pid, name FROM process_events WHERE pid % 2 = 1"),
		"many.sql", ruleText("many", "-- window: 20s\n", "SELECT user_name, count(*) AS n FROM process_events GROUP BY user_name"),
		"exceptions/a.yaml", exceptionFile("odd", "user_id = 1", "2999-01-01")+strings.TrimPrefix(exceptionFile("odd", "pid = 7", "2020-01-01"), "exceptions:\n"),
		"exceptions/b.yaml", exceptionFile("many", "n > 1", "2999-01-01")))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	src := onlyAsked{memory{eventsFrom(0, 30)}}
	backtest := func(text string) *Backtest {
		t.Helper()
		r, unfit := set.Excepted(mustParse(t, text), now, sql.Config{})
		b, err := r.Backtest(context.Background(), src, BacktestConfig{})
		if err != nil {
			t.Fatal(err)
		}
		b.Unfit = unfit
		return b
	}
	// Every third of the 15 odd ones is of user 1.
	newer := ruleText("odd", "-- dedup: pid\n", "SELECT name, pid FROM process_events WHERE pid % 2 = 1 AND pid > 0")
	b := backtest(newer)
	if b.Matches != 10 || b.Excluded != 5 || b.Alerts != 10 || len(b.Unfit) > 0 || len(b.Sample) != 10 {
		t.Errorf("%d matches, %d excluded, %d alerts, %d samples, unfit %q", b.Matches, b.Excluded, b.Alerts, len(b.Sample), b.Unfit)
	}
	for _, a := range b.Sample {
		if a.Excluded != "" {
			t.Errorf("an excluded match is shown: %+v", a)
		}
	}
	if b := backtest(ruleText("many", "-- window: 20s\n", "SELECT count(*) AS n FROM process_events")); b.Matches != 0 || b.Excluded == 0 || len(b.Unfit) > 0 {
		t.Errorf("history: %d matches, %d excluded, unfit %q", b.Matches, b.Excluded, b.Unfit)
	}
	b = backtest(ruleText("many", "-- window: 20s\n", "SELECT count(*) AS number FROM process_events"))
	if b.Matches == 0 || b.Excluded != 0 || len(b.Unfit) != 1 || !strings.Contains(b.Unfit[0], "t/exceptions/b.yaml:2 does not fit this version of many: column \"n\" does not exist") {
		t.Errorf("history: %d matches, %d excluded, unfit %q", b.Matches, b.Excluded, b.Unfit)
	}
	if b := backtest(ruleText("other", "", "SELECT pid FROM process_events WHERE pid % 2 = 1")); b.Matches != 15 || b.Excluded != 0 {
		t.Errorf("another rule: %d matches, %d excluded", b.Matches, b.Excluded)
	}

	// A change that takes an exception's place adds nothing that is excluded.
	old, _ := set.Excepted(mustParse(t, ruleText("odd", "", "SELECT pid FROM process_events WHERE pid % 2 = 1 AND pid > 10")), now, sql.Config{})
	r, _ := set.Excepted(mustParse(t, newer), now, sql.Config{})
	b, err := r.BacktestAgainst(context.Background(), src, BacktestConfig{}, old)
	if err != nil {
		t.Fatal(err)
	}
	if a := b.Against; b.Excluded != 5 || a.Removed.Matches != 0 || a.Added.Matches != b.Matches-a.Old.Matches || a.Old.Excluded == 0 {
		t.Errorf("against: %+v", a)
	}
}

package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// eventBatch makes n rows, a second apart, with pid 1, 2, 3, …
func eventBatch(n int) *event.Batch { return eventsFrom(1, n) }

func eventsFrom(first, n int) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := first; i < first+n; i++ {
		at := testStart.Add(time.Duration(i) * time.Second)
		b.Column("time").Time(at)
		b.Column("event").Text("exec")
		b.Column("source").Text("test")
		b.Column("entity_id").Text(fmt.Sprintf("e%d", i))
		b.Column("pid").Int(int64(i))
		b.Column("user_id").Int(int64(i % 3))
		b.Column("name").Text("sh")
		b.Column("executable_path").Text("/usr/bin/dash")
		b.Column("command_line").Text(fmt.Sprintf("sh -c %d", i))
		b.Column("ancestors").Texts([]string{"/usr/bin/bash", `a"b`})
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("collection_time").Time(at)
		b.EndRow()
	}
	return b.Batch()
}

// memory is a Source of batches.
type memory []*event.Batch

func (m memory) Scan(_ context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	for _, b := range m {
		if b.Table == r.Table {
			if err := yield(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestMatchStream(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("even", "", "SELECT pid, command_line AS cmd, time FROM process_events WHERE pid % 2 = 0"),
		"b.sql", ruleText("none", "", "SELECT pid FROM process_events WHERE name = 'nothing'"),
		"c.sql", ruleText("off", "-- enabled: false\n", anyEvent),
		"d.sql", ruleText("by-user", "-- dedup: user_id, name\n", "SELECT pid FROM process_events WHERE pid = 4"),
	))
	m := NewMatcher(set, MatcherConfig{})
	got := m.Match(eventBatch(5), testStart)
	if len(got) != 3 {
		t.Fatalf("%d matches, want 3", len(got))
	}
	first := got[0]
	if first.Rule.ID != "even" || first.PID != 2 || first.EntityID != "e2" || !first.Time.Equal(testStart.Add(2*time.Second)) {
		t.Errorf("first match = %+v", first)
	}
	if want := `even entity_id="e2"`; first.Key != want {
		t.Errorf("key = %s, want %s", first.Key, want)
	}
	if want := `by-user user_id=1 name="sh"`; got[2].Key != want {
		t.Errorf("key = %s, want %s", got[2].Key, want)
	}
	var row struct {
		PID  int       `json:"pid"`
		Cmd  string    `json:"cmd"`
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal(first.Row(), &row); err != nil || row.PID != 2 || row.Cmd != "sh -c 2" || !row.Time.Equal(first.Time) {
		t.Errorf("row = %s (%v)", first.Row(), err)
	}
	var process map[string]any
	if err := json.Unmarshal(first.Process(), &process); err != nil {
		t.Fatalf("process = %s: %v", first.Process(), err)
	}
	if process["executable_path"] != "/usr/bin/dash" || process["pid"] != 2.0 || fmt.Sprint(process["ancestors"]) != `[/usr/bin/bash a"b]` {
		t.Errorf("process = %v", process)
	}
	for _, absent := range []string{"time", "event", "ppid", "cwd"} {
		if _, ok := process[absent]; ok {
			t.Errorf("process has %q", absent)
		}
	}
	if s := m.Stats(); s[0].Evaluated != 5 || s[0].Matched != 2 || s[1].Matched != 0 || s[2].Evaluated != 0 || s[3].Matched != 1 {
		t.Errorf("stats = %+v", s)
	}
	if got := m.Match(event.NewBuilder(event.Lookup("scans")).Batch(), testStart); got != nil {
		t.Errorf("an empty batch of another table gives %v", got)
	}
}

// Rows on which a rule fails are counted; they hide neither other rows nor
// other rules.
func TestFailingRow(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("divides", "", "SELECT pid FROM process_events WHERE 10 / (pid - 7) > 0"),
		"b.sql", ruleText("works", "", anyEvent),
	))
	m := NewMatcher(set, MatcherConfig{})
	var pids []int64
	works := 0
	for _, match := range m.Match(eventBatch(20), testStart) {
		if match.Rule.ID == "works" {
			works++
			continue
		}
		pids = append(pids, match.PID)
		if want := fmt.Sprintf(`{"pid": %d}`, match.PID); string(match.Row()) != want {
			t.Errorf("row = %s, want %s", match.Row(), want)
		}
	}
	if fmt.Sprint(pids) != "[8 9 10 11 12 13 14 15 16 17]" || works != 20 {
		t.Errorf("pids = %v, works = %d, want 8 to 17 and 20", pids, works)
	}
	s := m.Stats()[0]
	if s.Failed != 1 || s.Error == nil || !strings.Contains(s.Error.Message, "division by zero") || s.Matched != 10 {
		t.Errorf("stats = %+v, error %+v; want one failure", s, s.Error)
	}
}

func TestHistoryRules(t *testing.T) {
	ctx := context.Background()
	set := mustLoad(t, files("a.sql", ruleText("burst", "-- window: 1m\n-- dedup: name\n",
		"SELECT name, count(*) AS n FROM process_events GROUP BY name HAVING count(*) >= 3")))
	m := NewMatcher(set, MatcherConfig{Every: 5 * time.Second})
	run := func(now time.Time, src sql.Source) int {
		t.Helper()
		list, err := m.RunHistory(ctx, src, now)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	now := testStart.Add(10 * time.Second)
	two := memory{eventBatch(2)}
	if n := run(now, two); n != 0 {
		t.Errorf("two rows give %d matches, want 0", n)
	}
	if _, ok := m.Due(now); ok {
		t.Error("a rule is due though no row came")
	}
	three := memory{eventBatch(2), eventsFrom(3, 1)}
	m.Match(three[1], now)
	m.plan.Load().history[0].lastTook.Store(0)
	if wait, ok := m.Due(now.Add(time.Second)); !ok || wait != 4*time.Second {
		t.Errorf("Due = %v, %t, want 4s", wait, ok)
	}
	if n := run(now.Add(time.Second), three); n != 0 {
		t.Error("the rate limit does not hold")
	}
	now = now.Add(5 * time.Second)
	if n := run(now, three); n != 1 {
		t.Errorf("three rows give %d matches, want 1", n)
	}
	m.Match(three[1], now)
	now = now.Add(5 * time.Second)
	if n := run(now, three); n != 0 {
		t.Errorf("the same answer gives %d matches, want 0", n)
	}
	m.Match(three[1], now)
	now = testStart.Add(62 * time.Second) // only rows 2 and 3 are in the window
	if n := run(now, three); n != 0 {
		t.Errorf("rows before the window are counted: %d matches", n)
	}
	m.Match(three[1], now)
	if n := run(testStart.Add(10*time.Minute), append(three, eventsFrom(590, 4))); n != 1 {
		t.Errorf("a new burst gives %d matches, want 1", n)
	}
}

func TestScanRules(t *testing.T) {
	b := event.NewBuilder(event.Lookup("processes"))
	events := eventBatch(4)
	for i := range events.Rows {
		b.AddRow(events, i)
	}
	src := memory{b.Batch()}
	set := mustLoad(t, files(
		"a.sql", ruleText("two", "", "SELECT pid FROM processes WHERE pid = 2"),
		"b.sql", ruleText("many", "-- dedup: name\n", "SELECT name, count(*) AS n FROM processes GROUP BY name"),
		"c.sql", ruleText("fails", "", "SELECT pid FROM processes WHERE 1 / (pid - 3) = 1"),
	))
	m := NewMatcher(set, MatcherConfig{})
	for scan := range 2 {
		got, err := m.RunScan(context.Background(), src, testStart)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 3 || got[0].EntityID != "e2" || got[0].Process() == nil || got[1].Process() != nil || got[2].PID != 4 {
			t.Fatalf("scan %d: %d matches %+v", scan, len(got), got)
		}
	}
	if s := m.Stats(); s[0].Matched != 2 || s[2].Failed != 2 || s[1].Evaluated != 8 {
		t.Errorf("stats = %+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.RunScan(ctx, src, testStart); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled RunScan gives %v", err)
	}
}

func TestTooManyMatches(t *testing.T) {
	b := event.NewBuilder(event.Lookup("processes"))
	events := eventBatch(50)
	for i := range events.Rows {
		b.AddRow(events, i)
	}
	set := mustLoad(t, files("a.sql", ruleText("all", "", "SELECT pid FROM processes"),
		"b.sql", ruleText("sorted", "", "SELECT pid FROM processes ORDER BY pid")))
	m := NewMatcher(set, MatcherConfig{MaxRows: 10})
	got, err := m.RunScan(context.Background(), memory{b.Batch()}, testStart)
	if err != nil || len(got) != 20 {
		t.Fatalf("%d matches, %v, want 10 of each rule", len(got), err)
	}
	for _, s := range m.Stats() {
		if s.Failed != 1 || s.Error == nil || !strings.Contains(s.Error.Message, "more than 10 matches") {
			t.Errorf("%s: %+v", s.Rule.ID, s.Error)
		}
	}
}

// Batches stream in while the rules are reloaded again and again: each row
// matches exactly once.
func TestReloadNeitherSkipsNorDoubles(t *testing.T) {
	sets := []*Set{
		mustLoad(t, files("a.sql", ruleText("r", "", anyEvent))),
		mustLoad(t, files("a.sql", ruleText("r", "-- version: 2\n", anyEvent))),
	}
	m := NewMatcher(sets[0], MatcherConfig{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				m.Reload(sets[i%2])
			}
		}
	})
	seen := map[int64]int{}
	for i := range 300 {
		for _, match := range m.Match(eventsFrom(1+i*10, 10), testStart) {
			seen[match.PID]++
		}
	}
	close(stop)
	wg.Wait()
	for pid := int64(1); pid <= 3000; pid++ {
		if seen[pid] != 1 {
			t.Fatalf("row %d matched %d times", pid, seen[pid])
		}
	}
}

func TestReloadKeepsCountersOfUnchangedRules(t *testing.T) {
	load := func(text string) *Set {
		return mustLoad(t, files("a.sql", ruleText("same", "", anyEvent), "b.sql", ruleText("other", text, anyEvent)))
	}
	m := NewMatcher(load(""), MatcherConfig{})
	m.Match(eventBatch(5), testStart)
	m.Reload(load("-- version: 2\n"))
	m.Match(eventBatch(5), testStart)
	if s := m.Stats(); s[0].Evaluated != 10 || s[1].Evaluated != 5 {
		t.Errorf("evaluated %d and %d, want 10 and 5", s[0].Evaluated, s[1].Evaluated)
	}
}

func TestLongKeysStayDistinct(t *testing.T) {
	set := mustLoad(t, files("a.sql", ruleText("r", "-- dedup: command_line\n", anyEvent)))
	b := event.NewBuilder(event.Lookup("process_events"))
	for _, end := range []string{"a", "b"} {
		b.Column("pid").Int(1)
		b.Column("command_line").Text(strings.Repeat("ü", 5000) + end)
		b.EndRow()
	}
	got := NewMatcher(set, MatcherConfig{}).Match(b.Batch(), testStart)
	if len(got) != 2 || got[0].Key == got[1].Key || len(got[0].Key) > maxKey+8 {
		t.Errorf("matches = %+v, want two with short and different keys", got)
	}
}

// A rule that takes long is run a tenth of the time, so that it leaves room.
func TestLongRunsRest(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("history", "", "SELECT count(*) AS n FROM process_events"),
		"b.sql", ruleText("scan", "", "SELECT pid FROM processes"),
	))
	m := NewMatcher(set, MatcherConfig{})
	b := event.NewBuilder(event.Lookup("processes"))
	b.Column("pid").Int(1)
	b.EndRow()
	src := memory{b.Batch()}
	run := func(now time.Time) int {
		t.Helper()
		m.Match(eventBatch(1), now)
		_, err := m.RunHistory(t.Context(), src, now)
		scan, scanErr := m.RunScan(t.Context(), src, now)
		if err != nil || scanErr != nil {
			t.Fatal(err, scanErr)
		}
		return len(scan)
	}
	run(testStart)
	for _, c := range m.plan.Load().all {
		c.lastTook.Store(int64(10 * time.Second))
	}
	if scan := run(testStart.Add(80 * time.Second)); scan != 0 || m.Stats()[1].Slow == nil {
		t.Errorf("%d matches of a scan rule that rests, slow %v", scan, m.Stats()[1].Slow)
	}
	if wait, ok := m.Due(testStart.Add(80 * time.Second)); !ok || wait != 10*time.Second {
		t.Errorf("the history rule is due in %v, %t, want 10 s", wait, ok)
	}
	if scan := run(testStart.Add(90 * time.Second)); scan != 1 {
		t.Errorf("%d matches of the scan rule, want 1", scan)
	}
}

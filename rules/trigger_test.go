package rules

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/rules/sql/conformance/generator"
)

var triggerRules = flag.Int("trigger-rules", 600, "rules that TestTriggersOfAnyQuery makes")

// triggerCase compares two matchers of one History rule: one that runs it when
// a row has passed its trigger, and one that runs it after each row.
type triggerCase struct {
	set          *Set
	now          time.Time
	steps, quiet int // those without a run
	found        int // matches
	failed       bool
}

// newTriggerCase returns nil when the query is no rule over history.
func newTriggerCase(query string, now time.Time) *triggerCase {
	set := Load(LoadConfig{}, files("a.sql", ruleText("r", "-- window: 90d\n", query)))
	if len(set.Refused) > 0 || set.Rules[0].Mode != History {
		return nil
	}
	return &triggerCase{set: set, now: now}
}

// compare gives the batches one by one and says how the matchers differ, "":
// they do not. A batch that passes no trigger must not take rows from the
// answer either. A rule that fails is not compared.
func (c *triggerCase) compare(ctx context.Context, batches []*event.Batch) string {
	triggered, always := NewMatcher(c.set, MatcherConfig{}), NewMatcher(c.set, MatcherConfig{})
	run := func(m *Matcher, src memory) (found []string) {
		state := m.plan.Load().history[0]
		if state.dirty.Load() {
			state.lastRun.Store(math.MinInt64) // there is no least time here
		}
		list, err := m.RunHistory(ctx, src, c.now)
		if err != nil {
			panic(err)
		}
		for _, match := range list {
			found = append(found, match.Key+" "+string(match.Row()))
		}
		return found
	}
	var src memory
	run(triggered, src)
	run(always, src)
	for i, b := range batches {
		src = append(src, b)
		triggered.Match(b, c.now)
		c.steps++
		quiet, before := !triggered.plan.Load().history[0].dirty.Load(), always.plan.Load().history[0].answer
		always.plan.Load().history[0].dirty.Store(true)
		got, want := run(triggered, src), run(always, src)
		if always.Stats()[0].Failed > 0 {
			c.failed = true
			return ""
		}
		if quiet && !maps.Equal(before, always.plan.Load().history[0].answer) {
			return fmt.Sprintf("batch %d of %s changes the answer and passes no trigger of %q", i, b.Table.Name, c.triggers())
		}
		if quiet {
			c.quiet++
		}
		c.found += len(want)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("batch %d of %s: %q, and when it is run after each %q; its triggers are %q", i, b.Table.Name, got, want, c.triggers())
		}
	}
	return ""
}

func (c *triggerCase) triggers() (list []string) {
	for _, table := range c.set.Rules[0].Tables {
		list = append(list, table+": "+c.set.Rules[0].query.Trigger(table).String())
	}
	return list
}

var ownColumn = regexp.MustCompile(`\b(name|executable_path|command_line|ancestors|pid)\b`)

// drawHistoryQuery makes a query over history with random conditions on each
// of its tables, also where an outer join, a negation or a limit is between.
func drawHistoryQuery(t *rapid.T) string {
	condition := func(alias string) string {
		if rapid.IntRange(0, 4).Draw(t, "plain") == 0 {
			return "true"
		}
		return ownColumn.ReplaceAllString("("+drawCondition(t, 1)+")", alias+".$1")
	}
	forms := []func() string{
		func() string {
			return "SELECT a.name, count(*) AS n FROM process_events a WHERE " + condition("a") + " GROUP BY a.name HAVING count(*) >= 2 AND " +
				strings.NewReplacer("executable_path", "name", "command_line", "name").Replace("("+drawCondition(t, 0)+") IS NOT FALSE OR count(*) > 3")
		},
		func() string {
			return "SELECT a.pid, b.time FROM process_events a JOIN process_events b ON a.pid = b.pid AND " + condition("b") + " WHERE " + condition("a") + " AND " + condition("b")
		},
		func() string {
			return "SELECT a.pid, b.time FROM process_events a " + rapid.SampledFrom([]string{"LEFT", "RIGHT", "FULL"}).Draw(t, "outer") + " JOIN process_events b ON a.pid = b.pid AND a.time < b.time WHERE " +
				condition("a") + " AND " + condition("b")
		},
		func() string {
			return "SELECT a.pid, a.time FROM process_events a LEFT JOIN process_events b ON a.pid = b.pid AND " + condition("a") + " AND " + condition("b") + " WHERE " + condition("a") + " AND b.pid IS NULL"
		},
		func() string {
			return "SELECT a.pid, a.time FROM process_events a WHERE " + condition("a") + " AND " + rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not") +
				"EXISTS (SELECT 1 FROM process_events b WHERE b.pid = a.pid AND b.time > a.time AND " + condition("b") + ")"
		},
		func() string {
			return "SELECT a.pid, a.time FROM process_events a WHERE " + condition("a") + " AND a.name " + rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not") +
				"IN (SELECT b.name FROM process_events b WHERE " + condition("b") + ")"
		},
		func() string {
			return "SELECT a.pid, a.time, (SELECT count(*) FROM process_events b WHERE b.pid = a.pid AND " + condition("b") + ") AS n FROM process_events a WHERE " + condition("a")
		},
		func() string {
			return "SELECT * FROM (SELECT a.*, row_number() OVER (PARTITION BY a.name ORDER BY a.time DESC) AS k FROM process_events a WHERE " + condition("a") + ") x WHERE k <= 2 AND " +
				rapid.SampledFrom([]string{"x.name = 'bash'", "x.name LIKE '%a%'", "x.pid = 2", condition("x")}).Draw(t, "of partition")
		},
		func() string {
			return "WITH w AS (SELECT * FROM process_events a WHERE " + condition("a") + ") SELECT u.pid, v.time FROM w u JOIN w v USING (pid) WHERE " + condition("u")
		},
		func() string {
			side := func() string { return "SELECT a.name, a.pid FROM process_events a WHERE " + condition("a") }
			return "SELECT * FROM (" + side() + rapid.SampledFrom([]string{" UNION ALL ", " UNION ", " EXCEPT ", " INTERSECT ALL "}).Draw(t, "set") + side() + ") x WHERE x.name = 'bash' OR x.pid = 2"
		},
		func() string {
			return "SELECT x.pid FROM (SELECT DISTINCT ON (a.name) a.name, a.pid, a.command_line FROM process_events a WHERE " + condition("a") + " ORDER BY a.name, a.time DESC) x WHERE x.name LIKE '%a%' AND x.pid > 1"
		},
		func() string {
			return "SELECT x.pid FROM (SELECT * FROM process_events a WHERE " + condition("a") + " ORDER BY a.time DESC LIMIT 3) x WHERE " + condition("x")
		},
		func() string {
			return "SELECT a.pid, x.n FROM process_events a LEFT JOIN LATERAL (SELECT count(*) AS n, max(b.name) AS name FROM process_events b WHERE b.time < a.time AND " + condition("b") + ") x ON true WHERE " + condition("a") +
				rapid.SampledFrom([]string{"", " AND x.name = 'bash'"}).Draw(t, "of lateral")
		},
	}
	return rapid.SampledFrom(forms).Draw(t, "form")()
}

// A rule that is run when a row has passed its trigger finds what it finds when
// it is run after each row.
func TestTriggerMissesNothing(t *testing.T) {
	steps, quiet, found, rules := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		query := drawHistoryQuery(t)
		c := newTriggerCase(query, testStart)
		if c == nil {
			t.Skip() // such as a wrong pattern
		}
		var batches []*event.Batch
		for i := range rapid.IntRange(1, 10).Draw(t, "rows") {
			b := event.NewBuilder(event.Lookup("process_events"))
			b.Column("time").Time(testStart.Add(time.Duration(i-20) * time.Second))
			b.Column("pid").Int(int64(rapid.IntRange(1, 3).Draw(t, "pid")))
			for _, column := range []string{"name", "executable_path", "command_line"} {
				if rapid.IntRange(0, 4).Draw(t, "is NULL") > 0 {
					b.Column(column).Text(drawText(t, column))
				}
			}
			b.EndRow()
			batches = append(batches, b.Batch())
		}
		if difference := c.compare(context.Background(), batches); difference != "" {
			t.Fatalf("%s\n%s", query, difference)
		}
		if !c.failed {
			steps, quiet, found, rules = steps+c.steps, quiet+c.quiet, found+c.found, rules+1
		}
	})
	t.Logf("%d rules, %d rows, of which %d made none run, %d matches", rules, steps, quiet, found)
	if quiet < steps/20 || found < rules/4 {
		t.Error("these are not the rules to test with")
	}
}

// The same for what the engine's own test asks, of all tables.
//
//	go test ./rules -run TestTriggersOfAnyQuery -trigger-rules N -stream-seed S
func TestTriggersOfAnyQuery(t *testing.T) {
	steps, quiet, found, compared := 0, 0, 0, 0
	const perData = 30
	now := time.Date(2024, 5, 15, 0, 0, 0, 0, time.UTC) // of the generator's rows
	for first := 0; first < *triggerRules; first += perData {
		seed := *streamSeed*1_000_003 + first
		batches := generator.Data(seed)
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		var rows []*event.Batch
		for _, b := range batches {
			for i := range b.Rows {
				rows = append(rows, pick(b, []int32{int32(i)}))
			}
		}
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		statements := generator.Statements(batches)
		for i := range perData {
			text := statements(seed + i).String()
			c := newTriggerCase(text, now)
			if c == nil {
				continue
			}
			some := slices.DeleteFunc(slices.Clone(rows), func(b *event.Batch) bool { return !slices.Contains(c.set.Rules[0].Tables, b.Table.Name) })
			if difference := c.compare(t.Context(), some[:min(len(some), 15)]); difference != "" {
				t.Errorf("seed %d, rule %d:\n%s\n%s", *streamSeed, first+i, text, difference)
			}
			if !c.failed {
				steps, quiet, found, compared = steps+c.steps, quiet+c.quiet, found+c.found, compared+1
			}
		}
	}
	t.Logf("%d rules, %d rows, of which %d made none run, %d matches", compared, steps, quiet, found)
	if compared < *triggerRules/10 || quiet == 0 || found == 0 {
		t.Error("these are not the rules to test with")
	}
}

// A rule that compares with now() matches without a new row, too: it is run on
// its schedule.
func TestScheduledRule(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("ended-not", "-- every: 10m\n", `SELECT a.pid FROM process_events a WHERE a.event = 'exec' AND a.time < now() - interval '5 minutes'
			AND NOT EXISTS (SELECT 1 FROM process_events b WHERE b.entity_id = a.entity_id AND b.event = 'exit')`),
		"b.sql", ruleText("burst", "", "SELECT name, count(*) AS n FROM process_events WHERE time > now() - interval '5 minutes' GROUP BY name"),
	))
	m := NewMatcher(set, MatcherConfig{})
	src := memory{eventBatch(1)}
	run := func(now time.Time) (ids []string) {
		t.Helper()
		list, err := m.RunHistory(t.Context(), src, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range list {
			ids = append(ids, match.Rule.ID)
		}
		return ids
	}
	if got := run(testStart.Add(time.Minute)); !slices.Equal(got, []string{"burst"}) {
		t.Errorf("at once %q, want the burst alone", got)
	}
	if wait, ok := m.Due(testStart.Add(2 * time.Minute)); !ok || wait != 9*time.Minute {
		t.Errorf("Due = %v, %v, want 9m: the schedule", wait, ok)
	}
	if got := run(testStart.Add(11 * time.Minute)); !slices.Equal(got, []string{"ended-not"}) {
		t.Errorf("without a new row %q, want the scheduled one", got)
	}
}

// A trigger that takes too long is paused; until then each row passes.
func TestSlowTriggerIsPaused(t *testing.T) {
	set := mustLoad(t, files("a.sql", ruleText("slow", "",
		"SELECT count(*) AS n FROM process_events WHERE command_line LIKE '%sh%' AND length(repeat(command_line, 100000)) < 0")))
	m := NewMatcher(set, MatcherConfig{Share: 1})
	state := m.plan.Load().history[0]
	due := func(now time.Time) bool {
		state.dirty.Store(false)
		m.Match(eventBatch(3), now)
		return state.dirty.Load()
	}
	for range 2 {
		if due(testStart) {
			t.Error("rows that do not pass make the rule due")
		}
	}
	st := m.Stats()[0]
	if st.Slow == nil || !strings.Contains(st.Slow.Message, "its trigger took") || !st.Paused.IsZero() {
		t.Errorf("slow %v, paused until %v", st.Slow, st.Paused)
	}
	if !due(testStart.Add(firstPause / 2)) {
		t.Error("with its trigger paused the rule is not due")
	}
	if due(testStart.Add(2 * firstPause)) {
		t.Error("the trigger is not tried again")
	}
}

func TestExplainTriggers(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT name, count(*) AS n FROM process_events WHERE event = 'exec' AND time > now() - interval '5 minutes' GROUP BY name": "trigger: rows of process_events with event = 'exec'",
		"SELECT count(*) AS n FROM process_events": "trigger: each row of process_events",
	} {
		x, err := mustLoad(t, files("a.sql", ruleText("r", "", query))).Rules[0].Explain(t.Context(), memory{}, sql.Options{Now: testStart}, MatcherConfig{}, false)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(x.Text(), "\n"); !strings.Contains(text, want+"\n") || strings.Contains(text, "without one") {
			t.Errorf("%s\nis explained as\n%s\nwant %s", query, text, want)
		}
	}
}

// No shipped rule runs for rows that can not concern it.
func TestPackIsTriggered(t *testing.T) {
	n := 0
	for _, r := range mustLoad(t, Builtin()).Rules {
		if r.Mode != History {
			continue
		}
		n++
		for _, table := range r.Tables {
			if r.query.Trigger(table).String() == "" || r.query.ByTime() {
				t.Errorf("%s: each row of %s makes it run, or time alone", r.ID, table)
			}
		}
	}
	if n == 0 {
		t.Error("none reads history")
	}
}

package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// texts of which rules and rows are made, so that they meet
var pieces = []string{"/", "a", "A", "bash", "Bash", "/usr/bin/", "/tmp/", " -c ", "%", "_", "\\", "é", "x", "shadow", ""}

func drawText(t *rapid.T, name string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 4).Draw(t, name), "")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// drawCondition makes a condition over texts as rules have them, with NULLs,
// negations and, now and then, something that fails.
func drawCondition(t *rapid.T, depth int) string {
	if depth > 0 {
		sub := func() string { return "(" + drawCondition(t, depth-1) + ")" }
		switch rapid.IntRange(0, 11).Draw(t, "form") {
		case 0, 1, 2:
			return sub() + " AND " + sub()
		case 3, 4, 5:
			return sub() + " OR " + sub()
		case 6:
			return "NOT " + sub()
		case 7:
			return sub() + rapid.SampledFrom([]string{" IS TRUE", " IS NOT TRUE", " IS FALSE", " IS NOT FALSE", " IS UNKNOWN"}).Draw(t, "test")
		case 8:
			return "coalesce(" + sub() + rapid.SampledFrom([]string{", true)", ", false)"}).Draw(t, "default")
		}
	}
	column := rapid.SampledFrom([]string{"name", "executable_path", "command_line"}).Draw(t, "column")
	switch rapid.IntRange(0, 6).Draw(t, "of") {
	case 0:
		column = "lower(" + column + ")"
	case 1:
		column = "upper(" + column + ")"
	case 2:
		column = "coalesce(" + column + ", " + quote(drawText(t, "default")) + ")"
	case 3:
		column = "coalesce(lower(" + column + "), " + quote(drawText(t, "default")) + ")"
	}
	text := drawText(t, "text")
	like := func() string {
		return quote(rapid.SampledFrom([]string{"%", "", "%", "_"}).Draw(t, "before") + drawText(t, "pattern") +
			rapid.SampledFrom([]string{"%", "", "%", "%x%"}).Draw(t, "after"))
	}
	not := rapid.SampledFrom([]string{"", "", "NOT "}).Draw(t, "not")
	list := func(one func() string) string {
		var parts []string
		for range rapid.IntRange(1, 5).Draw(t, "list") {
			parts = append(parts, one())
		}
		if rapid.IntRange(0, 5).Draw(t, "with NULL") == 0 {
			parts = append(parts, "NULL")
		}
		return strings.Join(parts, ", ")
	}
	literal := func() string { return quote(drawText(t, "element")) }
	switch rapid.IntRange(0, 11).Draw(t, "operator") {
	case 0:
		return column + " = " + quote(text)
	case 1:
		return column + " <> " + quote(text)
	case 2, 3:
		return column + " " + not + "LIKE " + like()
	case 4:
		return column + " " + not + "ILIKE " + like()
	case 5:
		return column + " " + not + "IN (" + list(literal) + ")"
	case 6:
		return column + rapid.SampledFrom([]string{" LIKE ANY", " NOT LIKE ALL", " LIKE ALL", " ILIKE ANY", " NOT LIKE ANY"}).Draw(t, "quantifier") +
			" (ARRAY[" + list(like) + "])"
	case 7:
		pattern := rapid.SampledFrom([]string{"", "^", "(x|/)"}).Draw(t, "before") +
			strings.NewReplacer("\\", "", "%", "[ab]+").Replace(text) + rapid.SampledFrom([]string{"", "$", "?", "(h|\\M)"}).Draw(t, "after")
		return column + rapid.SampledFrom([]string{" ~ ", " !~ ", " ~* ", " !~* "}).Draw(t, "regexp") + quote(pattern)
	case 8:
		return "starts_with(" + column + ", " + quote(text) + ")"
	case 9:
		return rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not") + quote(text) + " = ANY (ancestors)"
	case 10:
		return rapid.SampledFrom([]string{"10 / pid > 1", "pid = 2", "name IS NULL", "name < 'b'"}).Draw(t, "other")
	default:
		return column + " IS NOT NULL"
	}
}

// The matcher of many rules finds what each rule's query gives, row by row:
// what matches, and what fails.
func TestIndexIsEachRule(t *testing.T) {
	table := event.Lookup("process_events")
	matches, candidates, evaluated := int64(0), int64(0), int64(0)
	rapid.Check(t, func(t *rapid.T) {
		var sources []Source
		var queries []*sql.Query
		for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
			text := "SELECT pid FROM process_events WHERE " + drawCondition(t, 3)
			q, err := sql.Compile(text, sql.Config{})
			if err != nil { // such as a wrong pattern
				continue
			}
			queries = append(queries, q)
			sources = append(sources, files(fmt.Sprintf("%02d.sql", i), ruleText(fmt.Sprintf("r%02d", i), "", text)))
		}
		b := event.NewBuilder(table)
		for i := range rapid.IntRange(1, 12).Draw(t, "rows") {
			b.Column("time").Time(testStart.Add(time.Duration(i) * time.Second))
			b.Column("pid").Int(int64(i % 5))
			for _, column := range []string{"name", "executable_path", "command_line"} {
				if rapid.IntRange(0, 4).Draw(t, "is NULL") > 0 {
					b.Column(column).Text(drawText(t, column))
				}
			}
			if rapid.Bool().Draw(t, "with ancestors") {
				b.Column("ancestors").Texts([]string{drawText(t, "ancestor"), drawText(t, "ancestor")})
			}
			b.EndRow()
		}
		batch := b.Batch()
		set := Load(LoadConfig{}, sources...)
		if len(set.Rules) != len(queries) {
			t.Fatalf("%d rules of %d: %v", len(set.Rules), len(queries), set.Refused)
		}
		m := NewMatcher(set, MatcherConfig{BatchTimeout: -1, Share: -1})
		for range 2 { // with nothing remembered, and with all
			found := map[string][]int{}
			for _, match := range m.Match(batch, testStart) {
				found[match.Rule.ID] = append(found[match.Rule.ID], match.row)
			}
			for i, r := range set.Rules {
				var want []int
				for row := range batch.Rows {
					rows, _, err := queries[i].Match(pick(batch, []int32{int32(row)}), testStart)
					if err == nil && len(rows) > 0 {
						want = append(want, row)
					}
				}
				if got := found[r.ID]; !slices.Equal(got, want) {
					t.Fatalf("%s\nmatches rows %v, want %v", r.SQL, got, want)
				}
			}
		}
		for i, st := range m.Stats() {
			failed := int64(0)
			for row := range batch.Rows {
				if _, _, err := queries[i].Match(pick(batch, []int32{int32(row)}), testStart); err != nil {
					failed += 2
				}
			}
			if st.Failed != failed || st.Evaluated != 2*int64(batch.Rows) || st.Candidates < st.Matched+st.Failed || st.Candidates > st.Evaluated {
				t.Fatalf("%s\n%d rows failed, want %d; %d evaluated, %d candidates, %d matched of %d rows", st.Rule.SQL, st.Failed, failed, st.Evaluated, st.Candidates, st.Matched, 2*batch.Rows)
			}
			matches, candidates, evaluated = matches+st.Matched, candidates+st.Candidates, evaluated+st.Evaluated
		}
	})
	t.Logf("%d rows evaluated, %d candidates, %d matches", evaluated, candidates, matches)
	if matches == 0 || candidates > evaluated*3/4 {
		t.Error("the rules are not the ones to test with")
	}
}

// History rules become due by rows that can have a part in their answer, alone.
func TestHistoryTrigger(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("burst", "", "SELECT name, count(*) AS n FROM process_events WHERE executable_path LIKE '%/dash' GROUP BY name"),
		"b.sql", ruleText("other", "", "SELECT count(*) AS n FROM process_events a JOIN process_events b USING (pid) WHERE a.name = 'nmap' AND b.name = 'curl'"),
		"c.sql", ruleText("left", "", "SELECT count(*) AS n FROM scans LEFT JOIN process_events p ON p.name = 'nmap'"),
	))
	m := NewMatcher(set, MatcherConfig{})
	history := m.plan.Load().history
	for _, c := range history {
		c.dirty.Store(false)
	}
	m.Match(eventBatch(3), testStart)
	for _, c := range history {
		if got, want := c.dirty.Load(), c.rule.ID == "burst"; got != want {
			t.Errorf("%s is due: %t, want %t", c.rule.ID, got, want)
		}
	}
	for _, name := range []string{"curl", "nmap"} {
		history[1].dirty.Store(false)
		b := event.NewBuilder(event.Lookup("process_events"))
		b.Column("name").Text(name)
		b.EndRow()
		m.Match(b.Batch(), testStart)
		if !history[1].dirty.Load() {
			t.Errorf("a row of %s does not make the join due", name)
		}
	}
}

// What is remembered of texts is bounded.
func TestIndexForgets(t *testing.T) {
	q, err := sql.Compile("SELECT pid FROM process_events WHERE command_line LIKE '%needle%'", sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	x := newIndex([]*sql.Requirement{q.Requires("process_events")})
	for i := range 40 {
		b := event.NewBuilder(event.Lookup("process_events"))
		for k := range 1000 {
			b.Column("command_line").Text(fmt.Sprintf("%d %d %s needle", i, k, strings.Repeat("x", 50)))
			b.EndRow()
		}
		batch := b.Batch()
		for range 2 { // a text is remembered when it comes again
			if got := len(x.candidates(batch)); got != 1000 {
				t.Fatalf("%d candidates, want 1000", got)
			}
		}
	}
	if size := x.size(); size < 512<<10 || size > 4<<20 {
		t.Errorf("the index has %d bytes", size)
	}
}

// A rule that takes too long is paused, said to be, and tried again; the
// others are not.
func TestSlowRuleIsPaused(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("slow", "", "SELECT pid FROM process_events WHERE command_line LIKE '%sh%' AND length(repeat(command_line, 100000)) > 0"),
		"b.sql", ruleText("fast", "", "SELECT pid FROM process_events WHERE name = 'nothing'"),
	))
	m := NewMatcher(set, MatcherConfig{Share: 1})
	now := testStart
	match := func() (Stats, int) {
		n := len(m.Match(eventBatch(3), now))
		return m.Stats()[0], n
	}
	if st, n := match(); n != 3 || !st.Paused.IsZero() {
		t.Errorf("after one slow batch: %d matches, paused until %v", n, st.Paused)
	}
	st, n := match()
	if want := now.Add(firstPause); n != 3 || !st.Paused.Equal(want) || st.Slow == nil || !strings.Contains(st.Slow.Message, "is paused for 1m0s") {
		t.Errorf("after two: %d matches, paused until %v, want %v; slow %v", n, st.Paused, want, st.Slow)
	}
	now = now.Add(firstPause / 2)
	if st, n := match(); n != 0 || st.Skipped != 3 || st.Evaluated != 6 || st.Candidates != 9 {
		t.Errorf("in the pause: %d matches, %+v", n, st)
	}
	now = now.Add(firstPause)
	st, n = match()
	if want := now.Add(2 * firstPause); n != 3 || !st.Paused.Equal(want) {
		t.Errorf("after the pause: %d matches, paused until %v, want %v", n, st.Paused, want)
	}
	now = testStart.Add(-30 * 24 * time.Hour) // the clock was set back
	if _, n := match(); n != 3 {
		t.Errorf("with the clock set back: %d matches", n)
	}
	if other := m.Stats()[1]; other.Skipped != 0 || other.Slow != nil || other.Evaluated != 15 {
		t.Errorf("the other rule: %+v", other)
	}
}

package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

func testRule(id string, window time.Duration) *Rule {
	return &Rule{Header: Header{ID: id, Title: "t", Severity: "low", Window: window, Enabled: true}, Tables: []string{"process_events"}}
}

func testMatch(r *Rule, key string, at time.Time) Match {
	return Match{Rule: r, Time: at, Key: r.ID + " " + key, output: []byte(`{"key": "` + key + `"}`)}
}

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// naive is the definition of grouping, without bounds or indexes.
func naive(matches []Match) (alerts []event.Alert) {
	for _, m := range matches {
		last := -1
		for i, a := range alerts {
			if a.DedupKey == m.Key {
				last = i
			}
		}
		if last < 0 || !m.Time.Before(alerts[last].FirstSeen.Add(m.Rule.Window)) {
			alerts = append(alerts, event.Alert{DedupKey: m.Key, FirstSeen: m.Time, LastSeen: m.Time, Count: 1})
			continue
		}
		alerts[last].Count++
		if m.Time.After(alerts[last].LastSeen) {
			alerts[last].LastSeen = m.Time
		}
	}
	return alerts
}

func drawMatches(t *rapid.T) []Match {
	rules := []*Rule{testRule("a", time.Minute), testRule("b", 10*time.Minute)}
	n := rapid.IntRange(0, 100).Draw(t, "n")
	list := make([]Match, n)
	at := testStart
	for i := range list {
		// Times go forward on the whole, with late rows among them.
		at = at.Add(time.Duration(rapid.IntRange(-20, 45).Draw(t, "step")) * time.Second)
		list[i] = testMatch(rapid.SampledFrom(rules).Draw(t, "rule"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "key"), at)
	}
	return list
}

func TestGrouperAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		matches := drawMatches(t)
		g := NewGrouper(GrouperConfig{Host: "h"})
		stored := map[string]event.Alert{}
		var order []string
		rules := &Set{}
		for _, m := range matches {
			if rules.Rule(m.Rule.ID) == nil {
				rules.Rules = append(rules.Rules, m.Rule)
			}
		}
		for rest := matches; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			for _, c := range g.Add(rest[:n], Completeness{Complete: true}) {
				if _, known := stored[c.Alert.ID]; known == c.New {
					t.Fatalf("alert %s: new is %t, stored before is %t", c.Alert.ID, c.New, known)
				}
				if c.New {
					order = append(order, c.Alert.ID)
				}
				stored[c.Alert.ID] = c.Alert
			}
			rest = rest[n:]
			if rapid.Bool().Draw(t, "restart") {
				g = NewGrouper(GrouperConfig{Host: "h"})
				var list []event.Alert
				for _, a := range stored {
					list = append(list, a)
				}
				g.Restore(list, rules)
			}
		}
		want := naive(matches)
		if len(order) != len(want) {
			t.Fatalf("%d alerts, want %d", len(order), len(want))
		}
		total := int64(0)
		byKey := map[string][]event.Alert{}
		for i, id := range order {
			got, w := stored[id], want[i]
			if got.DedupKey != w.DedupKey || got.Count != w.Count || !got.FirstSeen.Equal(w.FirstSeen) || !got.LastSeen.Equal(w.LastSeen) {
				t.Fatalf("alert %d = %+v, want %+v", i, got, w)
			}
			total += got.Count
			byKey[got.DedupKey] = append(byKey[got.DedupKey], got)
		}
		if total != int64(len(matches)) {
			t.Fatalf("counts add up to %d, want %d", total, len(matches))
		}
		for key, list := range byKey {
			slices.SortFunc(list, func(a, b event.Alert) int { return a.FirstSeen.Compare(b.FirstSeen) })
			for i := 1; i < len(list); i++ {
				if !list[i].FirstSeen.After(list[i-1].LastSeen) {
					t.Fatalf("two alerts of %s overlap: %v and %v", key, list[i-1], list[i])
				}
			}
		}
	})
}

func TestWindowBoundary(t *testing.T) {
	r := testRule("a", time.Minute)
	g := NewGrouper(GrouperConfig{})
	for _, c := range []struct {
		after time.Duration
		isNew bool
		count int64
	}{
		{0, true, 1},
		{time.Minute - time.Microsecond, false, 2},
		{-time.Hour, false, 3}, // late
		{time.Minute, true, 1},
		{time.Minute + time.Second, false, 2},
	} {
		changes := g.Add([]Match{testMatch(r, "k", testStart.Add(c.after))}, Completeness{Complete: true})
		if len(changes) != 1 || changes[0].New != c.isNew || changes[0].Alert.Count != c.count {
			t.Errorf("match after %v: %+v, want new %t, count %d", c.after, changes, c.isNew, c.count)
		}
	}
}

func TestGrouperReportsAnAlertOncePerCall(t *testing.T) {
	r := testRule("a", time.Minute)
	var list []Match
	for i := range 1000 {
		list = append(list, testMatch(r, "k", testStart.Add(time.Duration(i)*time.Millisecond)))
	}
	changes := NewGrouper(GrouperConfig{}).Add(list, Completeness{Complete: true})
	if len(changes) != 1 || !changes[0].New || changes[0].Alert.Count != 1000 {
		t.Fatalf("changes = %+v, want one new alert with count 1000", changes)
	}
}

func TestCompletenessIsKept(t *testing.T) {
	r := testRule("a", time.Minute)
	g := NewGrouper(GrouperConfig{})
	first := g.Add([]Match{testMatch(r, "k", testStart)}, Completeness{Complete: true})
	second := g.Add([]Match{testMatch(r, "k", testStart)}, Completeness{Reasons: []string{"bus: 3 rows lost"}})
	third := g.Add([]Match{testMatch(r, "k", testStart)}, Completeness{Complete: true})
	if !first[0].Alert.Complete || first[0].Alert.IncompleteReasons != nil {
		t.Errorf("first = %+v, want complete", first[0].Alert)
	}
	for _, c := range [][]Change{second, third} {
		if a := c[0].Alert; a.Complete || len(a.IncompleteReasons) != 1 {
			t.Errorf("after a loss: %+v, want incomplete with one reason", a)
		}
	}
}

// When the table of open alerts is full, what ends first makes room; nothing
// is lost, ids stay unique.
func TestGrouperIsBounded(t *testing.T) {
	short, long := testRule("short", time.Minute), testRule("long", time.Hour)
	g := NewGrouper(GrouperConfig{MaxOpen: 3})
	ids := map[string]bool{}
	var total int64
	counts := map[string]int64{}
	add := func(r *Rule, key string, at time.Time) {
		for _, c := range g.Add([]Match{testMatch(r, key, at)}, Completeness{Complete: true}) {
			if c.New && ids[c.Alert.ID] {
				t.Errorf("id %s twice", c.Alert.ID)
			}
			ids[c.Alert.ID] = true
			counts[c.Alert.ID] = c.Alert.Count
		}
		total++
	}
	add(long, "1", testStart)
	add(short, "2", testStart)
	add(short, "3", testStart)
	add(long, "4", testStart.Add(2*time.Minute)) // 2 or 3 had ended
	if held, forced := g.Open(); held != 3 || forced != 0 {
		t.Errorf("held %d, forced %d, want 3, 0", held, forced)
	}
	for i := range 50 {
		add(long, fmt.Sprint(i%10), testStart.Add(3*time.Minute))
	}
	held, forced := g.Open()
	if held != 3 || forced == 0 {
		t.Errorf("held %d, forced %d, want 3 and some", held, forced)
	}
	var sum int64
	for _, n := range counts {
		sum += n
	}
	if sum != total {
		t.Errorf("counts add up to %d, want %d", sum, total)
	}
}

func TestGrouperIsBoundedInBytes(t *testing.T) {
	g := NewGrouper(GrouperConfig{MaxBytes: 4096})
	r := testRule("a", time.Hour)
	for i := range 100 {
		g.Add([]Match{testMatch(r, fmt.Sprint(i), testStart)}, Completeness{Complete: true})
	}
	if held, _ := g.Open(); held == 0 || held > 8 {
		t.Errorf("held %d alerts of more than 512 bytes in 4096", held)
	}
}

func TestAlertIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	last := ""
	for i := range 2000 {
		a := event.Alert{RuleID: "r", DedupKey: "k", Time: testStart.Add(time.Duration(i) * time.Microsecond)}
		id := alertID(&a, 0)
		if !form.MatchString(id) {
			t.Fatalf("id %q is not a UUIDv7", id)
		}
		if seen[id] || id != alertID(&a, 0) {
			t.Fatalf("id %q is not unique or not repeatable", id)
		}
		seen[id] = true
		if cmp.Compare(last, id) >= 0 {
			t.Fatalf("id %q after %q does not sort by time", id, last)
		}
		last = id
	}
	x, y := event.Alert{RuleID: "a", DedupKey: "bc", Time: testStart}, event.Alert{RuleID: "ab", DedupKey: "c", Time: testStart}
	if alertID(&x, 0) == alertID(&y, 0) || alertID(&x, 0) == alertID(&x, 1) {
		t.Error("different alerts have one id")
	}
}

func BenchmarkGrouper(b *testing.B) {
	r := testRule("a", time.Hour)
	var list []Match
	for i := range 1000 {
		list = append(list, testMatch(r, fmt.Sprint(i%100), testStart.Add(time.Duration(i)*time.Millisecond)))
	}
	g := NewGrouper(GrouperConfig{})
	for b.Loop() {
		g.Add(list, Completeness{Complete: true})
	}
	b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "matches/s")
}

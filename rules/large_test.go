package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// A rule may return rows of any size: an alert shows the beginning, and rows
// that differ behind it are still different.
func TestLargeRows(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("large", "-- dedup: pid\n", "SELECT pid, repeat('x', 16000000) AS long, name FROM process_events"),
		"b.sql", ruleText("whole-row", "", "SELECT repeat('x', 200000) || pid AS long, count(*) FROM process_events GROUP BY pid"),
		"c.sql", ruleText("works", "", anyEvent),
	))
	m := NewMatcher(set, MatcherConfig{BatchTimeout: -1})
	byRule := map[string][]Match{}
	add := func(list []Match) {
		for _, match := range list {
			byRule[match.Rule.ID] = append(byRule[match.Rule.ID], match)
			if row := match.Row(); len(row) > maxRow || !json.Valid(row) {
				t.Errorf("%s: a row of %d bytes", match.Rule.ID, len(row))
			}
		}
	}
	b := eventBatch(5)
	add(m.Match(b, testStart))
	list, err := m.RunHistory(t.Context(), memory{b}, testStart.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	add(list)
	if len(byRule["large"]) != 5 || len(byRule["works"]) != 5 || len(byRule["whole-row"]) != 5 {
		t.Fatalf("%d, %d, %d matches, want 5 of each rule", len(byRule["large"]), len(byRule["works"]), len(byRule["whole-row"]))
	}
	first := byRule["large"][0].Row()
	if !bytes.HasPrefix(first, []byte(`{"pid": 1, `)) || !bytes.HasSuffix(first, []byte(`"name": "sh"}`)) || !bytes.Contains(first, []byte("[cut, 16000000 bytes]")) {
		t.Errorf("row = %.60s … %s", first, first[len(first)-60:])
	}
	keys := map[string]bool{}
	for _, match := range byRule["whole-row"] {
		keys[match.Key] = true
	}
	if len(keys) != 5 {
		t.Errorf("%d keys, want 5: the rows differ", len(keys))
	}
	for _, st := range m.Stats() {
		if want := int64(5); (st.Cut == want) == (st.Rule.ID == "works") || st.Failed != 0 {
			t.Errorf("%s: %d rows cut, %d failed (%v)", st.Rule.ID, st.Cut, st.Failed, st.Error)
		}
	}
}

// What the matches of one batch hold is bounded, too.
func TestManyLargeRows(t *testing.T) {
	set := mustLoad(t, files("a.sql", ruleText("large", "", "SELECT pid, repeat('x', 60000) AS long FROM process_events")))
	m := NewMatcher(set, MatcherConfig{BatchTimeout: time.Minute})
	size := 0
	list := m.Match(eventBatch(1000), testStart)
	for _, match := range list {
		size += len(match.Row())
	}
	if len(list) != 1000 || size > 2*maxRows {
		t.Errorf("%d matches hold %d bytes, want 1000 with at most %d", len(list), size, 2*maxRows)
	}
}

// A rule that fails is given up on a batch after a while, is told to be slow,
// and the others run.
func TestSlowRule(t *testing.T) {
	set := mustLoad(t, files(
		"c.sql", ruleText("large", "", "SELECT pid, repeat('x', 16000000) AS x FROM process_events"),
		"a.sql", ruleText("slow", "", "SELECT pid FROM process_events WHERE length(repeat('x', 16000000)) / (pid - pid) > 1"),
		"b.sql", ruleText("works", "", anyEvent),
	))
	m := NewMatcher(set, MatcherConfig{BatchTimeout: time.Millisecond})
	of := map[string]int64{}
	for _, match := range m.Match(eventBatch(64), testStart) {
		of[match.Rule.ID]++
	}
	if of["works"] != 64 {
		t.Errorf("%d matches, want 64 of the rule that works", of["works"])
	}
	if large := m.Stats()[2]; large.Failed != 64-of["large"] || large.Matched != of["large"] || of["large"] == 0 || large.Failed == 0 || large.Slow == nil {
		t.Errorf("stats = %+v with %d matches, want all rows in them", large, of["large"])
	}
	slow := m.Stats()[0]
	if slow.Failed != 64 || slow.Slow == nil || slow.Error == nil || !strings.Contains(slow.Error.Message, "not looked at") {
		t.Errorf("stats = %+v, want 64 rows failed or passed over, and a slow rule", slow)
	}
}

// However an alert is made, it fits into a frame of the bus many times.
func TestLargestAlert(t *testing.T) {
	nasty := strings.Repeat("\x01", 4000)
	header := fmt.Sprintf("-- dedup: pid, a\n-- falsepositives: %s\n", strings.Repeat("é", 4000))
	set := mustLoad(t, files("a.sql", ruleText("large", header,
		"SELECT pid, repeat(command_line, 100) AS a, repeat(command_line, 100) AS entity_id, ancestors FROM process_events")))
	b := event.NewBuilder(event.Lookup("process_events"))
	b.Column("time").Time(testStart)
	b.Column("pid").Int(1)
	b.Column("entity_id").Text("e")
	for _, name := range []string{"name", "command_line", "cwd", "cgroup", "executable_path", "parent_command_line"} {
		b.Column(name).Text(nasty)
	}
	list := make([]string, 32)
	for i := range list {
		list[i] = nasty
	}
	b.Column("ancestors").Texts(list)
	b.EndRow()
	reasons := make([]string, 100)
	for i := range reasons {
		reasons[i] = fmt.Sprint(i, nasty)
	}
	changes := NewGrouper(GrouperConfig{Host: "web-1"}).Add(NewMatcher(set, MatcherConfig{}).Match(b.Batch(), testStart), Completeness{Reasons: reasons})
	if len(changes) != 1 {
		t.Fatalf("%d alerts, want 1", len(changes))
	}
	alert := changes[0].Alert
	if text, err := json.Marshal(alert); err != nil || len(text) > 256<<10 || len(alert.IncompleteReasons) == 0 {
		t.Errorf("an alert of %d bytes (%v), want at most 256 KiB", len(text), err)
	}
}

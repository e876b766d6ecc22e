package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// Each shipped rule has fixtures, which pass, with rows that it must match and
// rows that it must not, and names what a reader of its alert needs.
func TestPack(t *testing.T) {
	set := mustLoad(t, Builtin())
	if len(set.Rules) < 10 {
		t.Errorf("%d rules, want at least ten", len(set.Rules))
	}
	for _, result := range Test(context.Background(), set) {
		r := result.Rule
		t.Run(r.ID, func(t *testing.T) {
			if result.Err != nil || result.Untested {
				t.Fatalf("fixtures %s: untested %t, %v", result.File, result.Untested, result.Err)
			}
			positive, negative := 0, 0
			for _, c := range result.Cases {
				if !c.Passed() {
					t.Errorf("case %q: %d rows matched, want %d (%v)", c.Name, c.Got, c.Want, c.Err)
				}
				if c.Want > 0 {
					positive++
				} else {
					negative++
				}
			}
			if positive == 0 || negative == 0 {
				t.Errorf("%d cases match, %d do not, want both", positive, negative)
			}
			if r.Mode == Scan || r.Mode == History && !r.WindowSet || len(r.FalsePositives) == 0 || len(r.References) == 0 || r.Description == "" || len(r.Dedup) == 0 {
				t.Errorf("incomplete: mode %v, header %+v", r.Mode, r.Header)
			}
			if !slices.ContainsFunc(r.Tags, func(tag string) bool { return strings.HasPrefix(tag, "attack.t1") }) {
				t.Errorf("tags %v name no technique", r.Tags)
			}
			if want := strings.ReplaceAll(r.ID, "-", "_") + ".sql"; r.path != want {
				t.Errorf("the rule's file is %s, want %s", r.path, want)
			}
		})
	}
}

func TestFixtures(t *testing.T) {
	ctx := context.Background()
	rule := ruleText("r", "", "SELECT pid FROM process_events WHERE command_line LIKE 'bad%' AND 10 / (pid - 1) >= 0")
	for _, c := range []struct {
		name, yaml string
		passed     bool
		problem    string
	}{
		{"count", "cases:\n- name: a\n  events: [{command_line: bad 1}, {command_line: good}, {command_line: bad 2}]\n  match: 2\n", true, ""},
		{"wrong count", "cases:\n- name: a\n  events: [{command_line: bad}]\n  match: 2\n", false, ""},
		{"must not", "cases:\n- name: a\n  events: [{command_line: good}]\n  must_not_match: true\n", true, ""},
		{"file", "cases:\n- name: a\n  file: e.jsonl\n  match: 1\n", true, ""},
		{"recording", "cases:\n- name: a\n  file: all.jsonl\n  match: 1\n", true, ""},
		{"recording of other tables", "cases:\n- name: a\n  file: other.jsonl\n  must_not_match: true\n", false, "other.jsonl has no row of process_events"},
		{"recording of an unknown table", "cases:\n- name: a\n  file: unknown.jsonl\n  match: 0\n", false, `unknown.jsonl, row 1: unknown table "processs"`},
		{"row of another table", "cases:\n- name: a\n  events: [{table: scans}]\n  match: 0\n", false, "event 1: it is a row of scans, and the rule reads process_events"},
		{"row that names its table", "cases:\n- name: a\n  table: process_events\n  events: [{table: process_events, command_line: bad}]\n  match: 1\n", true, ""},
		{"file elsewhere", "cases:\n- name: a\n  file: ../../etc/passwd\n  match: 1\n", false, "leads out"},
		{"failing row", "cases:\n- name: a\n  events: [{command_line: bad, pid: 1}]\n  match: 0\n", false, "division by zero"},
		{"unknown column", "cases:\n- name: a\n  events: [{comand_line: bad}]\n  match: 0\n", false, `did you mean "command_line"?`},
		{"wrong type", "cases:\n- name: a\n  events: [{pid: many}]\n  match: 0\n", false, "not of type integer"},
		{"number as text", "cases:\n- name: a\n  events: [{command_line: 5}]\n  match: 0\n", false, "not of type text"},
		{"null in a required column", "cases:\n- name: a\n  events: [{entity_id: null}]\n  match: 0\n", false, "can not be NULL"},
		{"unknown key", "cases:\n- name: a\n  evnets: []\n  match: 0\n", false, "evnets"},
		{"no expectation", "cases:\n- name: a\n  events: [{pid: 2}]\n", false, "match: COUNT"},
		{"both expectations", "cases:\n- name: a\n  events: [{pid: 2}]\n  match: 1\n  must_not_match: true\n", false, "match: COUNT"},
		{"no events", "cases:\n- name: a\n  match: 0\n", false, "either events or file"},
		{"no cases", "cases: []\n", false, "no cases"},
		{"empty", "", false, "empty"},
		{"two documents", "cases:\n- name: a\n  events: [{pid: 2}]\n  match: 0\n---\na: 1\n", false, "more than one"},
		{"not yaml", "\t{", false, "cannot start any token"},
		{"all types", "cases:\n- name: a\n  events:\n  - {command_line: bad, pid: 9, cpu_usage: 1.5, accessible: false, time: 2026-01-02T03:04:05Z, ancestors: [a, b], namespaces: {mnt: 1}, cwd: null}\n  match: 1\n", true, ""},
	} {
		set := mustLoad(t, files("r.sql", rule, "r.test.yaml", c.yaml, "e.jsonl", "{\"command_line\": \"bad\", \"pid\": 12}\n{\"command_line\": \"good\"}\n",
			"all.jsonl", "{\"table\": \"scans\", \"odd\": 1}\n{\"table\": \"process_events\", \"command_line\": \"bad\", \"cwd\": null}\n",
			"other.jsonl", "{\"table\": \"scans\"}\n", "unknown.jsonl", "{\"table\": \"processs\"}\n"))
		r := Test(ctx, set)[0]
		if r.Passed() != c.passed {
			t.Errorf("%s: passed %t, want %t: %+v", c.name, r.Passed(), c.passed, r)
		}
		errs := r.Err
		for _, one := range r.Cases {
			errs = errors.Join(errs, one.Err)
		}
		if (errs != nil) != (c.problem != "") || errs != nil && !strings.Contains(errs.Error(), c.problem) {
			t.Errorf("%s: error %v, want %q", c.name, errs, c.problem)
		}
	}
	if r := Test(ctx, mustLoad(t, files("r.sql", rule)))[0]; !r.Untested || r.Passed() {
		t.Errorf("a rule without fixtures: %+v, want untested", r)
	}
}

func FuzzFixtures(f *testing.F) {
	f.Add([]byte("cases:\n- name: a\n  events: [{pid: 1, ancestors: [a], namespaces: {a: [1]}}]\n  match: 1\n"))
	f.Add([]byte("cases:\n- name: a\n  events: [{time: 2026-01-01, cpu_usage: .inf, namespaces: {1: 2}}]\n  must_not_match: true\n"))
	f.Add([]byte("a: &a [*a]\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := parseFixtures(data)
		if err != nil {
			return
		}
		for i := range cases {
			batches, err := cases[i].batches([]string{"process_events"}, files().FS, ".")
			if err != nil {
				continue
			}
			rows := 0
			for _, b := range batches {
				rows += b.Rows
				if _, err := event.Decode(event.Encode(nil, b), nil); err != nil {
					t.Fatal(err)
				}
			}
			if rows != len(cases[i].Events) {
				t.Fatalf("%d rows of %d events", rows, len(cases[i].Events))
			}
		}
	})
}

func seq(batches ...*event.Batch) iter.Seq2[*event.Batch, error] {
	return func(yield func(*event.Batch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func TestReplay(t *testing.T) {
	set := mustLoad(t, files(
		"a.sql", ruleText("by-user", "-- dedup: user_id\n-- window: 10s\n", "SELECT pid FROM process_events WHERE time > now() - INTERVAL '1 hour'"),
		"b.sql", ruleText("burst", "-- dedup: name\n", "SELECT name, count(*) AS n FROM process_events GROUP BY name HAVING count(*) = 30"),
	))
	var outputs [2]bytes.Buffer
	for i := range outputs {
		result, err := Replay(context.Background(), set, seq(eventsFrom(11, 20), eventBatch(10)), ReplayConfig{Grouper: GrouperConfig{Host: "h"}})
		if err != nil {
			t.Fatal(err)
		}
		if result.Rows != 30 {
			t.Errorf("%d rows, want 30", result.Rows)
		}
		var total int64
		var last time.Time
		bursts := 0
		for _, a := range result.Alerts {
			if a.Time.Before(last) {
				t.Errorf("alert at %v after %v", a.Time, last)
			}
			last = a.Time
			if a.RuleID == "burst" {
				bursts++
				if !a.Time.Equal(testStart.Add(30*time.Second)) || a.Host != "h" || !strings.Contains(string(a.Row), "30") {
					t.Errorf("burst = %+v", a)
				}
				continue
			}
			total += a.Count
		}
		if total != 30 || bursts != 1 {
			t.Errorf("%d matches in alerts and %d bursts, want 30 and 1", total, bursts)
		}
		if err := result.WriteJSON(&outputs[i]); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(outputs[i].Bytes()) {
			var a event.Alert
			if err := json.Unmarshal(line, &a); err != nil || a.ID == "" {
				t.Errorf("line %s: %v", line, err)
			}
		}
	}
	if !bytes.Equal(outputs[0].Bytes(), outputs[1].Bytes()) {
		t.Errorf("two replays differ:\n%s\n%s", &outputs[0], &outputs[1])
	}
	broken := errors.New("broken file")
	_, err := Replay(context.Background(), set, func(yield func(*event.Batch, error) bool) { yield(nil, broken) }, ReplayConfig{})
	if !errors.Is(err, broken) {
		t.Errorf("Replay of a broken file = %v, want its error", err)
	}
	if _, err := Replay(context.Background(), set, seq(eventBatch(100)), ReplayConfig{MaxHeld: 1 << 10}); err == nil {
		t.Error("more events than may be held are accepted")
	}
}

func BenchmarkMatchPack(b *testing.B) {
	set := mustLoad(b, Builtin())
	for _, c := range []struct {
		name string
		rows int
	}{{"batch=1000", 1000}, {"batch=1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			m := NewMatcher(set, MatcherConfig{})
			batch := eventBatch(c.rows)
			for b.Loop() {
				m.Match(batch, testStart)
			}
			b.ReportMetric(float64(b.N*c.rows)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(len(set.Rules)), "rules")
		})
	}
}

func TestFixtureExpectsRows(t *testing.T) {
	rule := ruleText("a", "", "SELECT pid, name, ancestors, time FROM process_events WHERE pid > 1")
	const events = "    events:\n      - {pid: 1}\n      - {pid: 2, name: sh, ancestors: [a, b]}\n      - {pid: 3}\n"
	for _, tt := range []struct{ expect, want string }{
		{"    expect: [{pid: 2, name: sh, ancestors: [a, b]}, {pid: 3, name: null}]\n", ""},
		{"    match: 2\n    expect: [{time: 2026-01-01T00:00:01Z}]\n", ""},
		{"    match: 2\n    expect: [{pid: 1}]\n", "row 1 is in none of the rows found"},
		{"    match: 2\n    expect: [{nam: sh}]\n", "row 1 is in none of the rows found"},
		{"    expect: [{pid: 2}, {pid: 2}]\n", "row 2 is in none of the rows found"},
		{"    match: 1\n    expect: [{pid: 2}, {pid: 3}]\n", "match: 1 is less than the 2 rows of expect"},
		{"    must_not_match: true\n    expect: [{pid: 2}]\n", "give either match"},
	} {
		set := mustLoad(t, files("a.sql", rule, "a.test.yaml", "cases:\n  - name: n\n"+events+tt.expect))
		r := Test(t.Context(), set)[0]
		err := r.Err
		if err == nil {
			err = r.Cases[0].Err
		}
		if tt.want == "" && !r.Passed() || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: passed %v, %v, want %q", tt.expect, r.Passed(), err, tt.want)
		}
	}
}

package rules

import (
	"context"
	"strings"
	"testing"
	"time"
)

const (
	tempRule = "-- id: temp\n-- title: t\n-- severity: low\nSELECT pid FROM process_events WHERE executable_path LIKE '/tmp/%'\n"
	manyRule = "-- id: many\n-- title: t\n-- severity: low\nSELECT executable_path, count(*) AS n FROM process_events GROUP BY executable_path -- grouped\n"
)

func exceptionFile(rule, when, expires string) string {
	return "exceptions:\n  - rule: " + rule + "\n    when: " + when + "\n    reason: known\n    author: ann\n    expires: " + expires + "\n"
}

func TestExceptionOfStreamRule(t *testing.T) {
	end := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	set := Load(LoadConfig{Now: end.Add(-time.Hour)}, files("a.sql", tempRule,
		"lists/l.yaml", "name: builds\nvalues: [/tmp/go-build]\n",
		"exceptions/a.yaml", exceptionFile("temp", "executable_path = ANY(list('builds'))", "2026-06-01")))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	m, g := NewMatcher(set, MatcherConfig{}), NewGrouper(GrouperConfig{})
	batch := started(t, "/tmp/go-build", "/tmp/x", "/tmp/go-build", "/bin/sh")
	found := m.Match(batch, end.Add(-time.Second))
	if len(found) != 3 || found[0].Excluded == nil || found[1].Excluded != nil || found[2].Excluded == nil {
		t.Fatalf("found %+v", found)
	}
	changes := g.Add(found, Completeness{Complete: true})
	if len(changes) != 2 || changes[0].Alert.Excluded != "known (ann)" || changes[0].Alert.Count != 2 || changes[1].Alert.Excluded != "" {
		t.Errorf("alerts %+v", changes)
	}
	if s := m.Stats()[0]; s.Matched != 1 || s.Excluded != 2 {
		t.Errorf("matched %d, excluded %d, want 1 and 2", s.Matched, s.Excluded)
	}
	if found := m.Match(batch, end); len(found) != 3 || found[0].Excluded != nil {
		t.Errorf("at its end: %+v", found)
	}
	if e := m.Set().Expired(end); len(e) != 1 || !strings.Contains(e[0].String(), "t/exceptions/a.yaml:2: exception of rule temp: known: it expired") {
		t.Errorf("Expired() = %v", e)
	}
}

func TestExceptionOfHistoryRule(t *testing.T) {
	end := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	set := Load(LoadConfig{Now: end.Add(-time.Hour)}, files("a.sql", manyRule,
		"exceptions/a.yaml", exceptionFile("many", "n > 1 -- often", "2026-06-01")+strings.TrimPrefix(exceptionFile("many", "executable_path LIKE '/opt/%'", "2026-12-01"), "exceptions:\n")))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	m := NewMatcher(set, MatcherConfig{})
	src := memory{started(t, "/bin/a", "/bin/a", "/bin/b", "/opt/c")}
	set.Rules[0].WindowSet = true
	set.Rules[0].Window = 100 * 365 * 24 * time.Hour
	excluded := func(now time.Time) map[string]bool {
		found, err := m.RunHistory(context.Background(), src, now)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for i := range found {
			got[string(found[i].Row())] = found[i].Excluded != nil
		}
		return got
	}
	got := excluded(end.Add(-time.Minute))
	a, b, c := `{"executable_path": "/bin/a", "n": 2}`, `{"executable_path": "/bin/b", "n": 1}`, `{"executable_path": "/opt/c", "n": 1}`
	if len(got) != 3 || !got[a] || got[b] || !got[c] {
		t.Fatalf("found %v: %+v", got, m.Stats()[0].Error)
	}
	m.Match(src[0], end) // makes the rule due
	if got = excluded(end); len(got) != 1 || got[a] {
		t.Errorf("after the end of the first: %v, want the row that is not excluded any more", got)
	}
	if s := m.Stats()[0]; s.Matched != 2 || s.Excluded != 2 || s.Failed != 0 {
		t.Errorf("matched %d, excluded %d, failed %d", s.Matched, s.Excluded, s.Failed)
	}
}

func TestExceptionThatFailsExcludesNothing(t *testing.T) {
	set := Load(LoadConfig{}, files("a.sql", tempRule, "b.sql", manyRule,
		"exceptions/a.yaml", exceptionFile("temp", "1 / pid > 0", "2999-01-01"), "exceptions/b.yaml", exceptionFile("many", "1 / (n - 1) > 0", "2999-01-01")))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	m := NewMatcher(set, MatcherConfig{})
	if found := m.Match(started(t, "/tmp/a"), testStart); len(found) != 1 || found[0].Excluded != nil {
		t.Errorf("stream: %+v", found)
	}
	found, err := m.RunHistory(context.Background(), memory{started(t, "/tmp/a")}, time.UnixMicro(2))
	if err != nil || len(found) != 1 || found[0].Excluded != nil {
		t.Errorf("history: %+v (%v)", found, err)
	}
	for _, s := range m.Stats() {
		if s.Error == nil || !strings.Contains(s.Error.Message, "exception") || !strings.Contains(s.Error.Message, "division by zero") {
			t.Errorf("%s: error %+v", s.Rule.ID, s.Error)
		}
	}
}

func TestExceptionRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{exceptionFile("tmp", "pid = 1", "2999-01-01"), `t/exceptions/a.yaml:2:11: there is no rule "tmp" (did you mean "temp"?)`},
		{exceptionFile("temp", "pidd = 1", "2999-01-01"), `t/exceptions/a.yaml:3:11: column "pidd" does not exist`},
		{exceptionFile("temp", "pid = 1 AND pidd = 1", "2999-01-01"), `t/exceptions/a.yaml:3:23: column "pidd" does not exist`},
		{exceptionFile("temp", `'pid = 1 AND pidd = 1'`, "2999-01-01"), `t/exceptions/a.yaml:3:24: column "pidd" does not exist`},
		{exceptionFile("temp", "|\n      pid = 1\n      AND pidd = 1", "2999-01-01"), `t/exceptions/a.yaml:5:11: column "pidd" does not exist`},
		{exceptionFile("many", "pid = 1", "2999-01-01"), `t/exceptions/a.yaml:3:11: column "pid" does not exist`},
		{exceptionFile("temp", "pid = 1 LIMIT 1", "2999-01-01"), `only a condition is allowed here`},
		{exceptionFile("many", "n = 1 UNION SELECT 'a', 1", "2999-01-01"), `only a condition is allowed here`},
		{exceptionFile("many", "true) OR (true", "2999-01-01"), `syntax error`},
		{exceptionFile("temp", "pid IN (SELECT pid FROM processes)", "2999-01-01"), `it has no subquery`},
		{exceptionFile("many", "n IN (SELECT pid FROM processes)", "2999-01-01"), `reads no other table`},
		{exceptionFile("temp", "pid = 1", "soon"), `t/exceptions/a.yaml:6:14: expires: "soon" is not a date`},
		{"exceptions:\n  - rule: temp\n    when: pid = 1\n", `t/exceptions/a.yaml:2:5: an exception has no reason`},
		{"exception: []\n", `t/exceptions/a.yaml:1:1: unknown key "exception" (did you mean "exceptions"?)`},
	} {
		set := Load(LoadConfig{}, files("a.sql", tempRule, "b.sql", manyRule, "exceptions/a.yaml", tt.text))
		if len(set.Refused) != 1 || len(set.Rules) != 2 || !strings.Contains(set.Refused[0].Error(), tt.want) {
			t.Errorf("%s: refused %v, want %q", tt.text, set.Refused, tt.want)
		}
	}
	set := Load(LoadConfig{}, files("exceptions/a.yaml", exceptionFile("exec-from-temp", "pid = 1", "2999-01-01")))
	if len(set.Refused) != 0 {
		t.Errorf("of a built-in rule that is not loaded: %v", set.Refused)
	}
}

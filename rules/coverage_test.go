package rules

import (
	"context"
	"fmt"
	"testing"
)

// A condition is covered where a case needs it, in every kind of statement.
func TestCover(t *testing.T) {
	const filter = "SELECT pid, name FROM process_events WHERE event = 'exec' AND (name = 'nc' OR name LIKE 'net%') AND NOT (user_name = 'admin')"
	for _, c := range []struct {
		query, cases, want string
	}{
		{filter, `
  - name: netcat
    events: [{name: nc, user_name: root}]
    match: 1
  - name: a shell
    events: [{name: sh}]
    must_not_match: true
`, "event = 'exec' true; name = 'nc' true; name LIKE 'net%'; user_name = 'admin' false"},
		{filter, `
  - name: each
    events: [{name: nc, user_name: root}, {name: netcat, user_name: root}, {name: nc, user_name: admin}, {name: sh, user_name: root}, {name: nc, user_name: root, event: exit}]
    match: 2
`, "event = 'exec' true false; name = 'nc' true false; name LIKE 'net%' true false; user_name = 'admin' true false"},
		{"SELECT user_name, count(*) FROM process_events WHERE name = 'nc' GROUP BY user_name HAVING count(*) > 1", `
  - name: two
    events: [{name: nc}, {name: nc}]
    match: 1
  - name: one
    events: [{name: nc}, {name: sh}]
    must_not_match: true
`, "name = 'nc' true false; count(*) > 1 true false"},
		{"SELECT b.pid FROM process_events a JOIN process_events b ON b.ppid = a.pid AND b.time > a.time WHERE a.name = 'curl' AND b.name = 'sh'", `
  - name: in order
    events: [{pid: 1, name: curl}, {pid: 2, ppid: 1, name: sh}]
    match: 1
  - name: another's child
    events: [{pid: 1, name: curl}, {pid: 2, ppid: 3, name: sh}]
    must_not_match: true
`, "b.ppid = a.pid true false; b.time > a.time true; a.name = 'curl' true; b.name = 'sh' true"},
		{"SELECT pid FROM process_events p WHERE EXISTS (SELECT 1 FROM scans s WHERE s.time > p.time)", `
  - name: a scan came later
    events: [{pid: 1}, {table: scans}]
    match: 1
`, "EXISTS (SELECT 1 FROM scans s WHERE s.time > p.time) true; s.time > p.time true"},
	} {
		set := mustLoad(t, files("r.sql", ruleText("r", "", c.query), "r.test.yaml", "cases:"+c.cases))
		results := Test(context.Background(), set)
		if !results[0].Passed() {
			t.Errorf("%s: %+v", c.query, results[0])
			continue
		}
		if err := Cover(context.Background(), set, results); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, k := range results[0].Coverage.Conditions {
			if got != "" {
				got += "; "
			}
			got += k.Text
			if k.True {
				got += " true"
			}
			if k.False {
				got += " false"
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}

// What did not pass, and what has no cases, has no coverage; of a long list of
// conditions some are tried.
func TestCoverBounds(t *testing.T) {
	long := "SELECT pid FROM process_events WHERE pid = 0"
	for i := range maxConditions {
		long += fmt.Sprintf(" OR pid = %d", i+2)
	}
	cases := "cases: [{name: a, events: [{pid: 7}], match: 1}]"
	set := mustLoad(t, files("long.sql", ruleText("long", "", long), "long.test.yaml", cases,
		"bad.sql", ruleText("bad", "", "SELECT pid FROM process_events WHERE pid = 8"), "bad.test.yaml", cases,
		"none.sql", ruleText("none", "", "SELECT pid FROM process_events WHERE pid = 8")))
	results := Test(context.Background(), set)
	if err := Cover(context.Background(), set, results); err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		switch c := r.Coverage; {
		case r.Rule.ID == "long" && (c == nil || len(c.Conditions) != maxConditions || c.More != 1):
			t.Errorf("%s: %+v", r.Rule.ID, c)
		case r.Rule.ID != "long" && c != nil:
			t.Errorf("%s: %+v, want none", r.Rule.ID, c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Cover(ctx, set, results); err == nil {
		t.Error("it goes on after the end of its context")
	}
}

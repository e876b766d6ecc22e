package sql

import (
	"testing"

	"daemoneye/bus/event"
)

func TestTrigger(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT count(*) FROM process_events WHERE name = 'a' AND pid > 1": "(name = 'a') AND (pid > 1)",
		"SELECT count(*) FROM process_events":                              "",
		"SELECT count(*) FROM scans":                                       "false",
		// What depends on the time, on other tables or on subqueries is left out.
		"SELECT count(*) FROM process_events WHERE time > now() - interval '1 hour' AND name = 'a'":                              "name = 'a'",
		"SELECT count(*) FROM process_events WHERE time > now() - interval '1 hour'":                                             "",
		"SELECT count(*) FROM process_events WHERE name = 'a' AND pid = (SELECT max(processes) FROM scans)":                      "name = 'a'",
		"SELECT 1 FROM process_events a JOIN process_events b USING (pid) WHERE a.name = 'a' AND b.name = 'b' AND a.cwd = b.cwd": "(a.name = 'a') OR (b.name = 'b')",
		// Outer joins.
		"SELECT 1 FROM scans LEFT JOIN process_events p ON p.name = 'a'":                                                   "p.name = 'a'",
		"SELECT 1 FROM scans s LEFT JOIN process_events p ON p.pid = s.processes WHERE p.name = 'a'":                       "p.name = 'a'",
		"SELECT 1 FROM scans s LEFT JOIN process_events p ON p.pid = s.processes WHERE p.name IS NULL":                     "",
		"SELECT 1 FROM process_events p LEFT JOIN scans s ON p.pid = s.processes AND p.name = 'a'":                         "",
		"SELECT 1 FROM process_events p LEFT JOIN scans s ON p.pid = s.processes WHERE p.name = 'a'":                       "p.name = 'a'",
		"SELECT 1 FROM process_events p FULL JOIN scans s ON p.pid = s.processes WHERE p.name = 'a'":                       "p.name = 'a'",
		"SELECT 1 FROM process_events p FULL JOIN scans s ON p.pid = s.processes WHERE coalesce(p.name, 'a') = 'a'":        "",
		"SELECT 1 FROM scans s WHERE NOT EXISTS (SELECT 1 FROM process_events p WHERE p.pid = s.processes AND name = 'a')": "p.name = 'a'",
		// Subqueries in FROM.
		"SELECT 1 FROM (SELECT name AS n, pid FROM process_events WHERE pid > 1) x WHERE n = 'a' GROUP BY pid":                                  "(pid > 1) AND (name = 'a')",
		"SELECT 1 FROM (SELECT lower(name) AS n FROM process_events GROUP BY name) x WHERE n = 'a'":                                             "lower(name) = 'a'",
		"SELECT 1 FROM (SELECT name FROM process_events ORDER BY time LIMIT 3) x WHERE name = 'a'":                                              "",
		"SELECT 1 FROM (SELECT name, count(*) AS n FROM process_events GROUP BY name) x WHERE n = 3":                                            "",
		"SELECT 1 FROM (SELECT name, pid, lag(pid) OVER (PARTITION BY name) AS p FROM process_events) x WHERE name = 'a' AND pid = 1 AND p = 2": "name = 'a'",
		"SELECT 1 FROM (SELECT pid, lag(pid) OVER (PARTITION BY pid % 2) AS p FROM process_events) x WHERE p = 2":                               "",
		"WITH w AS (SELECT name FROM process_events) SELECT 1 FROM w WHERE name = 'a' GROUP BY name":                                            "name = 'a'",
		"WITH w AS (SELECT name FROM process_events) SELECT 1 FROM w a, w b WHERE a.name = 'a' AND b.name = 'a'":                                "",
		"SELECT DISTINCT name FROM process_events WHERE name = 'a' UNION SELECT name FROM process_events WHERE pid = 1":                         "(name = 'a') OR (pid = 1)",
		// What can not fail comes first.
		"SELECT count(*) FROM process_events WHERE 1 / pid = 1 AND name = 'a'": "(name = 'a') AND ((1 / pid) = 1)",
	} {
		q, err := Compile(text, Config{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := q.Trigger("process_events").String(); got != want {
			t.Errorf("%s\nis triggered by %q, want %q", text, got, want)
		}
	}
}

// A row on which the condition fails passes: the run tells the error.
func TestTriggerPasses(t *testing.T) {
	b := event.NewBuilder(event.Lookup("process_events"))
	for _, row := range []struct {
		name string
		pid  int64
	}{{"a", 0}, {"b", 0}, {"a", 1}, {"a", 2}} {
		b.Column("name").Text(row.name)
		b.Column("pid").Int(row.pid)
		b.EndRow()
	}
	q, err := Compile("SELECT count(*) FROM process_events WHERE 1 / pid = 1 AND name = 'a'", Config{})
	if err != nil {
		t.Fatal(err)
	}
	trigger, m := q.Trigger("process_events"), NewMatching(b.Batch(), testTime)
	for row, want := range []bool{true, false, true, false} {
		if got := trigger.Passes(m, []int32{int32(row)}); got != want {
			t.Errorf("row %d passes: %v, want %v", row, got, want)
		}
	}
	if trigger.Passes(m, []int32{1, 3}) || !trigger.Passes(m, nil) {
		t.Error("some rows, or all, are not told apart")
	}
}

func TestByTime(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT count(*) FROM process_events":                                                                                    false,
		"SELECT count(*) FROM process_events WHERE time > now() - interval '1 hour'":                                             false,
		"SELECT count(*) FROM process_events WHERE now() - interval '1 hour' <= time AND time < now()":                           false,
		"SELECT count(*) FROM process_events WHERE now() - time < interval '1 hour'":                                             false,
		"SELECT count(*) FROM process_events WHERE time BETWEEN now() - interval '1 hour' AND now()":                             false,
		"SELECT pid, now() - time AS age FROM process_events ORDER BY time":                                                      false,
		"SELECT count(*) FROM process_events WHERE time < now() - interval '1 hour'":                                             true,
		"SELECT count(*) FROM process_events WHERE now() - time > interval '1 hour'":                                             true,
		"SELECT count(*) FROM process_events WHERE age(time) > interval '1 hour'":                                                true,
		"SELECT name FROM process_events GROUP BY name HAVING max(time) < now() - interval '1 hour'":                             true,
		"SELECT 1 FROM scans a JOIN scans b ON a.time < now() - interval '1 hour' AND a.time < b.time":                           true,
		"SELECT 1 FROM scans a WHERE NOT EXISTS (SELECT 1 FROM process_events WHERE time > now() - interval '1 hour')":           true,
		"SELECT 1 FROM scans a LEFT JOIN process_events p ON p.time > now() - interval '1 hour' WHERE p.pid IS NULL":             true,
		"SELECT pid FROM process_events EXCEPT SELECT pid FROM process_events WHERE time > now() - interval '1 hour'":            true,
		"SELECT a.pid FROM process_events a JOIN process_events b ON b.time <= a.time + interval '10 minutes' AND a.pid = b.pid": false,
	} {
		q, err := Compile(text, Config{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := q.ByTime(); got != want {
			t.Errorf("%s\nby time: %v, want %v", text, got, want)
		}
	}
}

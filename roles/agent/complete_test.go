package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

// canaryAt makes a row that the rule matches, of a process of its own.
func canaryAt(at time.Time, pid int64) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	b.Column("time").Time(at)
	b.Column("event").Text("seen")
	b.Column("source").Text("procfs")
	b.Column("entity_id").Text(time.Unix(pid, 0).String())
	b.Column("pid").Int(pid)
	b.Column("name").Text("canary")
	b.Column("kernel_thread").Bool(false)
	b.Column("accessible").Bool(true)
	b.Column("collection_time").Time(at)
	b.EndRow()
	return b.Batch()
}

func scanAt(at time.Time, collector string, processes int64) *event.Batch {
	b := event.NewBuilder(event.Lookup("scans"))
	b.Column("time").Time(at)
	b.Column("collector_id").Text(collector)
	b.Column("source").Text("procfs")
	b.Column("duration").Float(0.1)
	for _, name := range []string{"inaccessible", "vanished", "events", "errors"} {
		b.Column(name).Int(0)
	}
	b.Column("processes").Int(processes)
	b.EndRow()
	return b.Batch()
}

// gapAt is a loss of process_events in from ≤ t < to, reported at once.
func gapAt(from, to time.Time, collector, hop string) *event.Batch {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	b.Column("time").Time(to)
	b.Column("table_name").Text("process_events")
	b.Column("start_time").Time(from)
	b.Column("end_time").Time(to)
	b.Column("collector_id").Text(collector)
	b.Column("hop").Text(hop)
	b.Column("reason").Text("of this test")
	b.EndRow()
	return b.Batch()
}

// send publishes batches and waits until they are stored.
func (r *running) send(p *bus.Publisher, batches ...*event.Batch) {
	r.t.Helper()
	for _, b := range batches {
		if _, err := p.Publish(r.t.Context(), api.EventsTopic+b.Table.Name, event.Encode(nil, b)); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := p.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// What was lost marks what it touches: a matched row's own time, the time that
// a rule over history looks back to, and the present state until it is whole
// again.
func TestLossMarksOnlyWhatItTouches(t *testing.T) {
	r := newRunning(t)
	r.stop()
	for name, rule := range map[string]string{
		"state.sql": "-- id: state\n-- title: State\n-- severity: low\n-- dedup: pid\n-- window: 1s\nSELECT pid, collection_time FROM processes WHERE pid = 77\n",
	} {
		if err := os.WriteFile(filepath.Join(r.config.Paths.RulesDirs[0], name), []byte(rule), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	now := time.Now()
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	r.send(p,
		gapAt(before(40*time.Minute), before(30*time.Minute), "c", "collector"),
		canaryAt(before(20*time.Minute), 1), // within the rule's window of an hour, not within the loss
		canaryAt(before(35*time.Minute), 2),
		canaryAt(before(29*time.Minute), 77),
	)
	marked := func(sql string, want bool) {
		t.Helper()
		if _, incomplete, err := r.query(sql); err != nil || (len(incomplete) == 1) != want || len(incomplete) > 1 {
			t.Errorf("%s is marked %q, %v; want a mark: %t", sql, incomplete, err, want)
		}
	}
	marked("SELECT pid FROM processes", true)
	r.send(p, scanAt(before(28*time.Minute), "c", 0)) // it failed
	marked("SELECT pid FROM processes", true)
	r.send(p, scanAt(before(27*time.Minute), "c", 9))
	marked("SELECT pid FROM processes", false)
	marked("SELECT pid FROM process_events", true)
	marked("SELECT rule_id FROM rules", false)
	marked("SELECT alert_id FROM alerts", false)
	marked("SELECT collector_id FROM collectors", false)

	// A collector does not know what was lost behind it: only another start of
	// it finds out.
	r.send(p, gapAt(before(26*time.Minute), before(25*time.Minute), "c", "store"), scanAt(before(24*time.Minute), "c", 9))
	marked("SELECT pid FROM processes", true)
	r.send(p, scanAt(before(23*time.Minute), "d", 9))
	marked("SELECT pid FROM processes", false)

	r.stop() // all is matched then
	r.start()
	cells, _, err := r.query("SELECT pid, complete FROM alerts WHERE rule_id = 'canary' ORDER BY pid")
	if want := []string{"1", "true", "2", "false", "77", "true"}; err != nil || !reflect.DeepEqual(cells, want) {
		t.Errorf("pids and complete = %v, %v, want %v", cells, err, want)
	}
	// At the failed scan the state was not whole, after the good one it was.
	cells, _, err = r.query("SELECT complete, count(*) FROM alerts WHERE rule_id = 'state' GROUP BY complete ORDER BY complete")
	if err != nil || len(cells) < 2 || cells[0] != "false" {
		t.Errorf("complete of the rule over state = %v, %v, want the first incomplete", cells, err)
	}
}

// A rule over history is marked by a loss within its window, and only then.
func TestLossInWindowOfHistoryRule(t *testing.T) {
	for _, c := range []struct {
		ago  time.Duration
		want string
	}{{5 * time.Minute, "false"}, {15 * time.Minute, "true"}} {
		t.Run(c.ago.String(), func(t *testing.T) {
			t.Parallel()
			r := newRunning(t)
			r.stop()
			rule := "-- id: many\n-- title: Many\n-- severity: low\n-- window: 10m\nSELECT count(*) AS n FROM process_events HAVING count(*) > 0\n"
			if err := os.WriteFile(filepath.Join(r.config.Paths.RulesDirs[0], "many.sql"), []byte(rule), 0o644); err != nil {
				t.Fatal(err)
			}
			r.start()
			r.dial()
			p := newPublisher(t, r.config.Paths.Socket, r.token)
			now := time.Now()
			r.send(p, gapAt(now.Add(-c.ago), now.Add(-c.ago+time.Second), "c", "collector"), canaryAt(now, 1))
			var cells []string
			for deadline := time.Now().Add(30 * time.Second); len(cells) == 0 && time.Now().Before(deadline); {
				var err error
				if cells, _, err = r.query("SELECT complete FROM alerts WHERE rule_id = 'many'"); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(cells, []string{c.want}) {
				t.Errorf("a loss %v ago, window 10m: complete = %v, want %s", c.ago, cells, c.want)
			}
		})
	}
}

// gapOf is a loss of the table's rows in from ≤ t < to, reported at once.
func gapOf(table string, from, to time.Time) *event.Batch {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	b.Column("time").Time(to)
	b.Column("table_name").Text(table)
	b.Column("start_time").Time(from)
	b.Column("end_time").Time(to)
	b.Column("collector_id").Text("c")
	b.Column("hop").Text("collector")
	b.Column("reason").Text("of this test")
	b.EndRow()
	return b.Batch()
}

// A query is marked with the losses of each of its tables, wherever it reads
// them, within the times that it reads of that table.
func TestLossMarksEachTableOfAQuery(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	now := time.Now()
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	r.send(p, gapOf("process_samples", ago(40), ago(30)), gapOf("process_events", ago(20), ago(10)), scanAt(ago(5), "c", 9))
	const samples, events = "process_samples", "process_events"
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{"SELECT 1 FROM process_events e JOIN process_samples s USING (entity_id)", []string{events, samples}},
		{"SELECT 1 FROM process_events e JOIN process_samples s USING (entity_id) WHERE e.time >= now() - interval '5 minutes'", []string{samples}},
		{"SELECT 1 FROM process_events e JOIN process_samples s USING (entity_id) WHERE s.time >= now() - interval '25 minutes'", []string{events}},
		{"SELECT 1 FROM process_events e LEFT JOIN process_samples s ON s.pid = e.pid AND s.time < now() - interval '1 hour' WHERE e.time >= now() - interval '5 minutes'", nil},
		{"SELECT pid FROM processes p WHERE EXISTS (SELECT 1 FROM process_samples s WHERE s.entity_id = p.entity_id)", []string{samples}},
		{"SELECT (SELECT count(*) FROM process_events e WHERE e.pid = p.pid AND e.time >= now() - interval '15 minutes') FROM processes p", []string{events}},
		{"SELECT pid FROM processes WHERE pid IN (SELECT pid FROM process_events WHERE time >= now() - interval '5 minutes')", nil},
		{"WITH w AS (SELECT pid FROM process_samples WHERE time < now() - interval '35 minutes') SELECT pid FROM w UNION SELECT pid FROM process_events", []string{events, samples}},
		// Neither of the two scans reads the time of the loss between them.
		{"SELECT 1 FROM process_events a JOIN process_events b USING (pid) WHERE a.time >= now() - interval '5 minutes' AND b.time BETWEEN now() - interval '1 hour' AND now() - interval '30 minutes'", nil},
	} {
		_, incomplete, err := r.query(c.sql)
		var got []string
		for _, reason := range incomplete {
			table, _, _ := strings.Cut(reason, " ")
			got = append(got, table)
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s\nis marked %q, %v; want losses of %q", c.sql, incomplete, err, c.want)
		}
	}
}

// An alert of a rule that reads several tables is marked with the losses of
// each within what the rule sees of it.
func TestLossMarksEachTableOfARule(t *testing.T) {
	rules := map[string]struct {
		text string
		want []string
	}{
		"both":   {"-- window: 50m\nSELECT count(*) AS n FROM process_events e LEFT JOIN process_samples s USING (entity_id) HAVING count(*) > 0", []string{"process_events", "process_samples"}},
		"one":    {"-- window: 25m\nSELECT count(*) AS n FROM process_events e LEFT JOIN process_samples s USING (entity_id) HAVING count(*) > 0", []string{"process_events"}},
		"none":   {"-- window: 5m\nSELECT count(*) AS n FROM process_events e LEFT JOIN process_samples s USING (entity_id) HAVING count(*) > 0", nil},
		"inner":  {"SELECT count(*) AS n FROM process_events WHERE time >= now() - interval '5 minutes' AND NOT EXISTS (SELECT 1 FROM process_samples WHERE pid = -1) HAVING count(*) > 0", []string{"process_samples"}},
		"scan":   {"SELECT pid FROM processes p WHERE pid = 1 AND NOT EXISTS (SELECT 1 FROM process_samples s WHERE s.pid = p.pid)", []string{"process_samples"}},
		"scan-5": {"-- window: 5m\nSELECT pid FROM processes p WHERE pid = 1 AND NOT EXISTS (SELECT 1 FROM process_samples s WHERE s.pid = p.pid)", nil},
	}
	r := newRunning(t)
	r.stop()
	for id, rule := range rules {
		header, body, ok := strings.Cut(rule.text, "\n")
		if !ok {
			header, body = "-- status: test", rule.text
		}
		text := "-- id: " + id + "\n-- title: T\n-- severity: low\n" + header + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(r.config.Paths.RulesDirs[0], id+".sql"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	now := time.Now()
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	r.send(p, gapOf("process_samples", ago(40), ago(30)), gapOf("process_events", ago(20), ago(10)), scanAt(ago(5), "c", 9))
	r.send(p, canaryAt(now, 1))
	r.send(p, scanAt(now, "c", 9))
	for id, rule := range rules {
		var cells []string
		for deadline := time.Now().Add(30 * time.Second); len(cells) == 0 && time.Now().Before(deadline); {
			var err error
			if cells, _, err = r.query("SELECT incomplete_reasons FROM alerts WHERE rule_id = '" + id + "'"); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, table := range []string{"process_events", "process_samples"} {
			if strings.Contains(strings.Join(cells, ""), table+" lost") {
				got = append(got, table)
			}
		}
		if len(cells) != 1 || !slices.Equal(got, rule.want) {
			t.Errorf("rule %s: reasons %q, want losses of %q", id, cells, rule.want)
		}
	}
}

package client

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/store"
	"daemoneye/store/eventfile"
)

// events are JSON Lines of process_events with a column that there is not.
const events = `{"time": "2026-01-02T03:04:05Z", "event": "exec", "source": "procfs", "entity_id": "a", "pid": 10, "name": "sh", "command_line": "sh -c id", "kernel_thread": false, "accessible": true, "collection_time": "2026-01-02T03:04:05Z", "colour": "red"}
{"time": "2026-01-02T03:04:06.5Z", "event": "exec", "source": "procfs", "entity_id": "b", "pid": 11, "name": "ls", "command_line": "ls \u001b[2J,\"x\"", "kernel_thread": false, "accessible": true, "collection_time": "2026-01-02T03:04:06Z"}
{"time": "2026-01-02T03:04:07Z", "event": "exit", "source": "procfs", "entity_id": "a", "pid": 10, "kernel_thread": false, "accessible": true, "collection_time": "2026-01-02T03:04:07Z", "colour": "blue"}
`

func TestQueryFile(t *testing.T) {
	path := write(t, "events.jsonl", events)
	const statement = "SELECT time, pid, name, command_line, accessible AS a, tty FROM process_events WHERE event = 'exec' ORDER BY pid"
	for format, want := range map[string]string{
		"csv": "time,pid,name,command_line,a,tty\n" +
			"2026-01-02 03:04:05+00,10,sh,sh -c id,t,\n" +
			"2026-01-02 03:04:06.5+00,11,ls,\"ls \x1b[2J,\"\"x\"\"\",t,\n",
		"jsonl": `{"time": "2026-01-02T03:04:05.000000Z", "pid": 10, "name": "sh", "command_line": "sh -c id", "a": true, "tty": null}` + "\n" +
			`{"time": "2026-01-02T03:04:06.500000Z", "pid": 11, "name": "ls", "command_line": "ls \u001b[2J,\"x\"", "a": true, "tty": null}` + "\n",
		"table": "" +
			"           time           | pid | name |    command_line     | a | tty \n" +
			"--------------------------+-----+------+---------------------+---+-----\n" +
			" 2026-01-02 03:04:05+00   |  10 | sh   | sh -c id            | t | \n" +
			" 2026-01-02 03:04:06.5+00 |  11 | ls   | ls \\x1b[2J,\"x\"      | t | \n" +
			"(2 rows)\n",
	} {
		stdout, stderr, err := app(t, "query", "--format", format, "--input", path, "--table", "process_events", statement)
		if err != nil || squeeze(stdout) != squeeze(want) {
			t.Errorf("query as %s: %v\n%s\nwant\n%s", format, err, stdout, want)
		}
		if want := "unknown columns in " + path + " were ignored: colour (2 rows)\n"; stderr != want {
			t.Errorf("query as %s: stderr %q, want %q", format, stderr, want)
		}
	}
}

// Several files are one table, each read once for each time that it is.
func TestQueryFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.csv":      "event,pid,name,colour\nexec,1,a,red\nexec,2,b,\n",
		"b.csv":      "name,pid,colour,event\nc,3,red,exec\n",
		"c.csv":      "event,pid\nexec,4\n",
		"[x].csv":    "event,pid,name,colour\nexec,5,e,\n",
		"d.jsonl":    `{"event": "exec", "pid": 6}` + "\n",
		"other.json": `{"table": "scans", "processes": 1}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const statement = "SELECT array_agg(a.pid ORDER BY a.pid), count(*) FROM process_events a JOIN process_events b ON a.pid = b.pid"
	for _, c := range []struct {
		inputs       []string
		want, stderr string
	}{
		{[]string{"[ab].csv"}, `"{1,2,3}",3`, "unknown columns in {}/a.csv and 1 other file were ignored: colour (2 rows)\n"},
		{[]string{"b.csv", "d.json?"}, `"{3,6}",2`, "unknown columns in {}/b.csv were ignored: colour (1 row)\n"},
		{[]string{"[x].csv", "other.json"}, `{5},1`, ""},
		{[]string{"*.csv"}, "", "daemoneye: {}/[x].csv and {}/c.csv have different columns: only {}/[x].csv has colour, name\nhint: query files of the same columns together, or each by itself\n"},
		{[]string{"a.csv", "[a].csv"}, "", "daemoneye: --input names {}/a.csv twice\nhint: its rows would count twice\n"},
		{[]string{"x*"}, "", "daemoneye: input: no file matches \"{}/x*\"\n"},
	} {
		args := []string{"query", "--format", "csv", "--table", "process_events"}
		for _, name := range c.inputs {
			args = append(args, "--input", filepath.Join(dir, name))
		}
		stdout, stderr, err := app(t, append(args, statement)...)
		_, got, _ := strings.Cut(strings.TrimSpace(stdout), "\n")
		if got != c.want || (err == nil) != (c.want != "") || strings.ReplaceAll(stderr, dir, "{}") != c.stderr {
			t.Errorf("query of %v = %q, %v, %q, want %q, %q", c.inputs, got, err, stderr, c.want, c.stderr)
		}
	}
}

func TestQueryFileOfAnotherTable(t *testing.T) {
	path := write(t, "events.jsonl", events)
	_, stderr, err := app(t, "query", "--input", path, "--table", "process_events", "SELECT count(*) FROM scans")
	if err != nil || !strings.Contains(stderr, "there is no row of scans in "+path+", only of process_events") {
		t.Errorf("query of another table: %v, %q", err, stderr)
	}
	// Rows that name no table are of the statement's, and of process_events for rules.
	for _, file := range []string{write(t, "e.jsonl", "{\"pid\": 1}\n{\"pid\": 2}\n"), write(t, "e.csv", "pid\n1\n2\n"), write(t, "e.json", `[{"pid": 1}, {"pid": 2}]`)} {
		stdout, stderr, err := app(t, "query", "--format", "csv", "--input", file, "SELECT count(*) FROM process_events")
		if err != nil || stdout != "count\n2\n" {
			t.Errorf("query of %s without --table: %v, %q, %q", file, err, stdout, stderr)
		}
		if _, stderr, err = app(t, "replay", "--builtin", file); err != nil {
			t.Errorf("replay of %s without --table: %v, %q", file, err, stderr)
		}
	}
	_, stderr, err = app(t, "query", "--input", write(t, "e.jsonl", "{\n"), "SELECT count(*) FROM process_events")
	if status(err) != 1 || strings.Contains(stderr, "--table") {
		t.Errorf("query of a broken file: status %d, %q; want 1 and nothing about tables", status(err), stderr)
	}
	_, stderr, err = app(t, "query", "--input", path+".gone", "--table", "scans", "SELECT count(*) FROM scans")
	if status(err) != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("query of no file: status %d, %q", status(err), stderr)
	}
}

func TestQueryErrorsHaveCarets(t *testing.T) {
	path := write(t, "events.jsonl", events)
	stdout, stderr, err := app(t, "query", "--input", path, "--table", "process_events", "SELECT cmdline FROM process_events")
	want := "SELECT cmdline FROM process_events\n       ^\nhint: did you mean \"command_line\"?\n"
	if status(err) != 1 || stdout != "" || !strings.HasPrefix(stderr, "daemoneye: line 1, column 8: ") || !strings.HasSuffix(stderr, want) {
		t.Errorf("query: status %d, stdout %q, stderr %q, want it to end in %q", status(err), stdout, stderr, want)
	}
}

func TestQueryParamsAndLimits(t *testing.T) {
	path := write(t, "events.jsonl", events)
	stdout, _, err := app(t, "query", "--format", "csv", "--param", "name=s'h", "--param", "event=exec", "--input", path, "--table", "process_events",
		"SELECT pid FROM process_events WHERE event = :'event' AND name <> :'name' ORDER BY pid")
	if err != nil || stdout != "pid\n10\n11\n" {
		t.Errorf("query with parameters: %v, %q", err, stdout)
	}
	_, stderr, err := app(t, "query", "--max-rows", "1", "--input", path, "--table", "process_events", "SELECT pid FROM process_events")
	if status(err) != 1 || stderr == "" {
		t.Errorf("query over --max-rows: status %d, %q; want 1 and a reason", status(err), stderr)
	}
}

// rule is a rule with the fixtures that prove it.
func ruleDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"id.sql":       "-- id: ran-id\n-- title: Somebody ran id\n-- severity: high\n-- falsepositives: curious people\nSELECT pid, command_line FROM process_events WHERE event = 'exec' AND command_line LIKE '% id'\n",
		"broken.sql":   "-- id: broken\n-- title: Broken\n-- severity: low\nSELECT cmdline FROM process_events\n",
		"untested.sql": "-- id: untested\n-- title: Untested\n-- severity: low\nSELECT pid FROM process_events WHERE pid = 10 AND event = 'exit'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReplay(t *testing.T) {
	dir, path := ruleDir(t), write(t, "events.jsonl", events)
	first, stderr, err := app(t, "replay", "--rules", dir, "--table", "process_events", path)
	if status(err) != 1 || !strings.Contains(stderr, "refused: ") || !strings.Contains(stderr, "broken.sql:4:8") {
		t.Errorf("replay: status %d, stderr %q; want 1 and the refused rule", status(err), stderr)
	}
	var ids []string
	for _, line := range strings.Split(strings.TrimSpace(first), "\n") {
		var a event.Alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		ids = append(ids, a.RuleID)
	}
	if got := strings.Join(ids, " "); got != "ran-id untested" {
		t.Errorf("replay raised %q, want both rules, in the order of time", got)
	}
	if again, _, _ := app(t, "replay", "--rules", dir, "--table", "process_events", path); again != first {
		t.Errorf("the second replay differs:\n%s\nfirst:\n%s", again, first)
	}
}

func TestRulesWithoutAgent(t *testing.T) {
	dir := ruleDir(t)
	stdout, _, err := app(t, "rules", "validate", dir)
	if status(err) != 1 || !strings.Contains(stdout, "broken.sql:4:8: ") || !strings.Contains(stdout, "    SELECT cmdline FROM") ||
		!strings.HasSuffix(stdout, "2 valid rules, 1 refused\n") {
		t.Errorf("rules validate: status %d\n%s", status(err), stdout)
	}
	if stdout, _, err = app(t, "rules", "validate", filepath.Join(dir, "id.sql")); err != nil || stdout != "1 valid rule, 0 refused\n" {
		t.Errorf("rules validate of a good file: %v, %q", err, stdout)
	}
	stdout, _, err = app(t, "rules", "validate", "--format", "json", dir)
	var report struct {
		Valid   []string
		Refused []struct{ File, Message, Caret string }
	}
	if json.Unmarshal([]byte(stdout), &report) != nil || len(report.Valid) != 2 || len(report.Refused) != 1 || report.Refused[0].Caret == "" || status(err) != 1 {
		t.Errorf("rules validate as json: status %d\n%s", status(err), stdout)
	}
	stdout, _, err = app(t, "rules", "list", "--rules", dir, "--format", "csv")
	if err != nil || !strings.Contains(stdout, "ran-id,high,t,stream,,,,") || !strings.Contains(stdout, "broken,low,f,,") {
		t.Errorf("rules list: %v\n%s", err, stdout)
	}
	stdout, _, err = app(t, "rules", "list", "--rules", dir)
	if got := squeeze(stdout); err != nil || !strings.Contains(got, "\n ran-id | high | good | Somebody ran id\n") || !strings.Contains(got, "\n broken | low | refused | "+dir) {
		t.Errorf("rules list: %v\n%s", err, stdout)
	}
	stdout, _, err = app(t, "rules", "show", "--rules", dir, "ran-id")
	if err != nil || !strings.Contains(stdout, "Somebody ran id") || !strings.Contains(stdout, "LIKE '% id'") || !strings.Contains(stdout, "as rows of process_events arrive") {
		t.Errorf("rules show: %v\n%s", err, stdout)
	}
	if _, stderr, err := app(t, "rules", "show", "--rules", dir, "nothing"); status(err) != 1 || !strings.Contains(stderr, "no rule") {
		t.Errorf("rules show of none: status %d, %q", status(err), stderr)
	}
}

func TestRulesTest(t *testing.T) {
	stdout, stderr, err := app(t, "rules", "test", "--builtin")
	if err != nil || !strings.HasSuffix(stdout, "0 failed, 0 untested, 0 refused\n") {
		t.Errorf("rules test of the shipped pack: %v\n%s%s", err, stdout, stderr)
	}
	stdout, _, err = app(t, "rules", "test", ruleDir(t))
	if status(err) != 1 || !strings.Contains(stdout, "untested  ran-id") || !strings.Contains(stdout, "1 refused") {
		t.Errorf("rules test: status %d\n%s", status(err), stdout)
	}
}

// restingStore makes an instance whose agent has stopped.
func restingStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, "store"), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := eventfile.Open(t.Context(), write(t, "e.jsonl", strings.ReplaceAll(events, `"event": "exec"`, `"event": "seen", "ppid": 10, "user_name": "alice", "start_time": "2026-01-02T03:00:00Z", "memory_usage": 2048`)), event.Lookup("process_events"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	gap := event.NewBuilder(event.Lookup("event_gaps"))
	gap.Column("time").Time(time.Unix(1767323050, 0))
	gap.Column("table_name").Text("process_events")
	gap.Column("start_time").Time(time.Unix(1767323045, 0)) // 2026-01-02 03:04:05
	gap.Column("end_time").Time(time.Unix(1767323050, 0))
	gap.Column("hop").Text("bus")
	gap.Column("reason").Text("the queue was full")
	gap.Column("lost").Int(7)
	gap.EndRow()
	alert := event.Alert{
		ID: "abc1", Time: time.Unix(1767323045, 0), RuleID: "server-spawns-shell", Severity: "high", Title: "A title\x1b[2J", Tags: []string{"attack.t1059"},
		DedupKey: "k", Count: 3, FirstSeen: time.Unix(1767323045, 0), LastSeen: time.Now().UTC().Truncate(time.Microsecond), Table: "process_events",
		Row: json.RawMessage(`{"command_line": "sh -c id"}`), Process: json.RawMessage(`{"pid": 10, "name": "sh", "ancestors": ["/usr/sbin/nginx"]}`),
		PID: 10, Host: "h", Complete: true,
	}
	other := alert
	other.ID, other.Severity, other.LastSeen = "abd2", "low", time.Unix(1767323045, 0)
	ctx := context.Background()
	if _, err := s.Append(ctx, []store.Batch{
		{Collector: "c", Sequence: 1, Data: event.Encode(nil, b)},
		{Collector: store.AgentCollector, Sequence: 1, Data: event.Encode(nil, gap.Batch())},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutAlerts(ctx, []event.Alert{alert, other}, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStoreAtRest(t *testing.T) {
	dir := restingStore(t)
	stdout, stderr, err := appIn(t, dir, "query", "--format", "csv", "SELECT pid, event FROM process_events ORDER BY time")
	if err != nil || stdout != "pid,event\n10,seen\n11,seen\n10,exit\n" {
		t.Errorf("query: %v\n%s", err, stdout)
	}
	atRest := "the agent is not running; reading the store at " + filepath.Join(dir, "store") + "\n"
	if want := atRest + "incomplete: process_events lost between 2026-01-02 03:04:05Z and 2026-01-02 03:04:10Z: the queue was full (7 rows)\n"; stderr != want {
		t.Errorf("query: stderr %q, want %q", stderr, want)
	}
	// What was lost at another time does not touch this answer.
	if _, stderr, err = appIn(t, dir, "query", "SELECT pid FROM process_events WHERE time >= '2026-01-03'"); err != nil || stderr != atRest {
		t.Errorf("query of another day: %v, stderr %q, want %q", err, stderr, atRest)
	}
	if stdout, _, err = appIn(t, dir, "query", "--format", "csv", "SELECT count(*) FROM processes"); err != nil || stdout != "count\n1\n" {
		t.Errorf("count of processes: %v, %q, want 1", err, stdout)
	}
	stdout, _, err = appIn(t, dir, "ps")
	if err != nil || !strings.Contains(stdout, "alice") || !strings.Contains(stdout, "2.0 KiB | ls \\x1b[2J") || !strings.HasSuffix(stdout, "(1 row)\n") {
		t.Errorf("ps: %v\n%s", err, stdout)
	}
	stdout, _, err = appIn(t, dir, "ps", "11")
	if err != nil || !strings.Contains(stdout, "entity_id                b\n") || !strings.Contains(stdout, "memory_usage             2.0 KiB\n") {
		t.Errorf("ps 11: %v\n%s", err, stdout)
	}
	stdout, _, err = appIn(t, dir, "ps", "--format", "jsonl", "11")
	if err != nil || !strings.Contains(stdout, `"memory_usage": 2048`) || strings.Count(stdout, "\n") != 1 {
		t.Errorf("ps 11 as jsonl: %v\n%s", err, stdout)
	}
	if _, stderr, err = appIn(t, dir, "ps", "10"); status(err) != 1 || !strings.Contains(stderr, "no process 10") {
		t.Errorf("ps of an ended process: status %d, %q", status(err), stderr)
	}
	if stdout, _, err = appIn(t, dir, "query", "--format", "csv", "SELECT count(*) FROM rules WHERE file LIKE 'builtin:%'"); err != nil || stdout == "count\n0\n" {
		t.Errorf("rules without an agent: %v, %q, want the shipped ones", err, stdout)
	}
}

func TestAlertsAtRest(t *testing.T) {
	dir := restingStore(t)
	for _, c := range []struct {
		args []string
		want string // ids
	}{
		{nil, "abc1 abd2"},
		{[]string{"--severity", "medium"}, "abc1"},
		{[]string{"--severity", "low"}, "abc1 abd2"},
		{[]string{"--since", "1h"}, "abc1"},
		{[]string{"--since", "90000d"}, "abc1 abd2"},
		{[]string{"--rule", "server-spawns-shell"}, "abc1 abd2"},
	} {
		stdout, stderr, err := appIn(t, dir, append([]string{"alerts", "list", "--format", "csv"}, c.args...)...)
		if err != nil {
			t.Errorf("alerts list %v: %v, %s", c.args, err, stderr)
			continue
		}
		var ids []string
		for _, line := range strings.Split(strings.TrimSpace(stdout), "\n")[1:] {
			id, _, _ := strings.Cut(line, ",")
			ids = append(ids, id)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("alerts list %v = %q, want %q", c.args, got, c.want)
		}
	}
	stdout, stderr, err := appIn(t, dir, "alerts", "list", "--rule", "x' OR 'a' = 'a")
	if status(err) != 1 || stdout != "" || !strings.Contains(stderr, "there is no rule \"x' OR 'a' = 'a\"\nhint: ") {
		t.Errorf("alerts list of no rule: status %d, %q, %q", status(err), stdout, stderr)
	}
	stdout, _, err = appIn(t, dir, "alerts", "list")
	if got := squeeze(stdout); err != nil || !strings.Contains(got, "\n 2026-01-02 03:04:05+00 | low | A title\\x1b[2J | 10 | 3 | abd2\n") || !strings.HasSuffix(got, "(2 rows)\n") {
		t.Errorf("alerts list: %v\n%s", err, stdout)
	}
	stdout, _, err = appIn(t, dir, "alerts", "show", "abc")
	if err != nil {
		t.Fatal(err)
	}
	rest := stdout
	for _, want := range []string{"HIGH  A title\\x1b[2J\n", "abc1\n", "server-spawns-shell", "3 times", "attack.t1059", "yes: no events", "command_line           sh -c id\n", "nginx → sh (pid 10)", "what it may be instead\n"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Errorf("alerts show lacks %q in its place:\n%s", want, stdout)
			break
		}
		rest = after
	}
	if _, stderr, err := appIn(t, dir, "alerts", "show", "ab"); status(err) != 1 || !strings.Contains(stderr, "they are abc1, abd2") {
		t.Errorf("alerts show of an ambiguous start: status %d, %q", status(err), stderr)
	}
	if _, stderr, err := appIn(t, dir, "alerts", "show", "zz"); status(err) != 1 || !strings.Contains(stderr, "no alert") {
		t.Errorf("alerts show of none: status %d, %q", status(err), stderr)
	}
	stdout, _, err = appIn(t, dir, "alerts", "show", "--format", "jsonl", "abd")
	var a event.Alert
	if err != nil || json.Unmarshal([]byte(stdout), &a) != nil || a.ID != "abd2" || string(a.Row) == "" {
		t.Errorf("alerts show as jsonl: %v\n%s", err, stdout)
	}
}

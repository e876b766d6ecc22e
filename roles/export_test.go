//go:build unix

package roles

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// An export through the agent has what a query through it sees, and leaves
// nothing behind when it fails.
func TestExportThroughAgent(t *testing.T) {
	in := start(t, nil, "--interval", "1h")
	dir := t.TempDir()
	file := filepath.Join(dir, "seen.parquet")
	if _, stderr, status := in.client("export", "--table", "process_events", "--where", "event = 'seen'", "-o", file); status != 0 || stderr != "" {
		t.Fatalf("export: status %d, %s", status, stderr)
	}
	want := in.query("SELECT count(*) AS n, sum(pid)::bigint AS s FROM process_events WHERE event = 'seen'")
	out, stderr, status := in.client("query", "--input", file, "--format", "csv", "SELECT count(*) AS n, sum(pid)::bigint AS s FROM process_events")
	if got := "n,s\n" + strconv.Itoa(int(want[0]["n"].(float64))) + "," + strconv.Itoa(int(want[0]["s"].(float64))) + "\n"; status != 0 || out != got {
		t.Errorf("the file has %q (%s), the agent says %q", out, stderr, got)
	}
	stdout, _, _ := in.client("export", "--table", "processes", "--format", "jsonl")
	if n := strings.Count(stdout, `{"table": "processes", "entity_id": "`); n == 0 || n != strings.Count(stdout, "\n") {
		t.Errorf("%d rows of processes in %d lines", n, strings.Count(stdout, "\n"))
	}
	// The error comes after rows were written.
	_, stderr, status = in.client("query", "-o", filepath.Join(dir, "bad.parquet"), "SELECT pid, 1 / (n - 1) FROM (SELECT pid, row_number() OVER (ORDER BY pid DESC) AS n FROM processes) x ORDER BY n DESC")
	if status != 1 || !strings.Contains(stderr, "division by zero") {
		t.Errorf("a query that fails: status %d, %s", status, stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	plan, _, status := in.client("query", "--explain", "--analyze", "SELECT count(*) FROM process_events")
	if status != 0 || !strings.Contains(plan, "QUERY PLAN") || !strings.Contains(plan, "estimated: ") || !strings.Contains(plan, "group by hash  (1 rows, ") {
		t.Errorf("plan: status %d\n%s", status, plan)
	}
	rule := writeRule(t, "r.sql", "-- id: r\n-- title: T\n-- severity: low\nSELECT count(*) AS n FROM process_events HAVING count(*) > 1000000\n")
	plan, stderr, status = in.client("rules", "explain", filepath.Join(rule, "r.sql"), "--analyze")
	if status != 0 || !strings.HasPrefix(plan, "rule r: history: ") || !strings.Contains(plan, "the default window") || !strings.Contains(plan, "estimated: ") {
		t.Errorf("rules explain: status %d, %s\n%s", status, stderr, plan)
	}
}

package client

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
	"daemoneye/roles/term"
	"daemoneye/store"
	"daemoneye/store/duckdbtest"
)

// storeOf makes a store at rest with rows of process_events, and returns its
// data directory.
func storeOf(t *testing.T, rows int) string {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, "store"), store.Config{MaxAge: -1})
	if err != nil {
		t.Fatal(err)
	}
	g := eventtest.New(eventtest.Config{Seed: 1, Rows: rows})
	for n := range rows / 1000 {
		if _, err := s.Append(context.Background(), []store.Batch{{Collector: "c", Sequence: uint64(n + 1), Data: event.Encode(nil, g.Next())}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What an export has is what a query sees: DuckDB counts the same.
func TestExportDuckDB(t *testing.T) {
	duck := duckdbtest.Install(t)
	dir := storeOf(t, 3000)
	file := filepath.Join(t.TempDir(), "events.parquet")
	if _, stderr, err := appIn(t, dir, "export", "--table", "process_events", "-o", file); err != nil {
		t.Fatalf("export: %v, %s", err, stderr)
	}
	got := duck.Query(t, file, "SELECT name, CAST(count(*) AS VARCHAR), CAST(count(command_line) AS VARCHAR), CAST(sum(pid) AS VARCHAR), CAST(epoch_us(max(time)) AS VARCHAR), CAST(sum(len(ancestors)) AS VARCHAR) FROM read_parquet('"+file+"') GROUP BY 1 ORDER BY 1 NULLS LAST")
	stdout, stderr, err := appIn(t, dir, "query", "--format", "csv", "SELECT name, count(*), count(command_line), sum(pid), (extract(epoch FROM max(time)) * 1000000)::bigint, sum(cardinality(ancestors)) FROM process_events GROUP BY 1 ORDER BY 1")
	if err != nil {
		t.Fatalf("query: %v, %s", err, stderr)
	}
	var lines []string
	for _, row := range got.Rows {
		var cells []string
		for _, c := range row {
			if c == nil {
				c = new(string)
			}
			cells = append(cells, *c)
		}
		lines = append(lines, strings.Join(cells, ","))
	}
	want := strings.Split(strings.TrimSpace(stdout), "\n")[1:]
	if !slices.Equal(lines, want) || len(want) < 10 {
		t.Errorf("DuckDB:\n%s\nquery:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for i, c := range event.Lookup("process_events").Columns {
		types := map[event.Type]string{
			event.Bool: "BOOLEAN", event.Int4: "INTEGER", event.Int8: "BIGINT", event.Float8: "DOUBLE", event.Text: "VARCHAR",
			event.Timestamptz: "TIMESTAMP WITH TIME ZONE", event.JSONB: "JSON", event.TextArray: "VARCHAR[]",
		}
		if want := [2]string{c.Name, types[c.Type]}; got.Types[i] != want {
			t.Errorf("column %d is %v, want %v", i, got.Types[i], want)
		}
	}
}

// Another file that takes the name while the export runs is not overwritten.
func TestOutputTakenMeanwhile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out.csv")
	temp, err := os.Create(name + ".part")
	if err != nil {
		t.Fatal(err)
	}
	d := &destination{name: name, temp: temp, part: temp.Name(), progress: &term.Progress{}}
	if err := os.WriteFile(name, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.finish(nil); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("finish = %v, want that it is there", err)
	}
	if data, err := os.ReadFile(name); string(data) != "theirs" {
		t.Errorf("the file has %q, %v", data, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	for text, want := range map[string]string{
		"24h": "2026-02-28T12:00:00.000005Z", "30d": "2026-01-30T12:00:00.000005Z", "0s": "2026-03-01T12:00:00.000005Z",
		"2026-01-02": "2026-01-02T00:00:00Z", "2026-01-02T03:04:05+02:00": "2026-01-02T01:04:05Z", "2026-01-02 03:04:05+00": "2026-01-02T03:04:05Z",
		"-1h": "", "+1h": "", "+0s": "", "tomorrow": "", "": "", "2026-13-01": "",
	} {
		got, err := parseMoment(text, now)
		if want == "" && err == nil || want != "" && (err != nil || got.UTC().Format(time.RFC3339Nano) != want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %s", text, got, err, strconv.Quote(want))
		}
	}
}

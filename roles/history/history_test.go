package history

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

const second = int64(time.Second / time.Microsecond)

// fill makes a store with two processes, a loss, an alert and a collector.
func fill(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{MaxAge: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range 2 {
		b.Column("time").Micro(int64(10+i) * second)
		b.Column("event").Text("seen")
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(string(rune('a' + i)))
		b.Column("pid").Int(int64(i + 1))
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("collection_time").Micro(10 * second)
		b.Column("command_line").Text("needle " + strings.Repeat("x", 4000))
		b.EndRow()
	}
	events := event.Encode(nil, b.Batch())
	gap := event.NewBuilder(event.Lookup("event_gaps"))
	for range 2 { // the same loss, told twice
		gap.Column("time").Micro(20 * second)
		gap.Column("table_name").Text("process_events")
		gap.Column("start_time").Micro(10 * second)
		gap.Column("end_time").Micro(20 * second)
		gap.Column("hop").Text("bus")
		gap.Column("reason").Text("full")
		gap.EndRow()
	}
	ctx := context.Background()
	if _, err := s.Append(ctx, []store.Batch{
		{Collector: "c", Sequence: 1, Data: events},
		{Collector: store.AgentCollector, Sequence: 1, Data: event.Encode(nil, gap.Batch())},
	}); err != nil {
		t.Fatal(err)
	}
	alert := event.Alert{ID: "1", LastSeen: time.UnixMicro(10 * second), Row: json.RawMessage("{}"), Tags: []string{}}
	if err := s.PutAlerts(ctx, []event.Alert{alert}, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCollector(ctx, store.Collector{ID: "c", PID: 7, Source: "procfs"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *View {
	t.Helper()
	s, err := store.OpenReadOnly(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &View{Store: s}
}

// scan returns the rows of a table, and the last batch.
func scan(t *testing.T, r *Reader, table string, from, to int64, columns ...string) (rows int, last *event.Batch) {
	t.Helper()
	request := sql.ScanRequest{Table: event.Lookup(table), Columns: columns, From: from, To: to}
	if err := r.Scan(context.Background(), request, func(b *event.Batch) error {
		rows += b.Rows
		last = b
		return nil
	}); err != nil {
		t.Fatalf("scan %s: %v", table, err)
	}
	return rows, last
}

func TestScan(t *testing.T) {
	v := open(t, fill(t))
	for _, c := range []struct {
		table    string
		from, to int64
		want     int
	}{
		{"process_events", math.MinInt64, math.MaxInt64, 2},
		{"process_events", 12 * second, math.MaxInt64, 0},
		{"process_events", 0, 0, 0}, // an empty stretch, not "no bounds"
		{"processes", math.MinInt64, math.MaxInt64, 2},
		{"alerts", math.MinInt64, math.MaxInt64, 1},
		{"alerts", 11 * second, math.MaxInt64, 0},
		{"collectors", math.MinInt64, math.MaxInt64, 1},
		{"event_gaps", math.MinInt64, math.MaxInt64, 2},
		{"rules", math.MinInt64, math.MaxInt64, 0},
	} {
		if got, _ := scan(t, v.Reader(), c.table, c.from, c.to); got != c.want {
			t.Errorf("scan %s from %d to %d: %d rows, want %d", c.table, c.from, c.to, got, c.want)
		}
	}
}

func TestScanReadsTheColumnsAskedFor(t *testing.T) {
	v := open(t, fill(t))
	_, b := scan(t, v.Reader(), "process_events", math.MinInt64, math.MaxInt64, "pid")
	if b.Column("pid").Int(1) != 2 || b.Column("command_line") != nil {
		t.Errorf("scan of pid: pid %v, command_line %v; want 2 and none", b.Column("pid"), b.Column("command_line"))
	}
	rows, b := scan(t, v.Reader(), "process_events", math.MinInt64, math.MaxInt64)
	if rows != 2 || slices.ContainsFunc(b.Columns, func(c *event.Vector) bool { return c != nil }) {
		t.Errorf("scan of no column: %d rows with columns, want 2 without", rows)
	}
}

func TestScanJoinsWhatTheAgentKnows(t *testing.T) {
	v := open(t, fill(t))
	rules := event.NewBuilder(event.Lookup("rules"))
	rules.Column("file").Text("a.sql")
	rules.EndRow()
	batch := rules.Batch()
	v.Rules = func() *event.Batch { return batch }
	v.Connected = func() map[string]bool { return map[string]bool{"c": true} }
	if got, _ := scan(t, v.Reader(), "rules", math.MinInt64, math.MaxInt64, "file"); got != 1 {
		t.Errorf("%d rules, want 1", got)
	}
	_, b := scan(t, v.Reader(), "collectors", math.MinInt64, math.MaxInt64, "connected")
	for i := range b.Rows {
		if id, got := b.Column("collector_id").Text(i), b.Column("connected").Value(i); got != (id == "c") {
			t.Errorf("collector %q connected = %v", id, got)
		}
	}
}

func TestGaps(t *testing.T) {
	v := open(t, fill(t))
	want := "process_events lost between 1970-01-01 00:00:10Z and 1970-01-01 00:00:20Z: full"
	for _, c := range []struct {
		table    string
		from, to int64
		want     bool
	}{
		{"process_events", math.MinInt64, math.MaxInt64, true},
		{"process_events", 19 * second, math.MaxInt64, true},
		{"process_events", 20 * second, math.MaxInt64, false},
		{"process_events", math.MinInt64, 10 * second, false},
		{"process_events", math.MinInt64, 10*second + 1, true},
		{"scans", math.MinInt64, math.MaxInt64, false},
	} {
		got, err := v.Gaps(context.Background(), c.table, c.from, c.to)
		if err != nil {
			t.Fatal(err)
		}
		if c.want != (len(got) == 1 && got[0] == want) || !c.want && len(got) != 0 {
			t.Errorf("Gaps(%s, %d, %d) = %q, want %v", c.table, c.from, c.to, got, c.want)
		}
	}
}

// A damaged batch is told, and does not hide the others.
func TestDamage(t *testing.T) {
	dir := fill(t)
	damaged := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if i := bytes.Index(data, []byte("needle")); err == nil && i >= 0 {
			data[i] = 'N'
			damaged++
			return os.WriteFile(path, data, 0o600)
		}
		return err
	})
	if err != nil || damaged != 1 {
		t.Fatalf("damaged %d files, %v; want the one that holds the batch", damaged, err)
	}
	r := open(t, dir).Reader()
	if rows, _ := scan(t, r, "process_events", math.MinInt64, math.MaxInt64, "pid"); rows != 0 {
		t.Errorf("%d rows of a damaged batch, want none", rows)
	}
	if got := r.Damaged(); len(got) != 1 || !strings.HasPrefix(got[0], "process_events: 1 batches (2 rows at least)") {
		t.Errorf("Damaged() = %q, want the batch and its rows", got)
	}
	if rows, _ := scan(t, r, "event_gaps", math.MinInt64, math.MaxInt64, "reason"); rows != 2 {
		t.Errorf("%d other rows, want 2", rows)
	}
}

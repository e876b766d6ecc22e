package history

import (
	"strconv"
	"strings"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
	"daemoneye/roles/config"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// The configuration can not import the engine, for the collector's sake: that
// both have the same limits is seen here.
func TestConfiguredLimits(t *testing.T) {
	if got, want := Limits(config.Default()), sql.DefaultLimits(); got != want {
		t.Errorf("Limits of the default configuration = %+v, want %+v", got, want)
	}
	m := sql.MaxLimits()
	flags := map[string]string{}
	for name, most := range map[string]int{
		"text": m.Text, "depth": m.Depth, "expressions": m.Nodes, "list": m.List, "tables": m.Tables, "ctes": m.CTEs, "operators": m.Operators,
	} {
		if _, err := config.Load(config.Options{Flags: map[string]string{"sql.limits." + name: strconv.Itoa(most + 1)}}); err == nil || !strings.Contains(err.Error(), "sql.limits."+name) {
			t.Errorf("sql.limits.%s = %d: %v, want a refusal", name, most+1, err)
		}
		flags["sql.limits."+name] = strconv.Itoa(most)
	}
	flags["sql.limits.constants"] = m.Constants.String()
	c, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if got := Limits(c); got != m {
		t.Errorf("Limits = %+v, want %+v", got, m)
	}
}

// A query over the store writes no temporary files where new events need the room.
func TestStoredLeavesRoom(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g := eventtest.New(eventtest.Config{Rows: 20_000})
	for seq, b := uint64(1), g.Next(); b != nil; seq, b = seq+1, g.Next() {
		if _, err := s.Append(t.Context(), []store.Batch{{Collector: "c", Sequence: seq, Data: event.Encode(nil, b)}}); err != nil {
			t.Fatal(err)
		}
	}
	q, err := sql.Compile("SELECT count(*) FROM process_events a JOIN process_events b ON a.command_line = b.command_line AND a.time = b.time", sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Agent.QueryMemory = 1 << 20
	run := func() error {
		return q.Run(t.Context(), (&View{Store: s}).Reader(), Stored(c, s), func(*sql.Rows) error { return nil })
	}
	if err := run(); err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(dir, store.Config{MinFree: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := run(); err == nil || !strings.Contains(err.Error(), "more temporary files than the disk has room for") {
		t.Errorf("without room: %v", err)
	}
}

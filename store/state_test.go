package store

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// naive is the state as the doc comment of processTable says it, row by row.
type naive struct {
	rows map[string]map[string]any
}

func (n *naive) fold(b *event.Batch) {
	value := func(i int, c string) any { return b.Column(c).Value(i) }
	for i := range b.Rows {
		switch b.Table.Name {
		case "process_events":
			id := value(i, "entity_id").(string)
			later := false
			for j := i + 1; j < b.Rows; j++ {
				later = later || value(j, "entity_id") == id
			}
			if later {
				continue
			}
			if value(i, "event") == "exit" {
				delete(n.rows, id)
				continue
			}
			for other, row := range n.rows {
				if row["pid"] == value(i, "pid") {
					delete(n.rows, other)
				}
			}
			row := map[string]any{}
			for _, c := range event.Lookup("processes").Columns {
				row[c.Name] = value(i, c.Name)
			}
			n.rows[id] = row
		case "process_samples":
			if row := n.rows[value(i, "entity_id").(string)]; row != nil {
				for _, c := range []string{"status", "cpu_usage", "cpu_time", "memory_usage", "virtual_memory", "threads"} {
					row[c] = value(i, c)
				}
				row["collection_time"] = value(i, "time")
			}
		}
	}
}

func drawStateBatch(t *rapid.T) *event.Batch {
	table := event.Lookup(rapid.SampledFrom([]string{"process_events", "process_events", "process_samples", "scans"}).Draw(t, "table"))
	b := event.NewBuilder(table)
	for range rapid.IntRange(1, 6).Draw(t, "rows") {
		id := rapid.IntRange(1, 8).Draw(t, "id")
		for _, c := range table.Columns {
			col := b.Column(c.Name)
			switch {
			case c.Name == "entity_id":
				col.Text(fmt.Sprint("e", id))
			case c.Name == "pid":
				col.Int(int64(id % 5)) // some share a pid
			case c.Name == "event":
				col.Text(rapid.SampledFrom([]string{"seen", "exec", "changed", "exit"}).Draw(t, "event"))
			case c.Name == table.Time:
				col.Micro(rapid.Int64Range(0, 1<<50).Draw(t, "time"))
			case rapid.Bool().Draw(t, "null"):
			case c.Type == event.Bool:
				col.Bool(rapid.Bool().Draw(t, "bool"))
			case c.Type == event.Float8:
				col.Float(rapid.Float64Range(-10, 10).Draw(t, "float"))
			case c.Type == event.Int4:
				col.Int(int64(rapid.Int32().Draw(t, "int4")))
			case c.Type == event.Int8:
				col.Int(rapid.Int64().Draw(t, "int8"))
			case c.Type == event.Timestamptz:
				col.Micro(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "ts"))
			case c.Type == event.JSONB:
				col.JSON([]byte(`{"a": 1}`))
			case c.Type == event.TextArray:
				col.Texts(rapid.SliceOfN(rapid.SampledFrom([]string{"", "x", "yy"}), 0, 3).Draw(t, "array"))
			default:
				col.Text(rapid.SampledFrom([]string{"", "a", "ü"}).Draw(t, "text"))
			}
		}
		b.EndRow()
	}
	return b.Batch()
}

func stateOf(t *rapid.T, s *Store) map[string]map[string]any {
	got := map[string]map[string]any{}
	err := s.Processes(noDeadline(), func(b *event.Batch) error {
		for i := range b.Rows {
			row := map[string]any{}
			for j, c := range b.Table.Columns {
				row[c.Name] = b.Columns[j].Value(i)
			}
			got[row["entity_id"].(string)] = row
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStateEqualsNaiveFold(t *testing.T) {
	base := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		dir := fmt.Sprint(base, "/", round)
		want := &naive{rows: map[string]map[string]any{}}
		seq := uint64(0)
		for range rapid.IntRange(1, 3).Draw(rt, "opens") {
			s, err := Open(dir, quiet())
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 6).Draw(rt, "batches") {
				seq++
				b := drawStateBatch(rt)
				collector := rapid.SampledFrom([]string{"c1", "c2"}).Draw(rt, "collector")
				if _, err := s.Append(noDeadline(), []Batch{{collector, seq, event.Encode(nil, b)}}); err != nil {
					rt.Fatal(err)
				}
				want.fold(b)
			}
			if got := stateOf(rt, s); !reflect.DeepEqual(got, want.rows) {
				rt.Errorf("state = %v, want %v", got, want.rows)
			}
			if !rapid.Bool().Draw(rt, "snapshot") {
				s.folded = 0 // Close writes none: the next Open replays
			}
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
			r, err := OpenReadOnly(dir, quiet())
			if err != nil {
				rt.Fatal(err)
			}
			if got := stateOf(rt, r); !reflect.DeepEqual(got, want.rows) {
				rt.Errorf("state read back = %v, want %v", got, want.rows)
			}
			if err := r.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func TestProcessLookup(t *testing.T) {
	s := openStore(t, t.TempDir(), quiet())
	if _, err := s.Append(noDeadline(), []Batch{{"c", 1, processEvents(epoch, 7, 2)}}); err != nil {
		t.Fatal(err)
	}
	b, err := s.ProcessByPID(8)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Process(b.Column("entity_id").Text(0))
	if err != nil || c.Rows != 1 || c.Column("pid").Int(0) != 8 || c.Column("name").Text(0) != "python3" {
		t.Errorf("Process = %v, %v", c, err)
	}
	if _, err := s.ProcessByPID(9); err != ErrNotFound {
		t.Errorf("ProcessByPID(9) = %v, want ErrNotFound", err)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	m := Meta{Table: "scans", Rows: 3, Bytes: 100, MinTime: -1, MaxTime: 1, Received: 5, Collector: "c", Sequence: 9}
	f.Add(m.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMeta(1, data)
		if err != nil {
			return
		}
		if again, err := decodeMeta(1, m.encode()); err != nil || again != m {
			t.Errorf("decodeMeta(encode(%+v)) = %+v, %v", m, again, err)
		}
	})
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add((&cursor{Sequence: 3, Rows: 4, Source: "procfs"}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCursor(data)
		if err != nil {
			return
		}
		if again, err := decodeCursor(c.encode()); err != nil || *again != *c {
			t.Errorf("decodeCursor(encode(%+v)) = %+v, %v", c, again, err)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add((&snapshotHeader{Generation: 1, Position: 2, Chunks: 3}).encode())
	f.Add(event.Encode(appendString([]byte{snapshotVersion}, "c"), event.NewBuilder(event.Lookup("processes")).Batch()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := decodeSnapshotHeader(data); err == nil {
			if again, err := decodeSnapshotHeader(h.encode()); err != nil || again != h {
				t.Errorf("decodeSnapshotHeader(encode(%+v)) = %+v, %v", h, again, err)
			}
		}
		table := newProcessTable(10)
		if loadChunk(table, data) == nil {
			d := newRowDecoder(&table.events)
			for _, p := range table.rows {
				d.add(p)
			}
		}
	})
}

func FuzzEntryLen(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 0, 'k', 'v', 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := entryLen(data); n < 0 || n > len(data) {
			t.Errorf("entryLen(%x) = %d", data, n)
		}
	})
}

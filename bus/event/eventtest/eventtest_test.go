package eventtest

import (
	"testing"

	"daemoneye/bus/event"
)

// The rows are what the doc comment says, and the same each time.
func TestGenerator(t *testing.T) {
	const n = 100_000
	cfg := Config{Seed: 7, Rows: n}
	g, again := New(cfg), New(cfg)
	known := map[string]int64{} // entity → pid
	for _, p := range g.roots {
		known[p.entity] = p.pid
	}
	lines, names := map[string]int{}, map[string]int{}
	rows, exits, last := 0, 0, int64(0)
	for b := g.Next(); b != nil; b = g.Next() {
		if string(event.Encode(nil, b)) != string(event.Encode(nil, again.Next())) {
			t.Fatal("two generators with the same Config differ")
		}
		rows += b.Rows
		for i := range b.Rows {
			if at := b.Column("time").Ints[i]; at < last {
				t.Fatalf("row %d: time %d after %d", i, at, last)
			} else {
				last = at
			}
			parent := b.Column("parent_entity_id").Text(i)
			if pid, ok := known[parent]; !ok || pid != b.Column("ppid").Ints[i] {
				t.Fatalf("row %d: parent %s has pid %d, ppid is %d", i, parent, pid, b.Column("ppid").Ints[i])
			}
			known[b.Column("entity_id").Text(i)] = b.Column("pid").Ints[i]
			lines[b.Column("command_line").Text(i)]++
			names[b.Column("executable_path").Text(i)]++
			if b.Column("event").Text(i) == "exit" {
				exits++
			}
		}
	}
	unique, most := 0, 0
	for _, count := range lines {
		if count == 1 {
			unique++
		}
	}
	for _, count := range names {
		most = max(most, count)
	}
	if rows != n || unique < n*38/100 || unique > n*42/100 || len(names) < 1500 || most < n/20 || exits < n/5 {
		t.Errorf("%d rows, %d unique command lines, %d executables, the first in %d rows, %d exits", rows, unique, len(names), most, exits)
	}
	t.Logf("%d unique command lines, %d executables, the first in %d rows, %d exits", unique, len(names), most, exits)
}

func BenchmarkGenerator(b *testing.B) {
	g := New(Config{Rows: 1000 * b.N})
	for range b.N {
		g.Next()
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

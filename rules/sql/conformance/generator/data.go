package generator

import (
	"fmt"
	"math"
	"strings"
	"time"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// tableNames are the tables that get rows, and that statements read.
var tableNames = []string{"process_events", "processes", "process_samples", "scans", "event_gaps", "alerts"}

var base = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

// Data makes 0 to 60 rows of each table, in batches of different sizes. The
// table's time column (collection_time of processes) has no value twice, so
// that an order by it is total; most other columns have few different ones, so
// that joins and groups meet.
func Data(seed int) []*event.Batch { return dataGenerator.Example(seed) }

var dataGenerator = rapid.Custom(func(t *rapid.T) []*event.Batch {
	g := &gen{t: t}
	var out []*event.Batch
	for _, name := range tableNames {
		out = append(out, g.table(event.Lookup(name))...)
	}
	return out
})

func (g *gen) table(t *event.Table) []*event.Batch {
	rows := one(g, []int{12, 5, 20, 1, 8, 30, 60, 0})
	step := one(g, []int64{7 * 60e6, 1e6, 86400e6, 3600e6 + 1, 123457})
	var out []*event.Batch
	b := event.NewBuilder(t)
	absent := g.absent(t)
	for i := range rows {
		for _, c := range t.Columns {
			switch {
			case c.Name == t.Time:
				b.Column(c.Name).Micro(base + int64(i)*step + int64(i%3))
			case c.NotNull || !absent[c.Name] && !g.percent(15):
				g.fill(b.Column(c.Name), c)
			}
		}
		b.EndRow()
		if g.percent(8) {
			out = append(out, b.Batch())
			absent = g.absent(t)
		}
	}
	return append(out, b.Batch())
}

// absent are columns that a whole batch lacks.
func (g *gen) absent(t *event.Table) map[string]bool {
	m := map[string]bool{}
	for _, c := range t.Columns {
		m[c.Name] = g.percent(10)
	}
	return m
}

func (g *gen) fill(b *event.ColumnBuilder, c event.Column) {
	switch c.Type {
	case event.Bool:
		b.Bool(g.percent(50))
	case event.Int4:
		if g.percent(6) {
			b.Int(one(g, []int64{math.MaxInt32, math.MinInt32, -1}))
			return
		}
		b.Int(int64(g.below(12)))
	case event.Int8:
		switch {
		case g.percent(6):
			b.Int(one(g, []int64{math.MaxInt64, math.MinInt64, -1, 1 << 53}))
		case strings.HasSuffix(c.Name, "_id"):
			b.Int(one(g, []int64{0, 1000, 1001, 65534, 1}))
		default:
			b.Int(int64(g.below(20)) * one(g, []int64{1, 4096, 1 << 20}))
		}
	case event.Float8:
		if g.percent(8) {
			b.Float(one(g, []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324, math.MaxFloat64, math.Copysign(0, -1), -1e-300}))
			return
		}
		b.Float(one(g, []float64{0, 0.1, 99.95, 2.5, 3.5, 1, 1e-7, 123456789.125, -2.25, 1.5e15, 100, 0.5}))
	case event.Timestamptz:
		b.Micro(g.micro())
	case event.JSONB:
		b.JSON([]byte(one(g, jsons)))
	case event.TextArray:
		list := []string{}
		for range g.below(4) {
			list = append(list, one(g, words))
		}
		b.Texts(list)
	default:
		b.Text(g.textOf(c.Name))
	}
}

func (g *gen) micro() int64 {
	if g.percent(5) {
		return one(g, []time.Time{
			time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
			time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC), time.Date(-43, 3, 15, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		}).UnixMicro()
	}
	return base - int64(g.below(9))*36*3600e6 + int64(g.below(4))*250_000
}

func (g *gen) textOf(column string) string {
	switch {
	case strings.HasSuffix(column, "entity_id"):
		return fmt.Sprintf("e%d", 1+g.below(12))
	case strings.HasSuffix(column, "name") && column != "table_name":
		return one(g, []string{"bash", "sh", "curl", "sshd", "", "Bash", "naïve", "日本", "root", "alice", "10", "2"})
	case strings.HasSuffix(column, "path"):
		return one(g, []string{"/usr/bin/bash", "/usr/bin/curl", "/bin/sh", "", "/tmp/a b", "/usr/bin/naïve"})
	case column == "event":
		return one(g, []string{"exec", "seen", "exit", "changed"})
	case column == "status":
		return one(g, []string{"running", "sleeping", "zombie", ""})
	case column == "table_name":
		return one(g, tableNames)
	case column == "severity":
		return one(g, []string{"low", "medium", "high", "critical"})
	case column == "cgroup" || column == "tty" || column == "container_id":
		// What casts may read: numbers, times, addresses, identifiers, documents.
		return one(g, []string{"12", "-7", "3.14", "2024-03-01", "10.0.0.1", "123e4567-e89b-12d3-a456-426614174000", `{"a": 1}`, "{a,b}", "t", "1 day", "x"})
	}
	return one(g, texts)
}

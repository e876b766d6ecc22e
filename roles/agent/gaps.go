package agent

import (
	"slices"
	"sync"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/history"
)

// maxGaps bounds the gaps that are remembered for completeness marks; the
// store keeps all. When it is full the two oldest of a table become one that
// spans both: a mark too many is better than one too few.
const maxGaps = 1024

// gap is a stretch of lost events, half open.
type gap struct {
	table    string
	from, to int64  // µs since the Unix epoch
	text     string // for people
}

// gapLog remembers event gaps, oldest first.
type gapLog struct {
	mu   sync.Mutex
	list []gap
}

// add remembers the rows of an event_gaps batch.
func (g *gapLog) add(b *event.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	table, from, to := b.Column("table_name"), b.Column("start_time"), b.Column("end_time")
	for i := range b.Rows {
		g.list = append(g.list, gap{table.Text(i), from.Int(i), to.Int(i), history.GapText(b, i)})
		if len(g.list) > maxGaps {
			g.merge()
		}
	}
}

// merge joins the oldest gap with the next one of its table, or forgets the
// table's name of the oldest if there is no other.
func (g *gapLog) merge() {
	old := g.list[0]
	next := slices.IndexFunc(g.list[1:], func(x gap) bool { return x.table == old.table })
	if next >= 0 {
		x := &g.list[1+next]
		x.from, x.to = min(old.from, x.from), max(old.to, x.to)
	}
	g.list = g.list[1:]
}

// reasons says what was lost of table in from ≤ t < to (µs), without repeats;
// nil when nothing was.
func (g *gapLog) reasons(table string, from, to int64) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for _, x := range g.list {
		if x.table != table || x.to <= from || x.from >= to && x.from > from {
			continue
		}
		if !slices.Contains(list, x.text) {
			list = append(list, x.text)
		}
	}
	return list
}

// since counts the gaps that end after t.
func (g *gapLog) since(t time.Time) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int64(0)
	for _, x := range g.list {
		if x.to > t.UnixMicro() {
			n++
		}
	}
	return n
}

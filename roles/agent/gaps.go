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

// gapLog remembers event gaps, oldest first.
type gapLog struct {
	mu   sync.Mutex
	list []history.Gap
}

// add remembers the rows of an event_gaps batch.
func (g *gapLog) add(b *event.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range b.Rows {
		g.list = append(g.list, history.GapOf(b, i))
		if len(g.list) > maxGaps {
			g.merge()
		}
	}
}

// merge joins the oldest gap with the next one of its table, or forgets it if
// there is no other.
func (g *gapLog) merge() {
	old := g.list[0]
	next := slices.IndexFunc(g.list[1:], func(x history.Gap) bool { return x.Table == old.Table })
	if next >= 0 {
		x := &g.list[1+next]
		x.From, x.To, x.Reported = min(old.From, x.From), max(old.To, x.To), max(old.Reported, x.Reported)
		if old.Hop != "collector" {
			x.Hop, x.Collector = old.Hop, old.Collector
		}
	}
	g.list = g.list[1:]
}

// reasons says what was lost of table in from ≤ t < to (µs), without repeats;
// nil when nothing was.
func (g *gapLog) reasons(table string, from, to int64) []string {
	return g.texts(table, func(x *history.Gap) bool { return x.Touches(from, to) })
}

// open says what was lost for the state table, and that the scan, the last
// one, has not mended.
func (g *gapLog) open(table string, last history.Scan) []string {
	return g.texts(table, func(x *history.Gap) bool { return !last.Mends(x) })
}

func (g *gapLog) texts(table string, wanted func(*history.Gap) bool) []string {
	lost := history.LostTable(table)
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for i := range g.list {
		if x := &g.list[i]; x.Table == lost && wanted(x) && !slices.Contains(list, x.Text) {
			list = append(list, x.Text)
		}
	}
	return list
}

// since counts the gaps that end, or became known, after t: what is found lost
// today may be old.
func (g *gapLog) since(t time.Time) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int64(0)
	for _, x := range g.list {
		if max(x.To, x.Reported) > t.UnixMicro() {
			n++
		}
	}
	return n
}

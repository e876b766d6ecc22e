package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// Gap is a stretch of lost events: a row of event_gaps. Times are µs since the
// Unix epoch, the stretch is half open.
type Gap struct {
	Table     string
	From, To  int64
	Reported  int64 // when it became known
	Hop       string
	Collector string
	Text      string // for people
}

// GapOf is row i of a batch of event_gaps.
func GapOf(b *event.Batch, i int) Gap {
	return Gap{
		Table: b.Column("table_name").Text(i), From: b.Column("start_time").Int(i), To: b.Column("end_time").Int(i),
		Reported: b.Column("time").Int(i), Hop: b.Column("hop").Text(i), Collector: b.Column("collector_id").Text(i), Text: gapText(b, i),
	}
}

// Touches reports whether something of from ≤ time < to may have been lost.
func (g *Gap) Touches(from, to int64) bool { return g.To > from && (g.From < to || g.From == from) }

// Scan is a scan that listed the processes.
type Scan struct {
	Began     int64 // µs
	Collector string
}

// ScanOf is row i of a batch of scans; ok is false for one that failed.
func ScanOf(b *event.Batch, i int) (s Scan, ok bool) {
	return Scan{b.Column("time").Int(i), b.Column("collector_id").Text(i)}, b.Column("processes").Int(i) > 0
}

// Mends reports whether the present state is whole again since the scan. A
// collector that lost events itself compares its next scan with what the agent
// knows. One whose events were lost behind it does not know of that: it takes
// another start of it.
func (s Scan) Mends(g *Gap) bool {
	return s.Began >= max(g.To, g.Reported) && (g.Hop == "collector" || s.Collector != g.Collector)
}

// LostTable is the table in whose gaps a loss for table shows, "" when none
// does: processes is made of process_events, and the other states are not made
// of events.
func LostTable(table string) string {
	t := event.Lookup(table)
	switch {
	case t == nil || t.Kind == event.Stream:
		return table
	case table == "processes":
		return "process_events"
	}
	return ""
}

// Gaps says, for people, which stretches of lost events the store knows that
// touch the rows of table with from ≤ time < to (µs), without repeats. Those
// of a state are touched by what was lost since the last scan.
func (v *View) Gaps(ctx context.Context, table string, from, to int64) ([]string, error) {
	return v.gaps(ctx, table, func(g *Gap) bool { return g.Touches(from, to) })
}

// Incomplete says, for people, which stretches of lost events touch what the
// query reads at the time now: of each of its tables, wherever in the statement
// it stands, the times that WHERE leaves.
func (v *View) Incomplete(ctx context.Context, q *sql.Query, now time.Time) ([]string, error) {
	var list []string
	for _, table := range q.Tables() {
		ranges := q.TimeRanges(table, now)
		reasons, err := v.gaps(ctx, table, func(g *Gap) bool {
			return slices.ContainsFunc(ranges, func(r sql.TimeRange) bool { return g.Touches(r.From, r.To) })
		})
		if err != nil {
			return list, fmt.Errorf("what was lost of %s is not known: %w", table, err)
		}
		for _, r := range reasons {
			if !slices.Contains(list, r) { // processes and process_events lose the same
				list = append(list, r)
			}
		}
	}
	return list, nil
}

func (v *View) gaps(ctx context.Context, table string, touches func(*Gap) bool) ([]string, error) {
	lost := LostTable(table)
	if lost == "" {
		return nil, nil
	}
	isState := lost != table
	var found []Gap
	err := v.Store.Scan(ctx, store.ScanRequest{Table: event.Lookup("event_gaps")}, func(_ uint64, b *event.Batch) error {
		for i := range b.Rows {
			if g := GapOf(b, i); g.Table == lost && (isState || touches(&g)) {
				found = append(found, g)
			}
		}
		return nil
	})
	damaged := errors.Is(err, store.ErrCorrupt)
	if err != nil && !damaged {
		return nil, err
	}
	note := err
	if isState {
		if found, err = v.open(ctx, found); err != nil {
			return nil, err
		}
	}
	var list []string
	for _, g := range found {
		if !slices.Contains(list, g.Text) {
			list = append(list, g.Text)
		}
	}
	if damaged {
		list = append(list, fmt.Sprintf("event_gaps: %v", note))
	}
	return list, nil
}

// open returns the gaps that no scan has mended. A scan that mends the latest
// mends nearly all, so that few are looked for.
func (v *View) open(ctx context.Context, gaps []Gap) ([]Gap, error) {
	var left []Gap
	var mended []Scan
	for _, g := range slices.Backward(gaps) {
		if slices.ContainsFunc(mended, func(s Scan) bool { return s.Mends(&g) }) {
			continue
		}
		s, ok, err := v.mender(ctx, &g)
		switch {
		case err != nil:
			return nil, err
		case ok:
			mended = append(mended, s)
		default:
			left = append(left, g)
		}
	}
	slices.Reverse(left)
	return left, nil
}

var errFound = errors.New("found")

// mender finds a scan that mends the gap.
func (v *View) mender(ctx context.Context, g *Gap) (found Scan, ok bool, err error) {
	r := store.ScanRequest{Table: event.Lookup("scans"), Columns: []string{"time", "collector_id", "processes"}, From: max(g.To, g.Reported), To: math.MaxInt64}
	err = v.Store.Scan(ctx, r, func(_ uint64, b *event.Batch) error {
		for i := range b.Rows {
			if s, listed := ScanOf(b, i); listed && s.Mends(g) {
				found, ok = s, true
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) || errors.Is(err, store.ErrCorrupt) {
		err = nil // a damaged scan mends nothing
	}
	return found, ok, err
}

// gapText says, for people, what row i of a batch of event_gaps means.
func gapText(b *event.Batch, i int) string {
	text := fmt.Sprintf("%s lost between %s and %s: %s", b.Column("table_name").Text(i),
		seconds(b.Column("start_time").Int(i)), seconds(b.Column("end_time").Int(i)), b.Column("reason").Text(i))
	if lost := b.Column("lost"); !lost.IsNull(i) {
		text += fmt.Sprintf(" (%d rows)", lost.Int(i))
	}
	return text
}

func seconds(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02 15:04:05Z") }

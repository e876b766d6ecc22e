// Package history is the event view over a store: stored events, processes,
// alerts, collectors and rules as one source of the query engine. The agent
// reads through it while it writes, the client when no agent runs.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// View joins a store with what only a running agent knows.
type View struct {
	Store *store.Store
	// Rules returns the rows of the rules table; nil: there are none.
	Rules func() *event.Batch
	// Connected returns the ids of the collectors that are connected; nil: none.
	Connected func() map[string]bool
}

// Reader is a View for one query. It remembers what could not be read; one
// goroutine uses it.
type Reader struct {
	view    *View
	damaged []string
}

// Reader returns a source for one query.
func (v *View) Reader() *Reader { return &Reader{view: v} }

// Damaged says, for people, which stored events the scans so far had to pass
// over; nil when they read everything.
func (r *Reader) Damaged() []string { return slices.Clone(r.damaged) }

// Scan implements sql.Source. Batches that are damaged in the store are left
// out and told by Damaged.
func (r *Reader) Scan(ctx context.Context, q sql.ScanRequest, yield func(*event.Batch) error) error {
	switch {
	case q.From == 0 && q.To == 0:
		return nil // to the store that means no bounds, to the engine no time at all
	case q.Table.Name == "rules":
		if r.view.Rules == nil {
			return nil
		}
		return yield(r.view.Rules())
	case q.Table.Name == "collectors" && r.view.Connected != nil:
		return r.view.Store.CollectorRows(r.view.Connected(), yield)
	}
	columns := q.Columns
	if columns == nil {
		columns = []string{} // count(*) reads none; to the store nil means all
	}
	err := r.view.Store.Scan(ctx, store.ScanRequest{Table: q.Table, Columns: columns, From: q.From, To: q.To},
		func(_ uint64, b *event.Batch) error { return yield(b) })
	var damage *store.DamagedError
	if errors.As(err, &damage) {
		text := fmt.Sprintf("%s: %v", q.Table.Name, damage)
		if !slices.Contains(r.damaged, text) {
			r.damaged = append(r.damaged, text)
		}
		return nil
	}
	return err
}

// Gaps says, for people, which stretches of lost events the store knows that
// touch the rows of table with from ≤ time < to (µs), without repeats.
func (v *View) Gaps(ctx context.Context, table string, from, to int64) ([]string, error) {
	var list []string
	request := store.ScanRequest{Table: event.Lookup("event_gaps")}
	err := v.Store.Scan(ctx, request, func(_ uint64, b *event.Batch) error {
		names, starts, ends := b.Column("table_name"), b.Column("start_time"), b.Column("end_time")
		for i := range b.Rows {
			start, end := starts.Int(i), ends.Int(i)
			if names.Text(i) != table || end <= from || start >= to {
				continue
			}
			text := GapText(b, i)
			if !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrCorrupt) {
		return append(list, fmt.Sprintf("event_gaps: %v", err)), nil
	}
	return list, err
}

// GapText says, for people, what row i of a batch of event_gaps means.
func GapText(b *event.Batch, i int) string {
	text := fmt.Sprintf("%s lost between %s and %s: %s", b.Column("table_name").Text(i),
		seconds(b.Column("start_time").Int(i)), seconds(b.Column("end_time").Int(i)), b.Column("reason").Text(i))
	if lost := b.Column("lost"); !lost.IsNull(i) {
		text += fmt.Sprintf(" (%d rows)", lost.Int(i))
	}
	return text
}

func seconds(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02 15:04:05Z") }

// Package history is the event view over a store: stored events, processes,
// alerts, collectors and rules as one source of the query engine. The agent
// reads through it while it writes, the client when no agent runs.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// Package history is the event view over a store: stored events, processes,
// alerts, collectors and rules as one source of the query engine. The agent
// reads through it while it writes, the client when no agent runs.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	// Ledger is the directory of the ledger; "": there is none.
	Ledger string
	// Connections asks for the rows of network_connections; nil: they can not be told.
	Connections func(context.Context) (Connections, error)
}

// Reader is a View for one query. It remembers what could not be read.
type Reader struct {
	view    *View
	mu      sync.Mutex
	damaged []string

	asking    sync.Mutex
	connected *Connections // what was asked for; nil: nothing yet
}

// Reader returns a source for one query.
func (v *View) Reader() *Reader { return &Reader{view: v} }

// Damaged says, for people, which stored events the scans so far had to pass
// over; nil when they read everything.
func (r *Reader) Damaged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.damaged)
}

// note remembers damage; it returns any other error.
func (r *Reader) note(table *event.Table, err error) error {
	var damage *store.DamagedError
	if !errors.As(err, &damage) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf("%s: %v", table.Name, damage); !slices.Contains(r.damaged, text) {
		r.damaged = append(r.damaged, text)
	}
	return nil
}

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
	case q.Table.Name == ledgerTable:
		return r.ledger(ctx, q, yield)
	case q.Table.Name == connectionTable:
		return r.connections(ctx, yield)
	}
	return r.note(q.Table, r.view.Store.Scan(ctx, request(q), func(_ uint64, b *event.Batch) error { return yield(b) }))
}

package history

import (
	"context"
	"errors"
	"fmt"

	"daemoneye/bus/event"
)

// connectionTable is the table that is made when it is read.
const connectionTable = "network_connections"

// Connections are the rows of network_connections at one moment.
type Connections struct {
	Batches [][]byte // encoded
	Left    int64    // rows that were too many
}

// connections yields the rows, which are the same for all scans of a query.
func (r *Reader) connections(ctx context.Context, yield func(*event.Batch) error) error {
	batches, err := r.askConnections(ctx)
	if err != nil {
		return err
	}
	for _, data := range batches {
		b, err := event.Decode(data, nil)
		if err != nil {
			return fmt.Errorf("decode connections: %w", err)
		}
		if b.Table.Name != connectionTable {
			return fmt.Errorf("connections are of table %s", b.Table.Name)
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) askConnections(ctx context.Context) ([][]byte, error) {
	if r.view.Connections == nil {
		return nil, errors.New(connectionTable + " is the present state of the machine: only a running agent can tell")
	}
	r.asking.Lock()
	defer r.asking.Unlock()
	if r.connected == nil {
		c, err := r.view.Connections(ctx)
		if err != nil {
			return nil, err
		}
		r.connected = &c
		if c.Left > 0 {
			r.mu.Lock()
			r.damaged = append(r.damaged, fmt.Sprintf("%s: there are too many, %d were left out", connectionTable, c.Left))
			r.mu.Unlock()
		}
	}
	return r.connected.Batches, nil
}

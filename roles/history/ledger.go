package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"

	"daemoneye/bus/event"
	"daemoneye/ledger"
	"daemoneye/roles/fact"
	"daemoneye/rules/sql"
)

// ledgerTable is read from the ledger's files.
const ledgerTable = "ledger_entries"

// ledgerBatch and ledgerBytes bound what of the ledger is in memory at once.
const (
	ledgerBatch = 1000
	ledgerBytes = 1 << 20 // of payloads
)

// ledger yields the entries whose time is in the range of the scan, oldest
// first. Times never go back, so the first one is searched for.
func (r *Reader) ledger(ctx context.Context, q sql.ScanRequest, yield func(*event.Batch) error) error {
	if r.view.Ledger == "" {
		return nil
	}
	files, err := ledger.OpenReader(r.view.Ledger)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // none was made yet
	}
	if err != nil {
		return ledgerError(err)
	}
	size, err := files.Size()
	if err != nil {
		return ledgerError(err)
	}
	first := sort.Search(int(size), func(i int) bool {
		e, failed := files.Entry(uint64(i))
		if failed != nil {
			err = failed
		}
		return failed != nil || e.Time.UnixMicro() >= q.From
	})
	if err != nil {
		return ledgerError(err)
	}
	b, bytes := event.NewBuilder(q.Table), 0
	for e, err := range files.Range(uint64(first), size) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return ledgerError(err)
		}
		if e.Time.UnixMicro() >= q.To {
			break
		}
		addEntry(b, &e)
		if bytes += len(e.Payload); b.Rows() == ledgerBatch || bytes > ledgerBytes {
			if err := yield(b.Batch()); err != nil {
				return err
			}
			b, bytes = event.NewBuilder(q.Table), 0
		}
	}
	if b.Rows() == 0 {
		return nil
	}
	return yield(b.Batch())
}

func ledgerError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%s: %w", ledgerTable, err)
}

func addEntry(b *event.Builder, e *ledger.Entry) {
	b.Column("sequence").Int(int64(e.Sequence))
	b.Column("time").Time(e.Time)
	b.Column("actor_role").Text(e.Actor.Role)
	b.Column("actor_pid").Int(int64(e.Actor.PID))
	b.Column("actor_user_id").Int(int64(e.Actor.UID))
	b.Column("action").Text(e.Action)
	b.Column("subject").Text(event.Clean(e.Subject))
	b.Column("payload_hash").Text(fact.Hex(e.PayloadHash))
	if payload, err := fact.JSON(e.Payload); err == nil {
		b.Column("payload").JSON(payload)
	}
	b.Column("correlation").TextOrNull(event.Clean(e.Correlation))
	b.EndRow()
}

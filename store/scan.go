package store

import (
	"context"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
)

// ScanRequest says what Scan reads.
type ScanRequest struct {
	Table   *event.Table
	Columns []string // nil: all. The others are nil in the batches
	From    int64    // batches without a row in From ≤ time < To, in µs, are left out;
	To      int64    // what remains may hold other rows. Both 0: no bounds
}

// DamagedError says that a read yielded all but some batches, which are
// missing or can not be read. It is ErrCorrupt for errors.Is.
type DamagedError struct {
	Batches int64
	Rows    int64 // in those whose size is known
	First   error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%d batches (%d rows at least) could not be read: %v", e.Batches, e.Rows, e.First)
}

func (e *DamagedError) Is(target error) bool { return target == ErrCorrupt }
func (e *DamagedError) Unwrap() error        { return e.First }

func (e *DamagedError) add(batches int64, rows int, err error) {
	if e.First == nil {
		e.First = err
	}
	e.Batches += batches
	e.Rows += int64(rows)
}

func (e *DamagedError) orNil() error {
	if e.First == nil {
		return nil
	}
	return e
}

// Scan yields the stored batches of a table in the order of their positions,
// as they were when it was called; appends go on meanwhile. The tables
// processes, alerts and collectors are yielded as they are, with position 0.
// The batches are the caller's. An error of yield ends the scan and is
// returned. When batches could not be read the rest is yielded all the same and
// the error is a *DamagedError.
func (s *Store) Scan(ctx context.Context, r ScanRequest, yield func(position uint64, b *event.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if r.From == 0 && r.To == 0 {
		r.From, r.To = math.MinInt64, math.MaxInt64
	}
	plain := func(b *event.Batch) error { return yield(0, b) }
	switch r.Table.Name {
	case "processes":
		return s.processes(ctx, plain)
	case "collectors":
		return s.collectorBatches(nil, plain)
	case "alerts":
		return s.alertBatches(ctx, r.From, r.To, plain)
	}
	var want func(string) bool
	if r.Columns != nil {
		columns := make(map[string]bool, len(r.Columns))
		for _, c := range r.Columns {
			columns[c] = true
		}
		want = func(c string) bool { return columns[c] }
	}
	return s.read(ctx, 0, want, yield, func(m *Meta) bool {
		return m.Table == r.Table.Name && m.MaxTime >= r.From && (m.MinTime < r.To || r.To == math.MaxInt64)
	})
}

// Batches yields every batch with a position after the given one, in order,
// as Scan does. The matcher catches up with it after a crash.
func (s *Store) Batches(ctx context.Context, after uint64, yield func(position uint64, b *event.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.read(ctx, after+1, nil, yield, func(*Meta) bool { return true })
}

// read yields the batches from a position on whose Meta is wanted.
func (s *Store) read(ctx context.Context, from uint64, want func(string) bool, yield func(uint64, *event.Batch) error, wanted func(*Meta) bool) error {
	s.mu.RLock()
	from = max(from, s.floor, 1)
	s.mu.RUnlock()
	damage := &DamagedError{}
	next := from
	err := s.view(func(txn *badger.Txn) error {
		return each(txn, []byte{metaPrefix}, positionKey(metaPrefix, from), func(_ []byte, item *badger.Item) error {
			m, err := readMeta(item)
			if err != nil {
				return err
			}
			if gap := m.Position - next; gap > 0 && !s.deletedBelow(m.Position) {
				damage.add(int64(gap), 0, fmt.Errorf("batches %d to %d are missing", next, m.Position-1))
			}
			next = m.Position + 1
			if !wanted(&m) {
				return nil
			}
			if err := s.stopped(ctx); err != nil {
				return err
			}
			s.touchRead(m.Bytes)
			b, err := readBatch(txn, &m, want)
			if err != nil {
				damage.add(1, m.Rows, err)
				return nil
			}
			return yield(m.Position, b)
		})
	})
	if err != nil {
		return err
	}
	return damage.orNil()
}

// deletedBelow reports whether retention has deleted all before position.
func (s *Store) deletedBelow(position uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.floor >= position
}

// stopped returns why a read must end now, nil when it may go on.
func (s *Store) stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	return nil
}

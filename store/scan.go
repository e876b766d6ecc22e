package store

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
)

// ScanRequest says what Scan reads.
type ScanRequest struct {
	Table   *event.Table
	Columns []string    // nil: all. The others are nil in the batches
	From    int64       // batches without a row in From ≤ time < To, in µs, are left out;
	To      int64       // what remains may hold other rows. Both 0: no bounds
	Where   []Condition // likewise for segments without a row that satisfies all
	// Reuse lets Scan.Read use the memory of vectors again when yield returns: all
	// but strings and the slices Dict. It halves the cost of a scan that keeps
	// nothing. Store.Scan does not do it.
	Reuse bool
	// Passing are columns of which nothing is kept: all of their memory is used
	// again, strings and Dict too.
	Passing []string
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

// Scan yields the rows of a table as they were when it was called, those that
// are sealed by the time of each segment's first row, with position 0, then
// the waiting batches in the order of their positions; appends go on meanwhile.
// The tables processes, alerts and collectors are yielded as they are, with
// position 0. The batches are the caller's. An error of yield ends the scan and is
// returned. When some could not be read the rest is yielded all the same and
// the error is a *DamagedError. Parts reads with several goroutines, and only
// the columns that turn out to be needed.
func (s *Store) Scan(ctx context.Context, r ScanRequest, yield func(position uint64, b *event.Batch) error) error {
	r.Reuse, r.Passing = false, nil
	sc, err := s.Parts(ctx, r)
	if err != nil {
		return err
	}
	defer sc.Close()
	for i := range sc.Len() {
		err := sc.read(ctx, i, func(position uint64, b *event.Batch) error {
			if err := b.FetchAll(sc.want); err != nil {
				return err
			}
			return yield(position, b)
		})
		if err != nil {
			return err
		}
	}
	return sc.Err()
}

// Batches yields every batch that is not sealed with a position after the given one,
// in order. The matcher catches up with it after a crash; what it has not seen
// is not sealed, unless Config.SealUnmatched.
func (s *Store) Batches(ctx context.Context, after uint64, yield func(position uint64, b *event.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	v := s.snapshotView()
	defer v.close()
	damage := &DamagedError{}
	next := max(after+1, v.gone.floor())
	err := each(v.txn, []byte{metaPrefix}, positionKey(metaPrefix, next), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil {
			return err
		}
		if n := v.gone.missing(next, m.Position-1); n > 0 {
			damage.add(int64(n), 0, fmt.Errorf("batches from %d to %d are missing", next, m.Position-1))
		}
		next = m.Position + 1
		if v.gone.has(m.Position) {
			return nil
		}
		if err := s.stopped(ctx); err != nil {
			return err
		}
		s.touchRead(m.Bytes)
		b, err := readBatch(v.txn, &m, nil)
		if err != nil {
			damage.add(1, m.Rows, err)
			return nil
		}
		return yield(m.Position, b)
	})
	if err != nil {
		return err
	}
	return damage.orNil()
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

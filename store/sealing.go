package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

// sealing is a segment in the making.
type sealing struct {
	table   *event.Table
	writer  *segment.Writer
	metas   []Meta // of the batches that go into it
	merge   *segmentFile
	batches []*event.Batch
	covers  *positions
	lost    []Loss // batches that can not be read
	info    *segment.Info
	file    *segmentFile
}

// collect chooses the oldest batches of the table that fit into a segment, and
// says whether it is time to seal them.
func (s *Store) collect(w *sealing, all bool) (due bool, err error) {
	v := s.snapshotView()
	defer v.close()
	s.mu.RLock()
	limit := s.matched
	if s.cfg.SealUnmatched {
		limit = math.MaxUint64
	}
	s.mu.RUnlock()
	rows, full := 0, false
	err = each(v.txn, []byte{metaPrefix}, positionKey(metaPrefix, v.gone.floor()), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		switch {
		case err != nil:
			return err
		case m.Position > limit:
			return errStop
		case m.Table != w.table.Name || v.gone.has(m.Position):
			return nil
		case rows+m.Rows > event.MaxRows:
			full = true
			return errStop
		}
		rows += m.Rows
		w.metas = append(w.metas, m)
		return nil
	})
	if err != nil || len(w.metas) == 0 {
		return false, err
	}
	full = full || rows >= s.cfg.SealRows
	old := w.metas[0].Received <= s.cfg.Now().Add(-s.cfg.SealAge).UnixMicro()
	if n := len(v.segments); n > 0 {
		w.merge = mergeable(v.segments, w, rows)
	}
	return all || full && s.cfg.SealRows > 0 || old && s.cfg.SealAge >= 0, nil
}

// mergeable returns the newest segment of the table when it is small enough to
// be written anew with the batches, else nil.
func mergeable(segments []*segmentFile, w *sealing, rows int) *segmentFile {
	for i := len(segments) - 1; i >= 0; i-- {
		f := segments[i]
		if f.Table != w.table.Name {
			continue
		}
		span := w.metas[len(w.metas)-1].Received - f.MinReceived
		if f.Rows+int64(rows) <= event.MaxRows && f.Rows < event.MaxRows/2 && span <= mergeSpan.Microseconds() {
			return f
		}
		return nil
	}
	return nil
}

// cover makes sure that the state snapshot knows the batches, since the next
// Open folds only batches. Unless it must, it does so only when the snapshot is
// little work beside the events since the last one; else ready is false.
func (s *Store) cover(ctx context.Context, w *sealing, force bool) (ready bool, err error) {
	if !folds(w.table.Name) {
		return true, nil
	}
	last := w.metas[len(w.metas)-1]
	s.mu.RLock()
	covered := s.snapshot.Position >= last.Position
	cheap := s.folded >= 4*len(s.state.rows)
	s.mu.RUnlock()
	old := s.cfg.SealAge >= 0 && w.metas[0].Received <= s.cfg.Now().Add(-s.cfg.SealAge).UnixMicro()
	if covered || !cheap && !force && !old {
		return covered, nil
	}
	if err := s.acquire(ctx); err != nil {
		return false, err
	}
	defer s.release()
	return true, s.writeSnapshot()
}

// loadSealing reads what goes into the segment. A batch that can not be read
// goes into it as a loss.
func (s *Store) loadSealing(w *sealing) error {
	v := s.snapshotView()
	defer v.close()
	if w.merge != nil {
		b, err := s.readWhole(v.txn, w.merge, w.table)
		switch {
		case errors.Is(err, errLost):
			if err := s.quarantine(w.merge, err); err != nil {
				return err
			}
			w.merge = nil
		case err != nil:
			return err
		default:
			w.batches = append(w.batches, b)
		}
	}
	size, taken := 0, 0
	for taken < len(w.metas) && (size <= maxSealBytes || len(w.batches) == 0) {
		if err := s.stopped(s.ctx); err != nil {
			return err
		}
		some := w.metas[taken:min(len(w.metas), taken+16)]
		batches, errs := s.readSome(v.txn, some, w.table)
		for i, b := range batches {
			switch {
			case errs[i] != nil:
				w.lost = append(w.lost, lossOf(&some[i], errs[i]))
			case b.Rows > 0:
				w.batches = append(w.batches, b)
				size += footprint(b)
			}
		}
		taken += len(some)
	}
	w.metas = w.metas[:taken]
	list := make([]uint64, taken)
	for i := range w.metas {
		list[i] = w.metas[i].Position
	}
	w.covers = of(list)
	return nil
}

// readSome reads batches of a table, on two cores.
func (s *Store) readSome(txn *badger.Txn, metas []Meta, t *event.Table) ([]*event.Batch, []error) {
	batches, errs := make([]*event.Batch, len(metas)), make([]error, len(metas))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			for i := worker; i < len(metas); i += 2 {
				m := &metas[i]
				b, err := readBatchLocked(&mu, txn, m, nil)
				if err == nil && (b.Table != t || b.Rows != m.Rows) {
					err = fmt.Errorf("batch %d: %d rows of %s, want %d of %s", m.Position, b.Rows, b.Table.Name, m.Rows, m.Table)
				}
				batches[i], errs[i] = b, err
			}
		})
	}
	wg.Wait()
	for i := range metas {
		s.touchRead(metas[i].Bytes)
	}
	return batches, errs
}

// footprint returns about how many bytes a batch takes in memory.
func footprint(b *event.Batch) (n int) {
	for _, v := range b.Columns {
		if v == nil {
			continue
		}
		n += len(v.Bools) + 8*(len(v.Ints)+len(v.Floats)) + 4*(len(v.Codes)+len(v.Offsets)) + 16*len(v.Dict)
		for _, s := range v.Dict {
			n += len(s)
		}
	}
	return n
}

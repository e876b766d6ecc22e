package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func (s *Store) retainInBackground() {
	if _, err := s.Retain(s.ctx); err != nil && s.ctx.Err() == nil {
		s.cfg.Log.Error("retention", zap.String("dir", s.dir), zap.Error(err))
	}
}

// Retain deletes the oldest batches and segments until what remains is younger
// than MaxAge and the directory takes less than MaxBytes, alerts and collectors
// older than MaxAge, and gives the space back to the disk. Age counts from the
// arrival of a batch, of a segment's last one: the times in it may come of a
// wrong clock. While a scan runs no space comes back; the next Retain does it.
// It returns what was deleted.
func (s *Store) Retain(ctx context.Context) (Deleted, error) {
	if err := s.enter(); err != nil {
		return Deleted{}, err
	}
	defer s.leave()
	if s.readOnly {
		return Deleted{}, ErrReadOnly
	}
	cutoff := int64(math.MinInt64)
	if s.cfg.MaxAge >= 0 {
		cutoff = s.cfg.Now().Add(-s.cfg.MaxAge).UnixMicro()
	}
	before := s.deleted()
	_, err := s.deleteOldest(ctx, cutoff, 0)
	if err == nil {
		err = s.deleteAlerts(ctx, cutoff)
	}
	s.mu.RLock()
	garbage := s.garbage
	s.mu.RUnlock()
	if err == nil && garbage {
		err = s.reclaim(ctx)
	}
	if err == nil && s.cfg.MaxBytes >= 0 {
		err = s.shrink(ctx)
	}
	after := s.deleted()
	d := Deleted{
		Batches: after.Batches - before.Batches, Rows: after.Rows - before.Rows, Alerts: after.Alerts - before.Alerts,
		Segments: after.Segments - before.Segments,
	}
	if err != nil {
		return d, fmt.Errorf("retention: %w", err)
	}
	return d, nil
}

// shrink deletes the oldest batches and segments until the directory fits in
// MaxBytes. What is garbage already, such as old state snapshots, goes first.
func (s *Store) shrink(ctx context.Context) error {
	for round := range 4 {
		size, err := s.diskUse()
		if err != nil || size <= s.cfg.MaxBytes {
			return err
		}
		if round > 0 {
			// Some air, so that it does not run again at once.
			freed, err := s.deleteOldest(ctx, math.MinInt64, size-s.cfg.MaxBytes*9/10)
			if err != nil || freed == 0 {
				return err
			}
		}
		if err := s.reclaim(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) deleted() Deleted {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count.Deleted
}

// deleteOldest deletes what was stored before cutoff, and more, oldest first,
// until excess bytes are gone: losses that were reported, then segments and
// waiting batches together. It takes the right to write for each transaction
// anew, so that appends go on.
func (s *Store) deleteOldest(ctx context.Context, cutoff, excess int64) (freed int64, err error) {
	s.mu.RLock()
	until := s.last // what is appended meanwhile is not for this run
	s.mu.RUnlock()
	s.maintain.Lock()
	freed, err = s.forgetLosses(ctx, cutoff, excess)
	s.maintain.Unlock()
	for err == nil {
		var n int
		var bytes int64
		n, bytes, err = s.deleteSome(ctx, until, cutoff, excess-freed)
		freed += bytes
		if n == 0 {
			break
		}
	}
	if err == nil && freed > 0 {
		err = s.findOldest()
	}
	return freed, err
}

// deleteSome deletes one segment, or some batches, if they are to go.
func (s *Store) deleteSome(ctx context.Context, until uint64, cutoff, excess int64) (n int, bytes int64, err error) {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	f := s.oldestSegment()
	if f != nil && f.MaxReceived < cutoff {
		return 1, f.Bytes, s.deleteSegment(ctx, f)
	}
	before := int64(math.MaxInt64)
	if f != nil {
		before = f.MaxReceived
	}
	metas, err := s.oldest(until, cutoff, excess, before)
	switch {
	case err != nil:
		return 0, 0, err
	case len(metas) > 0:
		for i := range metas {
			bytes += int64(metas[i].Bytes)
		}
		return len(metas), bytes, s.deleteBatches(ctx, metas)
	case f != nil && excess > 0:
		return 1, f.Bytes, s.deleteSegment(ctx, f)
	}
	return 0, 0, nil
}

// oldestSegment returns the segment whose last batch was stored first.
func (s *Store) oldestSegment() (oldest *segmentFile) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, f := range s.segments {
		if oldest == nil || f.MaxReceived < oldest.MaxReceived {
			oldest = f
		}
	}
	return oldest
}

// deleteSegment takes a segment out of the catalog, then deletes its file.
func (s *Store) deleteSegment(ctx context.Context, f *segmentFile) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	err := s.update(func(txn *badger.Txn) error {
		return errors.Join(txn.Delete(positionKey(segmentPrefix, f.ID)), txn.Delete(positionKey(detailPrefix, f.ID)))
	})
	s.release()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropSegment(f)
	s.count.Batches -= f.Batches
	s.count.rows[f.Table] -= f.Rows
	s.count.Deleted.Batches += f.Batches
	s.count.Deleted.Rows += f.Rows
	s.count.Deleted.Segments++
	s.dirty = true
	s.doom(f)
	return nil
}

// deleteBatches gives batches' positions up, then deletes them.
func (s *Store) deleteBatches(ctx context.Context, metas []Meta) error {
	list := make([]uint64, len(metas))
	for i := range metas {
		list[i] = metas[i].Position
	}
	gone := s.gone.add(of(list).runs...)
	if err := s.acquire(ctx); err != nil {
		return err
	}
	s.mu.RLock()
	covered := s.snapshot.Position >= metas[len(metas)-1].Position
	s.mu.RUnlock()
	var err error
	if !covered {
		err = s.writeSnapshot()
	}
	if err == nil {
		err = s.update(func(txn *badger.Txn) error { return s.setGone(txn, gone) })
	}
	s.release()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.gone, s.dirty, s.garbage = gone, true, true
	for i := range metas {
		s.count.remove(&metas[i])
	}
	s.mu.Unlock()
	return s.giveUp(ctx, metas)
}

// findOldest sets the oldest time anew: that of a segment or of the first
// batch that waits.
func (s *Store) findOldest() error {
	v := s.snapshotView()
	defer v.close()
	oldest := int64(math.MaxInt64)
	for _, f := range v.segments {
		if f.MinTime != math.MinInt64 {
			oldest = min(oldest, f.MinTime)
		}
	}
	err := each(v.txn, []byte{metaPrefix}, positionKey(metaPrefix, v.gone.floor()), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil || v.gone.has(m.Position) || m.MinTime == math.MinInt64 {
			return err
		}
		oldest = min(oldest, m.MinTime)
		return errStop
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest != math.MaxInt64 {
		s.count.oldest = oldest
	}
	return err
}

// oldest returns the next batches to delete, at most 64: those stored before
// cutoff, or, of excess bytes, those stored no later than before; none after
// until.
func (s *Store) oldest(until uint64, cutoff, excess, before int64) (metas []Meta, err error) {
	v := s.snapshotView()
	defer v.close()
	err = each(v.txn, []byte{metaPrefix}, positionKey(metaPrefix, v.gone.floor()), func(_ []byte, item *badger.Item) error {
		m, err := readMeta(item)
		if err != nil {
			return err
		}
		if v.gone.has(m.Position) {
			return nil
		}
		old := m.Received < cutoff
		if len(metas) == 64 || m.Position > until || !old && (excess <= 0 || m.Received > before) {
			return errStop
		}
		metas = append(metas, m)
		excess -= int64(m.Bytes)
		return nil
	})
	return metas, err
}

// deleteAlerts deletes alerts last seen before cutoff, and old collectors.
func (s *Store) deleteAlerts(ctx context.Context, cutoff int64) error {
	if cutoff == math.MinInt64 {
		return nil
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	var keys [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		return each(txn, []byte{alertTimePrefix}, nil, func(key []byte, item *badger.Item) error {
			us, id, ok := splitAlertTimeKey(key)
			if !ok || us >= cutoff {
				return errStop
			}
			keys = append(keys, item.KeyCopy(nil), stringKey(alertPrefix, id))
			return nil
		})
	})
	if err == nil {
		err = s.deleteKeys(keys)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.count.Deleted.Alerts += int64(len(keys) / 2)
	s.count.Alerts -= int64(len(keys) / 2)
	s.mu.Unlock()
	return s.pruneCollectors(cutoff)
}

// reclaim makes Badger give deleted batches' space back. Garbage in the value
// log is found when compaction meets a deletion and what it deletes; so the
// memtable that holds the deletions is filled up, which flushes it, and the
// tree compacted: it holds only keys and Metas.
func (s *Store) reclaim(ctx context.Context) error {
	if err := s.fillMemtable(ctx); err != nil {
		return err
	}
	if err := s.db.Flatten(1); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	ratio := 0.5
	s.mu.RLock()
	if s.count.Damaged > 0 {
		// Badger stops at a damaged entry when it moves what is alive.
		ratio = 0.99
	}
	s.mu.RUnlock()
	if !s.maps.TryLock() {
		s.mu.Lock()
		s.garbage = true
		s.mu.Unlock()
		return nil
	}
	defer s.maps.Unlock()
	s.mu.Lock()
	s.garbage = false
	s.mu.Unlock()
	for ctx.Err() == nil {
		err := s.db.RunValueLogGC(ratio)
		switch {
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		case err != nil:
			return fmt.Errorf("value log: %w", err)
		}
	}
	return ctx.Err()
}

func (s *Store) fillMemtable(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	padding := make([]byte, valueThreshold-24)
	for range memTableSize/len(padding) + 1 {
		if err := s.set([]byte{'z'}, padding); err != nil {
			return err
		}
	}
	if err := s.deleteKeys([][]byte{{'z'}}); err != nil {
		return err
	}
	return s.awaitFlush(ctx)
}

// awaitFlush waits until Badger has written its full memtables out: then the
// write-ahead log of the present one is the only one. Badger has no event for it.
func (s *Store) awaitFlush(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		logs, err := filepath.Glob(filepath.Join(s.dir, dbDir, "*.mem"))
		if err != nil || len(logs) <= 1 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		case <-tick.C:
		}
	}
}

package store

import (
	"context"
	"encoding/binary"
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

// Retain deletes the oldest batches until what remains is younger than MaxAge
// and the directory takes less than MaxBytes, alerts and collectors older than
// MaxAge, and gives the space back to the disk. A batch's age counts from
// its arrival: the times in it may come of a wrong clock. While a scan runs no
// space comes back; the next Retain does it. It returns what was deleted.
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
	freed, err := s.deleteBatches(ctx, cutoff, 0)
	if err == nil {
		err = s.deleteAlerts(ctx, cutoff)
	}
	s.mu.RLock()
	garbage := s.garbage
	s.mu.RUnlock()
	if err == nil && (freed > 0 || garbage) {
		err = s.reclaim(ctx)
	}
	if err == nil && s.cfg.MaxBytes >= 0 {
		err = s.shrink(ctx)
	}
	after := s.deleted()
	d := Deleted{after.Batches - before.Batches, after.Rows - before.Rows, after.Alerts - before.Alerts}
	if err != nil {
		return d, fmt.Errorf("retention: %w", err)
	}
	return d, nil
}

// shrink deletes the oldest batches until the directory fits in MaxBytes. What
// is garbage already, such as old state snapshots, goes first.
func (s *Store) shrink(ctx context.Context) error {
	for round := range 4 {
		size, err := s.diskUse()
		if err != nil || size <= s.cfg.MaxBytes {
			return err
		}
		if round > 0 {
			// Some air, so that it does not run again at once.
			freed, err := s.deleteBatches(ctx, math.MinInt64, size-s.cfg.MaxBytes*9/10)
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

// deleteBatches deletes from the oldest batch on: those older than cutoff, and
// more until excess bytes of batches are gone. It takes the right to write for
// each transaction anew, so that appends go on.
func (s *Store) deleteBatches(ctx context.Context, cutoff, excess int64) (freed int64, err error) {
	s.mu.RLock()
	until := s.last // what is appended meanwhile is not for this run
	s.mu.RUnlock()
	for {
		n, bytes, err := s.deleteSomeBatches(ctx, until, cutoff, excess-freed)
		freed += bytes
		if err != nil || n == 0 {
			return freed, err
		}
	}
}

func (s *Store) deleteSomeBatches(ctx context.Context, until uint64, cutoff, excess int64) (n int, bytes int64, err error) {
	if err := s.acquire(ctx); err != nil {
		return 0, 0, err
	}
	defer s.release()
	metas, err := s.oldest(until, cutoff, excess)
	if err != nil || len(metas) == 0 {
		return 0, 0, err
	}
	floor := metas[len(metas)-1].Position + 1
	s.mu.RLock()
	covered := s.snapshot.Position+1 >= floor
	s.mu.RUnlock()
	if !covered {
		if err := s.writeSnapshot(); err != nil {
			return 0, 0, err
		}
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	err = txn.Set(floorKey(), binary.AppendUvarint(nil, floor))
	for i := range metas {
		p := metas[i].Position
		err = errors.Join(err, txn.Delete(positionKey(batchPrefix, p)), txn.Delete(positionKey(metaPrefix, p)))
		bytes += int64(metas[i].Bytes)
	}
	if err == nil {
		err = commit(txn)
	}
	if err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor, s.dirty = floor, true
	for i := range metas {
		s.count.remove(&metas[i])
	}
	return len(metas), bytes, nil
}

// oldest returns the next batches to delete, at most 64, none after until.
func (s *Store) oldest(until uint64, cutoff, excess int64) (metas []Meta, err error) {
	s.mu.RLock()
	floor := s.floor
	s.mu.RUnlock()
	err = s.db.View(func(txn *badger.Txn) error {
		return each(txn, []byte{metaPrefix}, positionKey(metaPrefix, floor), func(_ []byte, item *badger.Item) error {
			m, err := readMeta(item)
			if err != nil {
				return err
			}
			old := m.Received < cutoff
			if len(metas) == 64 || m.Position > until || !old && excess <= 0 {
				// What remains begins here, unless times are out of order.
				s.mu.Lock()
				if m.MinTime != math.MinInt64 {
					s.count.oldest = m.MinTime
				}
				s.mu.Unlock()
				return errStop
			}
			metas = append(metas, m)
			excess -= int64(m.Bytes)
			return nil
		})
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

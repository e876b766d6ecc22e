package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

// Segment is a segment that was sealed.
type Segment struct {
	Table string
	Name  string   // of the file, in segments/Table
	Sum   [32]byte // BLAKE3-256 of the file
	Rows  int64
	Bytes int64
}

// Sealed counts what a call of Seal has written.
type Sealed struct {
	Segments int64
	Batches  int64
	Rows     int64 // of the batches
	Bytes    int64 // of the files
}

const (
	// maxSealBytes bounds the memory of the rows that become one segment.
	maxSealBytes = 64 << 20
	// mergeSpan bounds the time between the first and the last batch of a
	// segment that grows. Retention deletes whole segments.
	mergeSpan = 24 * time.Hour
)

// Seal writes the batches of each table that has Config.SealRows rows waiting,
// or a batch that has waited for Config.SealAge, into segments. Sealed are only
// batches up to the position that PutAlerts has set, unless Config.SealUnmatched:
// so the matcher finds every batch after it by Batches; and only those that the
// state snapshot covers. A small segment, as a quiet host makes them, is
// written anew with the next batches of its table.
func (s *Store) Seal(ctx context.Context) (Sealed, error) { return s.seal(ctx, false) }

// SealAll is as Seal for everything that waits, be it due or not.
func (s *Store) SealAll(ctx context.Context) (Sealed, error) { return s.seal(ctx, true) }

func (s *Store) seal(ctx context.Context, all bool) (done Sealed, err error) {
	if err := s.enter(); err != nil {
		return done, err
	}
	defer s.leave()
	if s.readOnly {
		return done, ErrReadOnly
	}
	writer, err := segment.NewWriter()
	for _, t := range event.Tables() {
		for more := t.Kind == event.Stream; more && err == nil; {
			if err = s.stopped(ctx); err == nil {
				more, err = s.sealOne(ctx, &sealing{table: t, writer: writer}, all, &done)
			}
		}
	}
	if err == nil {
		err = s.reclaimSealed(ctx)
	}
	if err != nil {
		err = fmt.Errorf("seal: %w", err)
	}
	s.mu.Lock()
	s.sealErr = err
	s.mu.Unlock()
	return done, err
}

// sealOne writes at most one segment of a table; more says whether to try
// again.
func (s *Store) sealOne(ctx context.Context, w *sealing, all bool, done *Sealed) (more bool, err error) {
	s.maintain.Lock()
	defer s.maintain.Unlock()
	due, err := s.collect(w, all)
	if err != nil || !due {
		return false, err
	}
	if ready, err := s.cover(ctx, w, all); err != nil || !ready {
		return false, err
	}
	if err := s.loadSealing(w); err != nil {
		return false, err
	}
	if len(w.batches) > 0 {
		if err := s.writeSegment(w); err != nil {
			return false, err
		}
	}
	if err := s.switchCatalog(ctx, w); err != nil {
		if w.file != nil {
			s.removeFile(w.file)
		}
		return false, err
	}
	for i := range w.metas {
		done.Rows += int64(w.metas[i].Rows)
	}
	done.Batches += int64(len(w.metas))
	if w.file != nil {
		done.Segments++
		done.Bytes += w.file.Bytes
	}
	return true, s.giveUp(ctx, w.metas)
}

// switchCatalog makes the segment take the place of its batches: in one
// transaction, after which the batches' positions are gone and the catalog
// has the segment. The batches themselves are deleted after that, as many at
// a time as Badger's transactions take: who meets them until then knows by
// their positions that they are sealed.
func (s *Store) switchCatalog(ctx context.Context, w *sealing) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	gone := s.gone.add(w.covers.runs...)
	covers := w.covers
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	err := s.setGone(txn, gone)
	if w.merge != nil && w.file != nil {
		covers = covers.add(s.covered(txn, w.merge, w.table).runs...)
		err = errors.Join(err, txn.Delete(positionKey(segmentPrefix, w.merge.ID)), txn.Delete(positionKey(detailPrefix, w.merge.ID)))
	}
	if f := w.file; f != nil {
		err = errors.Join(err, txn.Set(positionKey(segmentPrefix, f.ID), f.encode()),
			txn.Set(positionKey(detailPrefix, f.ID), encodeDetail(covers, w.info, w.table)))
	}
	for i := range w.lost {
		s.mu.Lock()
		s.nextID++
		w.lost[i].ID = s.nextID
		s.mu.Unlock()
		err = errors.Join(err, txn.Set(positionKey(lossPrefix, w.lost[i].ID), w.lost[i].encode()))
	}
	if err == nil {
		err = commit(txn)
	}
	s.release()
	if err != nil {
		return err
	}
	s.publish(w, gone)
	// The batches may go when a power cut can not take the segment's entry.
	if err := s.sync(); err != nil {
		return err
	}
	if f := w.file; f != nil && s.cfg.OnSealed != nil {
		s.cfg.OnSealed(Segment{Table: f.Table, Name: f.Name, Sum: f.Sum, Rows: f.Rows, Bytes: f.Bytes})
	}
	return nil
}

// publish makes the memory follow the catalog.
func (s *Store) publish(w *sealing, gone *positions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.dirty, s.garbage = gone, true, true
	for i := range w.metas {
		s.count.wait(&w.metas[i], -1)
		s.sealedBytes += int64(w.metas[i].Bytes)
	}
	for i := range w.lost {
		s.losses = append(s.losses, &w.lost[i])
		s.count.lose(1, w.lost[i].Rows, w.lost[i].Table, errors.New(w.lost[i].Reason))
	}
	if len(w.lost) > 0 {
		s.noticeLoss()
	}
	if w.file == nil {
		s.count.Batches -= int64(len(w.metas) - len(w.lost)) // they had no rows
		return
	}
	s.count.Sealed.Segments++
	s.count.Sealed.Bytes += w.file.Bytes
	for i := range w.metas {
		s.count.Sealed.Batches++
		s.count.Sealed.Rows += int64(w.metas[i].Rows)
	}
	if w.merge != nil {
		s.dropSegment(w.merge)
		s.doom(w.merge)
	}
	s.segments = append(s.segments[:len(s.segments):len(s.segments)], w.file)
	s.count.segment(w.file, 1)
}

// giveUp deletes batches whose positions are gone, those of one table.
func (s *Store) giveUp(ctx context.Context, metas []Meta) error {
	keys := make([][]byte, 0, 2*len(metas))
	for i := range metas {
		p := metas[i].Position
		keys = append(keys, positionKey(batchPrefix, p), positionKey(metaPrefix, p))
	}
	for len(keys) > 0 {
		n := min(len(keys), 128)
		if err := s.acquire(ctx); err != nil {
			return err // the next Open goes on
		}
		err := s.deleteKeys(keys[:n])
		s.release()
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// reclaimSealed gives the space of sealed batches back when it has become
// much; what is less waits for retention.
func (s *Store) reclaimSealed(ctx context.Context) error {
	const much = 4 * valueLogSize
	s.mu.Lock()
	enough := s.sealedBytes >= much
	if enough {
		s.sealedBytes = 0
	}
	s.mu.Unlock()
	if !enough {
		return nil
	}
	return s.reclaim(ctx)
}

// sealInBackground seals what is due every Config.SealInterval, and when an
// append says that a table has enough.
func (s *Store) sealInBackground() {
	if s.cfg.SealInterval < 0 {
		return
	}
	s.tasks.Go(func() {
		tick := time.NewTicker(s.cfg.SealInterval)
		defer tick.Stop()
		kick, failing := s.kick, false
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
			case <-kick:
			}
			done, err := s.Seal(s.ctx)
			if err != nil && s.ctx.Err() == nil && !failing {
				s.cfg.Log.Error("seal events", zap.String("dir", s.dir), zap.Error(err))
			}
			failing = err != nil
			// When there was nothing, the next append would only ask again.
			kick = s.kick
			if done.Segments == 0 {
				kick = nil
			}
		}
	})
}

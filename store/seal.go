package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/zeebo/blake3"
	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

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

// writeSegment writes the file, and gives it its name when all of it is on the
// disk.
func (s *Store) writeSegment(w *sealing) (err error) {
	rows := 0
	f := &segmentFile{Table: w.table.Name, MinTime: math.MinInt64, MaxTime: math.MaxInt64, MinReceived: math.MaxInt64, MaxReceived: math.MinInt64}
	for _, b := range w.batches {
		rows += b.Rows
	}
	for i := range w.metas {
		f.MinReceived = min(f.MinReceived, w.metas[i].Received)
		f.MaxReceived = max(f.MaxReceived, w.metas[i].Received)
	}
	f.Batches = int64(len(w.metas) - len(w.lost))
	if w.merge != nil {
		f.MinReceived = min(f.MinReceived, w.merge.MinReceived)
		f.MaxReceived = max(f.MaxReceived, w.merge.MaxReceived)
		f.Batches += w.merge.Batches
	}
	size := int64(0)
	for _, b := range w.batches {
		size += int64(footprint(b))
	}
	if err := s.checkSpace(size / 2); err != nil { // which becomes ten times smaller, say
		return err
	}
	f.Rows = int64(rows)
	s.mu.Lock()
	s.nextID++
	f.ID = s.nextID
	s.mu.Unlock()
	first := f.MinReceived
	for i, b := range w.batches {
		if at, _, ok := b.TimeRange(); ok && (i == 0 || at < first) {
			first = at
		}
	}
	f.Name = newSegmentName(first, f.ID)
	if w.info, err = s.writeFile(f, w); err != nil {
		return fmt.Errorf("write segment of %s: %w", f.Table, err)
	}
	if least, greatest, ok := w.info.TimeRange(w.table); ok {
		f.MinTime, f.MaxTime = least, greatest
	}
	w.file = f
	return nil
}

func (s *Store) writeFile(f *segmentFile, w *sealing) (info *segment.Info, err error) {
	path := s.segmentPath(f)
	dir := filepath.Dir(path)
	if err := makeDirs(s.dir, filepath.Join(s.dir, segmentsDir), dir); err != nil {
		return nil, err
	}
	temp, err := os.OpenFile(path+temporaryExt, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	sum := blake3.New()
	buf := bufio.NewWriterSize(temp, 256<<10)
	counted := &counter{w: io.MultiWriter(buf, sum)}
	info, err = w.writer.Write(counted, w.batches)
	err = errors.Join(err, buf.Flush())
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		_ = os.Remove(path)
		return nil, diskFull(err)
	}
	f.Bytes = counted.n
	sum.Sum(f.Sum[:0])
	return info, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// makeDirs makes dirs, each in the one before, the first of which is there.
func makeDirs(dirs ...string) error {
	for i, dir := range dirs[1:] {
		err := os.Mkdir(dir, 0o750)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err == nil {
			err = syncDir(dirs[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	return s.sync()
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

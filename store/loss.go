package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/zeebo/blake3"
	"go.uber.org/zap"

	"daemoneye/store/segment"
)

// errLost is the error, for errors.Is, of a segment whose rows are lost: its
// file is missing or damaged.
var errLost = errors.New("the rows are lost")

// Loss is rows that the store had and can not read any more. The damaged file,
// if there is one, lies in segments/quarantine.
type Loss struct {
	ID       uint64
	Table    string
	From, To int64 // all rows that are lost have From ≤ time < To, µs
	Rows     int64
	Batches  int64
	Reason   string
	File     string // name in segments/quarantine, "" when there is none
	Bytes    int64  // of the file
	Received int64  // when the last of the batches was stored, µs
	Reported bool
}

const lossVersion = 1

func (l *Loss) encode() []byte {
	b := []byte{lossVersion}
	b = appendString(b, l.Table)
	for _, n := range []int64{l.From, l.To, l.Rows, l.Batches, l.Bytes, l.Received} {
		b = binary.AppendVarint(b, n)
	}
	b = appendString(b, l.Reason[:min(len(l.Reason), 512)])
	b = appendString(b, l.File)
	return binary.AppendUvarint(b, uint64(b2i(l.Reported)))
}

func decodeLoss(id uint64, data []byte) (*Loss, error) {
	d, l := decoder{data: data}, &Loss{ID: id}
	d.version(lossVersion)
	l.Table = d.string()
	for _, n := range []*int64{&l.From, &l.To, &l.Rows, &l.Batches, &l.Bytes, &l.Received} {
		*n = d.int()
	}
	l.Reason, l.File = d.string(), d.string()
	l.Reported = d.atMost(1) == 1
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("loss %d: %w", id, err)
	}
	if l.File != "" && !quarantined(l.File) {
		return nil, fmt.Errorf("loss %d: its file is %q", id, l.File)
	}
	return l, nil
}

// timeSpan makes a half-open range of a least and a greatest time, or of when
// the rows were stored when they have none.
func timeSpan(least, greatest, received int64) (from, to int64) {
	if least == math.MinInt64 || greatest == math.MaxInt64 {
		return received - time.Minute.Microseconds(), received + 1
	}
	return least, greatest + 1
}

// lossOf is the loss of a batch.
func lossOf(m *Meta, err error) Loss {
	l := Loss{Table: m.Table, Rows: int64(m.Rows), Batches: 1, Reason: err.Error(), Received: m.Received}
	l.From, l.To = timeSpan(m.MinTime, m.MaxTime, m.Received)
	return l
}

// Losses returns the losses that were not Reported.
func (s *Store) Losses() []Loss {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Loss
	for _, l := range s.losses {
		if !l.Reported {
			list = append(list, *l)
		}
	}
	return list
}

// Lost has a value when there is a new loss. One goroutine at a time may wait
// for it.
func (s *Store) Lost() <-chan struct{} { return s.lost }

func (s *Store) noticeLoss() {
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// Reported notes that a loss is in event_gaps. After a crash before, it is
// told again.
func (s *Store) Reported(ctx context.Context, id uint64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	s.mu.RLock()
	i := slices.IndexFunc(s.losses, func(l *Loss) bool { return l.ID == id })
	var l Loss
	if i >= 0 {
		l = *s.losses[i]
	}
	s.mu.RUnlock()
	if i < 0 {
		return fmt.Errorf("loss %d: %w", id, ErrNotFound)
	}
	l.Reported = true
	if err := s.set(positionKey(lossPrefix, id), l.encode()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.losses {
		if s.losses[i].ID == id {
			s.losses[i] = &l
		}
	}
	return nil
}

// quarantined is what names of files in quarantine look like: table, dot, name.
func quarantined(name string) bool {
	i := len(name) - len(filepath.Ext(name))
	dot := slices.Index([]byte(name[:i]), '.')
	return dot > 0 && tableName(name[:dot]) && segmentName(name[dot+1:])
}

// quarantine takes a segment that can not be read out of the catalog, and its file
// out of the way. It holds the right to maintain.
func (s *Store) quarantine(f *segmentFile, reason error) error {
	s.mu.RLock()
	known := slices.Contains(s.segments, f)
	s.mu.RUnlock()
	if !known {
		return nil // another read was first, or it was deleted
	}
	l := &Loss{ID: f.ID, Table: f.Table, Rows: f.Rows, Batches: f.Batches, Reason: reason.Error(), Received: f.MaxReceived}
	l.From, l.To = timeSpan(f.MinTime, f.MaxTime, f.MaxReceived)
	if info, err := os.Stat(s.segmentPath(f)); err == nil {
		l.File, l.Bytes = f.Table+"."+f.Name, info.Size()
	}
	if err := s.acquire(s.ctx); err != nil {
		return err
	}
	err := s.update(func(txn *badger.Txn) error {
		return errors.Join(txn.Delete(positionKey(segmentPrefix, f.ID)), txn.Delete(positionKey(detailPrefix, f.ID)),
			txn.Set(positionKey(lossPrefix, l.ID), l.encode()))
	})
	s.release()
	if err != nil {
		return fmt.Errorf("quarantine segment %d: %w", f.ID, err)
	}
	s.mu.Lock()
	s.dropSegment(f)
	s.losses = append(s.losses, l)
	s.count.lose(f.Batches, f.Rows, f.Table, reason)
	s.dirty = true
	s.noticeLoss()
	s.mu.Unlock()
	s.cfg.Log.Error("segment can not be read and was taken out", zap.String("file", s.segmentPath(f)), zap.Int64("rows", f.Rows), zap.Error(reason))
	if l.File == "" {
		return nil
	}
	dir := filepath.Join(s.dir, segmentsDir, quarantineDir)
	if err := makeDirs(s.dir, filepath.Join(s.dir, segmentsDir), dir); err != nil {
		return err
	}
	if err := os.Rename(s.segmentPath(f), filepath.Join(dir, l.File)); err != nil && !isNotExist(err) {
		return fmt.Errorf("quarantine segment %d: %w", f.ID, err)
	}
	return nil
}

// VerifySegments reads every segment and compares it with its checksum. One
// that is not as it was written goes to quarantine as one that a scan can not
// read does. It returns how many are right.
func (s *Store) VerifySegments(ctx context.Context) (right int64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	v := s.snapshotView()
	defer v.close()
	for _, f := range v.segments {
		if err := s.stopped(ctx); err != nil {
			return right, err
		}
		err := lost(f, s.verify(f))
		if err == nil {
			right++
			continue
		}
		if !errors.Is(err, errLost) {
			return right, fmt.Errorf("verify segments: %w", err)
		}
		if s.readOnly {
			s.mu.Lock()
			s.count.damage(f.Batches, err)
			s.mu.Unlock()
			continue
		}
		s.maintain.Lock()
		err = s.quarantine(f, err)
		s.maintain.Unlock()
		if err != nil {
			return right, err
		}
	}
	return right, nil
}

func (s *Store) verify(f *segmentFile) error {
	file, err := s.openSegment(f)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	sum := blake3.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != f.Sum {
		return fmt.Errorf("%w: its checksum is wrong", segment.ErrDamaged)
	}
	return nil
}

// update is a transaction of the writer.
func (s *Store) update(f func(txn *badger.Txn) error) error {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	if err := f(txn); err != nil {
		return err
	}
	return commit(txn)
}

// forgetLosses deletes reported losses and their files, those whose batches
// were stored before cutoff, and as many others, oldest first, as have excess
// bytes together. It holds the right to maintain.
func (s *Store) forgetLosses(ctx context.Context, cutoff, excess int64) (freed int64, err error) {
	s.mu.RLock()
	losses := slices.Clone(s.losses)
	s.mu.RUnlock()
	for _, l := range losses {
		if !l.Reported || l.Received >= cutoff && freed >= excess {
			continue
		}
		if err := s.acquire(ctx); err != nil {
			return freed, err
		}
		err := s.deleteKeys([][]byte{positionKey(lossPrefix, l.ID)})
		s.release()
		if err != nil {
			return freed, err
		}
		if l.File != "" {
			// What lay in the place of a segment may be a directory.
			if err := os.RemoveAll(filepath.Join(s.dir, segmentsDir, quarantineDir, l.File)); err != nil {
				return freed, err
			}
		}
		freed += l.Bytes
		s.mu.Lock()
		s.losses = slices.DeleteFunc(slices.Clone(s.losses), func(x *Loss) bool { return x.ID == l.ID })
		s.mu.Unlock()
	}
	return freed, nil
}

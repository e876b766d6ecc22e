package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

// view is the batches and segments of one moment, each row once: sealing and
// retention publish what they did before they delete batches, so a batch whose
// position is not gone is in the transaction, and the segments hold the
// sealed ones. Its segments' files stay; no garbage is collected meanwhile.
type view struct {
	s        *Store
	txn      *badger.Txn
	gone     *positions
	segments []*segmentFile // by ID
}

func (s *Store) snapshotView() *view {
	s.maps.RLock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := &view{s: s, txn: s.db.NewTransaction(false), gone: s.gone, segments: s.segments}
	for _, f := range v.segments {
		f.refs.Add(1)
	}
	return v
}

func (v *view) close() {
	v.txn.Discard()
	for _, f := range v.segments {
		v.s.releaseSegment(f)
	}
	v.s.maps.RUnlock()
}

// lost turns what says that a segment's rows can not be had into errLost.
func lost(f *segmentFile, err error) error {
	if err != nil && (errors.Is(err, segment.ErrDamaged) || isNotExist(err)) {
		return fmt.Errorf("segment %d of %s: %w: %w", f.ID, f.Table, errLost, err)
	}
	return err
}

// openSegment opens a segment's file. What is no file of its size is damage. The
// open does not wait for somebody who writes to a named pipe.
func (s *Store) openSegment(f *segmentFile) (*os.File, error) {
	path := s.segmentPath(f)
	noFile := fmt.Errorf("%w: %s is not a regular file", segment.ErrDamaged, path)
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ENXIO): // a socket
		return nil, noFile
	case err != nil:
		return nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = noFile
	case info.Size() != f.Bytes:
		err = fmt.Errorf("%w: %s has %d bytes, want %d", segment.ErrDamaged, path, info.Size(), f.Bytes)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// info returns what is known of a segment: from the catalog, else from the
// file's footer.
func (s *Store) info(txn *badger.Txn, f *segmentFile, t *event.Table) (*segment.Info, error) {
	item, err := txn.Get(positionKey(detailPrefix, f.ID))
	var info *segment.Info
	if err == nil {
		err = item.Value(func(data []byte) error {
			_, info, err = decodeDetail(data, t)
			return err
		})
	}
	if err != nil {
		file, err := s.openSegment(f)
		if err != nil {
			return nil, lost(f, err)
		}
		defer func() { _ = file.Close() }()
		if info, err = segment.ReadInfo(file, f.Bytes, t); err != nil {
			return nil, lost(f, err)
		}
	}
	if int64(info.Rows) != f.Rows {
		return nil, lost(f, fmt.Errorf("%w: %d rows, want %d", segment.ErrDamaged, info.Rows, f.Rows))
	}
	return info, nil
}

// covered returns the positions that a segment covers, as far as they are
// known.
func (s *Store) covered(txn *badger.Txn, f *segmentFile, t *event.Table) *positions {
	covers := &positions{}
	item, err := txn.Get(positionKey(detailPrefix, f.ID))
	if err == nil {
		_ = item.Value(func(data []byte) error {
			if c, _, err := decodeDetail(data, t); err == nil {
				covers = c
			}
			return nil
		})
	}
	return covers
}

// readWhole reads all columns of a segment.
func (s *Store) readWhole(txn *badger.Txn, f *segmentFile, t *event.Table) (*event.Batch, error) {
	info, err := s.info(txn, f, t)
	if err != nil {
		return nil, err
	}
	file, err := s.openSegment(f)
	if err != nil {
		return nil, lost(f, err)
	}
	defer func() { _ = file.Close() }()
	b := &event.Batch{Table: t, Rows: info.Rows, Columns: make([]*event.Vector, len(t.Columns))}
	for i := range t.Columns {
		if b.Columns[i], err = s.decoder.Column(nil, file, &info.Chunks[i], t.Columns[i].Type, info.Rows); err != nil {
			return nil, lost(f, fmt.Errorf("column %q: %w", t.Columns[i].Name, err))
		}
	}
	return b, nil
}

// setGone stores which positions are no longer batches in Badger.
func (s *Store) setGone(txn *badger.Txn, gone *positions) error {
	return txn.Set(goneKey(), gone.append([]byte{goneVersion}))
}

// dropSegment takes a segment out of the list. Who calls it holds mu.
func (s *Store) dropSegment(f *segmentFile) {
	list := make([]*segmentFile, 0, len(s.segments))
	for _, x := range s.segments {
		if x != f {
			list = append(list, x)
		}
	}
	s.segments = list
	s.count.segment(f, -1)
}

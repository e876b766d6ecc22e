package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/store/segment"
)

const (
	segmentsDir   = "segments"
	quarantineDir = "quarantine"
	segmentExt    = ".parquet"
	temporaryExt  = ".new"
)

// segmentFile is the catalog's entry of a segment. It is small, so that it
// stays in Badger's tree; what a scan needs beyond it is the value of the key
// d, and can be had of the file's footer, too.
type segmentFile struct {
	ID      uint64
	Table   string
	Name    string   // of the file, in the table's directory
	Bytes   int64    // of the file
	Sum     [32]byte // BLAKE3 of the file
	Rows    int64
	Batches int64
	MinTime int64 // of the table's time column, µs; as in Meta when no row has one
	MaxTime int64
	// When the first and the last of its batches were stored, µs.
	MinReceived int64
	MaxReceived int64

	refs   atomic.Int64 // scans that may read it
	doomed atomic.Bool  // it is not in the catalog any more: who gives the last reference back deletes the file
}

const segmentVersion = 1

func (f *segmentFile) encode() []byte {
	b := []byte{segmentVersion}
	b = appendString(b, f.Table)
	b = appendString(b, f.Name)
	b = binary.AppendUvarint(b, uint64(f.Bytes))
	b = append(b, f.Sum[:]...)
	b = binary.AppendUvarint(b, uint64(f.Rows))
	b = binary.AppendUvarint(b, uint64(f.Batches))
	for _, n := range []int64{f.MinTime, f.MaxTime, f.MinReceived, f.MaxReceived} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func decodeSegment(id uint64, data []byte) (*segmentFile, error) {
	d, f := decoder{data: data}, &segmentFile{ID: id}
	d.version(segmentVersion)
	f.Table, f.Name = d.string(), d.string()
	f.Bytes = int64(d.atMost(math.MaxInt64))
	d.fixed(f.Sum[:])
	f.Rows, f.Batches = int64(d.atMost(event.MaxRows)), int64(d.atMost(math.MaxInt64))
	f.MinTime, f.MaxTime, f.MinReceived, f.MaxReceived = d.int(), d.int(), d.int(), d.int()
	err := d.done()
	if err == nil && (!tableName(f.Table) || !segmentName(f.Name)) {
		err = fmt.Errorf("the name of its file is %q of %q", f.Name, f.Table)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %d: %w", id, err)
	}
	return f, nil
}

// newSegmentName returns a file's name: the time of the first row, for people,
// and the segment's number.
func newSegmentName(us int64, id uint64) string {
	at := time.UnixMicro(us).UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		at = time.Time{}
	}
	return fmt.Sprintf("%s-%d%s", at.Format("20060102T150405Z"), id, segmentExt)
}

func segmentName(s string) bool {
	s, ok := strings.CutSuffix(s, segmentExt)
	at, id, _ := strings.Cut(s, "-")
	return ok && len(at) == 16 && strings.Trim(at, "0123456789TZ") == "" && id != "" && strings.Trim(id, "0123456789") == ""
}

// tableName reports whether a table may have a directory of that name. An
// older build need not know the table.
func tableName(s string) bool {
	return s != "" && s != quarantineDir && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

func (s *Store) segmentPath(f *segmentFile) string {
	return filepath.Join(s.dir, segmentsDir, f.Table, f.Name)
}

// detail is what a scan wants to know of a segment: see segment.Info.
const detailVersion = 1

func encodeDetail(covers *positions, info *segment.Info, t *event.Table) []byte {
	return append(covers.append([]byte{detailVersion}), info.Encode(t)...)
}

func decodeDetail(data []byte, t *event.Table) (covers *positions, info *segment.Info, err error) {
	d := decoder{data: data}
	d.version(detailVersion)
	covers = d.positions()
	if d.err != nil {
		return nil, nil, d.err
	}
	info, err = segment.DecodeInfo(d.data, t)
	return covers, info, err
}

// loadCatalog reads the list of segments and losses, and looks whether the
// files are there.
func (s *Store) loadCatalog(txn *badger.Txn) error {
	err := each(txn, []byte{segmentPrefix}, nil, func(key []byte, item *badger.Item) error {
		id, ok := keyPosition(key)
		if !ok {
			return fmt.Errorf("key %x is not of a segment", key)
		}
		s.nextID = max(s.nextID, id)
		return item.Value(func(data []byte) error {
			f, err := decodeSegment(id, data)
			if err == nil {
				s.segments = append(s.segments, f)
				s.count.addSegment(f)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	return each(txn, []byte{lossPrefix}, nil, func(key []byte, item *badger.Item) error {
		id, ok := keyPosition(key)
		if !ok {
			return fmt.Errorf("key %x is not of a loss", key)
		}
		s.nextID = max(s.nextID, id)
		return item.Value(func(data []byte) error {
			l, err := decodeLoss(id, data)
			if err == nil {
				s.losses = append(s.losses, l)
			}
			return err
		})
	})
}

// loadGone reads which positions are no longer batches in Badger. The floor is
// what stores of format 1 have.
func (s *Store) loadGone(txn *badger.Txn) error {
	floor, err := getPosition(txn, floorKey())
	if err != nil {
		return err
	}
	s.gone = &positions{}
	if floor > 1 {
		s.gone = s.gone.add(run{1, floor - 1})
	}
	item, err := txn.Get(goneKey())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err == nil {
		err = item.Value(func(data []byte) error {
			d := decoder{data: data}
			d.version(goneVersion)
			list := d.positions()
			if err := d.done(); err != nil {
				return err
			}
			s.gone = s.gone.add(list.runs...)
			return nil
		})
	}
	if err == nil {
		return nil
	}
	// It names what segments hold, and what retention deleted; the first is
	// written down twice.
	s.count.damage(1, fmt.Errorf("positions of sealed batches: %w", err))
	return each(txn, []byte{detailPrefix}, nil, func(_ []byte, item *badger.Item) error {
		return item.Value(func(data []byte) error {
			d := decoder{data: data}
			d.version(detailVersion)
			if covers := d.positions(); d.err == nil {
				s.gone = s.gone.add(covers.runs...)
			}
			return nil
		})
	})
}

const goneVersion = 1

// checkSegments looks for the files of the catalog: one that is missing or has
// another size is lost. The other way round, a file that the catalog does not
// name is what a crash left, before its batches were given up or after its
// rows were, and is removed.
func (s *Store) checkSegments() error {
	known := map[string]bool{}
	for _, f := range slices.Clone(s.segments) {
		path := s.segmentPath(f)
		known[path] = true
		info, err := os.Stat(path)
		if err == nil && info.Size() != f.Bytes {
			err = fmt.Errorf("%s has %d bytes, want %d", path, info.Size(), f.Bytes)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			continue
		}
		if s.readOnly {
			s.count.damage(f.Batches, err)
		} else if err := s.quarantine(f, err); err != nil {
			return err
		}
	}
	if s.readOnly {
		return nil
	}
	root := filepath.Join(s.dir, segmentsDir)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case isNotExist(err):
			return nil
		case err != nil:
			return err
		case e.IsDir() && path == filepath.Join(root, quarantineDir):
			return fs.SkipDir
		case e.IsDir() || known[path] || !ours(e.Name()):
			return nil
		}
		s.cfg.Log.Info("removed a segment file that a crash left", zap.String("file", path))
		return os.Remove(path)
	})
	if err != nil {
		return fmt.Errorf("clean %q: %w", root, err)
	}
	return nil
}

// ours reports whether we could have written a file of that name.
func ours(name string) bool {
	return segmentName(strings.TrimSuffix(name, temporaryExt))
}

// release gives a segment's reference back.
func (s *Store) releaseSegment(f *segmentFile) {
	if f.refs.Add(-1) == 0 && f.doomed.Load() {
		s.removeFile(f)
	}
}

// doom deletes the file of a segment that the catalog no longer names, now or when
// the last scan is done with it. Who calls it has taken it out of s.segments,
// so no scan begins to read it.
func (s *Store) doom(f *segmentFile) {
	f.refs.Add(1)
	f.doomed.Store(true)
	s.releaseSegment(f)
}

func (s *Store) removeFile(f *segmentFile) {
	if err := os.Remove(s.segmentPath(f)); err != nil && !isNotExist(err) {
		s.cfg.Log.Warn("remove segment; the next start does", zap.Error(err))
	}
}

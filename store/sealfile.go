package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"

	"daemoneye/store/segment"
)

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

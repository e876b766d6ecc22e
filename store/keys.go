package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// First bytes of the keys; see the package comment.
const (
	batchPrefix     = 'b'
	metaPrefix      = 'm'
	collectorPrefix = 'c'
	alertPrefix     = 'a'
	alertTimePrefix = 'i'
	chunkPrefix     = 's'
	segmentPrefix   = 'g'
	detailPrefix    = 'd'
	lossPrefix      = 'q'
)

func floorKey() []byte    { return []byte{'f'} }
func matchedKey() []byte  { return []byte{'r'} }
func snapshotKey() []byte { return []byte{'S'} }
func goneKey() []byte     { return []byte{'p'} }

func positionKey(prefix byte, position uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, position)
}

func stringKey(prefix byte, s string) []byte { return append([]byte{prefix}, s...) }

// alertTimeKey sorts by time, then id.
func alertTimeKey(us int64, id string) []byte {
	key := binary.BigEndian.AppendUint64([]byte{alertTimePrefix}, sortable(us))
	return append(key, id...)
}

// sortable maps integers to unsigned ones in the same order.
func sortable(n int64) uint64 { return uint64(n) ^ 1<<63 }

func chunkKey(generation, chunk uint64) []byte {
	return binary.BigEndian.AppendUint64(positionKey(chunkPrefix, generation), chunk)
}

// Meta describes a stored batch.
type Meta struct {
	Position  uint64
	Table     string
	Rows      int
	Bytes     int   // of the batch's encoded form
	MinTime   int64 // of the table's time column, µs; math.MinInt64 when no row has one
	MaxTime   int64 // likewise, math.MaxInt64
	Received  int64 // when it was stored, µs
	Collector string
	Sequence  uint64
}

const metaVersion = 1

// encode returns the value of the key m; the position is in the key.
func (m *Meta) encode() []byte {
	b := []byte{metaVersion}
	b = appendString(b, m.Table)
	b = binary.AppendUvarint(b, uint64(m.Rows))
	b = binary.AppendUvarint(b, uint64(m.Bytes))
	b = binary.AppendVarint(b, m.MinTime)
	b = binary.AppendVarint(b, m.MaxTime)
	b = binary.AppendVarint(b, m.Received)
	b = appendString(b, m.Collector)
	return binary.AppendUvarint(b, m.Sequence)
}

func decodeMeta(position uint64, data []byte) (Meta, error) {
	d := decoder{data: data}
	d.version(metaVersion)
	m := Meta{Position: position}
	m.Table = d.string()
	m.Rows = int(d.atMost(math.MaxInt32))
	m.Bytes = int(d.atMost(math.MaxInt32))
	m.MinTime, m.MaxTime, m.Received = d.int(), d.int(), d.int()
	m.Collector = d.string()
	m.Sequence = d.uint()
	if err := d.done(); err != nil {
		return Meta{}, fmt.Errorf("meta of batch %d: %w", position, err)
	}
	return m, nil
}

// A record is the value of the key b: what makes the batch whole without its
// Meta, then the batch as event.Encode wrote it.
const recordVersion = 1

func appendRecord(dst []byte, collector string, sequence uint64, data []byte) []byte {
	dst = append(dst, recordVersion)
	dst = appendString(dst, collector)
	dst = binary.AppendUvarint(dst, sequence)
	return append(dst, data...)
}

func splitRecord(record []byte) (collector string, sequence uint64, data []byte, err error) {
	d := decoder{data: record}
	d.version(recordVersion)
	collector, sequence = d.string(), d.uint()
	if d.err != nil {
		return "", 0, nil, fmt.Errorf("record: %w", d.err)
	}
	return collector, sequence, d.data, nil
}

// cursor is what is known of one collector.
type cursor struct {
	Sequence   uint64
	Batches    int64
	Rows       int64
	Duplicates int64
	Missing    int64 // sequence numbers that never arrived
	Dropped    int64 // rows that the collector says it could not keep
	FirstSeen  int64 // µs
	LastSeen   int64
	PID        int64
	UID        int64
	Source     string
}

const cursorVersion = 1

func (c *cursor) encode() []byte {
	b := []byte{cursorVersion}
	b = binary.AppendUvarint(b, c.Sequence)
	for _, n := range []int64{c.Batches, c.Rows, c.Duplicates, c.Missing, c.Dropped, c.FirstSeen, c.LastSeen, c.PID, c.UID} {
		b = binary.AppendVarint(b, n)
	}
	return appendString(b, c.Source)
}

func decodeCursor(data []byte) (*cursor, error) {
	d, c := decoder{data: data}, &cursor{}
	d.version(cursorVersion)
	c.Sequence = d.uint()
	for _, n := range []*int64{&c.Batches, &c.Rows, &c.Duplicates, &c.Missing, &c.Dropped, &c.FirstSeen, &c.LastSeen, &c.PID, &c.UID} {
		*n = d.int()
	}
	c.Source = d.string()
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("cursor: %w", err)
	}
	return c, nil
}

// snapshotHeader says which chunks are the state, and of when.
type snapshotHeader struct {
	Generation uint64
	Position   uint64 // the state after this batch
	Chunks     uint64
	Excess     int64 // rows that did not fit
}

const snapshotVersion = 1

func (h *snapshotHeader) encode() []byte {
	b := []byte{snapshotVersion}
	b = binary.AppendUvarint(b, h.Generation)
	b = binary.AppendUvarint(b, h.Position)
	b = binary.AppendUvarint(b, h.Chunks)
	return binary.AppendVarint(b, h.Excess)
}

func decodeSnapshotHeader(data []byte) (snapshotHeader, error) {
	d, h := decoder{data: data}, snapshotHeader{}
	d.version(snapshotVersion)
	h.Generation, h.Position, h.Chunks = d.uint(), d.uint(), d.atMost(math.MaxUint32)
	h.Excess = d.int()
	if err := d.done(); err != nil {
		return snapshotHeader{}, fmt.Errorf("state snapshot: %w", err)
	}
	return h, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads our small values; the first error sticks.
type decoder struct {
	data []byte
	err  error
}

var errShort = errors.New("it ends too early")

func (d *decoder) version(want byte) {
	switch {
	case d.err != nil:
	case len(d.data) == 0:
		d.err = errShort
	case d.data[0] != want:
		d.err = fmt.Errorf("version %d, want %d", d.data[0], want)
	default:
		d.data = d.data[1:]
	}
}

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	n, size := binary.Uvarint(d.data)
	if size <= 0 {
		d.err = errShort
		return 0
	}
	d.data = d.data[size:]
	return n
}

func (d *decoder) atMost(limit uint64) uint64 {
	n := d.uint()
	if n > limit && d.err == nil {
		d.err = fmt.Errorf("%d, the limit is %d", n, limit)
	}
	return n
}

func (d *decoder) int() int64 {
	if d.err != nil {
		return 0
	}
	n, size := binary.Varint(d.data)
	if size <= 0 {
		d.err = errShort
		return 0
	}
	d.data = d.data[size:]
	return n
}

func (d *decoder) string() string {
	n := d.uint()
	if d.err == nil && n > uint64(len(d.data)) {
		d.err = errShort
	}
	if d.err != nil {
		return ""
	}
	s := string(d.data[:n])
	d.data = d.data[n:]
	return s
}

// fixed fills dst.
func (d *decoder) fixed(dst []byte) {
	if d.err == nil && len(d.data) < len(dst) {
		d.err = errShort
	}
	if d.err == nil {
		d.data = d.data[copy(dst, d.data):]
	}
}

func (d *decoder) done() error {
	if d.err == nil && len(d.data) > 0 {
		d.err = fmt.Errorf("%d bytes after its end", len(d.data))
	}
	return d.err
}

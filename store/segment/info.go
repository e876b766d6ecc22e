package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// An Info is stored as a version, the number of rows and of columns, then for
// each column that is not all NULL its name, type, and Chunk: see appendChunk.
const infoVersion = 1

// Encode returns the stored form of n.
func (n *Info) Encode(t *event.Table) []byte {
	dst := binary.AppendUvarint([]byte{infoVersion}, uint64(n.Rows))
	count := uint64(0)
	for i := range n.Chunks {
		if n.Chunks[i].Size > 0 {
			count++
		}
	}
	dst = binary.AppendUvarint(dst, count)
	for i := range n.Chunks {
		if n.Chunks[i].Size > 0 {
			dst = appendText(dst, t.Columns[i].Name)
			dst = append(dst, byte(t.Columns[i].Type))
			dst = appendChunk(dst, &n.Chunks[i], t.Columns[i].Type)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendChunk(dst []byte, c *Chunk, t event.Type) []byte {
	for _, n := range []int64{c.Offset, c.Size, int64(c.Nulls), int64(c.Distinct), c.Bloom.Offset, int64(c.Bloom.Size), int64(c.Bloom.Sum)} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	if !c.Bounds.Known {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for i := range 2 {
		switch t {
		case event.Text:
			dst = appendText(dst, c.Bounds.Texts[i])
		case event.Float8:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Bounds.Floats[i]))
		default:
			dst = binary.AppendVarint(dst, c.Bounds.Ints[i])
		}
	}
	return dst
}

// decoder reads the stored form; the first error sticks.
type decoder struct {
	data string
	err  error
}

var errShort = errors.New("it ends too early")

func (d *decoder) take(n uint64) string {
	if d.err == nil && n > uint64(len(d.data)) {
		d.err = errShort
	}
	if d.err != nil {
		return ""
	}
	s := d.data[:n]
	d.data = d.data[n:]
	return s
}

func (d *decoder) byte() byte {
	if s := d.take(1); s != "" {
		return s[0]
	}
	return 0
}

// uint reads a uvarint, as binary.Uvarint does of bytes.
func (d *decoder) uint() (x uint64) {
	for i := 0; i < len(d.data) && i < binary.MaxVarintLen64 && d.err == nil; i++ {
		b := d.data[i]
		x |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if i == binary.MaxVarintLen64-1 && b > 1 {
				break
			}
			d.data = d.data[i+1:]
			return x
		}
	}
	if d.err == nil {
		d.err = errShort
	}
	return 0
}

func (d *decoder) int() int64 {
	n := d.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (d *decoder) text() string { return d.take(d.uint()) }

// DecodeInfo reads the stored form for the table as this build knows it.
// Columns that it does not know, or knows with another type, are skipped.
func DecodeInfo(data []byte, t *event.Table) (*Info, error) {
	d := decoder{data: string(data)}
	if v := d.byte(); d.err == nil && v != infoVersion {
		return nil, damaged("info of version %d, want %d", v, infoVersion)
	}
	n := &Info{Rows: int(d.uint()), Chunks: make([]Chunk, len(t.Columns))}
	for count := d.uint(); count > 0 && d.err == nil; count-- {
		name, typ := d.text(), event.Type(d.byte())
		c := d.chunk(typ)
		if i := t.Index(name); i >= 0 && t.Columns[i].Type == typ {
			n.Chunks[i] = c
		}
	}
	if d.err == nil && len(d.data) > 0 {
		d.err = errors.New("it goes on behind its end")
	}
	if d.err != nil {
		return nil, damaged("info: %v", d.err)
	}
	return n, n.complete()
}

func (d *decoder) chunk(t event.Type) Chunk {
	c := Chunk{Offset: int64(d.uint()), Size: int64(d.uint()), Nulls: int(d.uint()), Distinct: int(d.uint())}
	c.Bloom = Bloom{Offset: int64(d.uint()), Size: int(d.uint()), Sum: uint32(d.uint())}
	if d.byte() == 0 {
		return c
	}
	c.Bounds.Known = true
	for i := range 2 {
		switch t {
		case event.Text:
			c.Bounds.Texts[i] = d.text()
		case event.Float8:
			if s := d.take(8); s != "" {
				c.Bounds.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64([]byte(s)))
			}
		default:
			c.Bounds.Ints[i] = d.int()
		}
	}
	return c
}

// complete checks what readers rely on and fills in the columns that the
// segment does not have.
func (n *Info) complete() error {
	if n.Rows < 1 || n.Rows > event.MaxRows {
		return damaged("%d rows", n.Rows)
	}
	for i := range n.Chunks {
		c := &n.Chunks[i]
		if c.Size == 0 {
			*c = Chunk{Nulls: n.Rows}
		}
		if c.Nulls < 0 || c.Nulls > n.Rows || c.Size < 0 || c.Offset < 0 {
			return damaged("%d NULLs in %d rows, %d bytes at %d", c.Nulls, n.Rows, c.Size, c.Offset)
		}
	}
	return nil
}

// maxFooter bounds the footer that is read.
const maxFooter = 4 << 20

// ReadInfo makes an Info of a segment's footer. Bloom filters, whose
// checksums are not there, are left out.
func ReadInfo(r io.ReaderAt, size int64, t *event.Table) (n *Info, err error) {
	defer func() {
		if p := recover(); p != nil { // of the library, on what it did not expect
			n, err = nil, damaged("footer: %v", p)
		}
	}()
	var end [8]byte
	if size < int64(len(magic)+len(end)) {
		return nil, damaged("%d bytes", size)
	}
	if _, err := r.ReadAt(end[:], size-int64(len(end))); err != nil {
		return nil, readError(err)
	}
	length := int64(binary.LittleEndian.Uint32(end[:]))
	if string(end[4:]) != magic || length > maxFooter || length > size-int64(len(magic)+len(end)) {
		return nil, damaged("it does not end as a Parquet file does")
	}
	data := make([]byte, length)
	if _, err := r.ReadAt(data, size-length-int64(len(end))); err != nil {
		return nil, readError(err)
	}
	var f format.FileMetaData
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), data, &f); err != nil {
		return nil, damaged("footer: %v", err)
	}
	if len(f.RowGroups) != 1 || f.RowGroups[0].NumRows != f.NumRows {
		return nil, damaged("%d row groups, want one of %d rows", len(f.RowGroups), f.NumRows)
	}
	n = &Info{Rows: int(f.NumRows), Chunks: make([]Chunk, len(t.Columns))}
	for i := range f.RowGroups[0].Columns {
		m := &f.RowGroups[0].Columns[i].MetaData
		if len(m.PathInSchema) == 0 {
			return nil, damaged("a column without a name")
		}
		at := t.Index(m.PathInSchema[0])
		if at < 0 || physical(t.Columns[at].Type) != m.Type || len(path(&t.Columns[at])) != len(m.PathInSchema) {
			continue
		}
		n.Chunks[at] = chunkOf(m, t.Columns[at].Type, n.Rows)
	}
	return n, n.complete()
}

func chunkOf(m *format.ColumnMetaData, t event.Type, rows int) Chunk {
	s := &m.Statistics
	if s.NullCount == int64(rows) {
		return Chunk{}
	}
	c := Chunk{Offset: m.DataPageOffset, Size: m.TotalCompressedSize, Nulls: int(s.NullCount), Distinct: int(s.DistinctCount)}
	if m.DictionaryPageOffset > 0 {
		c.Offset = m.DictionaryPageOffset
	}
	if s.MinValue == nil || s.MaxValue == nil {
		return c
	}
	b := Bounds{Known: true}
	for i, value := range [][]byte{s.MinValue, s.MaxValue} {
		switch {
		case t == event.Text:
			b.Texts[i] = string(value)
		case t == event.Bool && len(value) == 1:
			b.Ints[i] = int64(value[0])
		case t == event.Int4 && len(value) == 4:
			b.Ints[i] = int64(int32(binary.LittleEndian.Uint32(value)))
		case t == event.Float8 && len(value) == 8:
			b.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(value))
		case (t == event.Int8 || t == event.Timestamptz) && len(value) == 8:
			b.Ints[i] = int64(binary.LittleEndian.Uint64(value))
		default:
			return c
		}
	}
	c.Bounds = b
	return c
}

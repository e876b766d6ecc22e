package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"unsafe"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// What a chunk may take, in bytes. Write stays far below, given what the
// store hands it.
const (
	maxChunk = 512 << 20
	maxPage  = 256 << 20
)

// Decoder reads columns. Any number of goroutines may use one.
type Decoder struct {
	z *zstd.Decoder
	// buffers hold chunks and decompressed pages, of which nothing is left in a
	// vector.
	buffers sync.Pool // of *[]byte
}

func (d *Decoder) buffer() *[]byte {
	buf, ok := d.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	return buf
}

// NewDecoder returns a Decoder. It needs no closing.
func NewDecoder() (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPage))
	if err != nil {
		return nil, err
	}
	return &Decoder{z: z}, nil
}

// readError turns the end of the file where there should be more into damage.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("the file is too short")
	}
	return err
}

// Column reads the column that c describes, of rows rows; nil when all are
// NULL. A text column's Dict is its dictionary, or, when it has none, the text
// of each row. Texts share one allocation, which is the caller's unless m has
// texts; numbers and codes are in m.
func (d *Decoder) Column(m *Memory, r io.ReaderAt, c *Chunk, t event.Type, rows int) (v *event.Vector, err error) {
	if c.Size == 0 {
		return nil, nil
	}
	if c.Offset < 0 || c.Size < 0 || c.Size > maxChunk || rows < 0 || rows > event.MaxRows {
		return nil, damaged("%d rows in %d bytes at %d", rows, c.Size, c.Offset)
	}
	buf := d.buffer()
	*buf = slices.Grow((*buf)[:0], int(c.Size)+padding)[:c.Size]
	data := *buf
	if _, err := r.ReadAt(data, c.Offset); err != nil {
		return nil, readError(err)
	}
	p, data, err := d.page(data)
	if err != nil {
		return nil, err
	}
	v = &event.Vector{Type: t, Len: rows}
	var ints []int64 // a dictionary of numbers
	entries := -1
	if p.header.Type == format.DictionaryPage {
		h := p.header.DictionaryPageHeader.V
		if entries = int(h.NumValues); entries < 0 || h.Encoding != format.Plain || t == event.Bool {
			return nil, damaged("a dictionary of %d entries with encoding %v for %v", entries, h.Encoding, t)
		}
		if physical(t) == format.ByteArray {
			v.Dict, v.Plain, err = d.texts(m, p, entries)
		} else {
			ints, err = d.numbers(p, entries, t)
		}
		if err != nil {
			return nil, err
		}
		if p, data, err = d.page(data); err != nil {
			return nil, err
		}
	}
	if len(data) > 0 || p.header.Type != format.DataPageV2 {
		return nil, damaged("want one data page, found %v and %d bytes behind it", p.header.Type, len(data))
	}
	if err := d.fill(m, v, p, ints, entries); err != nil {
		return nil, err
	}
	if entries >= 0 || physical(t) != format.ByteArray {
		d.buffers.Put(buf) // else texts may lie in it
	}
	if physical(t) == format.ByteArray && len(v.Dict) == 0 {
		v.Dict = []string{""} // no row has a text
	}
	return v, nil
}

type page struct {
	header       format.PageHeader
	body         []byte
	uncompressed int
}

// page splits the first page off data and verifies its CRC. Behind its body
// lie padding more bytes of capacity.
func (d *Decoder) page(data []byte) (p page, rest []byte, err error) {
	r := new(thrift.CompactProtocol).NewReaderFromBytes(data)
	if err := thrift.NewDecoder(r).Decode(&p.header); err != nil {
		return page{}, nil, damaged("page header: %v", err)
	}
	data = data[r.BytesRead():]
	size := int(p.header.CompressedPageSize)
	p.uncompressed = int(p.header.UncompressedPageSize)
	if size < 0 || size > len(data) || p.uncompressed < 0 || p.uncompressed > maxPage {
		return page{}, nil, damaged("a page of %d bytes, %d uncompressed, %d are left", size, p.uncompressed, len(data))
	}
	p.body, rest = data[:size], data[size:]
	if crc32.ChecksumIEEE(p.body) != uint32(p.header.CRC) {
		return page{}, nil, damaged("the checksum of a page is wrong")
	}
	return p, rest, nil
}

// texts reads a dictionary of texts, which lie in memory of their own.
func (d *Decoder) texts(m *Memory, p page, entries int) (list []string, plain []byte, err error) {
	buf := m.newBytes(p.uncompressed + padding)
	if plain, err = d.values(&buf, p.body, p.uncompressed, true); err != nil {
		return nil, nil, err
	}
	list, err = readTexts(m, plain, entries)
	return list, plain, err
}

func (d *Decoder) numbers(p page, entries int, t event.Type) ([]int64, error) {
	buf := d.buffer()
	defer d.buffers.Put(buf)
	body, err := d.values(buf, p.body, p.uncompressed, true)
	if err != nil {
		return nil, err
	}
	return readInts(nil, body, entries, t)
}

// values returns what is to be decoded, with padding behind it: body, or what
// was decompressed into buf.
func (d *Decoder) values(buf *[]byte, body []byte, size int, compressed bool) ([]byte, error) {
	if !compressed {
		if len(body) != size {
			return nil, damaged("a page has %d bytes, want %d", len(body), size)
		}
		return body, nil
	}
	if size < 0 {
		return nil, damaged("levels longer than their page")
	}
	out, err := d.z.DecodeAll(body, slices.Grow((*buf)[:0], size+padding))
	if err != nil {
		return nil, damaged("decompress a page: %v", err)
	}
	if len(out) != size {
		return nil, damaged("a page has %d bytes, want %d", len(out), size)
	}
	*buf = slices.Grow(out, padding)
	return *buf, nil
}

// fill decodes the data page into v. ints or v.Dict are the dictionary of so
// many entries; -1: there is none.
func (d *Decoder) fill(m *Memory, v *event.Vector, p page, ints []int64, entries int) error {
	h := p.header.DataPageHeaderV2.V
	reps, defs := int(h.RepetitionLevelsByteLength), int(h.DefinitionLevelsByteLength)
	if reps < 0 || defs < 0 || reps+defs > len(p.body) || int(h.NumRows) != v.Len {
		return damaged("%d rows, want %d; levels of %d and %d bytes in %d", h.NumRows, v.Len, reps, defs, len(p.body))
	}
	compressed := !h.IsCompressed.Valid || h.IsCompressed.V
	var buf *[]byte
	if entries >= 0 || physical(v.Type) != format.ByteArray {
		buf = d.buffer() // codes and numbers, which are unpacked from it
		defer d.buffers.Put(buf)
	} else {
		list := m.newBytes(max(0, p.uncompressed-reps-defs) + padding)
		buf = &list
	}
	data, err := d.values(buf, p.body[reps+defs:], p.uncompressed-reps-defs, compressed)
	if err != nil {
		return err
	}
	if v.Type == event.TextArray {
		return fillArrays(m, v, p.body[:reps], p.body[reps:reps+defs], data, int(h.NumValues), h.Encoding, entries)
	}
	nulls, count, err := readNulls(p.body[:defs], v.Len)
	if err != nil {
		return err
	}
	v.Nulls = nulls
	n := v.Len - count
	if h.Encoding == format.RLEDictionary != (entries >= 0) {
		return damaged("encoding %v with a dictionary of %d entries", h.Encoding, entries)
	}
	if entries >= 0 {
		codes, err := readCodes(m, data, n, entries)
		if err != nil {
			return err
		}
		switch {
		case ints == nil:
			v.Codes = spread(codes, nulls, v.Len, m.newCodes)
		case v.Type == event.Float8:
			v.Floats = toFloats(spread(lookup(m, ints, codes), nulls, v.Len, m.newInts))
		default:
			v.Ints = spread(lookup(m, ints, codes), nulls, v.Len, m.newInts)
		}
		return nil
	}
	return fillPlain(m, v, data, n, h.Encoding)
}

func fillPlain(m *Memory, v *event.Vector, data []byte, n int, encoding format.Encoding) (err error) {
	ints := v.Type == event.Int4 || v.Type == event.Int8 || v.Type == event.Timestamptz
	if encoding != format.Plain && (!ints || encoding != format.DeltaBinaryPacked) {
		return damaged("encoding %v of %v", encoding, v.Type)
	}
	switch v.Type {
	case event.Bool:
		if len(data) != (n+7)/8 {
			return damaged("%d bytes for %d booleans", len(data), n)
		}
		list := make([]bool, n)
		for i := range list {
			list[i] = data[i>>3]>>(i&7)&1 != 0
		}
		v.Bools = spread(list, v.Nulls, v.Len, func(n int) []bool { return make([]bool, n) })
	case event.Float8:
		list, err := readInts(m, data, n, v.Type)
		if err != nil {
			return err
		}
		v.Floats = toFloats(spread(list, v.Nulls, v.Len, m.newInts))
	case event.Int4, event.Int8, event.Timestamptz:
		list, err := readNumbers(m, data, n, v.Type, encoding)
		if err != nil {
			return err
		}
		v.Ints = spread(list, v.Nulls, v.Len, m.newInts)
	default:
		if v.Dict, err = readTexts(m, data, n); err != nil {
			return err
		}
		v.Plain = data
		codes := m.newCodes(n)
		for i := range codes {
			codes[i] = uint32(i)
		}
		v.Codes = spread(codes, v.Nulls, v.Len, m.newCodes)
	}
	return nil
}

func readNumbers(m *Memory, data []byte, n int, t event.Type, encoding format.Encoding) ([]int64, error) {
	if encoding == format.Plain {
		return readInts(m, data, n, t)
	}
	list, err := readDelta(m, data, n)
	if t == event.Int4 { // differences of 32 bits wrap there
		for i, n := range list {
			list[i] = int64(int32(n))
		}
	}
	return list, err
}

func lookup(m *Memory, dict []int64, codes []uint32) []int64 {
	list := m.newInts(len(codes))
	for i, c := range codes {
		list[i] = dict[c]
	}
	return list
}

// spread puts values in their rows and zeros in those of NULLs.
func spread[T any](list []T, nulls event.Bitmap, rows int, alloc func(int) []T) []T {
	if nulls == nil {
		return list
	}
	out := alloc(rows)
	next := 0
	for i := range out {
		if nulls.Has(i) {
			var zero T
			out[i] = zero
		} else {
			out[i] = list[next]
			next++
		}
	}
	return out
}

// readTexts returns n strings, each after its length, that share src: text is
// valid UTF-8 without NUL when it comes into the store, and the CRC says that
// it is what it was.
func readTexts(m *Memory, src []byte, n int) ([]string, error) {
	if n > len(src)/4 {
		return nil, damaged("%d texts in %d bytes", n, len(src))
	}
	list := m.newList(n)
	for i := range list {
		list[i] = ""
		if len(src) < 4 {
			return nil, damaged("a text is cut off")
		}
		size := uint64(binary.LittleEndian.Uint32(src))
		src = src[4:]
		if size > uint64(len(src)) {
			return nil, damaged("a text of %d bytes, %d are left", size, len(src))
		}
		if size > 0 {
			list[i] = unsafe.String(&src[0], size)
		}
		src = src[size:]
	}
	if len(src) > 0 {
		return nil, damaged("%d bytes behind the last text", len(src))
	}
	return list, nil
}

// maxElements bounds the elements of a column of arrays: those of a batch, see
// event.Decode, times the batches that may be in a segment.
const maxElements = 1 << 24

func fillArrays(m *Memory, v *event.Vector, reps, defs, data []byte, n int, encoding format.Encoding, entries int) error {
	if n < v.Len || n > v.Len+maxElements {
		return damaged("%d levels for %d rows", n, v.Len)
	}
	// Levels are read from the page, behind which there is padding.
	r, d := make([]uint32, n), make([]uint32, n)
	if err := errors.Join(readHybrid(r, reps, 1), readHybrid(d, defs, 2)); err != nil {
		return err
	}
	v.Offsets = make([]uint32, 0, v.Len+1)
	elements := uint32(0)
	for i, level := range r {
		if level == 0 {
			if len(v.Offsets) == v.Len {
				return damaged("more than %d arrays", v.Len)
			}
			if d[i] == 0 {
				if v.Nulls == nil {
					v.Nulls = make(event.Bitmap, (v.Len+63)/64)
				}
				row := len(v.Offsets)
				v.Nulls[row>>6] |= 1 << (row & 63)
			}
			v.Offsets = append(v.Offsets, elements)
		}
		if d[i] > 2 || level == 1 && (i == 0 || d[i] != 2 || d[i-1] != 2) {
			return damaged("levels %d and %d in an array", level, d[i])
		}
		if d[i] == 2 {
			elements++
		}
	}
	if len(v.Offsets) != v.Len {
		return damaged("%d arrays, want %d", len(v.Offsets), v.Len)
	}
	v.Offsets = append(v.Offsets, elements)
	if elements == 0 {
		return nil
	}
	if encoding != format.RLEDictionary || entries < 0 {
		return damaged("encoding %v of %v", encoding, v.Type)
	}
	codes, err := readCodes(m, data, int(elements), entries)
	v.Codes = codes
	return err
}

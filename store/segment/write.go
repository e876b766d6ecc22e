package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

const magic = "PAR1"

// Writer writes segments, one after the other, and keeps its memory, of some
// 20 MB, between them.
type Writer struct {
	encoders []*encoder
}

// NewWriter returns a Writer that uses two cores, if there are. It needs no
// closing.
func NewWriter() (*Writer, error) {
	w := &Writer{encoders: make([]*encoder, min(2, runtime.GOMAXPROCS(0)))}
	for i := range w.encoders {
		z, err := newCompressor()
		if err != nil {
			return nil, err
		}
		w.encoders[i] = &encoder{z: z, merger: merger{codes: map[string]uint32{}}}
	}
	return w, nil
}

// Write writes the rows of batches, at least one and at most event.MaxRows, as
// a segment of their table. The batches' columns are all fetched.
func (w *Writer) Write(to io.Writer, batches []*event.Batch) (*Info, error) {
	rows := 0
	for _, b := range batches {
		rows += b.Rows
	}
	if rows == 0 || rows > event.MaxRows {
		return nil, fmt.Errorf("a segment of %d rows, want 1 to %d", rows, event.MaxRows)
	}
	t := batches[0].Table
	columns, err := w.encode(batches, rows)
	if err != nil {
		return nil, err
	}
	f := &file{w: to, table: t, rows: rows, columns: columns, info: &Info{Rows: rows, Chunks: make([]Chunk, len(t.Columns))}}
	f.write([]byte(magic))
	for i := range columns {
		f.place(i)
	}
	f.blooms()
	f.footer()
	return f.info, f.err
}

// encode makes the pages of all columns.
func (w *Writer) encode(batches []*event.Batch, rows int) ([]column, error) {
	t := batches[0].Table
	sorted := order(batches, t.Index(t.Time), rows)
	columns, errs := make([]column, len(t.Columns)), make([]error, len(w.encoders))
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker, e := range w.encoders {
		wg.Go(func() {
			e.rows = rows
			for i := int(next.Add(1)) - 1; i < len(columns) && errs[worker] == nil; i = int(next.Add(1)) - 1 {
				columns[i], errs[worker] = e.column(&t.Columns[i], permute(e.merge(batches, i), sorted))
			}
			e.merger.forget()
		})
	}
	wg.Wait()
	return columns, errors.Join(errs...)
}

// column is an encoded column: offsets in meta and chunk are from its first
// page on.
type column struct {
	pages []byte
	meta  format.ColumnMetaData
	chunk Chunk
	bloom []byte // bits, nil: none
}

// file is a file of encoded columns as it is written.
type file struct {
	w       io.Writer
	err     error // the first of w
	at      int64
	table   *event.Table
	rows    int
	columns []column
	info    *Info
}

func (w *file) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	w.at += int64(n)
	w.err = err
}

// place writes a column's pages.
func (w *file) place(i int) {
	c := &w.columns[i]
	if c.chunk.Size > 0 {
		c.chunk.Offset += w.at
	}
	if len(c.meta.Encoding) > 2 { // there is a dictionary
		c.meta.DictionaryPageOffset += w.at
	}
	c.meta.DataPageOffset += w.at
	w.info.Chunks[i] = c.chunk
	w.write(c.pages)
	c.pages = nil
}

// encoder encodes one column after the other.
type encoder struct {
	rows          int
	z             *compressor
	merger        merger
	pages         []byte
	plain, packed []byte // scratch
	body          []byte
	numbers       []int64
	codes         []uint32
}

// body is what a data page holds.
type body struct {
	repetition, definition []byte
	values                 int // NULLs and empty arrays included
	nulls                  int // those of them without a value
	data                   []byte
	encoding               format.Encoding
}

// column encodes one column; v nil is all NULL.
func (e *encoder) column(c *event.Column, v *event.Vector) (column, error) {
	out := column{meta: format.ColumnMetaData{
		Type: physical(c.Type), PathInSchema: path(c), Codec: format.Zstd,
		Encoding: []format.Encoding{format.RLE},
	}}
	e.pages = e.pages[:0]
	var page body
	if v == nil {
		zeros := append(binary.AppendUvarint(nil, uint64(e.rows)<<1), 0)
		page = body{definition: zeros, values: e.rows, nulls: e.rows, encoding: format.Plain}
		if c.Type == event.TextArray {
			page.repetition = zeros
		}
		out.chunk.Nulls = e.rows
	} else {
		dict, entries, p, err := e.encode(v)
		if err != nil {
			return out, fmt.Errorf("column %q: %w", c.Name, err)
		}
		page = p
		summarize(&out.chunk, v, entries)
		out.bloom = bloomOf(c.Name, v, out.chunk.Distinct)
		if entries > 0 {
			out.meta.Encoding = append(out.meta.Encoding, format.Plain)
			if err := e.dictionary(&out.meta, dict, entries); err != nil {
				return out, err
			}
		}
	}
	out.meta.NumValues = int64(page.values)
	out.meta.Encoding = append(out.meta.Encoding, page.encoding)
	out.meta.DataPageOffset = int64(len(e.pages))
	if err := e.data(&out.meta, &page); err != nil {
		return out, err
	}
	out.meta.Statistics = statistics(c.Type, &out.chunk)
	if v != nil {
		out.chunk.Size = int64(len(e.pages))
	}
	out.pages = bytes.Clone(e.pages)
	return out, nil
}

// encode makes a column's values ready for its pages: with a dictionary dict
// is its plain form.
func (e *encoder) encode(v *event.Vector) (dict []byte, entries int, p body, err error) {
	p.definition, p.values = definition(v), v.Len
	switch {
	case v.Type == event.TextArray:
		p.repetition, p.definition, p.values = arrayLevels(v)
		p.nulls = p.values - len(v.Codes)
		if len(v.Codes) > 0 {
			dict, entries = appendPlainTexts(e.plain[:0], v.Dict), len(v.Dict)
			p.data = e.encodeCodes(v.Codes, entries)
		}
	case v.Type == event.Text || v.Type == event.JSONB:
		codes := values(v, v.Codes)
		p.nulls = v.Len - len(codes)
		if !wantsDict(len(v.Dict), len(codes)) {
			p.data = e.packed[:0]
			for _, code := range codes {
				s := v.Dict[code]
				p.data = append(binary.LittleEndian.AppendUint32(p.data, uint32(len(s))), s...)
			}
			e.packed = p.data
			break
		}
		dict, entries = appendPlainTexts(e.plain[:0], v.Dict), len(v.Dict)
		p.data = e.encodeCodes(codes, entries)
	case v.Type == event.Bool:
		list := values(v, v.Bools)
		p.nulls = v.Len - len(list)
		p.data = appendPlainBools(nil, list)
	default:
		dict, entries, err = e.encodeNumbers(v, &p)
	}
	if entries > 0 {
		p.encoding = format.RLEDictionary
		e.plain = dict
	}
	return dict, entries, p, err
}

// wantsDict decides whether a text column of n values has a dictionary. It is
// worth its codes, of about two bytes, as long as one string in eight comes
// again: what is read, decompressed and searched shrinks with it. There is no
// other limit, since a segment has at most event.MaxRows rows.
func wantsDict(distinct, n int) bool { return 8*distinct <= 7*n || n < 64 }

func (e *encoder) encodeNumbers(v *event.Vector, p *body) (dict []byte, entries int, err error) {
	list := e.numbers[:0]
	if v.Type == event.Float8 {
		floats := values(v, v.Floats)
		for _, f := range floats {
			list = append(list, int64(math.Float64bits(f)))
		}
		e.numbers = list
	} else {
		list = values(v, v.Ints)
	}
	p.nulls = v.Len - len(list)
	if distinct, codes, ok := intDict(e.codes[:0], list, maxIntDict(len(list))); ok {
		dict, entries = appendPlainInts(e.plain[:0], distinct, v.Type), len(distinct)
		e.codes = codes
		p.data = e.encodeCodes(codes, entries)
		return dict, entries, nil
	}
	if p.encoding = format.Plain; v.Type == event.Float8 {
		e.packed = appendPlainInts(e.packed[:0], list, v.Type)
	} else if e.packed, err = appendDelta(e.packed[:0], list, v.Type); err != nil {
		return nil, 0, err
	} else if e.plainIsSmaller(list, len(e.packed), v.Type) {
		e.packed = appendPlainInts(e.packed[:0], list, v.Type)
	} else {
		p.encoding = format.DeltaBinaryPacked
	}
	p.data = e.packed
	return nil, 0, nil
}

// plainIsSmaller judges by a part of a list whether zstd makes less of its
// plain form than delta bytes: so it is with multiples of a large number that
// do not rise, such as start times in ns.
func (e *encoder) plainIsSmaller(list []int64, delta int, t event.Type) bool {
	const sample = 1 << 13
	if len(list) < 2*sample {
		return false
	}
	e.plain = appendPlainInts(e.plain[:0], list[:sample], t)
	return len(e.z.small(e.plain))*len(list) < delta*sample*4/5
}

func (e *encoder) encodeCodes(codes []uint32, entries int) []byte {
	width := widthOf(entries)
	e.packed = appendHybrid(append(e.packed[:0], byte(width)), codes, width)
	return e.packed
}

// values returns list without the places of NULLs.
func values[T any](v *event.Vector, list []T) []T {
	if v.Nulls == nil {
		return list
	}
	out := make([]T, 0, v.Len)
	for i, x := range list {
		if !v.Nulls.Has(i) {
			out = append(out, x)
		}
	}
	return out
}

func (e *encoder) dictionary(meta *format.ColumnMetaData, dict []byte, entries int) error {
	// A dictionary page is compressed as its chunk's codec says.
	data := e.z.texts(dict)
	return e.page(meta, &format.PageHeader{
		Type: format.DictionaryPage, UncompressedPageSize: int32(len(dict)), CompressedPageSize: int32(len(data)),
		CRC: int32(crc32.ChecksumIEEE(data)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{
			NumValues: int32(entries), Encoding: format.Plain,
		}),
	}, data)
}

func (e *encoder) data(meta *format.ColumnMetaData, p *body) error {
	raw := len(p.repetition) + len(p.definition) + len(p.data)
	data, compressed := p.data, false
	if p.encoding == format.Plain {
		if packed := e.z.texts(data); len(packed) < len(data)*7/8 {
			data, compressed = packed, true
		}
	} else if len(e.z.fast(data)) < len(data)*4/5 {
		// Codes and packed integers are read several times faster as they are;
		// these are worth it.
		data, compressed = e.z.small(data), true
	}
	e.body = append(append(append(e.body[:0], p.repetition...), p.definition...), data...)
	all := e.body
	return e.page(meta, &format.PageHeader{
		Type: format.DataPageV2, UncompressedPageSize: int32(raw), CompressedPageSize: int32(len(all)),
		CRC: int32(crc32.ChecksumIEEE(all)),
		DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{
			NumValues: int32(p.values), NumNulls: int32(p.nulls), NumRows: int32(e.rows), Encoding: p.encoding,
			DefinitionLevelsByteLength: int32(len(p.definition)), RepetitionLevelsByteLength: int32(len(p.repetition)),
			IsCompressed: thrift.New(compressed),
		}),
	}, all)
}

func (e *encoder) page(meta *format.ColumnMetaData, h *format.PageHeader, data []byte) error {
	header, err := thrift.Marshal(new(thrift.CompactProtocol), h)
	e.pages = append(append(e.pages, header...), data...)
	meta.TotalCompressedSize += int64(len(header) + len(data))
	meta.TotalUncompressedSize += int64(len(header)) + int64(h.UncompressedPageSize)
	return err
}

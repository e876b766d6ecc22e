package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// checkVector verifies what users of a Vector rely on.
func checkVector(t *testing.T, v *event.Vector, rows int) {
	t.Helper()
	if v.Len != rows || len(v.Nulls) > (rows+63)/64 {
		t.Fatalf("a vector of %d rows with %d words of NULLs, want %d rows", v.Len, len(v.Nulls), rows)
	}
	n := map[event.Type]int{
		event.Bool: len(v.Bools), event.Float8: len(v.Floats), event.Int4: len(v.Ints), event.Int8: len(v.Ints),
		event.Timestamptz: len(v.Ints), event.Text: len(v.Codes), event.JSONB: len(v.Codes), event.TextArray: len(v.Offsets) - 1,
	}[v.Type]
	if n != rows {
		t.Fatalf("%d values, want %d", n, rows)
	}
	if v.Type == event.TextArray && (!slices.IsSorted(v.Offsets) || int(v.Offsets[rows]) != len(v.Codes)) {
		t.Fatalf("offsets %v of %d codes", v.Offsets, len(v.Codes))
	}
	for _, c := range v.Codes {
		if int(c) >= len(v.Dict) {
			t.Fatalf("code %d, the dictionary has %d entries", c, len(v.Dict))
		}
	}
	for _, s := range v.Dict {
		_ = len(s) + int(append([]byte(s), 0)[0]) // all of it can be read
	}
}

// appendPage appends a page with a right checksum.
func appendPage(t *testing.T, dst []byte, h format.PageHeader, body []byte) []byte {
	h.CompressedPageSize, h.CRC = int32(len(body)), int32(crc32.ChecksumIEEE(body))
	header, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(dst, header...), body...)
}

// Pages of any bytes, whose checksums are right, give an error or a vector
// that holds together.
func FuzzPages(f *testing.F) {
	f.Add(uint8(event.Text), uint16(3), uint16(9), uint16(2), uint16(0), uint16(20), false, []byte("\x01\x00\x00\x00a"), []byte{18, 1, 2, 3, 0, 0, 0})
	f.Add(uint8(event.Int8)+127, uint16(0), uint16(9), uint16(2), uint16(0), uint16(20), false, []byte{}, []byte{18, 1, 128, 1, 4, 9, 2, 2, 0, 0, 0, 0})
	f.Add(uint8(event.TextArray), uint16(1), uint16(2), uint16(2), uint16(2), uint16(20), false, []byte("\x01\x00\x00\x00a"), []byte{4, 0, 4, 2, 1, 4, 0})
	f.Add(uint8(event.Bool)-1, uint16(1), uint16(2), uint16(2), uint16(2), uint16(20), false, []byte("00000000"), []byte("\x04\x0000 "))
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, typ uint8, entries, rows, defs, reps, size uint16, compressed bool, dict, body []byte) {
		kind := event.Type(typ%8 + 1)
		var chunk []byte
		encoding := []format.Encoding{format.Plain, format.RLEDictionary, format.DeltaBinaryPacked}[min(int(entries), 1)]
		if typ >= 128 {
			encoding = format.DeltaBinaryPacked
		}
		if entries > 0 {
			z, err := newCompressor()
			if err != nil {
				t.Fatal(err)
			}
			chunk = appendPage(t, chunk, format.PageHeader{
				Type: format.DictionaryPage, UncompressedPageSize: int32(len(dict)),
				DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(entries), Encoding: format.Plain}),
			}, z.fast(dict))
		}
		h := format.DataPageHeaderV2{
			NumValues: int32(rows) + int32(size%7), NumRows: int32(rows), Encoding: encoding, IsCompressed: thrift.New(compressed),
			DefinitionLevelsByteLength: int32(defs), RepetitionLevelsByteLength: int32(reps),
		}
		if !compressed {
			size = uint16(len(body))
		}
		chunk = appendPage(t, chunk, format.PageHeader{Type: format.DataPageV2, UncompressedPageSize: int32(size), DataPageHeaderV2: thrift.New(h)}, body)
		v, err := d.Column(nil, bytes.NewReader(chunk), &Chunk{Size: int64(len(chunk))}, kind, int(rows))
		if err == nil {
			checkVector(t, v, int(rows))
		}
	})
}

// A file of any bytes gives an error or what holds together.
func FuzzFile(f *testing.F) {
	for _, b := range []*event.Batch{everything(3), sample(1000)[0], alerts()} {
		data, _ := write(f, b)
		f.Add(data)
	}
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, table := range []*event.Table{event.Lookup("process_events"), event.Lookup("alerts")} {
			info, err := ReadInfo(bytes.NewReader(data), int64(len(data)), table)
			if err != nil {
				continue
			}
			for i, c := range table.Columns {
				v, err := d.Column(nil, bytes.NewReader(data), &info.Chunks[i], c.Type, info.Rows)
				if err == nil && v != nil {
					checkVector(t, v, info.Rows)
				}
			}
		}
	})
}

// The hybrid of runs and bit-packed values is read as it was written, and any
// bytes are no reason to panic.
func FuzzHybrid(f *testing.F) {
	f.Add([]byte{3, 3, 3, 1, 2}, uint8(2))
	f.Add(bytes.Repeat([]byte{7}, 300), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, width uint8) {
		w := uint(width % 33)
		values := make([]uint32, 0, len(data)*3)
		for i, b := range data {
			x := uint32(uint64(b) * 0x01010101 & (1<<w - 1))
			for range 1 + i%5*int(b%40) { // runs and others
				values = append(values, x)
			}
		}
		encoded := append(appendHybrid(nil, values, w), make([]byte, padding)...)
		got := make([]uint32, len(values))
		if err := readHybrid(got, encoded[:len(encoded)-padding], w); err != nil || !slices.Equal(got, values) {
			t.Fatalf("width %d: %v, read %v, want %v", w, err, got, values)
		}
		raw := append(slices.Clone(data), make([]byte, padding)...)
		_ = readHybrid(make([]uint32, len(data)), raw[:len(data)], w)
	})
}

// Differences are read as they were written.
func FuzzDelta(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 128, 255, 255, 255, 255, 255, 255, 255, 127})
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []int64
		for rest := data; len(rest) >= 8; rest = rest[8:] {
			list = append(list, int64(binary.LittleEndian.Uint64(rest)))
		}
		encoded, err := appendDelta(nil, list, event.Int8)
		if err != nil {
			t.Fatal(err)
		}
		encoded = slices.Grow(encoded, padding)
		if got, err := readDelta(nil, encoded, len(list)); err != nil || !slices.Equal(got, list) {
			t.Fatalf("%v, read %v, want %v", err, got, list)
		}
		raw := slices.Grow(slices.Clone(data), padding)
		_, _ = readDelta(nil, raw, len(data))
	})
}

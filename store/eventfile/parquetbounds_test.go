package eventfile

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// withFooter is a Parquet file of these bytes and this footer.
func withFooter(data, footer []byte) []byte {
	data = append(data[:len(data):len(data)], footer...)
	return append(binary.LittleEndian.AppendUint32(data, uint32(len(footer))), "PAR1"...)
}

// withPage is a valid file whose first column is changed to be this page alone.
func withPage(t testing.TB, codec format.CompressionCodec, h format.PageHeader, page []byte) []byte {
	t.Helper()
	data := parquetFileOf(t, []parquetRow{{PID: 1}})
	end := len(data) - 8
	end -= int(binary.LittleEndian.Uint32(data[end:]))
	var m format.FileMetaData
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), data[end:len(data)-8], &m); err != nil {
		t.Fatal(err)
	}
	head, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
	if err != nil {
		t.Fatal(err)
	}
	c := &m.RowGroups[0].Columns[0].MetaData
	c.Codec, c.DictionaryPageOffset, c.DataPageOffset = codec, 0, int64(end)
	c.TotalCompressedSize = int64(len(head) + len(page))
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &m)
	if err != nil {
		t.Fatal(err)
	}
	return withFooter(append(append(data[:end:end], head...), page...), footer)
}

// What a Parquet file claims is not believed before it was looked at.
func TestParquetBounds(t *testing.T) {
	dataPage := func(values, size, compressed int32) (h format.PageHeader) {
		h.Type, h.UncompressedPageSize, h.CompressedPageSize = format.DataPage, size, compressed
		h.DataPageHeader.Valid, h.DataPageHeader.V.NumValues = true, values
		return h
	}
	dictionary := dataPage(0, 8, 8)
	dictionary.Type, dictionary.DataPageHeader.Valid = format.DictionaryPage, false
	dictionary.DictionaryPageHeader.Valid, dictionary.DictionaryPageHeader.V.NumValues = true, math.MaxInt32

	schema := []byte{0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07} // field 2, a list of 2³¹-1 structs
	files := map[string]struct {
		data []byte
		want string
	}{
		"a long footer":       {append([]byte("PAR1"), "\xff\xff\xff\xffPAR1"...), "a footer of 4294967295 bytes in a file of 12"},
		"a long list":         {withFooter([]byte("PAR1"), schema), "a list of 2147483647 entries"},
		"deep metadata":       {withFooter([]byte("PAR1"), []byte(strings.Repeat("\x1c", 1<<20))), "nested too deeply"},
		"a large dictionary":  {withPage(t, format.Uncompressed, dictionary, make([]byte, 8)), "a page of 2147483647 values"},
		"a large page":        {withPage(t, format.Uncompressed, dataPage(1, 8, math.MaxInt32), nil), "2147483647 of them compressed"},
		"a cut page":          {withPage(t, format.Uncompressed, dataPage(1, maxPage, maxPage), nil), "unexpected EOF"},
		"a page that is less": {withPage(t, format.Zstd, dataPage(1, math.MaxInt32, 8), make([]byte, 8)), "a page of 1 values in 2147483647 bytes"},
		"no LZ4":              {withPage(t, format.Lz4Raw, dataPage(1, 8, 8), []byte("\xff\xff\xff\xff\xff\xff\xff\xff")), "lz4"},
	}
	for _, codec := range []compress.Codec{&parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli} {
		page, err := codec.Encode(nil, make([]byte, 64<<20))
		if err != nil {
			t.Fatal(err)
		}
		c := files["expanding "+codec.String()]
		c.data, c.want = withPage(t, codec.CompressionCodec(), dataPage(1, 100, int32(len(page))), page), "becomes more than the 100 that it says"
		files["expanding "+codec.String()] = c
	}
	for name, c := range files {
		_, _, err := readAll(write(t, "a.parquet", c.data), event.Lookup("processes"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "a.parquet: ") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

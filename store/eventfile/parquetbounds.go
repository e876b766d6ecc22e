package eventfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The Parquet library allocates what a file claims before it reads it, so the
// claims are looked at first. These are the bounds of what they may come to.
const (
	maxFooter     = 64 << 20  // bytes
	maxFooterSize = 512 << 20 // bytes of its lists in memory
	maxPageHeader = 1 << 20   // bytes
	maxPage       = 128 << 20 // bytes, compressed or not
	maxPageValues = 16 << 20
	maxGroup      = 1 << 30 // bytes of one page and the dictionary of each column
)

// checkFooter looks at the footer of a file of so many bytes.
func checkFooter(r io.ReaderAt, size int64) error {
	var end [8]byte
	if size < int64(len(end)) {
		return fmt.Errorf("%d bytes are no Parquet file", size)
	}
	if _, err := r.ReadAt(end[:], size-int64(len(end))); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if string(end[4:]) != "PAR1" {
		return errors.New("it does not end as a Parquet file does")
	}
	if n > maxFooter || n > size-int64(len(end)) {
		return fmt.Errorf("a footer of %d bytes in a file of %d; %d at most are read", n, size, maxFooter)
	}
	data := make([]byte, n)
	if _, err := r.ReadAt(data, size-int64(len(end))-n); err != nil {
		return err
	}
	left := int64(maxFooterSize)
	return weigh(new(thrift.CompactProtocol).NewReaderFromBytes(data), thrift.STRUCT, 32, &left)
}

// weigh reads a value of the compact protocol and takes from left about what its lists
// need in memory. It goes so many levels deep.
func weigh(r thrift.Reader, t thrift.Type, depth int, left *int64) (err error) {
	if depth == 0 {
		return errors.New("its metadata is nested too deeply")
	}
	switch t {
	case thrift.TRUE, thrift.FALSE, thrift.I8: // in a list; a field has the value in its type
		_, err = r.ReadInt8()
	case thrift.I16:
		_, err = r.ReadInt16()
	case thrift.I32:
		_, err = r.ReadInt32()
	case thrift.I64:
		_, err = r.ReadInt64()
	case thrift.DOUBLE:
		_, err = r.ReadFloat64()
	case thrift.BINARY:
		_, err = r.ReadBytes()
	case thrift.LIST, thrift.SET:
		list, err := r.ReadList()
		if err != nil {
			return err
		}
		each := int64(16)
		if list.Type == thrift.STRUCT {
			each = 1 << 10
		}
		if *left -= each * int64(list.Size); *left < 0 {
			return fmt.Errorf("a list of %d entries in its metadata, which is too much", list.Size)
		}
		for range list.Size {
			if err := weigh(r, list.Type, depth-1, left); err != nil {
				return err
			}
		}
	case thrift.STRUCT:
		for {
			field, err := r.ReadField()
			if err != nil || field.Type == thrift.STOP {
				return err
			}
			if field.Type == thrift.TRUE || field.Type == thrift.FALSE {
				continue
			}
			if err := weigh(r, field.Type, depth-1, left); err != nil {
				return err
			}
		}
	default:
		err = fmt.Errorf("metadata of type %v", t)
	}
	return err
}

// checkGroup looks at the pages of a row group.
func checkGroup(r io.ReaderAt, size int64, g *format.RowGroup) error {
	total := int64(0)
	for i := range g.Columns {
		m := &g.Columns[i].MetaData
		offset := m.DataPageOffset
		if m.DictionaryPageOffset != 0 {
			offset = m.DictionaryPageOffset
		}
		if offset < 0 || m.TotalCompressedSize < 0 || offset > size || m.TotalCompressedSize > size-offset {
			return fmt.Errorf("column %d has %d bytes at %d of a file of %d", i+1, m.TotalCompressedSize, offset, size)
		}
		n, err := checkPages(io.NewSectionReader(r, offset, m.TotalCompressedSize), m.Codec)
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
		if total += n; total > maxGroup {
			return fmt.Errorf("pages of a row group that need more than %d MiB of memory; write it with smaller ones", maxGroup>>20)
		}
	}
	return nil
}

// checkPages returns what the dictionary and the greatest page of a column need in memory.
func checkPages(r io.Reader, codec format.CompressionCodec) (int64, error) {
	in := bufio.NewReaderSize(r, maxPageHeader)
	dictionary, most := int64(0), int64(0)
	var data []byte
	for {
		h, err := readPageHeader(in)
		if err == io.EOF {
			return dictionary + most, nil
		}
		if err != nil {
			return 0, err
		}
		values, levels, compressed := h.DataPageHeader.V.NumValues, int32(0), true
		switch h.Type {
		case format.DictionaryPage:
			values = h.DictionaryPageHeader.V.NumValues
		case format.DataPageV2:
			v2 := &h.DataPageHeaderV2.V
			values, levels = v2.NumValues, v2.RepetitionLevelsByteLength+v2.DefinitionLevelsByteLength
			compressed = !v2.IsCompressed.Valid || v2.IsCompressed.V
		}
		if h.CompressedPageSize < 0 || h.CompressedPageSize > maxPage || h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage ||
			values < 0 || values > maxPageValues || levels < 0 || levels > h.CompressedPageSize {
			return 0, fmt.Errorf("a page of %d values in %d bytes, %d of them compressed; %d values and %d bytes at most are read",
				values, h.UncompressedPageSize, h.CompressedPageSize, maxPageValues, maxPage)
		}
		if cap(data) < int(h.CompressedPageSize) {
			// It grows with what is there.
			var b bytes.Buffer
			if _, err := io.CopyN(&b, in, int64(h.CompressedPageSize)); err != nil {
				return 0, unexpected(err)
			}
			data = b.Bytes()
		} else if _, err := io.ReadFull(in, data[:h.CompressedPageSize]); err != nil {
			return 0, unexpected(err)
		}
		if compressed {
			if err := checkExpansion(codec, data[levels:h.CompressedPageSize], int64(h.UncompressedPageSize)); err != nil {
				return 0, err
			}
		}
		need := int64(h.CompressedPageSize) + int64(h.UncompressedPageSize) + 8*int64(values)
		if h.Type == format.DictionaryPage {
			dictionary = max(dictionary, need)
		} else {
			most = max(most, need)
		}
	}
}

// readPageHeader returns io.EOF where there is no further page.
func readPageHeader(in *bufio.Reader) (h *format.PageHeader, err error) {
	for n := 1 << 10; ; n *= 4 {
		head, end := in.Peek(min(n, maxPageHeader))
		if len(head) == 0 {
			return nil, end
		}
		r := new(thrift.CompactProtocol).NewReaderFromBytes(head)
		left := int64(maxPageHeader)
		if err = weigh(r, thrift.STRUCT, 32, &left); err == nil {
			size := r.BytesRead()
			h = new(format.PageHeader)
			if err = thrift.Unmarshal(new(thrift.CompactProtocol), head[:size], h); err == nil {
				_, err = in.Discard(size)
			}
			return h, err
		}
		if end != nil || n >= maxPageHeader {
			return nil, fmt.Errorf("page header: %w", unexpected(err))
		}
	}
}

// checkExpansion refuses compressed data that become more than size bytes.
func checkExpansion(codec format.CompressionCodec, data []byte, size int64) error {
	if len(data) == 0 {
		return nil
	}
	n := int64(0)
	var r io.Reader
	switch codec {
	case format.Uncompressed:
		return nil
	case format.Snappy:
		decoded, err := snappy.DecodedLen(data)
		if err != nil {
			return err
		}
		n = int64(decoded)
	case format.Lz4Raw:
		if _, err := lz4.UncompressBlock(data, make([]byte, size)); err != nil {
			return err
		}
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return err
		}
		r = z
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(data))
	case format.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxPage))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	default:
		return fmt.Errorf("compression %v is not supported", codec)
	}
	if r != nil {
		var err error
		if n, err = io.Copy(io.Discard, io.LimitReader(r, size+1)); err != nil {
			return err
		}
	}
	if n > size {
		return fmt.Errorf("a page of %d bytes becomes more than the %d that it says", len(data), size)
	}
	return nil
}

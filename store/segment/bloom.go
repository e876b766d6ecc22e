package segment

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// bloomOf returns the bits of a column's bloom filter, nil when it has none.
// The filter is Parquet's: split blocks over XXH64 of the plain form.
func bloomOf(name string, v *event.Vector, distinct int) []byte {
	if !slices.Contains(BloomColumns(), name) {
		return nil
	}
	filter := make(bloom.SplitBlockFilter, max(1, bloom.NumSplitBlocksOf(int64(distinct), bloomBits)))
	switch v.Type {
	case event.Text:
		for _, s := range v.Dict {
			filter.Insert(hashText(s))
		}
	case event.Int4, event.Int8:
		for _, n := range values(v, v.Ints) {
			filter.Insert(hashInt(n, v.Type))
		}
	default:
		return nil
	}
	bits := make([]byte, 0, len(filter)*bloom.BlockSize)
	for _, block := range filter {
		for _, word := range block {
			bits = binary.LittleEndian.AppendUint32(bits, uint32(word))
		}
	}
	return bits
}

func hashText(s string) uint64 { return xxhash.Sum64([]byte(s)) }

func hashInt(n int64, t event.Type) uint64 {
	if t == event.Int4 {
		return xxhash.Sum64Uint32(uint32(n))
	}
	return xxhash.Sum64Uint64(uint64(n))
}

// blooms writes the filters after the columns.
func (w *file) blooms() {
	for i := range w.columns {
		bits := w.columns[i].bloom
		if bits == nil {
			continue
		}
		header, err := thrift.Marshal(new(thrift.CompactProtocol), &format.BloomFilterHeader{
			NumBytes:    int32(len(bits)),
			Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
			Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
			Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
		})
		if err != nil && w.err == nil {
			w.err = err
		}
		m := &w.columns[i].meta
		m.BloomFilterOffset, m.BloomFilterLength = w.at, int32(len(header)+len(bits))
		w.write(header)
		w.info.Chunks[i].Bloom = Bloom{Offset: w.at, Size: len(bits), Sum: crc32.ChecksumIEEE(bits)}
		w.write(bits)
	}
}

// maxBloom bounds the bits of a filter that is read.
const maxBloom = 1 << 20

// mayHold reads the filter and reports whether one of the hashes may be in it.
func (b *Bloom) mayHold(r io.ReaderAt, hashes []uint64) (bool, error) {
	if b.Size < bloom.BlockSize || b.Size > maxBloom || b.Size%bloom.BlockSize != 0 {
		return false, damaged("a bloom filter of %d bytes", b.Size)
	}
	bits := make([]byte, b.Size)
	if _, err := r.ReadAt(bits, b.Offset); err != nil {
		return false, readError(err)
	}
	if crc32.ChecksumIEEE(bits) != b.Sum {
		return false, damaged("the checksum of a bloom filter is wrong")
	}
	filter := make(bloom.SplitBlockFilter, b.Size/bloom.BlockSize)
	for i := range filter {
		for j := range filter[i] {
			filter[i][j] = bloom.Word(binary.LittleEndian.Uint32(bits[i*bloom.BlockSize+4*j:]))
		}
	}
	return slices.ContainsFunc(hashes, filter.Check), nil
}

package segment

import (
	"encoding/binary"
	"math"

	"github.com/parquet-go/bitpack"

	"daemoneye/bus/event"
)

// padding is what must lie, allocated, behind bytes that are unpacked.
const padding = bitpack.PaddingInt64

// readHybrid fills dst from the hybrid of runs and bit-packed values, see
// appendHybrid. Behind src lie padding more bytes.
func readHybrid(dst []uint32, src []byte, width uint) error {
	if width > 32 {
		return damaged("codes of %d bits", width)
	}
	for len(dst) > 0 {
		header, n := binary.Uvarint(src)
		if n <= 0 {
			return damaged("%d codes are missing", len(dst))
		}
		src = src[n:]
		if header&1 == 0 {
			value, bytes := uint32(0), int(width+7)/8
			if len(src) < bytes {
				return damaged("a run of codes is cut off")
			}
			for i := range bytes {
				value |= uint32(src[i]) << (8 * i)
			}
			src = src[bytes:]
			if header>>1 == 0 || header>>1 > uint64(len(dst)) {
				return damaged("a run of %d codes, %d are left", header>>1, len(dst))
			}
			run := dst[:header>>1]
			for i := range run {
				run[i] = value
			}
			dst = dst[len(run):]
			continue
		}
		groups := header >> 1
		if groups == 0 || groups > uint64(len(dst)+7)/8 || groups*uint64(width) > uint64(len(src)) {
			return damaged("%d groups of codes of %d bits in %d bytes, %d codes are left", groups, width, len(src), len(dst))
		}
		count, size := min(int(groups)*8, len(dst)), int(groups)*int(width)
		if width == 0 {
			clear(dst[:count])
		} else {
			bitpack.Unpack(dst[:count], src[:size+bitpack.PaddingInt32], width)
		}
		src, dst = src[size:], dst[count:]
	}
	return nil
}

// readNulls reads definition levels of 0 and 1 as the set of NULLs, nil when
// there are none, and their number.
func readNulls(src []byte, rows int) (event.Bitmap, int, error) {
	if header, n := binary.Uvarint(src); n > 0 && header == uint64(rows)<<1 && len(src) == n+1 && src[n] == 1 {
		return nil, 0, nil
	}
	levels := make([]uint32, rows)
	if err := readHybrid(levels, src, 1); err != nil {
		return nil, 0, err
	}
	nulls, count := make(event.Bitmap, (rows+63)/64), 0
	for i, l := range levels {
		if l == 0 {
			nulls[i>>6] |= 1 << (i & 63)
			count++
		}
	}
	if count == 0 {
		nulls = nil
	}
	return nulls, count, nil
}

// readCodes reads n codes of a dictionary, after the byte that is their width.
func readCodes(m *Memory, src []byte, n, entries int) ([]uint32, error) {
	if len(src) == 0 {
		return nil, damaged("there are no codes")
	}
	codes := m.newCodes(n)
	width := uint(src[0])
	if err := readHybrid(codes, src[1:], width); err != nil {
		return nil, err
	}
	if width < 32 && 1<<width <= entries {
		return codes, nil
	}
	greatest := uint32(0)
	for _, c := range codes {
		greatest = max(greatest, c)
	}
	if n > 0 && int64(greatest) >= int64(entries) {
		return nil, damaged("code %d, the dictionary has %d entries", greatest, entries)
	}
	return codes, nil
}

// readDelta reads n integers in DELTA_BINARY_PACKED:
//
//	block size, miniblocks a block, n: uvarint, first value: varint
//	block: least difference: varint, a byte for each miniblock's width, miniblocks
//
// Behind src lie padding more bytes.
func readDelta(m *Memory, src []byte, n int) ([]int64, error) {
	var header [3]uint64
	for i := range header {
		size := 0
		if header[i], size = binary.Uvarint(src); size <= 0 {
			return nil, damaged("the header of differences is cut off")
		}
		src = src[size:]
	}
	first, size := binary.Varint(src)
	block, minis := header[0], header[1]
	if size <= 0 || minis == 0 || minis > 512 || block > 1<<16 || block%minis != 0 || block/minis%32 != 0 || header[2] != uint64(n) {
		return nil, damaged("blocks of %d differences in %d parts, %d in all, want %d", block, minis, header[2], n)
	}
	src = src[size:]
	list := m.newInts(n)
	if n == 0 {
		return list, nil
	}
	list[0] = first
	per := int(block / minis)
	for at := 1; at < n; {
		least, size := binary.Varint(src)
		if size <= 0 || len(src)-size < int(minis) {
			return nil, damaged("a block of differences is cut off")
		}
		widths := src[size : size+int(minis)]
		src = src[size+int(minis):]
		for _, width := range widths {
			if at >= n {
				break
			}
			part := list[at:min(at+per, n)]
			bytes := per * int(width) / 8
			if width > 64 || bytes > len(src) {
				return nil, damaged("%d differences of %d bits in %d bytes", per, width, len(src))
			}
			if width > 0 {
				bitpack.Unpack(part, src[:bytes+padding], uint(width))
			} else {
				clear(part)
			}
			last := list[at-1]
			for i, d := range part {
				last += d + least
				part[i] = last
			}
			src, at = src[bytes:], at+len(part)
		}
	}
	return list, nil
}

// readInts widens the plain form of integers.
func readInts(m *Memory, src []byte, n int, t event.Type) ([]int64, error) {
	size := 8
	if t == event.Int4 {
		size = 4
	}
	if len(src) != n*size {
		return nil, damaged("%d bytes for %d values of %v", len(src), n, t)
	}
	list := m.newInts(n)
	for i := range list {
		if t == event.Int4 {
			list[i] = int64(int32(binary.LittleEndian.Uint32(src[4*i:])))
		} else {
			list[i] = int64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}
	return list, nil
}

func toFloats(list []int64) []float64 {
	floats := make([]float64, len(list))
	for i, n := range list {
		floats[i] = math.Float64frombits(uint64(n))
	}
	return floats
}

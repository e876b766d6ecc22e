package segment

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/parquet-go/bitpack"
	"github.com/parquet-go/parquet-go/encoding/delta"

	"daemoneye/bus/event"
)

// minRun is from how many equal values on a run is written as one: shorter
// ones would break bit-packed runs, which are read faster, into pieces.
const minRun = 16

// appendHybrid appends values in Parquet's RLE/bit-packing hybrid:
//
//	run:        uvarint(length << 1), value in ⌈width/8⌉ bytes
//	bit-packed: uvarint(groups << 1 | 1), groups of 8 values, width bits each
func appendHybrid(dst []byte, values []uint32, width uint) []byte {
	start, i := 0, 0
	for i < len(values) {
		end := i + 1
		for end < len(values) && values[end] == values[i] {
			end++
		}
		// Bit-packed values come in eights; a run gives what is missing.
		missing := (8 - (i-start)&7) & 7
		if end-i-missing < minRun {
			i = end
			continue
		}
		dst = appendPacked(dst, values[start:i+missing], width)
		dst = binary.AppendUvarint(dst, uint64(end-i-missing)<<1)
		for shift := uint(0); shift < width; shift += 8 {
			dst = append(dst, byte(values[i]>>shift))
		}
		start, i = end, end
	}
	return appendPacked(dst, values[start:], width)
}

func appendPacked(dst []byte, values []uint32, width uint) []byte {
	if len(values) == 0 {
		return dst
	}
	groups := (len(values) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	if width == 0 {
		return dst
	}
	if rest := len(values) & 7; rest != 0 {
		// The last group is filled with zeros.
		whole := len(values) - rest
		dst = pack(dst, values[:whole], width)
		var last [8]uint32
		copy(last[:], values[whole:])
		return pack(dst, last[:], width)
	}
	return pack(dst, values, width)
}

func pack(dst []byte, values []uint32, width uint) []byte {
	n := len(values) / 8 * int(width)
	at := len(dst)
	dst = slices.Grow(dst, n+bitpack.PaddingInt32)[:at+n+bitpack.PaddingInt32]
	bitpack.Pack(dst[at:], values, width)
	return dst[:at+n]
}

// widthOf returns the bits of the codes of a dictionary.
func widthOf(entries int) uint { return uint(bits.Len(uint(max(entries, 1) - 1))) }

// appendPlainTexts appends strings, each after its length.
func appendPlainTexts(dst []byte, list []string) []byte {
	size := 0
	for _, s := range list {
		size += 4 + len(s)
	}
	dst = slices.Grow(dst, size)
	for _, s := range list {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// appendPlainInts appends integers, little endian and as wide as the type.
func appendPlainInts(dst []byte, list []int64, t event.Type) []byte {
	for _, n := range list {
		if t == event.Int4 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		} else {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
		}
	}
	return dst
}

func appendPlainBools(dst []byte, list []bool) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, (len(list)+7)/8)...)
	for i, b := range list {
		if b {
			dst[at+i>>3] |= 1 << (i & 7)
		}
	}
	return dst
}

// appendDelta appends integers as DELTA_BINARY_PACKED.
func appendDelta(dst []byte, list []int64, t event.Type) ([]byte, error) {
	var e delta.BinaryPackedEncoding
	if t != event.Int4 {
		data, err := e.EncodeInt64(nil, list)
		return append(dst, data...), err
	}
	narrow := make([]int32, len(list))
	for i, n := range list {
		narrow[i] = int32(n)
	}
	data, err := e.EncodeInt32(nil, narrow)
	return append(dst, data...), err
}

// maxIntDict bounds the dictionary of an integer or double column: one is made
// when a value comes, on average, four times or more.
func maxIntDict(values int) int { return min(values/4, 1<<14) }

// intDict returns the distinct values of list, in the order in which they come, and
// codes, in scratch; ok false when they are more than limit.
func intDict(scratch []uint32, list []int64, limit int) (dict []int64, codes []uint32, ok bool) {
	size := 1 << bits.Len(uint(2*limit))
	slots := make([]uint32, size) // code + 1
	shift := 64 - uint(bits.Len(uint(size-1)))
	codes = slices.Grow(scratch, len(list))[:len(list)]
	for i, n := range list {
		at := hash(n) >> shift & uint64(size-1)
		for {
			c := slots[at]
			if c == 0 {
				if len(dict) == limit {
					return nil, nil, false
				}
				dict = append(dict, n)
				c = uint32(len(dict))
				slots[at] = c
			}
			if dict[c-1] == n {
				codes[i] = c - 1
				break
			}
			at = (at + 1) & uint64(size-1)
		}
	}
	return dict, codes, true
}

// hash is Fibonacci hashing: the upper bits are the good ones.
func hash(n int64) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 }

// mix is the finalizer of MurmurHash3: unlike hash it makes neighbours random.
func mix(n int64) uint64 {
	h := uint64(n)
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// distinct estimates the number of distinct values by linear counting
// (Whang, Vander-Zanden, Taylor 1990).
func distinct(list []int64) int {
	const logSize = 17
	var seen [1 << logSize / 64]uint64
	for _, n := range list {
		h := mix(n) >> (64 - logSize)
		seen[h>>6] |= 1 << (h & 63)
	}
	ones := 0
	for _, w := range seen {
		ones += bits.OnesCount64(w)
	}
	const size = 1 << logSize
	return min(len(list), int(math.Round(-size*math.Log(max(1, float64(size-ones))/size))))
}

// definition returns the definition levels of a column without arrays: 1, or 0
// for a NULL.
func definition(v *event.Vector) []byte {
	if v.Nulls == nil {
		return append(binary.AppendUvarint(nil, uint64(v.Len)<<1), 1)
	}
	levels := make([]uint32, v.Len)
	for i := range levels {
		if !v.Nulls.Has(i) {
			levels[i] = 1
		}
	}
	return appendHybrid(nil, levels, 1)
}

// arrayLevels returns repetition and definition levels of a text[] column: a
// NULL is 0 0, an empty array 0 1, elements are (0, 1, 1…) 2.
func arrayLevels(v *event.Vector) (repetition, definition []byte, values int) {
	n := v.Len + len(v.Codes)
	reps, defs := make([]uint32, 0, n), make([]uint32, 0, n)
	for i := range v.Len {
		n := int(v.Offsets[i+1] - v.Offsets[i])
		switch {
		case v.Nulls.Has(i):
			reps, defs = append(reps, 0), append(defs, 0)
		case n == 0:
			reps, defs = append(reps, 0), append(defs, 1)
		}
		for j := range n {
			reps, defs = append(reps, uint32(min(j, 1))), append(defs, 2)
		}
	}
	return appendHybrid(nil, reps, 1), appendHybrid(nil, defs, 2), len(reps)
}

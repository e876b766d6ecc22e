package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// The wire and disk form of a batch is msgpack, by column:
//
//	[version, table, rows, [column, …]]
//	column:  [name, type, nulls, values…]
//	nulls:   bin, one bit a row, least significant first; empty when none is NULL
//	values:  Bool       bits
//	         Float8     bin, 8 bytes a row, little endian
//	         integers   packed
//	         Text       dictionary, packed codes
//	         TextArray  dictionary, packed codes, packed offsets
//	packed:  base, width, bin: each value is base plus width little-endian bytes
//	dictionary: packed lengths, bin of all strings
//
// A column that is NULL in every row is left out. Columns carry their names,
// so a reader with another list of columns skips what it does not know.
const codecVersion = 1

// Limits of a batch on the wire. Decode refuses more before it allocates.
const (
	MaxRows     = 1 << 16
	maxColumns  = 1 << 10
	maxElements = 1 << 20 // of all arrays of a column together
)

// Encode appends the wire form of b to dst.
func Encode(dst []byte, b *Batch) []byte {
	buf := bytes.NewBuffer(dst)
	e := msgpack.NewEncoder(buf)
	e.UseCompactInts(true)
	n := 0
	for _, v := range b.Columns {
		if v != nil {
			n++
		}
	}
	// Writing to a bytes.Buffer does not fail.
	_ = e.EncodeArrayLen(4)
	_ = e.EncodeUint(codecVersion)
	_ = e.EncodeString(b.Table.Name)
	_ = e.EncodeUint(uint64(b.Rows))
	_ = e.EncodeArrayLen(n)
	for i, v := range b.Columns {
		if v != nil {
			encodeVector(e, b.Table.Columns[i].Name, v)
		}
	}
	return buf.Bytes()
}

func encodeVector(e *msgpack.Encoder, name string, v *Vector) {
	_ = e.EncodeArrayLen(v.Type.fields())
	_ = e.EncodeString(name)
	_ = e.EncodeUint(uint64(v.Type))
	_ = e.EncodeBytes(bitmapBytes(v.Nulls, v.Len))
	switch {
	case v.Type == Bool:
		bits := make([]byte, (v.Len+7)/8)
		for i, t := range v.Bools {
			if t {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		_ = e.EncodeBytes(bits)
	case v.Type == Float8:
		raw := make([]byte, 0, 8*v.Len)
		for _, f := range v.Floats {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(f))
		}
		_ = e.EncodeBytes(raw)
	case v.Type.integer():
		encodePacked(e, v.Ints, v.Nulls)
	default:
		lengths, size := make([]int64, len(v.Dict)), 0
		for i, s := range v.Dict {
			lengths[i] = int64(len(s))
			size += len(s)
		}
		all := make([]byte, 0, size)
		for _, s := range v.Dict {
			all = append(all, s...)
		}
		_ = e.EncodeUint(uint64(len(v.Dict)))
		encodePacked(e, lengths, nil)
		_ = e.EncodeBytes(all)
		if v.Type == TextArray {
			encodePacked(e, v.Offsets, nil)
		}
		encodePacked(e, v.Codes, nil)
	}
}

// fields is the length of the msgpack array that holds a column of type t:
// name, type, nulls, and 3 for each packed list, 5 for a dictionary.
func (t Type) fields() int {
	switch {
	case t == TextArray:
		return 3 + 5 + 3 + 3
	case t.dictionary():
		return 3 + 5 + 3
	case t.integer():
		return 3 + 3
	default:
		return 3 + 1
	}
}

func bitmapBytes(b Bitmap, rows int) []byte {
	if b == nil {
		return []byte{}
	}
	raw := make([]byte, 0, 8*len(b))
	for _, w := range b {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return append(raw, make([]byte, max(0, (rows+7)/8-len(raw)))...)[:(rows+7)/8]
}

func encodePacked[T int64 | uint32](e *msgpack.Encoder, list []T, nulls Bitmap) {
	base, width, raw := pack(list, nulls)
	_ = e.EncodeInt(base)
	_ = e.EncodeUint(uint64(width))
	_ = e.EncodeBytes(raw)
}

// pack writes each value as its distance from the least one, in as few bytes
// as the greatest distance needs. NULL rows are written as the least value.
func pack[T int64 | uint32](list []T, nulls Bitmap) (base int64, width int, raw []byte) {
	least, greatest := bounds(list, nulls)
	switch span := uint64(greatest) - uint64(least); {
	case span == 0:
		return int64(least), 0, []byte{}
	case span <= math.MaxUint8:
		width = 1
	case span <= math.MaxUint16:
		width = 2
	case span <= math.MaxUint32:
		width = 4
	default:
		width = 8
	}
	raw = make([]byte, width*len(list))
	switch width {
	case 1:
		for i, x := range list {
			raw[i] = byte(x - least)
		}
	case 2:
		for i, x := range list {
			binary.LittleEndian.PutUint16(raw[2*i:], uint16(x-least))
		}
	case 4:
		for i, x := range list {
			binary.LittleEndian.PutUint32(raw[4*i:], uint32(x-least))
		}
	default:
		for i, x := range list {
			binary.LittleEndian.PutUint64(raw[8*i:], uint64(x)-uint64(least))
		}
	}
	for w, word := range nulls {
		for ; word != 0; word &= word - 1 {
			if i := 64*w + bits.TrailingZeros64(word); i < len(list) {
				clear(raw[width*i : width*(i+1)])
			}
		}
	}
	return int64(least), width, raw
}

// bounds returns the least and the greatest value that is not NULL, zeros if
// there is none.
func bounds[T int64 | uint32](list []T, nulls Bitmap) (least, greatest T) {
	first := 0
	for first < len(list) && nulls.Has(first) {
		first++
	}
	if first == len(list) {
		return 0, 0
	}
	least, greatest = list[first], list[first]
	if nulls == nil {
		for _, x := range list {
			least, greatest = min(least, x), max(greatest, x)
		}
		return least, greatest
	}
	for i, x := range list {
		if !nulls.Has(i) {
			least, greatest = min(least, x), max(greatest, x)
		}
	}
	return least, greatest
}

// unpack reads what pack wrote; as uint32 only what fits is right.
func unpack[T int64 | uint32](base int64, width uint64, raw []byte, n int) ([]T, error) {
	switch width {
	case 0, 1, 2, 4, 8:
	default:
		return nil, fmt.Errorf("integer width %d", width)
	}
	if len(raw) != n*int(width) {
		return nil, fmt.Errorf("%d bytes for %d integers of width %d", len(raw), n, width)
	}
	list := make([]T, n)
	switch width {
	case 0:
		for i := range list {
			list[i] = T(base)
		}
	case 1:
		for i := range list {
			list[i] = T(base) + T(raw[i])
		}
	case 2:
		for i := range list {
			list[i] = T(base) + T(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case 4:
		for i := range list {
			list[i] = T(base) + T(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	default:
		for i := range list {
			list[i] = T(base + int64(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	}
	return list, nil
}

// BatchTable returns the table name and the number of rows of an encoded
// batch without decoding it.
func BatchTable(data []byte) (table string, rows int, err error) {
	d := msgpack.NewDecoder(bytes.NewReader(data))
	table, rows, _, err = decodeHeader(d)
	if err != nil {
		return "", 0, fmt.Errorf("decode batch: %w", err)
	}
	return table, rows, nil
}

// Decode reads one batch and nothing after it. With want, only the columns
// for which it is true are decoded; the others are nil, as if all NULL.
// Columns that this build does not know, or knows with another type, are
// skipped. Memory use is bounded by a small multiple of len(data), 8 bytes a
// row and column, and 12 MiB for the elements of each array column.
func Decode(data []byte, want func(column string) bool) (*Batch, error) {
	r := bytes.NewReader(data)
	b, err := decode(msgpack.NewDecoder(r), want)
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes after its end", r.Len())
	}
	if err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	return b, nil
}

func decodeHeader(d *msgpack.Decoder) (table string, rows, columns int, err error) {
	n, err := d.DecodeArrayLen()
	if err != nil {
		return "", 0, 0, err
	}
	version, err := d.DecodeUint64()
	if err != nil {
		return "", 0, 0, err
	}
	if n != 4 || version != codecVersion {
		return "", 0, 0, fmt.Errorf("version %d with %d fields, want version %d with 4", version, n, codecVersion)
	}
	if table, err = d.DecodeString(); err != nil {
		return "", 0, 0, err
	}
	count, err := d.DecodeUint64()
	if err != nil {
		return "", 0, 0, err
	}
	if count > MaxRows {
		return "", 0, 0, fmt.Errorf("%d rows, the limit is %d", count, MaxRows)
	}
	if columns, err = d.DecodeArrayLen(); err != nil {
		return "", 0, 0, err
	}
	if columns < 0 || columns > maxColumns {
		return "", 0, 0, fmt.Errorf("%d columns, the limit is %d", columns, maxColumns)
	}
	return table, int(count), columns, nil
}

func decode(d *msgpack.Decoder, want func(string) bool) (*Batch, error) {
	name, rows, columns, err := decodeHeader(d)
	if err != nil {
		return nil, err
	}
	table := Lookup(name)
	if table == nil {
		return nil, fmt.Errorf("unknown table %q", name)
	}
	b := &Batch{Table: table, Rows: rows, Columns: make([]*Vector, len(table.Columns))}
	for range columns {
		fields, err := d.DecodeArrayLen()
		if err != nil {
			return nil, err
		}
		column, err := d.DecodeString()
		if err != nil {
			return nil, err
		}
		number, err := d.DecodeUint64()
		if err != nil {
			return nil, err
		}
		i := table.Index(column)
		if i < 0 || uint64(table.Columns[i].Type) != number || want != nil && !want(column) {
			for range max(0, fields-2) {
				if err := d.Skip(); err != nil {
					return nil, err
				}
			}
			continue
		}
		if b.Columns[i] != nil {
			return nil, fmt.Errorf("column %q twice", column)
		}
		if b.Columns[i], err = decodeVector(d, table.Columns[i].Type, rows, fields); err != nil {
			return nil, fmt.Errorf("column %q: %w", column, err)
		}
	}
	return b, nil
}

func decodeVector(d *msgpack.Decoder, t Type, rows, fields int) (*Vector, error) {
	if fields != t.fields() {
		return nil, fmt.Errorf("%d fields, want %d", fields, t.fields())
	}
	v := &Vector{Type: t, Len: rows}
	nulls, err := d.DecodeBytes()
	if err != nil {
		return nil, err
	}
	if v.Nulls, err = decodeNulls(nulls, rows); err != nil {
		return nil, err
	}
	switch {
	case t == TextArray:
		return v, decodeArray(d, v)
	case t.dictionary():
		if v.Dict, err = decodeDict(d); err != nil {
			return nil, err
		}
		v.Codes, err = decodeCodes(d, len(v.Dict), rows)
		return v, err
	case t.integer():
		v.Ints, err = decodePacked(d, rows)
		return v, err
	default:
		return v, decodeRaw(d, v)
	}
}

func decodeNulls(raw []byte, rows int) (Bitmap, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) != (rows+7)/8 {
		return nil, fmt.Errorf("%d bytes of null bits for %d rows", len(raw), rows)
	}
	if rows&7 != 0 && raw[len(raw)-1]>>(rows&7) != 0 {
		return nil, errors.New("null bits after the last row")
	}
	raw = append(raw, make([]byte, 7)...)
	nulls := make(Bitmap, (rows+63)/64)
	for i := range nulls {
		nulls[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nulls, nil
}

func decodeRaw(d *msgpack.Decoder, v *Vector) error {
	raw, err := d.DecodeBytes()
	if err != nil {
		return err
	}
	if v.Type == Bool {
		if len(raw) != (v.Len+7)/8 {
			return fmt.Errorf("%d bytes for %d booleans", len(raw), v.Len)
		}
		v.Bools = make([]bool, v.Len)
		for i := range v.Bools {
			v.Bools[i] = raw[i>>3]>>(i&7)&1 != 0
		}
		return nil
	}
	if len(raw) != 8*v.Len {
		return fmt.Errorf("%d bytes for %d doubles", len(raw), v.Len)
	}
	v.Floats = make([]float64, v.Len)
	for i := range v.Floats {
		v.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return nil
}

func decodePacked(d *msgpack.Decoder, n int) ([]int64, error) {
	base, width, raw, err := decodePackedParts(d)
	if err != nil {
		return nil, err
	}
	return unpack[int64](base, width, raw, n)
}

func decodePackedParts(d *msgpack.Decoder) (base int64, width uint64, raw []byte, err error) {
	if base, err = d.DecodeInt64(); err != nil {
		return 0, 0, nil, err
	}
	if width, err = d.DecodeUint64(); err != nil {
		return 0, 0, nil, err
	}
	raw, err = d.DecodeBytes()
	return base, width, raw, err
}

func decodeDict(d *msgpack.Decoder) ([]string, error) {
	count, err := d.DecodeUint64()
	if err != nil {
		return nil, err
	}
	if count > maxElements {
		return nil, fmt.Errorf("%d dictionary entries, the limit is %d", count, maxElements)
	}
	lengths, err := decodePacked(d, int(count))
	if err != nil {
		return nil, err
	}
	blob, err := d.DecodeBytes()
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(blob) || bytes.IndexByte(blob, 0) >= 0 {
		return nil, errors.New("text is not valid UTF-8 without NUL")
	}
	all := string(blob)
	dict := make([]string, count)
	for i, l := range lengths {
		if l < 0 || l > int64(len(all)) {
			return nil, fmt.Errorf("dictionary entry %d has length %d, %d bytes are left", i, l, len(all))
		}
		if int(l) < len(all) && !utf8.RuneStart(all[l]) {
			return nil, fmt.Errorf("dictionary entry %d ends within a character", i)
		}
		dict[i], all = all[:l], all[l:]
	}
	if all != "" {
		return nil, fmt.Errorf("%d bytes after the last dictionary entry", len(all))
	}
	return dict, nil
}

func decodeCodes(d *msgpack.Decoder, dict, n int) ([]uint32, error) {
	base, width, raw, err := decodePackedParts(d)
	if err != nil {
		return nil, err
	}
	if base < 0 || base > maxElements || width > 4 {
		return nil, fmt.Errorf("codes from %d on of %d bytes, the dictionary has %d entries", base, width, dict)
	}
	codes, err := unpack[uint32](base, width, raw, n)
	if err != nil {
		return nil, err
	}
	least, greatest := uint32(base), int64(dict)
	for _, c := range codes {
		// A sum that does not fit wraps to less than base.
		if int64(c) >= greatest || c < least {
			return nil, fmt.Errorf("code %d, the dictionary has %d entries", c, dict)
		}
	}
	return codes, nil
}

func decodeArray(d *msgpack.Decoder, v *Vector) (err error) {
	if v.Dict, err = decodeDict(d); err != nil {
		return err
	}
	offsets, err := decodePacked(d, v.Len+1)
	if err != nil {
		return err
	}
	last := int64(0)
	v.Offsets = make([]uint32, len(offsets))
	for i, o := range offsets {
		if o < last || o > maxElements || i == 0 && o != 0 {
			return fmt.Errorf("array offset %d after %d", o, last)
		}
		v.Offsets[i], last = uint32(o), o
	}
	v.Codes, err = decodeCodes(d, len(v.Dict), int(last))
	return err
}

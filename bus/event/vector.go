package event

import (
	"encoding/json"
	"time"
)

// Bitmap is a set of row numbers, 64 to a word.
type Bitmap []uint64

// Has reports whether row i is in the set; a nil Bitmap is empty.
func (b Bitmap) Has(i int) bool {
	w := i >> 6
	return w < len(b) && b[w]&(1<<(i&63)) != 0
}

func (b *Bitmap) set(i int) {
	for len(*b) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

// Vector is one column of a Batch. Which slices are in use follows from Type:
//
//	Bool                     Bools
//	Int4, Int8, Timestamptz  Ints (Timestamptz: microseconds since the Unix epoch)
//	Float8                   Floats
//	Text, JSONB              Dict and Codes: row i is Dict[Codes[i]]
//	TextArray                Dict, Codes and Offsets: row i is the strings
//	                         Dict[c] for c in Codes[Offsets[i]:Offsets[i+1]]
//
// What stands at a NULL row is unspecified, but a code is always a valid index:
// Dict is not empty when Len > 0. Dict may hold a string twice. Plain is not nil
// if the memory of Dict is at hand as Parquet's PLAIN encoding has it: each text
// after its length, 4 bytes, little-endian.
type Vector struct {
	Type    Type
	Len     int
	Nulls   Bitmap // nil when no row is NULL
	Bools   []bool
	Ints    []int64
	Floats  []float64
	Dict    []string
	Plain   []byte
	Codes   []uint32
	Offsets []uint32 // Len+1 of them
}

// IsNull reports whether row i is NULL. A nil Vector is all NULL.
func (v *Vector) IsNull(i int) bool { return v == nil || v.Nulls.Has(i) }

// Text returns row i of a Text or JSONB vector; "" when it is NULL.
func (v *Vector) Text(i int) string {
	if v.IsNull(i) {
		return ""
	}
	return v.Dict[v.Codes[i]]
}

// Int returns row i of an Int4, Int8 or Timestamptz vector; 0 when it is NULL.
func (v *Vector) Int(i int) int64 {
	if v.IsNull(i) {
		return 0
	}
	return v.Ints[i]
}

// Texts returns row i of a TextArray vector; nil when it is NULL.
func (v *Vector) Texts(i int) []string {
	if v.IsNull(i) {
		return nil
	}
	codes := v.Codes[v.Offsets[i]:v.Offsets[i+1]]
	list := make([]string, len(codes))
	for j, c := range codes {
		list[j] = v.Dict[c]
	}
	return list
}

// Value returns row i as nil (NULL), bool, int64, float64, string, time.Time
// (UTC), json.RawMessage or []string.
func (v *Vector) Value(i int) any {
	if v.IsNull(i) {
		return nil
	}
	switch v.Type {
	case Bool:
		return v.Bools[i]
	case Int4, Int8:
		return v.Ints[i]
	case Timestamptz:
		return time.UnixMicro(v.Ints[i]).UTC()
	case Float8:
		return v.Floats[i]
	case JSONB:
		return json.RawMessage(v.Dict[v.Codes[i]])
	case TextArray:
		return v.Texts(i)
	default:
		return v.Dict[v.Codes[i]]
	}
}

// Batch is some rows of one table, by column.
type Batch struct {
	Table   *Table
	Rows    int
	Columns []*Vector // by position in Table.Columns; nil: all NULL, not asked for, or not fetched
	// Fetch, when it is not nil, reads a column that stands nil in Columns; nil
	// is then all NULL. It is called by Load, FetchAll, or who keeps the result
	// in Columns himself, by one goroutine at a time, and only until the
	// callback that was given the batch returns.
	Fetch func(column int) (*Vector, error)
}

// Load returns the column at position i and fetches it first if need be; nil
// is all NULL.
func (b *Batch) Load(i int) (*Vector, error) {
	if b.Columns[i] != nil || b.Fetch == nil {
		return b.Columns[i], nil
	}
	v, err := b.Fetch(i)
	b.Columns[i] = v
	return v, err
}

// FetchAll fetches the columns for which want is true, nil: all. The batch
// then is as any other, and stays so.
func (b *Batch) FetchAll(want func(column string) bool) error {
	for i := range b.Columns {
		if want != nil && !want(b.Table.Columns[i].Name) {
			continue
		}
		if _, err := b.Load(i); err != nil {
			return err
		}
	}
	b.Fetch = nil
	return nil
}

// Column returns the named column, nil when it is absent.
func (b *Batch) Column(name string) *Vector {
	i := b.Table.Index(name)
	if i < 0 {
		return nil
	}
	return b.Columns[i]
}

// TimeRange returns the least and the greatest value of the table's time
// column in microseconds, ok false when no row has one.
func (b *Batch) TimeRange() (least, greatest int64, ok bool) {
	v := b.Column(b.Table.Time)
	for i := range b.Rows {
		if v.IsNull(i) {
			continue
		}
		t := v.Ints[i]
		if !ok {
			least, greatest, ok = t, t, true
		}
		least, greatest = min(least, t), max(greatest, t)
	}
	return least, greatest, ok
}

// Package segment is the Parquet file in which the store keeps rows of one
// stream table that change no more.
//
// # Format
//
// A segment is a Parquet file as others write it, and any reader of Parquet
// reads it: the schema is the table's list of columns, all of them optional;
//
//	boolean             BOOLEAN
//	integer, bigint     INT32, INT64
//	double precision    DOUBLE
//	timestamptz         INT64, TIMESTAMP(MICROS, UTC)
//	text, jsonb         BYTE_ARRAY, STRING and JSON
//	text[]              LIST of STRING, three levels
//
// Rows are sorted by the table's time column, NULL first, then in the order in
// which they came, in one row group of at most event.MaxRows rows. A column chunk is
// one dictionary page, if the column has a dictionary, and one data page
// (version 2), with CRCs; the codec is zstd, and a data page that it makes
// little smaller is left as it is, so that codes are read without it. The
// columns of BloomColumns have a bloom filter.
//
// Write writes a file and returns its Info, which the store keeps so that a
// scan need not read footers; ReadInfo makes an Info of the footer.
package segment

import (
	"errors"
	"fmt"

	"daemoneye/bus/event"
)

// ErrDamaged is the error, for errors.Is, of bytes that are not what Write has
// written.
var ErrDamaged = errors.New("the segment is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// BloomColumns are the columns with a bloom filter in every table that has
// them: identities and addresses, of which a query names single values that
// are in few segments.
func BloomColumns() []string {
	return []string{
		"pid", "ppid", "entity_id", "parent_entity_id", "executable_hash", "executable_blake3",
		"local_address", "remote_address",
	}
}

// bloomBits are the bits of a bloom filter for each distinct value: about one
// in a hundred values that are not there passes.
const bloomBits = 8

// Info describes a segment: what is where, and what a scan can leave out.
// Chunks are by position in the columns of the table that it was read for.
type Info struct {
	Rows   int
	Chunks []Chunk
}

// Chunk is one column of a segment.
type Chunk struct {
	Offset   int64 // of its first page in the file
	Size     int64 // of its pages; 0: there are none, all rows are NULL
	Nulls    int   // rows
	Distinct int   // values, NULL not counted; exact with a dictionary, else an estimate. 0: unknown
	Bounds   Bounds
	Bloom    Bloom
}

// Bloom is the place of a bloom filter's bits.
type Bloom struct {
	Offset int64
	Size   int    // bytes; 0: there is none
	Sum    uint32 // CRC-32 of the bits
}

// Bounds are the least and the greatest value of a chunk. Which fields are in
// use follows from the column's type: Text: Texts, double precision: Floats,
// the other scalar types: Ints, false being 0 and true 1. Texts are bounds
// that need not be values, since long ones are cut.
type Bounds struct {
	Known  bool
	Ints   [2]int64
	Floats [2]float64
	Texts  [2]string
}

// TimeRange returns the least and the greatest time of the rows, ok false when
// none has one.
func (n *Info) TimeRange(t *event.Table) (least, greatest int64, ok bool) {
	b := &n.Chunks[t.Index(t.Time)].Bounds
	return b.Ints[0], b.Ints[1], b.Known
}

package eventfile

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"daemoneye/bus/event"
)

// Bounds of a row group of a Parquet file that is written, which is held in
// memory: rows, and bytes of their cells as text.
const (
	groupRows  = 64 << 10
	groupBytes = 64 << 20
	// maxDictionary is up to how many bytes a column's dictionary is kept.
	maxDictionary = 4 << 20
)

// ParquetColumn is a column of a result: its name, unlike those of the others,
// and PostgreSQL's name of its type.
type ParquetColumn struct{ Name, Type string }

// ParquetWriter writes rows of text as a Parquet file that other programs
// read, whatever their types:
//
//	boolean                      BOOLEAN
//	smallint, integer, bigint    INT32 or INT64, INT(16), INT(32), INT(64)
//	double precision             DOUBLE
//	timestamp with time zone     INT64, TIMESTAMP(MICROS, UTC)
//	timestamp without time zone  INT64, TIMESTAMP(MICROS, local)
//	date, time                   INT32, DATE; INT64, TIME(MICROS, local)
//	bytea, uuid                  BYTE_ARRAY; FIXED_LEN_BYTE_ARRAY(16), UUID
//	jsonb                        BYTE_ARRAY, JSON
//	an array                     LIST of these
//	text and everything else     BYTE_ARRAY, STRING
//
// A numeric has no bound on its digits, which DECIMAL wants: it is kept as
// text, exact. The codec is zstd; row groups have at most 65,536 rows.
type ParquetWriter struct {
	w       *parquet.GenericWriter[any]
	columns []parquetColumn
	rows    []parquet.Row
	total   int64 // rows
	group   int   // rows of the present row group
	bytes   int   // of its cells
}

type parquetColumn struct {
	name  string
	typ   string
	list  bool
	parse func(cell []byte) (parquet.Value, error)
}

// NewParquetWriter begins a file of at least one column.
func NewParquetWriter(w io.Writer, columns []ParquetColumn) (*ParquetWriter, error) {
	if len(columns) == 0 {
		return nil, errors.New("a Parquet file has at least one column")
	}
	p := &ParquetWriter{rows: make([]parquet.Row, 0, 256)}
	fields := make([]parquet.Field, len(columns))
	for i, c := range columns {
		element, list := strings.CutSuffix(c.Type, "[]")
		node, parse := parquetType(element)
		if list {
			node = parquet.List(parquet.Optional(node))
		}
		p.columns = append(p.columns, parquetColumn{name: c.Name, typ: c.Type, list: list, parse: parse})
		fields[i] = namedNode{parquet.Optional(node), c.Name}
	}
	p.w = parquet.NewGenericWriter[any](w,
		parquet.NewSchema("result", orderedGroup{fields: fields}), parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
		parquet.DictionaryMaxBytes(maxDictionary), parquet.CreatedBy("daemoneye", "", ""), parquet.DataPageStatistics(true))
	return p, nil
}

// orderedGroup is a parquet.Group that keeps the order of its fields.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g orderedGroup) Fields() []parquet.Field { return g.fields }

type namedNode struct {
	parquet.Node
	name string
}

func (n namedNode) Name() string                      { return n.name }
func (n namedNode) Value(reflect.Value) reflect.Value { panic("eventfile: rows are written as values") }

// Write writes rows of cells as psql shows them, row by row; nil is NULL. The
// error of a cell that its column's type can not hold is an *Error without a
// file.
func (p *ParquetWriter) Write(cells [][]byte) error {
	n := len(p.columns)
	if len(cells)%n != 0 {
		return fmt.Errorf("%d cells for %d columns", len(cells), n)
	}
	for ; len(cells) >= n; cells = cells[n:] {
		row := p.next()
		for i := range p.columns {
			var err error
			if row, err = p.columns[i].append(row, cells[i], i); err != nil {
				p.rows = p.rows[:len(p.rows)-1]
				return &Error{Row: p.total + 1, Column: p.columns[i].name, Err: err}
			}
			p.bytes += len(cells[i]) + 8
		}
		p.rows[len(p.rows)-1] = row
		p.total++
		p.group++
		full := p.group == groupRows || p.bytes >= groupBytes
		if full || len(p.rows) == cap(p.rows) {
			if err := p.put(); err != nil {
				return err
			}
		}
		if full {
			if err := p.w.Flush(); err != nil {
				return err
			}
			p.group, p.bytes = 0, 0
		}
	}
	return p.put()
}

// next adds a row, in the memory of one that was written.
func (p *ParquetWriter) next() parquet.Row {
	p.rows = p.rows[:len(p.rows)+1]
	return p.rows[len(p.rows)-1][:0]
}

func (p *ParquetWriter) put() error {
	if len(p.rows) == 0 {
		return nil
	}
	_, err := p.w.WriteRows(p.rows)
	p.rows = p.rows[:0]
	return err
}

// Rows returns how many rows were written.
func (p *ParquetWriter) Rows() int64 { return p.total }

// Close writes the end of the file. It does not close what it is written to.
func (p *ParquetWriter) Close() error { return p.w.Close() }

// append adds the values of a cell: of an array its elements, with their levels.
func (c *parquetColumn) append(row parquet.Row, cell []byte, column int) (parquet.Row, error) {
	switch {
	case cell == nil:
		return append(row, parquet.Value{}.Level(0, 0, column)), nil
	case !c.list:
		v, err := c.value(cell)
		return append(row, v.Level(0, 1, column)), err
	}
	list, nulls, err := event.SplitArray(string(cell))
	if err != nil {
		return row, fmt.Errorf("value %.80q, want %s: %w", cell, c.typ, err)
	}
	if len(list) == 0 {
		return append(row, parquet.Value{}.Level(0, 1, column)), nil
	}
	for i, element := range list {
		repetition := min(i, 1)
		if nulls != nil && nulls[i] {
			row = append(row, parquet.Value{}.Level(repetition, 2, column))
			continue
		}
		v, err := c.value([]byte(element))
		if err != nil {
			return row, err
		}
		row = append(row, v.Level(repetition, 3, column))
	}
	return row, nil
}

func (c *parquetColumn) value(s []byte) (parquet.Value, error) {
	v, err := c.parse(s)
	if err != nil {
		return v, fmt.Errorf("value %.80q of type %s: %w", s, strings.TrimSuffix(c.typ, "[]"), err)
	}
	return v, nil
}

package eventfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

// parquetFile reads one row group after the other, a few rows at a time.
type parquetFile struct {
	ctx     context.Context
	f       *parquet.File
	file    string
	b       *event.Builder
	unknown map[string]int64
	leaves  []leaf // by column index of the file
	groups  []parquet.RowGroup
	rows    parquet.Rows
	buf     []parquet.Row
	row     int64
}

// leaf is a column of values in the file.
type leaf struct {
	name    string
	column  *event.ColumnBuilder // nil: unknown to the table
	typ     event.Type
	kind    parquet.Kind
	logical *format.LogicalType
	list    bool // its values in a row are the elements of an array
	present int  // least definition level at which the list, maybe empty, is there
	element int  // definition level of an element that is not NULL
}

func newParquet(ctx context.Context, r io.ReaderAt, size int64, file string, table *event.Table, unknown map[string]int64) (p *parquetFile, err error) {
	defer catch(file, &err)
	if err := checkFooter(r, size); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	p = &parquetFile{ctx: ctx, f: f, file: file, b: event.NewBuilder(table), unknown: unknown, groups: f.RowGroups(), buf: make([]parquet.Row, 64)}
	for _, path := range f.Schema().Columns() {
		l, err := p.leaf(path)
		if err != nil {
			return nil, &Error{File: file, Column: path[0], Err: err}
		}
		p.leaves = append(p.leaves, l)
	}
	return p, nil
}

// catch turns a panic of the Parquet library on a damaged file into an error.
func catch(file string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: damaged Parquet file: %v", file, r)
	}
}

func (p *parquetFile) leaf(path []string) (leaf, error) {
	l := leaf{name: path[0]}
	i := p.b.Table().Index(l.name)
	if i < 0 {
		return l, nil
	}
	found, ok := p.f.Schema().Lookup(path...)
	if !ok {
		return l, errors.New("it is not in the file's schema")
	}
	l.column, l.typ = p.b.Column(l.name), p.b.Table().Columns[i].Type
	l.kind, l.logical = found.Node.Type().Kind(), found.Node.Type().LogicalType()
	var node parquet.Node = p.f.Schema()
	for depth, name := range path {
		node = child(node, name)
		if node == nil {
			return l, errors.New("it is not in the file's schema")
		}
		switch {
		case node.Repeated() && l.list:
			return l, errors.New("an array of arrays")
		case node.Repeated():
			l.list = true
			l.present = l.element
			l.element++
		case node.Optional():
			l.element++
		}
		if depth == 0 && len(path) > 1 && !l.list && !isList(node) {
			return l, fmt.Errorf("a group of columns, want %v", l.typ)
		}
	}
	if l.list != (l.typ == event.TextArray) && (l.list || l.kind != parquet.ByteArray) {
		return l, fmt.Errorf("%s, want %v", describe(found.Node), l.typ)
	}
	return l, nil
}

func isList(node parquet.Node) bool {
	t := node.Type().LogicalType()
	if t == nil {
		return false
	}
	_, ok := t.Value.(*format.ListType)
	return ok
}

func child(node parquet.Node, name string) parquet.Node {
	for _, f := range node.Fields() {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

func describe(n parquet.Node) string { return strings.ToLower(n.Type().String()) }

func (p *parquetFile) next() (_ *event.Batch, err error) {
	defer catch(p.file, &err)
	for p.b.Rows() <= maxRows-len(p.buf) && p.b.Size() < maxBytes {
		if err := p.ctx.Err(); err != nil {
			return nil, err
		}
		if p.rows == nil {
			if len(p.groups) == 0 {
				break
			}
			all := p.f.Metadata().RowGroups
			if err := checkGroup(p.f, p.f.Size(), &all[len(all)-len(p.groups)]); err != nil {
				return nil, err
			}
			p.rows, p.groups = p.groups[0].Rows(), p.groups[1:]
		}
		n, err := p.rows.ReadRows(p.buf)
		for _, row := range p.buf[:n] {
			p.row++
			if err := p.add(row); err != nil {
				return nil, err
			}
		}
		switch {
		case err == io.EOF || err == nil && n == 0:
			if err := p.rows.Close(); err != nil {
				return nil, err
			}
			p.rows = nil
		case err != nil:
			return nil, errors.Join(err, p.rows.Close())
		}
	}
	if p.b.Rows() == 0 {
		return nil, io.EOF
	}
	return p.b.Batch(), nil
}

func (p *parquetFile) add(row parquet.Row) (err error) {
	row.Range(func(column int, values []parquet.Value) bool {
		l := &p.leaves[column]
		switch {
		case len(values) == 0:
		case l.column == nil:
			if !values[0].IsNull() {
				countUnknown(p.unknown, l.name)
			}
		case l.list:
			err = l.setList(values)
		case !values[0].IsNull():
			err = l.set(values[0])
		}
		if err != nil {
			err = &Error{File: p.file, Row: p.row, Column: l.name, Err: err}
		}
		return err == nil
	})
	p.b.EndRow()
	return err
}

func (l *leaf) setList(values []parquet.Value) error {
	if values[0].DefinitionLevel() < l.present {
		return nil
	}
	list := []string{}
	for _, v := range values {
		switch {
		case v.DefinitionLevel() == l.present: // an empty list
		case v.IsNull():
			return errors.New("NULL as an element, want text[]")
		case l.kind != parquet.ByteArray:
			return fmt.Errorf("elements of %v, want text[]", l.kind)
		default:
			list = append(list, string(v.ByteArray()))
		}
	}
	l.column.Texts(list)
	return nil
}

func (l *leaf) set(v parquet.Value) error {
	wrong := func() error { return fmt.Errorf("value %.80q (%v), want %v", v.String(), l.kind, l.typ) }
	if l.kind == parquet.ByteArray {
		if !utf8.Valid(v.ByteArray()) {
			return wrong()
		}
		return l.column.ParseText(string(v.ByteArray()))
	}
	switch {
	case l.typ == event.Bool && l.kind == parquet.Boolean:
		l.column.Bool(v.Boolean())
	case l.typ == event.Timestamptz:
		us, ok := l.micros(v)
		if !ok {
			return wrong()
		}
		l.column.Micro(us)
	case l.typ == event.Float8 && l.kind == parquet.Double:
		l.column.Float(v.Double())
	case l.typ == event.Float8 && l.kind == parquet.Float:
		l.column.Float(float64(v.Float()))
	case l.typ == event.Int4 || l.typ == event.Int8 || l.typ == event.Float8:
		n, ok := l.integer(v)
		switch {
		case !ok, l.typ == event.Int4 && (n < math.MinInt32 || n > math.MaxInt32):
			return wrong()
		case l.typ == event.Float8:
			l.column.Float(float64(n))
		default:
			l.column.Int(n)
		}
	default:
		return wrong()
	}
	return nil
}

// integer returns the value of an integer column; unsigned ones that do not
// fit in 64 bits with a sign are refused, and so are decimals and times.
func (l *leaf) integer(v parquet.Value) (int64, bool) {
	unsigned := false
	if l.logical != nil && l.logical.Value != nil {
		t, ok := l.logical.Value.(*format.IntType)
		if !ok {
			return 0, false
		}
		unsigned = !t.IsSigned
	}
	switch {
	case l.kind == parquet.Int32 && unsigned:
		return int64(v.Uint32()), true
	case l.kind == parquet.Int32:
		return int64(v.Int32()), true
	case l.kind == parquet.Int64 && unsigned:
		return int64(v.Uint64()), v.Uint64() <= math.MaxInt64
	case l.kind == parquet.Int64:
		return v.Int64(), true
	}
	return 0, false
}

// micros returns the value of a timestamp column in µs.
func (l *leaf) micros(v parquet.Value) (int64, bool) {
	if l.kind == parquet.Int96 { // Spark's: nanoseconds of the day, Julian day
		n := v.Int96()
		const epoch = 2440588 // the Julian day of 1970-01-01
		nanos := int64(n[1])<<32 | int64(n[0])
		return (int64(n[2])-epoch)*int64(24*time.Hour/time.Microsecond) + nanos/1000, true
	}
	if l.kind != parquet.Int64 || l.logical == nil {
		return 0, false
	}
	t, ok := l.logical.Value.(*format.TimestampType)
	if !ok || t.Unit.Value == nil {
		return 0, false
	}
	n := v.Int64()
	switch t.Unit.Value.Duration() {
	case time.Millisecond:
		return n * 1000, n <= math.MaxInt64/1000 && n >= math.MinInt64/1000
	case time.Microsecond:
		return n, true
	case time.Nanosecond:
		return floorDiv(n, 1000), true
	}
	return 0, false
}

// floorDiv rounds towards the past, as time.UnixMicro's users expect.
func floorDiv(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}

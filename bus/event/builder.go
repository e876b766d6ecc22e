package event

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// Builder makes a Batch row by row:
//
//	b := event.NewBuilder(event.Lookup("scans"))
//	source := b.Column("source")
//	for … {
//		source.Text("procfs")
//		b.EndRow()
//	}
//	batch := b.Batch()
//
// A column that is not set before EndRow is NULL in that row.
type Builder struct {
	table   *Table
	rows    int
	size    int
	columns []*ColumnBuilder
}

// ColumnBuilder sets the value of one column in the Builder's present row.
// Setting twice, or with a method of another type, is a bug and panics.
type ColumnBuilder struct {
	parent *Builder
	name   string
	vec    Vector
	codes  map[string]uint32
	nulls  Bitmap // empty: memory for those of vec
	any    bool
	list   []string // the last that Texts was given
}

// NewBuilder returns an empty Builder for t.
func NewBuilder(t *Table) *Builder {
	b := &Builder{table: t, columns: make([]*ColumnBuilder, len(t.Columns))}
	for i, c := range t.Columns {
		b.columns[i] = &ColumnBuilder{parent: b, name: c.Name, vec: Vector{Type: c.Type}}
	}
	return b
}

// Column returns the named column's builder. The name is ours, so an unknown
// one panics.
func (b *Builder) Column(name string) *ColumnBuilder {
	i := b.table.Index(name)
	if i < 0 {
		panic(fmt.Sprintf("event: table %s has no column %q", b.table.Name, name))
	}
	return b.columns[i]
}

// Table returns the table whose rows are built.
func (b *Builder) Table() *Table { return b.table }

// Rows returns the number of finished rows.
func (b *Builder) Rows() int { return b.rows }

// Size returns about how many bytes the finished rows take when encoded,
// counting a repeated string once. It never says much less than the truth.
func (b *Builder) Size() int { return b.size }

// EndRow finishes the row.
func (b *Builder) EndRow() {
	b.rows++
	for _, c := range b.columns {
		if c.any {
			c.pad(b.rows)
		}
	}
}

// Batch returns the rows and leaves the Builder empty, ready for the next.
func (b *Builder) Batch() *Batch {
	batch := &Batch{Table: b.table, Rows: b.rows, Columns: make([]*Vector, len(b.columns))}
	for i, c := range b.columns {
		if c.any {
			v := c.vec
			batch.Columns[i] = &v
		}
		if len(c.codes) > maxKept {
			c.codes = nil
		}
		clear(c.codes)
		c.vec, c.any = Vector{Type: c.vec.Type}, false
	}
	b.rows, b.size = 0, 0
	return batch
}

// Of how many values the memory is kept for the next batch.
const (
	maxKept      = 1024
	maxKeptCodes = 64 << 10 // of lists
)

// Reuse gives the memory of a batch that b has made back to it: nothing of the
// batch is used any more, and b is empty.
func (b *Builder) Reuse(batch *Batch) {
	for i, v := range batch.Columns {
		if v == nil || cap(v.Codes) > maxKeptCodes || cap(v.Offsets) > 2*maxKept || cap(v.Ints) > 2*maxKept {
			continue
		}
		clear(v.Dict)
		c := b.columns[i]
		c.nulls = v.Nulls[:0]
		c.vec = Vector{
			Type: v.Type, Bools: v.Bools[:0], Ints: v.Ints[:0], Floats: v.Floats[:0],
			Dict: v.Dict[:0], Codes: v.Codes[:0], Offsets: v.Offsets[:0],
		}
	}
}

// pad makes the column n rows long with NULLs.
func (c *ColumnBuilder) pad(n int) {
	v := &c.vec
	for v.Len < n {
		if v.Nulls == nil {
			v.Nulls, c.nulls = c.nulls, nil
		}
		v.Nulls.set(v.Len)
		switch {
		case v.Type == Bool:
			v.Bools = append(v.Bools, false)
		case v.Type == Float8:
			v.Floats = append(v.Floats, 0)
		case v.Type.integer():
			v.Ints = append(v.Ints, 0)
		case v.Type == TextArray:
			c.startArray()
			v.Offsets = append(v.Offsets, uint32(len(v.Codes)))
		default:
			v.Codes = append(v.Codes, c.code(""))
		}
		v.Len++
	}
}

func (c *ColumnBuilder) start(ok bool) *Vector {
	if !ok || c.vec.Len > c.parent.rows {
		panic(fmt.Sprintf("event: column %s.%s (%v) set twice or with a value of another type", c.parent.table.Name, c.name, c.vec.Type))
	}
	c.pad(c.parent.rows)
	c.any = true
	c.vec.Len++
	c.parent.size += 8
	return &c.vec
}

func (c *ColumnBuilder) startArray() {
	if len(c.vec.Offsets) == 0 {
		c.vec.Offsets = append(c.vec.Offsets, 0)
		c.code("")
	}
}

// recently is how many of the last values are compared with the next one, before
// it is looked up: rows come in runs that have much in common.
const recently = 4

// recent returns the code of a string that is among the last values.
func (c *ColumnBuilder) recent(s string) (code uint32, ok bool) {
	v := &c.vec
	for i := len(v.Codes) - 1; i >= 0 && i >= len(v.Codes)-recently; i-- {
		if code := v.Codes[i]; v.Dict[code] == s {
			return code, true
		}
	}
	return 0, false
}

// code returns the code of a string that text can hold.
func (c *ColumnBuilder) code(s string) uint32 {
	if code, ok := c.recent(s); ok {
		return code
	}
	if code, ok := c.codes[s]; ok {
		return code
	}
	if c.codes == nil {
		c.codes = make(map[string]uint32)
	}
	code := uint32(len(c.vec.Dict))
	c.codes[s] = code
	c.vec.Dict = append(c.vec.Dict, s)
	c.parent.size += len(s) + 4
	return code
}

// Bool sets a Bool column.
func (c *ColumnBuilder) Bool(b bool) {
	v := c.start(c.vec.Type == Bool)
	v.Bools = append(v.Bools, b)
}

// Int sets an Int4 or Int8 column. A value outside integer's range in an Int4
// column becomes NULL: it comes from outside and must not end the scan.
func (c *ColumnBuilder) Int(n int64) {
	if c.vec.Type == Int4 && (n < math.MinInt32 || n > math.MaxInt32) {
		return
	}
	v := c.start(c.vec.Type == Int4 || c.vec.Type == Int8)
	v.Ints = append(v.Ints, n)
}

// Float sets a Float8 column.
func (c *ColumnBuilder) Float(f float64) {
	v := c.start(c.vec.Type == Float8)
	v.Floats = append(v.Floats, f)
}

// Time sets a Timestamptz column; what is finer than a microsecond is cut off.
func (c *ColumnBuilder) Time(t time.Time) { c.Micro(t.UnixMicro()) }

// Micro sets a Timestamptz column from microseconds since the Unix epoch.
func (c *ColumnBuilder) Micro(us int64) {
	v := c.start(c.vec.Type == Timestamptz)
	v.Ints = append(v.Ints, us)
}

// Text sets a Text column; see Clean for bytes that text can not hold.
func (c *ColumnBuilder) Text(s string) {
	v := c.start(c.vec.Type == Text)
	code, ok := c.recent(s)
	if !ok {
		code = c.code(Clean(s))
	}
	v.Codes = append(v.Codes, code)
}

// TextOrNull sets a Text column, or leaves it NULL when s is empty.
func (c *ColumnBuilder) TextOrNull(s string) {
	if s != "" {
		c.Text(s)
	}
}

// Texts sets a TextArray column. A nil list is NULL, an empty one is not. The
// list must not be changed afterwards: one that comes again is not looked at.
func (c *ColumnBuilder) Texts(list []string) {
	if list == nil {
		return
	}
	v := c.start(c.vec.Type == TextArray)
	c.startArray()
	c.parent.size += 4 * len(list)
	last := c.last()
	same := len(list) > 0 && len(list) == len(last) && len(list) == len(c.list) && &list[0] == &c.list[0]
	if same || slices.EqualFunc(last, list, func(code uint32, s string) bool { return v.Dict[code] == s }) {
		v.Codes = append(v.Codes, last...)
	} else {
		for _, s := range list {
			v.Codes = append(v.Codes, c.code(Clean(s)))
		}
	}
	c.list = list
	v.Offsets = append(v.Offsets, uint32(len(v.Codes)))
}

// last is the codes of the array before.
func (c *ColumnBuilder) last() []uint32 {
	v := &c.vec
	if n := len(v.Offsets); n > 1 {
		return v.Codes[v.Offsets[n-2]:]
	}
	return nil
}

// JSON sets a JSONB column from valid JSON in valid UTF-8; anything else
// panics, since the text is made by us.
func (c *ColumnBuilder) JSON(text []byte) {
	v := c.start(c.vec.Type == JSONB)
	n := len(v.Codes)
	if n > 0 && len(text) > 0 && v.Dict[v.Codes[n-1]] == string(text) {
		v.Codes = append(v.Codes, v.Codes[n-1])
		return
	}
	if !json.Valid(text) || !utf8.Valid(text) {
		panic(fmt.Sprintf("event: column %s.%s set to invalid JSON %q", c.parent.table.Name, c.name, text))
	}
	v.Codes = append(v.Codes, c.code(string(text)))
}

// copyFrom sets the column to row i of v, which has the column's type.
func (c *ColumnBuilder) copyFrom(v *Vector, i int) {
	if v.IsNull(i) {
		return
	}
	switch v.Type {
	case Bool:
		c.Bool(v.Bools[i])
	case Float8:
		c.Float(v.Floats[i])
	case Timestamptz:
		c.Micro(v.Ints[i])
	case Int4, Int8:
		c.Int(v.Ints[i])
	case TextArray:
		c.Texts(v.Texts(i))
	default:
		w := c.start(c.vec.Type == v.Type)
		w.Codes = append(w.Codes, c.code(v.Dict[v.Codes[i]]))
	}
}

// AddRow appends row i of batch, matching columns by name; columns that the
// Builder's table lacks or has with another type are left out.
func (b *Builder) AddRow(batch *Batch, i int) {
	for j, v := range batch.Columns {
		if v == nil {
			continue
		}
		k := j
		if batch.Table != b.table {
			if k = b.table.Index(batch.Table.Columns[j].Name); k < 0 {
				continue
			}
		}
		if c := b.columns[k]; c.vec.Type == v.Type && c.vec.Len <= b.rows {
			c.copyFrom(v, i)
		}
	}
	b.EndRow()
}

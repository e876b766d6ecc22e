package segment

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"daemoneye/bus/event"
)

func physical(t event.Type) format.Type {
	switch t {
	case event.Bool:
		return format.Boolean
	case event.Int4:
		return format.Int32
	case event.Int8, event.Timestamptz:
		return format.Int64
	case event.Float8:
		return format.Double
	}
	return format.ByteArray
}

// path is where the values of a column are in the schema.
func path(c *event.Column) []string {
	if c.Type == event.TextArray {
		return []string{c.Name, "list", "element"}
	}
	return []string{c.Name}
}

// schema is the depth-first list of a table's columns.
func schema(t *event.Table) []format.SchemaElement {
	list := []format.SchemaElement{{Name: t.Name, NumChildren: thrift.New(int32(len(t.Columns)))}}
	for i := range t.Columns {
		c := &t.Columns[i]
		optional := thrift.New(format.Optional)
		if c.Type == event.TextArray {
			list = append(list,
				format.SchemaElement{
					Name: c.Name, RepetitionType: optional, NumChildren: thrift.New(int32(1)),
					ConvertedType: thrift.New(deprecated.List), LogicalType: format.LogicalType{Value: &format.ListType{}},
				},
				format.SchemaElement{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New(int32(1))},
				leafElement("element", format.Required, event.Text))
			continue
		}
		list = append(list, leafElement(c.Name, format.Optional, c.Type))
	}
	return list
}

func leafElement(name string, repetition format.FieldRepetitionType, t event.Type) format.SchemaElement {
	e := format.SchemaElement{Name: name, RepetitionType: thrift.New(repetition), Type: thrift.New(physical(t))}
	switch t {
	case event.Text:
		e.ConvertedType = thrift.New(deprecated.UTF8)
		e.LogicalType.Value = &format.StringType{}
	case event.JSONB:
		e.ConvertedType = thrift.New(deprecated.Json)
		e.LogicalType.Value = &format.JsonType{}
	case event.Timestamptz:
		e.ConvertedType = thrift.New(deprecated.TimestampMicros)
		e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
	}
	return e
}

// maxBound is the length at which a text that bounds a chunk is cut, in bytes.
const maxBound = 64

// summarize fills in what a scan can know of a column without reading it.
// entries are those of its dictionary, 0 when it has none.
func summarize(c *Chunk, v *event.Vector, entries int) {
	c.Nulls = 0
	for _, w := range v.Nulls {
		c.Nulls += bits.OnesCount64(w)
	}
	b := &c.Bounds
	switch v.Type {
	case event.Text:
		c.Distinct = len(v.Dict)
		b.Known = true
		least, greatest := v.Dict[0], v.Dict[0]
		for _, s := range v.Dict[1:] {
			if s < least {
				least = s
			} else if s > greatest {
				greatest = s
			}
		}
		b.Texts = [2]string{least, greatest}
		if len(least) > maxBound {
			b.Texts[0] = least[:maxBound]
		}
		if len(greatest) > maxBound {
			b.Texts[1] = greatest[:maxBound] + "\xff" // above all UTF-8 that begins so
		}
	case event.JSONB, event.TextArray:
		c.Distinct = len(v.Dict) // of the texts or the elements; there is no order
	case event.Float8:
		list := values(v, v.Floats)
		c.Distinct = entries
		b.Known = true
		b.Floats = [2]float64{list[0], list[0]}
		for _, f := range list {
			b.Known = b.Known && f == f
			b.Floats = [2]float64{min(b.Floats[0], f), max(b.Floats[1], f)}
		}
		if !b.Known { // with a NaN, which is the greatest to PostgreSQL and unordered to others
			b.Floats = [2]float64{}
		}
	default:
		if v.Type == event.Bool {
			b.Known = true
			c.Distinct, b.Ints = bools(values(v, v.Bools))
			return
		}
		list := values(v, v.Ints)
		b.Known = true
		b.Ints = [2]int64{list[0], list[0]}
		for _, n := range list {
			b.Ints = [2]int64{min(b.Ints[0], n), max(b.Ints[1], n)}
		}
		if c.Distinct = entries; entries == 0 {
			c.Distinct = distinct(list)
		}
	}
}

func bools(list []bool) (distinct int, bounds [2]int64) {
	yes, no := slices.Contains(list, true), slices.Contains(list, false)
	if yes {
		bounds[1] = 1
		distinct++
	}
	if no {
		distinct++
	} else {
		bounds[0] = 1
	}
	return distinct, bounds
}

// statistics are a chunk's for the footer, where bounds are values.
func statistics(t event.Type, c *Chunk) format.Statistics {
	s := format.Statistics{NullCount: int64(c.Nulls), DistinctCount: int64(c.Distinct)}
	if !c.Bounds.Known {
		return s
	}
	put := func(i int) []byte {
		switch t {
		case event.Text:
			return []byte(c.Bounds.Texts[i])
		case event.Float8:
			return binary.LittleEndian.AppendUint64(nil, math.Float64bits(c.Bounds.Floats[i]))
		case event.Bool:
			return []byte{byte(c.Bounds.Ints[i])}
		}
		return appendPlainInts(nil, c.Bounds.Ints[i:i+1], t)
	}
	if t == event.Text && (len(c.Bounds.Texts[0]) >= maxBound || len(c.Bounds.Texts[1]) >= maxBound) {
		return s
	}
	s.MinValue, s.MaxValue = put(0), put(1)
	return s
}

// footer writes the file's metadata and its end.
func (w *file) footer() {
	group := format.RowGroup{NumRows: int64(w.rows)}
	time := int32(-1)
	for i, leaf := 0, int32(0); i < len(w.columns); i, leaf = i+1, leaf+1 {
		m := &w.columns[i].meta
		group.TotalByteSize += m.TotalUncompressedSize
		group.TotalCompressedSize += m.TotalCompressedSize
		group.Columns = append(group.Columns, format.ColumnChunk{MetaData: *m})
		if w.table.Columns[i].Name == w.table.Time {
			time = leaf
		}
	}
	group.FileOffset = int64(len(magic))
	group.SortingColumns = []format.SortingColumn{{ColumnIdx: time, NullsFirst: true}}
	footer := format.FileMetaData{
		Version: 2, Schema: schema(w.table), NumRows: int64(w.rows), RowGroups: []format.RowGroup{group},
		CreatedBy: "daemoneye",
	}
	for range w.columns {
		footer.ColumnOrders = append(footer.ColumnOrders, format.ColumnOrder{Value: &format.TypeDefinedOrder{}})
	}
	data, err := thrift.Marshal(new(thrift.CompactProtocol), &footer)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.write(data)
	w.write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(data))), magic...))
}

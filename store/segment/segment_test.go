package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

// failer is a *testing.T, *testing.B, *testing.F or *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func newWriter(t failer) *Writer {
	t.Helper()
	w, err := NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newDecoder(t failer) *Decoder {
	t.Helper()
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// write returns the bytes of a segment and its Info.
func write(t failer, batches ...*event.Batch) ([]byte, *Info) {
	t.Helper()
	var buf bytes.Buffer
	info, err := newWriter(t).Write(&buf, batches)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), info
}

// readAll reads every column.
func readAll(d *Decoder, m *Memory, data []byte, info *Info, t *event.Table) (*event.Batch, error) {
	b := &event.Batch{Table: t, Rows: info.Rows, Columns: make([]*event.Vector, len(t.Columns))}
	for i := range t.Columns {
		v, err := d.Column(m, bytes.NewReader(data), &info.Chunks[i], t.Columns[i].Type, info.Rows)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", t.Columns[i].Name, err)
		}
		b.Columns[i] = v
	}
	return b, nil
}

// rows returns the rows of batches as text.
func rows(batches ...*event.Batch) []string {
	var list []string
	for _, b := range batches {
		for i := range b.Rows {
			list = append(list, string(event.AppendJSONRow(nil, b, i)))
		}
	}
	return list
}

// byTime sorts as a segment does.
func byTime(batches []*event.Batch) []string {
	type row struct {
		time int64
		text string
	}
	var list []row
	for _, b := range batches {
		at := b.Column(b.Table.Time)
		for i, text := range rows(b) {
			r := row{math.MinInt64, text}
			if !at.IsNull(i) {
				r.time = at.Ints[i]
			}
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b row) int { return order3(a.time, b.time) })
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].text
	}
	return texts
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d is %s, want %s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d rows, want %d", len(got), len(want))
	}
	return ""
}

func drawBatches(t *rapid.T) []*event.Batch {
	table := event.Lookup(rapid.SampledFrom([]string{"process_events", "process_samples", "scans", "event_gaps", "alerts"}).Draw(t, "table"))
	texts := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "/usr/bin/sh", "größer", "\xf0\x9f\x98\x80", "日本"}),
		rapid.StringMatching(`[a-zé日]{0,90}`),
	)
	used := map[string]bool{}
	for _, c := range table.Columns {
		used[c.Name] = rapid.IntRange(0, 3).Draw(t, "used") > 0
	}
	var batches []*event.Batch
	for range rapid.IntRange(1, 4).Draw(t, "batches") {
		b := event.NewBuilder(table)
		repeat := rapid.SampledFrom([]int{1, 1, 3, 90}).Draw(t, "repeat")
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			b.EndRow()
			for _, c := range table.Columns {
				if used[c.Name] && rapid.IntRange(0, 4).Draw(t, "null") > 0 {
					set(t, b.Column(c.Name), c.Type, texts)
				}
			}
			b.EndRow()
			for range repeat - 1 {
				last := b.Batch()
				for i := range last.Rows {
					b.AddRow(last, i)
				}
				b.AddRow(last, last.Rows-1)
			}
		}
		batches = append(batches, b.Batch())
	}
	return batches
}

func set(t *rapid.T, c *event.ColumnBuilder, typ event.Type, texts *rapid.Generator[string]) {
	ints := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64())
	switch typ {
	case event.Bool:
		c.Bool(rapid.Bool().Draw(t, "bool"))
	case event.Int4:
		c.Int(int64(rapid.OneOf(rapid.Int32Range(-3, 3), rapid.Int32()).Draw(t, "int4")))
	case event.Int8:
		c.Int(ints.Draw(t, "int8"))
	case event.Timestamptz:
		c.Micro(ints.Draw(t, "time"))
	case event.Float8:
		c.Float(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0})).Draw(t, "float"))
	case event.JSONB:
		c.JSON([]byte(rapid.SampledFrom([]string{`{}`, `{"a": "ü"}`, `null`, `[1, 2]`}).Draw(t, "json")))
	case event.TextArray:
		list := rapid.SliceOfN(texts, 0, 3).Draw(t, "texts")
		if list == nil {
			list = []string{}
		}
		c.Texts(list)
	default:
		c.Text(texts.Draw(t, "text"))
	}
}

// plainTexts splits the PLAIN encoding of texts.
func plainTexts(data []byte) []string {
	var list []string
	for len(data) > 0 {
		end := 4 + binary.LittleEndian.Uint32(data)
		list = append(list, string(data[4:end]))
		data = data[end:]
	}
	return list
}

// What is read is what was written, in the order of time, whether the Info
// comes from Write, its stored form, or the footer; and parquet-go agrees.
func TestRoundTrip(t *testing.T) {
	d, used := newDecoder(t), &Memory{Texts: true} // and dirty after the first check
	rapid.Check(t, func(t *rapid.T) {
		batches := drawBatches(t)
		want := byTime(batches)
		if len(want) == 0 {
			t.Skip("no rows")
		}
		table := batches[0].Table
		var buf bytes.Buffer
		info, err := newWriter(t).Write(&buf, batches)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := DecodeInfo(info.Encode(table), table)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(stored, info) {
			t.Fatalf("stored info %+v, want %+v", stored, info)
		}
		footer, err := ReadInfo(bytes.NewReader(buf.Bytes()), int64(buf.Len()), table)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range map[string]*Info{"info": info, "footer": footer} {
			m := used
			if name == "footer" {
				m = nil
			}
			used.Reset()
			got, err := readAll(d, m, buf.Bytes(), n, table)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := firstDifference(rows(got), want); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
			if _, err := event.Decode(event.Encode(nil, got), nil); err != nil {
				t.Fatalf("%s: the batch is not well formed: %v", name, err)
			}
			for i, v := range got.Columns {
				if v != nil && v.Plain != nil && !slices.Equal(plainTexts(v.Plain), v.Dict) {
					t.Fatalf("%s: column %s: Plain is %q, Dict %q", name, table.Columns[i].Name, v.Plain, v.Dict)
				}
			}
		}
		f, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if f.NumRows() != int64(len(want)) {
			t.Fatalf("parquet-go finds %d rows, want %d", f.NumRows(), len(want))
		}
	})
}

package eventfile

import (
	"io"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
)

// BenchmarkParquetWriter writes rows of process_events, whose text is made
// outside of the time measured.
func BenchmarkParquetWriter(b *testing.B) {
	const rows = 20_000
	table := event.Lookup("process_events")
	var columns []ParquetColumn
	for _, c := range table.Columns {
		columns = append(columns, ParquetColumn{c.Name, c.Type.String()})
	}
	g := eventtest.New(eventtest.Config{Seed: 1, Rows: rows})
	var cells [][]byte
	for range rows / 1000 {
		batch := g.Next()
		for i := range batch.Rows {
			for k := range batch.Columns {
				cells = append(cells, benchCell(batch.Columns[k], i))
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewParquetWriter(io.Discard, columns)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Write(cells); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(cells)/len(columns))/b.Elapsed().Seconds(), "rows/s")
}

// benchCell is the text that psql shows.
func benchCell(v *event.Vector, i int) []byte {
	if v.IsNull(i) {
		return nil
	}
	text := v.AppendJSON(nil, i)
	switch v.Type {
	case event.Bool:
		return text[:1]
	case event.Text:
		return text[1 : len(text)-1]
	case event.Timestamptz:
		return append(append(append([]byte{}, text[1:11]...), ' '), append(text[12:27], "+00"...)...)
	case event.TextArray:
		text[0], text[len(text)-1] = '{', '}'
	}
	return text
}

package segment

import (
	"bytes"
	"io"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
)

// sample returns the rows of one full segment of a host of 10 million.
func sample(rows int) []*event.Batch {
	g := eventtest.New(eventtest.Config{Seed: 1})
	var list []*event.Batch
	for ; rows > 0; rows -= 1000 {
		b := g.Next()
		decoded, err := event.Decode(event.Encode(nil, b), nil)
		if err != nil {
			panic(err)
		}
		list = append(list, decoded)
	}
	return list
}

func BenchmarkWrite(b *testing.B) {
	list, w := sample(65_000), newWriter(b)
	var n int64
	for b.Loop() {
		var buf bytes.Buffer
		if _, err := w.Write(&buf, list); err != nil {
			b.Fatal(err)
		}
		n = int64(buf.Len())
	}
	b.ReportMetric(65_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(n)/65_000, "bytes/row")
}

func BenchmarkColumn(b *testing.B) {
	var buf bytes.Buffer
	info, err := newWriter(b).Write(&buf, sample(65_000))
	if err != nil {
		b.Fatal(err)
	}
	d, t := newDecoder(b), event.Lookup("process_events")
	var r io.ReaderAt = bytes.NewReader(buf.Bytes())
	for i, c := range t.Columns {
		if info.Chunks[i].Size == 0 {
			continue
		}
		b.Run(c.Name, func(b *testing.B) {
			m := &Memory{}
			for b.Loop() {
				m.Reset()
				if _, err := d.Column(m, r, &info.Chunks[i], c.Type, info.Rows); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(info.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			b.ReportMetric(float64(info.Chunks[i].Size)/float64(info.Rows), "bytes/row")
			b.ReportMetric(float64(info.Chunks[i].Bloom.Size)/float64(info.Rows), "bloom/row")
			b.ReportMetric(float64(info.Chunks[i].Distinct), "distinct")
		})
	}
}

package store

import (
	"testing"

	"daemoneye/bus/event"
)

// BenchmarkAppend appends batches of 1,000 process_events.
func BenchmarkAppend(b *testing.B) {
	s := openStore(b, b.TempDir(), Config{RetainInterval: -1})
	data := make([][]byte, 8)
	for i := range data {
		data[i] = processEvents(epoch, 1000*i, 1000)
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), data[i%len(data)]}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(len(data[0]))/1000, "bytes/row")
}

// BenchmarkScan reads 200,000 rows of process_events.
func BenchmarkScan(b *testing.B) {
	s := openStore(b, b.TempDir(), Config{RetainInterval: -1})
	for i := range 200 {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), processEvents(epoch, 1000*(i%8), 1000)}}); err != nil {
			b.Fatal(err)
		}
	}
	for name, columns := range map[string][]string{"one": {"executable_path"}, "all": nil} {
		b.Run(name, func(b *testing.B) {
			rows := 0
			for range b.N {
				err := s.Scan(noDeadline(), ScanRequest{Table: event.Lookup("process_events"), Columns: columns}, func(_ uint64, batch *event.Batch) error {
					rows += batch.Rows
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

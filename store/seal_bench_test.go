package store

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
)

// waitingStore returns a store with the generator's rows in waiting batches.
func waitingStore(b testing.TB, rows int) *Store {
	cfg := quiet()
	s := openStore(b, b.TempDir(), cfg)
	g := eventtest.New(eventtest.Config{Seed: 1})
	for seq := uint64(1); seq <= uint64(rows/1000); seq++ {
		if _, err := s.Append(noDeadline(), []Batch{{"c", seq, event.Encode(nil, g.Next())}}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// cpuSeconds returns the CPU time of this process, of all its threads that are
// there; 0 where /proc does not tell. On a machine that others use it says more
// than a clock.
func cpuSeconds() (total float64) {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, f := range files {
		var ns float64
		text, err := os.ReadFile(f)
		if _, scanErr := fmt.Sscan(string(text), &ns); err == nil && scanErr == nil {
			total += ns / 1e9
		}
	}
	return total
}

// BenchmarkSeal seals 195,000 of 260,000 waiting rows, three segments, with
// everything that it does: reading, sorting, writing, fsync, the catalog,
// deleting. The state snapshot that covers them was written as they came.
func BenchmarkSeal(b *testing.B) {
	const rows = 195_000
	bytes, cpu := int64(0), 0.0
	for range b.N {
		b.StopTimer()
		s := waitingStore(b, 260_000)
		runtime.GC()
		cpu -= cpuSeconds()
		b.StartTimer()
		done, err := s.Seal(noDeadline())
		b.StopTimer()
		if err != nil || done.Rows != rows || done.Segments != 3 {
			b.Fatal(done, err)
		}
		bytes += done.Bytes
		cpu += cpuSeconds()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(rows*float64(b.N)/cpu, "rows/cpu-s")
	b.ReportMetric(float64(bytes)/float64(b.N)/rows, "bytes/row")
}

// BenchmarkSegment reads 2 million sealed rows: the codes of one dictionary
// column, of two with a comparison, a substring in command_line, all columns,
// and one process by its entity_id.
func BenchmarkSegment(b *testing.B) {
	const rows = 2_015_000 // 31 full segments
	s := waitingStore(b, rows)
	if done, err := s.SealAll(noDeadline()); err != nil || done.Segments != 31 {
		b.Fatal(done, err)
	}
	table := event.Lookup("process_events")
	name, user, line := table.Index("name"), table.Index("user_name"), table.Index("command_line")
	equal := func(v *event.Vector, s string) (code uint32, ok bool) {
		for i, d := range v.Dict {
			if d == s {
				return uint32(i), true
			}
		}
		return 0, false
	}
	for _, c := range []struct {
		name    string
		columns []string
		where   []Condition
		read    func(b *event.Batch) (matches int, err error)
	}{
		{"decode one dictionary column", []string{"name"}, nil, func(b *event.Batch) (int, error) {
			_, err := b.Load(name)
			return 0, err
		}},
		{"equality on name", []string{"name"}, nil, func(b *event.Batch) (n int, err error) {
			v, err := b.Load(name)
			if err != nil {
				return 0, err
			}
			if code, ok := equal(v, "python3"); ok {
				for _, c := range v.Codes {
					if c == code {
						n++
					}
				}
			}
			return n, nil
		}},
		{"equality on two columns", []string{"name", "user_name"}, nil, func(b *event.Batch) (n int, err error) {
			v, err := b.Load(name)
			if err != nil {
				return 0, err
			}
			u, err := b.Load(user)
			if err != nil {
				return 0, err
			}
			code, ok := equal(v, "python3")
			other, ok2 := equal(u, "root")
			if ok && ok2 {
				for i, c := range v.Codes {
					if c == code && u.Codes[i] == other {
						n++
					}
				}
			}
			return n, nil
		}},
		{"group by name", []string{"name"}, nil, func(b *event.Batch) (int, error) {
			v, err := b.Load(name)
			if err != nil {
				return 0, err
			}
			counts := make([]int, len(v.Dict))
			for _, c := range v.Codes {
				counts[c]++
			}
			return counts[0], nil
		}},
		{"needle in command_line", []string{"command_line"}, nil, func(b *event.Batch) (n int, err error) {
			v, err := b.Load(line)
			if err != nil {
				return 0, err
			}
			hit := make([]bool, len(v.Dict))
			for i, s := range v.Dict {
				hit[i] = strings.Contains(s, "job 99999 ")
			}
			for _, c := range v.Codes {
				if hit[c] {
					n++
				}
			}
			return n, nil
		}},
		{"all columns", nil, nil, func(b *event.Batch) (int, error) { return 0, b.FetchAll(nil) }},
		{
			"one entity_id",
			[]string{"name"},
			[]Condition{{Column: "entity_id", Op: Equal, Values: []any{strings.Repeat("0", 32)}}},
			func(b *event.Batch) (int, error) { return 0, b.FetchAll(nil) },
		},
	} {
		for _, workers := range []int{1, 2} {
			b.Run(c.name+"/"+[]string{"", "one core", "two cores"}[workers], func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				cpu := -cpuSeconds()
				for range b.N {
					sc, err := s.Parts(noDeadline(), ScanRequest{Table: table, Columns: c.columns, Where: c.where, Reuse: true})
					if err != nil {
						b.Fatal(err)
					}
					var wg sync.WaitGroup
					for w := range workers {
						wg.Go(func() {
							for i := w; i < sc.Len(); i += workers {
								err := sc.Read(noDeadline(), i, func(batch *event.Batch) error { _, err := c.read(batch); return err })
								if err != nil {
									b.Error(err)
								}
							}
						})
					}
					wg.Wait()
					sc.Close()
				}
				runtime.ReadMemStats(&after)
				cpu += cpuSeconds()
				b.ReportMetric(rows*float64(b.N)/cpu/1e6, "Mrows/cpu-s")
				b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
				b.ReportMetric(float64(residentKB(b)["RssAnon"])/1024, "RssAnon-MB")
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/1e6, "allocMB")
			})
		}
	}
}

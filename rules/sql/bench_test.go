package sql

import (
	"context"
	"fmt"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// benchBatches are n rows in batches of 16 Ki: 2,000 executables by a zipf-like law,
// command lines of which most repeat.
func benchBatches(n int) []*event.Batch {
	const size = 16384
	b := event.NewBuilder(event.Lookup("process_events"))
	seed := uint64(1)
	next := func() uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed >> 33
	}
	var out []*event.Batch
	for i := range n {
		r := next()%2000 + 1
		k := 2000 / r
		b.Column("time").Time(testTime.Add(time.Duration(i) * time.Millisecond))
		b.Column("pid").Int(int64(i % 4_000_000))
		b.Column("name").Text(fmt.Sprintf("exe%d", k))
		b.Column("user_id").Int(int64(next() % 20))
		if next()%10 < 6 {
			b.Column("command_line").Text(fmt.Sprintf("/usr/bin/exe%d --config /etc/exe%d.conf --mode %d", k, k, next()%4))
		} else {
			b.Column("command_line").Text(fmt.Sprintf("/usr/bin/exe%d --job %d --output /tmp/result-%d.json", k, i, next()))
		}
		b.EndRow()
		if b.Rows() == size {
			out = append(out, b.Batch())
		}
	}
	return append(out, b.Batch())
}

func BenchmarkRun(b *testing.B) {
	const rows = 1_000_000
	src := &memory{batches: benchBatches(rows)}
	for _, c := range []struct{ name, text string }{
		{"needle", "SELECT pid FROM process_events WHERE command_line LIKE '%job 999999 %'"},
		{"regexp", "SELECT pid FROM process_events WHERE command_line ~ 'result-99999[0-9]+'"},
		{"equality", "SELECT pid FROM process_events WHERE name = 'exe500'"},
		{"two columns", "SELECT pid FROM process_events WHERE name = 'exe2' AND user_id = 7"},
		{"window", "SELECT count(*) FROM process_events WHERE time BETWEEN '2024-03-01 12:05' AND '2024-03-01 12:06'"},
		{"count", "SELECT count(*) FROM process_events"},
		{"group by name", "SELECT name, count(*) FROM process_events GROUP BY name"},
		{"group by two", "SELECT name, user_id, count(*), max(pid) FROM process_events GROUP BY name, user_id"},
		{"top 10", "SELECT pid, time FROM process_events ORDER BY time DESC LIMIT 10"},
	} {
		b.Run(c.name, func(b *testing.B) {
			q, err := Compile(c.text, Config{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := q.Run(context.Background(), src, Options{}, func(*Rows) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile("SELECT pid, name FROM process_events WHERE name IN ('nc', 'ncat') AND command_line ~* '-(e|-exec)\\M' AND time > now() - interval '1 hour'", Config{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "statements/s")
}

func BenchmarkMatch(b *testing.B) {
	batch := benchBatches(1000)[0]
	q, err := Compile("SELECT pid, name FROM process_events WHERE name IN ('nc', 'ncat', 'exe7', 'x', 'y') AND command_line LIKE '%--job%'", Config{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := q.Match(batch, testTime); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch.Rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

package history

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

const evenRate = 10_000 // rows/s

// besides are what runs beside ingest, each over the rows that are there.
var besides = []struct{ name, text string }{
	{"nothing", ""},
	{"needle", "SELECT count(*) FROM process_events WHERE command_line LIKE '%--job 4242 %'"},
	{"group by name", "SELECT name, count(*) FROM process_events GROUP BY name"},
	{"self-join", "SELECT p.name, count(*) FROM process_events p JOIN process_events c ON c.parent_entity_id = p.entity_id WHERE p.name = 'sh' AND c.name = 'curl' GROUP BY p.name"},
}

// TestIngestBesideQueries appends batches, which are sealed in the background
// as the agent does it, while queries run in a loop on all cores: as fast as it
// can, and at an even rate, with the time of each batch.
func TestIngestBesideQueries(t *testing.T) {
	if *peerRows == 0 {
		t.Skip("it measures, and needs -rows")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the agent
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.NumCPU()))
	cfg := unlimited()
	cfg.SealInterval = time.Second
	s, err := store.Open(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := &ingest{store: s, data: encoded(t, min(*peerRows, 200_000))}
	for in.rows < *peerRows { // what the queries read
		in.append(t)
	}
	if _, err := s.SealAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	var report strings.Builder
	report.WriteString("| beside | rows/s | of alone | batch at 10,000 rows/s, ms: p50 | p99 | queries |\n|---|---|---|---|---|---|\n")
	var alone []float64
	for range 3 { // in turn, since the machine is not ours alone
		for _, q := range besides {
			stop := beside(t, s, q.text)
			full := in.forFull(t, 3*time.Second)
			p50, p99 := in.even(t, 3*time.Second, evenRate)
			n := stop()
			if q.text == "" {
				alone = append(alone, full)
			}
			fmt.Fprintf(&report, "| %s | %s | %.0f %% | %.2f | %.2f | %d |\n", q.name, thousands(full), 100*full/alone[len(alone)-1], p50, p99, n)
		}
	}
	fmt.Println(report.String())
}

func encoded(t *testing.T, rows int) (out [][]byte) {
	t.Helper()
	if err := generate(rows, func(b *event.Batch) error {
		out = append(out, event.Encode(nil, b))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// ingest appends the same batches again and again.
type ingest struct {
	store *store.Store
	data  [][]byte
	seq   uint64
	rows  int
}

func (in *ingest) append(t *testing.T) {
	t.Helper()
	data := in.data[int(in.seq)%len(in.data)]
	in.seq++
	if _, err := in.store.Append(context.Background(), []store.Batch{{Collector: "c", Sequence: in.seq, Data: data}}); err != nil {
		t.Fatal(err)
	}
	in.rows += 1000
}

// forFull appends as fast as it can and returns rows/s.
func (in *ingest) forFull(t *testing.T, d time.Duration) float64 {
	begun, before := time.Now(), in.rows
	for time.Since(begun) < d {
		in.append(t)
	}
	return float64(in.rows-before) / time.Since(begun).Seconds()
}

// even appends so many rows/s and returns how long a batch took from when it
// was due, in ms.
func (in *ingest) even(t *testing.T, d time.Duration, rate int) (p50, p99 float64) {
	every := time.Second * 1000 / time.Duration(rate)
	var took []float64
	begun := time.Now()
	for due := begun; due.Sub(begun) < d; due = due.Add(every) {
		time.Sleep(time.Until(due))
		in.append(t)
		took = append(took, time.Since(due).Seconds()*1000)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// beside runs a query in a loop until the returned function is called, which
// tells how often.
func beside(t *testing.T, s *store.Store, text string) (stop func() int) {
	t.Helper()
	if text == "" {
		return func() int { return 0 }
	}
	q, err := sql.Compile(text, sql.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	n := 0
	wg.Add(1)
	platform.Background(func() {
		defer wg.Done()
		for ctx.Err() == nil {
			v := &View{Store: s}
			if err := q.Run(ctx, v.Reader(), sql.Options{Workers: runtime.NumCPU(), Go: platform.Background}, func(*sql.Rows) error { return nil }); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", text, err)
				return
			}
			n++
		}
	})
	return func() int {
		cancel()
		wg.Wait()
		return n
	}
}

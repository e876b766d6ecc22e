package history

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/bus/event/eventtest"
)

// What TestPeers is told by flags; zero rows: only a small comparison.
var (
	peerRows    = flag.Int("rows", 0, "rows of process_events over which TestPeers compares engines, TestIngestBesideQueries appends")
	peerRuns    = flag.Int("runs", 5, "runs of each query, after one that does not count")
	peerOnly    = flag.String("queries", "", "only queries whose name contains this")
	peerNames   = flag.String("engines", "", "only engines whose name is in this list; default: all")
	peerData    = flag.String("peers-data", "", "directory that keeps the engines' data for the next run; default: a temporary one")
	peerProfile = flag.String("peers-profile", "", "directory for a CPU profile of our engine for each query")
)

// peer is an engine that has the rows.
type peer interface {
	// ask answers one statement in the engine's dialect.
	ask(ctx context.Context, q *peerQuery) (peerReply, error)
	close()
}

// peerReply is an answer: cells as texts, nil for NULL.
type peerReply struct {
	Rows   [][]*string `json:"rows"`
	Millis float64     `json:"millis"`
	CPU    float64     `json:"cpu"` // ms of all threads; 0: not known
	Error  string      `json:"error,omitempty"`
	Peak   int64       `json:"peak"` // resident bytes of the engine's process; 0: not known
}

// loaded is what it took to give an engine its rows.
type loaded struct {
	Rows    int
	Bytes   int64   // on disk
	Seconds float64 // of loading, with indexes and statistics
	Sealing float64 // seconds of Seconds, only ours
	Deepest string  // entity_id of a process with many ancestors, only ours
	Needle  string  // part of one command line, in the middle, only ours
	Version string
}

// contestant is an engine in the comparison, once for each number of workers.
type contestant struct {
	name    string
	load    func(t *testing.T, dir string, rows int) (loaded, error) // an error: it is not to be had
	open    func(t *testing.T, dir string, workers int) (peer, error)
	workers []int // that it is told; 0: its own choice
}

func contestants() []contestant {
	cores := []int{runtime.NumCPU()}
	if cores[0] > 1 {
		cores = append(cores, 1)
	}
	return []contestant{
		{"DaemonEye", loadOwn, openOwn, cores},
		{"DuckDB", loadDuck, openDuck, cores},
		{"PostgreSQL", loadPostgres, openPostgres, []int{0}},
		{"SQLite", loadSQLite, openSQLite, []int{0}},
	}
}

// column is one column of the report: an engine with a number of workers.
type column struct {
	name, label string
	workers     int
	peer        peer
}

// TestPeers gives the same rows to our engine, DuckDB (the very same Parquet
// files), PostgreSQL and SQLite, compares their answers, and with -rows prints
// how long each took. Engines that are not to be had are left out.
func TestPeers(t *testing.T) {
	rows, runs := *peerRows, *peerRuns
	if rows == 0 {
		if rows, runs = 20_000, 1; testing.Short() {
			t.Skip("it starts other database systems")
		}
	}
	dir := *peerData
	if dir == "" {
		dir = t.TempDir()
		// PostgreSQL runs as another user, and has to reach its own directory.
		for d := dir; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	columns, loads, own := prepare(t, dir, rows)
	var queries []string
	var results [][]measured
	for _, q := range peerQueries(own) {
		if !strings.Contains(q.name, *peerOnly) {
			continue
		}
		queries = append(queries, q.name)
		results = append(results, compare(t, &q, columns, runs))
	}
	if *peerRows == 0 {
		return
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\n%d rows of process_events, %d cores, load average %s\n\n%s\n%s\n%s\n", rows, runtime.NumCPU(), strings.TrimSpace(string(load)),
		loadHead+strings.Join(loads, "\n")+"\n", timeTable(queries, columns, results), useTable(queries, columns, results))
}

// prepare loads all engines, one after the other, and starts them then.
func prepare(t *testing.T, dir string, rows int) (columns []column, loads []string, own loaded) {
	t.Helper()
	var there []contestant
	for _, c := range contestants() {
		if *peerNames != "" && !strings.Contains(*peerNames, c.name) {
			continue
		}
		got, err := loadOnce(t, c, filepath.Join(dir, strings.ToLower(c.name)), rows)
		if err != nil {
			t.Logf("%s is left out: %v", c.name, err)
			continue
		}
		if got.Deepest != "" {
			own = got
		}
		there, loads = append(there, c), append(loads, loadLine(c.name, got))
	}
	for _, c := range there {
		for _, workers := range c.workers {
			p, err := c.open(t, filepath.Join(dir, strings.ToLower(c.name)), workers)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			t.Cleanup(p.close)
			label := c.name
			if workers > 0 {
				label += ", " + plural(workers, "core")
			}
			columns = append(columns, column{c.name, label, workers, p})
		}
	}
	return columns, loads, own
}

// loadOnce loads an engine unless its directory has these rows already.
func loadOnce(t *testing.T, c contestant, dir string, rows int) (got loaded, err error) {
	t.Helper()
	marker := filepath.Join(dir, "loaded.json")
	if old, err := os.ReadFile(marker); err == nil && json.Unmarshal(old, &got) == nil && got.Rows == rows {
		return got, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return got, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return got, err
	}
	begun := time.Now()
	if got, err = c.load(t, dir, rows); err != nil {
		return got, err
	}
	t.Logf("%s: loaded in %v", c.name, time.Since(begun).Round(time.Millisecond))
	got.Rows = rows
	text, err := json.Marshal(got)
	if err != nil {
		return got, err
	}
	return got, os.WriteFile(marker, text, 0o644)
}

// slow is how long a query may take; beyond it an engine is given up for it.
const slow = 5 * time.Minute

// measured is what one engine did with one query.
type measured struct {
	millis, cpu []float64
	peak        int64
	err         error
}

// compare asks all engines in turn and compares the answers.
func compare(t *testing.T, q *peerQuery, columns []column, runs int) []measured {
	t.Helper()
	out := make([]measured, len(columns))
	var reference, from string
	for run := range runs + 1 {
		for i, c := range columns {
			m := &out[i]
			if m.err != nil || tooLong(m.millis, run) {
				continue
			}
			reply, err := ask(q, c)
			if err != nil {
				m.err = err
				t.Errorf("%s: %s: %v", q.name, c.label, err)
				continue
			}
			got := normal(reply.Rows)
			switch {
			case from == "":
				reference, from = got, c.label
				if len(reply.Rows) == 0 {
					t.Errorf("%s: no rows", q.name)
				}
			case got != reference:
				t.Errorf("%s: %s differs from %s: %s", q.name, c.label, from, firstDifference(got, reference))
			}
			if run == 1 {
				m.millis, m.cpu = m.millis[:0], m.cpu[:0] // the first was to warm up
			}
			m.millis, m.cpu, m.peak = append(m.millis, reply.Millis), append(m.cpu, reply.CPU), max(m.peak, reply.Peak)
		}
	}
	t.Logf("%s: %s", q.name, describe(columns, out))
	return out
}

// tooLong bounds the runs of a query that takes seconds: it need not be asked
// so often.
func tooLong(times []float64, run int) bool {
	if len(times) == 0 {
		return false
	}
	last := times[len(times)-1]
	return last > 60_000 || last > 10_000 && run > 2 || last > 2_000 && run > 3
}

func ask(q *peerQuery, c column) (peerReply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	defer cancel()
	reply, err := c.peer.ask(ctx, q)
	if err == nil && reply.Error != "" {
		err = fmt.Errorf("%s", reply.Error)
	}
	return reply, err
}

// normal makes one text of an answer: rows in order, numbers that are not
// whole with nine digits, since sums of doubles depend on their order.
func normal(rows [][]*string) string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		cells := make([]string, len(row))
		for k, cell := range row {
			if cell == nil {
				cells[k] = `\N`
				continue
			}
			cells[k] = *cell
			if f, err := strconv.ParseFloat(*cell, 64); err == nil && strings.ContainsAny(*cell, ".e") {
				cells[k] = strconv.FormatFloat(f, 'g', 9, 64)
			}
		}
		lines[i] = strings.Join(cells, "|")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("row %d is %s, want %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d rows, want %d", len(a), len(b))
}

// generate calls yield with the batches of the comparison.
func generate(rows int, yield func(*event.Batch) error) error {
	g := eventtest.New(eventtest.Config{Seed: 1, Rows: rows})
	for b := g.Next(); b != nil; b = g.Next() {
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

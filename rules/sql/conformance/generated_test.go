//go:build unix

package conformance

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daemoneye/bus/event"
	"daemoneye/rules/sql/conformance/generator"
)

var (
	generated = flag.Int("queries", 500, "statements that TestGenerated makes")
	first     = flag.Int("first", 0, "number of the first of them, to see one again")
	verbose   = flag.Bool("log-errors", false, "log what PostgreSQL refuses, permitted differences and timeouts")
)

const (
	perData     = 50 // statements about the same rows
	maxFailures = 15 // that are reduced and shown
)

// TestGenerated asks both engines random statements about random rows.
//
//	go test ./rules/sql/conformance -run TestGenerated -queries N -seed S
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	conn := startCluster(t, nil)
	c := newComparison(t, conn)
	var next atomic.Int64
	next.Store(int64(*first / perData))
	var wg sync.WaitGroup
	for i := range min(runtime.GOMAXPROCS(0), 4) {
		w := c.worker(conn.Config().Copy(), fmt.Sprintf("w%d", i))
		wg.Go(func() {
			defer w.conn.Close(context.Background())
			for {
				block := int(next.Add(1) - 1)
				from, to := max(block*perData, *first), min((block+1)*perData, *first+*generated)
				if from >= to {
					return
				}
				w.block(block, from, to)
			}
		})
	}
	wg.Wait()
	c.report()
}

// TestGeneratedDetermined asks PostgreSQL random statements twice, the second
// time with the rows in reverse and without hash joins and aggregates: what
// the generator makes must not depend on either.
func TestGeneratedDetermined(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a PostgreSQL")
	}
	conn := startCluster(t, nil)
	c := newComparison(t, conn)
	w := c.worker(conn.Config().Copy(), "forward")
	defer w.conn.Close(context.Background())
	w.other = c.worker(conn.Config().Copy(), "reverse")
	defer w.other.conn.Close(context.Background())
	w.other.exec("SET enable_hashjoin = off; SET enable_hashagg = off; SET enable_mergejoin = off")
	for from := *first; from < *first+*generated; from += perData {
		w.block(from/perData, from, min(from+perData, *first+*generated))
	}
	c.report()
}

// comparison is what the workers share.
type comparison struct {
	t     *testing.T
	types map[uint32]string

	mu        sync.Mutex
	counts    map[string]int
	refused   map[string]int
	errors    map[string]int
	permitted map[string]int
	failures  int
}

func newComparison(t *testing.T, conn *pgx.Conn) *comparison {
	return &comparison{
		t: t, types: typeNames(t, conn),
		counts: map[string]int{}, refused: map[string]int{}, errors: map[string]int{}, permitted: map[string]int{},
	}
}

func (c *comparison) count(m map[string]int, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[key]++
}

// worker has a connection, and the tables in a schema of its own.
type worker struct {
	*comparison
	conn    *pgx.Conn
	batches []*event.Batch
	other   *worker // asked instead of the engine
}

func (c *comparison) worker(cfg *pgx.ConnConfig, schema string) *worker {
	cfg.RuntimeParams["search_path"] = schema
	cfg.RuntimeParams["statement_timeout"] = "5s"
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	w := &worker{comparison: c, conn: conn}
	w.exec("CREATE SCHEMA " + schema)
	w.exec(string(event.AppendDDL(nil, event.Tables())))
	return w
}

func (w *worker) exec(sql string) {
	if _, err := w.conn.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		w.t.Errorf("%s: %v", sql[:min(len(sql), 200)], err)
	}
}

// load replaces the rows of all tables.
func (w *worker) load(batches []*event.Batch) {
	w.batches = batches
	var b strings.Builder
	for _, t := range event.Tables() {
		fmt.Fprintf(&b, "DELETE FROM %s;", t.Name)
	}
	for _, batch := range batches {
		for i := range batch.Rows {
			sep := ","
			if i == 0 {
				fmt.Fprintf(&b, "INSERT INTO %s VALUES ", batch.Table.Name)
				sep = ""
			}
			b.WriteString(sep)
			for j, v := range batch.Columns {
				b.WriteString(map[bool]string{true: "(", false: ","}[j == 0])
				if v.IsNull(i) {
					b.WriteString("NULL")
				} else {
					b.WriteString(generator.Literal(v, i))
				}
			}
			b.WriteString(")")
		}
		if batch.Rows > 0 {
			b.WriteString(";\n")
		}
	}
	w.exec(b.String())
}

// block compares the statements from ≤ i < to, which are about the same rows:
// each fourth time those of the recorded cases, so that what is found can
// become one as it is.
func (w *worker) block(block, from, to int) {
	base := int(*seed) * 1_000_003
	batches := dataSet()
	if block%4 != 3 {
		batches = generator.Data(base + block)
	}
	w.load(batches)
	if w.other != nil {
		w.other.load(reversed(batches))
	}
	statements := generator.Statements(batches)
	for i := from; i < to; i++ {
		w.one(i, statements(base+i))
	}
}

// reversed is the same rows from the last to the first.
func reversed(batches []*event.Batch) []*event.Batch {
	var out []*event.Batch
	for _, b := range slices.Backward(batches) {
		builder := event.NewBuilder(b.Table)
		for i := range b.Rows {
			builder.AddRow(b, b.Rows-1-i)
		}
		out = append(out, builder.Batch())
	}
	return out
}

func (w *worker) ask(text string) (got, want answer) {
	if w.other != nil {
		return ask(w.other.conn, w.types, text), ask(w.conn, w.types, text)
	}
	return evaluateWithin(parted{memory(w.batches)}, text, 5*time.Second), ask(w.conn, w.types, text)
}

func (w *worker) one(i int, s *generator.Statement) {
	text := s.String()
	got, want := w.ask(text)
	w.count(w.counts, "generated")
	if want.err != "" {
		w.count(w.counts, "PostgreSQL errors")
		w.count(w.errors, want.err+" "+reason(want.message))
		if *verbose && !runtimeError(want.err) {
			w.t.Logf("query %d: PostgreSQL: %s %s\n%s", i, want.err, want.message, text)
		}
	}
	v := judge(s, got, want)
	switch v {
	case refused:
		w.count(w.counts, "refused by name")
		w.count(w.refused, reason(got.message))
		return
	case agrees:
		w.count(w.counts, "compared")
		return
	case timedOut:
		if want.err == "57014" {
			w.count(w.counts, "timed out in PostgreSQL")
		} else {
			w.count(w.counts, "timed out here")
		}
		if *verbose {
			w.t.Logf("query %d: timed out: %s%s\n%s", i, got.err, want.err, text)
		}
		return
	}
	budget := 300
	if v == errorHere || v == noError {
		budget = 150
	}
	w.mu.Lock()
	enough := w.failures >= maxFailures
	w.mu.Unlock()
	if enough {
		budget = 60
	}
	lastGot, lastWant := got, want
	s.Reduce(budget, func() bool {
		a, b := w.ask(s.String())
		if judge(s, a, b) != v || a.err != got.err || b.err != want.err {
			return false
		}
		lastGot, lastWant = a, b
		return true
	})
	reduced := s.String()
	if permitted(v, got, want, reduced) {
		w.count(w.counts, "permitted differences")
		w.count(w.permitted, fmt.Sprintf("%s: %s", v, got.err+want.err))
		if *verbose {
			w.t.Logf("query %d: permitted: %s", i, difference(v, reduced, lastGot, lastWant))
		}
		return
	}
	w.count(w.counts, "failures")
	recorded := w.asCase(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failures++; w.failures > maxFailures {
		w.t.Fail()
		return
	}
	w.t.Errorf("query %d (-seed %d -first %d -queries 1): %s\n# from: %s", i, *seed, i, difference(v, reduced, lastGot, lastWant)+recorded, text)
}

// asCase is the statement as a case of testdata if it shows a difference over
// the rows of those, too.
func (w *worker) asCase(s *generator.Statement) string {
	batches := w.batches
	w.load(dataSet())
	got, want := w.ask(s.String())
	w.load(batches)
	if v := judge(s, got, want); v == agrees || v == refused || v == timedOut {
		return "# over the rows of testdata it shows no difference\n"
	}
	return fmt.Sprintf("as a case of testdata:\n> %s\n%s\n\n", s, want.normalized(s.String()))
}

var varying = regexp.MustCompile(`"[^"]*"|'[^']*'|\b\d+\b|\([^)]*\)|line \d+, column \d+: |\n.*`)

// reason is a message without what varies.
func reason(message string) string {
	head, _, _ := strings.Cut(message, "\n")
	if _, after, ok := strings.Cut(head, ": "); ok && strings.HasPrefix(head, "line ") {
		head = after
	}
	if len(head) > 100 {
		head = head[:100]
	}
	return varying.ReplaceAllString(head, "…")
}

func (c *comparison) report() {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d:", *seed)
	for _, k := range []string{"generated", "compared", "refused by name", "PostgreSQL errors", "permitted differences", "timed out in PostgreSQL", "timed out here", "failures"} {
		fmt.Fprintf(&b, " %d %s;", c.counts[k], k)
	}
	for _, part := range []struct {
		name string
		of   map[string]int
	}{{"refused", c.refused}, {"errors of PostgreSQL", c.errors}, {"permitted", c.permitted}} {
		keys := slices.SortedFunc(maps.Keys(part.of), func(a, b string) int { return cmp.Or(part.of[b]-part.of[a], strings.Compare(a, b)) })
		fmt.Fprintf(&b, "\n%s:", part.name)
		for _, k := range keys[:min(len(keys), 12)] {
			fmt.Fprintf(&b, "\n%7d %s", part.of[k], k)
		}
	}
	c.t.Log(b.String())
	// What fails in PostgreSQL, or may differ, says little.
	if n := c.counts["generated"]; n >= 500 && (c.counts["PostgreSQL errors"] > n*15/100 || c.counts["permitted differences"] > n/100) {
		c.t.Errorf("too many errors of PostgreSQL, or permitted differences, of %d statements", n)
	}
}

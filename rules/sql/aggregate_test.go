package sql

import (
	"context"
	"slices"
	"testing"

	"daemoneye/bus/event"
)

// inParts is a memory that is read in parts.
type inParts struct{ memory }

func (s *inParts) Parts(context.Context, ScanRequest) (Parts, error) { return s, nil }
func (s *inParts) Len() int                                          { return len(s.batches) }
func (s *inParts) Close()                                            {}

func (s *inParts) Read(_ context.Context, i int, yield func(*event.Batch) error) error {
	return yield(s.batches[i])
}

// Groups of several goroutines, so many that they are merged while rows are
// still read, are those of one; and what they took is given back.
func TestAggregateInParts(t *testing.T) {
	var batches []*event.Batch
	for i := range 6 {
		b := eventBatch(60_000)
		pids := b.Column("pid").Ints
		for k := range pids {
			pids[k] = int64((k*7919 + i*50_000) % 200_000)
			if i == 3 && k%1000 == 0 {
				pids[k] = 1 << 40 // keys of the table must be widened
			}
		}
		batches = append(batches, b)
	}
	const text = `SELECT pid, name, count(*), sum(pid), avg(pid), min(time), max(pid), min(command_line), count(DISTINCT command_line), sum(DISTINCT pid), bool_or(accessible)
		FROM process_events GROUP BY pid, name`
	q, err := Compile(text, Config{})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(src Source, workers int) (lines []string, held int64) {
		opt := Options{Workers: workers, MemoryLimit: 1 << 30, Now: testTime}
		x := newEnv(t.Context(), src, opt)
		x.frame = q.frame
		err := q.plan.run(x, func(c *chunk) error {
			for k := range c.len() {
				var line []byte
				for i, v := range c.cols {
					line = append(appendOutput(line, q.columns[i].Type, v.at(c.row(k))), '|')
				}
				lines = append(lines, string(line))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		return lines, x.used.Load()
	}
	want, alone := answer(&memory{batches: batches}, 1)
	got, shared := answer(&inParts{memory{batches: batches}}, 3)
	if len(want) < 200_000 || !slices.Equal(got, want) {
		t.Errorf("%d groups in parts, %d at once, or they differ", len(got), len(want))
	}
	if shared > alone+alone/2 {
		t.Errorf("%d bytes are held in the end, %d when one goroutine groups", shared, alone)
	}
}

// An aggregate that keeps its rows holds them by column: 16 bytes of a number.
func TestOrderedAggregateMemory(t *testing.T) {
	src := &memory{batches: []*event.Batch{eventBatch(60_000)}}
	opt := Options{MemoryLimit: 3 << 20}
	for text, want := range map[string]string{
		"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY pid), percentile_cont(0.5) WITHIN GROUP (ORDER BY -pid) FROM process_events": "29999|-29999.5|",
		"SELECT count(*), (array_agg(pid ORDER BY pid DESC))[1] FROM process_events WHERE pid < 30000":                                   "30000|29999|",
	} {
		got, _, err := runSpilling(t, text, src, opt)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

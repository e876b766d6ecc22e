package sql

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"daemoneye/bus/event"
)

// distinctBatch has rows whose command lines all differ.
func distinctBatch(rows, length int) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range rows {
		b.Column("time").Time(testTime)
		b.Column("pid").Int(int64(i))
		b.Column("name").Text([]string{"bash", "curl", "sshd"}[i%3])
		b.Column("command_line").Text(fmt.Sprintf("%0*d", length, i))
		b.EndRow()
	}
	return b.Batch()
}

// columns joins n expressions made of their numbers.
func columns(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ",")
}

// TestWideRows: rows of many columns, groups of many aggregates and many
// grouping sets take no more memory than few.
func TestWideRows(t *testing.T) {
	b := distinctBatch(60_000, 70)
	for _, c := range []struct{ text, fails string }{
		{"SELECT " + columns(1000, "pid+%d") + " FROM process_events OFFSET 59999", ""},
		{"SELECT " + strings.Repeat("command_line,", 3000) + "1 FROM process_events ORDER BY time", "the sort"},
		{"SELECT pid, " + columns(3000, "count(pid+%d)") + " FROM process_events GROUP BY pid", "the grouping"},
		{"SELECT 1 FROM process_events GROUP BY GROUPING SETS (" + strings.Repeat("(name,command_line),", 3000) + "())", "the grouping"},
	} {
		q, err := Compile(c.text, Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		peak := make(chan uint64)
		go func() { peak <- peakHeap(ctx) }()
		err = q.Run(ctx, &memory{batches: []*event.Batch{b}}, Options{}, func(*Rows) error { return nil })
		cancel()
		if n := <-peak; n > 400<<20 {
			t.Errorf("%.60s: %d MiB in use", c.text, n>>20)
		}
		if e := new(Error); c.fails == "" && err != nil || c.fails != "" && (!errors.As(err, &e) || !strings.HasPrefix(e.Message, c.fails)) {
			t.Errorf("%.60s: error %v, want %q", c.text, err, c.fails)
		}
	}
}

// peakHeap is the most memory that objects take, garbage included, until ctx
// is done.
func peakHeap(ctx context.Context) uint64 {
	peak := uint64(0)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for ctx.Err() == nil {
		metrics.Read(sample)
		peak = max(peak, sample[0].Value.Uint64())
		runtime.Gosched()
	}
	return peak
}

// TestLongTexts: texts that are too many for the memory limit when they are
// made of all rows of a chunk are made of fewer at once.
func TestLongTexts(t *testing.T) {
	b := distinctBatch(10_000, 1000)
	opt := Options{MemoryLimit: 4 << 20}
	for text, want := range map[string]string{
		"SELECT length(reverse(command_line)) FROM process_events OFFSET 9999":                                     "1000",
		"SELECT count(*) FROM process_events WHERE reverse(command_line) LIKE '0%'":                                "1000",
		"SELECT max(reverse(command_line)) = '9999' || repeat('0', 996) FROM process_events":                       "t",
		"SELECT count(reverse(command_line)) FILTER (WHERE repeat(command_line, 2) LIKE '%7') FROM process_events": "1000",
	} {
		if got, err := collect(t, text, Config{}, opt, b); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

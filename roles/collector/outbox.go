package collector

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
)

const (
	maxBatchRows = 1000
	// maxBatchSize is where a batch is closed. With one more row of the largest
	// size it still fits into a frame of 1 MiB.
	maxBatchSize = 384 << 10
)

// outbox gathers the rows of one table into batches and hands them to the
// publisher. What the publisher can not keep is counted as lost.
type outbox struct {
	publisher *bus.Publisher
	builder   *event.Builder
	losses    *losses
	rows      int    // added since the start
	encoded   []byte // memory for a batch
}

func newOutbox(p *bus.Publisher, table string, l *losses) *outbox {
	return &outbox{publisher: p, builder: event.NewBuilder(event.Lookup(table)), losses: l}
}

// added is called after each row.
func (o *outbox) added() error {
	o.rows++
	if o.builder.Rows() < maxBatchRows && o.builder.Size() < maxBatchSize {
		return nil
	}
	return o.flush()
}

// flush publishes the rows that wait. The error is of a publisher that takes
// nothing more at all; being full is none.
func (o *outbox) flush() error {
	if o.builder.Rows() == 0 {
		return nil
	}
	batch := o.builder.Batch()
	defer o.builder.Reuse(batch)
	if batch.Table.Name != "process_events" && o.publisher.Filled() > eventsOfProcesses {
		o.losses.add(batch, "the collector's queue was nearly full", time.Now())
		return nil
	}
	o.encoded = event.Encode(o.encoded[:0], batch)
	_, err := o.publisher.TryPublish(api.EventsTopic+batch.Table.Name, o.encoded)
	if errors.Is(err, bus.ErrFull) {
		o.losses.add(batch, "the collector's queue was full", time.Now())
		return nil
	}
	if errors.Is(err, bus.ErrTooLarge) {
		o.losses.add(batch, "a batch was larger than a frame", time.Now())
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", batch.Table.Name, err)
	}
	return nil
}

// loss is what could not be kept of one table.
type loss struct {
	table    string
	reason   string
	rows     int64 // negative: not known
	from, to time.Time
}

// reportEvery bounds how many gaps one long loss becomes.
const reportEvery = time.Second

// losses counts rows that could not be kept, until they have been reported.
type losses struct {
	mu       sync.Mutex
	list     []loss
	total    uint64
	reported time.Time // when take last returned some
	behind   bool      // rows were dropped since told: the agent does not know all that is published
}

func (l *losses) add(b *event.Batch, reason string, now time.Time) {
	from := now
	if least, _, ok := b.TimeRange(); ok && time.UnixMicro(least).Before(now) {
		from = time.UnixMicro(least)
	}
	l.note(b.Table.Name, reason, int64(b.Rows), from, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = true
}

// note counts rows of a table that were lost between from and now.
func (l *losses) note(table, reason string, rows int64, from, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += uint64(rows)
	x := l.entry(table, reason, from)
	x.rows += rows
	if from.Before(x.from) {
		x.from = from
	}
	x.to = now.Add(time.Microsecond) // the interval is half open
}

// blind notes a time in which nothing, or not everything, was observed.
func (l *losses) blind(table, reason string, from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.entry(table, reason, from)
	x.to, x.rows = to, -1
}

// entry is what was noted for this reason and is not reported yet, which makes
// one gap that spans both, or else a new one. The lock is held.
func (l *losses) entry(table, reason string, from time.Time) *loss {
	i := slices.IndexFunc(l.list, func(x loss) bool { return x.table == table && x.reason == reason })
	if i < 0 {
		i = len(l.list)
		l.list = append(l.list, loss{table: table, reason: reason, from: from})
	}
	return &l.list[i]
}

// untold reports whether rows were dropped on the way to the agent.
func (l *losses) untold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// told notes that comparisons begin with what the agent knows.
func (l *losses) told() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = false
}

func (l *losses) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// take returns what is to be reported and forgets it; nothing within
// reportEvery of the last time.
func (l *losses) take(now time.Time) []loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 || now.Sub(l.reported) < reportEvery {
		return nil
	}
	l.reported = now
	list := l.list
	l.list = nil
	return list
}

// putBack takes up again what take returned and could not be reported. Nothing
// may have been noted since.
func (l *losses) putBack(list []loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(list, l.list...)
}

// gaps returns the losses as rows of event_gaps.
func gaps(list []loss, collector string, now time.Time) *event.Batch {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	for _, l := range list {
		b.Column("time").Time(now)
		b.Column("table_name").Text(l.table)
		b.Column("start_time").Time(l.from)
		b.Column("end_time").Time(l.to)
		b.Column("collector_id").Text(collector)
		b.Column("hop").Text("collector")
		b.Column("reason").Text(l.reason)
		if l.rows >= 0 {
			b.Column("lost").Int(l.rows)
		}
		b.EndRow()
	}
	return b.Batch()
}

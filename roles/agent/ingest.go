package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/store"
)

const (
	// ingestQueue bounds the batches that wait for the store. When it is full
	// the collector's connection waits, and the collector keeps its batches.
	ingestQueue = 256
	// A commit takes what waits, up to these bounds.
	commitBatches = 64
	commitBytes   = 4 << 20
	// ownQueue bounds the agent's own batches, which are a few event gaps.
	ownQueue = 64
)

// ingester puts collectors' batches into the store, acknowledges them after
// the commit, passes them to whoever watches, and to the rules. One goroutine,
// run, does this, so that all see the batches in the order of the store.
type ingester struct {
	store  *store.Store
	detect *detector
	log    *zap.Logger

	queue chan *bus.Ingest
	own   chan *event.Batch // the agent's own: event gaps

	// What follows is run's alone.
	sequence uint64            // of the agent's own last batch
	refused  map[string]uint64 // collector → batches given up since its last stored one

	invalid  atomic.Int64 // batches refused for good, and acknowledged
	unqueued atomic.Int64 // own batches that found the queue full
	mu       sync.Mutex
	err      error // of the last commit; nil after a good one
}

// Resume tells a collector what is stored of it.
func (in *ingester) Resume(_ context.Context, _ bus.Peer, collector string) (uint64, error) {
	return sequenceOf(in.store, collector), nil
}

// Ingest queues one frame, which holds one batch.
func (in *ingester) Ingest(ctx context.Context, m *bus.Ingest) error {
	if m.Len() != 1 {
		return fmt.Errorf("%d messages in a frame of %s, want one batch", m.Len(), m.Topic)
	}
	select {
	case in.queue <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gap records that rows of table were lost in from ≤ t < to; lost is negative
// when their number is not known.
func (in *ingester) gap(table, collector, hop, reason string, from, to time.Time, lost int64) {
	number := zap.Int64("lost", lost)
	if lost < 0 {
		number = zap.String("lost", "unknown")
	}
	in.log.Warn("events were lost", zap.String("table", table), zap.String("collector", collector), zap.String("hop", hop),
		zap.String("reason", reason), zap.Time("from", from), zap.Time("to", to), number)
	select {
	case in.own <- gapRow(table, collector, hop, reason, from, to, lost):
	default:
		in.unqueued.Add(1)
	}
}

// gapRow is one row of event_gaps.
func gapRow(table, collector, hop, reason string, from, to time.Time, lost int64) *event.Batch {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	b.Column("time").Time(time.Now())
	b.Column("table_name").Text(table)
	b.Column("start_time").Time(from)
	b.Column("end_time").Time(to)
	b.Column("collector_id").TextOrNull(collector)
	b.Column("hop").Text(hop)
	b.Column("reason").Text(reason)
	if lost >= 0 {
		b.Column("lost").Int(lost)
	}
	b.EndRow()
	return b.Batch()
}

// recordLosses makes gaps of the rows that the store can not read any more.
// One that can not be stored stays with the store until the next start.
func (in *ingester) recordLosses(ctx context.Context) {
	for _, l := range in.store.Losses() {
		from, to := time.UnixMicro(l.From), time.UnixMicro(l.To)
		in.log.Warn("stored events were lost", zap.String("table", l.Table), zap.String("reason", l.Reason), zap.Time("from", from),
			zap.Time("to", to), zap.Int64("lost", l.Rows), zap.String("quarantine", l.File))
		if !in.commitOwn(ctx, gapRow(l.Table, "", "store", l.Reason, from, to, l.Rows)) {
			return
		}
		if err := in.store.Reported(ctx, l.ID); err != nil {
			in.log.Warn("note that lost events are in event_gaps; they will be there again", zap.Error(err))
		}
	}
}

// run commits until ctx ends. What is still queued then is given back: its
// collector has no acknowledgement and sends it again.
func (in *ingester) run(ctx context.Context) {
	in.sequence = sequenceOf(in.store, store.AgentCollector)
	in.recordLosses(ctx)
	for {
		select {
		case <-ctx.Done():
			in.drain(ctx.Err())
			in.commitGaps(ctx)
			return
		case <-in.store.Lost():
			in.recordLosses(ctx)
		case b := <-in.own:
			in.commitOwn(ctx, b)
		case m := <-in.queue:
			in.commit(ctx, in.collect(m))
		}
	}
}

// commitGaps stores the gaps that are queued: nobody sends them again.
func (in *ingester) commitGaps(ctx context.Context) {
	for {
		select {
		case b := <-in.own:
			in.commitOwn(ctx, b)
		default:
			return
		}
	}
}

func (in *ingester) drain(err error) {
	for {
		select {
		case m := <-in.queue:
			m.Fail(err)
		default:
			return
		}
	}
}

// collect takes what waits behind m, so that one commit serves many.
func (in *ingester) collect(m *bus.Ingest) []*bus.Ingest {
	list, size := []*bus.Ingest{m}, len(payload(m))
	for len(list) < commitBatches && size < commitBytes {
		select {
		case next := <-in.queue:
			list = append(list, next)
			size += len(payload(next))
		default:
			return list
		}
	}
	return list
}

func payload(m *bus.Ingest) []byte {
	for data := range m.Messages() {
		return data
	}
	return nil
}

// commit stores frames, then forwards and acknowledges them. A frame that can
// never be stored is acknowledged too, since it would come again for ever, and
// counted as a gap.
func (in *ingester) commit(ctx context.Context, list []*bus.Ingest) {
	var results []store.Result
	for len(list) > 0 {
		batches := make([]store.Batch, len(list))
		for i, m := range list {
			batches[i] = store.Batch{Collector: m.Collector, Sequence: m.Sequence, Data: payload(m)}
		}
		var err error
		results, err = in.store.Append(ctx, batches)
		in.setError(err)
		if err == nil {
			break
		}
		var invalid *store.InvalidError
		if errors.As(err, &invalid) {
			in.refuse(list[invalid.Index], err)
			list = slices.Delete(list, invalid.Index, invalid.Index+1)
			continue
		}
		in.log.Error("store batches", zap.Error(err), zap.Int("batches", len(list)))
		for _, m := range list {
			m.Fail(err)
		}
		// Later batches must not be stored before these, whose sequences would
		// then count as stored. They come again, in order.
		in.drain(err)
		return
	}
	var done []stored
	for i, m := range list {
		r := results[i]
		if missing := r.Missing - min(r.Missing, in.refused[m.Collector]); missing > 0 {
			now := time.Now()
			in.gap("process_events", m.Collector, "bus", fmt.Sprintf("%d batches of the collector never arrived", missing), now.Add(-time.Minute), now, -1)
		}
		if !r.Duplicate {
			delete(in.refused, m.Collector)
			if err := m.Forward(ctx); err != nil && ctx.Err() == nil {
				in.log.Warn("forward batch", zap.Error(err))
			}
			done = append(done, stored{r.Position, r.Batch})
		}
		m.Ack()
	}
	if err := in.detect.add(ctx, done); err != nil {
		in.log.Info("stopped before the rules saw all stored batches; they will at the next start")
	}
}

func (in *ingester) refuse(m *bus.Ingest, err error) {
	in.invalid.Add(1)
	in.refused[m.Collector]++
	now := time.Now()
	in.gap(strings.TrimPrefix(m.Topic, api.EventsTopic), m.Collector, "store", "a batch could not be decoded: "+err.Error(), now.Add(-time.Minute), now, -1)
	m.Ack()
}

// commitOwn stores a batch of the agent's own, even when ctx has ended. It is
// tried once: a store that can not be written is reported by health, and the
// gap then is in the log.
func (in *ingester) commitOwn(ctx context.Context, b *event.Batch) bool {
	ctx = context.WithoutCancel(ctx)
	data := event.Encode(nil, b)
	results, err := in.store.Append(ctx, []store.Batch{{Collector: store.AgentCollector, Sequence: in.sequence + 1, Data: data}})
	in.setError(err)
	if err != nil {
		in.unqueued.Add(1)
		in.log.Error("store event gap", zap.Error(err))
		return false
	}
	in.sequence++
	_ = in.detect.add(ctx, []stored{{results[0].Position, b}})
	return true
}

func (in *ingester) setError(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err = err
}

// problems says what is wrong with ingest, for people.
func (in *ingester) problems() []string {
	in.mu.Lock()
	err := in.err
	in.mu.Unlock()
	var list []string
	if err != nil {
		list = append(list, "events can not be stored, the collector holds them back: "+err.Error())
	}
	if n := in.invalid.Load(); n > 0 {
		list = append(list, fmt.Sprintf("%d batches could not be decoded and were given up", n))
	}
	if n := in.unqueued.Load(); n > 0 {
		list = append(list, fmt.Sprintf("%d event gaps could not be stored; they are in the log", n))
	}
	return list
}

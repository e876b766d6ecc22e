package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus/event"
	"daemoneye/roles/fact"
	"daemoneye/roles/history"
	"daemoneye/rules"
	"daemoneye/store"
)

const (
	// detectQueue bounds the stored batches that wait for the rules. When it is
	// full ingest waits, so acknowledgements come later and the collector holds
	// its batches back.
	detectQueue = 64
	// markEvery is after how many batches without an alert the matcher's
	// position is stored. After a crash at most so many are matched again, and
	// they had no alert.
	markEvery = 256
	// maxPending and maxPendingBytes bound the alerts that wait for a store that
	// can not be written; when they are full the oldest are given up, and
	// counted. Half of them are stored at once, and any after markAfter.
	maxPending      = 4096
	maxPendingBytes = 16 << 20
	markAfter       = time.Second
	// quietMark is for how long a position waits to be stored on a quiet host:
	// the store seals no batch beyond it.
	quietMark = time.Minute
)

// stored is a batch that the store has acknowledged.
type stored struct {
	position uint64
	batch    *event.Batch
}

// detector runs the rules over stored batches, in the order of their
// positions, and turns matches into alerts. One goroutine, run, does this. The
// rules that read history or the present state may take long: they run beside
// it, so that they hold up neither the others nor ingest.
type detector struct {
	store   *store.Store
	view    *history.View
	matcher *rules.Matcher
	grouper *rules.Grouper
	gaps    *gapLog
	publish func(*event.Alert) // a new alert
	record  func(action, subject, correlation string, fields fact.Fields)
	log     *zap.Logger

	queue chan stored

	position uint64        // of the last batch that the rules have seen
	unmarked int           // batches since it was stored
	scan     history.Scan  // the last one that listed the processes
	marked   time.Time     // when it was tried last
	pending  []event.Alert // not stored yet, oldest change first
	bytes    int           // about what they take

	scanned bool               // a scan came for which the scan rules have not run
	found   chan found         // of the run beside; nil when there is none
	stop    context.CancelFunc // of that run

	mu     sync.Mutex
	lost   int64 // alerts that were given up
	putErr error // of the last attempt to store; nil after a good one
}

// catchUp runs the rules over what was stored but not matched when the agent
// ended the last time.
func (d *detector) catchUp(ctx context.Context) error {
	d.position = d.store.MatchedPosition()
	n := 0
	err := d.store.Batches(ctx, d.position, func(position uint64, b *event.Batch) error {
		n++
		d.handle(ctx, stored{position, b})
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("match stored batches: %w", err)
	}
	if n > 0 {
		d.log.Info("matched batches stored before the last end", zap.Int("batches", n))
	}
	return nil
}

// add hands over stored batches; it waits while the queue is full.
func (d *detector) add(ctx context.Context, list []stored) error {
	for _, s := range list {
		select {
		case d.queue <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// run matches until the queue is closed, then stores how far it came.
func (d *detector) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	marks := time.NewTicker(quietMark)
	defer marks.Stop()
	for {
		d.beside(ctx)
		wait := time.Hour
		if due, ok := d.matcher.Due(time.Now()); ok && d.found == nil {
			wait = due
		}
		if len(d.pending) > 0 || d.unmarked >= markEvery {
			wait = min(wait, markAfter)
		}
		timer.Reset(wait)
		select {
		case s, ok := <-d.queue:
			if !ok {
				d.finish(ctx)
				return
			}
			d.handle(ctx, s)
			if len(d.queue) == 0 && (len(d.pending) > 0 || d.unmarked >= markEvery) {
				d.mark(ctx)
			}
		case f := <-d.found:
			d.take(f)
			d.mark(ctx)
		case <-marks.C:
			d.mark(ctx)
		case <-timer.C:
			if len(d.pending) > 0 || d.unmarked >= markEvery {
				d.mark(ctx)
			}
		}
	}
}

// beside starts the rules that read history or the present state if some are
// due and none run.
func (d *detector) beside(ctx context.Context) {
	now := time.Now()
	wait, due := d.matcher.Due(now)
	scanned := d.scanned
	if d.found != nil || !scanned && (!due || wait > 0) {
		return
	}
	d.scanned = false
	done, scan := make(chan found, 1), d.scan
	ctx, stop := context.WithCancel(ctx)
	d.found, d.stop = done, stop
	go func() {
		var list []rules.Match
		if scanned {
			matches, err := d.matcher.RunScan(ctx, d.view.Reader(), now)
			if err != nil && !errors.Is(err, context.Canceled) {
				d.log.Warn("run rules after a scan", zap.Error(err))
			}
			list = matches
		}
		matches, err := d.matcher.RunHistory(ctx, d.view.Reader(), now)
		if err != nil && !errors.Is(err, context.Canceled) {
			d.log.Warn("run rules over history", zap.Error(err))
		}
		done <- found{append(list, matches...), now, scan}
	}()
}

// found is what the rules that run beside have found.
type found struct {
	matches []rules.Match
	now     time.Time    // when they ran
	scan    history.Scan // the last one then
}

// take ends the run beside.
func (d *detector) take(f found) {
	d.stop()
	d.found, d.stop = nil, nil
	d.raise(f.matches, f.now, f.scan)
}

// endWait is how long the rules after the last scan may take at the end.
const endWait = 2 * time.Second

// finish waits for the rules that run beside, runs those for the last scan,
// and stores everything.
func (d *detector) finish(ctx context.Context) {
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	for d.found != nil || d.scanned {
		if d.found == nil {
			d.beside(ctx)
		}
		select {
		case f := <-d.found:
			d.take(f)
		case <-timer.C:
			d.stop()
			d.scanned = false
			d.take(<-d.found)
		}
	}
	d.mark(context.WithoutCancel(ctx))
}

// handle runs the rules over one batch; a scans row makes those due that are
// evaluated after each scan.
func (d *detector) handle(ctx context.Context, s stored) {
	now := time.Now()
	matches := d.matcher.Match(s.batch, now)
	switch s.batch.Table.Name {
	case "event_gaps":
		d.gaps.add(s.batch)
		d.recordGaps(s.batch)
	case "scans":
		for i := range s.batch.Rows {
			if scan, ok := history.ScanOf(s.batch, i); ok {
				d.scan = scan
			}
		}
		d.scanned = true
	}
	d.position = s.position
	d.unmarked++
	for i := range matches {
		matches[i].Position = s.position
	}
	d.raise(matches, now, d.scan)
	if len(d.pending) >= maxPending/2 || d.bytes >= maxPendingBytes/2 || d.unmarked >= markEvery ||
		len(d.pending) > 0 && time.Since(d.marked) > markAfter {
		d.mark(ctx)
	}
}

// raise counts matches into alerts, publishes the new ones and queues all for
// the store. now is when the rules ran, scan the last scan then.
func (d *detector) raise(matches []rules.Match, now time.Time, scan history.Scan) {
	for len(matches) > 0 {
		rule, completeness := matches[0].Rule, d.completeness(&matches[0], now, scan)
		n := 1
		for n < len(matches) && matches[n].Rule == rule && slices.Equal(d.completeness(&matches[n], now, scan).Reasons, completeness.Reasons) {
			n++
		}
		for _, change := range d.grouper.Add(matches[:n], completeness) {
			d.enqueue(change.Alert)
			if change.New && change.Alert.Excluded == "" {
				d.recordAlert(&change.Alert, opener(matches[:n], &change.Alert))
				d.publish(&change.Alert)
			}
		}
		matches = matches[n:]
	}
}

// opener is the match that opened the alert.
func opener(matches []rules.Match, a *event.Alert) *rules.Match {
	for i := range matches {
		if m := &matches[i]; m.Key == a.DedupKey && m.Time.Equal(a.FirstSeen) {
			return m
		}
	}
	return &matches[0]
}

// completeness says what was lost that could have changed the match: of the
// row's own moment for a rule over the stream, of the time that a rule over
// history looked back to, and of the state that the last scan has not mended.
func (d *detector) completeness(m *rules.Match, now time.Time, scan history.Scan) rules.Completeness {
	rule := m.Rule
	var reasons []string
	for _, table := range rule.Tables {
		switch {
		case event.Lookup(table).Kind == event.State:
			reasons = append(reasons, d.gaps.open(table, scan)...)
		case rule.Mode == rules.Stream:
			at := m.Time.UnixMicro()
			reasons = append(reasons, d.gaps.reasons(table, at, at+1)...)
		default:
			for _, r := range rule.Query().TimeRanges(table, now) {
				from, to := max(r.From, rule.Lookback(table, now)), min(r.To, now.UnixMicro()+1)
				if from < to {
					reasons = append(reasons, d.gaps.reasons(table, from, to)...)
				}
			}
		}
	}
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	return rules.Completeness{Complete: len(reasons) == 0, Reasons: reasons}
}

// enqueue notes that an alert is to be stored. Later states replace earlier
// ones.
func (d *detector) enqueue(a event.Alert) {
	if i := slices.IndexFunc(d.pending, func(p event.Alert) bool { return p.ID == a.ID }); i >= 0 {
		d.bytes += alertSize(&a) - alertSize(&d.pending[i])
		d.pending[i] = a
		return
	}
	d.bytes += alertSize(&a)
	d.pending = append(d.pending, a)
	for len(d.pending) > maxPending || d.bytes > maxPendingBytes {
		d.bytes -= alertSize(&d.pending[0])
		d.pending = d.pending[1:]
		d.mu.Lock()
		d.lost++
		d.mu.Unlock()
	}
}

func alertSize(a *event.Alert) int { return 512 + len(a.DedupKey) + len(a.Row) + len(a.Process) }

// mark stores pending alerts together with the position up to which the rules
// have run, so that after a crash every batch is matched once.
func (d *detector) mark(ctx context.Context) {
	if len(d.pending) == 0 && d.unmarked == 0 {
		return
	}
	d.marked = time.Now()
	err := d.store.PutAlerts(ctx, d.pending, d.position)
	d.mu.Lock()
	d.putErr = err
	d.mu.Unlock()
	if err != nil {
		d.log.Error("store alerts", zap.Error(err), zap.Int("pending", len(d.pending)))
		return
	}
	d.pending, d.bytes, d.unmarked = nil, 0, 0
}

// problems says what is wrong with detection, for people.
func (d *detector) problems() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	if d.putErr != nil {
		list = append(list, "alerts can not be stored: "+d.putErr.Error())
	}
	if d.lost > 0 {
		list = append(list, fmt.Sprintf("%d alerts were given up because the store could not be written", d.lost))
	}
	return list
}

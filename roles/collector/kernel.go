package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// kernelBatches is how many batches wait for the collector. While it is full,
// events wait in the kernel's ring buffer, which counts what it can not take.
const kernelBatches = 4

// kernel is the source that tells of processes as it happens, and the goroutine
// that reads it.
type kernel struct {
	name    string // api.Source…
	source  source
	batches chan kernelBatch
	stop    chan struct{}
	done    sync.WaitGroup

	behind   bool                // the programs were told so, see sayBehind
	unlisted bool                // its list does not work
	lost     map[lossOf]uint64   // reported
	checked  time.Time           // when these were all
	late     uint64              // events that could not be looked up, reported
	noted    time.Time           // when these were all
	counted  map[bpf.Kind]*tally // of forks and, where they are counted by kind, execs and exits
}

// tally is what the programs had counted of a kind at the last look.
type tally struct {
	sent   uint64
	looks  int           // in a row, after the first one, with as many
	at     time.Time     // of the last look
	since  time.Duration // since boot: after the first look with as many
	before time.Time     // of the last look with fewer
}

func (t *tally) look(sent uint64, now time.Time, boot time.Duration) {
	if sent != t.sent || t.since == 0 {
		*t = tally{sent: sent, at: now, since: boot, before: t.at}
		return
	}
	t.looks++
	t.at = now
}

// kernelBatch is events in their order.
type kernelBatch struct {
	events []bpf.Event
	synced bool  // with this one, all that happened before the last Sync was told
	err    error // the source has ended
}

func newKernel(name string, source source) *kernel {
	k := &kernel{
		name: name, source: source, batches: make(chan kernelBatch, kernelBatches), stop: make(chan struct{}),
		lost: map[lossOf]uint64{}, counted: map[bpf.Kind]*tally{}, checked: time.Now(),
	}
	kinds := []bpf.Kind{bpf.Fork}
	if name == api.SourceKernel { // lost messages of netlink are of no kind
		kinds = append(kinds, bpf.Exec, bpf.Exit)
	}
	for _, kind := range kinds {
		k.counted[kind] = &tally{at: k.checked}
	}
	k.done.Go(k.read)
	return k
}

func (k *kernel) read() {
	for {
		events, err := k.source.Read(nil)
		b := kernelBatch{events: events, synced: errors.Is(err, bpf.ErrSynced)}
		if !b.synced {
			b.err = err
		}
		select {
		case k.batches <- b:
		case <-k.stop:
			return
		}
		if b.err != nil {
			return
		}
	}
}

func (k *kernel) close() error {
	close(k.stop)
	err := k.source.Close()
	k.done.Wait()
	return err
}

// lossOf is of what rows were lost, and why.
type lossOf struct{ table, reason string }

const (
	noRoom   = "the kernel's buffer was full"
	heldBack = "held back: a process or user sent too many"
)

// losses returns how many rows were lost since the last call, and since when. A
// record that was not understood counts as one of a process.
func (k *kernel) losses(now time.Time) (rows map[lossOf]int64, from time.Time, err error) {
	stats, err := k.source.Stats()
	if err != nil {
		return nil, from, err
	}
	lost := map[lossOf]uint64{{"process_events", noRoom}: stats.Malformed}
	for kind, n := range stats.Lost {
		table, held := tableOf(bpf.Kind(kind)), stats.Held[kind]
		lost[lossOf{table, noRoom}] += n - held
		lost[lossOf{table, heldBack}] += held
	}
	rows = map[lossOf]int64{}
	for of, n := range lost {
		if n > k.lost[of] {
			rows[of] = int64(n - k.lost[of])
		}
	}
	from = k.checked
	k.lost, k.checked = lost, now
	return rows, from, nil
}

// stopped says what happened that the programs did not count, as they do even
// when the ring buffer is full, or "": a process began, or scans have found an
// exec or an exit while none was counted since the scan before these. What
// happened after checked may then be unknown. It is called after each scan. boot
// is time since boot, right to a second.
func (k *kernel) stopped(l *live, boot func(time.Time) time.Duration) (string, error) {
	stats, err := k.source.Stats()
	if err != nil {
		return "", err
	}
	now := time.Now()
	for kind, t := range k.counted {
		t.look(stats.Sent[kind], now, boot(now))
	}
	for _, kind := range []bpf.Kind{bpf.Exec, bpf.Exit} {
		if t := k.counted[kind]; t != nil && l.missed[kind] > 0 && t.looks >= 2 {
			k.checked = t.before
			return fmt.Sprintf("there was an %v and the kernel did not tell of it", kind), nil
		}
	}
	if t := k.counted[bpf.Fork]; t.looks > 0 && l.youngest > t.since+2*time.Second {
		k.checked = t.before
		return "a process began and the kernel did not tell of it", nil
	}
	return "", nil
}

const unseen = "processes that live shorter than the interval may not be seen: "

func (c *collector) closeKernel() {
	if c.kernel == nil {
		return
	}
	if err := c.kernel.close(); err != nil {
		c.log.Warn("close the kernel's source", core.Err(err))
	}
	c.kernel, c.live = nil, nil
}

// list is the enumerator's lister.
func (c *collector) list(yield func(p *procfs.Process, whole bool) bool) error {
	if c.kernel == nil || c.kernel.unlisted {
		return nil
	}
	err := c.kernel.source.Processes(yield)
	if err != nil { // /proc has them all
		c.kernel.unlisted = true
		c.log.Warn("processes are listed from /proc", core.Err(err))
	}
	return nil
}

// catchUp takes up what happened while a scan was made.
func (c *collector) catchUp(ctx context.Context, snap *procfs.Snapshot) error {
	if c.kernel == nil {
		return nil
	}
	if c.snapshot == nil {
		c.live.seed(snap)
		c.watchOver()
	}
	c.live.touched = map[string]*procfs.Process{}
	defer func() {
		if c.live != nil {
			c.live.touched = nil
		}
	}()
	if err := c.kernel.source.Sync(); err != nil {
		return c.kernelFailed(ctx, err)
	}
	for k := c.kernel; c.kernel == k; {
		select {
		case <-ctx.Done():
			return nil
		case b := <-k.batches:
			if err := c.apply(ctx, b); err != nil {
				return err
			}
			if b.synced {
				c.live.merge(snap, c.enumerator.Boot(snap.Began))
				c.watchOver()
				return c.checkKernel(ctx)
			}
		}
	}
	return nil
}

// checkKernel ends a source whose programs do not run any more, as after the
// last scan.
func (c *collector) checkKernel(ctx context.Context) error {
	stopped, err := c.kernel.stopped(c.live, c.enumerator.Boot)
	if err != nil {
		return c.kernelFailed(ctx, err)
	}
	if stopped != "" {
		return c.sensorStopped(ctx, errors.New(stopped))
	}
	return nil
}

// sensorStopped publishes that programs in the kernel do not run any more, which
// none of ours has done, and goes on without them.
func (c *collector) sensorStopped(ctx context.Context, why error) error {
	if err := c.tellOfSensor(eventSensorStopped, why.Error()); err != nil {
		return err
	}
	return c.kernelFailed(ctx, why)
}

// apply publishes what has happened.
func (c *collector) apply(ctx context.Context, batch kernelBatch) error {
	known := lineage{}
	c.identify(ctx, batch.events)
	for i := range batch.events {
		e := &batch.events[i]
		if a := c.actions[e.Kind]; a != nil {
			if err := a.add(e, c.live, known); err != nil {
				return err
			}
			if e.Kind == bpf.System && e.What == bpf.Flood {
				c.agent.flooded(floodText(e, c.live.actor(e)))
			}
			continue
		}
		h := c.live.apply(e)
		if h.process == nil { // nothing has changed
			continue
		}
		if c.live.guard.concerns(h.process) {
			c.watchOver()
		}
		c.rows.add(&c.happened.columns, h.process, c.before, known)
		c.happened.add(&h, c.kernel.name)
		c.events.builder.EndRow()
		if id := h.process.EntityID; h.kind == eventExit {
			delete(c.live.told, id)
			c.before.remove(id)
			c.rows.forget(id)
		} else {
			c.live.told[id] = c.rows.written
		}
		if err := c.events.added(); err != nil {
			return err
		}
	}
	if err := c.flushOrGather(); err != nil {
		return err
	}
	c.sayBehind()
	now := time.Now()
	c.noteKernelLosses(now)
	if err := c.reportLosses(now); err != nil {
		return err
	}
	if batch.err != nil {
		return c.kernelFailed(ctx, batch.err)
	}
	return nil
}

// identify finds out which files were executed, where the kernel does not tell.
func (c *collector) identify(ctx context.Context, events []bpf.Event) {
	var list []*procfs.Process
	for i := range events {
		if p := events[i].Process; p != nil {
			list = append(list, p)
		}
	}
	if err := c.enumerator.Identify(ctx, list); err != nil {
		c.log.Debug("identify executables", core.Err(err))
	}
}

// An agent that is more than farBehind batches behind gets one each gatherTime:
// the queue holds some thousands of them, be they large or small.
const (
	farBehind  = 64
	gatherTime = 100 * time.Millisecond
)

// flushOrGather publishes events, or leaves them to gathered.
func (c *collector) flushOrGather() error {
	if c.agent.publisher.Stats().PendingFrames <= farBehind {
		return c.flush()
	}
	if !c.gathering {
		c.gathering = true
		c.gathered.Reset(gatherTime)
	}
	return nil
}

// flush publishes the events that wait.
func (c *collector) flush() error {
	if err := c.events.flush(); err != nil {
		return err
	}
	for _, a := range c.actions {
		if err := a.flush(); err != nil {
			return err
		}
	}
	return nil
}

// happenings are the columns of process_events.
type happenings struct {
	columns
	time, event, source, changedColumns, execPath, interpreter,
	exitCode, exitSignal, duration, peakMemory *event.ColumnBuilder
}

func newHappenings(b *event.Builder) *happenings {
	return &happenings{
		columns: newColumns(b),
		time:    b.Column("time"), event: b.Column("event"), source: b.Column("source"), changedColumns: b.Column("changed_columns"),
		execPath: b.Column("exec_path"), interpreter: b.Column("interpreter"), exitCode: b.Column("exit_code"),
		exitSignal: b.Column("exit_signal"), duration: b.Column("duration"), peakMemory: b.Column("peak_memory"),
	}
}

// add writes what is not about the process.
func (c *happenings) add(h *happening, source string) {
	c.time.Time(h.at)
	c.event.Text(h.kind)
	c.source.Text(source)
	switch h.kind {
	case eventChanged:
		c.changedColumns.Texts(h.changed)
	case eventExec:
		c.changedColumns.Texts(append([]string{}, h.changed...))
		c.execPath.TextOrNull(cutPath(h.event.Filename, maxAncestor))
		c.interpreter.TextOrNull(cutPath(h.event.Interp, maxAncestor))
	case eventExit:
		// wait(2): the signal in seven bits, the code in the byte above.
		if signal := h.event.Status & 0x7f; signal != 0 {
			c.exitSignal.Int(int64(signal))
		} else {
			c.exitCode.Int(int64(h.event.Status >> 8 & 0xff))
		}
		c.duration.Float(max(h.event.Time-h.event.Start, 0).Seconds())
		if h.event.PeakRSS > 0 {
			c.peakMemory.Int(h.event.PeakRSS)
		}
	}
}

// lossInterval bounds how exactly the time of a loss is known.
const lossInterval = 100 * time.Millisecond

func (c *collector) noteKernelLosses(now time.Time) {
	if now.Sub(c.kernel.checked) < lossInterval {
		return
	}
	rows, from, err := c.kernel.losses(now)
	if err != nil {
		c.log.Warn("read the kernel's counters", core.Err(err))
		return
	}
	for of, n := range rows {
		c.losses.note(of.table, of.reason, n, from, now)
		if of.reason == heldBack {
			c.agent.heldBack(uint64(n), from, now)
		}
	}
	c.lookedUp(len(rows) > 0, from, now)
}

// kernelFailed goes on with the next best source, or with scans alone.
func (c *collector) kernelFailed(ctx context.Context, err error) error {
	c.log.Warn("the kernel's source has ended", core.String("source", c.kernel.name), core.Err(err))
	c.settle()
	now := time.Now()
	c.losses.blind("process_events", "the kernel's source ended", c.kernel.checked, now)
	for _, t := range actionTables {
		c.losses.blind(t.name, "the kernel's source ended", c.kernel.checked, now)
	}
	if c.cfg.OnlyEBPF {
		return fmt.Errorf("collector.source is ebpf: %w", err)
	}
	reasons := c.replaceKernel(err)
	c.tell(api.Needs{})
	c.agent.observe(c.source(), c.limitsNow(reasons))
	if _, err := c.agent.state(ctx); err != nil {
		c.log.Warn("tell the agent of the source", core.Err(err))
	}
	return nil
}

// settle brings the rows that are compared with up to date with the events.
func (c *collector) settle() {
	if c.live == nil {
		return
	}
	list := slices.Collect(maps.Values(c.live.fresh))
	// What has become known since is told by the comparison that follows.
	c.rows.told = c.live.told
	c.before.add(c.rows.build(list, c.before))
	c.rows.told = nil
	c.before.images.add(list)
	c.live.settled()
}

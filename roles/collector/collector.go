// Package collector is the role procmond: the kernel tells it of each fork, exec
// and exit, where it can; and it lists the processes again and again, compares
// each scan with what it knows, and publishes what is new, what changed and what
// is gone. It is the only role that holds privileges.
package collector

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/handoff"
	"daemoneye/roles/hasher"
	"daemoneye/roles/log/core"
)

// MinInterval is the shortest interval between scans.
const MinInterval = 100 * time.Millisecond

// hashDelay is how long digests are gathered before they become events.
const hashDelay = 100 * time.Millisecond

// Config is what Run and Once need. Zero values are defaults, but for Dial,
// without which Run has no agent.
type Config struct {
	Dial           func(context.Context) (*bus.Conn, error)
	ID             string // of this start of the collector; "": a random one
	Version        string
	Interval       time.Duration // between the beginnings of two scans; 0: 30 s
	SampleInterval time.Duration // between two samples of one process; 0: 30 s
	Scan           procfs.Config
	NoKernel       bool     // scans of /proc only
	NoEBPF         bool     // no programs in the kernel either
	OnlyEBPF       bool     // or Run ends with an error
	RingBytes      int      // of the kernel's ring buffer; 0: 4 MiB
	SocketBytes    int      // of the buffer of netlink; 0: 8 MiB
	WatchedPaths   []string // of file_events: changes there, and below
	UnixSockets    bool     // in network_connections
	WatchedReads   []string // and reads of these files, or directly in these directories
	Redaction      Redaction
	NoHash         bool
	Hash           procfs.HasherConfig
	Hasher         *hasher.Process // hashes, and with the kernel's source reads /proc; nil: this process does
	Killed         *handoff.Killed // the collector before this one, when a signal ended it
	Cage           *platform.Cage  // closed once the kernel's source is open, with Landlock only where a Hasher reads; nil: none
	Ledger         LedgerConfig
	Log            *core.Logger // nil: none

	QueueBytes  int // unacknowledged bytes kept; 0: 16 MiB
	QueueFrames int // unacknowledged batches kept; 0: 4096

	leaseTime time.Duration // 0: api.LeaseTime
	stallTime time.Duration // after how long it counts that this process did not run; 0: 10 s

	checkInterval time.Duration // between two looks at the programs in the kernel; 0: 1 s
}

func (c Config) withDefaults() Config {
	if c.ID == "" {
		raw := make([]byte, 12)
		_, _ = rand.Read(raw) // never fails: crypto/rand.Read
		c.ID = hex.EncodeToString(raw)
	}
	if c.Interval <= 0 {
		c.Interval = 30 * time.Second
	}
	c.Interval = max(c.Interval, MinInterval)
	if c.SampleInterval <= 0 {
		c.SampleInterval = 30 * time.Second
	}
	if c.leaseTime <= 0 {
		c.leaseTime = api.LeaseTime
	}
	if c.checkInterval <= 0 {
		c.checkInterval = time.Second
	}
	if c.stallTime <= 0 {
		c.stallTime = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = core.NewLogger(zapcore.NewNopCore())
	}
	return c
}

// collector is one running collector. Its fields belong to the goroutine of
// run; what others need goes through agent and losses.
type collector struct {
	cfg        Config
	log        *core.Logger
	enumerator *procfs.Enumerator
	hasher     *procfs.Hasher // nil without hashes
	rows       *rows
	comparison *comparison
	can        []string // what it could not see even with the privileges of its start
	agent      *agentLink
	losses     losses
	lossLogged time.Time // when a loss was last said: a long one is said again at intervals
	kernel     *kernel   // nil: scans only
	live       *live     // with kernel

	events    *outbox
	happened  *happenings // its columns
	actions   map[bpf.Kind]*actions
	lease     *lease
	gathering bool        // gathered runs
	gathered  *time.Timer // when events that the agent may take later are published
	samples   *sampler
	scans     *outbox

	snapshot *procfs.Snapshot // of the last scan
	scanned  time.Time        // when that began; with a monotonic reading
	rescan   bool             // a scan is due before its time
	before   *state           // what the agent knows, or will from what is published
	scanErr  string           // of the last scan, so that it is logged once
}

// Run scans until ctx ends, then gives what was published a moment to be
// acknowledged. It waits for the agent before the first scan: that is compared
// with what the agent knows, so that a restarted collector does not report
// every process again.
func Run(ctx context.Context, cfg Config) (err error) {
	c, err := open(cfg)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.connect(); err != nil {
		return err
	}
	defer func() { c.agent.ledger.close(err) }()
	defer c.agent.close()
	started := c.describe()
	c.confine()
	c.recordStart(started)
	if c.before, err = c.agent.baseline(ctx); err != nil {
		return endOf(ctx, err)
	}
	if cfg.Killed != nil {
		if err := c.killed(cfg.Killed); err != nil {
			return endOf(ctx, err)
		}
	}
	if err := c.run(ctx); err != nil {
		return endOf(ctx, err)
	}
	return nil
}

// connect opens the kernel's source and the way to the agent, which is told
// what there is.
func (c *collector) connect() error {
	c.can = limits()
	reasons := c.openKernel()
	if c.cfg.OnlyEBPF && c.source() != api.SourceKernel {
		return fmt.Errorf("collector.source is ebpf: %s", strings.TrimPrefix(reasons[0], unseen))
	}
	can := c.limitsNow(reasons)
	c.agent = newAgentLink(c.cfg, &c.losses, c.hasher, c.source(), can)
	c.events = newOutbox(c.agent.publisher, "process_events", &c.losses)
	c.happened = newHappenings(c.events.builder)
	c.lease = newLease()
	c.tell(api.Needs{})
	c.actions = map[bpf.Kind]*actions{}
	for kind, t := range actionTables {
		c.actions[kind] = newActions(t, newOutbox(c.agent.publisher, t.name, &c.losses))
	}
	c.gathered = time.NewTimer(time.Hour)
	c.gathered.Stop()
	c.samples = newSampler(newOutbox(c.agent.publisher, "process_samples", &c.losses), c.cfg.SampleInterval)
	c.scans = newOutbox(c.agent.publisher, "scans", &c.losses)
	return nil
}

// endOf returns nil when ctx was the reason to stop.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// open makes what does not need the agent.
func open(cfg Config) (*collector, error) {
	cfg = cfg.withDefaults()
	redact, err := newRedactor(cfg.Redaction)
	if err != nil {
		return nil, err
	}
	c := &collector{cfg: cfg, log: cfg.Log, comparison: newComparison(), before: newState()}
	cfg.Scan.List = c.list
	if c.enumerator, err = procfs.NewEnumerator(cfg.Scan); err != nil {
		return nil, err
	}
	if !cfg.NoHash {
		if cfg.Hasher != nil {
			cfg.Hash.Digest = cfg.Hasher.Digest
		}
		c.hasher = procfs.NewHasher(cfg.Hash)
	}
	c.rows = newRows(redact, c.hasher)
	return c, nil
}

func (c *collector) close() {
	c.closeKernel()
	if c.hasher != nil {
		c.hasher.Close()
	}
	if err := c.enumerator.Close(); err != nil {
		c.log.Warn("close /proc", core.Err(err))
	}
}

// run is the loop of scans.
func (c *collector) run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	hashed := time.NewTimer(time.Hour)
	hashed.Stop()
	defer hashed.Stop()
	var digests <-chan struct{}
	if c.hasher != nil {
		digests = c.hasher.Done()
	}
	hashing := false
	watchdog := newWatchdog(c.cfg.stallTime)
	defer watchdog.close()
	checks := time.NewTicker(c.cfg.checkInterval)
	defer checks.Stop()
	for {
		var batches <-chan kernelBatch
		if c.kernel != nil && c.snapshot != nil { // what has happened is told after what is
			batches = c.kernel.batches
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.hasherDone():
			return c.cfg.Hasher.Err()
		case b := <-batches:
			if err := c.apply(ctx, b); err != nil {
				return err
			}
		case <-c.gathered.C:
			c.gathering = false
			if err := c.flush(); err != nil {
				return err
			}
		case s := <-watchdog.stalls:
			if err := c.tellOfSensor(eventSensorStalled, s.String()); err != nil {
				return err
			}
		case <-checks.C:
			if err := c.checkSensor(ctx, time.Now()); err != nil {
				return err
			}
		case f := <-c.agent.tasks:
			f(c)
		case n := <-c.agent.needs:
			c.grant(n)
		case <-c.lease.ends.C:
			c.tell(api.Needs{})
		case <-digests:
			if !hashing {
				hashing = true
				hashed.Reset(hashDelay)
			}
		case <-hashed.C:
			hashing = false
			if err := c.compare(time.Now()); err != nil {
				return err
			}
		case <-next.C:
			began := time.Now()
			if err := c.scan(ctx); err != nil {
				return err
			}
			// A scan that takes longer than the interval leaves as much time to others.
			next.Reset(max(c.cfg.Interval-time.Since(began), min(time.Since(began), c.cfg.Interval)/2))
		}
		if c.rescan {
			c.rescan = false
			next.Reset(time.Until(c.scanned.Add(min(rescanAfter, c.cfg.Interval))))
		}
	}
}

// scan lists the processes once and publishes what came of it.
func (c *collector) scan(ctx context.Context) error {
	if err := c.recover(ctx); err != nil {
		return err
	}
	c.remount()
	snap, err := c.enumerator.Scan(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		c.noteScanError(err)
		return c.publishScan(&procfs.Snapshot{Began: time.Now(), Errors: 1, Err: err}, 0)
	}
	c.noteScanError(snap.Err)
	if err := c.catchUp(ctx, snap); err != nil || ctx.Err() != nil {
		return err
	}
	c.noteStall(snap.Began)
	c.snapshot = snap
	events := c.events.rows
	if err := c.compare(snap.Began); err != nil {
		return err
	}
	if err := c.samples.sample(snap); err != nil {
		return err
	}
	if err := c.publishScan(snap, c.events.rows-events); err != nil {
		return err
	}
	found := 0
	if c.live != nil {
		found = c.live.found
	}
	c.agent.scanned(snap, found)
	return nil
}

// stalled is after how many intervals without a scan the time counts as a gap:
// what a scan misses within one is in the nature of scans.
const stalled = 3

// noteStall reports the time in which scans should have been made and were
// not: the collector was stopped, or the machine had no time for it.
func (c *collector) noteStall(began time.Time) {
	before := c.scanned
	c.scanned = began
	if c.kernel != nil { // which counts what it misses
		return
	}
	if before.IsZero() || began.Sub(before) <= stalled*c.cfg.Interval+time.Second {
		return
	}
	c.losses.blind("process_events", "no scan was made", before, began)
}

func (c *collector) noteScanError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != c.scanErr && err != nil {
		c.log.Warn("scan", core.Err(err))
	}
	c.scanErr = text
}

// compare publishes what leads from the state before to the last scan, with
// the digests that are known by now. at is the time of exits.
func (c *collector) compare(at time.Time) error {
	if c.snapshot == nil {
		return nil
	}
	if c.live != nil {
		c.settle()
		c.snapshot.Processes = c.live.list()
	}
	after := newState(c.rows.build(c.snapshot.Processes, c.before))
	c.rows.keep(c.snapshot.Processes)
	after.images.add(c.snapshot.Processes)
	b := c.events.builder
	var err error
	c.comparison.between(c.before, after, func(event string, at position, changed []string) {
		if err != nil {
			return
		}
		c.happened.event.Text(event)
		c.happened.source.Text(c.scanSource())
		if event == eventExit {
			c.happened.time.Time(c.snapshot.Began)
		} else {
			c.happened.time.Micro(at.batch.Column("collection_time").Int(at.row))
		}
		if event == eventExec || event == eventChanged {
			c.happened.changedColumns.Texts(append([]string{}, changed...))
		}
		b.AddRow(at.batch, at.row)
		err = c.events.added()
	})
	if err != nil {
		return err
	}
	c.before = after
	return c.events.flush()
}

func (c *collector) publishScan(snap *procfs.Snapshot, events int) error {
	b := c.scans.builder
	b.Column("time").Time(snap.Began)
	b.Column("collector_id").Text(c.cfg.ID)
	b.Column("source").Text(c.scanSource())
	b.Column("duration").Float(snap.Duration.Seconds())
	b.Column("processes").Int(int64(len(snap.Processes)))
	b.Column("inaccessible").Int(int64(snap.Inaccessible))
	b.Column("vanished").Int(int64(snap.Vanished))
	b.Column("events").Int(int64(events))
	b.Column("errors").Int(int64(snap.Errors))
	if snap.Err != nil {
		b.Column("error").Text(snap.Err.Error())
	}
	b.EndRow()
	c.scans.rows++
	return c.scans.flush()
}

// reportLosses publishes what was lost as gaps, as soon as there is room.
func (c *collector) reportLosses(now time.Time) error {
	list := c.losses.take(now)
	if len(list) == 0 {
		return nil
	}
	b := gaps(list, c.cfg.ID, now)
	_, err := c.agent.publisher.TryPublish(api.EventsTopic+b.Table.Name, event.Encode(nil, b))
	if errors.Is(err, bus.ErrFull) {
		c.losses.putBack(list)
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish event gaps: %w", err)
	}
	if now.Sub(c.lossLogged) >= repeatFirst {
		c.lossLogged = now
		c.log.Warn("events were lost and are reported as gaps", core.Int("tables", len(list)), core.Int("rows", int(c.losses.count())))
	}
	return nil
}

// recover puts right what the agent was not told, once it has taken all that
// was kept: the next comparison is with what it knows now.
func (c *collector) recover(ctx context.Context) error {
	if err := c.reportLosses(time.Now()); err != nil {
		return err
	}
	if !c.losses.untold() && !c.agent.forgotten() {
		return nil
	}
	if err := c.events.flush(); err != nil {
		return err
	}
	if !c.agent.drained(ctx) {
		return nil
	}
	known, err := c.agent.state(ctx)
	if err != nil {
		c.log.Warn("ask the agent for its state", core.Err(err))
		return nil // the next scan tries again
	}
	c.losses.told()
	c.before = known
	if c.live != nil {
		c.live.settled() // the agent has them, or a scan finds them
	}
	return nil
}

package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

const (
	heartbeatInterval = 5 * time.Second
	heartbeatTimeout  = 2 * time.Second
	// flushTimeout bounds how long a collector that ends waits for the agent.
	flushTimeout = 3 * time.Second
	// drainTimeout is how long one that goes on does; events wait in the kernel.
	drainTimeout = 100 * time.Millisecond
)

// agentLink is the collector's way to the agent: the reliable publisher, the
// registration on each new connection, and heartbeats.
type agentLink struct {
	cfg       Config
	log       *core.Logger
	losses    *losses
	hasher    *procfs.Hasher
	publisher *bus.Publisher
	first     chan *state // the baseline, once
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	beat      chan struct{}  // capacity 1: a heartbeat is due
	needs     chan api.Needs // capacity 1: the newest
	tasks     chan func(*collector)
	ctx       context.Context // ends with close
	outage    outage
	ledger    *ledgerKeeper
	unread    api.Unread // of the last heartbeat, whose goroutine has it

	mu        sync.Mutex
	conn      *bus.Conn // the last one; it may have ended
	started   bool      // first has been filled
	forgot    bool      // the agent has lost what it had acknowledged
	source    string    // what observes
	limits    []string  // what it can not see
	scans     uint64
	lastScan  time.Duration
	processes int
	found     uint64       // processes that only a scan told of, after the first one
	told      []string     // tables, and which events of them the kernel tells now
	confined  *confinement // nil: not
	late      uint64       // events that could not be looked up any more
	held      api.Held     // what the programs in the kernel held back
	tampered  api.Tampered
}

func newAgentLink(cfg Config, l *losses, hasher *procfs.Hasher, source string, limits []string) *agentLink {
	a := &agentLink{
		source: source, limits: limits, cfg: cfg, log: cfg.Log, losses: l, hasher: hasher,
		first: make(chan *state, 1), beat: make(chan struct{}, 1), needs: make(chan api.Needs, 1), tasks: make(chan func(*collector)), outage: outage{log: cfg.Log},
		ledger: newLedgerKeeper(cfg.Ledger, cfg.Log),
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.ctx, a.cancel = ctx, cancel
	// The publisher may connect before NewPublisher returns.
	ready := make(chan struct{})
	a.publisher = bus.NewPublisher(bus.PublisherConfig{
		Dial: cfg.Dial, Collector: cfg.ID, MaxBytes: cfg.QueueBytes, MaxFrames: cfg.QueueFrames,
		OnConnect: func(ctx context.Context, conn *bus.Conn) error {
			<-ready
			return a.connected(ctx, conn)
		},
		Log: func(err error) { a.outage.failed(err, time.Now()) },
	})
	close(ready)
	a.wg.Go(func() { a.heartbeats(ctx) })
	return a
}

// close lets the agent take what was published, for a moment, and ends the
// connection.
func (a *agentLink) close() {
	a.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := a.publisher.Flush(ctx); err != nil {
		a.log.Warn("not all batches were acknowledged", core.Int("batches", a.publisher.Stats().PendingFrames), core.Err(err))
	}
	_ = a.publisher.Close()
	a.wg.Wait() // after the publisher, whose connections start more
	if a.confined != nil {
		a.confined.close()
	}
}

// connected registers on a new connection. The first time it takes the agent's
// state as the baseline.
func (a *agentLink) connected(ctx context.Context, conn *bus.Conn) error {
	a.mu.Lock()
	started := a.started
	a.mu.Unlock()
	registered, known, err := a.register(ctx, conn, !started)
	if err != nil {
		return err
	}
	a.outage.ended()
	a.wg.Go(func() { follow(a, conn, api.CollectorNeeds, a.takeNeeds) })
	a.wg.Go(func() {
		follow(a, conn, api.CollectorQuestions, func(ctx context.Context, q api.Question) {
			if err := a.answerQuestion(ctx, conn, q.ID); err != nil && ctx.Err() == nil {
				a.log.Warn("list the connections", core.Err(err))
			}
		})
	})
	a.wg.Go(func() {
		follow(a, conn, api.LedgerAppend, func(ctx context.Context, r api.LedgerRequest) { a.ledger.serve(ctx, conn, r) })
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = conn
	stats := a.publisher.Stats()
	if acknowledged := stats.Published - uint64(stats.PendingFrames); started && registered.Sequence < acknowledged {
		a.forgot = true
	}
	if !started {
		a.started = true
		a.first <- known
		a.log.Info("registered with the agent", core.String("collector", a.cfg.ID), core.Int("known_processes", len(known.at)))
	}
	a.due()
	return nil
}

// register makes the request that must come before the first batch. With
// wanted, it reads the agent's state.
func (a *agentLink) register(ctx context.Context, conn *bus.Conn, wanted bool) (r api.Registered, known *state, err error) {
	a.mu.Lock()
	registration := api.Registration{
		CollectorID: a.cfg.ID, Version: a.cfg.Version, Source: a.source, Limits: a.limits, Interval: a.cfg.Interval,
	}
	a.mu.Unlock()
	if a.cfg.Hasher != nil {
		registration.Hasher = a.cfg.Hasher.PID()
	}
	body, err := msgpack.Marshal(registration)
	if err != nil {
		return r, nil, fmt.Errorf("encode registration: %w", err)
	}
	replies, err := conn.Request(ctx, api.Register, body)
	if err != nil {
		return r, nil, err
	}
	defer replies.Close()
	first, err := replies.Next(ctx)
	if err != nil {
		return r, nil, fmt.Errorf("register: %w", err)
	}
	if err := msgpack.Unmarshal(first, &r); err != nil {
		return r, nil, fmt.Errorf("decode registration's answer: %w", err)
	}
	known = newState()
	for wanted {
		data, err := replies.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, nil, fmt.Errorf("read the agent's state: %w", err)
		}
		b, err := event.Decode(data, nil)
		if err != nil {
			return r, nil, fmt.Errorf("decode the agent's state: %w", err)
		}
		if b.Table.Name != "processes" {
			return r, nil, fmt.Errorf("the agent's state is of table %s", b.Table.Name)
		}
		known.add(b)
	}
	return r, known, nil
}

// baseline waits for the first connection and returns the agent's state.
func (a *agentLink) baseline(ctx context.Context) (*state, error) {
	select {
	case s := <-a.first:
		return s, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// state asks the agent what it knows now.
func (a *agentLink) state(ctx context.Context) (*state, error) {
	a.mu.Lock()
	conn := a.conn
	a.mu.Unlock()
	_, known, err := a.register(ctx, conn, true)
	if err == nil {
		a.mu.Lock()
		a.forgot = false
		a.mu.Unlock()
	}
	return known, err
}

// observe is what the next registration says of the source.
func (a *agentLink) observe(source string, limits []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source, a.limits = source, limits
}

// tells is what the next heartbeats say of what the kernel tells.
func (a *agentLink) tells(told []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.told, told) {
		a.told = told
		a.due()
	}
}

// tooLate is what the next heartbeats say of events that could not be looked up.
func (a *agentLink) tooLate(n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.late = n
}

// forgotten reports whether the agent came back without what it had
// acknowledged: its store was removed.
func (a *agentLink) forgotten() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.forgot
}

// drained reports whether the agent is there and has acknowledged everything,
// or does so in a moment.
func (a *agentLink) drained(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	return a.publisher.Stats().Connected && a.publisher.Flush(ctx) == nil
}

// scanned notes a scan and how many processes only that told of, and has a
// heartbeat sent.
func (a *agentLink) scanned(snap *procfs.Snapshot, found int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scans++
	a.found += uint64(found)
	a.lastScan, a.processes = snap.Duration, len(snap.Processes)
	a.due()
}

func (a *agentLink) due() {
	select {
	case a.beat <- struct{}{}:
	default:
	}
}

// heartbeats sends a sign of life after each scan and at least every
// heartbeatInterval, until ctx ends. One that can not be sent is left out.
func (a *agentLink) heartbeats(ctx context.Context) {
	timer := time.NewTicker(heartbeatInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.beat:
		}
		if err := a.heartbeat(ctx); err != nil && ctx.Err() == nil {
			a.log.Debug("heartbeat", core.Err(err))
		}
	}
}

// follow hands over each message that the agent answers a request with, until
// the connection ends.
func follow[T any](a *agentLink, conn *bus.Conn, request string, take func(context.Context, T)) {
	replies, err := conn.Request(a.ctx, request, nil)
	if err != nil {
		return // with the connection; what is connected next asks again
	}
	defer replies.Close()
	for {
		body, err := replies.Next(a.ctx)
		if err != nil {
			return
		}
		var message T
		if err := msgpack.Unmarshal(body, &message); err != nil {
			a.log.Warn("decode what the agent says", core.String("request", request), core.Err(err))
			continue
		}
		take(a.ctx, message)
	}
}

// noteUnread brings the counts of the hasher and of the queue before it up to
// date. Their times are those of heartbeats.
func (a *agentLink) noteUnread(now time.Time) {
	u := api.Unread{First: a.unread.First, Last: a.unread.Last}
	if a.hasher != nil {
		s := a.hasher.Stats()
		u.Dropped, u.Stalled, u.Large = s.Dropped, s.Stalled, s.Skipped
	}
	if a.cfg.Hasher != nil {
		s := a.cfg.Hasher.Stats()
		u.Late, u.Refused = s.Late, s.Refused
	}
	if u.Total() > a.unread.Total() {
		u.Last = now
		if u.First.IsZero() {
			u.First = now
		}
	}
	a.unread = u
}

func (a *agentLink) heartbeat(ctx context.Context) error {
	stats := a.publisher.Stats()
	a.mu.Lock()
	conn := a.conn
	beat := api.Heartbeat{
		CollectorID: a.cfg.ID, Time: time.Now(), Sequence: stats.Published, Queued: stats.PendingFrames,
		Dropped: a.losses.count(), Scans: a.scans, LastScan: a.lastScan, Processes: a.processes, Found: a.found, Told: a.told, Late: a.late, Held: a.held,
		Tampered: a.tampered,
	}
	confined := a.confined
	a.mu.Unlock()
	if conn == nil {
		return nil
	}
	if a.hasher != nil {
		beat.HashQueue = a.hasher.Stats().Queued
	}
	a.noteUnread(beat.Time)
	beat.Unread = a.unread
	beat.Ledger = a.ledger.status()
	if confined != nil {
		beat.Roles = append(beat.Roles, api.RoleReport{Role: Name, PID: os.Getpid(), Confinement: confined.report()})
	}
	body, err := msgpack.Marshal(&beat)
	if err != nil {
		return fmt.Errorf("encode heartbeat: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	return conn.Publish(ctx, api.HeartbeatTopic, body)
}

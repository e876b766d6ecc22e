package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/store"
)

// registry knows the collector that has registered.
type registry struct {
	mu        sync.Mutex
	peer      bus.Peer
	status    *api.CollectorStatus // nil before the first
	scanned   chan struct{}        // closed after the first heartbeat of a scan
	announced bool
	put       time.Time         // when the store was told last
	reports   []api.RoleReport  // of the last heartbeat
	written   *api.LedgerStatus // likewise
}

// putEvery is how often the store is told that the collector is still there.
// Each time costs a sync; a gap after a crash may begin so much too early.
const putEvery = 30 * time.Second

func newRegistry() *registry { return &registry{scanned: make(chan struct{})} }

// get returns a copy of what is known, nil when no collector has registered.
func (r *registry) get() (*api.CollectorStatus, bus.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == nil {
		return nil, bus.Peer{}
	}
	status := *r.status
	return &status, r.peer
}

// confinement returns what the role has said of its own, nil before it has.
func (r *registry) confinement(role string) *api.Confinement {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range r.reports {
		if report.Role == role {
			return &report.Confinement
		}
	}
	return nil
}

// ledger is what the collector has said of the ledger, nil before it has.
func (r *registry) ledger() *api.LedgerStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written
}

// register answers api.Register: it tells the collector what is stored of it
// and sends the present state, with which it compares its first scan.
func (a *agent) register(ctx context.Context, c *bus.Call) error {
	var reg api.Registration
	if err := msgpack.Unmarshal(c.Body, &reg); err != nil {
		return fmt.Errorf("decode registration: %w", err)
	}
	if reg.CollectorID == "" || reg.CollectorID == store.AgentCollector || reg.Interval <= 0 {
		return fmt.Errorf("registration of collector %q with interval %v", reg.CollectorID, reg.Interval)
	}
	known := a.sequence(reg.CollectorID) > 0
	if !known {
		a.noteDowntime(reg)
	}
	err := a.store.PutCollector(ctx, store.Collector{
		ID: reg.CollectorID, PID: int64(c.Peer.PID), UID: int64(c.Peer.UID), Source: event.Clean(reg.Source),
	})
	if errors.Is(err, store.ErrDiskFull) {
		a.log.Warn("note collector", zap.Error(err)) // health says it; scans may go on
	} else if err != nil {
		return err
	}
	r := a.registry
	r.mu.Lock()
	r.peer, r.reports = c.Peer, nil
	r.status = &api.CollectorStatus{
		CollectorID: reg.CollectorID, Connected: true, Source: reg.Source, Limits: reg.Limits,
		Interval: reg.Interval, Registered: time.Now(), LastSeen: time.Now(), Hasher: reg.Hasher,
	}
	r.mu.Unlock()
	a.log.Info("collector registered", zap.String("collector", reg.CollectorID), zap.Int("pid", c.Peer.PID),
		zap.Uint32("uid", c.Peer.UID), zap.String("source", reg.Source), zap.Bool("again", known))

	a.recorder.record(fact.CollectorRegistered, reg.CollectorID, "", fact.Fields{
		"pid": c.Peer.PID, "uid": c.Peer.UID, "source": event.Clean(reg.Source), "again": known, "version": event.CutText(event.Clean(reg.Version), 128),
	})

	rows := int64(0)
	if stats, err := a.store.Stats(); err == nil {
		rows = int64(stats.Processes)
	}
	body, err := encode(api.Registered{Sequence: a.sequence(reg.CollectorID), Rows: rows})
	if err != nil {
		return err
	}
	if err := c.Reply(ctx, body); err != nil {
		return err
	}
	return a.store.Processes(ctx, func(b *event.Batch) error { return c.Reply(ctx, event.Encode(nil, b)) })
}

// noteDowntime records the time in which no collector ran before this start of
// one: what started and ended then was not seen. For one that only scans, less
// than an interval is none.
func (a *agent) noteDowntime(reg api.Registration) {
	var last time.Time
	before := "" // its source
	for _, c := range a.store.Collectors() {
		if c.ID != store.AgentCollector && c.LastSeen.After(last) {
			last, before = c.LastSeen, c.Source
		}
	}
	// It may have ended with events that it had not sent yet.
	if stats, err := a.store.Stats(); err == nil && !stats.Newest.IsZero() && stats.Newest.Before(last) {
		last = stats.Newest
	}
	now := time.Now()
	if last.IsZero() || reg.Source == api.SourceProc && now.Sub(last) <= reg.Interval {
		return
	}
	for _, t := range toldTables() {
		if reg.Source == api.SourceKernel || before == api.SourceKernel || !needsKernel(t) {
			a.ingest.gap(t.Name, reg.CollectorID, "collector", "no collector was running", last, now, -1)
		}
	}
}

// sequence returns the sequence of the collector's last stored batch, 0 when
// none is stored.
func (a *agent) sequence(collector string) uint64 { return sequenceOf(a.store, collector) }

func sequenceOf(s *store.Store, collector string) uint64 {
	for _, c := range s.Collectors() {
		if c.ID == collector {
			return c.Sequence
		}
	}
	return 0
}

// followHeartbeats takes up heartbeats until ctx ends.
func (a *agent) followHeartbeats(ctx context.Context, sub *bus.Subscription) {
	defer sub.Close()
	for {
		d, err := sub.Next(ctx)
		if err != nil {
			return
		}
		for body := range d.Messages() {
			var beat api.Heartbeat
			if err := msgpack.Unmarshal(body, &beat); err != nil {
				a.log.Warn("decode heartbeat", zap.Error(err))
				continue
			}
			a.heartbeat(ctx, beat)
		}
	}
}

func (a *agent) heartbeat(ctx context.Context, beat api.Heartbeat) {
	r := a.registry
	r.mu.Lock()
	s := r.status
	if s == nil || s.CollectorID != beat.CollectorID {
		r.mu.Unlock()
		return
	}
	dropped := s.Dropped != beat.Dropped
	s.LastSeen, s.Sequence, s.Queued, s.Dropped = time.Now(), beat.Sequence, beat.Queued, beat.Dropped
	if beat.Scans > s.Scans {
		s.LastScanAt = s.LastSeen
	}
	s.Scans, s.LastScan, s.Processes, s.Found, s.Told, s.Late = beat.Scans, beat.LastScan, beat.Processes, beat.Found, beat.Told, beat.Late
	s.HashQueue, s.Unread, s.Held, s.Tampered = beat.HashQueue, beat.Unread, beat.Held, beat.Tampered
	r.reports, r.written = beat.Roles, beat.Ledger
	if beat.Scans > 0 && !r.announced {
		r.announced = true
		close(r.scanned)
	}
	if !dropped && time.Since(r.put) < putEvery {
		r.mu.Unlock()
		return
	}
	r.put = time.Now()
	put := store.Collector{ID: s.CollectorID, PID: int64(r.peer.PID), UID: int64(r.peer.UID), Source: event.Clean(s.Source), Dropped: int64(s.Dropped)}
	r.mu.Unlock()
	if err := a.store.PutCollector(ctx, put); err != nil && ctx.Err() == nil {
		a.log.Warn("note heartbeat", zap.Error(err))
	}
}

// connection notes that the collector's connection has come or gone.
func (a *agent) connection(e bus.Event) {
	r := a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == bus.EventClosed && r.status != nil && e.Peer.Conn == r.peer.Conn {
		r.status.Connected = false
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Broker. Zero values are defaults.
type Config struct {
	Access []Access // what peers may do; nothing by default

	// OperatorUIDs are admitted as operators, as are always root, the agent's
	// own uid, and members of the socket's group.
	OperatorUIDs []uint32

	MaxBody          int // bytes of a frame's body; default 1 MiB
	MaxConns         int // default 64
	ReservedConns    int // of these, for collectors only; default an eighth, at most 8
	MaxSubscriptions int // of one connection; default 16
	MaxRequests      int // outstanding, of one connection; default 32

	PublishWindow int // bytes a connection may publish ahead; default 1 MiB
	IngestWindow  int // bytes a collector may have unacknowledged; default 4 MiB
	IngestFrames  int // the same in frames; default 1024
	QueueBytes    int // of one subscription; default 1 MiB

	HandshakeTimeout time.Duration // default 5 s

	// Log is told what happens to connections; it must be quick.
	Log func(Event)
}

// Event is something that happened to a connection.
type Event struct {
	Kind EventKind
	Peer Peer // Role is empty before the handshake is done
	Err  error
}

// EventKind names an Event.
type EventKind string

const (
	EventConnected EventKind = "connected"
	EventClosed    EventKind = "closed"    // Err is nil when the peer closed it
	EventRefused   EventKind = "refused"   // by limit, credentials or token
	EventMalformed EventKind = "malformed" // closed for such a frame
	EventDenied    EventKind = "denied"    // by the access table
	EventAccept    EventKind = "accept"    // accepting failed; it is tried again
)

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func (c Config) withDefaults() Config {
	c.MaxBody = orDefault(c.MaxBody, 1<<20)
	c.MaxConns = orDefault(c.MaxConns, 64)
	c.ReservedConns = min(orDefault(c.ReservedConns, min(c.MaxConns/8, 8)), c.MaxConns)
	c.MaxSubscriptions = orDefault(c.MaxSubscriptions, 16)
	c.MaxRequests = orDefault(c.MaxRequests, 32)
	c.PublishWindow = orDefault(c.PublishWindow, 1<<20)
	c.IngestWindow = orDefault(c.IngestWindow, 4<<20)
	c.IngestFrames = orDefault(c.IngestFrames, 1024)
	c.QueueBytes = orDefault(c.QueueBytes, 1<<20)
	c.HandshakeTimeout = orDefault(c.HandshakeTimeout, 5*time.Second)
	if c.Log == nil {
		c.Log = func(Event) {}
	}
	return c
}

// Broker routes messages between the peers that connect and the agent itself.
type Broker struct {
	cfg    Config
	access accessTable
	tokens tokens
	pool   pool
	counts counters

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // accept loops and sessions

	routes atomic.Pointer[[]*subscriber]

	mu         sync.Mutex
	closed     bool
	listeners  []*Listener
	sessions   map[*session]struct{}
	collectors map[string]*session // by collector id
	handlers   map[string]Handler
	ingester   Ingester
	ingestable Pattern
	lastConn   uint64
}

// NewBroker returns a broker that serves nobody yet.
func NewBroker(cfg Config) (*Broker, error) {
	access, err := newAccessTable(cfg.Access)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg.withDefaults(), access: access,
		sessions: map[*session]struct{}{}, collectors: map[string]*session{}, handlers: map[string]Handler{},
	}
	b.routes.Store(&[]*subscriber{})
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	return b, nil
}

// AllowToken admits as collector one process that knows the token, as often as
// it reconnects: the process pid, or if that is 0 the first that comes.
func (b *Broker) AllowToken(token Token, pid int) { b.tokens.allow(token, pid) }

// RevokeToken undoes AllowToken. Connections that exist stay.
func (b *Broker) RevokeToken(token Token) { b.tokens.revoke(token) }

// HandleRequest makes h answer the requests called name. Handlers are set before Serve.
func (b *Broker) HandleRequest(name string, h Handler) error {
	if err := CheckTopic(name); err != nil {
		return fmt.Errorf("handle request: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handlers[name] != nil {
		return fmt.Errorf("handle request: %q has a handler", name)
	}
	b.handlers[name] = h
	return nil
}

// HandleIngest gives reliable messages of the pattern's topics to in. Reliable
// messages of other topics are denied. It is set before Serve.
func (b *Broker) HandleIngest(pattern string, in Ingester) error {
	p, err := ParsePattern(pattern)
	if err != nil {
		return fmt.Errorf("handle ingest: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ingester != nil {
		return errors.New("handle ingest: there is a handler")
	}
	b.ingester, b.ingestable = in, p
	return nil
}

// Serve accepts connections until Close, which also closes l, or until l is
// closed. It returns nil then.
func (b *Broker) Serve(l *Listener) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		_ = l.Close()
		return ErrClosed
	}
	b.listeners = append(b.listeners, l)
	b.wg.Add(1)
	b.mu.Unlock()
	defer b.wg.Done()
	pause := time.Duration(0)
	for {
		conn, err := l.AcceptUnix()
		if err == nil {
			pause = 0
			b.admit(conn, l)
			continue
		}
		if errors.Is(err, os.ErrClosed) || isClosed(err) {
			return nil
		}
		// Out of descriptors, mostly: peers that leave will free some.
		b.cfg.Log(Event{Kind: EventAccept, Err: err})
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
		}
	}
}

// Disconnect ends all connections and their requests, accepts no more, and
// waits for everything that served them, handlers included. Publish, and
// subscriptions inside the agent, go on until Close.
func (b *Broker) Disconnect() error {
	b.mu.Lock()
	b.closed = true
	listeners := b.listeners
	b.listeners = nil
	sessions := make([]*session, 0, len(b.sessions))
	for s := range b.sessions {
		sessions = append(sessions, s)
	}
	b.mu.Unlock()
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	for _, s := range sessions {
		s.fail(&Error{Code: CodeClosing, Message: "the agent ends"})
	}
	b.wg.Wait()
	return err
}

// Close is Disconnect, and then ends all subscriptions.
func (b *Broker) Close() error {
	err := b.Disconnect()
	b.cancel(ErrClosed)
	for _, s := range *b.routes.Load() {
		s.close(ErrClosed)
	}
	return err
}

// Publish sends messages of one topic to all that subscribe to it. It waits
// for those of class Wait. The messages' bytes are copied.
func (b *Broker) Publish(ctx context.Context, topic string, messages ...[]byte) error {
	if err := CheckTopic(topic); err != nil {
		return err
	}
	if len(messages) == 0 {
		return nil
	}
	if n := batchSize(messages); n > b.cfg.MaxBody {
		return fmt.Errorf("publish %q: %w: %d bytes, the limit is %d", topic, ErrTooLarge, n, b.cfg.MaxBody)
	}
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	p := b.pool.batch(topic, messages)
	b.counts.in.add(p)
	return b.route(ctx, topic, p)
}

// route gives p to the topic's subscribers and releases it.
func (b *Broker) route(ctx context.Context, topic string, p *payload) error {
	defer p.release()
	heard := false
	for _, s := range *b.routes.Load() {
		if !s.pattern.Match(topic) {
			continue
		}
		heard = true
		p.retain()
		if err := s.offer(ctx, p); err != nil && ctx.Err() != nil {
			return err
		}
	}
	if !heard {
		b.counts.unheard.Add(uint64(p.count))
	}
	return nil
}

// Subscribe receives messages inside the agent, without a socket.
func (b *Broker) Subscribe(pattern string, class Class) (*Subscription, error) {
	p, err := ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	s := &subscriber{queue: newQueue(class, b.cfg.QueueBytes), broker: b, pattern: p}
	if err := b.addRoute(s); err != nil {
		return nil, err
	}
	return &Subscription{
		q:     s.queue,
		taken: func(int) {},
		stop:  func() { b.removeRoute(s) },
	}, nil
}

func (b *Broker) addRoute(s *subscriber) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	routes := append(slices.Clip(*b.routes.Load()), s)
	b.routes.Store(&routes)
	return nil
}

func (b *Broker) removeRoute(s *subscriber) {
	b.mu.Lock()
	old := *b.routes.Load()
	routes := make([]*subscriber, 0, len(old))
	for _, r := range old {
		if r != s {
			routes = append(routes, r)
		}
	}
	b.routes.Store(&routes)
	b.mu.Unlock()
}

// Stats returns the counters as they stand.
func (b *Broker) Stats() Stats {
	c := &b.counts
	b.mu.Lock()
	connections := len(b.sessions)
	b.mu.Unlock()
	st := Stats{
		Connections: connections,
		Accepted:    c.accepted.Load(), Refused: c.refused.Load(),
		Malformed: c.malformed.Load(), Denied: c.denied.Load(),
		In: c.in.load(), Out: c.out.load(),
		Dropped: c.dropped.Load(), Unheard: c.unheard.Load(), Requests: c.requests.Load(),
		Ingested: c.ingested.Load(), Duplicates: c.duplicates.Load(), Acknowledged: c.acknowledged.Load(),
	}
	for _, s := range *b.routes.Load() {
		st.Subscriptions = append(st.Subscriptions, s.stats())
	}
	return st
}

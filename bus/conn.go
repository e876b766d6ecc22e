package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// DialConfig says how to connect. Zero values are defaults.
type DialConfig struct {
	// Token makes the connection a collector's; without it, it is an operator's.
	Token *Token
	// Name is the socket's path as people know it, for errors; default the path.
	Name string
	// MaxBody is the largest body accepted, in bytes; default 1 MiB.
	MaxBody int
	// Window is how many bytes of each subscription and of each request's
	// replies may wait to be read; default 1 MiB.
	Window int
	// HandshakeTimeout bounds Dial, as its context does; default 5 s.
	HandshakeTimeout time.Duration
}

// Conn is a connection to a broker. Its methods may be called by any number
// of goroutines.
type Conn struct {
	cfg      DialConfig
	conn     *net.UnixConn
	peer     Peer
	link     *link
	reader   *frameReader
	pool     pool
	out      trafficCounter
	maxBody  int // the broker's limit
	publish  *window
	done     chan struct{} // closed when the reader has ended
	lastID   atomic.Uint64
	acked    atomic.Uint64
	ackReady chan struct{} // holds a token after an ack frame

	mu            sync.Mutex
	err           error // why the connection ended
	subscriptions map[uint64]*remoteSubscription
	requests      map[uint64]*Replies
	registration  chan registration // of the register frame that waits for an answer
}

type registration struct {
	stored uint64
	limits registered
}

type remoteSubscription struct {
	q      *queue
	opened chan struct{} // closed by subscribed
	once   sync.Once     // closes it
	window int
}

// Dial connects to the broker at path. A refusal is an *Error.
func Dial(ctx context.Context, path string, cfg DialConfig) (*Conn, error) {
	cfg.MaxBody = orDefault(cfg.MaxBody, 1<<20)
	cfg.Window = min(orDefault(cfg.Window, 1<<20), maxWindow)
	cfg.HandshakeTimeout = orDefault(cfg.HandshakeTimeout, 5*time.Second)
	name := cmp.Or(cfg.Name, path)
	uc, err := dialSocket(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("connect to %q: %w", name, withoutAddress(err))
	}
	c := &Conn{
		cfg: cfg, conn: uc, done: make(chan struct{}), ackReady: make(chan struct{}, 1),
		subscriptions: map[uint64]*remoteSubscription{}, requests: map[uint64]*Replies{},
	}
	c.reader = newFrameReader(uc, &c.pool, cfg.MaxBody)
	if err := c.handshake(ctx); err != nil {
		_ = uc.Close()
		return nil, fmt.Errorf("connect to %q: %w", name, withoutAddress(err))
	}
	c.link = newLink(uc, &c.out, nil)
	go c.read()
	return c, nil
}

func (c *Conn) handshake(ctx context.Context) error {
	_ = c.conn.SetDeadline(time.Now().Add(c.cfg.HandshakeTimeout))
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	err := c.greet()
	if !stop() {
		return context.Cause(ctx)
	}
	if err == nil {
		err = c.conn.SetDeadline(time.Time{})
	}
	return err
}

func (c *Conn) greet() error {
	cred, err := peerCredentials(c.conn)
	if err != nil {
		return err
	}
	c.peer = Peer{PID: cred.pid, UID: cred.uid, GID: cred.gid}
	var hello serverHello
	if err := c.expect(kindServerHello, &hello); err != nil {
		return err
	}
	if hello.Version != protocolVersion || len(hello.Nonce) != nonceSize {
		return malformed("hello of version %d with a nonce of %d bytes", hello.Version, len(hello.Nonce))
	}
	answer := clientHello{Role: Operator}
	if c.cfg.Token != nil {
		nonce := newNonce()
		answer = clientHello{Role: Collector, Nonce: nonce, MAC: c.cfg.Token.mac(collectorLabel, hello.Nonce, nonce)}
	}
	p := c.pool.control(&answer)
	defer p.release()
	var head [headerSize]byte
	header{kind: kindClientHello}.encode(&head, p)
	if _, err := c.conn.Write(append(head[:], p.buf...)); err != nil {
		return err
	}
	var w welcome
	if err := c.expect(kindWelcome, &w); err != nil {
		return err
	}
	if c.cfg.Token != nil && !equalMAC(w.MAC, c.cfg.Token.mac(agentLabel, hello.Nonce, answer.Nonce)) {
		return errors.New("the other side is not the agent: it does not know the token")
	}
	if w.MaxBody <= 0 || w.PublishWindow <= 0 {
		return malformed("welcome with body limit %d and window %d", w.MaxBody, w.PublishWindow)
	}
	c.maxBody = w.MaxBody
	c.publish = newWindow(w.PublishWindow)
	return nil
}

// expect reads a frame of the handshake.
func (c *Conn) expect(want kind, v any) error {
	h, p, err := c.reader.next()
	if err != nil {
		return err
	}
	defer p.release()
	switch h.kind {
	case want:
		return parseControl(p, v)
	case kindError:
		return parseError(p)
	}
	return malformed("kind %d in the handshake", h.kind)
}

// Peer is the broker's process, as the kernel says.
func (c *Conn) Peer() Peer { return c.peer }

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is nil while the connection lasts, then an error that is ErrClosed,
// ErrLost, or an *Error that the broker sent.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close sends what was published, for at most a second, ends everything on the
// connection and waits for it.
func (c *Conn) Close() error {
	c.setErr(ErrClosed)
	c.link.close()
	<-c.link.done
	<-c.done
	return nil
}

func (c *Conn) setErr(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
}

// Publish sends messages of one topic, as one frame. It waits while the broker
// has not taken earlier ones; the messages' bytes are copied. A nil error does
// not say that anybody has received them: see Publisher for that.
func (c *Conn) Publish(ctx context.Context, topic string, messages ...[]byte) error {
	if err := CheckTopic(topic); err != nil {
		return err
	}
	if len(messages) == 0 {
		return nil
	}
	if n := batchSize(messages); n > c.maxBody {
		return fmt.Errorf("publish %q: %w: %d bytes, the limit is %d", topic, ErrTooLarge, n, c.maxBody)
	}
	p := c.pool.batch(topic, messages)
	cost := p.cost()
	err := c.publish.take(ctx, cost)
	if err != nil {
		p.release()
	} else if err = c.link.sendWait(ctx, header{kind: kindPublish}, p); err != nil {
		c.publish.grant(uint64(cost))
	}
	if err != nil {
		return fmt.Errorf("publish %q: %w", topic, c.reason(err))
	}
	return nil
}

// reason prefers why the connection ended to what that caused.
func (c *Conn) reason(err error) error {
	if e := c.Err(); e != nil && errors.Is(err, ErrLost) {
		return e
	}
	return err
}

// Subscribe asks for the messages of a pattern.
func (c *Conn) Subscribe(ctx context.Context, pattern string, class Class) (*Subscription, error) {
	if _, err := ParsePattern(pattern); err != nil {
		return nil, err
	}
	id := c.lastID.Add(1)
	r := &remoteSubscription{q: newQueue(Wait, 0), opened: make(chan struct{}), window: c.cfg.Window}
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.subscriptions[id] = r
	c.mu.Unlock()
	stop := func() {
		c.mu.Lock()
		delete(c.subscriptions, id)
		c.mu.Unlock()
		_ = c.link.send(header{kind: kindUnsubscribe, correlation: id}, nil)
	}
	p := c.pool.control(&subscribe{Pattern: pattern, Class: class, Window: r.window})
	err := c.link.send(header{kind: kindSubscribe, correlation: id}, p)
	if err == nil {
		select {
		case <-r.opened:
			return &Subscription{q: r.q, taken: c.returner(id, r.window), stop: stop}, nil
		case <-r.q.ready: // closed before it was opened
			r.q.mu.Lock()
			err = r.q.err
			r.q.mu.Unlock()
			if err == nil { // opened, and a delivery came already
				r.q.wake()
				return &Subscription{q: r.q, taken: c.returner(id, r.window), stop: stop}, nil
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	stop()
	r.q.discard(ErrClosed)
	return nil, fmt.Errorf("subscribe to %q: %w", pattern, c.reason(err))
}

// returner gives credit for what was consumed back, half a window at a time.
func (c *Conn) returner(id uint64, size int) func(int) {
	consumed := 0
	return func(cost int) {
		consumed += cost
		if consumed >= (size+1)/2 {
			_ = c.link.send(header{kind: kindCredit, correlation: id, sequence: uint64(consumed)}, nil)
			consumed = 0
		}
	}
}

func (c *Conn) read() {
	defer close(c.done)
	var err error
	for err == nil {
		var h header
		var p *payload
		if h, p, err = c.reader.next(); err == nil {
			err = c.receive(h, p)
		}
	}
	var told *Error
	switch {
	case errors.As(err, &told), errors.Is(err, errMalformed):
		c.setErr(err)
	case errors.Is(err, io.EOF), isClosed(err), errors.Is(err, os.ErrDeadlineExceeded):
		c.setErr(ErrLost)
	default:
		c.setErr(fmt.Errorf("%w: %w", ErrLost, withoutAddress(err)))
	}
	// A Close that is under way has its own time to flush.
	if c.Err() != ErrClosed {
		c.link.abort()
	}
	<-c.link.done
	c.mu.Lock()
	err = c.err
	subscriptions, requests := c.subscriptions, c.requests
	c.subscriptions, c.requests = map[uint64]*remoteSubscription{}, map[uint64]*Replies{}
	c.mu.Unlock()
	c.publish.close(err)
	for _, r := range subscriptions {
		r.q.close(err)
	}
	for _, r := range requests {
		r.end(err)
	}
}

// receive handles one frame and takes over p. What belongs to a subscription
// or request that has just ended is dropped.
func (c *Conn) receive(h header, p *payload) error {
	c.mu.Lock()
	sub, r := c.subscriptions[h.correlation], c.requests[h.correlation]
	c.mu.Unlock()
	switch h.kind {
	case kindDeliver:
		return c.deliver(sub, h, p)
	case kindReply:
		return c.reply(r, h, p)
	}
	defer p.release()
	switch h.kind {
	case kindError:
		err := parseError(p)
		if errors.Is(err, errMalformed) || h.correlation == 0 {
			return err
		}
		c.forget(h.correlation)
		if sub != nil {
			sub.q.close(err)
		}
		if r != nil {
			r.end(err)
		}
	case kindCredit:
		c.publish.grant(h.sequence)
	case kindSubscribed:
		if sub != nil {
			sub.once.Do(func() { close(sub.opened) })
		}
	case kindRegistered:
		return c.answerRegistration(h, p)
	case kindAck:
		c.acked.Store(h.sequence)
		select {
		case c.ackReady <- struct{}{}:
		default:
		}
	default:
		return malformed("kind %d from a broker", h.kind)
	}
	return nil
}

func (c *Conn) forget(id uint64) {
	c.mu.Lock()
	delete(c.subscriptions, id)
	delete(c.requests, id)
	c.mu.Unlock()
}

func (c *Conn) deliver(sub *remoteSubscription, h header, p *payload) error {
	if p == nil {
		return malformed("delivery without a body")
	}
	count, err := checkBatch(p.body())
	if err != nil {
		p.release()
		return err
	}
	p.count = count
	if sub == nil {
		p.release()
		return nil
	}
	sub.q.mu.Lock()
	waiting := sub.q.bytes
	sub.q.mu.Unlock()
	if waiting >= sub.window {
		p.release()
		return malformed("delivery without credit")
	}
	_ = sub.q.offer(item{header: h, payload: p, missed: h.sequence})
	return nil
}

// register says which collector this is; acknowledgements then arrive in acked.
func (c *Conn) register(ctx context.Context, collector string) (registration, error) {
	answer := make(chan registration, 1)
	c.mu.Lock()
	c.registration = answer
	c.mu.Unlock()
	if err := c.link.send(header{kind: kindRegister}, c.pool.control(&register{Collector: collector})); err != nil {
		return registration{}, c.reason(err)
	}
	select {
	case r := <-answer:
		return r, nil
	case <-c.done:
		return registration{}, c.Err()
	case <-ctx.Done():
		return registration{}, context.Cause(ctx)
	}
}

func (c *Conn) answerRegistration(h header, p *payload) error {
	r := registration{stored: h.sequence}
	if err := parseControl(p, &r.limits); err != nil {
		return err
	}
	c.mu.Lock()
	answer := c.registration
	c.registration = nil
	c.mu.Unlock()
	if answer == nil || r.limits.Bytes <= 0 || r.limits.Frames <= 0 {
		return malformed("registered without asking, or with windows %d and %d", r.limits.Bytes, r.limits.Frames)
	}
	answer <- r
	return nil
}

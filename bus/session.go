package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	handshakeLimit = 1 << 10 // bytes of a frame's body before a peer is known
	maxWindow      = 16 << 20
)

func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// A session is the broker's side of one connection. Its reader goroutine
// never waits for others: what may wait is done by the dispatcher (publishes
// and reliable messages, in order) or by a goroutine for each request.
type session struct {
	broker *Broker
	conn   *net.UnixConn
	peer   Peer
	cred   credentials
	link   *link
	reader *frameReader
	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // dispatcher, requests
	last   bool           // it has one of the places for collectors

	ingress   *queue       // publishes and reliable frames, bounded by their windows
	published atomic.Int64 // balance of the publish window
	consumed  int          // of the publish window, not yet given back; the dispatcher's
	topic     string       // the last one that was checked
	ingest    ingestState

	mu          sync.Mutex
	subscribers map[uint64]*subscriber
	requests    map[uint64]*Call
}

// admit starts a session for an accepted connection, or refuses it.
func (b *Broker) admit(conn *net.UnixConn, l *Listener) {
	s := &session{
		broker: b, conn: conn,
		subscribers: map[uint64]*subscriber{}, requests: map[uint64]*Call{},
		ingress: newQueue(Wait, 0),
	}
	s.ctx, s.cancel = context.WithCancelCause(b.ctx)
	s.published.Store(int64(b.cfg.PublishWindow))
	s.reader = newFrameReader(conn, &b.pool, handshakeLimit)
	var unknown error
	if s.cred, unknown = peerCredentials(conn); unknown == nil {
		s.peer.PID, s.peer.UID, s.peer.GID = s.cred.pid, s.cred.uid, s.cred.gid
	}
	expected := b.tokens.expects(s.cred.pid)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		s.cancel(ErrClosed)
		_ = conn.Close()
		return
	}
	b.lastConn++
	s.peer.Conn = b.lastConn
	// The last places are for collectors, which must not be kept out by others.
	s.last = len(b.sessions) >= b.cfg.MaxConns-b.cfg.ReservedConns
	full := len(b.sessions) >= b.cfg.MaxConns || s.last && !expected
	s.link = newLink(conn, &b.counts.out, s.pump)
	b.wg.Add(1)
	if !full {
		b.sessions[s] = struct{}{}
	}
	b.mu.Unlock()
	switch {
	case unknown != nil:
		go s.run(l, &Error{Code: CodeRefused, Message: unknown.Error()})
	case full:
		go s.run(l, s.full())
	default:
		go s.run(l, nil)
	}
}

func (s *session) full() *Error {
	cfg := s.broker.cfg
	return &Error{Code: CodeLimit, Message: fmt.Sprintf("the agent has %d connections, its limit for clients", cfg.MaxConns-cfg.ReservedConns)}
}

func (s *session) run(l *Listener, refusal *Error) {
	defer s.broker.wg.Done()
	err := s.serve(l, refusal)
	s.end(err)
}

// serve reads until the connection ends, and says why; nil when the peer closed it.
func (s *session) serve(l *Listener, refusal *Error) error {
	if refusal != nil {
		return s.refuse(refusal)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(s.broker.cfg.HandshakeTimeout))
	if err := s.handshake(l); err != nil {
		return err
	}
	_ = s.conn.SetReadDeadline(time.Time{})
	s.reader.limit = s.broker.cfg.MaxBody
	s.broker.counts.accepted.Add(1)
	s.broker.cfg.Log(Event{Kind: EventConnected, Peer: s.peer})
	s.wg.Go(s.dispatch)
	for {
		h, p, err := s.reader.next()
		if err == nil {
			s.broker.counts.in.add(p)
			err = s.receive(h, p)
		}
		if err != nil {
			return err
		}
	}
}

// refuse tells the peer, which is not admitted: once it knows, its place is free.
func (s *session) refuse(e *Error) error {
	s.broker.mu.Lock()
	delete(s.broker.sessions, s)
	s.broker.mu.Unlock()
	s.broker.counts.refused.Add(1)
	s.broker.cfg.Log(Event{Kind: EventRefused, Peer: s.peer, Err: e})
	return e
}

func (s *session) handshake(l *Listener) error {
	cred := s.cred
	nonce := newNonce()
	b := s.broker
	_ = s.link.send(header{kind: kindServerHello}, b.pool.control(&serverHello{Version: protocolVersion, Nonce: nonce}))
	h, p, err := s.reader.next()
	if err != nil {
		return err
	}
	defer p.release()
	var hello clientHello
	if h.kind != kindClientHello {
		return malformed("kind %d before the handshake", h.kind)
	}
	if err := parseControl(p, &hello); err != nil {
		return err
	}
	answer := welcome{MaxBody: b.cfg.MaxBody, PublishWindow: b.cfg.PublishWindow}
	switch hello.Role {
	case Operator:
		if s.last {
			return s.refuse(s.full())
		}
		if !b.operator(cred, l) {
			return s.refuse(&Error{Code: CodeRefused, Message: fmt.Sprintf("uid %d is not an operator", cred.uid)})
		}
	case Collector:
		token, ok := Token{}, false
		if len(hello.Nonce) == nonceSize {
			token, ok = b.tokens.verify(hello.MAC, nonce, hello.Nonce, cred.pid)
		}
		if !ok {
			return s.refuse(&Error{Code: CodeRefused, Message: fmt.Sprintf("pid %d has no valid collector token", cred.pid)})
		}
		answer.MAC = token.mac(agentLabel, nonce, hello.Nonce)
	default:
		return malformed("role %q", hello.Role)
	}
	s.peer.Role = hello.Role
	return s.link.send(header{kind: kindWelcome}, b.pool.control(&answer))
}

func (b *Broker) operator(c credentials, l *Listener) bool {
	return c.uid == 0 || int(c.uid) == os.Geteuid() || slices.Contains(b.cfg.OperatorUIDs, c.uid) || c.member(l.gid)
}

// receive handles one frame and takes over p.
func (s *session) receive(h header, p *payload) error {
	switch h.kind {
	case kindPublish, kindIngest, kindRegister:
		return s.enqueue(h, p)
	case kindRequest:
		return s.startRequest(h, p)
	}
	defer p.release()
	switch h.kind {
	case kindSubscribe:
		return s.subscribe(h, p)
	case kindUnsubscribe:
		s.mu.Lock()
		sub := s.subscribers[h.correlation]
		delete(s.subscribers, h.correlation)
		s.mu.Unlock()
		if sub != nil {
			s.broker.removeRoute(sub)
			sub.discard(ErrClosed)
		}
	case kindCancel:
		s.mu.Lock()
		r := s.requests[h.correlation]
		s.mu.Unlock()
		if r != nil {
			r.cancel(context.Canceled)
		}
	case kindCredit:
		s.credit(h)
	default:
		return malformed("kind %d from a peer", h.kind)
	}
	return nil
}

// credit may name what has just ended: that is no error.
func (s *session) credit(h header) {
	s.mu.Lock()
	sub, r := s.subscribers[h.correlation], s.requests[h.correlation]
	s.mu.Unlock()
	if sub != nil {
		sub.grant(h.sequence)
	}
	if r != nil {
		r.window.grant(h.sequence)
	}
}

// enqueue checks a publish or reliable frame and hands it to the dispatcher.
func (s *session) enqueue(h header, p *payload) error {
	err := s.check(h, p)
	if err != nil {
		p.release()
		return err
	}
	if h.kind == kindIngest {
		var duplicate bool
		if duplicate, err = s.ingest.arrive(h.sequence, p.cost()); duplicate || err != nil {
			p.release()
			if duplicate {
				s.broker.counts.duplicates.Add(1)
			}
			return err
		}
	}
	return s.ingress.offer(item{header: h, payload: p})
}

func (s *session) check(h header, p *payload) error {
	if p == nil {
		return malformed("kind %d without a body", h.kind)
	}
	if h.kind == kindRegister {
		if s.peer.Role != Collector {
			return s.deny(Publish, "reliably")
		}
		return s.ingest.registering()
	}
	count, err := checkBatch(p.body())
	if err != nil {
		return err
	}
	p.count = count
	s.broker.counts.in.messages.Add(uint64(count))
	if t := p.topicBytes(); string(t) != s.topic {
		topic := string(t)
		if err := CheckTopic(topic); err != nil {
			return malformed("%w", err)
		}
		if !s.broker.access.allows(s.peer.Role, Publish, topic) {
			return s.deny(Publish, topic)
		}
		s.topic = topic
	}
	if h.kind == kindIngest {
		if !s.broker.ingestable.Match(s.topic) {
			return s.deny(Publish, s.topic)
		}
		return nil
	}
	if s.published.Add(-int64(p.cost()))+int64(p.cost()) <= 0 {
		return malformed("publish without credit")
	}
	return nil
}

func (s *session) deny(verb Verb, name string) *Error {
	e := denied(s.peer.Role, verb, name)
	s.broker.counts.denied.Add(1)
	s.broker.cfg.Log(Event{Kind: EventDenied, Peer: s.peer, Err: e})
	return e
}

// dispatch routes publishes and reliable messages in the order they came.
func (s *session) dispatch() {
	topic := ""
	for {
		it, err := s.ingress.pop(s.ctx)
		if err != nil {
			return
		}
		if s.ctx.Err() != nil {
			// After a batch that could not be stored no later one may be:
			// the highest sequence stored stands for all before it.
			it.payload.release()
			return
		}
		if t := it.payload.topicBytes(); string(t) != topic {
			topic = string(t)
		}
		switch it.header.kind {
		case kindPublish:
			cost := it.payload.cost()
			if err := s.broker.route(s.ctx, topic, it.payload); err != nil {
				return
			}
			s.restore(cost)
		case kindRegister:
			s.register(it.payload)
		default:
			s.deliverIngest(topic, it)
		}
	}
}

// restore gives a publisher its credit back, a quarter of the window at a time.
func (s *session) restore(cost int) {
	s.consumed += cost
	if s.consumed < s.broker.cfg.PublishWindow/4 {
		return
	}
	s.published.Add(int64(s.consumed))
	_ = s.link.send(header{kind: kindCredit, sequence: uint64(s.consumed)}, nil)
	s.consumed = 0
}

// fail ends the connection from another goroutine, telling the peer why.
func (s *session) fail(e *Error) {
	s.cancel(e)
	_ = s.link.send(header{kind: kindError}, s.broker.pool.control(asWireError(e)))
	s.link.close()
	// Writing has a deadline; the reader stops now.
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// end undoes everything that the session holds, and waits for its goroutines.
func (s *session) end(err error) {
	b := s.broker
	var told *Error
	switch {
	case errors.As(err, &told), errors.As(context.Cause(s.ctx), &told):
		s.fail(told) // the second: by another goroutine, which stopped the reader
	case errors.Is(err, errMalformed):
		b.counts.malformed.Add(1)
		b.cfg.Log(Event{Kind: EventMalformed, Peer: s.peer, Err: err})
		s.fail(&Error{Code: CodeProtocol, Message: err.Error()})
	default:
		s.link.abort()
	}
	s.cancel(ErrLost)
	s.ingress.discard(ErrLost)
	s.mu.Lock()
	subs := make([]*subscriber, 0, len(s.subscribers))
	for _, sub := range s.subscribers {
		subs = append(subs, sub)
	}
	clear(s.subscribers)
	s.mu.Unlock()
	for _, sub := range subs {
		b.removeRoute(sub)
		sub.discard(ErrLost)
	}
	s.wg.Wait()
	<-s.link.done
	b.mu.Lock()
	_, admitted := b.sessions[s]
	delete(b.sessions, s)
	if id := s.ingest.collector; id != "" && b.collectors[id] == s {
		delete(b.collectors, id)
	}
	b.mu.Unlock()
	if admitted && s.peer.Role != "" {
		if errors.Is(err, io.EOF) || isClosed(err) {
			err = nil
		}
		b.cfg.Log(Event{Kind: EventClosed, Peer: s.peer, Err: err})
	}
}

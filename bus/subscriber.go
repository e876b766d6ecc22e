package bus

import (
	"context"
	"fmt"
)

// A subscriber is a subscription as the broker sees it.
type subscriber struct {
	*queue
	broker  *Broker
	pattern Pattern
	session *session // nil inside the agent
	id      uint64

	// Under queue.mu.
	credit   int
	window   int
	accepted uint64 // messages
}

// offer takes over a reference to p.
func (s *subscriber) offer(ctx context.Context, p *payload) error {
	count := uint64(p.count)
	dropped, err := s.push(ctx, item{payload: p})
	if err != nil {
		return err
	}
	if dropped > 0 {
		s.broker.counts.dropped.Add(uint64(dropped))
	}
	s.mu.Lock()
	s.accepted += count
	s.mu.Unlock()
	if s.session != nil {
		s.pump()
	}
	return nil
}

// pump sends what credit and the link's room allow.
func (s *subscriber) pump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit > 0 && s.head < len(s.items) && s.session.link.hasRoom() {
		it, _ := s.take()
		s.credit -= it.payload.cost()
		_ = s.session.link.send(header{kind: kindDeliver, correlation: s.id, sequence: it.missed}, it.payload)
	}
}

func (s *subscriber) grant(n uint64) {
	s.mu.Lock()
	s.credit = credited(s.credit, n, s.window)
	s.mu.Unlock()
	s.pump()
}

func (s *subscriber) stats() SubscriptionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SubscriptionStats{
		Pattern: s.pattern.String(), Class: s.class,
		Messages: s.accepted, Dropped: s.dropped, QueuedBytes: s.bytes,
	}
	if s.session != nil {
		st.Peer = s.session.peer
	}
	return st
}

// pump continues after the link had no room.
func (s *session) pump() {
	s.mu.Lock()
	subs := make([]*subscriber, 0, len(s.subscribers))
	for _, sub := range s.subscribers {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.pump()
	}
}

func (s *session) subscribe(h header, p *payload) error {
	var m subscribe
	if err := parseControl(p, &m); err != nil {
		return err
	}
	pattern, err := ParsePattern(m.Pattern)
	if err != nil {
		return malformed("%w", err)
	}
	if m.Class > Wait || m.Window <= 0 || h.correlation == 0 {
		return malformed("subscription %d of class %d with window %d", h.correlation, m.Class, m.Window)
	}
	if !s.broker.access.allowsSubscribe(s.peer.Role, pattern, m.Class) {
		return s.refuseCall(h.correlation, s.deny(Subscribe, m.Pattern))
	}
	limit := s.broker.cfg.MaxSubscriptions
	s.mu.Lock()
	full, used := len(s.subscribers) >= limit, s.used(h.correlation)
	s.mu.Unlock()
	if used {
		return malformed("correlation %d is in use", h.correlation)
	}
	if full {
		e := &Error{Code: CodeLimit, Message: fmt.Sprintf("the connection has %d subscriptions, its limit", limit)}
		return s.answer(h.correlation, e)
	}
	size := min(m.Window, maxWindow)
	sub := &subscriber{
		queue: newQueue(m.Class, s.broker.cfg.QueueBytes), broker: s.broker, pattern: pattern,
		session: s, id: h.correlation, window: size,
	}
	s.mu.Lock()
	s.subscribers[h.correlation] = sub
	s.mu.Unlock()
	// Once the peer has the answer it misses nothing: the route comes first.
	// Deliveries come after the answer: there is no credit before.
	if err := s.broker.addRoute(sub); err != nil {
		return err
	}
	if err := s.link.send(header{kind: kindSubscribed, correlation: h.correlation}, nil); err != nil {
		return err
	}
	sub.grant(uint64(size))
	return nil
}

// used reports whether a subscription or request has the id; s.mu is held.
func (s *session) used(id uint64) bool {
	return s.subscribers[id] != nil || s.requests[id] != nil
}

// answer ends what the peer asked for with an error; the connection goes on.
func (s *session) answer(id uint64, e *Error) error {
	return s.link.send(header{kind: kindError, correlation: id}, s.broker.pool.control(asWireError(e)))
}

// refuseCall answers what the access table denies: see the package comment.
func (s *session) refuseCall(id uint64, e *Error) error {
	if s.peer.Role == Collector {
		return e
	}
	return s.answer(id, e)
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"daemoneye/bus"
)

const (
	// queriesAtOnce bounds the queries that compute; others wait for their
	// turn, within their timeout. One whose client is slow to read lets others
	// go on.
	queriesAtOnce = 2
	// openQueries bounds the queries that have begun and not ended: one whose
	// answer is not read holds what it works on, 80 to 90 MB when it selects
	// all columns.
	openQueries = 4
	// connQueries bounds those of one connection, those that wait among them.
	connQueries  = 4
	readPatience = 10 * time.Second // Config.readPatience
)

// turns decides which queries go on.
type turns struct {
	patience time.Duration // Config.readPatience
	begun    chan struct{} // holds a value for each that has begun
	compute  chan struct{} // and for each that computes

	mu  sync.Mutex
	all map[*turn]bool
}

// turn is one query's.
type turn struct {
	turns   *turns
	call    *bus.Call
	cancel  context.CancelCauseFunc
	sending time.Time // since when a reply waits to be read; zero: none does
}

func newTurns(patience time.Duration) *turns {
	return &turns{
		patience: patience,
		begun:    make(chan struct{}, openQueries), compute: make(chan struct{}, queriesAtOnce),
		all: make(map[*turn]bool),
	}
}

// begin waits until a query may compute. cancel ends it when its answer is not
// read.
func (s *turns) begin(ctx context.Context, call *bus.Call, cancel context.CancelCauseFunc) (*turn, error) {
	t := &turn{turns: s, call: call, cancel: cancel}
	if !s.enter(t) {
		return nil, &bus.Error{Code: bus.CodeLimit, Message: fmt.Sprintf("the connection has %d queries that have not ended, its limit", connQueries)}
	}
	if err := s.awaitPlace(ctx); err != nil {
		s.leave(t)
		return nil, fmt.Errorf("query waited for its turn: %w", err)
	}
	if err := acquire(ctx, s.compute); err != nil {
		<-s.begun
		s.leave(t)
		return nil, fmt.Errorf("query waited for its turn: %w", err)
	}
	return t, nil
}

func (t *turn) end() {
	<-t.turns.compute
	<-t.turns.begun
	t.turns.leave(t)
}

// reply sends a part of the answer, finish the last.
func (t *turn) reply(ctx context.Context, message any) error {
	return t.send(ctx, t.call.Reply, message)
}

func (t *turn) finish(ctx context.Context, message any) error {
	return t.send(ctx, t.call.Finish, message)
}

// send lets other queries compute while the client lets the answer wait.
func (t *turn) send(ctx context.Context, how func(context.Context, []byte) error, message any) error {
	body, err := encode(message)
	if err != nil {
		return err
	}
	t.setSending(time.Now())
	<-t.turns.compute
	err = how(ctx, body)
	t.setSending(time.Time{})
	// Whatever came of it, end gives it back.
	t.turns.compute <- struct{}{}
	return err
}

func (t *turn) setSending(since time.Time) {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	t.sending = since
}

// enter notes a query, unless its connection has too many.
func (s *turns) enter(t *turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for other := range s.all {
		if other.call.Peer.Conn == t.call.Peer.Conn {
			n++
		}
	}
	if n >= connQueries {
		return false
	}
	s.all[t] = true
	return true
}

func (s *turns) leave(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, t)
}

// awaitPlace waits until one more query may begin, and ends one whose answer
// is not read to make place.
func (s *turns) awaitPlace(ctx context.Context) error {
	select {
	case s.begun <- struct{}{}:
		return nil
	default:
	}
	look := time.NewTimer(s.endUnread())
	defer look.Stop()
	for {
		select {
		case s.begun <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
			look.Reset(s.endUnread())
		}
	}
}

// endUnread ends the query whose answer has been unread the longest, if that
// is for patience, and returns when to look again.
func (s *turns) endUnread() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var longest *turn
	for t := range s.all {
		if !t.sending.IsZero() && (longest == nil || t.sending.Before(longest.sending)) {
			longest = t
		}
	}
	if longest == nil {
		return s.patience
	}
	if wait := s.patience - time.Since(longest.sending); wait > 0 {
		return wait
	}
	longest.sending = time.Time{}
	longest.cancel(errNotRead)
	return s.patience
}

var errNotRead = errors.New("the answer was not read while other queries waited for a place; write it to a file with -o")

func acquire(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package bus

import (
	"context"
	"iter"
	"sync"
)

// Delivery is one frame of messages of one topic.
type Delivery struct {
	Topic  string
	Missed uint64 // messages that were shed just before these
	p      *payload
}

// Len is the number of messages, at least one.
func (d Delivery) Len() int { return d.p.count }

// Messages yields the messages, oldest first. They are valid until the
// subscription's next call of Next, and are not to be changed.
func (d Delivery) Messages() iter.Seq[[]byte] { return d.p.eachMessage() }

// Subscription receives the messages of a pattern. One goroutine at a time
// calls Next.
type Subscription struct {
	q     *queue
	taken func(cost int) // gives credit back
	stop  func()
	once  sync.Once
	held  *payload
	topic string
}

// Next waits for messages. After the connection or broker has ended it
// returns what had already come, then the reason.
func (s *Subscription) Next(ctx context.Context) (Delivery, error) {
	if s.held != nil {
		cost := s.held.cost()
		s.held.release()
		s.held = nil
		s.taken(cost)
	}
	it, err := s.q.pop(ctx)
	if err != nil {
		return Delivery{}, err
	}
	s.held = it.payload
	if t := it.payload.topicBytes(); string(t) != s.topic {
		s.topic = string(t)
	}
	return Delivery{Topic: s.topic, Missed: it.missed, p: it.payload}, nil
}

// Close ends the subscription; Next then returns ErrClosed.
func (s *Subscription) Close() {
	s.once.Do(func() {
		s.stop()
		s.q.discard(ErrClosed)
	})
}

package bus

import (
	"context"
	"sync"
)

// Class says what happens when a subscription's queue is full.
type Class uint8

const (
	// Shed drops the oldest messages and counts them.
	Shed Class = iota
	// Wait holds publishers back and loses nothing.
	Wait
)

func (c Class) String() string {
	if c == Wait {
		return "wait"
	}
	return "shed"
}

// An item is a payload in a queue with what its frame's header said.
type item struct {
	header  header
	payload *payload
	missed  uint64 // messages shed just before it
}

// A queue is a list of payloads, bounded by bytes and overdrawn by at most one.
// It has one reader.
type queue struct {
	class Class
	limit int
	ready chan struct{} // holds a token after a push or close

	mu      sync.Mutex
	items   []item // from head on
	head    int
	bytes   int
	missed  uint64 // messages shed since the last pop
	dropped uint64 // messages shed in all
	err     error  // why nothing more comes
	space   chan struct{}
}

func newQueue(class Class, limit int) *queue {
	return &queue{class: class, limit: limit, ready: make(chan struct{}, 1)}
}

// push takes over a reference to the item's payload. On a full queue of class
// Wait it waits; of class Shed it drops and returns how many messages.
func (q *queue) push(ctx context.Context, it item) (dropped int, err error) {
	q.mu.Lock()
	for q.class == Wait && q.bytes >= q.limit && q.err == nil {
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			it.payload.release()
			return 0, context.Cause(ctx)
		}
		q.mu.Lock()
	}
	dropped, err = q.append(it)
	q.mu.Unlock()
	return dropped, err
}

// offer is push for a queue whose bound the sender's window guarantees.
func (q *queue) offer(it item) error {
	q.mu.Lock()
	_, err := q.append(it)
	q.mu.Unlock()
	return err
}

func (q *queue) append(it item) (dropped int, err error) {
	if q.err != nil {
		it.payload.release()
		return 0, q.err
	}
	if q.class == Shed {
		for q.head < len(q.items) && q.bytes+it.payload.cost() > q.limit {
			old := q.shift()
			dropped += old.payload.count
			q.missed += uint64(old.payload.count) + old.missed
			old.payload.release()
		}
		q.dropped += uint64(dropped)
	}
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
	q.bytes += it.payload.cost()
	q.wake()
	return dropped, nil
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) shift() item {
	it := q.items[q.head]
	q.items[q.head] = item{}
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	q.bytes -= it.payload.cost()
	return it
}

// take removes the oldest item; q.mu is held.
func (q *queue) take() (item, bool) {
	if q.head == len(q.items) {
		return item{}, false
	}
	it := q.shift()
	it.missed, q.missed = it.missed+q.missed, 0
	if q.space != nil && q.bytes < q.limit {
		close(q.space)
		q.space = nil
	}
	return it, true
}

// pop removes the oldest item, waiting for it. After close it returns what is
// left, then the reason.
func (q *queue) pop(ctx context.Context) (item, error) {
	for {
		q.mu.Lock()
		it, ok := q.take()
		err := q.err
		q.mu.Unlock()
		switch {
		case ok:
			return it, nil
		case err != nil:
			q.wake() // for a later pop
			return item{}, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return item{}, context.Cause(ctx)
		}
	}
}

// close ends the queue with a reason; only the first counts.
func (q *queue) close(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
	q.wake()
	q.mu.Unlock()
}

// discard closes the queue and drops what it holds.
func (q *queue) discard(err error) {
	q.close(err)
	q.mu.Lock()
	for q.head < len(q.items) {
		q.shift().payload.release()
	}
	q.mu.Unlock()
}

// A window is the credit, in bytes, that the other side has granted.
type window struct {
	mu      sync.Mutex
	balance int
	limit   int
	err     error
	grown   chan struct{} // closed by a grant; nil when nobody waits
}

func newWindow(size int) *window { return &window{balance: size, limit: size} }

// take waits until the balance is above zero and lowers it by n.
func (w *window) take(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		if w.err != nil || w.balance > 0 {
			w.balance -= n
			err := w.err
			w.mu.Unlock()
			return err
		}
		if w.grown == nil {
			w.grown = make(chan struct{})
		}
		grown := w.grown
		w.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *window) grant(n uint64) {
	w.mu.Lock()
	w.balance = credited(w.balance, n, w.limit)
	w.notify()
	w.mu.Unlock()
}

func (w *window) close(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.notify()
	w.mu.Unlock()
}

func (w *window) notify() {
	if w.grown != nil {
		close(w.grown)
		w.grown = nil
	}
}

// credited adds n to a balance; it never rises above its first value, however
// much the other side claims to have consumed.
func credited(balance int, n uint64, limit int) int {
	if n >= uint64(limit-balance) {
		return limit
	}
	return balance + int(n)
}

package connector

import (
	"os"
	"sync"

	"daemoneye/platform/bpf"
)

// Bounds of a queue. While it is full, messages wait in the socket's buffer,
// which counts what it can not take.
const (
	queueEvents = 16384
	queueBytes  = 8 << 20 // about, of texts
	readEvents  = 1024    // that one read returns at most
)

// queue is the events that have been looked up and not been read yet. An event
// of kind 0 is the mark of a Sync.
type queue struct {
	mu     sync.Mutex
	change sync.Cond
	list   []bpf.Event
	bytes  int
	err    error // after the last event
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.change.L = &q.mu
	return q
}

func size(e *bpf.Event) int {
	if e.Process == nil {
		return 0
	}
	return len(e.Process.Cmdline) + len(e.Process.Environ)
}

// put waits for room. It reports whether somebody may still read the event.
func (q *queue) put(e *bpf.Event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (len(q.list) >= queueEvents || q.bytes >= queueBytes) {
		q.change.Wait()
	}
	q.list = append(q.list, *e)
	q.bytes += size(e)
	q.change.Broadcast()
	return !q.closed
}

// end says that nothing more comes, and why.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	q.change.Broadcast()
}

// close ends waiting for both sides.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}

// read waits for events and appends those there are. The error is
// bpf.ErrSynced at a mark, os.ErrClosed after close, and else that of end.
func (q *queue) read(to []bpf.Event) ([]bpf.Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.list) == 0 && q.err == nil {
		q.change.Wait()
	}
	if q.closed {
		return to, os.ErrClosed
	}
	if len(q.list) == 0 {
		return to, q.err
	}
	var err error
	n := 0
	for n < min(len(q.list), readEvents) && err == nil {
		e := &q.list[n]
		n++
		if e.Kind == 0 {
			err = bpf.ErrSynced
			continue
		}
		q.bytes -= size(e)
		to = append(to, *e)
	}
	clear(q.list[:n]) // so that what they point to can go
	q.list = q.list[n:]
	if len(q.list) == 0 {
		q.list = nil
	}
	q.change.Broadcast()
	return to, err
}

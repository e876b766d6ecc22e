package bus

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// highWater is how many bytes may wait to be written before deliveries
	// and replies are held back in their own queues.
	highWater = 256 << 10
	// maxPending is where a peer that does not read, and yet makes the other
	// side answer, is disconnected.
	maxPending = highWater + 4<<20
	// flushTimeout bounds how long a closing link waits for its peer to read.
	flushTimeout = time.Second
)

type outFrame struct {
	header  [headerSize]byte
	payload *payload
}

// A link writes frames to a connection from one goroutine, in the order of
// send, many in one system call.
type link struct {
	conn net.Conn
	out  *trafficCounter
	// drained is called after a write when hasRoom was false before it.
	drained func()
	wake    chan struct{}
	done    chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	pending []outFrame
	bytes   int // pending or being written
	starved bool
	room    chan struct{} // closed when bytes falls; nil when nobody waits
	acked   uint64        // newest acknowledgement, not yet in pending
	ackDue  bool
	closing bool // nothing more is accepted; the writer closes the connection
	broken  bool // a write failed
}

// newLink starts the writer. close or abort ends it, and done tells when.
func newLink(conn net.Conn, out *trafficCounter, drained func()) *link {
	l := &link{
		conn: conn, out: out, drained: drained,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.write()
	return l
}

// send takes over a reference to p, which may be nil.
func (l *link) send(h header, p *payload) error {
	f := outFrame{payload: p}
	h.encode(&f.header, p)
	l.mu.Lock()
	if l.closing || l.broken {
		l.mu.Unlock()
		p.release()
		return ErrLost
	}
	l.pending = append(l.pending, f)
	l.bytes += p.cost()
	l.out.add(p) // under the lock: the writer releases p
	flooded := l.bytes > maxPending
	l.mu.Unlock()
	l.signal()
	if flooded {
		l.abort()
		return ErrLost
	}
	return nil
}

// sendWait is send, after waiting for room.
func (l *link) sendWait(ctx context.Context, h header, p *payload) error {
	for {
		l.mu.Lock()
		if l.bytes < highWater || l.closing || l.broken {
			l.mu.Unlock()
			return l.send(h, p)
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			p.release()
			return context.Cause(ctx)
		}
	}
}

// ack sends an acknowledgement; a newer one replaces one that still waits.
func (l *link) ack(sequence uint64) {
	l.mu.Lock()
	l.acked, l.ackDue = sequence, true
	l.mu.Unlock()
	l.signal()
}

// hasRoom reports whether a delivery may be sent; if not, drained is called later.
func (l *link) hasRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes < highWater {
		return true
	}
	l.starved = true
	return false
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// close lets the writer flush what is pending, then closes the connection.
func (l *link) close() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(flushTimeout))
	l.signal()
}

// abort closes the connection at once.
func (l *link) abort() {
	l.mu.Lock()
	l.closing, l.broken = true, true
	l.mu.Unlock()
	_ = l.conn.Close()
	l.signal()
}

// take waits for frames to write; false when the link closes and none are left.
func (l *link) take(spare []outFrame) ([]outFrame, bool) {
	for {
		l.mu.Lock()
		if l.ackDue {
			l.ackDue = false
			var f outFrame
			header{kind: kindAck, sequence: l.acked}.encode(&f.header, nil)
			l.pending = append(l.pending, f)
			l.bytes += headerSize
			l.out.add(nil)
		}
		if len(l.pending) > 0 {
			batch := l.pending
			l.pending = spare
			l.mu.Unlock()
			return batch, true
		}
		closing := l.closing
		l.mu.Unlock()
		if closing {
			return nil, false
		}
		<-l.wake
	}
}

func (l *link) write() {
	defer close(l.done)
	var spare []outFrame
	var store, vector net.Buffers
	for {
		batch, more := l.take(spare)
		if !more {
			_ = l.conn.Close()
			return
		}
		store = store[:0]
		size := 0
		for i := range batch {
			f := &batch[i]
			store = append(store, f.header[:])
			if f.payload != nil {
				store = append(store, f.payload.buf)
			}
			size += f.payload.cost()
		}
		vector = store
		_, err := vector.WriteTo(l.conn)
		clear(store)
		for i := range batch {
			batch[i].payload.release()
		}
		clear(batch)
		spare = batch[:0]
		l.written(size, err)
	}
}

func (l *link) written(size int, err error) {
	l.mu.Lock()
	l.bytes -= size
	if err != nil {
		l.broken = true
		for _, f := range l.pending {
			l.bytes -= f.payload.cost()
			f.payload.release()
		}
		l.pending = nil
	}
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	starved := l.starved
	l.starved = false
	l.mu.Unlock()
	if err != nil {
		// The peer may have said why before it went: leave the reader a
		// moment to find that.
		_ = l.conn.SetReadDeadline(time.Now().Add(flushTimeout))
	}
	if starved && l.drained != nil {
		l.drained()
	}
}

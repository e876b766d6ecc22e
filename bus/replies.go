package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Replies are the answer to a request. One goroutine at a time calls Next.
type Replies struct {
	conn  *Conn
	id    uint64
	q     *queue
	taken func(int)
	once  sync.Once
	stop  func() bool // stops watching the request's context
}

// Request asks the broker's handler called name. When ctx ends before the last
// reply the request is canceled. The caller reads to the end or calls Close.
func (c *Conn) Request(ctx context.Context, name string, body []byte) (*Replies, error) {
	if err := CheckTopic(name); err != nil {
		return nil, err
	}
	if len(body) > c.maxBody {
		return nil, fmt.Errorf("request %q: %w: %d bytes, the limit is %d", name, ErrTooLarge, len(body), c.maxBody)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	id := c.lastID.Add(1)
	r := &Replies{conn: c, id: id, q: newQueue(Wait, 0), taken: c.returner(id, c.cfg.Window)}
	// A context that ends meanwhile cancels what was sent, not what will be.
	sent := make(chan struct{})
	defer close(sent)
	r.stop = context.AfterFunc(ctx, func() {
		<-sent
		r.cancel(context.Cause(ctx))
	})
	c.mu.Lock()
	err := c.err
	if err == nil {
		c.requests[id] = r
	}
	c.mu.Unlock()
	if err == nil {
		h := header{kind: kindRequest, correlation: id, sequence: uint64(c.cfg.Window)}
		err = c.link.sendWait(ctx, h, c.pool.plain(name, body))
	}
	if err != nil {
		c.forget(id)
		r.end(err)
		return nil, fmt.Errorf("request %q: %w", name, c.reason(err))
	}
	return r, nil
}

// Call is Request for a handler that gives one reply, or none: then it is nil.
func (c *Conn) Call(ctx context.Context, name string, body []byte) ([]byte, error) {
	r, err := c.Request(ctx, name, body)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	reply, err := r.Next(ctx)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return reply, err
}

// Next returns the next reply, which is the caller's; io.EOF after the last, an
// *Error when the handler or the broker refused.
func (r *Replies) Next(ctx context.Context) ([]byte, error) {
	it, err := r.q.pop(ctx)
	if err != nil {
		return nil, err
	}
	r.taken(it.payload.cost())
	return it.payload.body(), nil // not released: its buffer is the caller's now
}

// Close cancels the request unless it has ended.
func (r *Replies) Close() {
	r.cancel(ErrClosed)
	r.q.discard(ErrClosed)
}

func (r *Replies) cancel(err error) {
	r.once.Do(func() {
		r.stop()
		r.conn.forget(r.id)
		r.q.close(err)
		_ = r.conn.link.send(header{kind: kindCancel, correlation: r.id}, nil)
	})
}

// end closes the replies after the last one.
func (r *Replies) end(err error) {
	r.once.Do(func() {
		r.stop()
		r.q.close(err)
	})
}

// reply handles a reply frame and takes over p.
func (c *Conn) reply(r *Replies, h header, p *payload) error {
	if r == nil {
		p.release()
		return nil
	}
	final := h.flags&flagFinal != 0
	r.q.mu.Lock()
	waiting := r.q.bytes
	r.q.mu.Unlock()
	if waiting >= c.cfg.Window && p != nil {
		p.release()
		return malformed("reply without credit")
	}
	if p == nil && !final {
		p = c.pool.get(0)
	}
	if p != nil {
		_ = r.q.offer(item{header: h, payload: p})
	}
	if final {
		c.forget(r.id)
		r.end(io.EOF)
	}
	return nil
}

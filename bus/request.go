package bus

import (
	"context"
	"errors"
	"fmt"
)

// Handler answers a request. It may call Reply any number of times and Finish
// once; when it returns nil without Finish, the replies end there. An error
// ends them with that error; an *Error keeps its code. The context ends when
// the requester cancels or goes away, or the broker closes.
type Handler func(ctx context.Context, c *Call) error

// Call is a request that is being answered. It and its Body are valid until
// the handler returns.
type Call struct {
	Peer Peer
	Name string
	Body []byte // msgpack, as the handler and requester agreed

	session  *session
	id       uint64
	window   *window
	ctx      context.Context
	cancel   context.CancelCauseFunc
	payload  *payload
	finished bool
}

// Reply sends one of several replies. It waits while the requester has not
// taken earlier ones. The body's bytes are copied.
func (c *Call) Reply(ctx context.Context, body []byte) error { return c.reply(ctx, 0, body) }

// Finish sends the only or last reply, as Reply does.
func (c *Call) Finish(ctx context.Context, body []byte) error { return c.reply(ctx, flagFinal, body) }

func (c *Call) reply(ctx context.Context, flags uint8, body []byte) error {
	s := c.session
	if c.finished {
		return errors.New("reply after the last one")
	}
	if len(body) > s.broker.cfg.MaxBody {
		return fmt.Errorf("reply to %q: %w: %d bytes, the limit is %d", c.Name, ErrTooLarge, len(body), s.broker.cfg.MaxBody)
	}
	h := header{kind: kindReply, flags: flags, correlation: c.id}
	var p *payload
	if len(body) > 0 {
		p = s.broker.pool.plain("", body)
	}
	if err := c.window.take(ctx, p.cost()); err != nil {
		p.release()
		return err
	}
	if flags != flagFinal {
		return s.link.sendWait(ctx, h, p)
	}
	// The requester may use the id, and its place, again once it has the last reply.
	c.finished = true
	c.forget()
	return s.link.sendWait(ctx, h, p)
}

func (c *Call) forget() {
	c.session.mu.Lock()
	delete(c.session.requests, c.id)
	c.session.mu.Unlock()
}

// startRequest takes over p, which may be nil only by mistake.
func (s *session) startRequest(h header, p *payload) error {
	if p == nil || p.topic == 0 || h.correlation == 0 {
		p.release()
		return malformed("request %d without a name", h.correlation)
	}
	name := string(p.topicBytes())
	refusal, err := s.checkRequest(h, name)
	if err != nil || refusal != nil {
		p.release()
		if err != nil {
			return err
		}
		if refusal.Code == CodeDenied {
			return s.refuseCall(h.correlation, refusal)
		}
		return s.answer(h.correlation, refusal)
	}
	c := &Call{
		Peer: s.peer, Name: name, Body: p.body(), session: s, id: h.correlation,
		window: newWindow(int(min(h.sequence, maxWindow))), payload: p,
	}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	s.mu.Lock()
	s.requests[c.id] = c
	s.mu.Unlock()
	s.broker.counts.requests.Add(1)
	handler := s.broker.handlers[name] // not changed once serving
	s.wg.Go(func() { c.run(handler) })
	return nil
}

func (s *session) checkRequest(h header, name string) (*Error, error) {
	if err := CheckTopic(name); err != nil {
		return nil, malformed("%w", err)
	}
	if h.sequence == 0 {
		return nil, malformed("request %q without a window", name)
	}
	limit := s.broker.cfg.MaxRequests
	s.mu.Lock()
	full, used := len(s.requests) >= limit, s.used(h.correlation)
	s.mu.Unlock()
	switch {
	case used:
		return nil, malformed("correlation %d is in use", h.correlation)
	case !s.broker.access.allows(s.peer.Role, Request, name):
		return s.deny(Request, name), nil
	case s.broker.handlers[name] == nil:
		return &Error{Code: CodeNotServed, Message: fmt.Sprintf("this agent does not serve %q", name)}, nil
	case full:
		return &Error{Code: CodeLimit, Message: fmt.Sprintf("the connection has %d requests, its limit", limit)}, nil
	}
	return nil, nil
}

func (c *Call) run(handler Handler) {
	err := handler(c.ctx, c)
	c.forget()
	c.cancel(context.Canceled)
	c.payload.release()
	if c.finished {
		return
	}
	if err != nil {
		_ = c.session.answer(c.id, errorOf(err))
		return
	}
	_ = c.session.link.send(header{kind: kindReply, flags: flagFinal, correlation: c.id}, nil)
}

func errorOf(err error) *Error {
	w := asWireError(err)
	return &Error{Code: w.Code, Message: w.Message, Detail: w.Detail}
}

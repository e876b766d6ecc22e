package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/history"
)

// questions is what the collector is asked for when a query reads it.
type questions struct {
	timeout time.Duration
	turn    chan struct{}     // of capacity 1: one question at a time
	asked   chan api.Question // taken by a collector's connection

	mu   sync.Mutex
	last uint64  // id of the last question
	open *answer // of it; nil: nobody waits
}

// answer is one that is being gathered.
type answer struct {
	history.Connections
	size int
	err  error
	done chan struct{}
}

func newQuestions() *questions {
	return &questions{timeout: api.AnswerTime, turn: make(chan struct{}, 1), asked: make(chan api.Question)}
}

// connections asks for the rows of network_connections.
func (q *questions) connections(ctx context.Context) (history.Connections, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, q.timeout, errors.New("the collector does not answer"))
	defer cancel()
	a, err := q.wait(ctx)
	if err != nil {
		return history.Connections{}, fmt.Errorf("the current connections can not be listed: %w", err)
	}
	return a.Connections, nil
}

func (q *questions) wait(ctx context.Context) (*answer, error) {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a := &answer{done: make(chan struct{})}
	q.mu.Lock()
	q.last++
	id := q.last
	q.open = a
	q.mu.Unlock()
	defer q.end(id, nil)
	select {
	case q.asked <- api.Question{ID: id}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case <-a.done:
		return a, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// end ends the answer to a question, if that is still open.
func (q *questions) end(id uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil || q.last != id {
		return
	}
	q.open.err = err
	close(q.open.done)
	q.open = nil
}

// ask answers api.CollectorQuestions until the connection ends.
func (q *questions) ask(ctx context.Context, c *bus.Call) error {
	var id uint64
	defer func() { q.end(id, errors.New("the collector went away")) }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case question := <-q.asked:
			id = question.ID
			body, err := encode(question)
			if err != nil {
				return err
			}
			if err := c.Reply(ctx, body); err != nil {
				return err
			}
		}
	}
}

// take answers api.CollectorAnswer. An answer that comes too late, or is too
// large, is refused; then the collector sends no more of it.
func (q *questions) take(_ context.Context, c *bus.Call) error {
	var part api.Answer
	if err := msgpack.Unmarshal(c.Body, &part); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	if err := q.add(&part); err != nil {
		return err
	}
	if part.Done {
		var err error
		if part.Error != "" {
			err = errors.New(event.Clean(part.Error))
		}
		q.end(part.ID, err)
	}
	return nil
}

func (q *questions) add(part *api.Answer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.open
	if a == nil || part.ID != q.last {
		return fmt.Errorf("nobody waits for an answer to question %d", part.ID)
	}
	if a.size += len(part.Batch); a.size > api.MaxConnectionBytes {
		return fmt.Errorf("an answer of more than %d bytes", api.MaxConnectionBytes)
	}
	if len(part.Batch) > 0 {
		a.Batches = append(a.Batches, part.Batch)
	}
	a.Left += part.Left
	return nil
}

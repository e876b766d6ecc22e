package sql

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
)

// splitter is an operator that can be run in parts, by several goroutines at
// once, each with an env of its own.
type splitter interface {
	operator
	// split prepares such a run; nil, nil if the source has no parts. With
	// keeps set chunks are used after yield has returned.
	split(x *env, keeps bool) (*split, error)
}

// split is a run in parts.
type split struct {
	parts int
	run   func(x *env, part int, yield func(*chunk) error) error
	close func()
}

// over is the split of an operator above this one.
func (s *split) over(f func(x *env, c *chunk, yield func(*chunk) error) error) *split {
	return &split{parts: s.parts, close: s.close, run: func(x *env, i int, yield func(*chunk) error) error {
		return s.run(x, i, func(c *chunk) error { return f(x, c, yield) })
	}}
}

func splitInput(x *env, keeps bool, op operator, f func(x *env, c *chunk, yield func(*chunk) error) error) (*split, error) {
	in, ok := op.(splitter)
	if !ok {
		return nil, nil
	}
	s, err := in.split(x, keeps)
	if s == nil || err != nil {
		return nil, err
	}
	return s.over(f), nil
}

func (f *filterNode) split(x *env, keeps bool) (*split, error) {
	return splitInput(x, keeps, f.input, f.pass)
}

func (p *projectNode) split(x *env, keeps bool) (*split, error) {
	return splitInput(x, keeps, p.input, p.pass)
}

func (n *rowsNode) split(x *env, keeps bool) (*split, error) {
	return splitInput(x, keeps, n.input, n.expand)
}

// split of an inner or LEFT join builds its right side first.
func (n *joinNode) split(x *env, _ bool) (*split, error) {
	if n.kind == joinFull {
		return nil, nil
	}
	in, ok := n.left.(splitter)
	if !ok {
		return nil, nil
	}
	s, err := in.split(x, false) // pairs are copies
	if s == nil || err != nil {
		return nil, err
	}
	s.close() // it has parts; which ones follows from the right side
	b, err := n.build(x)
	if err != nil {
		return nil, err
	}
	if b.spill != nil {
		return n.splitParts(x, b)
	}
	n.tell(x, b)
	if s, err = in.split(x, false); s == nil || err != nil {
		b.close(x)
		return nil, err
	}
	input := s.close
	s.close = func() {
		input()
		b.close(x)
	}
	// What is known of dictionaries is each worker's own.
	var mu sync.Mutex
	sides := make(map[*env]*buildSide)
	return s.over(func(x *env, c *chunk, yield func(*chunk) error) error {
		mu.Lock()
		own := sides[x]
		if own == nil {
			own = b.reader()
			sides[x] = own
		}
		mu.Unlock()
		return n.probe(x, own, c, yield)
	}), nil
}

// worker is the env of one goroutine of a run in parts.
func (x *env) worker(ctx context.Context) *env {
	r := *x.run
	r.ctx, r.workers = ctx, 1
	main := x
	if x.main != nil {
		main = x.main
	}
	return &env{run: &r, outer: x.outer, frame: x.frame, params: x.params, memos: make(map[any]*memo), main: main, working: maps.Clone(x.working)}
}

// parallel runs op in parts with a consumer for each worker. It returns false
// if op can not be run so.
func parallel(x *env, op operator, consumer func(worker int) func(x *env, c *chunk) error) (bool, error) {
	s, err := splitOf(x, op, false)
	if s == nil || err != nil {
		return false, err
	}
	defer s.close()
	n := min(x.workers, s.parts)
	ctx, cancel := context.WithCancelCause(x.ctx)
	defer cancel(nil)
	next := make(chan int)
	var wait sync.WaitGroup
	for w := range n {
		take := consumer(w)
		y := x.worker(ctx)
		x.spawn(&wait, func() {
			for i := range next {
				if err := s.run(y, i, func(c *chunk) error { return take(y, c) }); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range s.parts {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	return true, nil
}

// splitOf splits op if that is worth it.
func splitOf(x *env, op operator, keeps bool) (*split, error) {
	in, ok := op.(splitter)
	if !ok || x.workers < 2 {
		return nil, nil
	}
	s, err := in.split(x, keeps)
	if s == nil || err != nil {
		return nil, err
	}
	if s.parts < 2 {
		s.close()
		return nil, nil
	}
	return s, nil
}

// gatherNode runs its input in parts, if it can, and gives the rows of each
// part after those of the part before: in the order of a run without parts.
type gatherNode struct{ input operator }

// A worker that is ahead keeps rows of so many bytes, about, and then waits.
const aheadBytes = 4 << 20

func (n *gatherNode) run(x *env, yield func(*chunk) error) error {
	s, err := splitOf(x, n.input, true)
	if err != nil {
		return err
	}
	if s == nil {
		return n.input.run(x, yield)
	}
	defer s.close()
	ctx, cancel := context.WithCancel(x.ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	found := make([]partRows, s.parts)
	for i := range found {
		found[i].chunks = make(chan []*chunk)
	}
	var taken atomic.Int64
	for range min(x.workers, s.parts) {
		y := x.worker(ctx)
		x.spawn(&wait, func() {
			for i := int(taken.Add(1)) - 1; i < s.parts; i = int(taken.Add(1)) - 1 {
				found[i].err = s.collect(y, i, found[i].chunks)
				close(found[i].chunks)
			}
		})
	}
	for i := range found {
		for chunks := range found[i].chunks {
			for _, c := range chunks {
				if err := yield(c); err != nil {
					return err
				}
			}
		}
		if err := found[i].err; err != nil {
			return err
		}
	}
	return nil
}

// partRows is what a worker finds in one part.
type partRows struct {
	chunks chan []*chunk
	err    error // once chunks is closed
}

// collect sends what a part gives, when it is much and at the end; chunks must
// not refer to what is read later.
func (s *split) collect(x *env, i int, send chan<- []*chunk) error {
	var list []*chunk
	held := 0
	flush := func() error {
		select {
		case send <- list:
			list, held = nil, 0
			return nil
		case <-x.ctx.Done():
			return x.ctx.Err()
		}
	}
	err := s.run(x, i, func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		if c.sel != nil && len(c.sel) < c.n/4 {
			c = c.dense()
		}
		list = append(list, c)
		if held += c.held(); held < aheadBytes {
			return x.ctx.Err()
		}
		return flush()
	})
	if err == nil && len(list) > 0 {
		err = flush()
	}
	return err
}

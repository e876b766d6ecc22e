package sql

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"daemoneye/bus/event"
)

// Source is where a query reads events; the agent adapts its store to it.
type Source interface {
	// Scan calls yield with batches until there are no more or it returns an
	// error, which Scan passes on. A batch must not change after it was given.
	Scan(ctx context.Context, r ScanRequest, yield func(*event.Batch) error) error
}

// ScanRequest says what a query reads. Rows outside of From ≤ time < To (µs,
// by the table's time column) may be given too: the engine filters again.
type ScanRequest struct {
	Table    *event.Table
	Columns  []string // never empty
	From, To int64
}

// Options bound one execution; zero means the default.
type Options struct {
	Now         time.Time // what now() is; the time of the call
	MemoryLimit int64     // bytes that sorting and grouping, and the texts made of one batch, may hold; 64 MiB
	MaxRows     int64     // an error after so many rows of the result; no bound
}

const defaultMemory = 64 << 20

// run is what all frames of one execution share.
type run struct {
	ctx   context.Context
	src   Source
	now   int64 // µs
	limit int64
	used  atomic.Int64
}

// env is the state of one execution of a frame. One goroutine uses it.
type env struct {
	*run
	outer  *env // of the frame around this one
	frame  *frame
	params []value
	memos  map[any]*memo

	shared  map[*sharedNode]*rowStore
	working map[*cte]*rowStore
	subs    map[*subPlan]*subState

	// scratch is how many bytes of text functions have made beyond what they
	// were given, in the expressions of one chunk.
	scratch int64

	memoized int64 // bytes that memos hold, about
	calls    uint  // of functions, to look at ctx now and then
}

func newEnv(ctx context.Context, src Source, opt Options) *env {
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	if opt.MemoryLimit <= 0 {
		opt.MemoryLimit = defaultMemory
	}
	return &env{run: &run{ctx: ctx, src: src, now: opt.Now.UnixMicro(), limit: opt.MemoryLimit}, memos: make(map[any]*memo)}
}

// grow counts n more bytes held by the named operator.
func (x *env) grow(operator string, n int) error {
	if x.used.Add(int64(n)) > x.limit {
		return fail(codeOutOfMemory, "the %s needs more than the memory limit of %d MiB", operator, x.limit>>20).
			hint("narrow the time range, or join, group and sort fewer rows")
	}
	return nil
}

// Rows is a part of a result.
type Rows struct {
	columns []Column
	chunk   *chunk
}

// Len returns the number of rows.
func (r *Rows) Len() int { return r.chunk.len() }

// Columns returns the columns of the result.
func (r *Rows) Columns() []Column { return r.columns }

// AppendText appends the value as psql shows it; null is true, and nothing is
// appended, when it is NULL.
func (r *Rows) AppendText(dst []byte, row, col int) (out []byte, null bool) {
	return r.AppendCell(dst, row, col, false)
}

// AppendJSON appends the value as JSON: numbers, booleans and null as such,
// timestamptz in RFC 3339 with microseconds, jsonb and arrays as themselves,
// everything else as a string.
func (r *Rows) AppendJSON(dst []byte, row, col int) []byte {
	return appendJSONValue(dst, r.columns[col].Type, r.chunk.cols[col].at(r.chunk.row(row)))
}

// AppendCell appends the value as AppendJSON or AppendText does; null is true,
// and nothing is appended, when it is NULL, also as JSON.
func (r *Rows) AppendCell(dst []byte, row, col int, asJSON bool) (out []byte, null bool) {
	v := r.chunk.cols[col].at(r.chunk.row(row))
	switch {
	case v.null:
		return dst, true
	case asJSON:
		return appendJSONValue(dst, r.columns[col].Type, v), false
	}
	return appendOutput(dst, r.columns[col].Type, v), false
}

// Run executes the query and calls yield with the rows as they come; an error
// from yield ends the run and is returned. Errors of the engine are *Error.
// It stops soon when ctx is done.
func (q *Query) Run(ctx context.Context, src Source, opt Options, yield func(*Rows) error) error {
	x := newEnv(ctx, src, opt)
	x.frame = q.frame
	var count int64
	err := q.plan.run(x, func(c *chunk) error {
		n := int64(c.len())
		if n == 0 {
			return nil
		}
		over := opt.MaxRows > 0 && count+n > opt.MaxRows
		if over {
			c = c.slice(0, int(opt.MaxRows-count))
		}
		count += n
		if c.len() > 0 {
			if err := yield(&Rows{columns: q.columns, chunk: c}); err != nil {
				return err
			}
		}
		if over {
			return fail(codeLimit, "the result has more than %d rows", opt.MaxRows).hint("add LIMIT, or a narrower WHERE")
		}
		return nil
	})
	return q.located(err)
}

// located gives an error of the engine the statement's text and position.
func (q *Query) located(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	return c.locate(q.text)
}

// Match applies a query that streams to one batch of its table: rows are the
// positions in b that match, out what the query selects for exactly these. It
// may be called by several goroutines at once.
func (q *Query) Match(b *event.Batch, now time.Time) (rows []int, out *Rows, err error) {
	p := q.simple
	if p == nil {
		return nil, nil, errors.New("match: the query does not stream")
	}
	if b.Table != p.scan.table {
		return nil, nil, fmt.Errorf("match: the query reads %s, the batch is of %s", p.scan.table.Name, b.Table.Name)
	}
	x := newEnv(context.Background(), nil, Options{Now: now})
	none := &Rows{columns: q.columns, chunk: &chunk{cols: make([]*vector, len(q.columns))}}
	c, err := p.scan.chunk(b)
	if err != nil || c.n == 0 {
		return nil, none, q.located(err)
	}
	if p.filter != nil {
		if c, err = filterChunk(x, c, p.filter); err != nil {
			return nil, nil, q.located(err)
		}
	}
	if c.len() == 0 {
		return nil, none, nil
	}
	for k := range c.len() {
		rows = append(rows, c.row(k))
	}
	c, err = projectChunk(x, c, p.project)
	if err != nil {
		return nil, nil, q.located(err)
	}
	return rows, &Rows{columns: q.columns, chunk: c}, nil
}

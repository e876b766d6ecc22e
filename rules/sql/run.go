package sql

import (
	"context"
	"errors"
	"sync"
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

// PartSource is a Source whose tables can be read in parts by several
// goroutines at once.
type PartSource interface {
	Source
	// Parts prepares a scan; nil, nil if the table can not be read in parts.
	Parts(ctx context.Context, r ScanRequest) (Parts, error)
}

// Parts is a scan in parts, each of which is read once, or not at all.
type Parts interface {
	Len() int
	// Read reads part i, as Source.Scan does.
	Read(ctx context.Context, i int, yield func(*event.Batch) error) error
	Close()
}

// ScanRequest says what a query reads. Rows outside of From ≤ time < To (µs,
// by the table's time column), or for which a condition is not true, may be
// given too: the engine filters again.
type ScanRequest struct {
	Table    *event.Table
	Columns  []string // empty for a PartSource alone, when rows are counted
	From, To int64
	Where    []Condition

	// Reuse allows that the memory of vectors is used again once yield has
	// returned, but for their dictionaries and texts.
	Reuse bool
	// Passing are columns of which not even that is kept: all their memory may
	// be used again.
	Passing []string
}

// Condition is what a wanted row satisfies. A value is an int64 (also µs for a
// timestamptz), float64, string or bool.
type Condition struct {
	Column string
	Op     ConditionOp
	Values []any
}

// ConditionOp is how a Condition compares.
type ConditionOp uint8

// The operators: OpEqual means one of the values, OpNull and OpNotNull have
// none, the others have one.
const (
	OpEqual ConditionOp = iota + 1
	OpLess
	OpLessOrEqual
	OpGreater
	OpGreaterOrEqual
	OpNull
	OpNotNull
)

// Options bound one execution; zero means the default.
type Options struct {
	Now         time.Time      // what now() is; the time of the call
	MemoryLimit int64          // bytes that sorting and grouping, and the texts made of one batch, may hold; 64 MiB
	MaxRows     int64          // an error after so many rows of the result; no bound
	Workers     int            // goroutines that read and filter; 1
	Go          func(f func()) // starts these; nil: the go statement

	// TempDir is where joins and windows that need more memory keep rows while
	// they run; "": nowhere, they fail.
	TempDir   string
	TempLimit int64 // bytes there; 1 GiB
	// TempRoom says how many bytes more may be written there; nil: TempLimit alone counts.
	TempRoom func() int64
}

const (
	defaultMemory = 64 << 20
	defaultTemp   = 1 << 30
)

// run is what all frames of one execution share.
type run struct {
	*budget
	ctx     context.Context
	src     Source
	now     int64 // µs
	limit   int64
	workers int // goroutines that may read; 1 within one of them

	start func(func()) // a goroutine

	tempDir   string
	tempLimit int64
	tempRoom  func() int64
}

// budget is what the goroutines of one execution share.
type budget struct {
	used     atomic.Int64
	tempUsed atomic.Int64 // bytes of temporary files
	mu       sync.Mutex   // guards env.results and tallies
	tallies  map[operator]*tally
}

// tally is what an operator did that its plan does not say.
type tally struct {
	spilled atomic.Int64 // bytes written to temporary files
	leftOut atomic.Int64 // rows that a filter of keys left out
}

// tally is that of op.
func (b *budget) tally(op operator) *tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tallies[op]
	if t == nil {
		if b.tallies == nil {
			b.tallies = make(map[operator]*tally)
		}
		t = &tally{}
		b.tallies[op] = t
	}
	return t
}

// env is the state of one execution of a frame. One goroutine uses it.
type env struct {
	*run
	outer  *env // of the frame around this one
	frame  *frame
	params []value
	memos  map[any]*memo

	main    *env                // of the goroutine that started this one's; nil: this one
	results map[any]*onceResult // of the main one: what is computed once
	working map[*cte]*rowStore
	subs    map[*subPlan]*subState
	joined  map[*scanNode][]Condition // what joins say of the rows they look for

	// scratch is how many bytes of text functions have made beyond what they
	// were given, in the expressions of one chunk.
	scratch      int64
	scratchLimit int64 // of scratch; 0: the memory limit

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
	if opt.TempLimit <= 0 {
		opt.TempLimit = defaultTemp
	}
	r := &run{
		budget: &budget{}, ctx: ctx, src: src, now: opt.Now.UnixMicro(), limit: opt.MemoryLimit, workers: max(opt.Workers, 1),
		start: opt.Go, tempDir: opt.TempDir, tempLimit: opt.TempLimit, tempRoom: opt.TempRoom,
	}
	if r.start == nil {
		r.start = func(f func()) { go f() }
	}
	return &env{run: r, memos: make(map[any]*memo)}
}

// onceResult is what is computed once in an execution of a frame.
type onceResult struct {
	mu    sync.Mutex
	done  bool
	value any
	err   error
}

// once returns what f made when it was first called for key. Other goroutines
// of the same frame wait for it.
func (x *env) once(key any, f func(x *env) (any, error)) (any, error) {
	if x.main != nil {
		x = x.main
	}
	x.mu.Lock()
	r := x.results[key]
	if r == nil {
		if x.results == nil {
			x.results = make(map[any]*onceResult)
		}
		r = &onceResult{}
		x.results[key] = r
	}
	x.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done {
		r.value, r.err = f(x)
		r.done = true
	}
	return r.value, r.err
}

// forget makes once compute key anew.
func (x *env) forget(key any) {
	if x.main != nil {
		x = x.main
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.results, key)
}

// spawn starts f in a goroutine that wait waits for.
func (r *run) spawn(wait *sync.WaitGroup, f func()) {
	wait.Add(1)
	r.start(func() {
		defer wait.Done()
		f()
	})
}

// grow counts n more bytes held by the named operator.
func (x *env) grow(operator string, n int) error {
	if x.used.Add(int64(n)) > x.limit {
		return fail(codeOutOfMemory, "the %s needs more than the memory limit of %d MiB", operator, x.limit>>20).
			hint("narrow the time range, or join, group and sort fewer rows; agent.query_memory in the configuration allows more")
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
	return q.run(newEnv(ctx, src, opt), opt.MaxRows, yield)
}

func (q *Query) run(x *env, maxRows int64, yield func(*Rows) error) error {
	x.frame = q.frame
	var count int64
	err := q.plan.run(x, func(c *chunk) error {
		n := int64(c.len())
		if n == 0 {
			return nil
		}
		over := maxRows > 0 && count+n > maxRows
		if over {
			c = c.slice(0, int(maxRows-count))
		}
		count += n
		if err := c.settle(); err != nil {
			return err
		}
		if c.len() > 0 {
			if err := yield(&Rows{columns: q.columns, chunk: c}); err != nil {
				return err
			}
		}
		if over {
			return fail(codeLimit, "the result has more than %d rows", maxRows).hint("add LIMIT, or a narrower WHERE; --max-rows allows more")
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

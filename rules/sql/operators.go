package sql

import (
	"math"

	"daemoneye/bus/event"
)

// operator is one step of a plan. run produces its rows in chunks that have
// at least one row; an error from yield ends it and is returned.
type operator interface {
	run(x *env, yield func(*chunk) error) error
}

// stopError ends a run when no more rows are wanted; the limit that returns it
// knows it as its own.
type stopError struct{}

func (*stopError) Error() string { return "enough rows" }

// oneRow is the input of a SELECT without FROM.
type oneRow struct{}

func (oneRow) run(_ *env, yield func(*chunk) error) error { return yield(&chunk{n: 1}) }

// scanNode reads the columns in use of a table.
type scanNode struct {
	table   *event.Table
	columns []int       // positions in table.Columns, those in use
	bounds  []timeBound // proven by WHERE
}

// timeBound says that the time column compares so to an expression without columns.
type timeBound struct {
	op comparison
	e  expr
}

func (s *scanNode) run(x *env, yield func(*chunk) error) error {
	r := ScanRequest{Table: s.table}
	r.From, r.To = s.timeRange(x)
	for _, c := range s.columns {
		r.Columns = append(r.Columns, s.table.Columns[c].Name)
	}
	if len(r.Columns) == 0 {
		r.Columns = []string{s.table.Time}
	}
	return x.src.Scan(x.ctx, r, func(b *event.Batch) error {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		c, err := s.chunk(b)
		if err != nil || c.n == 0 {
			return err
		}
		return yield(c)
	})
}

func (s *scanNode) chunk(b *event.Batch) (*chunk, error) {
	c := &chunk{n: b.Rows, cols: make([]*vector, len(s.columns))}
	for k, i := range s.columns {
		v, err := fromEvent(b.Columns[i], typeOf(s.table.Columns[i].Type))
		if err != nil {
			return nil, err
		}
		c.cols[k] = v
	}
	return c, nil
}

// findBounds keeps the conjuncts of cond that compare the time column to
// something without columns.
func (s *scanNode) findBounds(cond expr) {
	switch e := cond.(type) {
	case *logicExpr:
		if e.kind == logicAnd {
			for _, a := range e.args {
				s.findBounds(a)
			}
		}
	case *callExpr:
		if e.fn.compare == 0 || len(e.args) != 2 {
			return
		}
		switch {
		case s.isTime(e.args[0]) && !hasColumn(e.args[1]) && e.args[1].typ() == Timestamptz:
			s.bounds = append(s.bounds, timeBound{e.fn.compare, e.args[1]})
		case s.isTime(e.args[1]) && !hasColumn(e.args[0]) && e.args[0].typ() == Timestamptz:
			s.bounds = append(s.bounds, timeBound{e.fn.compare.commuted(), e.args[0]})
		}
	}
}

func (s *scanNode) isTime(e expr) bool {
	c, ok := e.(*colExpr)
	return ok && s.table.Columns[s.columns[c.index]].Name == s.table.Time
}

// timeRange computes the bounds at the time of execution, half open. A bound
// that can not be computed is none: the filter will tell.
func (s *scanNode) timeRange(x *env) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	for _, b := range s.bounds {
		v, err := evalOnce(x, b.e)
		if err != nil {
			continue
		}
		if v.null || isInfinite(v.i) {
			continue
		}
		switch b.op {
		case compareEq:
			from, to = max(from, v.i), min(to, v.i+1)
		case compareGt:
			from = max(from, v.i+1)
		case compareGe:
			from = max(from, v.i)
		case compareLt:
			to = min(to, v.i)
		case compareLe:
			to = min(to, v.i+1)
		}
	}
	return from, max(from, to)
}

// filterNode passes the rows for which cond is true. With split set, a later
// operator may want only the first rows: then an error counts only if it
// comes up before those.
type filterNode struct {
	input operator
	cond  expr
	split bool
}

func (f *filterNode) run(x *env, yield func(*chunk) error) error {
	return f.input.run(x, func(c *chunk) error { return f.pass(x, c, yield) })
}

func (f *filterNode) pass(x *env, c *chunk, yield func(*chunk) error) error {
	out, err := filterChunk(x, c, f.cond)
	if err != nil {
		if n := c.len(); f.split && n > 1 {
			if err := f.pass(x, c.slice(0, n/2), yield); err != nil {
				return err
			}
			return f.pass(x, c.slice(n/2, n), yield)
		}
		return err
	}
	if out.len() == 0 {
		return nil
	}
	return yield(out)
}

// filterChunk keeps the rows of c for which cond is true; conjuncts are
// applied one after the other, each to the rows left.
func filterChunk(x *env, c *chunk, cond expr) (*chunk, error) {
	conjuncts := []expr{cond}
	if e, ok := cond.(*logicExpr); ok && e.kind == logicAnd {
		conjuncts = e.args
	}
	x.scratch = 0
	sel, kept := c.rows(), c.len()
	for _, e := range conjuncts {
		if len(sel) == 0 {
			break
		}
		v, err := e.eval(x, c, sel)
		if err != nil {
			return nil, err
		}
		out := make([]int32, 0, len(sel)/4)
		for _, i := range sel {
			if !v.isNull(int(i)) && v.boolAt(int(i)) {
				out = append(out, i)
			}
		}
		sel = out
	}
	if len(sel) == kept {
		return c, nil
	}
	if sel == nil {
		sel = []int32{}
	}
	return &chunk{n: c.n, sel: sel, cols: c.cols}, nil
}

// projectNode computes expressions.
type projectNode struct {
	input operator
	exprs []expr
}

func (p *projectNode) run(x *env, yield func(*chunk) error) error {
	return p.input.run(x, func(c *chunk) error {
		out, err := projectChunk(x, c, p.exprs)
		if err != nil {
			return err
		}
		return yield(out)
	})
}

func projectChunk(x *env, c *chunk, exprs []expr) (*chunk, error) {
	if c.sel != nil && len(c.sel) < c.n/2 {
		c = c.dense()
	}
	x.scratch = 0
	cols, err := evalAll(x, c, exprs, c.rows())
	if err != nil {
		return nil, err
	}
	return &chunk{n: c.n, sel: c.sel, cols: cols}, nil
}

// limitNode passes rows offset ≤ k < offset+limit, and with ties those after
// them that are equal to the last by these keys.
type limitNode struct {
	input         operator
	limit, offset expr
	ties          []sortKey
}

// window returns the first row and the number of rows; count is
// math.MaxInt64 without LIMIT.
func (l *limitNode) window(x *env) (skip, count int64, err error) {
	count = math.MaxInt64
	get := func(e expr, code, name string, into *int64) error {
		if e == nil {
			return nil
		}
		v, err := evalOnce(x, e)
		if err != nil || v.null {
			return err
		}
		if v.i < 0 {
			return fail(code, "%s must not be negative", name)
		}
		*into = v.i
		return nil
	}
	if err = get(l.offset, codeInvalidOffset, "OFFSET", &skip); err == nil {
		err = get(l.limit, codeInvalidLimit, "LIMIT", &count)
	}
	return skip, count, err
}

func (l *limitNode) run(x *env, yield func(*chunk) error) error {
	skip, count, err := l.window(x)
	if err != nil || count == 0 {
		return err
	}
	stop := &stopError{}
	var last []value // of the last row, once all are passed
	err = l.input.run(x, func(c *chunk) error {
		n := int64(c.len())
		if n <= skip {
			skip -= n
			return nil
		}
		from := skip
		skip = 0
		to := min(n, from+min(count, n))
		count -= to - from
		if count == 0 && l.ties != nil {
			if last == nil {
				last = l.keys(c, int(to)-1)
			}
			for to < n && l.tied(c, int(to), last) {
				to++
			}
		}
		if to > from {
			if err := yield(c.slice(int(from), int(to))); err != nil {
				return err
			}
		}
		if count == 0 && (l.ties == nil || to < n) {
			return stop
		}
		return nil
	})
	if err == stop {
		return nil
	}
	return err
}

func (l *limitNode) keys(c *chunk, k int) []value {
	out := make([]value, len(l.ties))
	for i, key := range l.ties {
		out[i] = c.cols[key.column].at(c.row(k))
	}
	return out
}

func (l *limitNode) tied(c *chunk, k int, last []value) bool {
	for i, key := range l.ties {
		if key.compare(c.cols[key.column].at(c.row(k)), last[i]) != 0 {
			return false
		}
	}
	return true
}

package sql

import (
	"math"
	"slices"
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

// filterNode passes the rows for which cond is true. With halves set, a later
// operator may want only the first rows: then an error counts only if it
// comes up before those.
type filterNode struct {
	input  operator
	cond   expr
	halves bool
	drop   []int // columns that nobody reads above
}

func (f *filterNode) run(x *env, yield func(*chunk) error) error {
	return f.input.run(x, func(c *chunk) error { return f.pass(x, c, yield) })
}

func (f *filterNode) pass(x *env, c *chunk, yield func(*chunk) error) error {
	var out *chunk
	err := c.inPieces(x, 1, func(c *chunk) (err error) {
		out, err = filterChunk(x, c, f.cond)
		return err
	}, func(*chunk) error { return f.give(out, yield) })
	if err != nil {
		if n := c.len(); f.halves && n > 1 {
			if err := f.pass(x, c.slice(0, n/2), yield); err != nil {
				return err
			}
			return f.pass(x, c.slice(n/2, n), yield)
		}
		return err
	}
	return nil
}

// give passes on what is left of a chunk.
func (f *filterNode) give(out *chunk, yield func(*chunk) error) error {
	if out.len() == 0 {
		return nil
	}
	if len(f.drop) > 0 {
		out = &chunk{n: out.n, sel: out.sel, cols: slices.Clone(out.cols)}
		for _, i := range f.drop {
			out.cols[i] = constantVector(out.cols[i].typ, null)
		}
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
	sel, kept := c.rows(), c.len()
	for _, e := range conjuncts {
		if len(sel) == 0 {
			break
		}
		if call, ok := e.(*callExpr); ok {
			chosen, ok, err := call.choose(x, c, sel)
			if err != nil {
				return nil, err
			}
			if ok {
				sel = chosen
				continue
			}
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
	return p.input.run(x, func(c *chunk) error { return p.pass(x, c, yield) })
}

func (p *projectNode) pass(x *env, c *chunk, yield func(*chunk) error) error {
	var out *chunk
	return c.inPieces(x, weightOf(p.exprs), func(c *chunk) (err error) {
		out, err = projectChunk(x, c, p.exprs)
		return err
	}, func(*chunk) error { return yield(out) })
}

func projectChunk(x *env, c *chunk, exprs []expr) (*chunk, error) {
	if c.sel != nil && len(c.sel) < c.n/2 {
		c = c.dense()
	}
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

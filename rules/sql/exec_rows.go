package sql

// rowsNode runs set-returning functions, side by side, for each row of its
// input, and gives that row with each of their rows; a function that has fewer
// rows than another is filled up with NULLs.
type rowsNode struct {
	input      operator
	calls      []*srfExpr
	ordinality bool
	beside     []expr // evaluated, since they may fail, for rows of which no function makes any
}

func (n *rowsNode) run(x *env, yield func(*chunk) error) error {
	return n.input.run(x, func(c *chunk) error { return n.expand(x, c, yield) })
}

func (n *rowsNode) expand(x *env, c *chunk, yield func(*chunk) error) error {
	x.scratch = 0
	if err := c.settle(); err != nil {
		return err
	}
	sel := c.rows()
	args := make([][]*vector, len(n.calls))
	for i, call := range n.calls {
		var err error
		if args[i], err = evalAll(x, c, call.args, sel); err != nil {
			return err
		}
	}
	out := n.builder(c, yield)
	var none []int32
	for _, i := range sel {
		before := out.count
		if err := n.row(x, args, int(i), out); err != nil {
			return err
		}
		if out.count == before && len(n.beside) > 0 {
			none = append(none, i)
		}
	}
	if len(none) > 0 {
		if _, err := evalAll(x, c, n.beside, none); err != nil {
			return err
		}
	}
	return out.flush(x)
}

// row gives the rows for row i.
func (n *rowsNode) row(x *env, args [][]*vector, i int, out *rowsBuilder) error {
	if len(n.calls) == 1 {
		ordinal := int64(0)
		return n.calls[0].each(x, args[0], i, func(vals []value) error {
			ordinal++
			if n.ordinality {
				vals = append(append(make([]value, 0, len(vals)+1), vals...), intValue(ordinal))
			}
			return out.add(x, i, vals)
		})
	}
	lists := make([][][]value, len(n.calls))
	longest, size := 0, 0
	for k, call := range n.calls {
		err := call.each(x, args[k], i, func(vals []value) error {
			lists[k] = append(lists[k], append([]value(nil), vals...))
			size += rowSize(vals)
			return x.grow("list of functions", rowSize(vals))
		})
		if err != nil {
			return err
		}
		longest = max(longest, len(lists[k]))
	}
	for r := range longest {
		var vals []value
		for k, call := range n.calls {
			if r < len(lists[k]) {
				vals = append(vals, lists[k][r]...)
				continue
			}
			for range call.types {
				vals = append(vals, null)
			}
		}
		if n.ordinality {
			vals = append(vals, intValue(int64(r)+1))
		}
		if err := out.add(x, i, vals); err != nil {
			return err
		}
	}
	x.used.Add(-int64(size))
	return nil
}

// each calls yield with the function's rows for row i of its arguments.
func (e *srfExpr) each(x *env, args []*vector, i int, yield func([]value) error) error {
	row := make([]value, len(args))
	for k, v := range args {
		row[k] = v.at(i)
		if row[k].null && e.fn.strict {
			return nil
		}
	}
	return e.fn.rows(x, row, func(vals []value) error {
		if err := x.tick(vals); err != nil {
			return err
		}
		return yield(vals)
	})
}

// rowsBuilder collects input rows with rows of functions.
type rowsBuilder struct {
	c     *chunk
	types []Type
	left  []int32
	cols  []*vector
	yield func(*chunk) error
	count int // of all rows
}

func (n *rowsNode) builder(c *chunk, yield func(*chunk) error) *rowsBuilder {
	b := &rowsBuilder{c: c, yield: yield}
	for _, call := range n.calls {
		b.types = append(b.types, call.types...)
	}
	if n.ordinality {
		b.types = append(b.types, Int8)
	}
	return b
}

func (b *rowsBuilder) add(x *env, i int, vals []value) error {
	if b.cols == nil {
		for _, t := range b.types {
			b.cols = append(b.cols, newVector(t, chunkRows))
		}
	}
	for k, v := range vals {
		b.cols[k].set(len(b.left), v, chunkRows)
	}
	b.count++
	if b.left = append(b.left, int32(i)); len(b.left) < chunkRows {
		return nil
	}
	return b.flush(x)
}

func (b *rowsBuilder) flush(x *env) error {
	if len(b.left) == 0 {
		return nil
	}
	if err := x.ctx.Err(); err != nil {
		return err
	}
	out := joined(b.c, b.left, &rowStore{}, []int32{}, nil)
	out.cols = append(out.cols, b.cols...)
	b.left, b.cols = nil, nil
	return b.yield(out)
}

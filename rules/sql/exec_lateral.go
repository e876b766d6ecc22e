package sql

// lateralNode runs the right input for each left row, with values of that row
// as its parameters.
type lateralNode struct {
	kind                  joinKind // inner or left
	left, right           operator
	frame                 *frame
	params                []expr
	leftTypes, rightTypes []Type
	cond                  expr
}

func (n *lateralNode) run(x *env, yield func(*chunk) error) error {
	return n.left.run(x, func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		sel := c.rows()
		params, err := evalAll(x, c, n.params, sel)
		if err != nil {
			return err
		}
		for _, i := range sel {
			if err := n.row(x, c, i, params, yield); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *lateralNode) row(x *env, c *chunk, i int32, params []*vector, yield func(*chunk) error) error {
	vals := make([]value, len(params))
	for k, v := range params {
		vals[k] = v.at(int(i))
	}
	found := false
	err := n.right.run(x.inner(n.frame, vals), func(r *chunk) error {
		out := r.dense()
		one := []int32{i}
		cols := make([]*vector, 0, len(c.cols)+len(r.cols))
		for k, v := range c.cols {
			cols = append(cols, constantVector(n.leftTypes[k], v.take(one).at(0)))
		}
		out = &chunk{n: out.n, cols: append(cols, out.cols...)}
		if n.cond != nil {
			var err error
			x.scratch = 0
			if out, err = filterChunk(x, out, n.cond); err != nil || out.len() == 0 {
				return err
			}
		}
		found = true
		return yield(out)
	})
	if err != nil || found || n.kind == joinInner {
		return err
	}
	return yield(joined(c, []int32{i}, nil, nil, n.rightTypes))
}

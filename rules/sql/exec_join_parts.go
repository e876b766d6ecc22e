package sql

// A join whose right side does not fit into memory spills both sides by the
// hash of their keys, and then joins part by part.

// toSpill moves the rows to a spill.
func (b *buildSide) toSpill(x *env, n *joinNode) (err error) {
	if b.spill, err = x.newSpill(n, joinMemory, n.rightTypes); err != nil {
		return err
	}
	return b.clear(x, n).emit(x, func(c *chunk) error { return b.spill.addBy(x, c, n.rightKeys) })
}

// addBy takes the rows of c by these keys.
func (s *spill) addBy(x *env, c *chunk, keys []expr) error {
	x.scratch = 0
	cols, err := evalAll(x, c, keys, c.rows())
	if err != nil {
		return err
	}
	return s.add(x, c, cols)
}

// spillLeft spills the left side, to be closed.
func (n *joinNode) spillLeft(x *env) (*spill, error) {
	s, err := x.newSpill(n, joinMemory, n.leftTypes)
	if err != nil {
		return nil, err
	}
	err = (&gatherNode{n.left}).run(x, func(c *chunk) error { return s.addBy(x, c, n.leftKeys) })
	if err == nil {
		err = s.finish(x)
	}
	if err != nil {
		s.close(x)
		return nil, err
	}
	return s, nil
}

func (n *joinNode) overParts(x *env, right *spill, yield func(*chunk) error) error {
	left, err := n.spillLeft(x)
	if err != nil {
		return err
	}
	defer left.close(x)
	for p := range spillParts {
		if err := n.part(x, left, right, p, yield); err != nil {
			return err
		}
	}
	return nil
}

// splitParts is the split of a join whose right side was spilled.
func (n *joinNode) splitParts(x *env, b *buildSide) (*split, error) {
	left, err := n.spillLeft(x)
	if err != nil {
		b.close(x)
		return nil, err
	}
	return &split{
		parts: spillParts,
		run: func(x *env, p int, yield func(*chunk) error) error {
			return n.part(x, left, b.spill, p, yield)
		},
		close: func() {
			left.close(x)
			b.close(x)
		},
	}, nil
}

// part joins one part.
func (n *joinNode) part(x *env, left, right *spill, p int, yield func(*chunk) error) error {
	b := n.newSide()
	b.rows.share()
	defer b.close(x)
	if err := right.each(x, p, func(c *chunk) error { return b.add(x, n, c) }); err != nil {
		return err
	}
	b.complete(n)
	run := func(x *env, yield func(*chunk) error) error { return left.each(x, p, yield) }
	return n.over(x, b, run, yield)
}

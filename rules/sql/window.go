package sql

import "slices"

// windowStep is the calls of a block that share one OVER.
type windowStep struct {
	spec  windowSpec
	calls []*windowExpr
	rel   *relation
}

// extractWindows replaces window calls by columns of steps that come before
// the select list.
func (s *steps) extractWindows() {
	byKey := make(map[string]*windowStep)
	for i := range s.list {
		s.list[i] = s.extractWindow(s.list[i], byKey)
	}
}

func (s *steps) extractWindow(e expr, byKey map[string]*windowStep) expr {
	w, ok := e.(*windowExpr)
	if !ok {
		return rewriteChildren(e, func(e expr) expr { return s.extractWindow(e, byKey) })
	}
	key := w.spec.key()
	step := byKey[key]
	if step == nil {
		step = &windowStep{spec: w.spec, rel: &relation{}}
		byKey[key] = step
		s.windows = append(s.windows, step)
	}
	name := exprKey(w)
	i := slices.IndexFunc(step.calls, func(c *windowExpr) bool { return exprKey(c) == name })
	if i < 0 {
		i = len(step.calls)
		step.calls = append(step.calls, w)
		step.rel.add("", w.t)
	}
	return &colExpr{rel: step.rel, index: i, t: w.t, name: "." + w.fn.name + " over …"}
}

// plan plans the step over in.
func (w *windowStep) plan(p *planner, in *stage) (*stage, error) {
	n := &windowNode{input: in.op, spec: w.spec, width: len(in.cols)}
	n.types = typesOf(in.cols)
	column := func(e expr) (int, error) {
		bound := in.bind(e)
		if err := p.planSubqueries(bound); err != nil {
			return 0, err
		}
		if c, ok := bound.(*colExpr); ok {
			return c.index, nil
		}
		n.extra = append(n.extra, bound)
		n.types = append(n.types, e.typ())
		return n.width + len(n.extra) - 1, nil
	}
	for _, e := range w.spec.partition {
		i, err := column(e)
		if err != nil {
			return nil, err
		}
		n.partition = append(n.partition, i)
	}
	for _, o := range w.spec.order {
		i, err := column(o.expr)
		if err != nil {
			return nil, err
		}
		o.column = i
		n.order = append(n.order, o)
	}
	for _, e := range []*expr{&n.spec.start, &n.spec.end} {
		if *e == nil {
			continue
		}
		var err error
		if *e, err = p.fold(*e); err == nil {
			err = p.planSubqueries(*e)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, c := range w.calls {
		call := windowCall{fn: c.fn, t: c.t, filter: -1}
		for _, a := range c.args {
			i, err := column(a)
			if err != nil {
				return nil, err
			}
			call.args = append(call.args, i)
		}
		if c.filter != nil {
			i, err := column(c.filter)
			if err != nil {
				return nil, err
			}
			call.filter = i
		}
		n.calls = append(n.calls, call)
	}
	return &stage{n, append(slices.Clone(in.cols), columnsOf(w.rel)...)}, nil
}

// windowNode adds the results of window calls to the rows of its input.
type windowNode struct {
	input     operator
	spec      windowSpec
	types     []Type // of the input and extra
	width     int    // columns of the input
	extra     []expr // arguments and keys that are no columns
	partition []int  // columns
	order     []sortKey
	calls     []windowCall
}

type windowCall struct {
	fn     *function
	args   []int // columns
	filter int   // column, -1: none
	t      Type
}

const windowMemory = "window"

func (n *windowNode) run(x *env, yield func(*chunk) error) error {
	in := &windowInput{node: n, rows: newRowStore(n.types)}
	defer in.close(x)
	err := (&gatherNode{n.input}).run(x, func(c *chunk) error {
		return in.compute(x, c)
	})
	if err != nil {
		return err
	}
	if in.spill == nil {
		return n.over(x, in.rows, yield)
	}
	if err := in.spill.finish(x); err != nil {
		return err
	}
	for p := range spillParts {
		s := newRowStore(n.types)
		s.share()
		if err := in.spill.each(x, p, func(c *chunk) error { return s.add(x, windowMemory, c) }); err != nil {
			return err
		}
		if err := n.over(x, s, yield); err != nil {
			return err
		}
	}
	return nil
}

// windowInput keeps rows, with what is computed of them, until all are there.
type windowInput struct {
	node  *windowNode
	rows  *rowStore
	spill *spill // of partitions, instead of rows
}

func (in *windowInput) close(x *env) {
	if in.spill != nil {
		in.spill.close(x)
	}
}

// compute adds the rows of c with what is computed of them.
func (in *windowInput) compute(x *env, c *chunk) error {
	var more []*vector
	return c.inPieces(x, weightOf(in.node.extra), func(c *chunk) (err error) {
		if err = c.settle(); err == nil && c.len() > 0 {
			more, err = evalAll(x, c, in.node.extra, c.rows())
		}
		return err
	}, func(c *chunk) error {
		c = &chunk{n: c.n, sel: c.sel, cols: slices.Concat(c.cols, more)}
		return c.inSlices(func(c *chunk) error { return in.add(x, c) })
	})
}

func (in *windowInput) add(x *env, c *chunk) error {
	n := in.node
	if in.spill != nil {
		return in.toPart(x, c)
	}
	if err := in.rows.add(x, windowMemory, c); err != nil {
		return err
	}
	if len(n.partition) == 0 || !x.spills(in.rows.size, in.rows.n*n.rowSize()) {
		return nil
	}
	var err error
	if in.spill, err = x.newSpill(n, windowMemory, n.types); err != nil {
		return err
	}
	err = in.rows.emit(x, func(c *chunk) error { return in.toPart(x, c) })
	x.used.Add(-int64(in.rows.size))
	in.rows = nil
	return err
}

func (in *windowInput) toPart(x *env, c *chunk) error {
	keys := make([]*vector, len(in.node.partition))
	for i, k := range in.node.partition {
		keys[i] = c.cols[k]
	}
	return in.spill.add(x, c, keys)
}

// rowSize is how many bytes a row takes beside what its store holds.
func (n *windowNode) rowSize() int { return 20 + 24*len(n.calls) }

// over gives the rows of a store, of whole partitions, with their results, and
// gives back what these take.
func (n *windowNode) over(x *env, s *rowStore, yield func(*chunk) error) error {
	held := s.size
	defer func() { x.used.Add(-int64(held)) }()
	if s.n == 0 {
		return nil
	}
	keys := make([]sortKey, 0, len(n.partition)+len(n.order))
	for _, i := range n.partition {
		keys = append(keys, sortKey{column: i, typ: n.types[i]})
	}
	rows, err := s.sorted(x, append(keys, n.order...), windowMemory)
	if err != nil {
		return err
	}
	held += 4 * s.n
	results := make([]*vector, len(n.calls))
	for i, c := range n.calls {
		results[i] = newVector(c.t, s.n)
		held += 24 * s.n
		if err := x.grow(windowMemory, 24*s.n); err != nil {
			return err
		}
	}
	var same, peers order
	for i := range n.partition {
		same = append(same, s.comparer(keys[i]))
	}
	for _, k := range n.order {
		peers = append(peers, s.comparer(k))
	}
	start, end, err := n.offsets(x)
	if err != nil {
		return err
	}
	for from := 0; from < s.n; {
		to := from + 1
		for to < s.n && same.compare(rows[from], rows[to]) == 0 {
			to++
		}
		p := &windowPart{x: x, node: n, store: s, rows: rows[from:to], start: start, end: end}
		p.findPeers(peers)
		for i := range n.calls {
			if err := p.compute(&n.calls[i], results[i], from, s.n); err != nil {
				return err
			}
		}
		from = to
	}
	return n.emit(x, s, rows, results, yield)
}

// offsets computes the offsets of the frame, which are the same for all rows.
func (n *windowNode) offsets(x *env) (start, end value, err error) {
	get := func(e expr, which string) (value, error) {
		if e == nil {
			return null, nil
		}
		v, err := evalOnce(x, e)
		if err != nil {
			return null, err
		}
		if v.null {
			return null, fail("22004", "frame %s offset must not be null", which)
		}
		negative := v.i < 0
		message := "frame " + which + " offset must not be negative"
		if n.spec.frame.mode == frameRange {
			negative = n.spec.inRange.negative(v)
			message = "invalid preceding or following size in window function"
		}
		if negative {
			return null, fail(codeInvalidFrame, "%s", message)
		}
		return v, nil
	}
	if start, err = get(n.spec.start, "starting"); err == nil {
		end, err = get(n.spec.end, "ending")
	}
	return start, end, err
}

// emit gives the rows in the window's order with the results, which are by
// place in that order.
func (n *windowNode) emit(x *env, s *rowStore, rows []int32, results []*vector, yield func(*chunk) error) error {
	at := 0
	width := &rowStore{types: n.types[:n.width], cols: s.cols[:n.width], n: s.n}
	return width.emitOrder(x, rows, func(c *chunk) error {
		places := sequence(at, at+c.n)
		at += c.n
		for _, r := range results {
			c.cols = append(c.cols, r.take(places))
		}
		return yield(c)
	})
}

package sql

// envOf returns the execution of the frame that a query belongs to: this one
// or one around it.
func (x *env) envOf(f *frame) *env {
	for y := x; y != nil; y = y.outer {
		if y.frame == f {
			return y
		}
	}
	panic("sql: a query is run outside of its frame")
}

// inner is the execution of a frame within x.
func (x *env) inner(f *frame, params []value) *env {
	return &env{run: x.run, outer: x, frame: f, params: params, memos: make(map[any]*memo)}
}

// frameNode runs a subquery of FROM, whose parameters are those of the query around it.
type frameNode struct {
	input  operator
	frame  *frame
	params []expr
}

func (n *frameNode) run(x *env, yield func(*chunk) error) error {
	params := make([]value, len(n.params))
	for i, e := range n.params {
		v, err := evalOnce(x, e)
		if err != nil {
			return err
		}
		params[i] = v
	}
	return n.input.run(x.inner(n.frame, params), yield)
}

// valuesNode gives the rows of VALUES.
type valuesNode struct {
	rows  [][]expr
	types []Type
}

func (n *valuesNode) run(x *env, yield func(*chunk) error) error {
	return emitRows(x, n.types, len(n.rows), func(i int) ([]value, error) {
		vals := make([]value, len(n.types))
		for k, e := range n.rows[i] {
			v, err := evalOnce(x, e)
			if err != nil {
				return nil, err
			}
			vals[k] = v
		}
		return vals, nil
	}, yield)
}

// appendNode gives the rows of its inputs, one after the other.
type appendNode struct{ inputs []operator }

func (n *appendNode) run(x *env, yield func(*chunk) error) error {
	for _, in := range n.inputs {
		if err := in.run(x, yield); err != nil {
			return err
		}
	}
	return nil
}

// cutNode leaves out the last columns.
type cutNode struct {
	input   operator
	columns int
}

func (n *cutNode) run(x *env, yield func(*chunk) error) error {
	return n.input.run(x, func(c *chunk) error {
		return yield(&chunk{n: c.n, sel: c.sel, cols: c.cols[:n.columns]})
	})
}

// materialize runs op and keeps its rows, for the named operator.
func materialize(x *env, op operator, types []Type, name string) (*rowStore, error) {
	s := newRowStore(types)
	err := (&gatherNode{op}).run(x, func(c *chunk) error { return s.add(x, name, c) })
	return s, err
}

// sharedNode is a query of WITH that is computed once in an execution of its
// frame, and read by each reference.
type sharedNode struct {
	cte   *cte
	input operator
	once  bool // there is one reference: its rows need not be kept
}

func columnTypes(columns []Column) []Type {
	out := make([]Type, len(columns))
	for i, c := range columns {
		out[i] = c.Type
	}
	return out
}

func (n *sharedNode) run(x *env, yield func(*chunk) error) error {
	home := x.envOf(n.cte.frame)
	if n.once && home == x {
		return n.input.run(x, yield)
	}
	s, err := home.once(n, func(x *env) (any, error) {
		return materialize(x, n.input, columnTypes(n.cte.columns), "WITH query")
	})
	if err != nil {
		return err
	}
	return s.(*rowStore).emit(x, yield)
}

// workingNode gives the rows that the step before added to a recursive query.
type workingNode struct{ cte *cte }

func (n *workingNode) run(x *env, yield func(*chunk) error) error {
	s := x.envOf(n.cte.frame).working[n.cte]
	return s.emit(x, yield)
}

// maxRecursion bounds the steps of a recursive query: the depth of its tree.
const maxRecursion = 100_000

// recursiveNode gives the rows of first, then those of step over them, then
// those of step over these, until a step gives none. Without all, rows that
// were given before are left out.
type recursiveNode struct {
	cte         *cte
	first, step operator
	all         bool
	within      []*sharedNode // of WITH queries in step, which may read the working rows
}

func (n *recursiveNode) run(x *env, yield func(*chunk) error) error {
	types := columnTypes(n.cte.columns)
	var seen *keyTable
	if !n.all {
		seen = newKeyTable(types)
	}
	next := newRowStore(types)
	take := func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		if seen != nil {
			var err error
			if c, err = fresh(x, seen, c, "recursive query"); err != nil {
				return err
			}
		}
		if c.len() == 0 {
			return nil
		}
		if err := next.add(x, "recursive query", c); err != nil {
			return err
		}
		return yield(c)
	}
	if err := n.first.run(x, take); err != nil {
		return err
	}
	if x.working == nil {
		x.working = make(map[*cte]*rowStore)
	}
	outer := x.working[n.cte]
	defer func() { x.working[n.cte] = outer }()
	for steps := 0; next.n > 0; steps++ {
		if steps == maxRecursion {
			return fail(codeLimit, "the recursive query %q has more than %d steps", n.cte.name, maxRecursion).hint("bound its depth, or write UNION for UNION ALL")
		}
		if err := x.ctx.Err(); err != nil {
			return err
		}
		working := next
		x.working[n.cte], next = working, newRowStore(types)
		for _, s := range n.within {
			x.forget(s)
		}
		if err := n.step.run(x, take); err != nil {
			return err
		}
		x.used.Add(-int64(working.size))
	}
	return nil
}

// fresh passes the rows of c whose key is new.
func fresh(x *env, t *keyTable, c *chunk, operator string) (*chunk, error) {
	sel := c.rows()
	ids := make([]int32, len(sel))
	before := t.n
	t.number(c.cols, sel, ids)
	if err := x.grow(operator, t.grown()); err != nil {
		return nil, err
	}
	out := make([]int32, 0, len(sel))
	last := int32(before) - 1
	for k, i := range sel {
		if ids[k] > last {
			last = ids[k]
			out = append(out, i)
		}
	}
	return &chunk{n: c.n, sel: out, cols: c.cols}, nil
}

// uniqueNode passes the first of rows that are equal in some columns.
type uniqueNode struct {
	input   operator
	columns []int
	name    string
}

func (u *uniqueNode) run(x *env, yield func(*chunk) error) error {
	var t *keyTable
	return u.input.run(x, func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		keys := make([]*vector, len(u.columns))
		types := make([]Type, len(u.columns))
		for i, k := range u.columns {
			keys[i], types[i] = c.cols[k], c.cols[k].typ
		}
		if t == nil {
			t = newKeyTable(types)
		}
		f, err := fresh(x, t, &chunk{n: c.n, sel: c.sel, cols: keys}, u.name)
		if err != nil || f.len() == 0 {
			return err
		}
		return yield(&chunk{n: c.n, sel: f.sel, cols: c.cols})
	})
}

// setNode is INTERSECT or EXCEPT: it counts the rows of the right side.
type setNode struct {
	kind        setKind
	all         bool
	left, right operator
}

func (n *setNode) run(x *env, yield func(*chunk) error) error {
	var t *keyTable
	var counts []int32
	number := func(c *chunk) ([]int32, error) {
		if err := c.settle(); err != nil {
			return nil, err
		}
		if t == nil {
			types := make([]Type, len(c.cols))
			for i, v := range c.cols {
				types[i] = v.typ
			}
			t = newKeyTable(types)
		}
		sel := c.rows()
		ids := make([]int32, len(sel))
		t.number(c.cols, sel, ids)
		for len(counts) < t.n {
			counts = append(counts, 0)
		}
		return ids, x.grow(n.kind.String(), t.grown())
	}
	err := n.right.run(x, func(c *chunk) error {
		ids, err := number(c)
		for _, id := range ids {
			counts[id]++
		}
		return err
	})
	if err != nil {
		return err
	}
	// Without ALL a row is given once: a count of -1 says that it was.
	return n.left.run(x, func(c *chunk) error {
		ids, err := number(c)
		if err != nil {
			return err
		}
		var out []int32
		for k, i := range c.rows() {
			if n.wants(&counts[ids[k]]) {
				out = append(out, i)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return yield(&chunk{n: c.n, sel: out, cols: c.cols})
	})
}

// wants decides about a left row with so many right ones.
func (n *setNode) wants(count *int32) bool {
	switch {
	case n.kind == setIntersect && n.all:
		*count--
		return *count >= 0
	case n.kind == setIntersect:
		found := *count > 0
		*count = -1
		return found
	case n.all:
		*count--
		return *count < 0
	}
	found := *count == 0
	*count = -1
	return found
}

package sql

import "strings"

// joinNode joins two inputs by equal keys: it keeps the rows of the right one
// and looks each left row up. Without keys every pair of rows is tried.
// A LEFT or FULL join gives rows without partner too, with NULLs.
type joinNode struct {
	kind                  joinKind // inner, left or full
	left, right           operator
	leftKeys, rightKeys   []expr
	leftTypes, rightTypes []Type
	cond                  expr // of pairs whose keys are equal; nil: none
	passing               bool // nothing of what the right scan gives is kept
}

// buildSide is the right side of a join: its rows, and by key the last row
// with it and for each row the one before it with the same key.
type buildSide struct {
	rows    *rowStore
	table   *keyTable // nil: all rows are alike
	last    []int32
	before  []int32
	matched []uint64 // of a FULL join, a bit a row
	keys    [][]any  // of each key column the values, of few rows
	spill   *spill   // instead of all this: the rows are there
}

// fewKeys is up to how many keys of a join are told to the scan that is
// joined, so that it may leave out what has none of them.
const fewKeys = 1000

const joinMemory = "hash join"

func (n *joinNode) name() string {
	if len(n.leftKeys) == 0 {
		return "nested loop"
	}
	return joinMemory
}

func (n *joinNode) newSide() *buildSide {
	b := &buildSide{rows: newRowStore(n.rightTypes)}
	if len(n.rightKeys) == 0 {
		return b
	}
	types := make([]Type, len(n.rightKeys))
	for i, e := range n.rightKeys {
		types[i] = e.typ()
	}
	b.table = newKeyTable(types)
	for i, e := range n.rightKeys {
		// A key that is a column is numbered once for both.
		if c, ok := e.(*colExpr); ok && types[i].phys() == physText {
			b.table.coders[i].texts = b.rows.cols[c.index].texts
			b.table.shared = true
		}
	}
	return b
}

// build keeps the right side. The caller closes its spill, if it has one.
func (n *joinNode) build(x *env) (*buildSide, error) {
	b := n.newSide()
	in := &filteredNode{input: n.right, keys: n.rightKeys, tally: x.tally(n), copies: n.passing}
	asked := false
	add := func(c *chunk) error {
		if b.spill != nil {
			return b.spill.addBy(x, c, n.rightKeys)
		}
		return b.add(x, n, c)
	}
	take := func(c *chunk) error {
		// A chunk may be older than the filter.
		if err := in.pass(x, c, add); err != nil || b.spill != nil || b.table == nil {
			return err
		}
		if !asked && (int64(b.held()) > n.asksAt(x) || x.spills(b.held(), 0)) {
			asked = true
			if err := b.thin(x, n, in); err != nil {
				return err
			}
		}
		if !x.spills(b.held(), 0) {
			return nil
		}
		return b.toSpill(x, n)
	}
	err := (&gatherNode{in}).run(x, func(c *chunk) error { return c.inSlices(take) })
	in.close(x)
	if err == nil && b.spill != nil {
		err = b.spill.finish(x)
	}
	if err != nil {
		b.close(x)
		return nil, err
	}
	b.complete(n)
	return b, nil
}

// add keeps the rows of c.
func (b *buildSide) add(x *env, n *joinNode, c *chunk) error {
	if err := b.rows.add(x, n.name(), c); err != nil || b.table == nil {
		return err
	}
	return b.index(x, n, c)
}

// thin gives the input of the right side a filter, if there can be one, and
// leaves out the rows that do not pass it.
func (b *buildSide) thin(x *env, n *joinNode, in *filteredNode) error {
	f := n.leftFilter(x)
	if f == nil {
		return nil
	}
	in.filter.Store(f)
	return b.clear(x, n).emit(x, func(c *chunk) error {
		return in.pass(x, c, func(c *chunk) error { return b.add(x, n, c) })
	})
}

// clear takes the rows out of the side; they are not counted any more.
func (b *buildSide) clear(x *env, n *joinNode) *rowStore {
	rows, empty := b.rows, n.newSide()
	x.used.Add(-int64(b.held()))
	b.rows, b.table, b.last, b.before, b.keys = empty.rows, empty.table, nil, nil, nil
	return rows
}

// complete is called when all rows are there.
func (b *buildSide) complete(n *joinNode) {
	if n.kind == joinFull {
		b.matched = make([]uint64, (b.rows.n+63)/64)
	}
}

// held is how many bytes the side was counted with.
func (b *buildSide) held() int {
	if b.table == nil {
		return b.rows.size
	}
	return b.rows.size + b.table.bytes + 8*len(b.before)
}

// index adds the keys of the rows of c, which were added to the store last.
func (b *buildSide) index(x *env, n *joinNode, c *chunk) error {
	x.scratch = 0
	sel := c.rows()
	keys, err := evalAll(x, c, n.rightKeys, sel)
	if err != nil {
		return err
	}
	ids := make([]int32, len(sel))
	b.table.number(keys, sel, ids)
	b.noteKeys(keys, sel)
	for len(b.last) < b.table.n {
		b.last = append(b.last, -1)
	}
	first := int32(len(b.before))
	for k, id := range ids {
		b.before = append(b.before, b.last[id])
		b.last[id] = first + int32(k)
	}
	return x.grow(joinMemory, b.table.grown()+8*len(sel))
}

// noteKeys keeps the values of keys that are numbers or texts.
func (b *buildSide) noteKeys(keys []*vector, sel []int32) {
	if b.rows.n > fewKeys {
		b.keys = nil
		return
	}
	if b.keys == nil {
		b.keys = make([][]any, len(keys))
	}
	for k, v := range keys {
		for _, i := range sel {
			if v.isNull(int(i)) {
				continue
			}
			switch x := v.at(int(i)); v.typ.phys() {
			case physInt:
				b.keys[k] = append(b.keys[k], x.i)
			case physText:
				b.keys[k] = append(b.keys[k], strings.Clone(x.s))
			}
		}
	}
}

// close gives back what the side holds.
func (b *buildSide) close(x *env) {
	x.used.Add(-int64(b.held()))
	if b.spill != nil {
		b.spill.close(x)
	}
}

// tell lets the scan below the left side leave out what has no partner.
func (n *joinNode) tell(x *env, b *buildSide) {
	s := scanBelow(n.left)
	if s == nil {
		return
	}
	delete(x.joined, s) // of the step before, in a recursion
	if n.kind != joinInner || b.keys == nil || b.rows.n > fewKeys {
		return
	}
	var conds []Condition
	for k, e := range n.leftKeys {
		c, ok := e.(*colExpr)
		if !ok || len(b.keys[k]) == 0 || c.t != n.rightKeys[k].typ() {
			continue
		}
		conds = append(conds, Condition{Column: s.table.Columns[s.columns[c.index]].Name, Op: OpEqual, Values: b.keys[k]})
	}
	if x.joined == nil {
		x.joined = make(map[*scanNode][]Condition)
	}
	x.joined[s] = conds
}

// scanBelow is the scan whose columns op passes on, nil if it is another.
func scanBelow(op operator) *scanNode {
	for {
		switch n := op.(type) {
		case *scanNode:
			return n
		case *filterNode:
			op = n.input
		case *meterNode:
			op = n.input
		default:
			return nil
		}
	}
}

// reader is the same side for another goroutine, once it is complete.
func (b *buildSide) reader() *buildSide {
	c := *b
	if b.table != nil {
		c.table = b.table.reader()
	}
	return &c
}

func (n *joinNode) run(x *env, yield func(*chunk) error) error {
	b, err := n.build(x)
	if err != nil {
		return err
	}
	defer b.close(x)
	if b.spill != nil {
		return n.overParts(x, b.spill, yield)
	}
	if b.rows.n == 0 && n.kind == joinInner {
		return nil
	}
	n.tell(x, b)
	return n.over(x, b, n.left.run, yield)
}

// over joins the left rows that run gives.
func (n *joinNode) over(x *env, b *buildSide, run func(*env, func(*chunk) error) error, yield func(*chunk) error) error {
	err := run(x, func(c *chunk) error { return n.probe(x, b, c, yield) })
	if err != nil || n.kind != joinFull {
		return err
	}
	return n.unmatchedRight(x, b, yield)
}

// probe joins the rows of c.
func (n *joinNode) probe(x *env, b *buildSide, c *chunk, yield func(*chunk) error) error {
	x.scratch = 0
	if err := c.settle(); err != nil {
		return err
	}
	sel := c.rows()
	heads := make([]int32, len(sel)) // the first partner to try, -1: none
	if b.table == nil {
		for k := range heads {
			heads[k] = int32(b.rows.n) - 1
		}
	} else {
		keys, err := evalAll(x, c, n.leftKeys, sel)
		if err != nil {
			return err
		}
		b.table.find(keys, sel, heads)
		for k, id := range heads {
			switch {
			case id < 0:
			case b.table.hasNull(id): // NULL equals nothing
				heads[k] = -1
			default:
				heads[k] = b.last[id]
			}
		}
	}
	var matched []bool
	if n.kind != joinInner {
		matched = make([]bool, len(sel))
	}
	p := &pairing{node: n, b: b, c: c, matched: matched, yield: yield}
	for k, i := range sel {
		for r := heads[k]; r >= 0; {
			if err := p.add(x, int32(k), i, r); err != nil {
				return err
			}
			if b.table == nil {
				r--
			} else {
				r = b.before[r]
			}
		}
	}
	if err := p.flush(x); err != nil || matched == nil {
		return err
	}
	var alone []int32
	for k, i := range sel {
		if !matched[k] {
			alone = append(alone, i)
		}
	}
	if len(alone) == 0 {
		return nil
	}
	return yield(joined(c, alone, b.rows, nil, n.rightTypes))
}

// pairing collects pairs of rows and passes them on many at a time.
type pairing struct {
	node    *joinNode
	b       *buildSide
	c       *chunk
	places  []int32 // of the left rows in the selection
	left    []int32
	right   []int32
	matched []bool
	yield   func(*chunk) error
}

func (p *pairing) add(x *env, place, left, right int32) error {
	p.places, p.left, p.right = append(p.places, place), append(p.left, left), append(p.right, right)
	if len(p.left) < chunkRows {
		return nil
	}
	return p.flush(x)
}

func (p *pairing) flush(x *env) error {
	if len(p.left) == 0 {
		return nil
	}
	if err := x.ctx.Err(); err != nil {
		return err
	}
	out := joined(p.c, p.left, p.b.rows, p.right, nil)
	if p.node.cond != nil {
		var err error
		x.scratch = 0
		if out, err = filterChunk(x, out, p.node.cond); err != nil {
			return err
		}
	}
	if p.matched != nil {
		for k := range out.len() {
			i := out.row(k)
			p.matched[p.places[i]] = true
			if p.b.matched != nil {
				p.b.matched[p.right[i]>>6] |= 1 << (p.right[i] & 63)
			}
		}
	}
	p.places, p.left, p.right = p.places[:0], nil, nil
	if out.len() == 0 {
		return nil
	}
	return p.yield(out)
}

// joined puts rows of c and of a store side by side; with right nil the
// columns of the right side, of these types, are NULL.
func joined(c *chunk, left []int32, s *rowStore, right []int32, types []Type) *chunk {
	out := &chunk{n: len(left)}
	for _, v := range c.cols {
		out.cols = append(out.cols, v.take(left))
	}
	if right == nil {
		for _, t := range types {
			out.cols = append(out.cols, constantVector(t, null))
		}
		return out
	}
	out.cols = append(out.cols, s.gather(right)...)
	return out
}

// unmatchedRight gives the right rows of a FULL join that no left row matched.
func (n *joinNode) unmatchedRight(x *env, b *buildSide, yield func(*chunk) error) error {
	var rows []int32
	for i := range b.rows.n {
		if b.matched[i>>6]&(1<<(i&63)) == 0 {
			rows = append(rows, int32(i))
		}
	}
	return b.rows.emitOrder(x, rows, func(c *chunk) error {
		out := &chunk{n: c.n}
		for _, t := range n.leftTypes {
			out.cols = append(out.cols, constantVector(t, null))
		}
		out.cols = append(out.cols, c.cols...)
		return yield(out)
	})
}

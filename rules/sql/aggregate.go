package sql

import (
	"slices"
	"sync"
)

// aggregateNode groups its input by expressions, with a hash table, and
// gives one row a group: the expressions, then the aggregates, then what
// GROUPING says. Without expressions there is exactly one row.
type aggregateNode struct {
	input     operator
	groups    []expr
	aggs      []*aggExpr
	sets      [][]int // of GROUPING SETS: positions in groups; nil: one set of all
	groupings [][]int // of GROUPING(…): positions in groups
}

func (a *aggregateNode) run(x *env, yield func(*chunk) error) error {
	tables, err := a.tables(x)
	if err != nil {
		return err
	}
	in, done := a.input, false
	if a.merges() {
		done, err = a.inParts(x, tables)
	} else {
		in = &gatherNode{in}
	}
	if err == nil && !done {
		err = in.run(x, func(c *chunk) error { return a.add(x, tables, c) })
	}
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := t.emit(x, yield); err != nil {
			return err
		}
	}
	return nil
}

func (a *aggregateNode) add(x *env, tables []*groupTable, c *chunk) error {
	values := weightOf(a.groups)
	for _, e := range a.aggs {
		values += weightOf(e.args)
		for _, o := range e.order {
			values += weightOf([]expr{o.expr})
		}
	}
	for _, t := range tables { // numbers of the keys, and states of new groups
		values += len(t.set) + 2 + len(t.states)
	}
	var in *aggregateInput
	return c.inPieces(x, values, func(c *chunk) (err error) {
		in, err = a.evaluate(x, c)
		return err
	}, func(c *chunk) error {
		for _, t := range tables {
			if err := t.add(x, c, in); err != nil {
				return err
			}
		}
		return nil
	})
}

// aggregateInput is what all tables take of a chunk.
type aggregateInput struct {
	keys []*vector
	aggs []aggregateRows
}

// aggregateRows are the rows of a chunk that an aggregate takes.
type aggregateRows struct {
	sel    []int32
	passed []int32 // places in the chunk's selection of those that passed FILTER; nil: of all
	args   []*vector
	order  []*vector
}

func (a *aggregateNode) evaluate(x *env, c *chunk) (*aggregateInput, error) {
	keys, err := evalAll(x, c, a.groups, c.rows())
	if err != nil {
		return nil, err
	}
	in := &aggregateInput{keys: keys, aggs: make([]aggregateRows, len(a.aggs))}
	for i, e := range a.aggs {
		r := &in.aggs[i]
		r.sel = c.rows()
		if e.filter != nil {
			if r.sel, r.passed, err = filterPlaces(x, c, e.filter, r.sel); err != nil {
				return nil, err
			}
		}
		if len(r.sel) == 0 {
			continue
		}
		if r.args, err = evalAll(x, c, e.args, r.sel); err != nil {
			return nil, err
		}
		for _, o := range e.order {
			v, err := o.expr.eval(x, c, r.sel)
			if err != nil {
				return nil, err
			}
			r.order = append(r.order, v)
		}
	}
	return in, nil
}

// filterPlaces gives the rows of sel for which cond is true, and their places
// in sel, which are not nil.
func filterPlaces(x *env, c *chunk, cond expr, sel []int32) (rows, places []int32, err error) {
	v, err := cond.eval(x, c, sel)
	if err != nil {
		return nil, nil, err
	}
	places = []int32{}
	for k, i := range sel {
		if !v.isNull(int(i)) && v.boolAt(int(i)) {
			rows, places = append(rows, i), append(places, int32(k))
		}
	}
	return rows, places, nil
}

// merges reports whether all aggregates can be computed in parts.
func (a *aggregateNode) merges() bool {
	return !slices.ContainsFunc(a.aggs, func(e *aggExpr) bool { return !newStates(e).merges() })
}

// reuseKeys lets a scan below use the memory of columns again that are only
// keys of groups, or counted: the groups have copies.
func (a *aggregateNode) reuseKeys() {
	if !a.merges() || keyScan(a.input) == nil || slices.ContainsFunc(append(aggExprs(a.aggs), a.groups...), hasSubquery) {
		return
	}
	kept := make(map[int]bool)
	keep := func(e expr) {
		walk(e, func(e expr) bool {
			if c, ok := e.(*colExpr); ok {
				kept[c.index] = true
			}
			return true
		})
	}
	for _, e := range a.groups {
		if _, ok := e.(*colExpr); !ok {
			keep(e)
		}
	}
	for _, e := range a.aggs {
		s := newStates(e)
		if d, ok := s.(*distinctStates); ok {
			s = d.states
		}
		if _, ok := s.(*counts); !ok {
			keep(e)
			continue
		}
		for _, arg := range e.args {
			if _, ok := arg.(*colExpr); !ok {
				keep(arg)
			}
		}
		if e.filter != nil {
			keep(e.filter)
		}
	}
	s := scanBelow(a.input)
	for _, k := range passable(s) {
		if !kept[k] && !slices.Contains(s.passing, k) {
			s.passing = append(s.passing, k)
		}
	}
}

// ownGroups is how many bytes of groups a worker holds before it merges them
// with those of all.
const ownGroups = 2 << 20

// inParts fills tables by several goroutines, each with tables of its own
// that are merged when they get large, and at the end.
func (a *aggregateNode) inParts(x *env, tables []*groupTable) (bool, error) {
	var mu sync.Mutex // guards tables
	var own [][]*groupTable
	merge := func(x *env, list []*groupTable) error {
		mu.Lock()
		defer mu.Unlock()
		for i, t := range list {
			if err := tables[i].merge(x, t); err != nil {
				return err
			}
			x.used.Add(-int64(t.held))
		}
		return nil
	}
	done, err := parallel(x, a.input, func(worker int) func(*env, *chunk) error {
		own = append(own, nil)
		return func(x *env, c *chunk) (err error) {
			if own[worker] == nil {
				if own[worker], err = a.tables(x); err != nil {
					return err
				}
			}
			if err := a.add(x, own[worker], c); err != nil {
				return err
			}
			held := 0
			for _, t := range own[worker] {
				held += t.held
			}
			if held < ownGroups {
				return nil
			}
			err = merge(x, own[worker])
			own[worker] = nil
			return err
		}
	})
	if err != nil || !done {
		return done, err
	}
	for _, list := range own {
		if err := merge(x, list); err != nil {
			return true, err
		}
	}
	return true, nil
}

// tables makes one table for each grouping set.
func (a *aggregateNode) tables(x *env) ([]*groupTable, error) {
	sets := a.sets
	if sets == nil {
		all := make([]int, len(a.groups))
		for i := range all {
			all[i] = i
		}
		sets = [][]int{all}
	}
	var out []*groupTable
	for _, set := range sets {
		t := &groupTable{node: a, set: set}
		for _, e := range a.aggs {
			t.states = append(t.states, newStates(e))
		}
		var types []Type
		for _, i := range set {
			types = append(types, a.groups[i].typ())
		}
		if len(set) > 0 {
			t.keys = newKeyTable(types)
			if !keepsValues(types) {
				t.values = newRowStore(types)
			}
		} else { // one group of everything, also of nothing
			t.more(1)
		}
		t.counts = t.onlyCounts()
		if err := t.grow(x, "grouping", 1024); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// groupTable finds the group of a row, in one grouping set.
type groupTable struct {
	node   *aggregateNode
	set    []int     // positions in node.groups
	keys   *keyTable // nil: there is one group
	values *rowStore // the keys of the groups; nil: keys has them
	n      int       // groups
	states []states  // by aggregate
	counts bool      // onlyCounts
	ids    []int32
	held   int // bytes counted
}

func (t *groupTable) grow(x *env, operator string, bytes int) error {
	t.held += bytes
	return x.grow(operator, bytes)
}

// more makes the states of n more groups, and returns their bytes.
func (t *groupTable) more(n int) (bytes int) {
	t.n += n
	for _, s := range t.states {
		bytes += n * s.more(n)
	}
	return bytes
}

func (t *groupTable) add(x *env, c *chunk, in *aggregateInput) error {
	sel := c.rows()
	if t.counts && t.keys.hasEntries(in.keys[t.set[0]], sel) {
		return t.countEntries(x, in.keys[t.set[0]], sel)
	}
	ids, err := t.find(x, c, in.keys, sel)
	if err != nil {
		return err
	}
	var passed []int32
	for i, e := range t.node.aggs {
		r, of := &in.aggs[i], ids
		if len(r.sel) == 0 {
			continue
		}
		if r.passed != nil {
			passed = passed[:0]
			for _, k := range r.passed {
				passed = append(passed, ids[k])
			}
			of = passed
		}
		bytes, err := t.states[i].add(r.args, r.order, r.sel, of)
		if err != nil {
			return err
		}
		if err := t.grow(x, e.holds(), bytes); err != nil {
			return err
		}
	}
	return nil
}

// onlyCounts reports whether nothing but rows are counted by one text, which
// is the most frequent grouping of all.
func (t *groupTable) onlyCounts() bool {
	return t.keys != nil && t.keys.layout == plainKeys && !slices.ContainsFunc(t.node.aggs, func(e *aggExpr) bool {
		return e.fn.name != "count" || len(e.args) > 0 || e.filter != nil
	})
}

// countEntries counts the entries of a dictionary, and then adds up by group:
// two thirds of the time that row by row takes.
func (t *groupTable) countEntries(x *env, v *vector, sel []int32) error {
	rows := slices.Grow(t.ids[:0], len(v.dict))[:len(v.dict)]
	clear(rows)
	t.ids = rows
	if len(sel) == len(v.codes) {
		for _, e := range v.codes {
			rows[e]++
		}
	} else {
		for _, i := range sel {
			rows[v.codes[i]]++
		}
	}
	numbers := t.keys.numberEntries(v, rows)
	if err := t.grow(x, "grouping", t.more(t.keys.n-t.n)+t.keys.grown()); err != nil {
		return err
	}
	for e, n := range rows {
		if n > 0 {
			for _, s := range t.states {
				s.(*counts).n[numbers[e]-1] += int64(n)
			}
		}
	}
	return nil
}

// find returns the groups of rows sel, until it is called again.
func (t *groupTable) find(x *env, c *chunk, keys []*vector, sel []int32) (ids []int32, err error) {
	t.ids = slices.Grow(t.ids[:0], len(sel))[:len(sel)]
	if t.keys == nil {
		clear(t.ids)
		return t.ids, nil
	}
	own := make([]*vector, len(t.set))
	for i, k := range t.set {
		own[i] = keys[k]
	}
	t.keys.number(own, sel, t.ids)
	if n := t.keys.n - t.n; n == 0 || t.values == nil {
		return t.ids, t.grow(x, "grouping", t.more(n)+t.keys.grown())
	}
	added, next := make([]int32, 0, t.keys.n-t.n), int32(t.n)
	for k, i := range sel {
		if t.ids[k] == next {
			added = append(added, i)
			next++
		}
	}
	before := t.values.size
	if err := t.values.add(x, "grouping", &chunk{n: c.n, sel: added, cols: own}); err != nil {
		return nil, err
	}
	t.held += t.values.size - before
	return t.ids, t.grow(x, "grouping", t.more(len(added))+t.keys.grown())
}

// holds names what of an aggregate takes memory.
func (e *aggExpr) holds() string {
	if e.distinct {
		return e.fn.name + "(DISTINCT)"
	}
	return e.fn.name
}

// merge adds the groups of another table.
func (t *groupTable) merge(x *env, other *groupTable) error {
	ids := make([]int32, 0, other.n)
	if t.keys == nil {
		ids = append(ids, 0)
	} else {
		keys := make([]*vector, len(t.node.groups))
		for from := 0; from < other.n; from += chunkRows {
			c := &chunk{n: min(chunkRows, other.n-from)}
			c.cols = other.groups(from, from+c.n)
			for i, k := range t.set {
				keys[k] = c.cols[i]
			}
			own, err := t.find(x, c, keys, c.rows())
			if err != nil {
				return err
			}
			ids = append(ids, own...)
		}
	}
	for n, s := range t.states {
		bytes, err := s.merge(other.states[n], ids)
		if err == nil {
			err = t.grow(x, t.node.aggs[n].holds(), bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// groups gives the keys of groups from ≤ number < to.
func (t *groupTable) groups(from, to int) []*vector {
	if t.values == nil {
		return t.keys.vectors(from, to)
	}
	return t.values.gather(sequence(from, to))
}

// emit gives one row a group.
func (t *groupTable) emit(x *env, yield func(*chunk) error) error {
	size := min(chunkRows, x.pieceRows(len(t.set)+len(t.states)))
	for from := 0; from < t.n; from += size {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		c, err := t.chunk(from, min(from+size, t.n))
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *groupTable) chunk(from, to int) (*chunk, error) {
	a, n := t.node, to-from
	out := &chunk{n: n}
	for _, e := range a.groups {
		out.cols = append(out.cols, constantVector(e.typ(), null))
	}
	if t.keys != nil {
		for k, v := range t.groups(from, to) {
			out.cols[t.set[k]] = v
		}
	}
	for i, e := range a.aggs {
		v := newVector(e.t, n)
		for k := range n {
			x, err := t.states[i].result(from + k)
			if err != nil {
				return nil, err
			}
			if arr, ok := x.o.(*array); ok && e.t.IsArray() {
				arr.elem = e.t.Elem()
			}
			v.set(k, x, n)
		}
		out.cols = append(out.cols, v)
	}
	for _, list := range a.groupings {
		mask := int64(0)
		for _, p := range list {
			mask <<= 1
			if !slices.Contains(t.set, p) {
				mask |= 1
			}
		}
		out.cols = append(out.cols, constantVector(Int4, intValue(mask)))
	}
	return out, nil
}

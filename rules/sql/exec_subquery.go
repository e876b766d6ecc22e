package sql

import "sync"

// subPlan is the plan of a subquery of an expression.
type subPlan struct {
	op     operator
	frame  *frame
	types  []Type      // of its columns, or of the right sides of the pairs
	lookup *lookupPlan // nil: it must be run for each set of parameters
}

// planSubqueries plans the subqueries in expressions that are bound.
func (p *planner) planSubqueries(list ...expr) error {
	var err error
	for _, e := range list {
		walk(e, func(e expr) bool {
			s, ok := e.(*subExpr)
			if ok && err == nil && s.run == nil {
				err = p.subquery(s)
			}
			return err == nil
		})
	}
	return err
}

func (p *planner) subquery(s *subExpr) error {
	if s.frame.plan == nil {
		need := allColumns(s.query)
		if s.kind == sublinkExists {
			clear(need)
		}
		op, err := s.query.plan(p, need)
		if err != nil {
			return err
		}
		types := columnTypes(s.query.columns())
		if len(s.pairs) > 0 {
			in := &stage{op, columnsOf(s.rel)}
			n := &projectNode{input: op}
			types = nil
			for _, pair := range s.pairs {
				e, err := p.fold(pair.right)
				if err != nil {
					return err
				}
				n.exprs = append(n.exprs, in.bind(e))
				types = append(types, e.typ())
			}
			op = n
		}
		l, err := p.decorrelate(s)
		if err != nil {
			return err
		}
		s.frame.plan = &subPlan{op: op, frame: s.frame, types: types, lookup: l}
	}
	s.run = s.frame.plan
	return nil
}

// subState is what one execution of the outer frame knows of a subquery's
// answers: by its parameters, for ANY and ALL by the tests as well.
type subState struct {
	answers map[string]value
	runs    int // of the subquery itself
	bytes   int
}

// subRows are the rows of a subquery under ANY or ALL.
type subRows struct {
	store   *rowStore
	mu      sync.Mutex
	table   *keyTable // for =, when equal values have equal keys
	hasNull bool
}

func (e *subExpr) state(x *env) *subState {
	s := x.subs[e.run]
	if s == nil {
		s = &subState{answers: make(map[string]value)}
		if x.subs == nil {
			x.subs = make(map[*subPlan]*subState)
		}
		x.subs[e.run] = s
	}
	return s
}

// eval computes the subquery once for each distinct set of parameters.
func (e *subExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	params, err := evalAll(x, c, e.params, sel)
	if err != nil {
		return nil, err
	}
	tests, err := evalAll(x, c, e.tests, sel)
	if err != nil {
		return nil, err
	}
	s := e.state(x)
	out := newVector(e.t, c.n)
	var key []byte
	scratch := x.scratch
	for _, i := range sel {
		key = key[:0]
		for k, v := range params {
			key = appendKey(key, e.params[k].typ(), v.at(int(i)))
		}
		for k, v := range tests {
			key = appendKey(key, e.tests[k].typ(), v.at(int(i)))
		}
		answer, ok := s.answers[string(key)]
		if !ok {
			vals := make([]value, len(params))
			for k, v := range params {
				vals[k] = v.at(int(i))
			}
			row := make([]value, len(tests))
			for k, v := range tests {
				row[k] = v.at(int(i))
			}
			if answer, err = e.answer(x, s, vals, row); err != nil {
				return nil, err
			}
			if err := s.keep(x, string(key), answer); err != nil {
				return nil, err
			}
		}
		out.set(int(i), answer, c.n)
	}
	x.scratch = scratch
	return out, nil
}

// keep remembers an answer; when many are remembered, they are forgotten first.
func (s *subState) keep(x *env, key string, v value) error {
	n := len(key) + 96 + v.size()
	if s.bytes+n > int(x.limit/8) {
		clear(s.answers)
		x.used.Add(-int64(s.bytes))
		s.bytes = 0
	}
	s.answers[key] = v
	s.bytes += n
	return x.grow("subquery", n)
}

// answer computes the answer for one set of parameters and tests. Without
// parameters the subquery is run once.
func (e *subExpr) answer(x *env, s *subState, params, tests []value) (value, error) {
	if e.kind == sublinkAny || e.kind == sublinkAll || e.kind == sublinkRow {
		if len(params) > 0 {
			rows, err := e.collect(x.inner(e.frame, params))
			if err != nil {
				return null, err
			}
			defer x.used.Add(-int64(rows.store.size))
			return e.compare(x, rows, tests)
		}
		rows, err := x.once(e.run, func(x *env) (any, error) { return e.collect(x.inner(e.frame, nil)) })
		if err != nil {
			return null, err
		}
		return e.compare(x, rows.(*subRows), tests)
	}
	if len(params) > 0 {
		if s.runs > 0 && e.run.lookup != nil {
			if v, ok, err := e.look(x, params); ok || err != nil {
				return v, err
			}
		}
		s.runs++
		return e.single(x.inner(e.frame, params))
	}
	v, err := x.once(e.run, func(x *env) (any, error) { return e.single(x.inner(e.frame, nil)) })
	if err != nil {
		return null, err
	}
	return v.(value), nil
}

// single runs EXISTS, ARRAY or a subquery that stands for a value.
func (e *subExpr) single(x *env) (value, error) {
	stop := &stopError{}
	switch e.kind {
	case sublinkExists:
		found := false
		err := e.run.op.run(x, func(c *chunk) error {
			if found = c.len() > 0; found {
				return stop
			}
			return nil
		})
		if err != nil && err != stop {
			return null, err
		}
		return boolValue(found), nil
	case sublinkArray:
		return e.array(x)
	}
	out, n := null, 0
	err := e.run.op.run(x, func(c *chunk) error {
		if n += c.len(); n > 1 {
			return failAt(e.at, codeCardinality, "more than one row returned by a subquery used as an expression")
		}
		if err := c.settle(); err != nil {
			return err
		}
		if c.len() == 1 {
			out = c.cols[0].at(c.row(0))
		}
		return nil
	})
	return out, err
}

func (e *subExpr) array(x *env) (value, error) {
	a := &array{elem: e.t.Elem()}
	err := e.run.op.run(x, func(c *chunk) error {
		if err := c.settle(); err != nil {
			return err
		}
		for k := range c.len() {
			if len(a.vals) == maxElements {
				return errTooMany()
			}
			a.vals = append(a.vals, c.cols[0].at(c.row(k)))
		}
		return nil
	})
	if err != nil {
		return null, err
	}
	return bounded(value{o: a})
}

func (e *subExpr) collect(x *env) (*subRows, error) {
	out := &subRows{}
	var err error
	if out.store, err = materialize(x, e.run.op, e.run.types, "subquery"); err != nil {
		return nil, err
	}
	hashed := e.kind == sublinkAny && !e.negated || e.kind == sublinkAll && e.negated
	for k, p := range e.pairs {
		want := compareEq
		if e.negated {
			want = compareNe
		}
		hashed = hashed && p.call.fn.compare == want && sameKeys(e.tests[k].typ(), e.run.types[k])
	}
	if !hashed {
		return out, nil
	}
	out.table = newKeyTable(e.run.types)
	err = out.store.emit(x, func(c *chunk) error {
		sel := c.rows()
		out.table.number(c.cols, sel, make([]int32, len(sel)))
		return x.grow("subquery", out.table.grown())
	})
	for _, c := range out.store.cols {
		out.hasNull = out.hasNull || c.nulls != nil
	}
	return out, err
}

// find looks one row up; the table is shared by goroutines.
func (r *subRows) find(cols []*vector, id []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table.find(cols, []int32{0}, id)
}

// compare is tests op ANY/ALL (rows): true, false or NULL.
func (e *subExpr) compare(x *env, rows *subRows, tests []value) (value, error) {
	all := e.kind == sublinkAll
	switch {
	case e.kind == sublinkRow && rows.store.n > 1:
		return null, failAt(e.at, codeCardinality, "more than one row returned by a subquery used as an expression")
	case e.kind == sublinkRow && rows.store.n == 0:
		return null, nil
	case e.kind == sublinkRow:
		return e.one(x, rows.store, 0, tests)
	case rows.store.n == 0:
		return boolValue(all), nil
	}
	testNull := false
	for _, t := range tests {
		testNull = testNull || t.null
	}
	if rows.table != nil && !testNull {
		cols := make([]*vector, len(tests))
		for k, t := range tests {
			cols[k] = constantVector(rows.store.types[k], t)
		}
		var id [1]int32
		rows.find(cols, id[:])
		switch {
		case id[0] >= 0: // = ANY is true, <> ALL false
			return boolValue(!all), nil
		case !rows.hasNull:
			return boolValue(all), nil
		}
	}
	sawNull := false
	for r := range rows.store.n {
		v, err := e.one(x, rows.store, r, tests)
		if err != nil {
			return null, err
		}
		if v.null {
			sawNull = true
		} else if v.truth() != all {
			return boolValue(!all), nil
		}
	}
	if sawNull {
		return null, nil
	}
	return boolValue(all), nil
}

// one compares the tests with row r: a row is equal if all fields are,
// unequal if one is; before or after another by the first that differ.
func (e *subExpr) one(x *env, s *rowStore, r int, tests []value) (value, error) {
	if e.order != nil {
		c := &chunk{n: 1}
		for k, t := range tests {
			c.cols = append(c.cols, constantVector(e.tests[k].typ(), t))
		}
		for k, t := range s.types {
			c.cols = append(c.cols, constantVector(t, s.value(k, r)))
		}
		v, err := e.order.eval(x, c, []int32{0})
		if err != nil {
			return null, err
		}
		return v.at(0), nil
	}
	sawNull := false
	for k, p := range e.pairs {
		v, err := p.call.call(x, []value{tests[k], s.value(k, r)})
		if err != nil {
			return null, err
		}
		if v.null {
			sawNull = true
		} else if v.truth() == e.negated {
			return boolValue(e.negated), nil
		}
	}
	if sawNull {
		return null, nil
	}
	return boolValue(!e.negated), nil
}

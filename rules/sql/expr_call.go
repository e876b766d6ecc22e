package sql

import "slices"

// eval computes a call: once if all arguments are constant, once for each
// distinct entry used if one is coded and the others constant, by the loops
// of kernel.go for comparisons of numbers, and row by row otherwise.
func (e *callExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	args, err := evalAll(x, c, e.args, sel)
	if err != nil {
		return nil, err
	}
	varying, count := -1, 0
	for i, v := range args {
		if !v.constant {
			varying = i
			count++
		}
	}
	row := make([]value, len(args))
	for i, v := range args {
		if v.constant {
			row[i] = v.at(0)
			if row[i].null && e.fn.strict {
				return constantVector(e.t, null), nil
			}
		}
	}
	if count == 0 {
		v, err := e.call(x, row)
		if err != nil {
			return nil, err
		}
		return constantVector(e.t, v), nil
	}
	if e.fn.compare != 0 && len(args) == 2 {
		if v := compareKernel(e.fn.compare, args[0], args[1], c.n, sel); v != nil {
			return v, nil
		}
	}
	if count == 1 {
		if entries, ok := args[varying].coded(); ok && entries <= 2*len(sel) {
			return e.perEntry(x, c, args[varying], row, varying, sel)
		}
	}
	out := newVector(e.t, c.n)
	for _, i := range sel {
		for k, v := range args {
			if !v.constant {
				row[k] = v.at(int(i))
			}
		}
		v, err := e.call(x, row)
		if err != nil {
			return nil, err
		}
		out.set(int(i), v, c.n)
	}
	return out, nil
}

// call applies the function to one row.
func (e *callExpr) call(x *env, row []value) (value, error) {
	if err := x.tick(row); err != nil {
		return null, err
	}
	if e.fn.strict {
		for i := range row {
			if row[i].null {
				return null, nil
			}
		}
	}
	v, err := e.run(x, row)
	if err != nil {
		return null, err
	}
	return v, x.charge(v, row)
}

// memo holds results of a function for entries of one dictionary. It is kept
// from batch to batch, for those that share a dictionary.
type memo struct {
	first   any // identity of the dictionary
	done    []bool
	results []value
	truths  []truth // instead of both, of a function that gives a boolean
}

// truth is a boolean, NULL, or not known yet.
type truth uint8

const (
	truthUnknown truth = iota
	truthFalse
	truthTrue
	truthNull
)

func truthOf(v value) truth {
	switch {
	case v.null:
		return truthNull
	case v.truth():
		return truthTrue
	}
	return truthFalse
}

func (e *callExpr) perEntry(x *env, c *chunk, arg *vector, row []value, at int, sel []int32) (*vector, error) {
	if e.t == Bool && e.fn.strict {
		return e.truths(x, c, arg, row, at, sel)
	}
	m, _ := x.memoFor(e, arg, false)
	out := &vector{typ: e.t}
	coded := e.t.phys() == physText || e.t.phys() == physObj
	if coded {
		out.codes, out.nulls = arg.codes, nil
	} else {
		out = newVector(e.t, c.n)
	}
	for _, i := range sel {
		if arg.nulls != nil && arg.nulls.Has(int(i)) {
			if e.fn.strict {
				out.setNull(int(i), c.n)
				continue
			}
			return e.rows(x, c, arg, row, at, sel)
		}
		code := arg.codes[i]
		if !m.done[code] {
			row[at] = arg.entry(code)
			v, err := e.call(x, row)
			if err != nil {
				return nil, err
			}
			m.results[code], m.done[code] = v, true
			x.memoized += int64(v.size())
		}
		switch r := &m.results[code]; {
		case r.null:
			out.setNull(int(i), c.n)
		case !coded:
			out.set(int(i), *r, c.n)
		}
	}
	if coded {
		out.fillEntries(m.results)
	}
	return out, nil
}

// truths is perEntry for a strict function that gives a boolean.
func (e *callExpr) truths(x *env, c *chunk, arg *vector, row []value, at int, sel []int32) (*vector, error) {
	known := e.known(x, arg)
	out := newVector(Bool, c.n)
	for _, i := range sel {
		if arg.nulls != nil && arg.nulls.Has(int(i)) {
			out.setNull(int(i), c.n)
			continue
		}
		code := arg.codes[i]
		t := known[code]
		if t == truthUnknown {
			var err error
			if t, err = e.truth(x, arg, row, at, code); err != nil {
				return nil, err
			}
			known[code] = t
		}
		switch t {
		case truthTrue:
			out.bools[i] = true
		case truthNull:
			out.setNull(int(i), c.n)
		}
	}
	return out, nil
}

// known is what is known of the entries of arg.
func (e *callExpr) known(x *env, arg *vector) []truth {
	m, fresh := x.memoFor(e, arg, true)
	if fresh && len(e.literal) > 0 && arg.plain != nil {
		withoutLiteral(arg.plain, e.literal, m.truths, truthOf(boolValue(e.fn.negated)))
	}
	return m.truths
}

// truth computes the boolean of an entry.
func (e *callExpr) truth(x *env, arg *vector, row []value, at int, code uint32) (truth, error) {
	row[at] = arg.entry(code)
	if err := x.tick(row); err != nil {
		return truthUnknown, err
	}
	v, err := e.run(x, row)
	return truthOf(v), err
}

// choose returns the rows of sel for which e is true, ok false if it must be
// evaluated: it can do without a vector for a strict function of one coded
// column and constants.
func (e *callExpr) choose(x *env, c *chunk, sel []int32) (out []int32, ok bool, err error) {
	if e.t != Bool || !e.fn.strict {
		return nil, false, nil
	}
	at := -1
	row := make([]value, len(e.args))
	for i, a := range e.args {
		switch a := a.(type) {
		case *constExpr:
			if row[i] = a.v; a.v.null {
				return nil, false, nil
			}
		case *colExpr:
			if at >= 0 {
				return nil, false, nil
			}
			at = i
		default:
			return nil, false, nil
		}
	}
	if at < 0 {
		return nil, false, nil
	}
	arg, err := e.args[at].eval(x, c, sel)
	if err != nil {
		return nil, false, err
	}
	if entries, coded := arg.coded(); !coded || entries > 2*len(sel) {
		return nil, false, nil
	}
	known := e.known(x, arg)
	out = make([]int32, 0, len(sel)/8)
	for _, i := range sel {
		code := arg.codes[i]
		t := known[code]
		if t == truthFalse || arg.nulls != nil && arg.nulls.Has(int(i)) {
			continue
		}
		if t == truthUnknown {
			if t, err = e.truth(x, arg, row, at, code); err != nil {
				return nil, false, err
			}
			known[code] = t
		}
		if t == truthTrue {
			out = append(out, i)
		}
	}
	return out, true, nil
}

// rows is the way without a memo, for functions that see NULLs.
func (e *callExpr) rows(x *env, c *chunk, arg *vector, row []value, at int, sel []int32) (*vector, error) {
	out := newVector(e.t, c.n)
	for _, i := range sel {
		row[at] = arg.at(int(i))
		v, err := e.call(x, row)
		if err != nil {
			return nil, err
		}
		out.set(int(i), v, c.n)
	}
	return out, nil
}

// fillEntries makes list the entries of a coded vector.
func (v *vector) fillEntries(list []value) {
	if v.typ.phys() == physText {
		v.dict = make([]string, len(list))
		for i := range list {
			v.dict[i] = list[i].s
		}
		return
	}
	v.objs = make([]any, len(list))
	for i := range list {
		v.objs[i] = list[i].o
	}
}

// memoFor returns the memo of e for the dictionary of arg; fresh says that it
// knows nothing yet.
func (x *env) memoFor(e any, arg *vector, truths bool) (m *memo, fresh bool) {
	first, n := arg.dictionary(), max(len(arg.dict), len(arg.objs))
	if x.memoized > x.limit/4 {
		clear(x.memos)
		x.memoized = 0
	}
	if m = x.memos[e]; m != nil && m.first == first && max(len(m.done), len(m.truths)) == n {
		return m, false
	}
	if m == nil {
		m = &memo{}
		x.memos[e] = m
	}
	m.first = first
	if truths {
		m.truths = slices.Grow(m.truths[:0], n)[:n]
		clear(m.truths)
	} else {
		m.done, m.results = make([]bool, n), make([]value, n)
	}
	return m, true
}

// valueSet is the set of elements of a constant array.
type valueSet struct {
	typ     Type
	keys    map[string]struct{}
	ints    map[int64]struct{}
	hasNull bool
}

func newValueSet(t Type, list []value) *valueSet {
	s := &valueSet{typ: t, keys: make(map[string]struct{}), ints: make(map[int64]struct{})}
	for _, v := range list {
		switch {
		case v.null:
			s.hasNull = true
		case t.phys() == physInt:
			s.ints[v.i] = struct{}{}
		case t.phys() == physText:
			s.keys[v.s] = struct{}{}
		default:
			s.keys[string(appendKey(nil, t, v))] = struct{}{}
		}
	}
	return s
}

func (s *valueSet) has(v value) bool {
	ok := false
	switch s.typ.phys() {
	case physInt:
		_, ok = s.ints[v.i]
	case physText:
		_, ok = s.keys[v.s]
	default:
		_, ok = s.keys[string(appendKey(nil, s.typ, v))]
	}
	return ok
}

// eval of ANY: true if one comparison is, else NULL if one is NULL, else
// false; ALL is its dual. A NULL array gives NULL.
func (e *quantExpr) eval(x *env, c *chunk, sel []int32) (*vector, error) {
	l, err := e.left.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	a, err := e.array.eval(x, c, sel)
	if err != nil {
		return nil, err
	}
	if a.arr != nil && l.constant && !l.isNull(0) {
		return e.overBatchArray(x, c, l.at(0), a, sel)
	}
	out := newVector(Bool, c.n)
	var known []truth
	if entries, coded := l.coded(); coded && a.constant && entries <= 16*len(sel) {
		m, _ := x.memoFor(e, l, true)
		known = m.truths
	}
	for _, i := range sel {
		if known != nil && !l.isNull(int(i)) {
			code := l.codes[i]
			if known[code] == truthUnknown {
				v, err := e.one(x, l.entry(code), a.at(0))
				if err != nil {
					return nil, err
				}
				known[code] = truthOf(v)
			}
			switch known[code] {
			case truthTrue:
				out.bools[i] = true
			case truthNull:
				out.setNull(int(i), c.n)
			}
			continue
		}
		v, err := e.one(x, l.at(int(i)), a.at(int(i)))
		if err != nil {
			return nil, err
		}
		out.set(int(i), v, c.n)
	}
	return out, nil
}

// overBatchArray is constant op ANY (column), with the comparison made once
// for each distinct element.
func (e *quantExpr) overBatchArray(x *env, c *chunk, left value, a *vector, sel []int32) (*vector, error) {
	out := newVector(Bool, c.n)
	m, _ := x.memoFor(e, &vector{typ: Text, dict: a.arr.Dict}, false)
	for _, i := range sel {
		if a.isNull(int(i)) {
			out.setNull(int(i), c.n)
			continue
		}
		out.bools[i] = e.all
		for _, code := range a.arr.Codes[a.arr.Offsets[i]:a.arr.Offsets[i+1]] {
			if !m.done[code] {
				v, err := e.run(x, []value{left, {s: a.arr.Dict[code]}})
				if err != nil {
					return nil, err
				}
				m.results[code], m.done[code] = v, true
			}
			if m.results[code].truth() != e.all {
				out.bools[i] = !e.all
				break
			}
		}
	}
	return out, nil
}

func (e *quantExpr) one(x *env, left, arr value) (value, error) {
	if arr.null {
		return null, nil
	}
	vals := arr.array().vals
	if len(vals) == 0 {
		return boolValue(e.all), nil
	}
	if left.null {
		return null, nil
	}
	if e.set != nil {
		switch {
		case e.set.has(left): // = ANY is true, <> ALL false
			return boolValue(!e.all), nil
		case e.set.hasNull:
			return null, nil
		}
		return boolValue(e.all), nil
	}
	sawNull := false
	for i, v := range vals {
		if err := x.tick(nil); err != nil {
			return null, err
		}
		if v.null {
			sawNull = true
			continue
		}
		run := e.run
		if e.runs != nil && e.runs[i] != nil {
			run = e.runs[i]
		}
		r, err := run(x, []value{left, v})
		if err != nil {
			return null, err
		}
		if r.null {
			sawNull = true
		} else if r.truth() != e.all {
			return boolValue(!e.all), nil
		}
	}
	if sawNull {
		return null, nil
	}
	return boolValue(e.all), nil
}

package sql

import "math/big"

// windowFunc computes a window function for row i of a partition; args are
// columns of it.
type windowFunc func(p *windowPart, args []int, i int) (value, error)

// compute computes one call for all rows; the results go to places at+i.
func (p *windowPart) compute(c *windowCall, out *vector, at, n int) error {
	if c.fn.window == nil {
		return p.aggregate(c, out, at, n)
	}
	for i := range p.rows {
		v, err := c.fn.window(p, c.args, i)
		if err == nil {
			err = p.x.tick(nil)
		}
		if err != nil {
			return err
		}
		out.set(at+i, v, n)
	}
	return nil
}

// remover is an accumulator that can forget what was added first.
type remover interface {
	accumulator
	remove(args []value)
}

// aggregate computes an aggregate over each row's frame. As long as the frame
// only grows, or its first rows can be taken away, nothing is added twice.
func (p *windowPart) aggregate(c *windowCall, out *vector, at, n int) error {
	acc := c.fn.agg()
	from, to := 0, 0 // what acc holds
	var last value
	dirty := true
	for i := range p.rows {
		f, t, err := p.frame(i)
		if err == nil {
			err = p.x.tick(nil)
		}
		if err != nil {
			return err
		}
		if p.node.spec.frame.exclude != excludeNothing {
			v, err := p.recompute(c, f, t, i)
			if err != nil {
				return err
			}
			out.set(at+i, v, n)
			continue
		}
		r, removes := acc.(remover)
		if f < from || t < to || f > from && !removes || f >= to {
			acc, from, to, dirty = c.fn.agg(), f, f, true
			r, removes = acc.(remover)
		}
		for ; from < f && removes; from++ {
			if args, ok := p.arguments(c, from); ok {
				r.remove(args)
				dirty = true
			}
		}
		for ; to < t; to++ {
			if args, ok := p.arguments(c, to); ok {
				if err := acc.add(args); err != nil {
					return err
				}
				dirty = true
			}
		}
		if dirty {
			if last, err = p.result(c, acc); err != nil {
				return err
			}
			dirty = false
		}
		out.set(at+i, last, n)
	}
	return nil
}

func (p *windowPart) result(c *windowCall, acc accumulator) (value, error) {
	v, err := acc.result()
	if a, ok := v.o.(*array); ok && err == nil && c.t.IsArray() {
		v.o = &array{elem: c.t.Elem(), vals: a.vals[:len(a.vals):len(a.vals)]}
	}
	return v, err
}

// recompute computes an aggregate over rows from ≤ j < to without those excluded.
func (p *windowPart) recompute(c *windowCall, from, to, i int) (value, error) {
	acc := c.fn.agg()
	for j := from; j < to; j++ {
		if err := p.x.tick(nil); err != nil {
			return null, err
		}
		if p.excluded(i, j) {
			continue
		}
		if args, ok := p.arguments(c, j); ok {
			if err := acc.add(args); err != nil {
				return null, err
			}
		}
	}
	return p.result(c, acc)
}

// arguments are those of an aggregate at row j; ok is false if it does not count.
func (p *windowPart) arguments(c *windowCall, j int) ([]value, bool) {
	if c.filter >= 0 {
		if f := p.value(c.filter, j); f.null || !f.truth() {
			return nil, false
		}
	}
	args := make([]value, len(c.args))
	for k, a := range c.args {
		args[k] = p.value(a, j)
	}
	if len(args) > 0 && c.fn.strict && args[0].null {
		return nil, false
	}
	return args, true
}

func (c *counter) remove([]value) { c.n-- }

func (s *intSum) remove(a []value) {
	s.n--
	s.any = s.n > 0
	if s.over != nil {
		s.over.Sub(s.over, big.NewInt(a[0].i))
		return
	}
	if t := s.sum - a[0].i; (t < s.sum) == (a[0].i > 0) || a[0].i == 0 {
		s.sum = t
		return
	}
	s.over = big.NewInt(s.sum)
	s.over.Sub(s.over, big.NewInt(a[0].i))
}

// nth gives column k at the n-th row, from 1, of the frame of row i.
func (p *windowPart) nth(k, i int, n int64, fromEnd bool) (value, error) {
	from, to, err := p.frame(i)
	if err != nil {
		return null, err
	}
	if p.node.spec.frame.exclude == excludeNothing {
		if n > int64(to-from) {
			return null, nil
		}
		if fromEnd {
			return p.value(k, to-int(n)), nil
		}
		return p.value(k, from+int(n)-1), nil
	}
	for d := range to - from {
		j := from + d
		if fromEnd {
			j = to - 1 - d
		}
		if p.excluded(i, j) {
			continue
		}
		if n--; n == 0 {
			return p.value(k, j), nil
		}
	}
	return null, nil
}

// shifted is lag, or with sign 1 lead.
func shifted(sign int64) windowFunc {
	return func(p *windowPart, args []int, i int) (value, error) {
		offset := int64(1)
		if len(args) > 1 {
			o := p.value(args[1], i)
			if o.null {
				return null, nil
			}
			offset = o.i
		}
		j := int64(i) + sign*offset
		switch {
		case j >= 0 && j < int64(len(p.rows)):
			return p.value(args[0], int(j)), nil
		case len(args) > 2:
			return p.value(args[2], i), nil
		}
		return null, nil
	}
}

func ntile(p *windowPart, args []int, i int) (value, error) {
	k := p.value(args[0], 0) // PostgreSQL takes it from the partition's first row
	if k.null {
		return null, nil
	}
	if k.i <= 0 {
		return null, fail(codeInvalidNtile, "argument of ntile must be greater than zero")
	}
	n, row := int64(len(p.rows)), int64(i)
	size, rest := n/k.i, n%k.i
	if row < rest*(size+1) {
		return intValue(row/(size+1) + 1), nil
	}
	return intValue(rest + (row-rest*(size+1))/size + 1), nil
}

func (c *catalog) addWindows() {
	const g = "Window functions"
	add := func(name, doc, example string, f windowFunc, signatures ...string) {
		c.entries = append(c.entries, entry{name, doc, example, "window function", g})
		for _, s := range signatures {
			fn := &function{name: name, window: f}
			fn.args, fn.ret, _ = parseSignature(s)
			c.functions[name] = append(c.functions[name], fn)
		}
	}
	add("row_number", "number of the row in its partition, from 1", "SELECT row_number() OVER ()",
		func(_ *windowPart, _ []int, i int) (value, error) { return intValue(int64(i) + 1), nil }, ":int8")
	add("rank", "row_number of the first row that is equal by ORDER BY", "SELECT rank() OVER ()",
		func(p *windowPart, _ []int, i int) (value, error) {
			from, _ := p.peers(i)
			return intValue(int64(from) + 1), nil
		}, ":int8")
	add("dense_rank", "rank without gaps", "SELECT dense_rank() OVER ()",
		func(p *windowPart, _ []int, i int) (value, error) { return intValue(int64(p.groupOf[i]) + 1), nil }, ":int8")
	add("percent_rank", "(rank - 1) / (rows - 1)", "SELECT percent_rank() OVER ()",
		func(p *windowPart, _ []int, i int) (value, error) {
			if len(p.rows) == 1 {
				return floatValue(0), nil
			}
			from, _ := p.peers(i)
			return floatValue(float64(from) / float64(len(p.rows)-1)), nil
		}, ":float8")
	add("cume_dist", "rows up to the last equal one / rows", "SELECT cume_dist() OVER ()",
		func(p *windowPart, _ []int, i int) (value, error) {
			_, to := p.peers(i)
			return floatValue(float64(to) / float64(len(p.rows))), nil
		}, ":float8")
	add("ntile", "number of the row's part if the partition is cut into so many", "SELECT ntile(4) OVER ()", ntile, "int4:int4")
	add("lag", "value so many rows before (1), or a default", "SELECT lag('a', 1, 'none') OVER ()", shifted(-1),
		"anyelement:anyelement", "anyelement,int4:anyelement", "anycompatible,int4,anycompatible:anycompatible")
	add("lead", "value so many rows after (1), or a default", "SELECT lead('a', 1, 'none') OVER ()", shifted(1),
		"anyelement:anyelement", "anyelement,int4:anyelement", "anycompatible,int4,anycompatible:anycompatible")
	add("first_value", "value at the first row of the frame", "SELECT first_value('a'::text) OVER ()",
		func(p *windowPart, args []int, i int) (value, error) { return p.nth(args[0], i, 1, false) }, "anyelement:anyelement")
	add("last_value", "value at the last row of the frame", "SELECT last_value('a'::text) OVER ()",
		func(p *windowPart, args []int, i int) (value, error) { return p.nth(args[0], i, 1, true) }, "anyelement:anyelement")
	add("nth_value", "value at the n-th row of the frame, from 1", "SELECT nth_value('a'::text, 2) OVER ()",
		func(p *windowPart, args []int, i int) (value, error) {
			n := p.value(args[1], i)
			switch {
			case n.null:
				return null, nil
			case n.i <= 0:
				return null, fail(codeInvalidNthValue, "argument of nth_value must be greater than zero")
			}
			return p.nth(args[0], i, n.i, false)
		}, "anyelement,int4:anyelement")
}

package sql

import (
	"math"
	"math/big"
	"slices"
)

// numericVariance is the exact variance or standard deviation of numerics and
// integers (numeric_stddev_internal of PostgreSQL's numeric.c).
type numericVariance struct {
	n            int64
	sum, squares *numeric
	special      bool // NaN or an infinity was seen
	sample, root bool
	fromInts     bool
}

func (s *numericVariance) add(a []value) error {
	x := numericInt(a[0].i)
	if !s.fromInts {
		x = a[0].numeric()
	}
	s.n++
	if x.kind != finite {
		s.special = true
		return nil
	}
	if s.sum == nil {
		s.sum, s.squares = numericInt(0), numericInt(0)
	}
	square, err := numericMul(x, x)
	if err == nil {
		s.squares, err = numericAdd(s.squares, square)
	}
	if err == nil {
		s.sum, err = numericAdd(s.sum, x)
	}
	return err
}

func (s *numericVariance) result() (value, error) {
	switch {
	case s.n == 0 || s.sample && s.n == 1:
		return null, nil
	case s.special:
		return numValue(&numeric{kind: notANumber}), nil
	}
	// (N·Σx² − (Σx)²) / (N·N or N·(N−1))
	n := numericInt(s.n)
	square, err := numericMul(s.sum, s.sum)
	if err != nil {
		return null, err
	}
	num, err := numericMul(n, s.squares)
	if err == nil {
		num, err = numericSub(num, square)
	}
	if err != nil {
		return null, err
	}
	if num.sign() <= 0 {
		return numValue(numericInt(0)), nil
	}
	den := new(big.Int).Mul(big.NewInt(s.n), big.NewInt(s.n))
	if s.sample {
		den.Sub(den, big.NewInt(s.n))
	}
	d := numericFromBig(den)
	scale := divScale(num, d)
	out := quotient(num, d, scale)
	if s.root {
		out = out.sqrtTo(scale)
	}
	return numValue(out), nil
}

// floatMoments are N, the sums, and the sums of squared differences of pairs,
// by the algorithm of Youngs and Cramer (float8_regr_accum of float.c).
type floatMoments struct {
	n, sx, sxx, sy, syy, sxy float64
}

func nanIfUnbounded(x float64, sum *float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		*sum = math.NaN()
	}
}

func (m *floatMoments) addOne(x float64) error {
	was := m.n
	m.n++
	oldSum := m.sx
	m.sx += x
	if was == 0 {
		nanIfUnbounded(x, &m.sxx)
		return nil
	}
	t := float64(x*m.n) - m.sx
	m.sxx += float64(t*t) / float64(m.n*was)
	if math.IsInf(m.sx, 0) || math.IsInf(m.sxx, 0) {
		if !math.IsInf(oldSum, 0) && !math.IsInf(x, 0) {
			return floatOverflow()
		}
		m.sxx = math.NaN()
	}
	return nil
}

func (m *floatMoments) addPair(y, x float64) error {
	was, oldX, oldY := m.n, m.sx, m.sy
	m.n++
	m.sx += x
	m.sy += y
	if was == 0 {
		nanIfUnbounded(x, &m.sxx)
		nanIfUnbounded(x, &m.sxy)
		nanIfUnbounded(y, &m.syy)
		nanIfUnbounded(y, &m.sxy)
		return nil
	}
	tx, ty := float64(x*m.n)-m.sx, float64(y*m.n)-m.sy
	scale := 1 / float64(m.n*was)
	m.sxx += float64(float64(tx*tx) * scale)
	m.syy += float64(float64(ty*ty) * scale)
	m.sxy += float64(float64(tx*ty) * scale)
	unbounded := func(list ...float64) bool {
		return slices.ContainsFunc(list, func(f float64) bool { return math.IsInf(f, 0) })
	}
	if !unbounded(m.sx, m.sxx, m.sy, m.syy, m.sxy) {
		return nil
	}
	if unbounded(m.sx, m.sxx) && !unbounded(oldX, x) || unbounded(m.sy, m.syy) && !unbounded(oldY, y) || unbounded(m.sxy) && !unbounded(oldX, x, oldY, y) {
		return floatOverflow()
	}
	for _, f := range []*float64{&m.sxx, &m.syy, &m.sxy} {
		if math.IsInf(*f, 0) {
			*f = math.NaN()
		}
	}
	return nil
}

// floatStatistic is an aggregate computed of the moments, NULL where ok is false.
type floatStatistic struct {
	floatMoments
	pairs bool
	final func(m *floatMoments) (f float64, ok bool)
}

func (s *floatStatistic) add(a []value) error {
	if !s.pairs {
		return s.addOne(a[0].f)
	}
	if a[0].null || a[1].null {
		return nil
	}
	return s.addPair(a[0].f, a[1].f)
}

func (s *floatStatistic) result() (value, error) {
	f, ok := s.final(&s.floatMoments)
	if !ok {
		return null, nil
	}
	return floatValue(f), nil
}

// pairCount is regr_count.
type pairCount struct{ n int64 }

func (c *pairCount) add(a []value) error {
	if !a[0].null && !a[1].null {
		c.n++
	}
	return nil
}

func (c *pairCount) result() (value, error) { return intValue(c.n), nil }

// bitFold is bit_and, bit_or or bit_xor.
type bitFold struct {
	any  bool
	bits int64
	f    func(x, y int64) int64
}

func (b *bitFold) add(a []value) error {
	if b.any {
		b.bits = b.f(b.bits, a[0].i)
	} else {
		b.any, b.bits = true, a[0].i
	}
	return nil
}

func (b *bitFold) result() (value, error) {
	if !b.any {
		return null, nil
	}
	return intValue(b.bits), nil
}

func (c *catalog) addStatistics() {
	add := func(name, doc, example string, list ...*function) {
		c.entries = append(c.entries, entry{name, doc, example, "aggregate", "Aggregates"})
		for _, f := range list {
			f.name = name
			c.functions[name] = append(c.functions[name], f)
		}
	}
	agg := func(signature string, strict bool, f func() accumulator) *function {
		args, ret, _ := parseSignature(signature)
		return &function{args: args, ret: ret, strict: strict, agg: f}
	}
	for _, e := range []struct {
		name, doc    string
		sample, root bool
	}{
		{"stddev", "standard deviation of a sample", true, true},
		{"stddev_samp", "the same", true, true},
		{"stddev_pop", "standard deviation of all", false, true},
		{"variance", "variance of a sample", true, false},
		{"var_samp", "the same", true, false},
		{"var_pop", "variance of all", false, false},
	} {
		exact := func(ints bool) func() accumulator {
			return func() accumulator {
				return &numericVariance{sample: e.sample, root: e.root, fromInts: ints}
			}
		}
		float := func() accumulator {
			return &floatStatistic{final: func(m *floatMoments) (float64, bool) {
				n := m.n
				if e.sample {
					n--
				}
				v := m.sxx / n
				if e.root {
					v = math.Sqrt(v)
				}
				return v, n > 0
			}}
		}
		add(e.name, e.doc+"; of integers and numeric a numeric", "SELECT "+e.name+"(2)",
			agg("int2:numeric", true, exact(true)), agg("int4:numeric", true, exact(true)), agg("int8:numeric", true, exact(true)),
			agg("numeric:numeric", true, exact(false)), agg("float8:float8", true, float))
	}
	add("regr_count", "number of pairs without NULL", "SELECT regr_count(1, 2)", agg("float8,float8:int8", false, func() accumulator { return &pairCount{} }))
	for _, e := range []struct {
		name, doc string
		final     func(m *floatMoments) (float64, bool)
	}{
		{"regr_sxx", "sum of squares of the independent variable, the second", func(m *floatMoments) (float64, bool) { return m.sxx, m.n > 0 }},
		{"regr_syy", "sum of squares of the dependent variable, the first", func(m *floatMoments) (float64, bool) { return m.syy, m.n > 0 }},
		{"regr_sxy", "sum of products of both", func(m *floatMoments) (float64, bool) { return m.sxy, m.n > 0 }},
		{"regr_avgx", "mean of the independent variable", func(m *floatMoments) (float64, bool) { return m.sx / m.n, m.n > 0 }},
		{"regr_avgy", "mean of the dependent variable", func(m *floatMoments) (float64, bool) { return m.sy / m.n, m.n > 0 }},
		{"covar_pop", "covariance of all", func(m *floatMoments) (float64, bool) { return m.sxy / m.n, m.n > 0 }},
		{"covar_samp", "covariance of a sample", func(m *floatMoments) (float64, bool) { return m.sxy / (m.n - 1), m.n > 1 }},
		{"corr", "coefficient of correlation", func(m *floatMoments) (float64, bool) {
			return m.sxy / math.Sqrt(float64(m.sxx*m.syy)), m.n > 0 && m.sxx != 0 && m.syy != 0
		}},
		{"regr_r2", "its square", func(m *floatMoments) (float64, bool) {
			if m.syy == 0 {
				return 1, m.n > 0 && m.sxx != 0
			}
			return float64(m.sxy*m.sxy) / float64(m.sxx*m.syy), m.n > 0 && m.sxx != 0
		}},
		{"regr_slope", "slope of the line fitted to the pairs", func(m *floatMoments) (float64, bool) { return m.sxy / m.sxx, m.n > 0 && m.sxx != 0 }},
		{"regr_intercept", "where that line has x = 0", func(m *floatMoments) (float64, bool) {
			return (m.sy - float64(m.sx*m.sxy)/m.sxx) / m.n, m.n > 0 && m.sxx != 0
		}},
	} {
		add(e.name, e.doc, "SELECT "+e.name+"(1, 2)", agg("float8,float8:float8", false, func() accumulator { return &floatStatistic{pairs: true, final: e.final} }))
	}
	for _, e := range []struct {
		name, doc string
		f         func(x, y int64) int64
	}{
		{"bit_and", "bitwise and of all", func(x, y int64) int64 { return x & y }},
		{"bit_or", "bitwise or of all", func(x, y int64) int64 { return x | y }},
		{"bit_xor", "bitwise exclusive or of all", func(x, y int64) int64 { return x ^ y }},
	} {
		var list []*function
		for _, t := range intTypes {
			list = append(list, &function{args: []Type{t}, ret: t, strict: true, agg: func() accumulator { return &bitFold{f: e.f} }})
		}
		add(e.name, e.doc, "SELECT "+e.name+"(6)", list...)
	}
	c.addOrderedSets()
}

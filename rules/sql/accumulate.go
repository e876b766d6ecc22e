package sql

import (
	"math"
	"math/big"
	"strings"
)

type counter struct{ n int64 }

func (c *counter) add([]value) error      { c.n++; return nil }
func (c *counter) result() (value, error) { return intValue(c.n), nil }

// intSum sums integers; wide says that the result is numeric.
type intSum struct {
	any  bool
	sum  int64
	over *big.Int // when sum would overflow
	n    int64
	mean bool
	wide bool
}

func (s *intSum) add(a []value) error {
	s.any = true
	s.n++
	if s.over == nil {
		if t := s.sum + a[0].i; (t > s.sum) == (a[0].i > 0) || a[0].i == 0 {
			s.sum = t
			return nil
		}
		s.over = big.NewInt(s.sum)
	}
	s.over.Add(s.over, big.NewInt(a[0].i))
	return nil
}

func (s *intSum) result() (value, error) {
	if !s.any {
		return null, nil
	}
	total := s.over
	if total == nil {
		total = big.NewInt(s.sum)
	}
	switch {
	case s.mean:
		n, err := numericDiv(numericFromBig(total), numericInt(s.n))
		return numValue(n), err
	case s.wide:
		return numValue(numericFromBig(total)), nil
	case !total.IsInt64():
		return null, outOfRange(Int8)
	}
	return intValue(total.Int64()), nil
}

type floatSum struct {
	n   int64
	sum float64
}

func (s *floatSum) add(a []value) error {
	was := s.sum
	s.n++
	s.sum += a[0].f
	if math.IsInf(s.sum, 0) && !math.IsInf(was, 0) && !math.IsInf(a[0].f, 0) {
		return fail(codeOutOfRange, "value out of range: overflow")
	}
	return nil
}

func (s *floatSum) result() (value, error) {
	if s.n == 0 {
		return null, nil
	}
	return floatValue(s.sum), nil
}

type numericSum struct {
	n    int64
	sum  *numeric
	mean bool
}

func (s *numericSum) add(a []value) (err error) {
	s.n++
	if s.sum == nil {
		s.sum = a[0].numeric()
		return nil
	}
	s.sum, err = numericAdd(s.sum, a[0].numeric())
	return err
}

func (s *numericSum) result() (value, error) {
	switch {
	case s.n == 0:
		return null, nil
	case s.mean:
		n, err := numericDiv(s.sum, numericInt(s.n))
		return numValue(n), err
	}
	return numValue(s.sum), nil
}

type intervalSumAcc struct {
	n    int64
	sum  interval
	mean bool
}

func (s *intervalSumAcc) add(a []value) (err error) {
	s.n++
	s.sum, err = s.sum.add(a[0].interval())
	return err
}

func (s *intervalSumAcc) result() (value, error) {
	switch {
	case s.n == 0:
		return null, nil
	case s.mean:
		v, err := s.sum.div(float64(s.n))
		return intervalValue(v), err
	}
	return intervalValue(s.sum), nil
}

type extreme struct {
	typ  Type
	want int // sign of compare(new, best) that replaces
	best value
	any  bool
}

func (e *extreme) add(a []value) error {
	t := e.typ
	if t == anyArray {
		t = ArrayOf(a[0].array().elem)
	}
	// Of values that are equal, such as 1.0 and 1.00, the last one counts.
	if !e.any || compare(t, e.best, a[0]) != e.want {
		e.best, e.any = a[0], true
		e.best.s = strings.Clone(e.best.s) // without the rest of its dictionary
	}
	return nil
}

func (e *extreme) result() (value, error) {
	if !e.any {
		return null, nil
	}
	return e.best, nil
}

type boolFold struct{ any, and, or bool }

func (b *boolFold) add(a []value) error {
	if !b.any {
		b.and = true
	}
	b.any, b.and, b.or = true, b.and && a[0].truth(), b.or || a[0].truth()
	return nil
}

type boolAnd struct{ boolFold }

func (b *boolAnd) result() (value, error) {
	if !b.any {
		return null, nil
	}
	return boolValue(b.and), nil
}

type boolOr struct{ boolFold }

func (b *boolOr) result() (value, error) {
	if !b.any {
		return null, nil
	}
	return boolValue(b.or), nil
}

type stringJoin struct {
	any bool
	b   strings.Builder
}

func (s *stringJoin) add(a []value) error {
	if s.b.Len()+len(a[0].s)+len(a[1].s) > maxText {
		return errTooLong()
	}
	if s.any && !a[1].null {
		s.b.WriteString(a[1].s)
	}
	s.any = true
	s.b.WriteString(a[0].s)
	return nil
}

func (s *stringJoin) result() (value, error) {
	if !s.any {
		return null, nil
	}
	return textValue(s.b.String()), nil
}

type arrayJoin struct {
	vals []value
	size int
}

func (s *arrayJoin) add(a []value) error {
	if s.size += a[0].size(); s.size > maxText {
		return errTooLong()
	}
	if len(s.vals) == maxElements {
		return errTooMany()
	}
	s.vals = append(s.vals, a[0])
	return nil
}

func (s *arrayJoin) result() (value, error) {
	if s.vals == nil {
		return null, nil
	}
	return value{o: &array{vals: s.vals}}, nil
}

func (s *numericSum) merge(other accumulator) (err error) {
	o := other.(*numericSum)
	s.n += o.n
	switch {
	case o.sum == nil:
	case s.sum == nil:
		s.sum = o.sum
	default:
		s.sum, err = numericAdd(s.sum, o.sum)
	}
	return err
}

func (e *extreme) merge(other accumulator) error {
	if o := other.(*extreme); o.any {
		return e.add([]value{o.best})
	}
	return nil
}

func (b *boolFold) merge(o boolFold) {
	switch {
	case !o.any:
	case !b.any:
		*b = o
	default:
		b.and, b.or = b.and && o.and, b.or || o.or
	}
}

func (b *boolAnd) merge(other accumulator) error {
	b.boolFold.merge(other.(*boolAnd).boolFold)
	return nil
}

func (b *boolOr) merge(other accumulator) error {
	b.boolFold.merge(other.(*boolOr).boolFold)
	return nil
}

func (c *catalog) addAggregates() {
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
	star := agg("any:int8", true, func() accumulator { return &counter{} })
	noArgs := agg(":int8", true, func() accumulator { return &counter{} })
	star.unordered = true
	star.grouped, noArgs.grouped = func() states { return &counts{} }, func() states { return &counts{} }
	unordered := func(f *function) *function {
		f.unordered = true
		return f
	}
	add("count", "number of rows, with count(*), or of values that are not NULL", "SELECT count(*)", star, noArgs)
	sums := func(mean bool) []*function {
		wide, i8 := "int8:numeric", "int8"
		if mean {
			i8 = "numeric"
		}
		ints := func(signature string, wide bool) *function {
			kind := intSum{mean: mean, wide: wide}
			f := unordered(agg(signature, true, func() accumulator {
				s := kind
				return &s
			}))
			f.grouped = func() states { return &sums{kind: kind} }
			return f
		}
		floats := func() accumulator { return &floatSum{} }
		if mean {
			// PostgreSQL keeps the moments for avg too, which may overflow.
			floats = func() accumulator {
				return &floatStatistic{final: func(m *floatMoments) (float64, bool) { return m.sx / m.n, m.n > 0 }}
			}
		}
		return []*function{
			ints("int2:"+i8, false), ints("int4:"+i8, false), ints(wide, true),
			agg("float8:float8", true, floats),
			agg("numeric:numeric", true, func() accumulator { return &numericSum{mean: mean} }),
			agg("interval:interval", true, func() accumulator { return &intervalSumAcc{mean: mean} }),
		}
	}
	add("sum", "sum; of integer a bigint, of bigint a numeric", "SELECT sum(2)", sums(false)...)
	add("avg", "arithmetic mean; of integers a numeric", "SELECT avg(2)", sums(true)...)
	for _, m := range []struct {
		name, doc, example string
		want               int
	}{{"min", "least value", "SELECT min('a')", -1}, {"max", "greatest value", "SELECT max('a')", 1}} {
		var list []*function
		for _, t := range []Type{Int2, Int4, Int8, Float8, Numeric, Text, Timestamptz, Timestamp, Date, Time, Interval, Inet, anyArray} {
			f := &function{args: []Type{t}, ret: t, strict: true, unordered: true, agg: func() accumulator { return &extreme{typ: t, want: m.want} }}
			if t.phys() == physInt {
				f.grouped = func() states { return &extremes{want: m.want} }
			}
			list = append(list, f)
		}
		add(m.name, m.doc, m.example, list...)
	}
	and := func() accumulator { return &boolAnd{} }
	add("bool_and", "true if all values are", "SELECT bool_and(true)", agg("bool:bool", true, and))
	add("every", "the same as bool_and", "SELECT every(true)", agg("bool:bool", true, and))
	add("bool_or", "true if one value is", "SELECT bool_or(false)", agg("bool:bool", true, func() accumulator { return &boolOr{} }))
	add("string_agg", "values joined by a separator", "SELECT string_agg('a', ',')", agg("text,text:text", true, func() accumulator { return &stringJoin{} }), agg("bytea,bytea:bytea", true, func() accumulator { return &stringJoin{} }))
	list := &function{args: []Type{anyElement}, ret: JSONB}
	list.typed = func(types []Type) *function {
		f := *list
		convert := jsonOf(types[0])
		f.typed, f.agg = nil, func() accumulator { return &jsonList{convert: convert} }
		return &f
	}
	list.agg = func() accumulator { return &jsonList{} }
	add("jsonb_agg", "array of all values as jsonb, NULLs too", "SELECT jsonb_agg(1)", list)
	members := &function{args: []Type{anyType, anyType}, ret: JSONB}
	members.typed = func(types []Type) *function {
		f := *members
		convert := jsonOf(types[1])
		f.typed, f.agg = nil, func() accumulator {
			return &jsonMembers{jsonList: jsonList{convert: convert}, keyType: types[0]}
		}
		return &f
	}
	members.agg = func() accumulator { return &jsonMembers{} }
	add("jsonb_object_agg", "object of keys and values", "SELECT jsonb_object_agg('a', 1)", members)
	add("array_agg", "array of all values, NULLs too", "SELECT array_agg(1)", &function{args: []Type{anyNonArray}, ret: anyArray, agg: func() accumulator { return &arrayJoin{} }},
		&function{args: []Type{anyArray}, ret: anyArray, refused: "array_agg of arrays"})
}

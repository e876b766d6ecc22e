package sql

import "math"

// sortedValues are the values of an aggregate with WITHIN GROUP, which has at
// least one.
type sortedValues struct {
	n  int
	at func(i int) value
}

// orderedFinal is the result for the sorted values and the other arguments.
type orderedFinal func(vals sortedValues, args []value) (value, error)

// byGroup takes an aggregate apart whose other arguments are not constant, and
// so are computed from its group: one that collects its values, and a function
// of these and the arguments.
func (e *aggExpr) byGroup() (collect *aggExpr, final *function) {
	c := *e
	fn := *e.fn
	t := ArrayOf(e.args[0].typ())
	fn.name, fn.ret = "sorted values for "+fn.name, t
	fn.ordered = func(vals sortedValues, _ []value) (value, error) {
		all := &array{elem: t.Elem(), vals: make([]value, vals.n)}
		for i := range all.vals {
			all.vals[i] = vals.at(i)
		}
		return value{o: all}, nil
	}
	c.fn, c.t, c.args = &fn, t, e.args[:1]
	final = &function{name: e.fn.name, args: []Type{t}, ret: e.t, stable: true}
	final.eval = func(_ *env, a []value) (value, error) {
		if p := a[1]; !p.null && e.args[1].typ() == Float8 {
			if err := checkFraction(p.f); err != nil {
				return null, err
			}
		}
		if a[0].null {
			return null, nil
		}
		vals := elements(a[0])
		return e.fn.ordered(sortedValues{n: len(vals), at: func(i int) value { return vals[i] }}, a[1:])
	}
	return &c, final
}

func checkFraction(p float64) error {
	if p < 0 || p > 1 || math.IsNaN(p) {
		return fail(codeOutOfRange, "percentile value %g is not between 0 and 1", p)
	}
	return nil
}

// eachFraction applies f to a fraction, or to each of an array.
func eachFraction(many bool, f func(vals sortedValues, p float64) (value, error)) orderedFinal {
	return func(vals sortedValues, args []value) (value, error) {
		if args[0].null {
			return null, nil
		}
		if !many {
			if err := checkFraction(args[0].f); err != nil {
				return null, err
			}
			return f(vals, args[0].f)
		}
		out := &array{}
		for _, p := range elements(args[0]) {
			if p.null {
				out.vals = append(out.vals, null)
				continue
			}
			err := checkFraction(p.f)
			v := null
			if err == nil {
				v, err = f(vals, p.f)
			}
			if err != nil {
				return null, err
			}
			out.vals = append(out.vals, v)
		}
		return value{o: out}, nil
	}
}

// discrete is the first value whose place reaches the fraction.
func discrete(vals sortedValues, p float64) (value, error) {
	return vals.at(max(int(math.Ceil(p*float64(vals.n)))-1, 0)), nil
}

// continuous interpolates between the two values next to the fraction.
func continuous(between func(low, high value, part float64) (value, error)) func(vals sortedValues, p float64) (value, error) {
	return func(vals sortedValues, p float64) (value, error) {
		at := p * float64(vals.n-1)
		low, high := int(math.Floor(at)), int(math.Ceil(at))
		if low == high {
			return vals.at(low), nil
		}
		return between(vals.at(low), vals.at(high), at-math.Floor(at))
	}
}

func betweenFloats(low, high value, part float64) (value, error) {
	return floatValue(low.f + float64(part*(high.f-low.f))), nil
}

func betweenIntervals(low, high value, part float64) (value, error) {
	minus, err := low.interval().neg()
	if err != nil {
		return null, err
	}
	span, err := high.interval().add(minus)
	if err == nil {
		span, err = span.mul(part)
	}
	if err == nil {
		span, err = low.interval().add(span)
	}
	return intervalValue(span), err
}

func (c *catalog) addOrderedSets() {
	add := func(name, doc, example string) func(args []Type, ret Type, final orderedFinal) {
		c.entries = append(c.entries, entry{name, doc, example, "aggregate", "Aggregates"})
		return func(args []Type, ret Type, final orderedFinal) {
			c.functions[name] = append(c.functions[name], &function{
				name: name, args: args, ret: ret, strict: true, ordered: final,
			})
		}
	}
	floats, intervals := continuous(betweenFloats), continuous(betweenIntervals)
	cont := add("percentile_cont", "value at a fraction of the sorted ones, interpolated, or an array for an array of fractions", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY 3)")
	cont([]Type{Float8, Float8}, Float8, eachFraction(false, floats))
	cont([]Type{Float8, Interval}, Interval, eachFraction(false, intervals))
	cont([]Type{ArrayOf(Float8), Float8}, ArrayOf(Float8), eachFraction(true, floats))
	cont([]Type{ArrayOf(Float8), Interval}, ArrayOf(Interval), eachFraction(true, intervals))
	disc := add("percentile_disc", "first of the sorted values that reaches a fraction, or an array for an array of fractions", "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY 3)")
	disc([]Type{Float8, anyElement}, anyElement, eachFraction(false, discrete))
	disc([]Type{ArrayOf(Float8), anyElement}, anyArray, eachFraction(true, discrete))
	c.entries = append(c.entries, entry{"mode", "most frequent value, the first of those sorted", "SELECT mode() WITHIN GROUP (ORDER BY 3)", "aggregate", "Aggregates"})
	mode := &function{name: "mode", args: []Type{anyElement}, ret: anyElement, strict: true, ordered: func(sortedValues, []value) (value, error) {
		panic("sql: mode of no type")
	}}
	mode.typed = func(types []Type) *function {
		f := *mode
		f.typed, f.ordered = nil, func(vals sortedValues, _ []value) (value, error) { return mostFrequent(types[0], vals), nil }
		return &f
	}
	c.functions["mode"] = []*function{mode}
}

func mostFrequent(t Type, vals sortedValues) value {
	best, most, run, first := null, 0, 0, null
	for i := range vals.n {
		if v := vals.at(i); i == 0 || compare(t, v, first) != 0 {
			first, run = v, 0
		}
		if run++; run > most {
			best, most = first, run
		}
	}
	return best
}

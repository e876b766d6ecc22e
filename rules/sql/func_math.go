package sql

import (
	"math"
	"math/big"
	"math/bits"
)

// intTypes are the integer types by size; results have the greater one's.
var intTypes = []Type{Int2, Int4, Int8}

func define(name string, l, r, ret Type, f func(a []value) (value, error)) *function {
	return &function{
		name: name, args: []Type{l, r}, ret: ret, strict: true,
		eval: func(_ *env, a []value) (value, error) { return f(a) },
	}
}

// addComparisons defines = <> < <= > >= as pg_operator has them: for each
// type with itself, for all pairs of integer types, and for all pairs of times.
func (c *catalog) addComparisons() {
	for _, e := range []struct{ name, doc, example string }{
		{"=", "equal", "SELECT 1 = 1.0"},
		{"<>", "not equal; also !=", "SELECT 'a' <> 'b'"},
		{"<", "less than", "SELECT 2 < 10"},
		{"<=", "less than or equal", "SELECT 2 <= 2"},
		{">", "greater than", "SELECT 'b' > 'a'"},
		{">=", "greater than or equal", "SELECT now() >= now()"},
	} {
		c.entries = append(c.entries, entry{e.name, e.doc, e.example, "operator", "Comparison"})
		op := comparisons[e.name]
		add := func(l, r Type, cmp func(a, b value) int) {
			f := define(e.name, l, r, Bool, func(a []value) (value, error) { return boolValue(op.holds(cmp(a[0], a[1]))), nil })
			f.compare = op
			c.operators[e.name] = append(c.operators[e.name], f)
		}
		for _, t := range []Type{Bool, Float8, Numeric, Text, Interval, JSONB, Timestamptz, Timestamp, Date, Time, Bytea, UUID, Inet} {
			add(t, t, func(a, b value) int { return compare(t, a, b) })
		}
		for _, l := range intTypes {
			for _, r := range intTypes {
				add(l, r, func(a, b value) int { return compare(Int8, a, b) })
			}
		}
		for _, pair := range [][2]Type{{Date, Timestamp}, {Date, Timestamptz}, {Timestamp, Timestamptz}} {
			add(pair[0], pair[1], func(a, b value) int { return compareTimes(pair[0], a, pair[1], b) })
			add(pair[1], pair[0], func(a, b value) int { return compareTimes(pair[1], a, pair[0], b) })
		}
		f := define(e.name, anyArray, anyArray, Bool, func(a []value) (value, error) {
			return boolValue(op.holds(compare(ArrayOf(a[0].array().elem), a[0], a[1]))), nil
		})
		c.operators[e.name] = append(c.operators[e.name], f)
	}
}

// compareTimes compares times of different types; the time zone is UTC.
func compareTimes(s Type, a value, t Type, b value) int {
	micros := func(t Type, v value) int64 {
		if t != Date {
			return v.i
		}
		us, err := dateToTimestamp(v.i)
		if err != nil {
			return maxTimestamp
		}
		return us
	}
	return compare(Timestamptz, intValue(micros(s, a)), intValue(micros(t, b)))
}

func (c *catalog) addArithmetic() {
	for _, e := range []struct{ name, doc, example string }{
		{"+", "sum; of a time and an interval, the time that much later", "SELECT 2 + 3"},
		{"-", "difference; of two times, the interval between them; as a prefix, the negative", "SELECT 2 - 3"},
		{"*", "product", "SELECT 2 * 3.5"},
		{"/", "quotient; of integers, cut to an integer", "SELECT 7 / 2"},
		{"%", "remainder", "SELECT 7 % 4"},
	} {
		c.entries = append(c.entries, entry{e.name, e.doc, e.example, "operator", "Mathematics"})
	}
	for _, l := range intTypes {
		for _, r := range intTypes {
			t := max(l, r)
			for _, op := range []string{"+", "-", "*", "/"} {
				c.operators[op] = append(c.operators[op], define(op, l, r, t, intOperation(op, t)))
			}
		}
		c.operators["%"] = append(c.operators["%"], define("%", l, l, l, intOperation("%", l)))
		c.operators["-"] = append(c.operators["-"], &function{name: "-", args: []Type{l}, ret: l, strict: true, eval: func(_ *env, a []value) (value, error) {
			if a[0].i == math.MinInt64 {
				return null, outOfRange(l)
			}
			i, err := checkInt(l, -a[0].i)
			return intValue(i), err
		}})
	}
	numericOps := map[string]func(a, b *numeric) (*numeric, error){"+": numericAdd, "-": numericSub, "*": numericMul, "/": numericDiv, "%": numericMod}
	for op, f := range numericOps {
		c.operators[op] = append(c.operators[op], define(op, Numeric, Numeric, Numeric, func(a []value) (value, error) {
			n, err := f(a[0].numeric(), a[1].numeric())
			return numValue(n), err
		}))
	}
	for _, op := range []string{"+", "-", "*", "/"} {
		c.operators[op] = append(c.operators[op], define(op, Float8, Float8, Float8, floatOperation(op)))
	}
	c.op("Mathematics", "-", "", "", pairs{
		"float8:float8", func(a []value) value { return floatValue(-a[0].f) },
		"numeric:numeric", func(a []value) value { return numValue(a[0].numeric().neg()) },
	})
	c.op("Mathematics", "+", "", "", pairs{
		"int2:int2", same, "int4:int4", same, "int8:int8", same, "float8:float8", same, "numeric:numeric", same,
	})
}

func same(a []value) value { return a[0] }

// addBits defines the operators on the bits of integers.
func (c *catalog) addBits() {
	for _, e := range []struct {
		name, doc, example string
		f                  func(x, y int64) int64
	}{
		{"&", "bitwise and", "SELECT 6 & 3", func(x, y int64) int64 { return x & y }},
		{"|", "bitwise or", "SELECT 6 | 3", func(x, y int64) int64 { return x | y }},
		{"#", "bitwise exclusive or", "SELECT 6 # 3", func(x, y int64) int64 { return x ^ y }},
	} {
		c.entries = append(c.entries, entry{e.name, e.doc, e.example, "operator", "Mathematics"})
		for _, t := range intTypes {
			c.operators[e.name] = append(c.operators[e.name], define(e.name, t, t, t, func(a []value) (value, error) { return intValue(e.f(a[0].i, a[1].i)), nil }))
		}
	}
	for _, e := range []struct {
		name, doc, example string
		left               bool
	}{{"<<", "bits shifted to the left", "SELECT 1 << 4", true}, {">>", "bits shifted to the right", "SELECT 64 >> 2", false}} {
		c.entries = append(c.entries, entry{e.name, e.doc, e.example, "operator", "Mathematics"})
		for _, t := range intTypes {
			c.operators[e.name] = append(c.operators[e.name], define(e.name, t, Int4, t, func(a []value) (value, error) { return intValue(shift(t, a[0].i, a[1].i, e.left)), nil }))
		}
	}
	not := func(a []value) value { return intValue(^a[0].i) }
	c.op("Mathematics", "~", "bitwise not, as a prefix", "SELECT ~1", pairs{"int2:int2", not, "int4:int4", not, "int8:int8", not})
}

// shift shifts as the processor does for PostgreSQL: by the count modulo the
// width of the register, which is 32 bits for smallint too.
func shift(t Type, x, n int64, left bool) int64 {
	width := int64(32)
	if t == Int8 {
		width = 64
	}
	n &= width - 1
	if !left {
		return x >> n
	}
	switch t {
	case Int2:
		return int64(int16(x << n))
	case Int4:
		return int64(int32(x << n))
	}
	return x << n
}

func intOperation(op string, t Type) func(a []value) (value, error) {
	return func(a []value) (value, error) {
		x, y := a[0].i, a[1].i
		var r int64
		switch op {
		case "+":
			if r = x + y; (r > x) != (y > 0) && y != 0 {
				return null, outOfRange(t)
			}
		case "-":
			if r = x - y; (r < x) != (y > 0) && y != 0 {
				return null, outOfRange(t)
			}
		case "*":
			if x != 0 && y != 0 {
				hi, _ := bits.Mul64(magnitude(x), magnitude(y))
				if r = x * y; hi != 0 || r/y != x || (x == -1 && y == math.MinInt64) || (y == -1 && x == math.MinInt64) {
					return null, outOfRange(t)
				}
			}
		default:
			if y == 0 {
				return null, errDivisionByZero
			}
			if op == "%" {
				if y != -1 {
					r = x % y
				}
				break
			}
			if x == math.MinInt64 && y == -1 {
				return null, outOfRange(t)
			}
			r = x / y
		}
		r, err := checkInt(t, r)
		return intValue(r), err
	}
}

func magnitude(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

func floatOperation(op string) func(a []value) (value, error) {
	return func(a []value) (value, error) {
		x, y := a[0].f, a[1].f
		var r float64
		mayUnderflow := false
		switch op {
		case "+":
			r = x + y
		case "-":
			r = x - y
		case "*":
			r = x * y
			mayUnderflow = x != 0 && y != 0
		default:
			if y == 0 && !math.IsNaN(x) {
				return null, errDivisionByZero
			}
			r = x / y
			mayUnderflow = x != 0 && !math.IsInf(y, 0)
		}
		if math.IsInf(r, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			return null, fail(codeOutOfRange, "value out of range: overflow")
		}
		if r == 0 && mayUnderflow {
			return null, fail(codeOutOfRange, "value out of range: underflow")
		}
		return floatValue(r), nil
	}
}

func (c *catalog) addMath() {
	const g = "Mathematics"
	absInt := func(t Type) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			if a[0].i == math.MinInt64 {
				return null, outOfRange(t)
			}
			i, err := checkInt(t, max(a[0].i, -a[0].i))
			return intValue(i), err
		}
	}
	abs := pairs{
		"int2:int2", absInt(Int2), "int4:int4", absInt(Int4), "int8:int8", absInt(Int8),
		"float8:float8", func(a []value) value { return floatValue(math.Abs(a[0].f)) },
		"numeric:numeric", func(a []value) value {
			if n := a[0].numeric(); n.sign() < 0 {
				return numValue(n.neg())
			}
			return a[0]
		},
	}
	c.fn(g, "abs", "absolute value", "SELECT abs(-17)", abs)
	floats := func(f func(float64) float64, direction int) pairs {
		return pairs{
			"float8:float8", func(a []value) value { return floatValue(f(a[0].f)) },
			"numeric:numeric", func(a []value) value { return numValue(a[0].numeric().towards(direction)) },
		}
	}
	c.fn(g, "floor", "nearest integer that is not greater", "SELECT floor(-1.5)", floats(math.Floor, -1))
	c.fn(g, "ceil", "nearest integer that is not less", "SELECT ceil(1.2)", floats(math.Ceil, 1))
	c.fn(g, "ceiling", "the same as ceil", "SELECT ceiling(1.2)", floats(math.Ceil, 1))
	digitsOf := func(v value) int { return int(min(max(v.i, -maxNumericDigits), maxNumericScale)) }
	c.fn(g, "round", "nearest integer, or to so many decimals; numeric halves go away from zero, float halves to even", "SELECT round(2.5), round(1.255, 2)", pairs{
		"float8:float8", func(a []value) value { return floatValue(math.RoundToEven(a[0].f)) },
		"numeric:numeric", func(a []value) value { return numValue(a[0].numeric().round(0)) },
		"numeric,int4:numeric", func(a []value) value { return numValue(a[0].numeric().round(digitsOf(a[1]))) },
	})
	c.fn(g, "trunc", "cut towards zero, to an integer or so many decimals", "SELECT trunc(-1.7)", pairs{
		"float8:float8", func(a []value) value { return floatValue(math.Trunc(a[0].f)) },
		"numeric:numeric", func(a []value) value { return numValue(a[0].numeric().trunc(0)) },
		"numeric,int4:numeric", func(a []value) value { return numValue(a[0].numeric().trunc(digitsOf(a[1]))) },
	})
	c.fn(g, "sign", "-1, 0 or 1", "SELECT sign(-8.4)", pairs{
		"float8:float8", func(a []value) value {
			switch {
			case a[0].f > 0:
				return floatValue(1)
			case a[0].f < 0:
				return floatValue(-1)
			}
			return floatValue(0)
		},
		"numeric:numeric", func(a []value) value {
			n := a[0].numeric()
			if n.kind == notANumber {
				return a[0]
			}
			return numValue(numericInt(int64(n.sign())))
		},
	})
	mod := func(t Type) func(a []value) (value, error) { return intOperation("%", t) }
	c.fn(g, "mod", "remainder", "SELECT mod(9, 4)", pairs{
		"int2,int2:int2", mod(Int2), "int4,int4:int4", mod(Int4), "int8,int8:int8", mod(Int8),
		"numeric,numeric:numeric", func(a []value) (value, error) {
			n, err := numericMod(a[0].numeric(), a[1].numeric())
			return numValue(n), err
		},
	})
}

// addCasts defines the casts that have a function; those that only go by
// text are resolved in castPath.
func (c *catalog) addCasts() {
	toInt := func(t Type) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			i, err := checkInt(t, a[0].i)
			return intValue(i), err
		}
	}
	for _, t := range intTypes {
		for _, from := range intTypes {
			if from != t {
				c.cast(from, t, toInt(t))
			}
		}
		c.cast(t, Float8, func(a []value) (value, error) { return floatValue(float64(a[0].i)), nil })
		c.cast(t, Numeric, func(a []value) (value, error) { return numValue(numericInt(a[0].i)), nil })
		c.cast(Float8, t, func(a []value) (value, error) {
			i, err := floatToInt(a[0].f, t)
			return intValue(i), err
		})
		c.cast(Numeric, t, func(a []value) (value, error) {
			i, err := a[0].numeric().toInt(t)
			return intValue(i), err
		})
	}
	c.cast(Numeric, Float8, func(a []value) (value, error) {
		f, err := a[0].numeric().float()
		return floatValue(f), err
	})
	c.cast(Float8, Numeric, func(a []value) (value, error) {
		n, err := numericFloat(a[0].f)
		return numValue(n), err
	})
	c.cast(Bool, Int4, func(a []value) (value, error) { return intValue(a[0].i), nil })
	c.cast(Int4, Bool, func(a []value) (value, error) { return boolValue(a[0].i != 0), nil })
	boolText := func(a []value) (value, error) {
		if a[0].truth() {
			return textValue("true"), nil
		}
		return textValue("false"), nil
	}
	c.cast(Bool, Text, boolText)
	c.cast(Bool, Varchar, boolText)
	keep := func(a []value) (value, error) { return a[0], nil }
	fromDate := func(a []value) (value, error) {
		us, err := dateToTimestamp(a[0].i)
		return intValue(us), err
	}
	toDate := func(a []value) (value, error) { return intValue(timestampToDate(a[0].i)), nil }
	c.cast(Date, Timestamp, fromDate)
	c.cast(Date, Timestamptz, fromDate)
	c.cast(Timestamp, Timestamptz, keep)
	c.cast(Timestamptz, Timestamp, keep)
	c.cast(Timestamp, Date, toDate)
	c.cast(Timestamptz, Date, toDate)
	c.jsonCasts()
	c.timeOfDayCasts()
	c.networkCasts()
}

func floatToInt(f float64, t Type) (int64, error) {
	r := math.RoundToEven(f)
	if math.IsNaN(r) || r < -9223372036854775808 || r >= 9223372036854775808 {
		return 0, outOfRange(t)
	}
	return checkInt(t, int64(r))
}

func (c *catalog) jsonCasts() {
	names := map[jsonKind]string{jsonNull: "null", jsonString: "string", jsonNumber: "numeric", jsonFalse: "boolean", jsonTrue: "boolean", jsonArray: "array", jsonObject: "object"}
	for _, to := range []Type{Bool, Int2, Int4, Int8, Float8, Numeric} {
		c.cast(JSONB, to, func(a []value) (value, error) {
			n := a[0].json()
			switch {
			case to == Bool && (n.kind == jsonTrue || n.kind == jsonFalse):
				return boolValue(n.kind == jsonTrue), nil
			case to == Bool || n.kind != jsonNumber:
				return null, fail(codeInvalidParameter, "cannot cast jsonb %s to type %v", names[n.kind], to)
			case to == Numeric:
				return numValue(n.num), nil
			case to == Float8:
				f, err := n.num.float()
				return floatValue(f), err
			}
			i, err := n.num.toInt(to)
			return intValue(i), err
		})
	}
}

// numericFromBig is an integer as numeric.
func numericFromBig(b *big.Int) *numeric {
	n := new(numeric)
	n.coef.Set(b)
	return n
}

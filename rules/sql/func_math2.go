package sql

import (
	"math"
	"math/big"
	"strings"
)

func floatOverflow() error  { return fail(codeOutOfRange, "value out of range: overflow") }
func floatUnderflow() error { return fail(codeOutOfRange, "value out of range: underflow") }

// numericFn is a function of numerics, for pairs.
func numericFn(f func(n *numeric) (*numeric, error)) func(a []value) (value, error) {
	return func(a []value) (value, error) {
		n, err := f(a[0].numeric())
		return numValue(n), err
	}
}

func numericFn2(f func(x, y *numeric) (*numeric, error)) func(a []value) (value, error) {
	return func(a []value) (value, error) {
		n, err := f(a[0].numeric(), a[1].numeric())
		return numValue(n), err
	}
}

func floatFn(f func(x float64) (float64, error)) func(a []value) (value, error) {
	return func(a []value) (value, error) {
		r, err := f(a[0].f)
		return floatValue(r), err
	}
}

// addPowers defines roots, powers and logarithms.
func (c *catalog) addPowers() {
	const g = "Mathematics"
	sqrt := floatFn(func(x float64) (float64, error) {
		if x < 0 {
			return 0, fail("2201F", "cannot take square root of a negative number")
		}
		return math.Sqrt(x), nil
	})
	roots := floatFn(func(x float64) (float64, error) { return cbrt(x), nil })
	c.fn(g, "sqrt", "square root", "SELECT sqrt(2)", pairs{"float8:float8", sqrt, "numeric:numeric", numericFn((*numeric).sqrt)})
	c.op(g, "|/", "square root", "SELECT |/ 25.0", pairs{"float8:float8", sqrt})
	c.fn(g, "cbrt", "cube root", "SELECT cbrt(64.0)", pairs{"float8:float8", roots})
	c.op(g, "||/", "cube root", "SELECT ||/ 64.0", pairs{"float8:float8", roots})
	c.op(g, "@", "absolute value", "SELECT @ -5.0", pairs{})
	for _, f := range c.functions["abs"] {
		h := *f
		h.name = "@"
		c.operators["@"] = append(c.operators["@"], &h)
	}
	power := func(a []value) (value, error) {
		r, err := floatPower(a[0].f, a[1].f)
		return floatValue(r), err
	}
	powers := pairs{"float8,float8:float8", power, "numeric,numeric:numeric", numericFn2(numericPower)}
	c.fn(g, "power", "first number raised to the second", "SELECT power(9, 3)", powers)
	c.fn(g, "pow", "the same", "SELECT pow(2.0, 0.5)", powers)
	c.op(g, "^", "the same", "SELECT 2 ^ 3", powers)
	c.fn(g, "exp", "e raised to the number", "SELECT exp(1.0)", pairs{"float8:float8", floatFn(func(x float64) (float64, error) {
		r := exactExp(x)
		switch {
		case math.IsInf(r, 1) && !math.IsInf(x, 1):
			return 0, floatOverflow()
		case r == 0 && !math.IsInf(x, -1):
			return 0, floatUnderflow()
		}
		return r, nil
	}), "numeric:numeric", numericFn((*numeric).exp)})
	logarithm := func(f func(float64) float64) func(a []value) (value, error) {
		return floatFn(func(x float64) (float64, error) {
			switch {
			case x == 0:
				return 0, errLogZero
			case x < 0:
				return 0, errLogNegative
			}
			return f(x), nil
		})
	}
	ten := numericInt(10)
	log10 := numericFn(func(n *numeric) (*numeric, error) { return numericLog(ten, n) })
	c.fn(g, "ln", "natural logarithm", "SELECT ln(2.0)", pairs{"float8:float8", logarithm(exactLn), "numeric:numeric", numericFn((*numeric).ln)})
	c.fn(g, "log", "logarithm to base 10, or to the base given first", "SELECT log(100), log(2.0, 64.0)", pairs{
		"float8:float8", logarithm(exactLog10), "numeric:numeric", log10, "numeric,numeric:numeric", numericFn2(numericLog),
	})
	c.fn(g, "log10", "logarithm to base 10", "SELECT log10(1000)", pairs{"float8:float8", logarithm(exactLog10), "numeric:numeric", log10})
}

// floatPower is dpow.
func floatPower(x, y float64) (float64, error) {
	switch {
	case math.IsNaN(x) && y != 0, math.IsNaN(y) && x != 1:
		return math.NaN(), nil
	case x == 0 && y < 0:
		return 0, errZeroPower
	case x < 0 && math.Floor(y) != y:
		return 0, errComplexPower
	}
	r := exactPow(x, y)
	switch {
	case math.IsInf(x, 0) || math.IsInf(y, 0):
	case math.IsInf(r, 0):
		return 0, floatOverflow()
	case r == 0 && x != 0:
		return 0, floatUnderflow()
	}
	return r, nil
}

// addIntegers defines functions of whole numbers and of the digits of numeric.
func (c *catalog) addIntegers() {
	const g = "Mathematics"
	gcd := func(t Type) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			n := new(big.Int).GCD(nil, nil, new(big.Int).Abs(big.NewInt(a[0].i)), new(big.Int).Abs(big.NewInt(a[1].i)))
			return bigInt(n, t)
		}
	}
	lcm := func(t Type) func(a []value) (value, error) {
		return func(a []value) (value, error) { return bigInt(bigLCM(big.NewInt(a[0].i), big.NewInt(a[1].i)), t) }
	}
	onAligned := func(f func(x, y *big.Int) *big.Int) func(a []value) (value, error) {
		return numericFn2(func(x, y *numeric) (*numeric, error) {
			if x.kind != finite || y.kind != finite {
				return &numeric{kind: notANumber}, nil
			}
			p, q, scale := aligned(x, y)
			n := &numeric{scale: scale}
			n.coef.Set(f(p, q))
			return n.checked()
		})
	}
	c.fn(g, "gcd", "greatest common divisor", "SELECT gcd(1071, 462)", pairs{
		"int4,int4:int4", gcd(Int4), "int8,int8:int8", gcd(Int8), "numeric,numeric:numeric", onAligned(func(x, y *big.Int) *big.Int {
			return new(big.Int).GCD(nil, nil, new(big.Int).Abs(x), new(big.Int).Abs(y))
		}),
	})
	c.fn(g, "lcm", "least common multiple", "SELECT lcm(1071, 462)", pairs{"int4,int4:int4", lcm(Int4), "int8,int8:int8", lcm(Int8), "numeric,numeric:numeric", onAligned(bigLCM)})
	c.fn(g, "factorial", "factorial", "SELECT factorial(5)", pairs{"int8:numeric", func(a []value) (value, error) {
		switch n := a[0].i; {
		case n < 0:
			return null, fail(codeOutOfRange, "factorial of a negative number is undefined")
		case n > 32177:
			return null, numericOverflow()
		default:
			return numValue(numericFromBig(new(big.Int).MulRange(1, max(n, 1)))), nil
		}
	}})
	c.fn(g, "div", "quotient cut to an integer", "SELECT div(9, 4)", pairs{"numeric,numeric:numeric", numericFn2(func(x, y *numeric) (*numeric, error) {
		if x.kind == notANumber || y.kind == notANumber {
			return &numeric{kind: notANumber}, nil
		}
		if y.kind == finite && y.sign() == 0 {
			return nil, errDivisionByZero
		}
		if x.kind != finite || y.kind != finite {
			return special(x.proxy() / y.proxy()), nil
		}
		p, q, _ := aligned(x, y)
		return numericFromBig(new(big.Int).Quo(p, q)), nil
	})})
	minScale := func(n *numeric) int {
		if _, frac, ok := strings.Cut(n.trimmed(), "."); ok {
			return len(frac)
		}
		return 0
	}
	finiteScale := func(f func(n *numeric) int) func(a []value) value {
		return func(a []value) value {
			if n := a[0].numeric(); n.kind == finite {
				return intValue(int64(f(n)))
			}
			return null
		}
	}
	c.fn(g, "pg_size_pretty", "number of bytes with a unit, 1 kB being 1024 bytes", "SELECT pg_size_pretty(1572864::bigint)", pairs{
		"int8:text", func(a []value) value { return textValue(sizePretty(numericInt(a[0].i))) },
		"numeric:text", func(a []value) value { return textValue(sizePretty(a[0].numeric())) },
	})
	c.fn(g, "scale", "number of decimals shown", "SELECT scale(8.4100)", pairs{"numeric:int4", finiteScale(func(n *numeric) int { return n.scale })})
	c.fn(g, "min_scale", "number of decimals needed", "SELECT min_scale(8.4100)", pairs{"numeric:int4", finiteScale(minScale)})
	c.fn(g, "trim_scale", "number without zeros at the end of its decimals", "SELECT trim_scale(8.4100)", pairs{"numeric:numeric", func(a []value) value {
		if n := a[0].numeric(); n.kind == finite {
			return numValue(n.trunc(minScale(n)))
		}
		return a[0]
	}})
	c.addWidthBucket()
}

func bigLCM(x, y *big.Int) *big.Int {
	if x.Sign() == 0 || y.Sign() == 0 {
		return new(big.Int)
	}
	x, y = new(big.Int).Abs(x), new(big.Int).Abs(y)
	d := new(big.Int).GCD(nil, nil, x, y)
	return x.Mul(x.Quo(x, d), y)
}

func bigInt(n *big.Int, t Type) (value, error) {
	if !n.IsInt64() {
		return null, outOfRange(t)
	}
	i, err := checkInt(t, n.Int64())
	return intValue(i), err
}

func (c *catalog) addWidthBucket() {
	const code = "2201G"
	check := func(count int64, nan, equal, infinite bool) error {
		switch {
		case count <= 0:
			return fail(code, "count must be greater than zero")
		case nan:
			return fail(code, "operand, lower bound, and upper bound cannot be NaN")
		case infinite:
			return fail(code, "lower and upper bounds must be finite")
		case equal:
			return fail(code, "lower bound cannot equal upper bound")
		}
		return nil
	}
	place := func(count int64, below, above bool, inside func() int64) (value, error) {
		switch {
		case below:
			return intValue(0), nil
		case above:
			i, err := checkInt(Int4, count+1)
			return intValue(i), err
		}
		return intValue(min(inside(), count-1) + 1), nil
	}
	c.fn("Mathematics", "width_bucket", "number of the bucket, of so many between two bounds, that a number is in; or of the range between sorted thresholds", "SELECT width_bucket(5.35, 0.024, 10.06, 5), width_bucket(5, ARRAY[1,3,9])", pairs{
		"float8,float8,float8,int4:int4", func(a []value) (value, error) {
			x, low, high, count := a[0].f, a[1].f, a[2].f, a[3].i
			if err := check(count, math.IsNaN(x) || math.IsNaN(low) || math.IsNaN(high), low == high, math.IsInf(low, 0) || math.IsInf(high, 0)); err != nil {
				return null, err
			}
			below, above := x < low, x >= high
			if low > high {
				below, above = x > low, x <= high
			}
			return place(count, below, above, func() int64 {
				if math.IsInf(high-low, 0) {
					x, low, high = x/2, low/2, high/2
				}
				return int64(float64(count) * ((x - low) / (high - low)))
			})
		},
		"numeric,numeric,numeric,int4:int4", func(a []value) (value, error) {
			x, low, high, count := a[0].numeric(), a[1].numeric(), a[2].numeric(), a[3].i
			nan := x.kind == notANumber || low.kind == notANumber || high.kind == notANumber
			if err := check(count, nan, low.cmp(high) == 0, low.kind != finite || high.kind != finite); err != nil {
				return null, err
			}
			below, above := x.cmp(low) < 0, x.cmp(high) >= 0
			if low.cmp(high) > 0 {
				below, above = x.cmp(low) > 0, x.cmp(high) <= 0
			}
			return place(count, below, above, func() int64 {
				part, _ := numericSub(x, low)
				whole, _ := numericSub(high, low)
				p, q, _ := aligned(part, whole)
				p = new(big.Int).Mul(p, big.NewInt(count))
				return p.Quo(p, q).Int64()
			})
		},
		"anycompatible,anycompatiblearray:int4", func(a []value) (value, error) {
			list, t := elements(a[1]), elemType(a[1])
			low, high := 0, len(list)
			for _, e := range list {
				if e.null {
					return null, fail("22004", "thresholds array must not contain NULLs")
				}
			}
			for low < high {
				mid := (low + high) / 2
				if compare(t, a[0], list[mid]) < 0 {
					high = mid
				} else {
					low = mid + 1
				}
			}
			return intValue(int64(low)), nil
		},
	})
}

// sizePretty is pg_size_pretty: in the first unit of which there are less than
// 20 Ki, halves rounded away from zero (dbsize.c).
func sizePretty(n *numeric) string {
	if n.kind != finite {
		return n.String() + " PB"
	}
	if n.cmp(numericInt(10<<10)) < 0 && n.cmp(numericInt(-10<<10)) > 0 {
		return n.String() + " bytes"
	}
	size := &n.towards(0).coef
	size.Quo(size, big.NewInt(512)) // in half kB
	units := []string{" kB", " MB", " GB", " TB", " PB"}
	for i, unit := range units {
		if i == len(units)-1 || size.CmpAbs(big.NewInt(20<<10-1)) < 0 {
			size.Add(size, big.NewInt(int64(size.Sign())))
			return size.Quo(size, big.NewInt(2)).String() + unit
		}
		size.Quo(size, big.NewInt(1<<10))
	}
	return ""
}

package sql

import (
	"math"
	"math/big"
	"sync"
)

// Functions of double precision that are rounded correctly, nearly always:
// computed with 128 bits or more. PostgreSQL's come from the C library, whose
// results are so too but for about one in a hundred; Go's own differ in a
// quarter of all cases, in the last digit.
const exactBits = 160

func bigOf(x float64) *big.Float { return new(big.Float).SetPrec(exactBits).SetFloat64(x) }

func rounded(f *big.Float) float64 {
	r, _ := f.Float64()
	return r
}

// usual reports whether x is neither zero, nor NaN, nor infinite.
func usual(x float64) bool { return x != 0 && !math.IsNaN(x) && !math.IsInf(x, 0) }

func exactExp(x float64) float64 {
	if !usual(x) || math.Abs(x) > 800 || math.Abs(x) < 1e-30 {
		return math.Exp(x)
	}
	return rounded(bigExp(bigOf(x), exactBits))
}

func exactLn(x float64) float64 {
	if !usual(x) || x < 0 || x == 1 {
		return math.Log(x)
	}
	return rounded(bigLnOf(x))
}

// bigLnOf is ln(x), by one step of Halley's method: 3 × 53 bits.
func bigLnOf(x float64) *big.Float {
	y := bigOf(math.Log(x))
	e := bigExp(y, exactBits)
	num, den := new(big.Float).SetPrec(exactBits).Sub(bigOf(x), e), e.Add(e, bigOf(x))
	num.Mul(num, bigOf(2))
	return y.Add(y, num.Quo(num, den))
}

// exactLog10 adds what the exponent and the rest give, as C libraries do; it
// is not always rounded correctly, but as there.
func exactLog10(x float64) float64 {
	if !usual(x) || x < 0 || x == 1 {
		return math.Log10(x)
	}
	// log10(2) in two parts, of which the first times an exponent is exact.
	const high, low, perE = 0x1.34413509f6p-2, 0x1.9fef311f12b36p-42, 1 / math.Ln10
	m, k := math.Frexp(x)
	k-- // m from 1 to 2
	m *= 2
	if k < 0 {
		k, m = k+1, m/2
	}
	return float64(float64(k)*low) + float64(perE*exactLn(m)) + float64(k)*high
}

func exactPow(x, y float64) float64 {
	r := math.Pow(x, y)
	if !usual(x) || !usual(y) || !usual(r) || math.Abs(x) == 1 || y == 1 {
		return r
	}
	l := bigLnOf(math.Abs(x))
	out := rounded(bigExp(l.Mul(l, bigOf(y)), exactBits))
	if r < 0 {
		return -out
	}
	return out
}

// cbrt is that of glibc before 2.41 (sysdeps/ieee754/dbl-64/s_cbrt.c), whose
// last digit is often not the nearest one. The conversions keep products from
// being fused with sums.
func cbrt(x float64) float64 {
	if !usual(x) {
		return x
	}
	const root2, root4 float64 = 1.2599210498948731648, 1.5874010519681994748
	factors := [...]float64{1 / root4, 1 / root2, 1, root2, root4}
	m, e := math.Frexp(math.Abs(x))
	u := 0.0
	for _, c := range [...]float64{-0.145263899385486367, 0.784932344976639262, -1.83469277483613086, 2.44693122563534430, -2.11499494167371287, 1.50819193781584896} {
		u = float64((u + c) * m)
	}
	u += 0.354895765043919860
	cube := float64(float64(u*u) * u)
	y := float64(u*float64(cube+2*m)) / float64(2*cube+m) * factors[2+e%3]
	return math.Ldexp(math.Copysign(y, x), e/3)
}

// bigPi is π to prec bits, by Machin's formula.
func bigPi(prec uint) *big.Float {
	work := prec + 32
	arctan := func(n int64) *big.Float { // of 1/n
		z := new(big.Float).SetPrec(work).Quo(big.NewFloat(1), new(big.Float).SetInt64(n))
		return bigAtanSeries(z, work)
	}
	a, b := arctan(5), arctan(239)
	a.Mul(a, big.NewFloat(16))
	return a.Sub(a, b.Mul(b, big.NewFloat(4)))
}

// pi has enough bits to reduce any float64.
var pi = sync.OnceValue(func() *big.Float { return bigPi(1024 + 2*exactBits) })

// bigAtanSeries is z - z³/3 + z⁵/5 …
func bigAtanSeries(z *big.Float, work uint) *big.Float {
	square := new(big.Float).SetPrec(work).Mul(z, z)
	square.Neg(square)
	sum, power := new(big.Float).SetPrec(work).Set(z), new(big.Float).SetPrec(work).Set(z)
	for i := int64(3); power.Sign() != 0; i += 2 {
		power.Mul(power, square)
		term := new(big.Float).SetPrec(work).Quo(power, new(big.Float).SetInt64(i))
		if term.Sign() == 0 || term.MantExp(nil) < sum.MantExp(nil)-int(work) {
			break
		}
		sum.Add(sum, term)
	}
	return sum
}

// bigSinCos is the sine and cosine of x, which may be any float64.
func bigSinCos(x float64) (sin, cos *big.Float) {
	prec := uint(exactBits + 64 + max(math.Ilogb(x), 0))
	half := new(big.Float).SetPrec(prec).Set(pi())
	half.SetMantExp(half, -1)
	r := new(big.Float).SetPrec(prec).SetFloat64(x)
	turns, _ := new(big.Float).SetPrec(prec).Quo(r, half).Int(nil)
	r.Sub(r, new(big.Float).SetPrec(prec).Mul(half, new(big.Float).SetPrec(prec).SetInt(turns)))
	r.SetPrec(exactBits + 64)
	square := new(big.Float).SetPrec(exactBits+64).Mul(r, r)
	square.Neg(square)
	series := func(first *big.Float, n int64) *big.Float {
		sum, term := new(big.Float).SetPrec(exactBits+64).Set(first), new(big.Float).SetPrec(exactBits+64).Set(first)
		for ; term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-exactBits-64; n += 2 {
			term.Mul(term, square)
			term.Quo(term, new(big.Float).SetInt64(n*(n+1)))
			sum.Add(sum, term)
		}
		return sum
	}
	sin, cos = series(r, 2), series(big.NewFloat(1), 1)
	switch new(big.Int).And(turns, big.NewInt(3)).Int64() {
	case 1:
		sin, cos = cos, sin.Neg(sin)
	case 2:
		sin, cos = sin.Neg(sin), cos.Neg(cos)
	case 3:
		sin, cos = cos.Neg(cos), sin
	}
	return sin, cos
}

func exactSin(x float64) float64 {
	if !usual(x) || math.Abs(x) < 1e-8 {
		return math.Sin(x)
	}
	s, _ := bigSinCos(x)
	return rounded(s)
}

func exactCos(x float64) float64 {
	if !usual(x) || math.Abs(x) < 1e-9 {
		return math.Cos(x)
	}
	_, c := bigSinCos(x)
	return rounded(c)
}

func exactTan(x float64) float64 {
	if !usual(x) || math.Abs(x) < 1e-8 {
		return math.Tan(x)
	}
	s, c := bigSinCos(x)
	return rounded(s.Quo(s, c))
}

// bigAtan is the inverse tangent of y/x for x > 0: the approximation a, and
// the inverse tangent of what is left of the angle.
func bigAtan(y, x *big.Float, a float64) *big.Float {
	s, c := new(big.Float).SetPrec(exactBits), new(big.Float).SetPrec(exactBits).SetInt64(1)
	out := bigOf(a)
	if a != 0 {
		s, c = bigSinCos(a)
	}
	mul := func(p, q *big.Float) *big.Float { return new(big.Float).SetPrec(exactBits).Mul(p, q) }
	num := mul(y, c)
	num.Sub(num, mul(x, s))
	den := mul(x, c)
	den.Add(den, mul(y, s))
	return out.Add(out, bigAtanSeries(num.Quo(num, den), exactBits))
}

func exactAtan(x float64) float64 {
	if !usual(x) || math.Abs(x) < 1e-8 || math.Abs(x) > 1e300 {
		return math.Atan(x)
	}
	return rounded(bigAtan(bigOf(x), bigOf(1), math.Atan(x)))
}

// exactAsin is atan(x / √(1-x²)).
func exactAsin(x float64) float64 {
	if !usual(x) || math.Abs(x) >= 1 || math.Abs(x) < 1e-8 {
		return math.Asin(x)
	}
	return rounded(bigAtan(bigOf(x), cathetus(x), math.Asin(x)))
}

func exactAcos(x float64) float64 {
	if !usual(x) || math.Abs(x) >= 1 {
		return math.Acos(x)
	}
	return rounded(bigAtan(cathetus(x), bigOf(x), math.Acos(x)))
}

// cathetus is √(1-x²).
func cathetus(x float64) *big.Float {
	s := new(big.Float).SetPrec(exactBits).Mul(bigOf(x), bigOf(x))
	s.Sub(bigOf(1), s)
	return s.Sqrt(s)
}

func exactAtan2(y, x float64) float64 {
	if !usual(x) || !usual(y) || math.Abs(math.Logb(x)-math.Logb(y)) > 50 {
		return math.Atan2(y, x)
	}
	return rounded(bigAtan(bigOf(y), bigOf(x), math.Atan2(y, x)))
}

// exactSinh and exactCosh are made of eˣ in the ways of C libraries, whose
// roundings they share.
func exactSinh(x float64) float64 {
	if !usual(x) || math.Abs(x) > 700 || math.Abs(x) < 1e-5 {
		return math.Sinh(x)
	}
	e := bigExp(bigOf(math.Abs(x)), exactBits)
	t := rounded(e.Sub(e, bigOf(1)))
	h := math.Copysign(0.5, x)
	if math.Abs(x) < 1 {
		return h * (float64(2*t) - float64(t*t)/(t+1))
	}
	return h * (t + t/(t+1))
}

func exactCosh(x float64) float64 {
	if !usual(x) || math.Abs(x) > 700 || math.Abs(x) < math.Ln2/2 {
		return math.Cosh(x)
	}
	t := exactExp(math.Abs(x))
	return float64(0.5*t) + 0.5/t
}

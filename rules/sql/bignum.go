package sql

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// bigFloat is n with prec bits.
func (n *numeric) bigFloat(prec uint) *big.Float {
	f := new(big.Float).SetPrec(prec).SetInt(&n.coef)
	if n.scale == 0 {
		return f
	}
	return f.Quo(f, new(big.Float).SetPrec(prec).SetInt(pow10(n.scale)))
}

// numericBig is f rounded half away from zero to scale decimals.
func numericBig(f *big.Float, scale int) (*numeric, error) {
	prec := max(f.Prec(), 64) + uint(4*scale)
	g := new(big.Float).SetPrec(prec).SetInt(pow10(scale))
	g.Mul(g, f)
	half := big.NewFloat(0.5)
	if g.Sign() < 0 {
		half.Neg(half)
	}
	g.Add(g, half)
	n := &numeric{scale: scale}
	g.Int(&n.coef)
	return n.checked()
}

// bigExp is e^x, to about prec bits.
func bigExp(x *big.Float, prec uint) *big.Float {
	// x/2^k is small enough for few terms of the series, and squaring k times
	// gives the bits back.
	k := max(x.MantExp(nil)+8, 0)
	work := prec + 2*uint(k) + 64
	r := new(big.Float).SetPrec(work).Set(x)
	r.SetMantExp(r, -k)
	sum, term := new(big.Float).SetPrec(work).SetInt64(1), new(big.Float).SetPrec(work).SetInt64(1)
	for i := int64(1); term.Sign() != 0 && term.MantExp(nil) > -int(work); i++ {
		term.Mul(term, r)
		term.Quo(term, new(big.Float).SetInt64(i))
		sum.Add(sum, term)
	}
	for range k {
		sum.Mul(sum, sum)
	}
	return sum.SetPrec(prec)
}

// bigAtanh is the series z + z³/3 + z⁵/5 …, for small z.
func bigAtanh(z *big.Float, work uint) *big.Float {
	square := new(big.Float).SetPrec(work).Mul(z, z)
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

// bigLn is the natural logarithm of x > 0, to about prec bits of the result.
func bigLn(x *big.Float, prec uint) *big.Float {
	work := prec + 64
	m := new(big.Float).SetPrec(max(work, x.Prec()))
	e := x.MantExp(m)
	if f, _ := m.Float64(); f < 0.75 {
		m.SetMantExp(m, 1)
		e--
	}
	one := big.NewFloat(1)
	ratio := func(v *big.Float) *big.Float { // (v-1)/(v+1), whose atanh is ln(v)/2
		p := max(work, v.Prec())
		a, b := new(big.Float).SetPrec(p).Sub(v, one), new(big.Float).SetPrec(p).Add(v, one)
		return a.Quo(a, b)
	}
	// Square roots bring m near to 1, where the series is short.
	roots := 0
	if e != 0 || new(big.Float).Sub(m, one).MantExp(nil) > -16 {
		for ; roots < 10; roots++ {
			m.Sqrt(m)
		}
	}
	sum := bigAtanh(ratio(m), max(work, m.Prec()))
	sum.SetMantExp(sum, roots+1)
	if e != 0 {
		two := bigAtanh(new(big.Float).SetPrec(work).Quo(one, big.NewFloat(3)), work)
		two.SetMantExp(two, 1)
		sum.Add(sum, two.Mul(two, new(big.Float).SetInt64(int64(e))))
	}
	return sum.SetPrec(prec)
}

// bigits returns the first k digits of base 10000, as PostgreSQL holds them,
// and the weight of the first; none for 0.
func (n *numeric) bigits(k int) (list []int, weight int) {
	s := strings.TrimPrefix(n.coef.String(), "-")
	if s == "0" {
		return nil, 0
	}
	top := len(s) - n.scale - 1 // power of ten of the first decimal digit
	weight = int(math.Floor(float64(top) / 4))
	take := top - weight*4 + 1
	for len(list) < k && s != "" {
		if len(s) < take {
			s += strings.Repeat("0", take-len(s))
		}
		d, _ := strconv.Atoi(s[:take])
		list, s, take = append(list, d), s[take:], 4
	}
	return list, weight
}

// lnWeight estimates the decimal weight of n's logarithm (estimate_ln_dweight).
func (n *numeric) lnWeight() int {
	one := numericInt(1)
	nine, eleven := scaled(9, 1), scaled(11, 1)
	if n.cmp(nine) >= 0 && n.cmp(eleven) <= 0 {
		x, _ := numericSub(n, one)
		d, weight := x.bigits(1)
		if d == nil {
			return 0
		}
		return weight*4 + int(math.Log10(float64(d[0])))
	}
	d, weight := n.bigits(2)
	if d == nil {
		return 0
	}
	first, power := float64(d[0]), weight*4
	if len(d) > 1 {
		first, power = first*10000+float64(d[1]), power-4
	}
	return int(math.Log10(math.Abs(math.Log(first) + float64(power)*2.302585092994046)))
}

// resultScale is a scale that shows 16 significant digits of a result of that
// weight, and no fewer decimals than the arguments have.
func resultScale(weight int, args ...*numeric) int {
	s := 16 - weight
	for _, a := range args {
		s = max(s, a.scale)
	}
	return min(max(s, 0), 1000)
}

// bitsFor is how many bits so many decimal digits take, with some to spare.
func bitsFor(digits int) uint { return uint(max(digits, 0)*10/3) + 128 }

const maxExponent = 6000 // NUMERIC_MAX_RESULT_SCALE * 3

func numericOverflow() error { return fail(codeOutOfRange, "value overflows numeric format") }

// expTo is e^n with scale decimals (exp_var).
func (n *numeric) expTo(f float64, x func(prec uint) *big.Float, scale int) (*numeric, error) {
	if math.Abs(f) >= maxExponent {
		if f > 0 {
			return nil, numericOverflow()
		}
		return &numeric{scale: scale}, nil
	}
	prec := bitsFor(scale + max(int(f/2), 0) + 10)
	return numericBig(bigExp(x(prec+32), prec), scale)
}

func (n *numeric) exp() (*numeric, error) {
	switch n.kind {
	case notANumber, posInfinity:
		return n, nil
	case negInfinity:
		return numericInt(0), nil
	}
	f := n.approximate()
	weight := int(min(max(f*0.434294481903252, -2000), 2000))
	return n.expTo(f, n.bigFloat, resultScale(weight, n))
}

// approximate is n as a float64, infinite if it is too large.
func (n *numeric) approximate() float64 {
	f, _ := strconv.ParseFloat(n.String(), 64)
	return f
}

var (
	errLogZero     = fail("2201E", "cannot take logarithm of zero")
	errLogNegative = fail("2201E", "cannot take logarithm of a negative number")
)

func checkLog(sign int) error {
	switch {
	case sign < 0:
		return errLogNegative
	case sign == 0:
		return errLogZero
	}
	return nil
}

// lnBits is ln(n) with digits significant digits, for n > 0.
func (n *numeric) lnBits(digits int) *big.Float {
	prec := bitsFor(digits)
	return bigLn(n.bigFloat(prec+bitsFor(max(-n.lnWeight(), 0))), prec)
}

func (n *numeric) ln() (*numeric, error) {
	if n.kind == notANumber {
		return n, nil
	}
	if err := checkLog(n.sign()); err != nil || n.kind == posInfinity {
		return n, err
	}
	scale := resultScale(n.lnWeight(), n)
	return numericBig(n.lnBits(scale+20), scale)
}

// numericLog is the logarithm of n to a base.
func numericLog(base, n *numeric) (*numeric, error) {
	if base.kind == notANumber || n.kind == notANumber {
		return &numeric{kind: notANumber}, nil
	}
	switch {
	case base.sign() < 0 || n.sign() < 0:
		return nil, errLogNegative
	case base.sign() == 0 || n.sign() == 0:
		return nil, errLogZero
	case base.kind == posInfinity && n.kind == posInfinity:
		return &numeric{kind: notANumber}, nil
	case base.kind == posInfinity:
		return numericInt(0), nil
	case n.kind == posInfinity:
		return n, nil
	case base.cmp(numericInt(1)) == 0:
		return nil, errDivisionByZero
	}
	weight := n.lnWeight() - base.lnWeight()
	scale := resultScale(weight, base, n)
	digits := scale + max(weight, 0) + 20
	l := n.lnBits(digits)
	return numericBig(l.Quo(l, base.lnBits(digits)), scale)
}

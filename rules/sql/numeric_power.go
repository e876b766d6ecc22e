package sql

import (
	"math"
	"math/big"
)

var (
	errZeroPower    = fail("2201F", "zero raised to a negative power is undefined")
	errComplexPower = fail("2201F", "a negative number raised to a non-integer power yields a complex result")
)

// integral reports whether n has no decimals but zeros.
func (n *numeric) integral() bool {
	return n.kind == finite && (n.scale == 0 || new(big.Int).Rem(&n.coef, pow10(n.scale)).Sign() == 0)
}

func (n *numeric) odd() bool { return n.integral() && n.towards(0).coef.Bit(0) == 1 }

// numericPower is numeric_power; NaN and infinities follow POSIX's pow.
func numericPower(base, exp *numeric) (*numeric, error) {
	one := numericInt(1)
	isOne := func(n *numeric) bool { return n.kind == finite && n.cmp(one) == 0 }
	isZero := func(n *numeric) bool { return n.kind == finite && n.sign() == 0 }
	switch {
	case base.kind == notANumber:
		if isZero(exp) {
			return one, nil
		}
		return base, nil
	case exp.kind == notANumber:
		if isOne(base) {
			return one, nil
		}
		return exp, nil
	case isZero(base) && exp.sign() < 0:
		return nil, errZeroPower
	case base.sign() < 0 && exp.kind == finite && !exp.integral():
		return nil, errComplexPower
	case base.kind != finite || exp.kind != finite:
		return specialPower(base, exp)
	case exp.integral():
		if i := &exp.towards(0).coef; i.IsInt64() && i.Int64() == int64(int32(i.Int64())) {
			return base.powerInt(i.Int64())
		}
	}
	if isZero(base) {
		return &numeric{scale: 16}, nil
	}
	negative := base.sign() < 0 && exp.odd()
	if base.sign() < 0 {
		base = base.neg()
	}
	// The result is e^(exp × ln(base)); its weight decides on the scale.
	product := func(prec uint) *big.Float {
		l := bigLn(base.bigFloat(prec+bitsFor(max(-base.lnWeight(), 0))), prec)
		return l.Mul(l, exp.bigFloat(prec))
	}
	f, _ := product(256).Float64()
	if math.Abs(f) > 2000*3.01 {
		if f > 0 {
			return nil, numericOverflow()
		}
		return &numeric{scale: 1000}, nil
	}
	scale := resultScale(int(f*0.434294481903252), base, exp)
	out, err := base.expTo(f, product, scale)
	if err == nil && negative {
		out = out.neg()
	}
	return out, err
}

func specialPower(base, exp *numeric) (*numeric, error) {
	one, zero, infinite := numericInt(1), numericInt(0), &numeric{kind: posInfinity}
	sign := exp.sign()
	switch {
	case base.kind == finite && base.cmp(one) == 0, sign == 0:
		return one, nil
	case base.kind == finite && base.sign() == 0:
		return zero, nil
	case exp.kind != finite:
		large := base.kind != finite
		if !large {
			if base.cmp(numericInt(-1)) == 0 {
				return one, nil
			}
			large = base.coef.CmpAbs(pow10(base.scale)) > 0
		}
		if large == (sign > 0) {
			return infinite, nil
		}
		return zero, nil
	case sign < 0:
		return zero, nil
	case base.kind == negInfinity && exp.odd():
		return base, nil
	}
	return infinite, nil
}

// powerInt is power_var_int.
func (n *numeric) powerInt(exp int64) (*numeric, error) {
	weight := 0.0
	if d, w := n.bigits(4); d != nil {
		f, p := float64(d[0]), w*4
		for _, digit := range d[1:] {
			f, p = f*10000+float64(digit), p-4
		}
		weight = float64(exp) * (math.Log10(f) + float64(p))
	}
	if weight > (32767+1)*4 {
		return nil, numericOverflow()
	}
	scale := min(max(16, n.scale), 1000)
	if weight+1 < -float64(scale)-4 {
		return &numeric{scale: scale}, nil
	}
	switch exp {
	case 0:
		return numericInt(1).round(scale), nil
	case 1:
		return n.round(scale), nil
	case -1:
		return quotient(numericInt(1), n, scale).checked()
	}
	if n.sign() == 0 {
		return &numeric{scale: scale}, nil
	}
	prec := bitsFor(scale + max(int(weight), 0) + 20)
	f := n.bigFloat(prec + 64)
	out := new(big.Float).SetPrec(prec + 64).SetInt64(1)
	for e := magnitude(exp); e > 0; e >>= 1 {
		if e&1 == 1 {
			out.Mul(out, f)
		}
		f.Mul(f, f)
	}
	if exp < 0 {
		out.Quo(big.NewFloat(1).SetPrec(prec+64), out)
	}
	return numericBig(out, scale)
}

// sqrtTo is the square root with scale decimals.
func (n *numeric) sqrtTo(scale int) *numeric {
	// ⌊√(coef × 10^(2·(scale+1) - n.scale))⌋, whose last digit is for rounding:
	// a root is never just half way.
	shifted := new(big.Int).Set(&n.coef)
	if s := 2*(scale+1) - n.scale; s >= 0 {
		shifted.Mul(shifted, pow10(s))
	} else {
		shifted.Quo(shifted, pow10(-s))
	}
	out := &numeric{scale: scale + 1}
	out.coef.Sqrt(shifted)
	return out.round(scale)
}

func (n *numeric) sqrt() (*numeric, error) {
	switch {
	case n.kind == notANumber || n.kind == posInfinity:
		return n, nil
	case n.sign() < 0:
		return nil, fail("2201F", "cannot take square root of a negative number")
	}
	_, weight := n.bigits(1)
	return n.sqrtTo(resultScale((weight+1)*4/2-1, n)), nil
}

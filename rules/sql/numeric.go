package sql

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// numeric is PostgreSQL's numeric: coef × 10^-scale, where scale ≥ 0 is the
// number of digits shown after the point ("display scale"). It is not changed
// once made.
type numeric struct {
	coef  big.Int
	scale int
	kind  numericKind
}

type numericKind uint8

const (
	finite numericKind = iota
	negInfinity
	posInfinity
	notANumber
)

const (
	maxNumericScale  = 16383  // NUMERIC_DSCALE_MAX
	maxNumericDigits = 131072 // before the point
)

func numericInt(i int64) *numeric {
	n := new(numeric)
	n.coef.SetInt64(i)
	return n
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// parseNumeric reads a number as numeric_in does, without surrounding space.
func parseNumeric(s string) (*numeric, error) {
	bad := func() (*numeric, error) {
		return nil, fail(codeInvalidText, "invalid input syntax for type numeric: %q", s)
	}
	t := strings.Trim(s, " \t\n\r\v\f")
	switch strings.ToLower(t) {
	case "nan":
		return &numeric{kind: notANumber}, nil
	case "inf", "infinity", "+inf", "+infinity":
		return &numeric{kind: posInfinity}, nil
	case "-inf", "-infinity":
		return &numeric{kind: negInfinity}, nil
	}
	mant, expo := t, 0
	if i := strings.IndexAny(t, "eE"); i >= 0 {
		e, err := strconv.Atoi(t[i+1:])
		if err != nil || i+1 < len(t) && t[i+1] == '+' && len(t) == i+2 {
			return bad()
		}
		if e > maxNumericDigits*2 || e < -maxNumericDigits*2 {
			return nil, fail(codeOutOfRange, "value overflows numeric format")
		}
		mant, expo = t[:i], e
	}
	sign := ""
	if mant != "" && (mant[0] == '-' || mant[0] == '+') {
		sign, mant = strings.TrimPrefix(mant[:1], "+"), mant[1:]
	}
	whole, frac, _ := strings.Cut(mant, ".")
	digits := whole + frac
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return bad()
	}
	if digits = strings.TrimLeft(digits, "0"); len(digits) > 2*maxNumericDigits {
		return nil, fail(codeOutOfRange, "value overflows numeric format")
	}
	if digits == "" {
		digits = "0"
	}
	n := &numeric{scale: len(frac) - expo}
	n.coef.SetString(sign+digits, 10)
	if n.scale < 0 {
		n.coef.Mul(&n.coef, pow10(-n.scale))
		n.scale = 0
	}
	if n.scale > maxNumericScale {
		return nil, fail(codeOutOfRange, "value overflows numeric format")
	}
	return n.checked()
}

// checked returns n within the range of the type.
func (n *numeric) checked() (*numeric, error) {
	if n.scale > maxNumericScale {
		n = n.round(maxNumericScale)
	}
	if n.coef.BitLen() > maxNumericDigits*3 && len(n.coef.String())-n.scale > maxNumericDigits {
		return nil, fail(codeOutOfRange, "value overflows numeric format")
	}
	return n, nil
}

func (n *numeric) String() string {
	switch n.kind {
	case negInfinity:
		return "-Infinity"
	case posInfinity:
		return "Infinity"
	case notANumber:
		return "NaN"
	}
	s := n.coef.String()
	if n.scale == 0 {
		return s
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if len(s) <= n.scale {
		s = strings.Repeat("0", n.scale-len(s)+1) + s
	}
	return sign + s[:len(s)-n.scale] + "." + s[len(s)-n.scale:]
}

// trimmed is the text without trailing zeros: equal for equal numbers.
func (n *numeric) trimmed() string {
	s := n.String()
	if n.kind == finite && strings.IndexByte(s, '.') >= 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		if s == "-0" {
			s = "0"
		}
	}
	return s
}

// aligned returns the coefficients of a and b at their greater scale.
func aligned(a, b *numeric) (x, y *big.Int, scale int) {
	x, y, scale = &a.coef, &b.coef, max(a.scale, b.scale)
	if a.scale < scale {
		x = new(big.Int).Mul(x, pow10(scale-a.scale))
	}
	if b.scale < scale {
		y = new(big.Int).Mul(y, pow10(scale-b.scale))
	}
	return x, y, scale
}

func (n *numeric) sign() int {
	switch n.kind {
	case negInfinity:
		return -1
	case posInfinity:
		return 1
	}
	return n.coef.Sign()
}

func (a *numeric) cmp(b *numeric) int {
	if a.kind != finite || b.kind != finite {
		rank := func(n *numeric) int {
			return [...]int{finite: 0, negInfinity: -1, posInfinity: 1, notANumber: 2}[n.kind]
		}
		return compareInts(rank(a), rank(b))
	}
	x, y, _ := aligned(a, b)
	return x.Cmp(y)
}

func compareInts(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// special gives the result of an operation on NaN or an infinity by the
// rules of float8, which are PostgreSQL's for numeric too.
func special(f float64) *numeric {
	switch {
	case math.IsNaN(f):
		return &numeric{kind: notANumber}
	case math.IsInf(f, 1):
		return &numeric{kind: posInfinity}
	case math.IsInf(f, -1):
		return &numeric{kind: negInfinity}
	}
	return &numeric{}
}

// proxy is a float64 with the kind and sign of n.
func (n *numeric) proxy() float64 {
	switch n.kind {
	case notANumber:
		return math.NaN()
	case posInfinity:
		return math.Inf(1)
	case negInfinity:
		return math.Inf(-1)
	}
	return float64(n.coef.Sign())
}

func numericAdd(a, b *numeric) (*numeric, error) {
	if a.kind != finite || b.kind != finite {
		return special(a.proxy() + b.proxy()), nil
	}
	x, y, scale := aligned(a, b)
	n := &numeric{scale: scale}
	n.coef.Add(x, y)
	return n.checked()
}

func (n *numeric) neg() *numeric {
	if n.kind != finite {
		return special(-n.proxy())
	}
	m := &numeric{scale: n.scale}
	m.coef.Neg(&n.coef)
	return m
}

func numericSub(a, b *numeric) (*numeric, error) { return numericAdd(a, b.neg()) }

func numericMul(a, b *numeric) (*numeric, error) {
	if a.kind != finite || b.kind != finite {
		return special(a.proxy() * b.proxy()), nil
	}
	n := &numeric{scale: a.scale + b.scale}
	n.coef.Mul(&a.coef, &b.coef)
	return n.checked()
}

var errDivisionByZero = fail(codeDivisionByZero, "division by zero")

func numericDiv(a, b *numeric) (*numeric, error) {
	if a.kind == notANumber || b.kind == notANumber {
		return &numeric{kind: notANumber}, nil
	}
	if b.kind == finite && b.sign() == 0 {
		return nil, errDivisionByZero
	}
	if a.kind != finite || b.kind != finite {
		return special(a.proxy() / b.proxy()), nil
	}
	return quotient(a, b, divScale(a, b)), nil
}

// quotient is a/b rounded half away from zero to scale digits.
func quotient(a, b *numeric, scale int) *numeric {
	num, den := new(big.Int).Set(&a.coef), new(big.Int).Set(&b.coef)
	if shift := scale + b.scale - a.scale; shift >= 0 {
		num.Mul(num, pow10(shift))
	} else {
		den.Mul(den, pow10(-shift))
	}
	n := &numeric{scale: scale}
	n.coef.Set(divRound(num, den))
	return n
}

// divRound is a/b rounded half away from zero.
func divRound(a, b *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	r.Lsh(r.Abs(r), 1)
	if r.CmpAbs(b) >= 0 {
		if a.Sign()*b.Sign() < 0 {
			q.Sub(q, big.NewInt(1))
		} else {
			q.Add(q, big.NewInt(1))
		}
	}
	return q
}

// divScale is select_div_scale of PostgreSQL's numeric.c: at least 16
// significant digits, counted in digits of base 10000, and no fewer decimals
// than either operand has.
func divScale(a, b *numeric) int {
	wa, da := a.leading()
	wb, db := b.leading()
	weight := wa - wb
	if da <= db {
		weight--
	}
	return min(max(16-weight*4, a.scale, b.scale, 0), 1000)
}

// leading returns the weight (the power of 10000) and value of the first
// digit of base 10000.
func (n *numeric) leading() (weight, digit int) {
	s := strings.TrimPrefix(n.coef.String(), "-")
	if s == "0" {
		return 0, 0
	}
	top := len(s) - n.scale - 1 // power of ten of the first decimal digit
	weight = int(math.Floor(float64(top) / 4))
	take := top - weight*4 + 1
	if take > len(s) {
		s += strings.Repeat("0", take-len(s))
	}
	digit, _ = strconv.Atoi(s[:take])
	return weight, digit
}

func numericMod(a, b *numeric) (*numeric, error) {
	switch {
	case a.kind == notANumber || b.kind == notANumber:
		return &numeric{kind: notANumber}, nil
	case b.kind == finite && b.sign() == 0:
		return nil, errDivisionByZero
	case a.kind != finite:
		return &numeric{kind: notANumber}, nil
	case b.kind != finite:
		return a, nil
	}
	x, y, scale := aligned(a, b)
	n := &numeric{scale: scale}
	n.coef.Rem(x, y)
	return n, nil
}

// round rounds half away from zero to scale digits after the point; scale may
// be negative.
func (n *numeric) round(scale int) *numeric {
	if n.kind != finite {
		return n
	}
	m := &numeric{scale: max(scale, 0)}
	if scale >= n.scale {
		m.coef.Mul(&n.coef, pow10(scale-n.scale))
		return m
	}
	m.coef.Set(divRound(&n.coef, pow10(n.scale-scale)))
	if scale < 0 {
		m.coef.Mul(&m.coef, pow10(-scale))
	}
	return m
}

// towards rounds to an integer: down (-1), to zero (0) or up (+1).
func (n *numeric) towards(direction int) *numeric {
	if n.kind != finite {
		return n
	}
	m := new(numeric)
	_, r := m.coef.QuoRem(&n.coef, pow10(n.scale), new(big.Int))
	if direction != 0 && r.Sign() == direction {
		m.coef.Add(&m.coef, big.NewInt(int64(direction)))
	}
	return m
}

// trunc cuts to scale digits after the point.
func (n *numeric) trunc(scale int) *numeric {
	if n.kind != finite || scale >= n.scale {
		if n.kind == finite && scale > n.scale {
			return n.round(scale)
		}
		return n
	}
	m := &numeric{scale: max(scale, 0)}
	m.coef.Quo(&n.coef, pow10(n.scale-scale))
	if scale < 0 {
		m.coef.Mul(&m.coef, pow10(-scale))
	}
	return m
}

// toInt rounds to an integer of the type t.
func (n *numeric) toInt(t Type) (int64, error) {
	switch {
	case n.kind == notANumber:
		return 0, fail(codeUnsupported, "cannot convert NaN to %v", t)
	case n.kind != finite:
		return 0, fail(codeUnsupported, "cannot convert infinity to %v", t)
	}
	r := n.round(0)
	if !r.coef.IsInt64() {
		return 0, outOfRange(t)
	}
	return checkInt(t, r.coef.Int64())
}

func (n *numeric) float() (float64, error) {
	if n.kind != finite {
		return n.proxy(), nil
	}
	if n.kind == finite && n.scale < len(exactPowers) && n.coef.IsInt64() {
		// Both are exact as floats, so that the quotient is rounded once.
		if i := n.coef.Int64(); i >= -1<<53 && i <= 1<<53 {
			return float64(i) / exactPowers[n.scale], nil
		}
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || f == 0 && n.sign() != 0 {
		return 0, fail(codeOutOfRange, "%q is out of range for type double precision", n.String())
	}
	return f, nil
}

// numericFloat converts as float8_numeric: 15 significant digits.
func numericFloat(f float64) (*numeric, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return special(f), nil
	}
	return parseNumeric(strconv.FormatFloat(f, 'g', 15, 64))
}

// typmod applies numeric(precision, scale).
func (n *numeric) typmod(precision, scale int) (*numeric, error) {
	if n.kind == notANumber {
		return n, nil
	}
	overflow := fail(codeOutOfRange, "numeric field overflow")
	if n.kind != finite {
		return nil, overflow
	}
	r := n.round(scale)
	if r.coef.CmpAbs(pow10(precision-scale+r.scale)) >= 0 {
		return nil, overflow
	}
	return r, nil
}

func outOfRange(t Type) *Error { return fail(codeOutOfRange, "%v out of range", t) }

// checkInt returns i if the integer type t can hold it.
func checkInt(t Type, i int64) (int64, error) {
	switch {
	case t == Int4 && i != int64(int32(i)), t == Int2 && i != int64(int16(i)):
		return 0, outOfRange(t)
	}
	return i, nil
}

// exactPowers are the powers of ten that a float64 holds exactly.
var exactPowers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

package sql

import (
	"math"
	"sync"
)

func errInputRange() error { return fail(codeOutOfRange, "input is out of range") }

// addTrigonometry defines functions of angles, in radians and in degrees, and
// hyperbolic ones.
func (c *catalog) addTrigonometry() {
	const g = "Mathematics"
	one := func(name, doc, example string, f func(x float64) (float64, error)) {
		c.fn(g, name, doc, example, pairs{"float8:float8", floatFn(func(x float64) (float64, error) {
			if math.IsNaN(x) {
				return x, nil
			}
			return f(x)
		})})
	}
	finiteOnly := func(f func(float64) float64) func(float64) (float64, error) {
		return func(x float64) (float64, error) {
			if math.IsInf(x, 0) {
				return 0, errInputRange()
			}
			return f(x), nil
		}
	}
	within1 := func(f func(float64) float64) func(float64) (float64, error) {
		return func(x float64) (float64, error) {
			if x < -1 || x > 1 {
				return 0, errInputRange()
			}
			return f(x), nil
		}
	}
	plain := func(f func(float64) float64) func(float64) (float64, error) {
		return func(x float64) (float64, error) { return f(x), nil }
	}
	one("sin", "sine, of radians", "SELECT sin(1)", finiteOnly(exactSin))
	one("cos", "cosine", "SELECT cos(0)", finiteOnly(exactCos))
	one("tan", "tangent", "SELECT tan(1)", finiteOnly(exactTan))
	one("cot", "cotangent", "SELECT cot(0.5)", finiteOnly(func(x float64) float64 { return 1 / exactTan(x) }))
	one("asin", "inverse sine", "SELECT asin(1)", within1(exactAsin))
	one("acos", "inverse cosine", "SELECT acos(1)", within1(exactAcos))
	one("atan", "inverse tangent", "SELECT atan(1)", plain(exactAtan))
	one("sind", "sine, of degrees", "SELECT sind(30)", finiteOnly(sind))
	one("cosd", "cosine, of degrees", "SELECT cosd(60)", finiteOnly(cosd))
	one("tand", "tangent, of degrees", "SELECT tand(45)", finiteOnly(tand))
	one("cotd", "cotangent, of degrees", "SELECT cotd(45)", finiteOnly(cotd))
	one("asind", "inverse sine in degrees", "SELECT asind(0.5)", within1(asind))
	one("acosd", "inverse cosine in degrees", "SELECT acosd(0.5)", within1(acosd))
	one("atand", "inverse tangent in degrees", "SELECT atand(1)", plain(func(x float64) float64 { return exactAtan(x) / degrees().atan1 * 45 }))
	two := func(name, doc, example string, f func(y, x float64) float64) {
		c.fn(g, name, doc, example, pairs{"float8,float8:float8", func(a []value) value { return floatValue(f(a[0].f, a[1].f)) }})
	}
	two("atan2", "inverse tangent of the first number by the second", "SELECT atan2(1, 0)", exactAtan2)
	two("atan2d", "the same in degrees", "SELECT atan2d(1, 0)", func(y, x float64) float64 { return exactAtan2(y, x) / degrees().atan1 * 45 })
	one("sinh", "hyperbolic sine", "SELECT sinh(0)", plain(exactSinh))
	one("cosh", "hyperbolic cosine", "SELECT cosh(0)", plain(exactCosh))
	one("tanh", "hyperbolic tangent", "SELECT tanh(0)", plain(math.Tanh))
	one("asinh", "inverse hyperbolic sine", "SELECT asinh(0)", plain(math.Asinh))
	one("acosh", "inverse hyperbolic cosine", "SELECT acosh(1)", func(x float64) (float64, error) {
		if x < 1 {
			return 0, errInputRange()
		}
		return math.Acosh(x), nil
	})
	one("atanh", "inverse hyperbolic tangent", "SELECT atanh(0)", within1(math.Atanh))
	one("degrees", "degrees of radians", "SELECT degrees(0.5)", func(x float64) (float64, error) {
		r := x / (math.Pi / 180)
		if math.IsInf(r, 0) && !math.IsInf(x, 0) {
			return 0, floatOverflow()
		}
		return r, nil
	})
	one("radians", "radians of degrees", "SELECT radians(45.0)", func(x float64) (float64, error) {
		r := x * (math.Pi / 180)
		if r == 0 && x != 0 {
			return 0, floatUnderflow()
		}
		return r, nil
	})
	c.fn(g, "pi", "π", "SELECT pi()", pairs{":float8", func([]value) value { return floatValue(math.Pi) }})
}

// Functions of degrees are exact where angles are multiples of 30 or 45:
// results are scaled by what the functions of radians give there.
const radian float64 = math.Pi / 180

type degreeScale struct{ sin30, oneMinusCos60, asinHalf, acosHalf, atan1 float64 }

var degrees = sync.OnceValue(func() degreeScale {
	return degreeScale{exactSin(30 * radian), 1 - exactCos(60*radian), exactAsin(0.5), exactAcos(0.5), exactAtan(1)}
})

func sindTo30(x float64) float64 { return exactSin(x*radian) / degrees().sin30 / 2 }
func cosdTo60(x float64) float64 { return 1 - (1-exactCos(x*radian))/degrees().oneMinusCos60/2 }

// sindQuarter and cosdQuarter are for 0 to 90 degrees.
func sindQuarter(x float64) float64 {
	if x <= 30 {
		return sindTo30(x)
	}
	return cosdTo60(90 - x)
}

func cosdQuarter(x float64) float64 {
	if x <= 60 {
		return cosdTo60(x)
	}
	return sindTo30(90 - x)
}

func sind(x float64) float64 {
	x = math.Mod(x, 360)
	sign := 1.0
	if x < 0 {
		x, sign = -x, -sign
	}
	if x > 180 {
		x, sign = 360-x, -sign
	}
	if x > 90 {
		x = 180 - x
	}
	return sign * sindQuarter(x)
}

func cosd(x float64) float64 {
	x = math.Abs(math.Mod(x, 360))
	sign := 1.0
	if x > 180 {
		x = 360 - x
	}
	if x > 90 {
		x, sign = 180-x, -sign
	}
	return sign * cosdQuarter(x)
}

// folded90 brings an angle to 0 to 90 degrees, with the sign of its tangent.
func folded90(x float64) (float64, float64) {
	x = math.Mod(x, 360)
	sign := 1.0
	if x < 0 {
		x, sign = -x, -sign
	}
	if x > 180 {
		x, sign = 360-x, -sign
	}
	if x > 90 {
		x, sign = 180-x, -sign
	}
	return x, sign
}

func tand(x float64) float64 {
	x, sign := folded90(x)
	r := sign * ((sindQuarter(x) / cosdQuarter(x)) / (sindQuarter(45) / cosdQuarter(45)))
	if r == 0 {
		return 0 // not -0
	}
	return r
}

func cotd(x float64) float64 {
	x, sign := folded90(x)
	r := sign * ((cosdQuarter(x) / sindQuarter(x)) / (cosdQuarter(45) / sindQuarter(45)))
	if r == 0 {
		return 0
	}
	return r
}

func asindQuarter(x float64) float64 {
	if x <= 0.5 {
		return exactAsin(x) / degrees().asinHalf * 30
	}
	return 90 - exactAcos(x)/degrees().acosHalf*60
}

func asind(x float64) float64 {
	if x >= 0 {
		return asindQuarter(x)
	}
	return -asindQuarter(-x)
}

func acosdQuarter(x float64) float64 {
	if x <= 0.5 {
		return 90 - exactAsin(x)/degrees().asinHalf*30
	}
	return exactAcos(x) / degrees().acosHalf * 60
}

func acosd(x float64) float64 {
	if x >= 0 {
		return acosdQuarter(x)
	}
	return 90 + asindQuarter(-x)
}

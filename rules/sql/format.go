package sql

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// output is the text form of a value that is not NULL, as the type's output
// function in PostgreSQL gives it and psql shows it.
func output(t Type, v value) string {
	if t.textual() {
		return v.s
	}
	return string(appendOutput(nil, t, v))
}

func appendOutput(dst []byte, t Type, v value) []byte {
	if t.IsArray() {
		return appendArray(dst, t, v.array())
	}
	switch t {
	case Bool:
		if v.truth() {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Int2, Int4, Int8:
		return strconv.AppendInt(dst, v.i, 10)
	case Float8:
		return appendFloat(dst, v.f)
	case Numeric:
		return append(dst, v.numeric().String()...)
	case Timestamptz:
		return appendTimestamp(dst, v.i, "+00")
	case Timestamp:
		return appendTimestamp(dst, v.i, "")
	case Date:
		return appendDate(dst, v.i)
	case Time:
		return appendTimeOfDay(dst, v.i)
	case Bytea:
		return appendBytea(dst, v.s)
	case UUID:
		return appendUUID(dst, v.s)
	case Inet:
		return v.network().append(dst, false)
	case Cidr:
		return v.network().append(dst, true)
	case Interval:
		return v.interval().append(dst)
	case JSONB:
		return v.json().append(dst, false)
	}
	return append(dst, v.s...)
}

// appendFloat is float8out with extra_float_digits 1: the shortest digits
// that read back the same, with an exponent below -4 and from 15 on.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	if math.Abs(f) >= 1<<53 {
		s = insideBounds(f, s)
	}
	exp, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if f == 0 || exp >= -4 && exp < 15 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	return append(dst, s...)
}

// insideBounds returns the shortest digits of a whole number f that are
// nearer to it than to its neighbours. Go's also take a number half way between two, which PostgreSQL does
// not (acceptBounds in its d2s.c).
func insideBounds(f float64, shortest string) string {
	value, _ := new(big.Float).SetFloat64(f).Int(nil)
	mantissa, exp := math.Frexp(f)
	gap := new(big.Int).Lsh(big.NewInt(1), uint(exp-53)) // to the next number of greater size
	half := func(s string) bool {
		n, ok := new(big.Float).SetPrec(2048).SetString(s)
		if !ok {
			return false
		}
		i, _ := n.Int(nil)
		below := i.CmpAbs(value) < 0
		d := i.Sub(i, value)
		d.Lsh(d.Abs(d), 1)
		if below && math.Abs(mantissa) == 0.5 {
			d.Lsh(d, 1) // a power of two has its neighbour below at half the distance
		}
		return d.Cmp(gap) == 0
	}
	s := shortest
	for digits := strings.IndexByte(strings.TrimPrefix(s, "-"), 'e') - 1; half(s) && digits < 18; digits++ {
		s = strconv.FormatFloat(f, 'e', digits, 64)
		if g, err := strconv.ParseFloat(s, 64); err != nil || g != f {
			s = shortest
		}
	}
	return s
}

func appendArray(dst []byte, t Type, a *array) []byte {
	dst = append(dst, '{')
	for i, v := range a.vals {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.null {
			dst = append(dst, "NULL"...)
			continue
		}
		s := output(t.Elem(), v)
		if s != "" && !strings.EqualFold(s, "null") && !strings.ContainsAny(s, `{}",\`+space) {
			dst = append(dst, s...)
			continue
		}
		dst = append(dst, '"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, s[j])
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendJSONValue appends a value as JSON: numbers, booleans and null as
// such, times in RFC 3339 with microseconds, jsonb and arrays as themselves,
// everything else as a string. NaN and the infinities are strings.
func appendJSONValue(dst []byte, t Type, v value) []byte {
	switch {
	case v.null:
		return append(dst, "null"...)
	case t.IsArray():
		dst = append(dst, '[')
		for i, e := range v.array().vals {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONValue(dst, t.Elem(), e)
		}
		return append(dst, ']')
	}
	switch t {
	case Bool:
		return strconv.AppendBool(dst, v.truth())
	case Int2, Int4, Int8:
		return strconv.AppendInt(dst, v.i, 10)
	case Float8:
		if !math.IsNaN(v.f) && !math.IsInf(v.f, 0) {
			return appendFloat(dst, v.f)
		}
	case Numeric:
		if n := v.numeric(); n.kind == finite {
			return append(dst, n.String()...)
		}
	case JSONB:
		return v.json().append(dst, false)
	case Timestamptz:
		if !isInfinite(v.i) {
			return appendRFC3339(dst, v.i)
		}
	}
	return appendJSONString(dst, output(t, v))
}

// appendRFC3339 appends "2006-01-02T15:04:05.000000Z" in quotes.
func appendRFC3339(dst []byte, us int64) []byte {
	c := breakDown(us)
	dst = append(dst, '"')
	dst, _ = appendYear(dst, c)
	dst = append(dst, 'T')
	pad := func(n, width int) {
		s := strconv.Itoa(n)
		dst = append(append(dst, "000000"[:width-len(s)]...), s...)
	}
	pad(c.hour, 2)
	dst = append(dst, ':')
	pad(c.minute, 2)
	dst = append(dst, ':')
	pad(c.secs, 2)
	dst = append(dst, '.')
	pad(c.us, 6)
	return append(dst, 'Z', '"')
}

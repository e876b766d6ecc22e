package sql

import (
	"math"
	"strconv"
	"strings"
)

const space = " \t\n\r\v\f"

// input reads the text form of a value of type t, as the type's input
// function in PostgreSQL.
func input(t Type, s string) (value, error) {
	if t.IsArray() {
		return inputArray(t, s)
	}
	switch t {
	case Text, Varchar, Unknown:
		return textValue(s), nil
	case Bool:
		return inputBool(s)
	case Int2, Int4, Int8:
		return inputInt(t, s)
	case Float8:
		return inputFloat(s)
	case Numeric:
		n, err := parseNumeric(s)
		return numValue(n), err
	case Timestamptz, Timestamp:
		us, err := parseTimestamp(s, t)
		return intValue(us), err
	case Date:
		d, err := parseDate(s)
		return intValue(d), err
	case Time:
		us, err := parseTimeOfDay(s)
		return intValue(us), err
	case Bytea:
		return inputBytea(s)
	case UUID:
		return inputUUID(s)
	case Inet, Cidr:
		n, err := parseNetwork(s, t)
		return n.value(), err
	case Interval:
		v, err := parseInterval(s)
		return intervalValue(v), err
	case JSONB:
		n, err := parseJSON(s)
		return value{o: n}, err
	}
	return null, fail(codeUnsupported, "a value of type %v can not be written as text", t)
}

func inputError(t Type, s string) error {
	return fail(codeInvalidText, "invalid input syntax for type %v: %q", t, s)
}

// inputBool accepts unique prefixes of the words, as boolin.
func inputBool(s string) (value, error) {
	t := strings.ToLower(strings.Trim(s, space))
	if t != "" {
		for _, word := range []string{"true", "yes"} {
			if strings.HasPrefix(word, t) {
				return boolValue(true), nil
			}
		}
		for _, word := range []string{"false", "no"} {
			if strings.HasPrefix(word, t) {
				return boolValue(false), nil
			}
		}
		switch t {
		case "on", "1":
			return boolValue(true), nil
		case "of", "off", "0":
			return boolValue(false), nil
		}
	}
	return null, inputError(Bool, s)
}

func inputInt(t Type, s string) (value, error) {
	d := strings.Trim(s, space)
	if u := strings.TrimLeft(d, "+-"); u == "" || len(d)-len(u) > 1 || digits(u) != len(u) {
		return null, inputError(t, s)
	}
	i, err := strconv.ParseInt(d, 10, 64)
	if err == nil {
		_, err = checkInt(t, i)
	}
	if err != nil {
		return null, fail(codeOutOfRange, "value %q is out of range for type %v", s, t)
	}
	return intValue(i), nil
}

func inputFloat(s string) (value, error) {
	d := strings.Trim(s, space)
	switch strings.ToLower(d) {
	case "nan", "+nan", "-nan":
		return floatValue(math.NaN()), nil
	case "inf", "infinity", "+inf", "+infinity":
		return floatValue(math.Inf(1)), nil
	case "-inf", "-infinity":
		return floatValue(math.Inf(-1)), nil
	}
	exponent, nonzero := "eE", "123456789"
	if hex, ok := hexFloat(d); ok {
		d, exponent, nonzero = hex, "pP", "123456789abcdefABCDEF"
	} else if d == "" || strings.Trim(d, "0123456789+-.eE") != "" {
		return null, inputError(Float8, s)
	}
	f, err := strconv.ParseFloat(d, 64)
	if err != nil {
		if e, ok := err.(*strconv.NumError); !ok || e.Err != strconv.ErrRange {
			return null, inputError(Float8, s)
		}
	}
	if math.IsInf(f, 0) || f == 0 && strings.ContainsAny(d[:strings.IndexAny(d+exponent, exponent)], nonzero) {
		return null, fail(codeOutOfRange, "%q is out of range for type double precision", d)
	}
	return floatValue(f), nil
}

// hexFloat completes a hexadecimal number, as strtod reads it, to one that Go reads.
func hexFloat(s string) (string, bool) {
	u := lowerASCII(strings.TrimLeft(s, "+-"))
	if !strings.HasPrefix(u, "0x") || len(s)-len(u) > 1 || strings.Trim(u[2:], "0123456789abcdef.p+-") != "" {
		return s, false
	}
	if strings.IndexByte(u, 'p') < 0 {
		s += "p0"
	}
	return s, true
}

// inputArray reads {a,"b c",NULL}, one dimension.
func inputArray(t Type, s string) (value, error) {
	bad := func() (value, error) { return null, fail(codeInvalidText, "malformed array literal: %q", s) }
	p := strings.Trim(s, space)
	if p != "" && p[0] == '[' {
		return null, fail(codeUnsupported, "array bounds are not supported")
	}
	if len(p) < 2 || p[0] != '{' || p[len(p)-1] != '}' {
		return bad()
	}
	p = p[1 : len(p)-1]
	out := &array{elem: t.Elem()}
	if strings.Trim(p, space) == "" {
		return value{o: out}, nil
	}
	for {
		p = strings.TrimLeft(p, space)
		if p != "" && p[0] == '{' {
			return null, fail(codeUnsupported, "an array of more than one dimension is not supported")
		}
		word, quoted, rest, ok := arrayElement(p)
		if !ok || word == "" && !quoted {
			return bad()
		}
		v := null
		if quoted || !strings.EqualFold(word, "null") {
			var err error
			if v, err = input(t.Elem(), word); err != nil {
				return null, err
			}
		}
		if len(out.vals) == maxElements {
			return null, errTooMany()
		}
		out.vals = append(out.vals, v)
		if rest == "" {
			return value{o: out}, nil
		}
		p = rest[1:]
	}
}

// arrayElement reads one element up to the comma (which starts rest) or the end.
func arrayElement(p string) (word string, quoted bool, rest string, ok bool) {
	var b strings.Builder
	keep := 0 // what must not be trimmed from the end
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case ',':
			return trimEnd(b.String(), keep), quoted, p[i:], true
		case '{', '}':
			return "", false, "", false
		case '\\':
			if i++; i >= len(p) {
				return "", false, "", false
			}
			b.WriteByte(p[i])
			keep = b.Len()
		case '"':
			if quoted || strings.Trim(b.String(), space) != "" {
				return "", false, "", false
			}
			quoted = true
			b.Reset()
			for i++; i < len(p) && p[i] != '"'; i++ {
				if p[i] == '\\' {
					i++
				}
				if i < len(p) {
					b.WriteByte(p[i])
				}
			}
			if i >= len(p) {
				return "", false, "", false
			}
			keep = b.Len()
		default:
			if quoted && strings.IndexByte(space, c) < 0 {
				return "", false, "", false
			}
			b.WriteByte(c)
		}
	}
	return trimEnd(b.String(), keep), quoted, "", true
}

func trimEnd(s string, keep int) string {
	return s[:keep] + strings.TrimRight(s[keep:], space)
}

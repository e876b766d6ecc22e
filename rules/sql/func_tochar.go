package sql

import "math/big"

// boundFormat makes a function of a value and a format, which is read once
// when it is constant. An empty format gives NULL.
func boundFormat[F any](parse func(s string) (F, error), run func(f F, v value) (value, error)) bound {
	return func(consts []*value) (evalFunc, error) {
		if consts[1] == nil {
			return nil, nil
		}
		if len(consts[1].s) > maxPattern {
			return nil, fail(codeLimit, "a format has at most %d bytes", maxPattern)
		}
		f, err := parse(consts[1].s)
		if err != nil {
			return nil, err
		}
		return func(_ *env, a []value) (value, error) { return run(f, a[0]) }, nil
	}
}

func (c *catalog) addToChar() {
	const g = "Times"
	times := func(broken func(v value) (brokenTime, bool)) bound {
		parse := func(s string) ([]formatNode, error) { return parseFormat(s, timeFields, true), nil }
		return boundFormat(parse, func(nodes []formatNode, v value) (value, error) {
			t, ok := broken(v)
			if !ok || len(nodes) == 0 {
				return null, nil
			}
			s, err := formatTime(nodes, t)
			return textValue(s), err
		})
	}
	ofTime := func(zone string) func(v value) (brokenTime, bool) {
		return func(v value) (brokenTime, bool) { return breakTime(v.i, zone), !isInfinite(v.i) }
	}
	numbers := func(write func(f *numberFormat, v value) (string, error)) bound {
		return boundFormat(parseNumberFormat, func(f *numberFormat, v value) (value, error) {
			s, err := write(f, v)
			return textValue(s), err
		})
	}
	ofInt8 := func(f *numberFormat, v value) (string, error) {
		if product := new(big.Int).Mul(big.NewInt(v.i), pow10(f.multi)); f.multiple && !product.IsInt64() {
			return "", outOfRange(Int8)
		}
		return f.numeric(numericInt(v.i))
	}
	ofInt4 := func(f *numberFormat, v value) (string, error) {
		if f.scientific {
			return f.float(float64(v.i))
		}
		if product := new(big.Int).Mul(big.NewInt(v.i), pow10(f.multi)); f.multiple && (!product.IsInt64() || int64(int32(product.Int64())) != product.Int64()) {
			// PostgreSQL's product wraps around: 99V999 of 2147483647 is -1000.
			return "", fail(codeUnsupported, "to_char with V of an integer that is too large is not supported").hint("cast it to bigint")
		}
		return f.numeric(numericInt(v.i))
	}
	c.fn(g, "to_char", "time, interval or number as text in a format, of fields such as YYYY-MM-DD HH24:MI:SS.MS, Dy, Mon, or 999G990D99, FM for no padding", "SELECT to_char(timestamp '2024-03-01 20:38:40', 'Dy DD Mon YYYY, HH24:MI')", pairs{
		"timestamptz,text:text", times(ofTime("UTC")), "timestamp,text:text", times(ofTime("")),
		"interval,text:text", times(func(v value) (brokenTime, bool) { return breakInterval(v.interval()), true }),
		"numeric,text:text", numbers(func(f *numberFormat, v value) (string, error) { return f.numeric(v.numeric()) }),
		"int4,text:text", numbers(ofInt4), "int8,text:text", numbers(ofInt8),
		"float8,text:text", numbers(func(f *numberFormat, v value) (string, error) { return f.float(v.f) }),
	})
	for _, f := range c.functions["to_char"] {
		f.stable = true
	}
	scanned := func(t Type) bound {
		return boundFormat(parseTimeFormat, func(nodes []formatNode, v value) (value, error) {
			us, err := scanTime(nodes, v.s, t)
			return intValue(us), err
		})
	}
	c.more("to_timestamp", pairs{"text,text:timestamptz", scanned(Timestamptz)})
	c.fn(g, "to_date", "date read from a text in a format, as to_timestamp(text, format) reads a time", "SELECT to_date('05 Dec 2000', 'DD Mon YYYY')", pairs{"text,text:date", scanned(Date)})
	for _, f := range append(c.functions["to_date"], c.functions["to_timestamp"]...) {
		f.stable = len(f.args) == 2
	}
}

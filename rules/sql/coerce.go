package sql

// known gives an untyped literal the type text.
func (k *checker) known(e expr) expr {
	if c, ok := e.(*constExpr); ok && c.t == Unknown {
		return &constExpr{v: c.v, t: Text, at: c.at}
	}
	return e
}

// coerce converts e to type to; pos is where the error shows.
func (k *checker) coerce(e expr, to Type, mode castMode, pos int) (expr, error) {
	from := e.typ()
	if from == to {
		return e, nil
	}
	if c, ok := e.(*constExpr); ok && from == Unknown {
		if c.v.null {
			return &constExpr{v: null, t: to, at: c.at}, nil
		}
		v, err := input(to, c.v.s)
		if err != nil {
			return nil, positioned(copyError(err), c.at)
		}
		return &constExpr{v: v, t: to, at: c.at}, nil
	}
	if a, ok := e.(*arrayExpr); ok && mode == explicit && to.IsArray() {
		return k.coerceElements(a, to, pos)
	}
	if !canCast(from, to, mode) {
		if mode == explicit {
			return nil, failAt(pos, codeCannotCoerce, "cannot cast type %v to %v", from, to)
		}
		return nil, failAt(pos, codeDatatypeMismatch, "%v is wanted here, not %v", to, from)
	}
	if binaryCoercible(from, to) {
		return &relabelExpr{arg: e, t: to}, nil
	}
	if fn := castFunction(from, to); fn != nil {
		return k.makeCall(fn, []expr{e}, to, pos)
	}
	return k.makeCall(textCast(from, to), []expr{e}, to, pos)
}

func (k *checker) coerceElements(a *arrayExpr, to Type, pos int) (expr, error) {
	out := &arrayExpr{t: to, elements: make([]expr, len(a.elements))}
	for i, x := range a.elements {
		var err error
		if out.elements[i], err = k.coerce(x, to.Elem(), explicit, pos); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// textCast converts by way of the text form, and arrays element by element.
func textCast(from, to Type) *function {
	f := &function{name: typeTable[to.Elem()].internal, args: []Type{from}, ret: to, strict: true}
	// The text form of times depends on settings in PostgreSQL, which
	// therefore does not fold these casts.
	f.stable = from.category() == 'D' || to.category() == 'D'
	if from.IsArray() && to.IsArray() {
		elem := castFunction(from.Elem(), to.Elem())
		if elem == nil && !binaryCoercible(from.Elem(), to.Elem()) {
			elem = textCast(from.Elem(), to.Elem())
		}
		f.eval = func(x *env, a []value) (value, error) {
			out := &array{elem: to.Elem()}
			for _, v := range a[0].array().vals {
				var err error
				if !v.null && elem != nil {
					if v, err = elem.eval(x, []value{v}); err != nil {
						return null, err
					}
				}
				out.vals = append(out.vals, v)
			}
			return bounded(value{o: out})
		}
		return f
	}
	f.eval = func(_ *env, a []value) (value, error) {
		s, err := outputText(from, a[0])
		if err != nil {
			return null, err
		}
		return input(to, s)
	}
	return f
}

// typmod applies the modifier of numeric(p,s), varchar(n) and times with a precision.
func (k *checker) typmod(e expr, t typeName, typ Type) (expr, error) {
	if len(t.mods) == 0 || typ == Interval && t.mods[0] == intervalFullRange && len(t.mods) == 1 {
		return e, nil
	}
	fn := &function{name: typeTable[typ.Elem()].internal, args: []Type{typ}, ret: typ, strict: true}
	var one func(v value) (value, error)
	m := t.mods
	switch elem := typ.Elem(); {
	case elem == Numeric && len(m) <= 2:
		scale := 0
		if len(m) == 2 {
			scale = m[1]
		}
		if m[0] < 1 || m[0] > 1000 {
			return nil, failAt(t.pos(), codeInvalidParameter, "NUMERIC precision %d must be between 1 and 1000", m[0])
		}
		if scale < -1000 || scale > 1000 {
			return nil, failAt(t.pos(), codeInvalidParameter, "NUMERIC scale %d must be between -1000 and 1000", scale)
		}
		one = func(v value) (value, error) {
			n, err := v.numeric().typmod(m[0], scale)
			return numValue(n), err
		}
	case elem == Varchar && len(m) == 1:
		if m[0] < 1 {
			return nil, failAt(t.pos(), codeInvalidParameter, "length for type varchar must be at least 1")
		}
		if m[0] > 10485760 {
			return nil, failAt(t.pos(), codeInvalidParameter, "length for type varchar cannot exceed 10485760")
		}
		one = func(v value) (value, error) { return textValue(leftRunes(v.s, m[0])), nil }
	case (elem == Timestamptz || elem == Timestamp || elem == Time) && len(m) == 1 && m[0] >= 0:
		round := timestampToDecimals
		if elem == Time {
			round = toDecimals
		}
		one = func(v value) (value, error) { return intValue(round(v.i, m[0])), nil }
	default:
		return nil, refuse(t.pos(), "this modifier of the type "+typ.String())
	}
	fn.eval = func(_ *env, a []value) (value, error) { return one(a[0]) }
	if typ.IsArray() {
		fn.eval = func(_ *env, a []value) (value, error) {
			out := &array{elem: typ.Elem()}
			for _, v := range elements(a[0]) {
				var err error
				if !v.null {
					v, err = one(v)
				}
				if err != nil {
					return null, err
				}
				out.vals = append(out.vals, v)
			}
			return value{o: out}, nil
		}
	}
	return k.makeCall(fn, []expr{e}, typ, t.pos())
}

// timestampToDecimals rounds to so many decimals of a second, and halves away
// from the start of the year 2000, from which PostgreSQL counts.
func timestampToDecimals(us int64, n int) int64 {
	const start = epoch2000 * day
	if isInfinite(us) {
		return us
	}
	return toDecimals(us-start, n) + start
}

// toDecimals rounds halves away from zero.
func toDecimals(us int64, n int) int64 {
	unit := int64(1)
	for range 6 - min(n, 6) {
		unit *= 10
	}
	if us < 0 {
		return -((unit/2 - us) / unit * unit)
	}
	return (us + unit/2) / unit * unit
}

// intervalFullRange is INTERVAL_FULL_RANGE of PostgreSQL's timestamp.h.
const intervalFullRange = 0x7FFF

// leftRunes is the first n characters of s.
func leftRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

package sql

import "math"

// keyCoder maps the values of one column to numbers that are equal exactly
// when the values are not distinct. A table of codes only is never filled.
type keyCoder struct {
	typ     Type
	texts   *interner
	objects map[string]uint64
	key     []byte
}

// absent is the code of a value that the table has never seen.
const absent = math.MaxUint64

// encode writes the codes of rows sel of v to dst, and sets bit in nulls for
// each NULL. Without grow a value that is new has the code absent.
func (c *keyCoder) encode(v *vector, sel []int32, dst, nulls []uint64, bit uint, grow bool) {
	switch c.typ.phys() {
	case physBool:
		for k, i := range sel {
			dst[k] = 0
			if v.boolAt(int(i)) {
				dst[k] = 1
			}
		}
	case physInt:
		if v.constant {
			for k := range sel {
				dst[k] = uint64(v.ints[0])
			}
		} else {
			for k, i := range sel {
				dst[k] = uint64(v.ints[i])
			}
		}
	case physFloat:
		for k, i := range sel {
			if v.constant {
				i = 0
			}
			f := v.floats[i]
			switch {
			case f == 0:
				f = 0 // -0 equals 0
			case f != f:
				f = math.NaN()
			}
			dst[k] = math.Float64bits(f)
		}
	case physText:
		c.encodeTexts(v, sel, dst, grow)
	default:
		c.encodeObjects(v, sel, dst, grow)
	}
	if v.nulls == nil {
		return
	}
	for k, i := range sel {
		if v.isNull(int(i)) {
			dst[k] = 0
			nulls[k] |= 1 << bit
		}
	}
}

func (c *keyCoder) encodeTexts(v *vector, sel []int32, dst []uint64, grow bool) {
	t := c.texts
	look := func(s string) uint64 {
		if grow {
			return uint64(t.code(s))
		}
		if code, _, _, ok := t.find(s); ok {
			return uint64(code)
		}
		return absent
	}
	switch {
	case v.constant:
		code := look(v.dict[0])
		for k := range sel {
			dst[k] = code
		}
	case v.codes == nil:
		for k, i := range sel {
			if !v.nulls.Has(int(i)) {
				dst[k] = look(v.dict[i])
			}
		}
	default:
		t.use(v)
		for k, i := range sel {
			e := v.codes[i]
			if known := t.known[e]; known != 0 {
				dst[k] = uint64(known) - 1
				continue
			}
			if v.nulls != nil && v.nulls.Has(int(i)) {
				continue
			}
			code := look(v.dict[e])
			if code == absent {
				dst[k] = absent
				continue
			}
			t.known[e] = uint32(code) + 1
			dst[k] = code
		}
	}
}

func (c *keyCoder) encodeObjects(v *vector, sel []int32, dst []uint64, grow bool) {
	for k, i := range sel {
		if v.isNull(int(i)) {
			continue
		}
		c.key = appendKey(c.key[:0], c.typ, v.at(int(i)))
		code, ok := c.objects[string(c.key)]
		switch {
		case ok:
		case grow:
			code = uint64(len(c.objects))
			c.objects[string(c.key)] = code
		default:
			code = absent
		}
		dst[k] = code
	}
}

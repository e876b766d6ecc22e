package sql

import (
	"math"
	"math/bits"
	"slices"
)

// keyTable numbers the distinct rows of some columns 0, 1, 2 … in the order in
// which they come. NULLs are alike.
type keyTable struct {
	coders []keyCoder
	rows   []uint64 // codes of each key, one after the other, then a word of NULL bits
	slots  []int32  // number plus one, by hash
	n      int
	bytes  int
	shared bool // an interner is counted elsewhere
	plain  bool // so far of one text column without NULLs: numbers are codes
	// of the chunk at hand
	codes [][]uint64
	hash  []uint64
}

// keyCoder maps the values of one column to numbers that are equal exactly
// when the values are not distinct. A table of codes only is never filled.
type keyCoder struct {
	typ     Type
	texts   *interner
	objects map[string]uint64
	key     []byte
}

func newKeyTable(types []Type) *keyTable {
	t := &keyTable{coders: make([]keyCoder, len(types)), slots: make([]int32, 16), codes: make([][]uint64, len(types)+1), plain: len(types) == 1}
	for i, typ := range types {
		t.coders[i].typ = typ
		switch typ.phys() {
		case physText:
			t.coders[i].texts = newInterner()
		case physObj:
			t.coders[i].objects = make(map[string]uint64)
		}
	}
	return t
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

// encode computes the codes and hashes of rows sel of cols.
func (t *keyTable) encode(cols []*vector, sel []int32, grow bool) {
	n := len(sel)
	for i := range t.codes {
		if cap(t.codes[i]) < n {
			t.codes[i] = make([]uint64, n)
		}
		t.codes[i] = t.codes[i][:n]
	}
	if cap(t.hash) < n {
		t.hash = make([]uint64, n)
	}
	t.hash = t.hash[:n]
	nulls := t.codes[len(cols)]
	clear(nulls)
	for i, v := range cols {
		t.coders[i].encode(v, sel, t.codes[i], nulls, uint(i&63), grow)
	}
	for k := range t.hash {
		h := nulls[k]
		for i := range cols {
			h = mix(h ^ t.codes[i][k])
		}
		t.hash[k] = h
	}
}

// mix spreads the bits of x over the whole word.
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// number writes the numbers of rows sel to out, giving new ones where needed.
func (t *keyTable) number(cols []*vector, sel []int32, out []int32) {
	if len(cols) == 1 && t.coders[0].texts != nil && cols[0].nulls == nil && t.plain {
		t.numberTexts(cols[0], sel, out)
		return
	}
	t.plain = false
	t.encode(cols, sel, true)
	w := len(t.codes)
	for k := range sel {
		if 2*(t.n+1) > len(t.slots) {
			t.rehash()
		}
		mask := uint64(len(t.slots) - 1)
		for s := t.hash[k] & mask; ; s = (s + 1) & mask {
			id := t.slots[s]
			if id == 0 {
				t.n++
				t.slots[s] = int32(t.n)
				for i := range t.codes {
					t.rows = append(t.rows, t.codes[i][k])
				}
				out[k] = int32(t.n - 1)
				break
			}
			if t.same(int(id-1)*w, k) {
				out[k] = id - 1
				break
			}
		}
	}
}

// numberTexts is number for one text column, as long as it has no NULL: then
// the codes, which begin at 0 too, are the numbers.
func (t *keyTable) numberTexts(v *vector, sel []int32, out []int32) {
	c := t.coders[0].texts
	if v.codes != nil && !v.constant {
		c.use(v)
		for k, i := range sel {
			e := v.codes[i]
			if c.known[e] == 0 {
				c.known[e] = c.code(v.dict[e]) + 1
			}
			out[k] = int32(c.known[e]) - 1
		}
	} else {
		for k, i := range sel {
			if v.constant {
				i = 0
			}
			out[k] = int32(c.code(v.dict[i]))
		}
	}
	for ; t.n < len(c.list); t.n++ {
		t.insert([]uint64{uint64(t.n), 0})
	}
}

// insert adds the key with the next number.
func (t *keyTable) insert(key []uint64) {
	if 2*(t.n+1) > len(t.slots) {
		t.rehash()
	}
	h := key[len(key)-1]
	for _, code := range key[:len(key)-1] {
		h = mix(h ^ code)
	}
	mask := uint64(len(t.slots) - 1)
	s := h & mask
	for t.slots[s] != 0 {
		s = (s + 1) & mask
	}
	t.slots[s] = int32(t.n + 1)
	t.rows = append(t.rows, key...)
}

// find writes the numbers of rows sel to out, -1 for one that is not there.
func (t *keyTable) find(cols []*vector, sel []int32, out []int32) {
	t.encode(cols, sel, false)
	w := len(t.codes)
	mask := uint64(len(t.slots) - 1)
	for k := range sel {
		out[k] = -1
		for s := t.hash[k] & mask; t.slots[s] != 0; s = (s + 1) & mask {
			if t.same(int(t.slots[s]-1)*w, k) {
				out[k] = t.slots[s] - 1
				break
			}
		}
	}
}

func (t *keyTable) same(at, k int) bool {
	for i := range t.codes {
		if t.rows[at+i] != t.codes[i][k] {
			return false
		}
	}
	return true
}

// hasNull reports whether key n has a NULL.
func (t *keyTable) hasNull(n int32) bool {
	w := len(t.codes)
	return t.rows[int(n)*w+w-1] != 0
}

func (t *keyTable) rehash() {
	t.slots = make([]int32, 2*len(t.slots))
	mask, w := uint64(len(t.slots)-1), len(t.codes)
	for id := range t.n {
		h := t.rows[id*w+w-1]
		for i := range w - 1 {
			h = mix(h ^ t.rows[id*w+i])
		}
		s := h & mask
		for t.slots[s] != 0 {
			s = (s + 1) & mask
		}
		t.slots[s] = int32(id + 1)
	}
}

// reader returns the same table for find in another goroutine; the table must
// not grow any more.
func (t *keyTable) reader() *keyTable {
	r := *t
	r.codes, r.hash = make([][]uint64, len(t.codes)), nil
	r.coders = slices.Clone(t.coders)
	for i := range r.coders {
		c := &r.coders[i]
		c.key = nil
		if c.texts != nil {
			c.texts = c.texts.reader()
		}
	}
	return &r
}

// grown returns how many more bytes the table takes than when it was asked last.
func (t *keyTable) grown() int {
	n := 8*cap(t.rows) + 4*len(t.slots)
	for _, c := range t.coders {
		if c.texts != nil && !t.shared {
			n += c.texts.bytes
		}
		n += 64 * len(c.objects)
	}
	d := n - t.bytes
	t.bytes = n
	return d
}

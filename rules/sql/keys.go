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
	layout keyLayout
	n      int
	width  int      // words of a key in rows
	rows   []uint64 // the keys, one after the other
	slots  []int32  // number plus one, by hash
	null   int32    // plainKeys: the number of NULL, -1: it has none
	bytes  int
	shared bool // an interner is counted elsewhere
	// of the chunk at hand
	codes [][]uint64 // by column, then a word of NULL bits
	keys  []uint64   // packedKeys: of each row
}

// keyLayout is how a keyTable holds its keys: the first of these that can.
type keyLayout uint8

const (
	// plainKeys are of one text column: numbers are its codes, with NULL between
	// them. There are no rows and no slots.
	plainKeys keyLayout = iota
	// packedKeys are a word each: one number, or two values of 32 bits. There is
	// no NULL but of a text or boolean.
	packedKeys
	// wideKeys are a word for each column's code and one of NULL bits.
	wideKeys
)

func newKeyTable(types []Type) *keyTable {
	t := &keyTable{coders: make([]keyCoder, len(types)), null: -1, codes: make([][]uint64, len(types)+1)}
	for i, typ := range types {
		t.coders[i].typ = typ
		switch typ.phys() {
		case physText:
			t.coders[i].texts = newInterner()
		case physObj:
			t.coders[i].objects = make(map[string]uint64)
		}
	}
	t.layout = firstLayout(types)
	if t.width = 1; t.layout == wideKeys {
		t.width = len(types) + 1
	}
	if t.layout != plainKeys {
		t.slots = make([]int32, 16)
	}
	return t
}

func firstLayout(types []Type) keyLayout {
	if len(types) == 1 && types[0].phys() == physText {
		return plainKeys
	}
	if len(types) == 0 || len(types) > 2 {
		return wideKeys
	}
	for _, t := range types {
		if t.phys() == physFloat || t.phys() == physObj {
			return wideKeys
		}
	}
	return packedKeys
}

// encode computes the codes of rows sel of cols.
func (t *keyTable) encode(cols []*vector, sel []int32, grow bool) {
	n := len(sel)
	for i := range t.codes {
		t.codes[i] = slices.Grow(t.codes[i][:0], n)[:n]
	}
	nulls := t.codes[len(cols)]
	clear(nulls)
	for i, v := range cols {
		t.coders[i].encode(v, sel, t.codes[i], nulls, uint(i&63), grow)
	}
}

// What a NULL is in half of a packed key.
const (
	nullText = 1<<32 - 1
	nullBool = 2
)

// pack makes t.keys of the codes; ok is false at a row that has no such key.
// A row that could not be in the table has the key absent, with skip.
func (t *keyTable) pack(skip bool) (ok bool) {
	nulls := t.codes[len(t.coders)]
	t.keys = slices.Grow(t.keys[:0], len(nulls))[:len(nulls)]
	clear(t.keys)
	for i := range t.coders {
		phys, codes, shift := t.coders[i].typ.phys(), t.codes[i], 32*i
		for k, code := range codes {
			null := nulls[k]>>i&1 != 0
			switch {
			case phys == physText && null:
				code = nullText
			case phys == physBool && null:
				code = nullBool
			case null || code == absent && phys == physText || len(t.coders) == 2 && phys == physInt && int64(int32(code)) != int64(code):
				if !skip {
					return false
				}
				nulls[k] = absent
			}
			if len(t.coders) == 2 {
				code &= 1<<32 - 1
			}
			t.keys[k] |= code << shift
		}
	}
	return true
}

// mix spreads the bits of x over the whole word.
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// number writes the numbers of rows sel to out, giving new ones where needed.
func (t *keyTable) number(cols []*vector, sel []int32, out []int32) {
	if t.layout == plainKeys {
		t.numberTexts(cols[0], sel, out)
		return
	}
	t.encode(cols, sel, true)
	if t.layout == packedKeys {
		if t.pack(false) {
			t.numberPacked(out)
			return
		}
		t.widen()
	}
	t.numberWide(out)
}

func (t *keyTable) numberPacked(out []int32) {
	mask := uint64(len(t.slots) - 1)
	for k, key := range t.keys {
		for s := mix(key) & mask; ; s = (s + 1) & mask {
			id := t.slots[s]
			if id == 0 {
				t.rows = append(t.rows, key)
				t.n++
				t.slots[s], out[k] = int32(t.n), int32(t.n-1)
				if 2*(t.n+1) > len(t.slots) {
					t.rehash(2 * len(t.slots))
					mask = uint64(len(t.slots) - 1)
				}
				break
			}
			if t.rows[id-1] == key {
				out[k] = id - 1
				break
			}
		}
	}
}

func (t *keyTable) numberWide(out []int32) {
	key := make([]uint64, t.width)
	for k := range out {
		for i := range t.codes {
			key[i] = t.codes[i][k]
		}
		s, id := t.look(key)
		if id == 0 {
			t.rows = append(t.rows, key...)
			t.n++
			id = int32(t.n)
			t.slots[s] = id
			if 2*(t.n+1) > len(t.slots) {
				t.rehash(2 * len(t.slots))
			}
		}
		out[k] = id - 1
	}
}

// look returns the slot of a key and its number plus one, or 0 and the slot
// where it would be.
func (t *keyTable) look(key []uint64) (slot uint64, id int32) {
	mask := uint64(len(t.slots) - 1)
	for slot = hash(key) & mask; ; slot = (slot + 1) & mask {
		if id = t.slots[slot]; id == 0 || slices.Equal(t.rows[int(id-1)*t.width:][:t.width], key) {
			return slot, id
		}
	}
}

func hash(key []uint64) uint64 {
	h := uint64(0)
	for _, code := range key {
		h = mix(h ^ code)
	}
	return h
}

// numberTexts is number for one text column. Its interner gives the codes 0,
// 1, 2 … in the order in which texts come.
func (t *keyTable) numberTexts(v *vector, sel []int32, out []int32) {
	c := t.coders[0].texts
	coded := v.codes != nil && !v.constant
	if coded {
		c.use(v)
	}
	if coded && v.nulls == nil && t.null < 0 {
		t.numberCodes(v, sel, out)
		return
	}
	for k, i := range sel {
		if v.nulls != nil && v.isNull(int(i)) {
			if t.null < 0 {
				t.null = int32(len(c.list))
			}
			out[k] = t.null
			continue
		}
		switch {
		case coded:
			out[k] = t.numberOf(c.entry(v, v.codes[i]))
		case v.constant:
			out[k] = t.numberOf(c.code(v.dict[0]))
		default:
			out[k] = t.numberOf(c.code(v.dict[i]))
		}
	}
	t.n = len(c.list)
	if t.null >= 0 {
		t.n++
	}
}

// hasEntries reports whether numberEntries can be asked for rows sel of v, and
// that is less work.
func (t *keyTable) hasEntries(v *vector, sel []int32) bool {
	return v.codes != nil && !v.constant && v.nulls == nil && t.null < 0 && len(sel) > len(v.dict)
}

// numberEntries returns by entry of v's dictionary its number plus one, where
// there are rows with it.
func (t *keyTable) numberEntries(v *vector, rows []int32) []uint32 {
	c := t.coders[0].texts
	c.use(v)
	for e, n := range rows {
		if n > 0 && c.known[e] == 0 {
			c.learn(v, uint32(e))
		}
	}
	t.n = len(c.list)
	return c.known
}

// numberCodes is numberTexts where there is no NULL: most of a scan's work.
func (t *keyTable) numberCodes(v *vector, sel []int32, out []int32) {
	c := t.coders[0].texts
	known := c.known              // entry, by way of c each time, takes a fifth more of a scan
	if len(sel) == len(v.codes) { // all rows
		for k, e := range v.codes {
			if known[e] == 0 {
				c.learn(v, e)
			}
			out[k] = int32(known[e]) - 1
		}
	} else {
		for k, i := range sel {
			e := v.codes[i]
			if known[e] == 0 {
				c.learn(v, e)
			}
			out[k] = int32(known[e]) - 1
		}
	}
	t.n = len(c.list)
}

// numberOf is the number of a code among plainKeys.
func (t *keyTable) numberOf(code uint32) int32 {
	if t.null >= 0 && int32(code) >= t.null {
		return int32(code) + 1
	}
	return int32(code)
}

// find writes the numbers of rows sel to out, -1 for one that is not there.
func (t *keyTable) find(cols []*vector, sel []int32, out []int32) {
	t.encode(cols, sel, false)
	nulls := t.codes[len(cols)]
	switch t.layout {
	case plainKeys:
		for k, code := range t.codes[0] {
			switch {
			case nulls[k] != 0:
				out[k] = t.null
			case code == absent:
				out[k] = -1
			default:
				out[k] = t.numberOf(uint32(code))
			}
		}
	case packedKeys:
		t.pack(true)
		mask := uint64(len(t.slots) - 1)
		for k, key := range t.keys {
			out[k] = -1
			if nulls[k] == absent {
				continue
			}
			for s := mix(key) & mask; t.slots[s] != 0; s = (s + 1) & mask {
				if id := t.slots[s] - 1; t.rows[id] == key {
					out[k] = id
					break
				}
			}
		}
	default:
		key := make([]uint64, t.width)
		for k := range sel {
			for i := range t.codes {
				key[i] = t.codes[i][k]
			}
			_, id := t.look(key)
			out[k] = id - 1
		}
	}
}

// hasNull reports whether key n has a NULL.
func (t *keyTable) hasNull(n int32) bool {
	switch t.layout {
	case plainKeys:
		return n == t.null
	case packedKeys:
		for i := range t.coders {
			if t.halfIsNull(t.rows[n], i) {
				return true
			}
		}
		return false
	}
	return t.rows[int(n)*t.width+t.width-1] != 0
}

// half is column i of a packed key.
func (t *keyTable) half(key uint64, i int) uint64 {
	if len(t.coders) == 1 {
		return key
	}
	return key >> (32 * i) & (1<<32 - 1)
}

func (t *keyTable) halfIsNull(key uint64, i int) bool {
	switch t.coders[i].typ.phys() {
	case physText:
		return t.half(key, i) == nullText
	case physBool:
		return t.half(key, i) == nullBool
	}
	return false
}

// keepsValues reports whether a table of such columns gives back the values
// that it was given: not objects, and not -0.
func keepsValues(types []Type) bool {
	return !slices.ContainsFunc(types, func(t Type) bool { return t.phys() == physObj || t.phys() == physFloat })
}

// vectors gives the columns of keys from ≤ number < to; there is none of objects.
func (t *keyTable) vectors(from, to int) []*vector {
	n := to - from
	out := make([]*vector, len(t.coders))
	for i := range t.coders {
		c := &t.coders[i]
		v := newVector(c.typ, n)
		if c.texts != nil {
			v.dict, v.codes = c.texts.list, make([]uint32, n)
			if len(v.dict) == 0 {
				v.dict = []string{""}
			}
		}
		for k := range n {
			code, null := t.code(from+k, i)
			switch {
			case null:
				v.setNull(k, n)
			case c.texts != nil:
				v.codes[k] = uint32(code)
			case c.typ.phys() == physFloat:
				v.floats[k] = math.Float64frombits(code)
			case c.typ.phys() == physBool:
				v.bools[k] = code != 0
			default:
				v.ints[k] = int64(code)
			}
		}
		out[i] = v
	}
	return out
}

// code is the code of column i in a key.
func (t *keyTable) code(number, i int) (code uint64, null bool) {
	switch t.layout {
	case plainKeys:
		if t.null >= 0 && number >= int(t.null) {
			return uint64(number - 1), number == int(t.null)
		}
		return uint64(number), false
	case packedKeys:
		key := t.rows[number]
		code, null = t.half(key, i), t.halfIsNull(key, i)
		if len(t.coders) == 2 && t.coders[i].typ.phys() == physInt {
			code = uint64(int64(int32(code)))
		}
		return code, null
	}
	key := t.rows[number*t.width:][:t.width]
	return key[i], key[t.width-1]>>(i&63)&1 != 0
}

// widen turns packed keys into wide ones.
func (t *keyTable) widen() {
	rows := make([]uint64, 0, 2*t.n*(len(t.coders)+1))
	for id := range t.n {
		nulls := uint64(0)
		for i := range t.coders {
			code, null := t.code(id, i)
			if null {
				code = 0
				nulls |= 1 << i
			}
			rows = append(rows, code)
		}
		rows = append(rows, nulls)
	}
	t.layout, t.width, t.rows = wideKeys, len(t.coders)+1, rows
	t.keys = nil
	t.rehash(len(t.slots))
}

// rehash makes slots of a number that is a power of two.
func (t *keyTable) rehash(slots int) {
	t.slots = make([]int32, slots)
	mask := uint64(slots - 1)
	for id := range t.n {
		var h uint64
		if t.layout == packedKeys {
			h = mix(t.rows[id])
		} else {
			h = hash(t.rows[id*t.width:][:t.width])
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
	r.codes, r.keys = make([][]uint64, len(t.codes)), nil
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

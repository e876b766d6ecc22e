package sql

import (
	"hash/maphash"
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// rowStore holds rows by column: the side of a join that is looked up, what
// is sorted, a WITH query's result. Texts are kept once each, as codes.
type rowStore struct {
	types []Type
	cols  []*storeColumn
	n     int
	size  int // bytes, about
}

// storeColumn is a column of a rowStore; which slices are in use follows from
// the type, as in vector.
type storeColumn struct {
	typ    Type
	nulls  event.Bitmap
	bools  []bool
	ints   []int64
	floats []float64
	objs   []any
	texts  *interner
	codes  []uint32
}

func newRowStore(types []Type) *rowStore {
	s := &rowStore{types: types}
	for _, t := range types {
		c := &storeColumn{typ: t}
		if t.phys() == physText {
			c.texts = newInterner()
		}
		s.cols = append(s.cols, c)
	}
	return s
}

// share makes texts stay in the memory where they are added from: that is
// theirs alone, and does not change.
func (s *rowStore) share() {
	for _, c := range s.cols {
		if c.texts != nil {
			c.texts.shares = true
		}
	}
}

// add appends the rows of c, for the named operator.
func (s *rowStore) add(x *env, operator string, c *chunk) error {
	if err := c.settle(); err != nil {
		return err
	}
	sel := c.rows()
	for k, col := range s.cols {
		size := col.add(c.cols[k], sel, s.n)
		s.size += size
		if err := x.grow(operator, size); err != nil {
			return err
		}
	}
	s.n += len(sel)
	return nil
}

// append appends rows sel of columns and returns how many bytes that took, about.
func (s *rowStore) append(cols []*vector, sel []int32) int {
	size := 0
	for k, col := range s.cols {
		size += col.add(cols[k], sel, s.n)
	}
	s.n += len(sel)
	s.size += size
	return size
}

// add appends rows and returns how many bytes that took, about.
func (c *storeColumn) add(v *vector, sel []int32, at int) int {
	size := 0
	for k, i := range sel {
		if v.isNull(int(i)) {
			setBit(&c.nulls, at+k)
		}
	}
	switch c.typ.phys() {
	case physBool:
		for _, i := range sel {
			c.bools = append(c.bools, v.boolAt(int(i)))
		}
		size = len(sel)
	case physInt:
		if v.constant {
			for range sel {
				c.ints = append(c.ints, v.ints[0])
			}
		} else {
			for _, i := range sel {
				c.ints = append(c.ints, v.ints[i])
			}
		}
		size = 8 * len(sel)
	case physFloat:
		for _, i := range sel {
			if v.constant {
				i = 0
			}
			c.floats = append(c.floats, v.floats[i])
		}
		size = 8 * len(sel)
	case physText:
		before := c.texts.bytes
		c.codes = c.texts.codes(v, sel, c.codes)
		size = 4*len(sel) + c.texts.bytes - before
	default:
		for _, i := range sel {
			x := v.at(int(i))
			c.objs = append(c.objs, x.o)
			size += 16 + objectSize(x)
		}
	}
	return size
}

func objectSize(v value) int {
	if v.null {
		return 0
	}
	return rowSize([]value{v}) - 96
}

func setBit(b *event.Bitmap, i int) {
	for len(*b) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

// vector is the column as one vector of all rows, without copying.
func (c *storeColumn) vector() *vector {
	v := &vector{typ: c.typ, nulls: c.nulls, bools: c.bools, ints: c.ints, floats: c.floats, objs: c.objs}
	if c.texts != nil {
		v.dict, v.codes = c.texts.list, c.codes
		if len(v.dict) == 0 {
			v.dict = []string{""}
		}
	}
	return v
}

// gather is the rows of the list as a vector; a negative one is NULL.
func (c *storeColumn) gather(rows []int32) *vector {
	v := &vector{typ: c.typ}
	n := len(rows)
	for k, r := range rows {
		if r < 0 || c.nulls.Has(int(r)) {
			v.setNull(k, n)
		}
	}
	switch c.typ.phys() {
	case physBool:
		v.bools = gatherRows(c.bools, rows)
	case physInt:
		v.ints = gatherRows(c.ints, rows)
	case physFloat:
		v.floats = gatherRows(c.floats, rows)
	case physText:
		v.codes = gatherRows(c.codes, rows)
		if v.dict = c.texts.list; len(v.dict) == 0 {
			v.dict = []string{""}
		}
	default:
		v.objs = gatherRows(c.objs, rows)
	}
	return v
}

func gatherRows[T any](list []T, rows []int32) []T {
	out := make([]T, len(rows))
	for k, r := range rows {
		if r >= 0 {
			out[k] = list[r]
		}
	}
	return out
}

// value is row i of column k.
func (s *rowStore) value(k, i int) value {
	c := s.cols[k]
	if c.nulls.Has(i) {
		return null
	}
	switch c.typ.phys() {
	case physBool:
		return boolValue(c.bools[i])
	case physInt:
		return value{i: c.ints[i]}
	case physFloat:
		return value{f: c.floats[i]}
	case physText:
		return value{s: c.texts.list[c.codes[i]]}
	}
	return value{o: c.objs[i]}
}

const chunkRows = 2048 // rows of the chunks that steps make

// emit yields all rows, in order.
func (s *rowStore) emit(x *env, yield func(*chunk) error) error {
	cols := make([]*vector, len(s.cols))
	for k, c := range s.cols {
		cols[k] = c.vector()
	}
	for from := 0; from < s.n; from += chunkRows {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		to := min(from+chunkRows, s.n)
		if err := yield(&chunk{n: s.n, sel: sequence(from, to), cols: cols}); err != nil {
			return err
		}
	}
	return nil
}

// gather is the rows of the list by column; of a negative one all are NULL.
func (s *rowStore) gather(rows []int32) []*vector {
	out := make([]*vector, len(s.cols))
	for k, c := range s.cols {
		out[k] = c.gather(rows)
	}
	return out
}

// emitOrder yields the rows of the list, in its order.
func (s *rowStore) emitOrder(x *env, order []int32, yield func(*chunk) error) error {
	size := min(chunkRows, x.pieceRows(len(s.cols)))
	for from := 0; from < len(order); from += size {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		rows := order[from:min(from+size, len(order))]
		if err := yield(&chunk{n: len(rows), cols: s.gather(rows)}); err != nil {
			return err
		}
	}
	return nil
}

// interner numbers distinct texts. What it knows of the dictionaries that it
// met last makes most look-ups one index. Its hash table holds codes only: a
// map of Go would hold every text again, and hash it twice to add it.
type interner struct {
	list   []string
	hashes []uint32 // of list
	slots  []uint32 // code plus one, by hash
	bytes  int
	first  any      // the dictionary at hand
	known  []uint32 // code plus one by entry of that dictionary; 0: not asked yet
	shares bool     // texts stay where they are, and need not be copied
}

func newInterner() *interner { return &interner{slots: make([]uint32, 16)} }

var textSeed = maphash.MakeSeed()

// find returns the code of s, ok false if it has none, and where it would be.
func (t *interner) find(s string) (code, hash uint32, slot int, ok bool) {
	hash = uint32(maphash.String(textSeed, s))
	mask := len(t.slots) - 1
	for slot = int(hash) & mask; ; slot = (slot + 1) & mask {
		c := t.slots[slot]
		if c == 0 {
			return 0, hash, slot, false
		}
		if t.hashes[c-1] == hash && t.list[c-1] == s {
			return c - 1, hash, slot, true
		}
	}
}

// code returns the code of s, giving it one if need be.
func (t *interner) code(s string) uint32 {
	c, hash, slot, ok := t.find(s)
	if ok {
		return c
	}
	c = uint32(len(t.list))
	if !t.shares {
		s = strings.Clone(s) // without its dictionary's memory
	}
	t.list, t.hashes = append(t.list, s), append(t.hashes, hash)
	t.slots[slot] = c + 1
	t.bytes += len(s) + 32
	if 2*len(t.list) > len(t.slots) {
		t.grow()
	}
	return c
}

func (t *interner) grow() {
	t.slots = make([]uint32, 2*len(t.slots))
	mask := len(t.slots) - 1
	for c, h := range t.hashes {
		slot := int(h) & mask
		for t.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.slots[slot] = uint32(c) + 1
	}
}

// reader is the same for look-ups by another goroutine; t must not grow any more.
func (t *interner) reader() *interner {
	return &interner{list: t.list, hashes: t.hashes, slots: t.slots}
}

// use makes the dictionary of v the one at hand.
func (t *interner) use(v *vector) {
	if first := v.dictionary(); t.first != first || len(t.known) != len(v.dict) {
		t.first = first
		before := cap(t.known)
		t.known = slices.Grow(t.known[:0], len(v.dict))[:len(v.dict)]
		clear(t.known)
		t.bytes += 4 * (cap(t.known) - before)
	}
}

// entry returns the code of entry e of v, whose dictionary is at hand.
func (t *interner) entry(v *vector, e uint32) uint32 {
	if known := t.known[e]; known != 0 {
		return known - 1
	}
	return t.learn(v, e)
}

func (t *interner) learn(v *vector, e uint32) uint32 {
	code := t.code(v.dict[e])
	t.known[e] = code + 1
	return code
}

// codes appends the codes of rows sel of v; of a NULL it is 0.
func (t *interner) codes(v *vector, sel []int32, dst []uint32) []uint32 {
	switch {
	case v.constant:
		c := uint32(0)
		if !v.isNull(0) {
			c = t.code(v.dict[0])
		}
		for range sel {
			dst = append(dst, c)
		}
		return dst
	case v.codes == nil:
		for _, i := range sel {
			c := uint32(0)
			if !v.nulls.Has(int(i)) {
				c = t.code(v.dict[i])
			}
			dst = append(dst, c)
		}
		return dst
	}
	t.use(v)
	for _, i := range sel {
		if v.nulls != nil && v.nulls.Has(int(i)) {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, t.entry(v, v.codes[i]))
	}
	return dst
}

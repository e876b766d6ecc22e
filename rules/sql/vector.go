package sql

import (
	"strings"
	"sync"

	"daemoneye/bus/event"
)

// vector is a column of values of one type. It is not changed once it has
// been handed on. By typ.phys():
//
//	physBool   bools
//	physInt    ints
//	physFloat  floats
//	physText   dict, through codes
//	physObj    objs, through codes; or arr, a text[] column of a batch
//
// With codes nil, row i is entry i. A constant vector has one entry, for all rows.
type vector struct {
	typ      Type
	constant bool
	nulls    event.Bitmap
	bools    []bool
	ints     []int64
	floats   []float64
	dict     []string
	objs     []any
	plain    []byte // of event.Vector
	codes    []uint32
	arr      *event.Vector
	id       any // of the dictionary, where its memory is none

	lazy func() (*vector, error) // reads the column; until then there is only typ
}

// newVector returns a vector of n rows to be filled with set.
func newVector(t Type, n int) *vector {
	v := &vector{typ: t}
	switch t.phys() {
	case physBool:
		v.bools = make([]bool, n)
	case physInt:
		v.ints = make([]int64, n)
	case physFloat:
		v.floats = make([]float64, n)
	case physText:
		v.dict = make([]string, n)
	default:
		v.objs = make([]any, n)
	}
	return v
}

func constantVector(t Type, x value) *vector {
	v := newVector(t, 1)
	v.constant = true
	v.set(0, x, 1)
	return v
}

// set puts x into row i of a vector of n rows without codes.
func (v *vector) set(i int, x value, n int) {
	if x.null {
		v.setNull(i, n)
		return
	}
	switch v.typ.phys() {
	case physBool:
		v.bools[i] = x.i != 0
	case physInt:
		v.ints[i] = x.i
	case physFloat:
		v.floats[i] = x.f
	case physText:
		v.dict[i] = x.s
	default:
		v.objs[i] = x.o
	}
}

func (v *vector) setNull(i, n int) {
	if v.nulls == nil {
		v.nulls = make(event.Bitmap, (n+63)/64)
	}
	v.nulls[i>>6] |= 1 << (i & 63)
}

func (v *vector) isNull(i int) bool {
	if v.constant {
		i = 0
	}
	return v.nulls.Has(i)
}

// at returns row i.
func (v *vector) at(i int) value {
	if v.constant {
		i = 0
	}
	if v.nulls != nil && v.nulls.Has(i) {
		return null
	}
	switch v.typ.phys() {
	case physBool:
		return boolValue(v.bools[i])
	case physInt:
		return value{i: v.ints[i]}
	case physFloat:
		return value{f: v.floats[i]}
	case physText:
		if v.codes != nil {
			i = int(v.codes[i])
		}
		return value{s: v.dict[i]}
	}
	if v.arr != nil {
		return v.arrayAt(i)
	}
	if v.codes != nil {
		i = int(v.codes[i])
	}
	return value{o: v.objs[i]}
}

// text returns row i, which is not NULL, of a text vector.
func (v *vector) text(i int) string {
	if v.constant {
		i = 0
	} else if v.codes != nil {
		i = int(v.codes[i])
	}
	return v.dict[i]
}

func (v *vector) arrayAt(i int) value {
	codes := v.arr.Codes[v.arr.Offsets[i]:v.arr.Offsets[i+1]]
	a := &array{elem: Text, vals: make([]value, len(codes))}
	for j, c := range codes {
		a.vals[j].s = v.arr.Dict[c]
	}
	return value{o: a}
}

// coded reports whether rows share entries, so that a function of the
// entries needs to be computed once for each; entries is their number.
func (v *vector) coded() (entries int, ok bool) {
	if v.codes == nil || v.constant {
		return 0, false
	}
	return max(len(v.dict), len(v.objs)), true
}

// dictionary identifies the entries of a coded vector: another vector with the
// same identity has the same.
func (v *vector) dictionary() any {
	switch {
	case v.id != nil:
		return v.id
	case len(v.dict) > 0:
		return &v.dict[0]
	case len(v.objs) > 0:
		return &v.objs[0]
	}
	return nil
}

// entry returns entry c of a coded vector.
func (v *vector) entry(c uint32) value {
	if v.typ.phys() == physText {
		return value{s: v.dict[c]}
	}
	return value{o: v.objs[c]}
}

// as returns the same values as type t, which holds them in the same way.
func (v *vector) as(t Type) *vector {
	w := *v
	w.typ = t
	return &w
}

// take returns rows sel as a vector of their own.
func (v *vector) take(sel []int32) *vector {
	if v.constant {
		return v
	}
	out := &vector{typ: v.typ}
	for k, i := range sel {
		if v.nulls != nil && v.nulls.Has(int(i)) {
			out.setNull(k, len(sel))
		}
	}
	switch {
	case v.arr != nil:
		out = newVector(v.typ, len(sel))
		for k, i := range sel {
			out.set(k, v.at(int(i)), len(sel))
		}
	case v.codes != nil:
		out.dict, out.objs, out.id, out.codes = v.dict, v.objs, v.id, gather(v.codes, sel)
	default:
		out.bools, out.ints, out.floats = gather(v.bools, sel), gather(v.ints, sel), gather(v.floats, sel)
		out.dict, out.objs = gather(v.dict, sel), gather(v.objs, sel)
	}
	return out
}

// copied returns rows sel as a vector of their own, whose texts are its own too.
func (v *vector) copied(sel []int32) *vector {
	out := v.take(sel)
	if v.typ.phys() != physText || v.constant {
		return out
	}
	list := out.dict
	if out.codes != nil {
		list = nil
		codes := make([]uint32, len(v.dict)) // plus one; 0: not met yet
		for k, e := range out.codes {
			if codes[e] == 0 {
				list = append(list, v.dict[e])
				codes[e] = uint32(len(list))
			}
			out.codes[k] = codes[e] - 1
		}
	}
	out.dict, out.id = copyTexts(list), nil
	return out
}

// copyTexts returns the same texts in memory of their own, in one piece.
func copyTexts(list []string) []string {
	size := 0
	for _, s := range list {
		size += len(s)
	}
	var b strings.Builder
	b.Grow(size)
	for _, s := range list {
		b.WriteString(s)
	}
	all, out := b.String(), make([]string, len(list))
	for i, s := range list {
		out[i], all = all[:len(s)], all[len(s):]
	}
	return out
}

func gather[T any](list []T, sel []int32) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(sel))
	for k, i := range sel {
		out[k] = list[i]
	}
	return out
}

// chunk is some rows between two operators: those of sel, or all n of them
// when sel is nil.
type chunk struct {
	n    int
	sel  []int32
	cols []*vector
}

func (c *chunk) len() int {
	if c.sel != nil {
		return len(c.sel)
	}
	return c.n
}

// row returns the position in the vectors of the chunk's row k.
func (c *chunk) row(k int) int {
	if c.sel != nil {
		return int(c.sel[k])
	}
	return k
}

// rows returns the selection as a list.
func (c *chunk) rows() []int32 {
	if c.sel != nil {
		return c.sel
	}
	if c.n <= len(allRows()) {
		return allRows()[:c.n:c.n]
	}
	return sequence(0, c.n)
}

// allRows are the numbers of the rows of a chunk; nobody changes them.
var allRows = sync.OnceValue(func() []int32 { return sequence(0, 1<<16) })

func sequence(from, to int) []int32 {
	out := make([]int32, to-from)
	for i := range out {
		out[i] = int32(from + i)
	}
	return out
}

// column returns column i, reading it if that was not done yet.
func (c *chunk) column(i int) (*vector, error) {
	v := c.cols[i]
	if v.lazy == nil {
		return v, nil
	}
	w, err := v.lazy()
	if err != nil {
		return nil, err
	}
	c.cols[i] = w
	return w, nil
}

// settle reads the columns that were not read yet.
func (c *chunk) settle() error {
	for i := range c.cols {
		if _, err := c.column(i); err != nil {
			return err
		}
	}
	return nil
}

// slice returns the chunk's rows from ≤ k < to.
func (c *chunk) slice(from, to int) *chunk {
	if c.sel != nil {
		return &chunk{n: c.n, sel: c.sel[from:to], cols: c.cols}
	}
	return &chunk{n: c.n, sel: sequence(from, to), cols: c.cols}
}

// inSlices gives the chunk in pieces, after each of which memory can be looked at.
func (c *chunk) inSlices(f func(*chunk) error) error {
	const size = chunkRows / 4
	n := c.len()
	if n <= size {
		return f(c)
	}
	for from := 0; from < n; from += size {
		if err := f(c.slice(from, min(from+size, n))); err != nil {
			return err
		}
	}
	return nil
}

// copied returns the chunk's rows in memory of their own. It must be settled.
func (c *chunk) copied() *chunk {
	sel := c.rows()
	out := &chunk{n: len(sel), cols: make([]*vector, len(c.cols))}
	for i, v := range c.cols {
		out.cols[i] = v.copied(sel)
	}
	return out
}

// dense returns the chunk without a selection; when few of its rows are
// selected this saves computing over all of them.
func (c *chunk) dense() *chunk {
	if c.sel == nil {
		return c
	}
	out := &chunk{n: len(c.sel), cols: make([]*vector, len(c.cols))}
	for i, v := range c.cols {
		if v.lazy == nil {
			out.cols[i] = v.take(c.sel)
			continue
		}
		out.cols[i] = &vector{typ: v.typ, lazy: func() (*vector, error) {
			w, err := c.column(i)
			if err != nil {
				return nil, err
			}
			return w.take(c.sel), nil
		}}
	}
	return out
}

// fromEvent wraps a column of a batch, without copying but for jsonb, which
// is parsed once for each distinct text.
func fromEvent(v *event.Vector, t Type) (*vector, error) {
	if v == nil {
		return constantVector(t, null), nil
	}
	out := &vector{typ: t, nulls: v.Nulls, bools: v.Bools, ints: v.Ints, floats: v.Floats}
	switch v.Type {
	case event.Text:
		out.dict, out.plain, out.codes = v.Dict, v.Plain, v.Codes
	case event.TextArray:
		out.arr = v
	case event.JSONB:
		out.codes, out.objs = v.Codes, make([]any, len(v.Dict))
		used := make([]bool, len(v.Dict))
		for i := range v.Len {
			if !v.Nulls.Has(i) {
				used[v.Codes[i]] = true
			}
		}
		for c, text := range v.Dict {
			if !used[c] {
				continue
			}
			n, err := parseJSON(text)
			if err != nil {
				return nil, err
			}
			out.objs[c] = n
		}
	}
	return out, nil
}

// typeOf is the engine's type for a column of the event view.
func typeOf(t event.Type) Type {
	switch t {
	case event.Bool:
		return Bool
	case event.Int4:
		return Int4
	case event.Int8:
		return Int8
	case event.Float8:
		return Float8
	case event.Timestamptz:
		return Timestamptz
	case event.JSONB:
		return JSONB
	case event.TextArray:
		return ArrayOf(Text)
	}
	return Text
}

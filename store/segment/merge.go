package segment

import (
	"cmp"
	"math"
	"slices"

	"daemoneye/bus/event"
)

// order returns, for each row in the order of time, its number counted over
// all batches; nil when they are in that order already. A row without a time
// comes first.
func order(batches []*event.Batch, column, rows int) []uint32 {
	type key struct {
		time int64
		row  uint32
	}
	keys := make([]key, 0, rows)
	sorted, last := true, int64(math.MinInt64)
	for _, b := range batches {
		v := b.Columns[column]
		for i := range b.Rows {
			t := int64(math.MinInt64)
			if !v.IsNull(i) {
				t = v.Ints[i]
			}
			sorted = sorted && t >= last
			last = t
			keys = append(keys, key{t, uint32(len(keys))})
		}
	}
	if sorted {
		return nil
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := cmp.Compare(a.time, b.time); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	})
	list := make([]uint32, rows)
	for i, k := range keys {
		list[i] = k.row
	}
	return list
}

// merge joins one column of batches, in their order; nil when all is NULL. A
// dictionary holds each string that a row has once, and no other. The vector
// is valid until the next call.
func (e *encoder) merge(batches []*event.Batch, column int) *event.Vector {
	if !slices.ContainsFunc(batches, func(b *event.Batch) bool { return b.Columns[column] != nil }) {
		return nil
	}
	m := &e.merger
	m.begin(batches[0].Table.Columns[column].Type, e.rows)
	for _, b := range batches {
		m.add(b.Columns[column], b.Rows)
	}
	if m.nulls == e.rows {
		return nil
	}
	return &m.out
}

// merger keeps its memory from column to column.
type merger struct {
	out   event.Vector
	rows  int
	nulls int
	codes map[string]uint32
	remap []uint32
}

// forget lets the strings of the last column go.
func (m *merger) forget() {
	clear(m.codes)
	clear(m.out.Dict[:cap(m.out.Dict)])
}

func (m *merger) begin(t event.Type, rows int) {
	out := &m.out
	clear(m.codes)
	m.rows, m.nulls = 0, 0
	*out = event.Vector{
		Type: t, Len: rows, Bools: out.Bools[:0], Ints: out.Ints[:0], Floats: out.Floats[:0],
		Dict: out.Dict[:0], Codes: out.Codes[:0], Offsets: out.Offsets[:0],
	}
	switch t {
	case event.Bool:
		out.Bools = slices.Grow(out.Bools, rows)
	case event.Float8:
		out.Floats = slices.Grow(out.Floats, rows)
	case event.Int4, event.Int8, event.Timestamptz:
		out.Ints = slices.Grow(out.Ints, rows)
	case event.TextArray:
		out.Offsets = append(slices.Grow(out.Offsets, rows+1), 0)
	default:
		out.Codes = slices.Grow(out.Codes, rows)
	}
}

const unmapped = math.MaxUint32

func (m *merger) add(v *event.Vector, rows int) {
	out := &m.out
	for i := range rows {
		if v.IsNull(i) {
			m.setNull(m.rows + i)
		}
	}
	m.rows += rows
	if v == nil {
		v = &event.Vector{Type: out.Type}
	}
	switch out.Type {
	case event.Bool:
		out.Bools = pad(append(out.Bools, v.Bools...), m.rows)
	case event.Float8:
		out.Floats = pad(append(out.Floats, v.Floats...), m.rows)
	case event.Int4, event.Int8, event.Timestamptz:
		out.Ints = pad(append(out.Ints, v.Ints...), m.rows)
	case event.TextArray:
		m.addArrays(v)
		for len(out.Offsets) <= m.rows {
			out.Offsets = append(out.Offsets, uint32(len(out.Codes)))
		}
	default:
		m.addTexts(v)
		out.Codes = pad(out.Codes, m.rows)
	}
}

func pad[T any](list []T, n int) []T {
	var zero T
	for len(list) < n {
		list = append(list, zero)
	}
	return list
}

func (m *merger) setNull(i int) {
	if m.out.Nulls == nil {
		m.out.Nulls = make(event.Bitmap, (m.out.Len+63)/64)
	}
	m.out.Nulls[i>>6] |= 1 << (i & 63)
	m.nulls++
}

// addTexts looks each string of a batch up once, when a row has it.
func (m *merger) addTexts(v *event.Vector) {
	m.unmap(len(v.Dict))
	for i, c := range v.Codes {
		code := uint32(0)
		if !v.Nulls.Has(i) {
			code = m.code(v, c)
		}
		m.out.Codes = append(m.out.Codes, code)
	}
}

func (m *merger) addArrays(v *event.Vector) {
	out := &m.out
	m.unmap(len(v.Dict))
	for i := range v.Len {
		if !v.Nulls.Has(i) {
			for _, c := range v.Codes[v.Offsets[i]:v.Offsets[i+1]] {
				out.Codes = append(out.Codes, m.code(v, c))
			}
		}
		out.Offsets = append(out.Offsets, uint32(len(out.Codes)))
	}
}

func (m *merger) unmap(n int) {
	m.remap = slices.Grow(m.remap[:0], n)[:n]
	for i := range m.remap {
		m.remap[i] = unmapped
	}
}

func (m *merger) code(v *event.Vector, c uint32) uint32 {
	if m.remap[c] != unmapped {
		return m.remap[c]
	}
	s := v.Dict[c]
	code, ok := m.codes[s]
	if !ok {
		code = uint32(len(m.out.Dict))
		m.codes[s] = code
		m.out.Dict = append(m.out.Dict, s)
	}
	m.remap[c] = code
	return code
}

// permute puts the rows of v into the given order.
func permute(v *event.Vector, order []uint32) *event.Vector {
	if v == nil || order == nil {
		return v
	}
	out := &event.Vector{Type: v.Type, Len: v.Len, Dict: v.Dict}
	if v.Nulls != nil {
		out.Nulls = make(event.Bitmap, len(v.Nulls))
		for i, j := range order {
			if v.Nulls.Has(int(j)) {
				out.Nulls[i>>6] |= 1 << (i & 63)
			}
		}
	}
	if v.Type == event.TextArray {
		out.Offsets = make([]uint32, 1, v.Len+1)
		out.Codes = make([]uint32, 0, len(v.Codes))
		for _, j := range order {
			out.Codes = append(out.Codes, v.Codes[v.Offsets[j]:v.Offsets[j+1]]...)
			out.Offsets = append(out.Offsets, uint32(len(out.Codes)))
		}
		return out
	}
	switch v.Type {
	case event.Bool:
		out.Bools = gather(v.Bools, order)
	case event.Float8:
		out.Floats = gather(v.Floats, order)
	case event.Int4, event.Int8, event.Timestamptz:
		out.Ints = gather(v.Ints, order)
	default:
		out.Codes = gather(v.Codes, order)
	}
	return out
}

func gather[T any](list []T, order []uint32) []T {
	out := make([]T, len(order))
	for i, j := range order {
		out[i] = list[j]
	}
	return out
}

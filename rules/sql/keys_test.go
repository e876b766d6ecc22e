package sql

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawColumn gives a vector of n rows, coded, constant or neither, with values
// of which many are alike.
func drawColumn(t *rapid.T, typ Type, n int) *vector {
	wide := rapid.Bool().Draw(t, "wide")
	one := func() value {
		k := rapid.IntRange(0, 9).Draw(t, "value")
		if k == 0 && rapid.Bool().Draw(t, "null") {
			return null
		}
		switch typ.phys() {
		case physBool:
			return boolValue(k%2 == 0)
		case physInt:
			list := []int64{0, -1, 1, 2, math.MaxInt32, math.MinInt32, 7, 8, 9, 10}
			if wide {
				list = append(list[:7], math.MaxInt64, math.MinInt64, 1<<32)
			}
			return intValue(list[k])
		case physFloat:
			return floatValue([]float64{0, math.Copysign(0, -1), 1, math.NaN(), math.Inf(1), -1, 2, 3, 4, 5}[k])
		case physText:
			return textValue(fmt.Sprint("t", k))
		}
		return value{o: &array{elem: Text, vals: []value{textValue(fmt.Sprint(k))}}}
	}
	if rapid.IntRange(0, 5).Draw(t, "constant") == 0 {
		return constantVector(typ, one())
	}
	v := newVector(typ, n)
	if typ.phys() != physText || rapid.Bool().Draw(t, "not coded") {
		for i := range n {
			v.set(i, one(), n)
		}
		return v
	}
	v.dict, v.codes = nil, make([]uint32, n)
	for i := range n {
		if x := one(); x.null {
			v.setNull(i, n)
		} else {
			v.dict, v.codes[i] = append(v.dict, x.s), uint32(len(v.dict))
		}
	}
	if len(v.dict) == 0 {
		v.dict = []string{""}
	}
	return v
}

// Whatever the layout, rows that are not distinct have one number, numbers are
// given in the order of the rows, and a reader finds what was numbered.
func TestKeyTable(t *testing.T) {
	all := []Type{Text, Bool, Int4, Int8, Float8, ArrayOf(Text)}
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(t, "types")
		table, want := newKeyTable(types), make(map[string]int32)
		withNull := make(map[int32]bool)
		chunk := func() (cols []*vector, sel []int32, keys []string) {
			n := rapid.IntRange(1, 12).Draw(t, "rows")
			for _, typ := range types {
				cols = append(cols, drawColumn(t, typ, n))
			}
			for i := range n {
				if rapid.IntRange(0, 3).Draw(t, "skip") > 0 {
					sel = append(sel, int32(i))
				}
			}
			for _, i := range sel {
				var key []byte
				for k, v := range cols {
					x := v.at(int(i))
					if key = append(key, 0); !x.null {
						key = append(appendKey(key, types[k], x), 1)
					}
				}
				keys = append(keys, string(key))
			}
			return cols, sel, keys
		}
		for range rapid.IntRange(1, 4).Draw(t, "chunks") {
			cols, sel, keys := chunk()
			got := make([]int32, len(sel))
			table.number(cols, sel, got)
			for k, key := range keys {
				id, ok := want[key]
				if !ok {
					id = int32(len(want))
					want[key] = id
					withNull[id] = slices.ContainsFunc(cols, func(v *vector) bool { return v.isNull(int(sel[k])) })
				}
				if got[k] != id {
					t.Fatalf("row %d has number %d, want %d", k, got[k], id)
				}
			}
			if table.n != len(want) {
				t.Fatalf("%d keys, want %d", table.n, len(want))
			}
		}
		for id, has := range withNull {
			if table.hasNull(id) != has {
				t.Fatalf("hasNull(%d) = %v", id, !has)
			}
		}
		r := table.reader()
		for range 2 {
			cols, sel, keys := chunk()
			got := make([]int32, len(sel))
			r.find(cols, sel, got)
			for k, key := range keys {
				id, ok := want[key]
				if !ok {
					id = -1
				}
				if got[k] != id {
					t.Fatalf("row %d is found as %d, want %d", k, got[k], id)
				}
			}
		}
	})
}

package event

import (
	"math"
	"slices"
	"testing"
)

// TestPack: integers of each width come back, and NULL rows as the least value,
// whatever stands in them.
func TestPack(t *testing.T) {
	for _, test := range []struct {
		list  []int64
		nulls []int
		width int
	}{
		{nil, nil, 0},
		{[]int64{7, 7}, nil, 0},
		{[]int64{-5, 250}, nil, 1},
		{[]int64{-5, 251}, nil, 2},
		{[]int64{1 << 40, 1<<40 + 1<<16}, nil, 4},
		{[]int64{math.MinInt64, 0, math.MaxInt64}, nil, 8},
		{[]int64{1 << 60, 3, 5, -1 << 60, 9}, []int{0, 3}, 1},
		{[]int64{1, 2}, []int{0, 1}, 0},
	} {
		var nulls Bitmap
		for _, i := range test.nulls {
			nulls.set(i)
		}
		base, width, raw := pack(test.list, nulls)
		if width != test.width || len(raw) != width*len(test.list) {
			t.Errorf("pack(%v): width %d in %d bytes, want width %d", test.list, width, len(raw), test.width)
		}
		want := slices.Clone(test.list)
		for _, i := range test.nulls {
			want[i] = base
		}
		got, err := unpack[int64](base, uint64(width), raw, len(test.list))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("pack(%v) came back as %v, %v, want %v", test.list, got, err, want)
		}
	}
}

package store

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// positions is a set: what a map says, it says.
func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, want := &positions{}, map[uint64]bool{}
		for range rapid.IntRange(0, 6).Draw(t, "adds") {
			list := rapid.SliceOfN(rapid.Uint64Range(1, 40), 0, 8).Draw(t, "positions")
			set = set.add(of(list).runs...)
			for _, p := range list {
				want[p] = true
			}
		}
		floor, last := uint64(1), uint64(0)
		for want[floor] {
			floor++
		}
		first, end := rapid.Uint64Range(1, 40).Draw(t, "first"), rapid.Uint64Range(1, 40).Draw(t, "last")
		missing := uint64(0)
		for p := uint64(1); p <= 41; p++ {
			if set.has(p) != want[p] {
				t.Fatalf("%v has(%d) = %v", set.runs, p, !want[p])
			}
			if want[p] {
				last = p
			}
			if p >= first && p <= end && !want[p] {
				missing++
			}
		}
		if set.floor() != floor || set.last() != last || set.count() != int64(len(want)) || set.missing(first, end) != missing {
			t.Fatalf("%v: floor %d, last %d, count %d, missing(%d, %d) %d; want %d, %d, %d, %d", set.runs,
				set.floor(), set.last(), set.count(), first, end, set.missing(first, end), floor, last, len(want), missing)
		}
		d := decoder{data: set.append(nil)}
		if got := d.positions(); d.done() != nil || len(got.runs) != len(set.runs) || len(set.runs) > 0 && !reflect.DeepEqual(got, set) {
			t.Fatalf("stored %v, read %v, %v", set.runs, got.runs, d.err)
		}
	})
}

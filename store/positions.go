package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// positions is a set of batch positions, kept as its runs: ascending, with
// gaps between them. It is never changed: add makes a new one.
type positions struct{ runs []run }

// run is the positions first to last, both included.
type run struct{ first, last uint64 }

// has reports whether p is in the set.
func (s *positions) has(p uint64) bool {
	i := s.after(p)
	return i > 0 && s.runs[i-1].last >= p
}

// after returns the index of the first run that begins after p.
func (s *positions) after(p uint64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].first > p })
}

// floor returns the least position, from 1 on, that is not in the set.
func (s *positions) floor() uint64 {
	if len(s.runs) > 0 && s.runs[0].first <= 1 {
		return s.runs[0].last + 1
	}
	return 1
}

// last returns the greatest position, 0 when the set is empty.
func (s *positions) last() uint64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].last
}

// missing counts the positions from first to last that are not in the set.
func (s *positions) missing(first, last uint64) uint64 {
	if first > last {
		return 0
	}
	n := last - first + 1
	for i := max(s.after(first), 1) - 1; i < len(s.runs) && s.runs[i].first <= last; i++ {
		if from, to := max(first, s.runs[i].first), min(last, s.runs[i].last); from <= to {
			n -= to - from + 1
		}
	}
	return n
}

// count returns the size of the set.
func (s *positions) count() (n int64) {
	for _, r := range s.runs {
		n += int64(r.last - r.first + 1)
	}
	return n
}

// add returns the union with runs, in any order.
func (s *positions) add(more ...run) *positions {
	all := slices.Concat(s.runs, more)
	slices.SortFunc(all, func(a, b run) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	joined := all[:0]
	for _, r := range all {
		if n := len(joined); n > 0 && r.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, r.last)
			continue
		}
		joined = append(joined, r)
	}
	return &positions{slices.Clip(joined)}
}

// of returns the set of single positions.
func of(list []uint64) *positions {
	runs := make([]run, len(list))
	for i, p := range list {
		runs[i] = run{p, p}
	}
	return (&positions{}).add(runs...)
}

// append appends the stored form: the number of runs, then for each run its
// distance from the run before and its length less one.
func (s *positions) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.runs)))
	last := uint64(0)
	for _, r := range s.runs {
		dst = binary.AppendUvarint(dst, r.first-last)
		dst = binary.AppendUvarint(dst, r.last-r.first)
		last = r.last
	}
	return dst
}

// positions reads the stored form of a set.
func (d *decoder) positions() *positions {
	n := d.atMost(uint64(len(d.data)) / 2)
	s := &positions{}
	last := uint64(0)
	for range n {
		gap, length := d.uint(), d.uint()
		first := last + gap
		if d.err == nil && (gap == 0 || last > 0 && gap == 1 || first < last || first+length < first) {
			d.err = errors.New("positions do not ascend")
		}
		if d.err != nil {
			return &positions{}
		}
		last = first + length
		s.runs = append(s.runs, run{first, last})
	}
	return s
}

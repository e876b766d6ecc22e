package segment

import "daemoneye/bus/event"

// Memory is what the numbers and codes of columns are read into, to be used
// again after Reset. Texts are never in it. One goroutine uses it; a nil
// Memory allocates.
type Memory struct {
	codes slots[uint32]
	ints  slots[int64]
}

// Reset gives the memory of all columns read so far back.
func (m *Memory) Reset() { m.codes.next, m.ints.next = 0, 0 }

type slots[T uint32 | int64] struct {
	list [][]T
	next int
}

// get returns n values that are not cleared.
func (s *slots[T]) get(n int) []T {
	if s.next == len(s.list) {
		s.list = append(s.list, make([]T, n, max(n, event.MaxRows)))
	}
	if cap(s.list[s.next]) < n {
		s.list[s.next] = make([]T, n)
	}
	s.next++
	return s.list[s.next-1][:n]
}

func (m *Memory) newCodes(n int) []uint32 {
	if m == nil {
		return make([]uint32, n)
	}
	return m.codes.get(n)
}

func (m *Memory) newInts(n int) []int64 {
	if m == nil {
		return make([]int64, n)
	}
	return m.ints.get(n)
}

package segment

import "daemoneye/bus/event"

// Memory is what the numbers and codes of columns are read into, and with Texts
// set their texts, to be used again after Reset. One goroutine uses it; a nil
// Memory allocates.
type Memory struct {
	Texts bool

	codes slots[uint32]
	ints  slots[int64]
	lists slots[string]
	bytes slots[byte]
}

// Reset gives the memory of all columns read so far back.
func (m *Memory) Reset() { m.codes.next, m.ints.next, m.lists.next, m.bytes.next = 0, 0, 0, 0 }

type slots[T uint32 | int64 | string | byte] struct {
	list [][]T
	next int
}

// get returns n values that are not cleared, in an allocation of least or more.
func (s *slots[T]) get(n, least int) []T {
	if s.next == len(s.list) {
		s.list = append(s.list, nil)
	}
	if cap(s.list[s.next]) < n {
		s.list[s.next] = make([]T, n, max(n, least))
	}
	s.next++
	return s.list[s.next-1][:n]
}

func (m *Memory) newCodes(n int) []uint32 {
	if m == nil {
		return make([]uint32, n)
	}
	return m.codes.get(n, event.MaxRows)
}

func (m *Memory) newInts(n int) []int64 {
	if m == nil {
		return make([]int64, n)
	}
	return m.ints.get(n, event.MaxRows)
}

func (m *Memory) newList(n int) []string {
	if m == nil || !m.Texts {
		return make([]string, n)
	}
	return m.lists.get(n, n+n/4)
}

// newBytes returns memory for texts of n bytes.
func (m *Memory) newBytes(n int) []byte {
	if m == nil || !m.Texts {
		return make([]byte, n)
	}
	return m.bytes.get(n, n+n/4)
}

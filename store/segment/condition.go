package segment

import (
	"io"
	"math"

	"daemoneye/bus/event"
)

// Op is how a Condition compares a column.
type Op uint8

// The operators. IsNull and IsNotNull have no value, Equal means one of the
// values, the others have one.
const (
	Equal Op = iota + 1
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	IsNull
	IsNotNull
)

// Condition is what a wanted row satisfies. A value is an int64 (also µs for a
// timestamptz), float64, string or bool; one that does not fit the column's
// type is as if there were no condition.
type Condition struct {
	Column string
	Op     Op
	Values []any
}

// May reports whether a row of the segment may satisfy all conditions, judging
// by bounds and counts alone.
func (n *Info) May(t *event.Table, conditions []Condition) bool {
	for i := range conditions {
		if at := t.Index(conditions[i].Column); at >= 0 && !n.Chunks[at].may(&conditions[i], t.Columns[at].Type, n.Rows) {
			return false
		}
	}
	return true
}

func (c *Chunk) may(cond *Condition, t event.Type, rows int) bool {
	switch {
	case cond.Op == IsNull:
		return c.Nulls > 0
	case c.Nulls == rows:
		return false // a comparison with NULL is not true
	case cond.Op == IsNotNull || !c.Bounds.Known:
		return true
	}
	for _, value := range cond.Values {
		least, greatest, known := c.Bounds.compare(value, t)
		if !known {
			return true
		}
		switch cond.Op {
		case Equal:
			if least <= 0 && greatest >= 0 {
				return true
			}
		case Less:
			if least < 0 {
				return true
			}
		case LessOrEqual:
			if least <= 0 {
				return true
			}
		case Greater:
			if greatest > 0 {
				return true
			}
		case GreaterOrEqual:
			if greatest >= 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// compare compares the bounds with a value; known false when it can not.
func (b *Bounds) compare(value any, t event.Type) (least, greatest int, known bool) {
	switch t {
	case event.Text:
		s, ok := value.(string)
		return order3(b.Texts[0], s), order3(b.Texts[1], s), ok
	case event.Float8:
		f, ok := toFloat(value)
		return order3(b.Floats[0], f), order3(b.Floats[1], f), ok
	case event.Bool:
		v, ok := value.(bool)
		n := int64(0)
		if v {
			n = 1
		}
		return order3(b.Ints[0], n), order3(b.Ints[1], n), ok
	case event.Int4, event.Int8, event.Timestamptz:
		if n, ok := value.(int64); ok {
			return order3(b.Ints[0], n), order3(b.Ints[1], n), true
		}
		f, ok := toFloat(value)
		if !ok || !exact(b.Ints[0]) || !exact(b.Ints[1]) {
			return 0, 0, false
		}
		return order3(float64(b.Ints[0]), f), order3(float64(b.Ints[1]), f), true
	}
	return 0, 0, false
}

// toFloat returns a number that compares exactly as a double. NaN, which is
// above all others to PostgreSQL, is left to it.
func toFloat(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, !math.IsNaN(v)
	case int64:
		return float64(v), exact(v)
	}
	return 0, false
}

// exact reports whether a double holds n.
func exact(n int64) bool { return n >= -1<<53 && n <= 1<<53 }

func order3[T int64 | float64 | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// MayHold reports whether the bloom filters let a row pass that satisfies all
// conditions. It reads a filter for each equality on a column that has one.
func (n *Info) MayHold(r io.ReaderAt, t *event.Table, conditions []Condition) (bool, error) {
	for i := range conditions {
		cond := &conditions[i]
		at := t.Index(cond.Column)
		if at < 0 || cond.Op != Equal || n.Chunks[at].Bloom.Size == 0 {
			continue
		}
		hashes, ok := hashesOf(cond.Values, t.Columns[at].Type)
		if !ok {
			continue
		}
		if held, err := n.Chunks[at].Bloom.mayHold(r, hashes); err != nil || !held {
			return false, err
		}
	}
	return true, nil
}

// HasBloom reports whether MayHold has anything to read.
func (n *Info) HasBloom(t *event.Table, conditions []Condition) bool {
	for i := range conditions {
		if at := t.Index(conditions[i].Column); at >= 0 && conditions[i].Op == Equal && n.Chunks[at].Bloom.Size > 0 {
			return true
		}
	}
	return false
}

func hashesOf(values []any, t event.Type) ([]uint64, bool) {
	hashes := make([]uint64, 0, len(values))
	for _, value := range values {
		switch v := value.(type) {
		case string:
			if t != event.Text {
				return nil, false
			}
			hashes = append(hashes, hashText(v))
		case int64:
			if t != event.Int4 && t != event.Int8 {
				return nil, false
			}
			if t == event.Int4 && int64(int32(v)) != v {
				continue // no integer is equal to it
			}
			hashes = append(hashes, hashInt(v, t))
		default:
			return nil, false
		}
	}
	return hashes, true
}

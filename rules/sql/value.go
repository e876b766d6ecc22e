package sql

import (
	"cmp"
	"encoding/binary"
	"math"
	"strings"
)

// value is one SQL value, to be read with its Type at hand:
//
//	Bool                                      i, 0 or 1
//	Int2, Int4, Int8                          i
//	Date                                      i, days since the Unix epoch
//	Timestamp, Timestamptz                    i, µs since the Unix epoch; the extremes are ±infinity
//	Time                                      i, µs since midnight, up to 24 hours
//	Float8                                    f
//	Text, Varchar, Unknown                    s
//	Bytea, UUID                               s, the bytes
//	Inet, Cidr                                s, as network.key gives it
//	Numeric, Interval, JSONB, arrays          o: *numeric, interval, *jsonNode, *array
//
// Types held in s are ordered by its bytes.
type value struct {
	null bool
	i    int64
	f    float64
	s    string
	o    any
}

// array is a one-dimensional array with lower bound 1.
type array struct {
	elem Type
	vals []value
}

var null = value{null: true}

func boolValue(b bool) value {
	if b {
		return value{i: 1}
	}
	return value{}
}

func (v value) truth() bool          { return v.i != 0 }
func (v value) numeric() *numeric    { return v.o.(*numeric) }
func (v value) interval() interval   { return v.o.(interval) }
func (v value) array() *array        { return v.o.(*array) }
func (v value) json() *jsonNode      { return v.o.(*jsonNode) }
func intValue(i int64) value         { return value{i: i} }
func floatValue(f float64) value     { return value{f: f} }
func textValue(s string) value       { return value{s: s} }
func numValue(n *numeric) value      { return value{o: n} }
func intervalValue(v interval) value { return value{o: v} }

// compare orders two values of type t that are not NULL, as the btree
// operator class of the type does. A NULL within an array is the greatest.
func compare(t Type, a, b value) int {
	if t.IsArray() {
		x, y := a.array(), b.array()
		for i := range min(len(x.vals), len(y.vals)) {
			p, q := x.vals[i], y.vals[i]
			c := 0
			switch {
			case p.null && q.null:
			case p.null:
				c = 1
			case q.null:
				c = -1
			default:
				c = compare(t.Elem(), p, q)
			}
			if c != 0 {
				return c
			}
		}
		return cmp.Compare(len(x.vals), len(y.vals))
	}
	switch t.phys() {
	case physBool, physInt:
		return cmp.Compare(a.i, b.i)
	case physFloat:
		return compareFloats(a.f, b.f)
	case physText:
		return strings.Compare(a.s, b.s)
	}
	switch t {
	case Numeric:
		return a.numeric().cmp(b.numeric())
	case Interval:
		return a.interval().cmp(b.interval())
	default:
		return compareJSON(a.json(), b.json())
	}
}

// compareFloats orders as PostgreSQL: NaN equals itself and is the greatest.
func compareFloats(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}

// appendKey appends bytes that are equal for two values of type t exactly
// when they are not distinct. It serves hashing, not ordering.
func appendKey(dst []byte, t Type, v value) []byte {
	if v.null {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	if t.IsArray() {
		a := v.array()
		dst = binary.AppendUvarint(dst, uint64(len(a.vals)))
		for _, e := range a.vals {
			dst = appendKey(dst, t.Elem(), e)
		}
		return dst
	}
	switch t.phys() {
	case physBool, physInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.i))
	case physFloat:
		f := v.f
		if f == 0 {
			f = 0 // -0 equals 0
		}
		if math.IsNaN(f) {
			f = math.NaN()
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	case physText:
		return appendKeyText(dst, v.s)
	}
	switch t {
	case Numeric:
		return appendKeyText(dst, v.numeric().trimmed())
	case Interval:
		days, us := v.interval().span()
		dst = binary.LittleEndian.AppendUint64(dst, uint64(days))
		return binary.LittleEndian.AppendUint64(dst, uint64(us))
	default:
		return appendKeyText(dst, v.json().key())
	}
}

func appendKeyText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// sortable reports whether t has an order; all our types do.
func sortable(t Type) bool { return !t.pseudo() }

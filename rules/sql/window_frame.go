package sql

import (
	"math"
	"sort"
)

// windowPart is one partition while window calls are computed over it. Rows
// are named by their place in it.
type windowPart struct {
	x          *env
	node       *windowNode
	store      *rowStore
	rows       []int32 // rows of the store, in the window's order
	start, end value   // offsets of the frame
	groupOf    []int32 // the group of equal rows of each row
	groups     []int32 // the first row of each group, then the number of rows
	// the rows whose key is not NULL, for RANGE with an offset
	firstKey, lastKey int
}

func (p *windowPart) findPeers(peers order) {
	p.groupOf = make([]int32, len(p.rows))
	p.groups = append(p.groups, 0)
	for i := 1; i < len(p.rows); i++ {
		if len(peers) > 0 && peers.compare(p.rows[i-1], p.rows[i]) != 0 {
			p.groups = append(p.groups, int32(i))
		}
		p.groupOf[i] = int32(len(p.groups) - 1)
	}
	p.groups = append(p.groups, int32(len(p.rows)))
	p.lastKey = len(p.rows)
	if p.node.spec.inRange.bound == nil {
		return
	}
	isNull := func(i int) bool { return p.key(i).null }
	for p.firstKey < len(p.rows) && isNull(p.firstKey) {
		p.firstKey++
	}
	for p.lastKey > p.firstKey && isNull(p.lastKey-1) {
		p.lastKey--
	}
}

// key is the value of the first ORDER BY column.
func (p *windowPart) key(i int) value { return p.value(p.node.order[0].column, i) }

// value is column k of row i.
func (p *windowPart) value(k, i int) value { return p.store.value(k, int(p.rows[i])) }

// peers are the rows from ≤ j < to that are equal to row i.
func (p *windowPart) peers(i int) (from, to int) {
	g := p.groupOf[i]
	return int(p.groups[g]), int(p.groups[g+1])
}

// frame is the rows from ≤ j < to of row i's frame, before exclusion.
func (p *windowPart) frame(i int) (from, to int, err error) {
	f := &p.node.spec.frame
	if from, err = p.edge(i, f.start, p.start, false); err != nil {
		return 0, 0, err
	}
	if to, err = p.edge(i, f.end, p.end, true); err != nil {
		return 0, 0, err
	}
	from, to = max(from, 0), min(to, len(p.rows))
	return from, max(from, to), nil
}

// edge is the first row of the frame, or with end set the row after its last.
func (p *windowPart) edge(i int, kind boundKind, offset value, end bool) (int, error) {
	f := &p.node.spec.frame
	switch kind {
	case unboundedPreceding:
		return 0, nil
	case unboundedFollowing:
		return len(p.rows), nil
	case currentRow:
		if f.mode == frameRows {
			if end {
				return i + 1, nil
			}
			return i, nil
		}
		from, to := p.peers(i)
		if end {
			return to, nil
		}
		return from, nil
	}
	back := kind == offsetPreceding
	if f.mode == frameRange {
		return p.rangeEdge(i, back, offset, end)
	}
	n := int(min(offset.i, int64(len(p.rows)+1)))
	if back {
		n = -n
	}
	if f.mode == frameRows {
		if end {
			n++
		}
		return i + n, nil
	}
	g := int(p.groupOf[i]) + n
	if end {
		g++
	}
	return int(p.groups[min(max(g, 0), len(p.groups)-1)]), nil
}

// rangeEdge finds by halving the first row whose key is in, or past, the
// bound of row i.
func (p *windowPart) rangeEdge(i int, back bool, offset value, end bool) (int, error) {
	base := p.key(i)
	if base.null {
		from, to := p.peers(i)
		if end {
			return to, nil
		}
		return from, nil
	}
	key := p.node.order[0]
	sub := back != key.descending
	bound, err := p.node.spec.inRange.bound(base, offset, sub)
	if err != nil {
		return 0, err
	}
	n := sort.Search(p.lastKey-p.firstKey, func(j int) bool {
		c := bound.compare(key.typ, p.key(p.firstKey+j))
		if key.descending {
			c = -c
		}
		if end {
			return c > 0
		}
		return c >= 0
	})
	return p.firstKey + n, nil
}

// excluded reports whether the frame of row i leaves out row j of it.
func (p *windowPart) excluded(i, j int) bool {
	switch p.node.spec.frame.exclude {
	case excludeCurrent:
		return i == j
	case excludeGroup:
		return p.groupOf[i] == p.groupOf[j]
	case excludeTies:
		return i != j && p.groupOf[i] == p.groupOf[j]
	}
	return false
}

// rangeOffset is how RANGE adds an offset to a key (in_range of PostgreSQL's
// operator classes).
type rangeOffset struct {
	offset   Type
	bound    func(base, offset value, sub bool) (rangeBound, error)
	negative func(offset value) bool
}

// rangeBound is a key, or when it overflowed the end of all keys.
type rangeBound struct {
	v        value
	infinite int  // -1, 0 or 1
	all      bool // every key but NaN is at it
	moment   bool // of a date: v is a timestamp
}

// compare compares a key with the bound.
func (b rangeBound) compare(t Type, key value) int {
	switch {
	case b.all:
		if isNaN(t, key) {
			return 1
		}
		return 0
	case b.infinite != 0:
		return -b.infinite
	case b.moment:
		return compare(Timestamp, intValue(midnight(key.i)), b.v)
	}
	return compare(t, key, b.v)
}

func isNaN(t Type, v value) bool {
	if t == Numeric {
		return v.numeric().kind == notANumber
	}
	return math.IsNaN(v.f)
}

func rangeOffsetFor(key, offset Type, pos int) (rangeOffset, error) {
	refused := failAt(pos, codeUnsupported, "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %v", key)
	var out rangeOffset
	switch key {
	case Int2, Int4, Int8:
		out.offset = key
		if offset.integer() && key != Int8 {
			out.offset = Int8
		}
		least, greatest := integerRange(key)
		out.bound = func(base, offset value, sub bool) (rangeBound, error) {
			return intBound(base.i, offset.i, sub, least, greatest), nil
		}
		out.negative = func(v value) bool { return v.i < 0 }
	case Float8:
		out.offset, out.bound = Float8, floatBound
		out.negative = func(v value) bool { return v.f < 0 || v.f != v.f }
	case Numeric:
		out.offset, out.bound = Numeric, numericBound
		out.negative = func(v value) bool { return v.numeric().cmp(numericInt(0)) < 0 || v.numeric().kind == notANumber }
	case Timestamptz, Timestamp, Date:
		out.offset = Interval
		out.bound = func(base, offset value, sub bool) (rangeBound, error) {
			return timeBoundOf(key, base.i, offset.interval(), sub)
		}
		out.negative = func(v value) bool { return v.interval().cmp(interval{}) < 0 }
	case Time: // which does not wrap at midnight; months and days do not count
		out.offset = Interval
		out.bound = func(base, offset value, sub bool) (rangeBound, error) {
			if sub {
				return rangeBound{v: intValue(base.i - offset.interval().us)}, nil
			}
			return rangeBound{v: intValue(base.i + offset.interval().us)}, nil // beyond 64 bits too
		}
		out.negative = func(v value) bool { return v.interval().us < 0 }
	case Interval:
		out.offset, out.bound = Interval, intervalBound
		out.negative = func(v value) bool { return v.interval().cmp(interval{}) < 0 }
	default:
		return out, refused
	}
	if offset != Unknown && !canCast(offset, out.offset, implicit) {
		return out, refused
	}
	return out, nil
}

func integerRange(t Type) (least, greatest int64) {
	switch t {
	case Int2:
		return math.MinInt16, math.MaxInt16
	case Int4:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

func intBound(base, offset int64, sub bool, least, greatest int64) rangeBound {
	if sub {
		if base < least+offset {
			return rangeBound{infinite: -1}
		}
		return rangeBound{v: intValue(base - offset)}
	}
	if base > greatest-offset {
		return rangeBound{infinite: 1}
	}
	return rangeBound{v: intValue(base + offset)}
}

func floatBound(base, offset value, sub bool) (rangeBound, error) {
	if math.IsInf(offset.f, 1) && (math.IsInf(base.f, 1) && sub || math.IsInf(base.f, -1) && !sub) {
		return rangeBound{all: true}, nil
	}
	if sub {
		return rangeBound{v: floatValue(base.f - offset.f)}, nil
	}
	return rangeBound{v: floatValue(base.f + offset.f)}, nil
}

func numericBound(base, offset value, sub bool) (rangeBound, error) {
	if kind := base.numeric().kind; offset.numeric().kind == posInfinity && (kind == posInfinity && sub || kind == negInfinity && !sub) {
		return rangeBound{all: true}, nil
	}
	f := numericAdd
	if sub {
		f = numericSub
	}
	n, err := f(base.numeric(), offset.numeric())
	return rangeBound{v: numValue(n)}, err
}

func intervalBound(base, offset value, sub bool) (rangeBound, error) {
	o := offset.interval()
	var err error
	if sub {
		if o, err = o.neg(); err != nil {
			return rangeBound{}, err
		}
	}
	v, err := base.interval().add(o)
	return rangeBound{v: intervalValue(v)}, err
}

func timeBoundOf(t Type, base int64, offset interval, sub bool) (rangeBound, error) {
	var err error
	if sub {
		if offset, err = offset.neg(); err != nil {
			return rangeBound{}, err
		}
	}
	if t == Date { // compared as timestamps
		us, err := offset.addTo(midnight(base))
		return rangeBound{v: intValue(us), moment: true}, err
	}
	if isInfinite(base) {
		return rangeBound{v: intValue(base)}, nil
	}
	us, err := offset.addTo(base)
	return rangeBound{v: intValue(us)}, err
}

// midnight is a date as a timestamp.
func midnight(date int64) int64 {
	switch date {
	case minusInfDate:
		return minusInfinity
	case plusInfDate:
		return plusInfinity
	}
	return date * day
}

package sql

import "cmp"

// comparison is one of the six comparison operators, 0 for none.
type comparison uint8

const (
	compareEq comparison = iota + 1
	compareNe
	compareLt
	compareLe
	compareGt
	compareGe
)

var comparisons = map[string]comparison{"=": compareEq, "<>": compareNe, "<": compareLt, "<=": compareLe, ">": compareGt, ">=": compareGe}

// holds reports whether the operator is true of a three-way comparison's result.
func (op comparison) holds(c int) bool {
	switch op {
	case compareEq:
		return c == 0
	case compareNe:
		return c != 0
	case compareLt:
		return c < 0
	case compareLe:
		return c <= 0
	case compareGt:
		return c > 0
	default:
		return c >= 0
	}
}

// compareKernel compares two vectors that both hold integers, nil when they do not.
func compareKernel(op comparison, a, b *vector, n int, sel []int32) *vector {
	if a.typ.phys() != physInt || b.typ.phys() != physInt || (a.typ == Date) != (b.typ == Date) {
		return nil
	}
	out := newVector(Bool, n)
	for _, v := range [...]*vector{a, b} {
		if v.nulls == nil || v.constant {
			continue
		}
		for _, i := range sel {
			if v.nulls.Has(int(i)) {
				out.setNull(int(i), n)
			}
		}
	}
	switch {
	case b.constant:
		compareConstant(op, a.ints, b.ints[0], out.bools, sel)
	case a.constant:
		compareConstant(op.commuted(), b.ints, a.ints[0], out.bools, sel)
	default:
		for _, i := range sel {
			out.bools[i] = op.holds(cmp.Compare(a.ints[i], b.ints[i]))
		}
	}
	return out
}

// commuted is the operator with its sides exchanged.
func (op comparison) commuted() comparison {
	switch op {
	case compareLt:
		return compareGt
	case compareLe:
		return compareGe
	case compareGt:
		return compareLt
	case compareGe:
		return compareLe
	}
	return op
}

func compareConstant(op comparison, list []int64, k int64, out []bool, sel []int32) {
	switch op {
	case compareEq:
		for _, i := range sel {
			out[i] = list[i] == k
		}
	case compareNe:
		for _, i := range sel {
			out[i] = list[i] != k
		}
	case compareLt:
		for _, i := range sel {
			out[i] = list[i] < k
		}
	case compareLe:
		for _, i := range sel {
			out[i] = list[i] <= k
		}
	case compareGt:
		for _, i := range sel {
			out[i] = list[i] > k
		}
	default:
		for _, i := range sel {
			out[i] = list[i] >= k
		}
	}
}

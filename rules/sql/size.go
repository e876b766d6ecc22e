package sql

import (
	"unicode/utf8"
	"unsafe"
)

// A value that an expression makes may have so many bytes of text and so many elements.
const (
	maxText     = 16 << 20
	maxElements = 262_144
)

func errTooLong() error {
	return fail(codeLimit, "requested length too large: a value has at most %d MiB", maxText>>20)
}

func errTooMany() *Error {
	return fail(codeLimit, "an array or jsonb has at most %d elements", maxElements)
}

// size is how many bytes the value's texts have; of what is in a structure,
// with a little for each element. It costs as much as there are elements.
func (v value) size() int {
	switch o := v.o.(type) {
	case nil:
		return len(v.s)
	case *array:
		n := 0
		for i := range o.vals {
			n += o.vals[i].size()
		}
		return n + len(o.vals)
	case *jsonNode:
		return o.size()
	case *numeric:
		return o.coef.BitLen()/8 + o.scale/2
	}
	return 16
}

func (n *jsonNode) size() int {
	s := 2 + len(n.str)
	if n.num != nil {
		s += value{o: n.num}.size()
	}
	for _, k := range n.keys {
		s += len(k) + 2
	}
	for _, e := range n.list {
		s += e.size()
	}
	return s
}

// bounded gives an error for an array or jsonb that is too large.
func bounded(v value) (value, error) {
	n := 0
	switch o := v.o.(type) {
	case *array:
		n = len(o.vals)
	case *jsonNode:
		n = len(o.list)
	}
	if n > maxElements {
		return null, errTooMany()
	}
	if v.size() > maxText {
		return null, errTooLong()
	}
	return v, nil
}

// outputText is output for expressions: it refuses a text that is too long,
// and does not make one of more than a few times maxText before.
func outputText(t Type, v value) (string, error) {
	if t.phys() == physObj && v.size() > maxText {
		return "", errTooLong()
	}
	s := output(t, v)
	if len(s) > maxText {
		return "", errTooLong()
	}
	return s, nil
}

// joinText is a || b.
func joinText(a, b string) (value, error) {
	if len(a)+len(b) > maxText {
		return null, errTooLong()
	}
	return textValue(a + b), nil
}

// charge counts a function's result against the memory limit: what it holds
// beyond its arguments, and a large one as a whole unless it is a part of
// an argument.
func (x *env) charge(v value, row []value) error {
	n := len(v.s)
	switch o := v.o.(type) {
	case *array:
		n = 56 * len(o.vals)
	case *jsonNode:
		n = 24 * len(o.list)
	case *numeric:
		if n = o.coef.BitLen() / 8; n <= 128 {
			return nil
		}
	}
	if n <= 64 {
		return nil
	}
	for i := range row {
		switch {
		case v.s == "":
		case sharesText(v.s, row[i].s):
			return nil
		case n <= 1024:
			n -= len(row[i].s)
		}
	}
	limit := x.limit
	if x.scratchLimit > 0 {
		limit = x.scratchLimit
	}
	if x.scratch += int64(max(n, 0)); x.scratch > limit {
		err := fail(codeOutOfMemory, "the texts that an expression makes need more than the memory limit of %d MiB", x.limit>>20).
			hint("narrow the time range, or make shorter texts; agent.query_memory in the configuration allows more")
		err.texts = true
		return err
	}
	return nil
}

// sharesText reports whether part lies in the memory of s.
func sharesText(part, s string) bool {
	p, q := uintptr(unsafe.Pointer(unsafe.StringData(part))), uintptr(unsafe.Pointer(unsafe.StringData(s)))
	return s != "" && p >= q && p < q+uintptr(len(s))
}

// tick returns the context's error, looked at now and then: every 256 calls,
// and before one with a large text.
func (x *env) tick(row []value) error {
	x.calls++
	look := x.calls%256 == 0
	for i := range row {
		look = look || len(row[i].s) > 64<<10 || row[i].o != nil && x.calls%16 == 0
	}
	if !look || x.ctx == nil {
		return nil
	}
	return x.ctx.Err()
}

// runesOf is the set of characters of s.
func runesOf(s string) map[rune]bool {
	set := make(map[rune]bool, min(len(s), utf8.MaxRune))
	for _, r := range s {
		set[r] = true
	}
	return set
}

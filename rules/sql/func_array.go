package sql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func elements(v value) []value { return v.o.(*array).vals }

// elemType is the element type of an array value.
func elemType(v value) Type { return v.o.(*array).elem }

func equalElements(t Type, a, b value) bool {
	return !a.null && !b.null && compare(t, a, b) == 0
}

// finder returns the function that finds an element in arr, by a set if it is
// to be called often.
func finder(arr value, calls int) func(v value) bool {
	list, t := elements(arr), elemType(arr)
	if len(list) > 8 && calls > 8 {
		set := newValueSet(t, list)
		return func(v value) bool { return !v.null && set.has(v) }
	}
	return func(v value) bool {
		return slices.ContainsFunc(list, func(e value) bool { return equalElements(t, e, v) })
	}
}

func (c *catalog) addArrays() {
	const g = "Arrays"
	c.op(g, "@>", "contains every element of the other array; for jsonb, contains the other value", "SELECT ARRAY[1,4,3] @> ARRAY[3,1]", pairs{
		"anyarray,anyarray:bool", func(a []value) value { return boolValue(containsAll(a[0], a[1])) },
	})
	c.op(g, "<@", "is contained by the other", "SELECT ARRAY[2] <@ ARRAY[1,2]", pairs{
		"anyarray,anyarray:bool", func(a []value) value { return boolValue(containsAll(a[1], a[0])) },
	})
	c.op(g, "&&", "have elements in common", "SELECT ARRAY[1,4] && ARRAY[4,5]", pairs{
		"anyarray,anyarray:bool", func(a []value) value {
			return boolValue(slices.ContainsFunc(elements(a[0]), finder(a[1], len(elements(a[0])))))
		},
	})
	join := func(x, y value) value {
		return value{o: &array{elem: elemType(x), vals: slices.Concat(elements(x), elements(y))}}
	}
	c.op(g, "||", "joined arrays, or an array with one more element", "SELECT ARRAY[1] || ARRAY[2,3]", pairs{
		"anycompatiblearray,anycompatiblearray:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) {
			switch {
			case a[0].null:
				return a[1], nil
			case a[1].null:
				return a[0], nil
			}
			return bounded(join(a[0], a[1]))
		}),
		"anycompatiblearray,anycompatible:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) { return bounded(appendElement(a[0], a[1], false)) }),
		"anycompatible,anycompatiblearray:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) { return bounded(appendElement(a[1], a[0], true)) }),
	})
	c.fn(g, "cardinality", "number of elements", "SELECT cardinality(ARRAY['a','b'])", pairs{
		"anyarray:int4", func(a []value) value { return intValue(int64(len(elements(a[0])))) },
	})
	length := func(a []value) value {
		if n := len(elements(a[0])); n > 0 && a[1].i == 1 {
			return intValue(int64(n))
		}
		return null
	}
	c.fn(g, "array_length", "number of elements; NULL for an empty array", "SELECT array_length(ARRAY[1,2,3], 1)", pairs{"anyarray,int4:int4", length})
	c.fn(g, "array_upper", "index of the last element; NULL for an empty array", "SELECT array_upper(ARRAY[1,2,3], 1)", pairs{"anyarray,int4:int4", length})
	c.fn(g, "array_lower", "index of the first element, which is 1; NULL for an empty array", "SELECT array_lower(ARRAY[1,2,3], 1)", pairs{
		"anyarray,int4:int4", func(a []value) value {
			if len(elements(a[0])) > 0 && a[1].i == 1 {
				return intValue(1)
			}
			return null
		},
	})
	c.fn(g, "array_position", "index of the first element equal to a value; NULL if there is none", "SELECT array_position(ARRAY['a','b'], 'b')", pairs{
		"anycompatiblearray,anycompatible:int4", notStrict(func(_ *env, a []value) (value, error) { return arrayPosition(a[0], a[1]), nil }),
	})
	c.fn(g, "array_append", "array with one more element at the end", "SELECT array_append(ARRAY[1,2], 3)", pairs{
		"anycompatiblearray,anycompatible:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) { return bounded(appendElement(a[0], a[1], false)) }),
	})
	c.fn(g, "array_to_string", "elements joined by a separator; NULLs are left out, or become the third argument", "SELECT array_to_string(ARRAY[1,NULL,3], ',', '*')", pairs{
		"anyarray,text:text", func(a []value) (value, error) { return arrayToString(a[0], a[1].s, null) },
		"anyarray,text,text:text", notStrict(func(_ *env, a []value) (value, error) {
			if a[0].null || a[1].null {
				return null, nil
			}
			return arrayToString(a[0], a[1].s, a[2])
		}),
	})
	c.fn(g, "string_to_array", "parts of a text split at a separator, or into characters if that is NULL; parts equal to the third argument become NULL", "SELECT string_to_array('a,b', ',')", pairs{
		"text,text:text[]", notStrict(func(_ *env, a []value) (value, error) {
			if a[0].null {
				return null, nil
			}
			return stringToArray(a[0].s, a[1])
		}),
		"text,text,text:text[]", notStrict(func(_ *env, a []value) (value, error) {
			if a[0].null {
				return null, nil
			}
			v, err := stringToArray(a[0].s, a[1])
			if err != nil || a[2].null {
				return v, err
			}
			for i, e := range elements(v) {
				if e.s == a[2].s {
					elements(v)[i] = null
				}
			}
			return v, nil
		}),
	})
}

func containsAll(a, b value) bool {
	has := finder(a, len(elements(b)))
	return !slices.ContainsFunc(elements(b), func(e value) bool { return !has(e) })
}

func appendElement(arr, e value, front bool) value {
	var vals []value
	var t Type
	if !arr.null {
		vals, t = elements(arr), elemType(arr)
	}
	if front {
		return value{o: &array{elem: t, vals: append([]value{e}, vals...)}}
	}
	return value{o: &array{elem: t, vals: append(slices.Clone(vals), e)}}
}

// withElements is fn for elements of type t: what it makes of a NULL array and
// an element does not know the type otherwise.
func withElements(fn *function, t Type) *function {
	out := *fn
	out.eval = func(x *env, a []value) (value, error) {
		v, err := fn.eval(x, a)
		if err == nil && !v.null && elemType(v) == 0 {
			v.array().elem = t
		}
		return v, err
	}
	return &out
}

func arrayPosition(arr, v value) value {
	if arr.null {
		return null
	}
	for i, e := range elements(arr) {
		if v.null && e.null || equalElements(elemType(arr), e, v) {
			return intValue(int64(i) + 1)
		}
	}
	return null
}

func arrayToString(arr value, sep string, absent value) (value, error) {
	var parts []string
	total := 0
	for _, e := range elements(arr) {
		s := absent.s
		switch {
		case !e.null:
			var err error
			if s, err = outputText(elemType(arr), e); err != nil {
				return null, err
			}
		case absent.null:
			continue
		}
		if total += len(s) + len(sep); total-len(sep) > maxText {
			return null, errTooLong()
		}
		parts = append(parts, s)
	}
	return textValue(strings.Join(parts, sep)), nil
}

func stringToArray(s string, sep value) (value, error) {
	if sep.null && len(s) > maxElements && utf8.RuneCountInString(s) > maxElements || !sep.null && sep.s != "" && strings.Count(s, sep.s) >= maxElements {
		return null, errTooMany().hint("string_to_table(…) gives any number of parts, as rows")
	}
	out := &array{elem: Text}
	var parts []string
	switch {
	case s == "":
	case sep.null:
		for _, r := range s {
			parts = append(parts, string(r))
		}
	case sep.s == "":
		parts = []string{s}
	default:
		parts = strings.Split(s, sep.s)
	}
	for _, p := range parts {
		out.vals = append(out.vals, textValue(p))
	}
	return value{o: out}, nil
}

// arrayElementAt is array[index].
func arrayElementAt(t Type) *function {
	return define("subscript", t, Int4, t.Elem(), func(a []value) (value, error) {
		list := elements(a[0])
		if a[1].i < 1 || a[1].i > int64(len(list)) {
			return null, nil
		}
		return list[a[1].i-1], nil
	})
}

// arraySlice is array[low:high]; a bound left out is the array's own.
func arraySlice(t Type, openLow, openHigh bool) *function {
	f := &function{name: "slice", args: []Type{t, Int4, Int4}, ret: t}
	f.eval = func(_ *env, a []value) (value, error) {
		if a[0].null || a[1].null && !openLow || a[2].null && !openHigh {
			return null, nil
		}
		list := elements(a[0])
		low, high := int64(1), int64(len(list))
		if !openLow {
			low = max(low, a[1].i)
		}
		if !openHigh {
			high = min(high, a[2].i)
		}
		out := &array{elem: elemType(a[0])}
		if low <= high {
			out.vals = list[low-1 : high]
		}
		return value{o: out}, nil
	}
	return f
}

package sql

import (
	"fmt"
	"slices"
)

// addArrayEdits defines functions that find and change elements.
func (c *catalog) addArrayEdits() {
	const g = "Arrays"
	c.more("array_position", pairs{"anycompatiblearray,anycompatible,int4:int4", notStrict(func(_ *env, a []value) (value, error) {
		switch {
		case a[0].null:
			return null, nil
		case a[2].null:
			return null, fail("22004", "initial position must not be null")
		}
		from := max(a[2].i, 1)
		if list := elements(a[0]); from <= int64(len(list)) {
			p := arrayPosition(value{o: &array{elem: elemType(a[0]), vals: list[from-1:]}}, a[1])
			if !p.null {
				p.i += from - 1
			}
			return p, nil
		}
		return null, nil
	})})
	c.fn(g, "array_positions", "indexes of all elements equal to a value", "SELECT array_positions(ARRAY['a','b','a'], 'a')", pairs{
		"anycompatiblearray,anycompatible:int4[]", notStrict(func(_ *env, a []value) (value, error) {
			if a[0].null {
				return null, nil
			}
			out := &array{elem: Int4}
			for i, e := range elements(a[0]) {
				if a[1].null && e.null || equalElements(elemType(a[0]), e, a[1]) {
					out.vals = append(out.vals, intValue(int64(i)+1))
				}
			}
			return value{o: out}, nil
		}),
	})
	c.fn(g, "array_prepend", "array with one more element at the start", "SELECT array_prepend(1, ARRAY[2,3])", pairs{
		"anycompatible,anycompatiblearray:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) { return bounded(appendElement(a[1], a[0], true)) }),
	})
	c.fn(g, "array_cat", "joined arrays", "SELECT array_cat(ARRAY[1,2], ARRAY[3])", pairs{
		"anycompatiblearray,anycompatiblearray:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) {
			switch {
			case a[0].null:
				return a[1], nil
			case a[1].null:
				return a[0], nil
			}
			return bounded(value{o: &array{elem: elemType(a[0]), vals: slices.Concat(elements(a[0]), elements(a[1]))}})
		}),
	})
	c.fn(g, "array_remove", "array without the elements equal to a value", "SELECT array_remove(ARRAY[1,2,3,2], 2)", pairs{
		"anycompatiblearray,anycompatible:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) {
			return replaceElements(a[0], a[1], null, true), nil
		}),
	})
	c.fn(g, "array_replace", "array with elements equal to a value replaced", "SELECT array_replace(ARRAY[1,2,5,4], 5, 3)", pairs{
		"anycompatiblearray,anycompatible,anycompatible:anycompatiblearray", notStrict(func(_ *env, a []value) (value, error) {
			return bounded2(replaceElements(a[0], a[1], a[2], false))
		}),
	})
	c.fn(g, "array_dims", "bounds of the array as text", "SELECT array_dims(ARRAY[1,2,3])", pairs{"anyarray:text", func(a []value) value {
		if n := len(elements(a[0])); n > 0 {
			return textValue(fmt.Sprintf("[1:%d]", n))
		}
		return null
	}})
	c.fn(g, "array_ndims", "number of dimensions: 1, or NULL for an empty array", "SELECT array_ndims(ARRAY[1,2,3])", pairs{"anyarray:int4", func(a []value) value {
		if len(elements(a[0])) > 0 {
			return intValue(1)
		}
		return null
	}})
	c.fn(g, "array_fill", "array of one value so many times", "SELECT array_fill(11, ARRAY[3])", pairs{
		"anyelement,int4[]:anyarray", notStrict(func(_ *env, a []value) (value, error) { return arrayFill(a[0], a[1], null, false) }),
		"anyelement,int4[],int4[]:anyarray", notStrict(func(_ *env, a []value) (value, error) { return arrayFill(a[0], a[1], a[2], true) }),
	})
	// The element type of what is made is only known when the call is checked.
	for _, f := range c.functions["array_fill"] {
		made := *f
		f.typed = func(types []Type) *function {
			h := made
			h.eval = func(x *env, a []value) (value, error) {
				v, err := made.eval(x, a)
				if arr, ok := v.o.(*array); ok {
					arr.elem = types[0]
				}
				return v, err
			}
			return &h
		}
	}
	c.fn(g, "trim_array", "array without its last n elements", "SELECT trim_array(ARRAY[1,2,3,4], 2)", pairs{"anyarray,int4:anyarray", func(a []value) (value, error) {
		list := elements(a[0])
		if a[1].i < 0 || a[1].i > int64(len(list)) {
			return null, fail(codeArraySubscript, "number of elements to trim must be between 0 and %d", len(list))
		}
		return value{o: &array{elem: elemType(a[0]), vals: list[:len(list)-int(a[1].i)]}}, nil
	}})
}

func bounded2(v value) (value, error) {
	if v.null {
		return v, nil
	}
	return bounded(v)
}

// replaceElements replaces the elements that are not distinct from old, or drops them.
func replaceElements(arr, old, with value, drop bool) value {
	if arr.null {
		return null
	}
	t := elemType(arr)
	out := &array{elem: t}
	for _, e := range elements(arr) {
		switch {
		case !(old.null && e.null || equalElements(t, e, old)):
			out.vals = append(out.vals, e)
		case !drop:
			out.vals = append(out.vals, with)
		}
	}
	return value{o: out}
}

func arrayFill(v, dims, bounds value, bounded bool) (value, error) {
	if dims.null || bounded && bounds.null {
		return null, fail("22004", "dimension array or low bound array cannot be null")
	}
	for _, list := range []value{dims, bounds} {
		if list.null {
			continue
		}
		for _, d := range elements(list) {
			if d.null {
				return null, fail("22004", "dimension values cannot be null")
			}
		}
	}
	n := elements(dims)
	switch {
	case len(n) > 6:
		return null, fail(codeLimit, "number of array dimensions (%d) exceeds the maximum allowed (6)", len(n))
	case bounded && len(elements(bounds)) != len(n):
		return null, fail(codeArraySubscript, "wrong number of array subscripts")
	case len(n) == 0:
		return value{o: &array{}}, nil
	}
	total := int64(1)
	for _, d := range n {
		if d.i < 0 {
			return null, fail(codeLimit, "array size exceeds the maximum allowed")
		}
		if total *= d.i; total > maxElements {
			return null, errTooMany()
		}
	}
	switch {
	case total == 0:
		return value{o: &array{}}, nil
	case len(n) > 1:
		return null, fail(codeUnsupported, "an array of more than one dimension is not supported")
	case bounded && elements(bounds)[0].i != 1:
		return null, fail(codeUnsupported, "array bounds are not supported")
	case total*int64(v.size()) > maxText:
		return null, errTooLong()
	}
	return value{o: &array{vals: slices.Repeat([]value{v}, int(total))}}, nil
}

// addNullCounts defines num_nulls and num_nonnulls.
func (c *catalog) addNullCounts() {
	for _, e := range []struct {
		name, doc, example string
		null               bool
	}{
		{"num_nulls", "number of arguments that are NULL", "SELECT num_nulls(1, NULL, 2)", true},
		{"num_nonnulls", "number of arguments that are not NULL", "SELECT num_nonnulls(1, NULL, 2)", false},
	} {
		c.entries = append(c.entries, entry{e.name, e.doc, e.example, "function", "Comparison"})
		c.functions[e.name] = []*function{{name: e.name, args: []Type{anyType}, ret: Int4, variadic: true, eval: func(_ *env, a []value) (value, error) {
			n := int64(0)
			for i := range a {
				if a[i].null == e.null {
					n++
				}
			}
			return intValue(n), nil
		}}}
	}
}

package sql

import (
	"slices"
	"strconv"
)

func jsonValue(n *jsonNode) value {
	if n == nil {
		return null
	}
	return value{o: n}
}

// path follows keys and array indexes, nil when something is not there.
func (n *jsonNode) path(steps []value) *jsonNode {
	for _, s := range steps {
		if n == nil || s.null {
			return nil
		}
		if n.kind == jsonArray {
			i, err := strconv.ParseInt(s.s, 10, 32)
			if err != nil {
				return nil
			}
			n = n.index(i)
		} else {
			n = n.get(s.s)
		}
	}
	return n
}

// exists is the operator ?: a key of an object, or a string in an array or alone.
func (n *jsonNode) exists(key string) bool {
	switch n.kind {
	case jsonObject:
		return n.get(key) != nil
	case jsonArray:
		for _, e := range n.list {
			if e.kind == jsonString && e.str == key {
				return true
			}
		}
	case jsonString:
		return n.str == key
	}
	return false
}

func (c *catalog) addJSON() {
	const g = "JSON"
	c.op(g, "->", "member of an object by key, or element of an array by index from 0, as jsonb", `SELECT '{"a": [1, 2]}'::jsonb -> 'a'`, pairs{
		"jsonb,text:jsonb", func(a []value) value { return jsonValue(a[0].json().get(a[1].s)) },
		"jsonb,int4:jsonb", func(a []value) value { return jsonValue(a[0].json().index(a[1].i)) },
	})
	c.op(g, "->>", "the same as text", `SELECT '{"a": "x"}'::jsonb ->> 'a'`, pairs{
		"jsonb,text:text", func(a []value) value { return a[0].json().get(a[1].s).text() },
		"jsonb,int4:text", func(a []value) value { return a[0].json().index(a[1].i).text() },
	})
	c.op(g, "#>", "what is at a path, as jsonb", `SELECT '{"a": {"b": 1}}'::jsonb #> '{a,b}'`, pairs{
		"jsonb,text[]:jsonb", func(a []value) value { return jsonValue(a[0].json().path(elements(a[1]))) },
	})
	c.op(g, "#>>", "the same as text", `SELECT '{"a": {"b": 1}}'::jsonb #>> '{a,b}'`, pairs{
		"jsonb,text[]:text", func(a []value) value { return a[0].json().path(elements(a[1])).text() },
	})
	c.op(g, "?", "has the key, or holds the string as an element", `SELECT '{"a": 1}'::jsonb ? 'a'`, pairs{
		"jsonb,text:bool", func(a []value) value { return boolValue(a[0].json().exists(a[1].s)) },
	})
	some := func(all bool) func(a []value) value {
		return func(a []value) value {
			for _, k := range elements(a[1]) {
				if !k.null && a[0].json().exists(k.s) != all {
					return boolValue(!all)
				}
			}
			return boolValue(all)
		}
	}
	c.op(g, "?|", "has one of the keys", `SELECT '{"a": 1}'::jsonb ?| ARRAY['a','b']`, pairs{"jsonb,text[]:bool", some(false)})
	c.op(g, "?&", "has all of the keys", `SELECT '{"a": 1}'::jsonb ?& ARRAY['a','b']`, pairs{"jsonb,text[]:bool", some(true)})
	c.op(g, "@>", "", "", pairs{"jsonb,jsonb:bool", func(a []value) value { return boolValue(a[0].json().contains(a[1].json(), true)) }})
	c.op(g, "<@", "", "", pairs{"jsonb,jsonb:bool", func(a []value) value { return boolValue(a[1].json().contains(a[0].json(), true)) }})
	c.op(g, "||", "joined arrays or objects, of which the right one's members count", `SELECT '{"a": 1}'::jsonb || '{"b": 2}'`, pairs{
		"jsonb,jsonb:jsonb", func(a []value) (value, error) { return bounded(jsonValue(joinJSON(a[0].json(), a[1].json()))) },
	})
	c.op(g, "-", "without a key, the elements equal to it, or the element at an index", `SELECT '{"a": 1, "b": 2}'::jsonb - 'a'`, pairs{
		"jsonb,text:jsonb", func(a []value) (value, error) { return withoutKeys(a[0].json(), a[1:2]) },
		"jsonb,text[]:jsonb", func(a []value) (value, error) { return withoutKeys(a[0].json(), elements(a[1])) },
		"jsonb,int4:jsonb", func(a []value) (value, error) { return withoutIndex(a[0].json(), a[1].i) },
	})
	c.fn(g, "jsonb_typeof", "object, array, string, number, boolean or null", `SELECT jsonb_typeof('[1]')`, pairs{"jsonb:text", func(a []value) value {
		names := [...]string{jsonNull: "null", jsonString: "string", jsonNumber: "number", jsonFalse: "boolean", jsonTrue: "boolean", jsonArray: "array", jsonObject: "object"}
		return textValue(names[a[0].json().kind])
	}})
	c.fn(g, "jsonb_array_length", "number of elements of an array", `SELECT jsonb_array_length('[1, 2]')`, pairs{"jsonb:int4", func(a []value) (value, error) {
		switch n := a[0].json(); n.kind {
		case jsonArray:
			return intValue(int64(len(n.list))), nil
		case jsonObject:
			return null, fail(codeInvalidParameter, "cannot get array length of a non-array")
		default:
			return null, fail(codeInvalidParameter, "cannot get array length of a scalar")
		}
	}})
}

// joinJSON is jsonb's ||: two objects become one, anything else an array.
func joinJSON(x, y *jsonNode) *jsonNode {
	if x.kind == jsonObject && y.kind == jsonObject {
		n := &jsonNode{kind: jsonObject, keys: slices.Concat(x.keys, y.keys), list: slices.Concat(x.list, y.list)}
		n.sortKeys()
		return n
	}
	list := func(n *jsonNode) []*jsonNode {
		if n.kind == jsonArray {
			return n.list
		}
		return []*jsonNode{n}
	}
	return &jsonNode{kind: jsonArray, list: slices.Concat(list(x), list(y))}
}

// keep returns n with the members for which f is true.
func (n *jsonNode) keep(f func(i int) bool) *jsonNode {
	out := &jsonNode{kind: n.kind}
	for i := range n.list {
		if f(i) {
			out.list = append(out.list, n.list[i])
			if n.kind == jsonObject {
				out.keys = append(out.keys, n.keys[i])
			}
		}
	}
	return out
}

func withoutKeys(n *jsonNode, keys []value) (value, error) {
	if n.kind < jsonArray {
		return null, fail(codeInvalidParameter, "cannot delete from scalar")
	}
	set := newValueSet(Text, keys)
	return jsonValue(n.keep(func(i int) bool {
		if n.kind == jsonObject {
			return !set.has(textValue(n.keys[i]))
		}
		return n.list[i].kind != jsonString || !set.has(textValue(n.list[i].str))
	})), nil
}

func withoutIndex(n *jsonNode, index int64) (value, error) {
	switch {
	case n.kind < jsonArray:
		return null, fail(codeInvalidParameter, "cannot delete from scalar")
	case n.kind == jsonObject:
		return null, fail(codeInvalidParameter, "cannot delete from object using integer index")
	}
	if index < 0 {
		index += int64(len(n.list))
	}
	return jsonValue(n.keep(func(i int) bool { return int64(i) != index })), nil
}

package sql

import "strconv"

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

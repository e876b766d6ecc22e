package sql

func (c *catalog) addJSONBuilders() {
	const g = "JSON"
	document := func(name, doc, example string, list ...*function) {
		c.entries = append(c.entries, entry{name, doc, example, "function", g})
		c.functions[name] = append(c.functions[name], list...)
	}
	to := &function{name: "to_jsonb", args: []Type{anyElement}, ret: JSONB, strict: true}
	to.typed = func(types []Type) *function {
		convert := jsonOf(types[0])
		f := *to
		f.typed, f.stable = nil, types[0].Elem().category() == 'D'
		f.eval = func(_ *env, a []value) (value, error) {
			n, err := convert(a[0])
			if err != nil {
				return null, err
			}
			return bounded(jsonValue(n))
		}
		return &f
	}
	document("to_jsonb", "any value as jsonb", "SELECT to_jsonb(ARRAY[1,2])", to)
	empty := func(kind jsonKind) *function {
		return &function{ret: JSONB, eval: func(*env, []value) (value, error) { return jsonValue(&jsonNode{kind: kind}), nil }}
	}
	document("jsonb_build_array", "array of the arguments", "SELECT jsonb_build_array(1, 'a', NULL)", empty(jsonArray), jsonBuilder("jsonb_build_array", buildArray))
	document("jsonb_build_object", "object of keys and values in turn", "SELECT jsonb_build_object('a', 1, 'b', true)", empty(jsonObject), jsonBuilder("jsonb_build_object", buildObject))
	c.fn(g, "jsonb_object", "object of a text array of keys and values in turn, or of an array of each", "SELECT jsonb_object('{a,1,b,2}')", pairs{
		"text[]:jsonb", func(a []value) (value, error) {
			list := elements(a[0])
			if len(list)%2 != 0 {
				return null, fail(codeArraySubscript, "array must have even number of elements")
			}
			var keys, values []value
			for i := 0; i < len(list); i += 2 {
				keys, values = append(keys, list[i]), append(values, list[i+1])
			}
			return objectOf(keys, values)
		},
		"text[],text[]:jsonb", func(a []value) (value, error) {
			if len(elements(a[0])) != len(elements(a[1])) {
				return null, fail(codeArraySubscript, "mismatched array dimensions")
			}
			return objectOf(elements(a[0]), elements(a[1]))
		},
	})
	c.fn(g, "jsonb_extract_path", "what is at a path, as #>", `SELECT jsonb_extract_path('{"a": {"b": 1}}', 'a', 'b')`, pairs{
		"jsonb,text*:jsonb", func(a []value) value { return jsonValue(a[0].json().path(a[1:])) },
	})
	c.fn(g, "jsonb_extract_path_text", "the same as text", `SELECT jsonb_extract_path_text('{"a": {"b": 1}}', 'a', 'b')`, pairs{
		"jsonb,text*:text", func(a []value) value { return a[0].json().path(a[1:]).text() },
	})
	c.fn(g, "jsonb_strip_nulls", "without the members of objects that are null", `SELECT jsonb_strip_nulls('{"a": 1, "b": null}')`, pairs{
		"jsonb:jsonb", func(a []value) value { return jsonValue(a[0].json().withoutNulls()) },
	})
	c.fn(g, "jsonb_pretty", "text over several lines, indented", `SELECT jsonb_pretty('[1]')`, pairs{
		"jsonb:text", func(a []value) (value, error) { return limitedText(string(a[0].json().appendPretty(nil, 0))) },
	})
	c.addJSONEdits()
}

func (c *catalog) addJSONEdits() {
	const g = "JSON"
	set := func(a []value) (value, error) {
		e := jsonEdit{path: elements(a[1]), with: a[2].json(), create: len(a) < 4 || a[3].truth()}
		return e.edit(a[0].json(), "set")
	}
	c.fn(g, "jsonb_set", "what is at a path replaced, or added unless the fourth argument is false", `SELECT jsonb_set('{"a": 1}', '{b}', '2')`, pairs{
		"jsonb,text[],jsonb:jsonb", set, "jsonb,text[],jsonb,bool:jsonb", set,
	})
	insert := func(a []value) (value, error) {
		e := jsonEdit{path: elements(a[1]), with: a[2].json()}
		e.after = len(a) > 3 && a[3].truth()
		e.before = !e.after
		return e.edit(a[0].json(), "set")
	}
	c.fn(g, "jsonb_insert", "value put in before what is at a path, or after it if the fourth argument is true", `SELECT jsonb_insert('[1, 2]', '{1}', '9')`, pairs{
		"jsonb,text[],jsonb:jsonb", insert, "jsonb,text[],jsonb,bool:jsonb", insert,
	})
	for name, last := range map[string]string{"jsonb_set": "create_if_missing", "jsonb_insert": "insert_after"} {
		for _, f := range c.functions[name] {
			f.params = []string{"jsonb_in", "path", "replacement", last}[:len(f.args)]
		}
	}
	c.op(g, "#-", "without what is at a path", `SELECT '{"a": {"b": 1, "c": 2}}'::jsonb #- '{a,b}'`, pairs{"jsonb,text[]:jsonb", func(a []value) (value, error) {
		e := jsonEdit{path: elements(a[1]), remove: true}
		return e.edit(a[0].json(), "delete")
	}})
}

package sql

import "math"

// addRows adds the set-returning functions.
func (c *catalog) addRows() {
	const g = "Sets of rows"
	add := func(name, doc, example string, columns []string, signature string, f rowsFunc) *function {
		if len(c.functions[name]) == 0 {
			c.entries = append(c.entries, entry{name, doc, example, "function", g})
		}
		if columns == nil {
			columns = []string{""}
		}
		fn := &function{name: name, strict: true, rows: f, columns: columns}
		fn.args, fn.ret, _ = parseSignature(signature)
		c.functions[name] = append(c.functions[name], fn)
		return fn
	}
	add("unnest", "one row for each element of an array; in FROM of several arrays side by side", "SELECT unnest(ARRAY['a','b'])", nil, "anyarray:anyelement",
		func(_ *env, a []value, yield func([]value) error) error {
			for _, e := range elements(a[0]) {
				if err := yield([]value{e}); err != nil {
					return err
				}
			}
			return nil
		})
	const series = "numbers or times from the first to the second, by a step"
	for _, t := range []Type{Int4, Int8} {
		name := typeTable[t].internal
		least, greatest := integerRange(t)
		f := func(_ *env, a []value, yield func([]value) error) error {
			step := int64(1)
			if len(a) > 2 {
				step = a[2].i
			}
			return intSeries(a[0].i, a[1].i, step, least, greatest, yield)
		}
		add("generate_series", series, "SELECT generate_series(1, 3)", nil, name+","+name+":"+name, f)
		add("generate_series", series, "", nil, name+","+name+","+name+":"+name, f)
	}
	numbers := func(_ *env, a []value, yield func([]value) error) error {
		step := numericInt(1)
		if len(a) > 2 {
			step = a[2].numeric()
		}
		return numericSeries(a[0].numeric(), a[1].numeric(), step, yield)
	}
	add("generate_series", series, "", nil, "numeric,numeric:numeric", numbers)
	add("generate_series", series, "", nil, "numeric,numeric,numeric:numeric", numbers)
	for _, t := range []string{"timestamp", "timestamptz"} {
		add("generate_series", series, "", nil, t+","+t+",interval:"+t, timeSeries)
	}
	subscripts := func(_ *env, a []value, yield func([]value) error) error {
		if a[1].i != 1 {
			return nil
		}
		n := int64(len(elements(a[0])))
		if len(a) > 2 && a[2].truth() {
			return intSeries(n, 1, -1, 0, math.MaxInt32, yield)
		}
		return intSeries(1, n, 1, 1, math.MaxInt32, yield)
	}
	add("generate_subscripts", "the indexes of an array, backwards if the third argument is true", "SELECT generate_subscripts(ARRAY['a','b'], 1)", nil, "anyarray,int4:int4", subscripts)
	add("generate_subscripts", "", "", nil, "anyarray,int4,bool:int4", subscripts)
	c.addJSONRows(add)
	c.addTextRows(add)
}

func intSeries(from, to, step, least, greatest int64, yield func([]value) error) error {
	if step == 0 {
		return fail(codeInvalidParameter, "step size cannot equal zero")
	}
	for i := from; step > 0 && i <= to || step < 0 && i >= to; i += step {
		if err := yield([]value{intValue(i)}); err != nil {
			return err
		}
		if step > 0 && i > greatest-step || step < 0 && i < least-step {
			return nil
		}
	}
	return nil
}

func numericSeries(from, to, step *numeric, yield func([]value) error) error {
	for _, e := range []struct {
		n    *numeric
		name string
	}{{from, "start"}, {to, "stop"}, {step, "step"}} {
		what := e.name + " value"
		if e.name == "step" {
			what = "step size"
		}
		switch e.n.kind {
		case notANumber:
			return fail(codeInvalidParameter, "%s cannot be NaN", what)
		case posInfinity, negInfinity:
			return fail(codeInvalidParameter, "%s cannot be infinity", what)
		}
	}
	sign := step.cmp(numericInt(0))
	if sign == 0 {
		return fail(codeInvalidParameter, "step size cannot equal zero")
	}
	for n := from; n.cmp(to)*sign <= 0; {
		if err := yield([]value{numValue(n)}); err != nil {
			return err
		}
		var err error
		if n, err = numericAdd(n, step); err != nil {
			return err
		}
	}
	return nil
}

func timeSeries(_ *env, a []value, yield func([]value) error) error {
	step := a[2].interval()
	sign := step.cmp(interval{})
	if sign == 0 {
		return fail(codeInvalidParameter, "step size cannot equal zero")
	}
	for t := a[0].i; sign > 0 && t <= a[1].i || sign < 0 && t >= a[1].i; {
		if err := yield([]value{intValue(t)}); err != nil {
			return err
		}
		if isInfinite(t) {
			return nil
		}
		var err error
		if t, err = step.addTo(t); err != nil {
			return err
		}
	}
	return nil
}

type addRowsFunc func(name, doc, example string, columns []string, signature string, f rowsFunc) *function

func (c *catalog) addJSONRows(add addRowsFunc) {
	array := func(name string, asText bool) func(_ *env, a []value, yield func([]value) error) error {
		return func(_ *env, a []value, yield func([]value) error) error {
			n := a[0].json()
			switch n.kind {
			case jsonArray:
			case jsonObject:
				return fail(codeInvalidParameter, "cannot extract elements from an object")
			default:
				return fail(codeInvalidParameter, "cannot extract elements from a scalar")
			}
			for _, e := range n.list {
				if err := yield([]value{jsonField(e, asText)}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	add("jsonb_array_elements", "the elements of a JSON array", `SELECT jsonb_array_elements('[1, "a"]')`, []string{"value"}, "jsonb:jsonb", array("jsonb_array_elements", false))
	add("jsonb_array_elements_text", "the elements of a JSON array, as text", `SELECT jsonb_array_elements_text('[1, "a"]')`, []string{"value"}, "jsonb:text", array("jsonb_array_elements_text", true))
	object := func(name string, give func(key string, n *jsonNode) []value) func(_ *env, a []value, yield func([]value) error) error {
		return func(_ *env, a []value, yield func([]value) error) error {
			n := a[0].json()
			if n.kind != jsonObject {
				if name == "jsonb_object_keys" {
					what := "a scalar"
					if n.kind == jsonArray {
						what = "an array"
					}
					return fail(codeInvalidParameter, "cannot call %s on %s", name, what)
				}
				return fail(codeInvalidParameter, "cannot call %s on a non-object", name)
			}
			for i, key := range n.keys {
				if err := yield(give(key, n.list[i])); err != nil {
					return err
				}
			}
			return nil
		}
	}
	pair := func(asText bool) func(string, *jsonNode) []value {
		return func(key string, n *jsonNode) []value { return []value{textValue(key), jsonField(n, asText)} }
	}
	add("jsonb_each", "the members of a JSON object: key, value", `SELECT key, value FROM jsonb_each('{"a": [1]}')`, []string{"key", "value"}, "jsonb:jsonb", object("jsonb_each", pair(false))).
		types = func([]Type) []Type { return []Type{Text, JSONB} }
	add("jsonb_each_text", "the members of a JSON object: key, value as text", `SELECT key, value FROM jsonb_each_text('{"a": "x"}')`, []string{"key", "value"}, "jsonb:text", object("jsonb_each_text", pair(true))).
		types = func([]Type) []Type { return []Type{Text, Text} }
	add("jsonb_object_keys", "the keys of a JSON object", `SELECT jsonb_object_keys('{"a": 1}')`, nil, "jsonb:text",
		object("jsonb_object_keys", func(key string, _ *jsonNode) []value { return []value{textValue(key)} }))
}

// jsonField is a node as jsonb, or as text: a string without quotes, null as NULL.
func jsonField(n *jsonNode, asText bool) value {
	if asText {
		return n.text()
	}
	return value{o: n}
}

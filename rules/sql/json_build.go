package sql

import (
	"math"
	"strconv"
	"strings"
)

// jsonOf returns the function that makes jsonb of values of type t, as
// to_jsonb: times in ISO 8601, everything without a form of its own as the
// string of its text.
func jsonOf(t Type) func(v value) (*jsonNode, error) {
	if t.IsArray() {
		element := jsonOf(t.Elem())
		return func(v value) (*jsonNode, error) {
			if v.null {
				return &jsonNode{kind: jsonNull}, nil
			}
			n := &jsonNode{kind: jsonArray}
			for _, e := range elements(v) {
				m, err := element(e)
				if err != nil {
					return nil, err
				}
				n.list = append(n.list, m)
			}
			return n, nil
		}
	}
	return func(v value) (*jsonNode, error) {
		switch {
		case v.null:
			return &jsonNode{kind: jsonNull}, nil
		case t == JSONB:
			return v.json(), nil
		case t == Bool && v.truth():
			return &jsonNode{kind: jsonTrue}, nil
		case t == Bool:
			return &jsonNode{kind: jsonFalse}, nil
		case t.integer():
			return &jsonNode{kind: jsonNumber, num: numericInt(v.i)}, nil
		case t == Numeric && v.numeric().kind == finite:
			return &jsonNode{kind: jsonNumber, num: v.numeric()}, nil
		case t == Float8 && !math.IsNaN(v.f) && !math.IsInf(v.f, 0):
			num, err := parseNumeric(string(appendFloat(nil, v.f)))
			return &jsonNode{kind: jsonNumber, num: num}, err
		}
		s, err := jsonText(t, v)
		return &jsonNode{kind: jsonString, str: s}, err
	}
}

// jsonText is the string that stands for a scalar in jsonb, also as a key.
func jsonText(t Type, v value) (string, error) {
	switch t {
	case Bool:
		return strconv.FormatBool(v.truth()), nil
	case Timestamp:
		return isoTime(v.i, ""), nil
	case Timestamptz:
		return isoTime(v.i, "+00:00"), nil
	}
	return outputText(t, v)
}

func isoTime(us int64, zone string) string {
	return strings.Replace(string(appendTimestamp(nil, us, zone)), " ", "T", 1)
}

// jsonBuilder makes functions that take values of any type.
func jsonBuilder(name string, build func(types []Type, a []value) (*jsonNode, error)) *function {
	f := &function{name: name, args: []Type{anyType}, ret: JSONB, variadic: true}
	f.typed = func(types []Type) *function {
		g := *f
		g.typed = nil
		for _, t := range types {
			g.stable = g.stable || t.Elem().category() == 'D'
		}
		g.eval = func(_ *env, a []value) (value, error) {
			n, err := build(types, a)
			if err != nil {
				return null, err
			}
			return bounded(jsonValue(n))
		}
		return &g
	}
	return f
}

func buildArray(types []Type, a []value) (*jsonNode, error) {
	n := &jsonNode{kind: jsonArray}
	for i, v := range a {
		e, err := jsonOf(types[i])(v)
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, e)
	}
	return n, nil
}

// jsonKey is the key that a value of type t makes.
func jsonKey(t Type, v value) (string, error) {
	if t.IsArray() || t == JSONB {
		return "", fail(codeInvalidParameter, "key value must be scalar, not array, composite, or json")
	}
	return jsonText(t, v)
}

func buildObject(types []Type, a []value) (*jsonNode, error) {
	if len(a)%2 != 0 {
		return nil, fail(codeInvalidParameter, "argument list must have even number of elements")
	}
	n := &jsonNode{kind: jsonObject}
	for i := 0; i < len(a); i += 2 {
		if a[i].null {
			return nil, fail(codeInvalidParameter, "argument %d: key must not be null", i+1)
		}
		key, err := jsonKey(types[i], a[i])
		if err != nil {
			return nil, err
		}
		e, err := jsonOf(types[i+1])(a[i+1])
		if err != nil {
			return nil, err
		}
		n.keys, n.list = append(n.keys, key), append(n.list, e)
	}
	n.sortKeys()
	return n, nil
}

// objectOf is jsonb_object: keys and values, which are strings or null.
func objectOf(keys, values []value) (value, error) {
	n := &jsonNode{kind: jsonObject}
	for i, k := range keys {
		if k.null {
			return null, fail("22004", "null value not allowed for object key")
		}
		e := &jsonNode{kind: jsonNull}
		if !values[i].null {
			e = &jsonNode{kind: jsonString, str: values[i].s}
		}
		n.keys, n.list = append(n.keys, k.s), append(n.list, e)
	}
	n.sortKeys()
	return bounded(jsonValue(n))
}

func (n *jsonNode) withoutNulls() *jsonNode {
	if n.kind < jsonArray {
		return n
	}
	out := &jsonNode{kind: n.kind}
	for i, e := range n.list {
		if n.kind == jsonObject {
			if e.kind == jsonNull {
				continue
			}
			out.keys = append(out.keys, n.keys[i])
		}
		out.list = append(out.list, e.withoutNulls())
	}
	return out
}

// appendPretty appends n over lines, each level four spaces in.
func (n *jsonNode) appendPretty(dst []byte, depth int) []byte {
	if n.kind < jsonArray {
		return n.append(dst, false)
	}
	brackets := "[]"
	if n.kind == jsonObject {
		brackets = "{}"
	}
	indent := func(depth int) {
		dst = append(dst, '\n')
		for range depth {
			dst = append(dst, "    "...)
		}
	}
	dst = append(dst, brackets[0])
	for i, e := range n.list {
		if len(dst) > 2*maxText {
			return dst
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		indent(depth + 1)
		if n.kind == jsonObject {
			dst = append(appendJSONString(dst, n.keys[i]), ": "...)
		}
		dst = e.appendPretty(dst, depth+1)
	}
	indent(depth)
	return append(dst, brackets[1])
}

// jsonEdit is what setPath of PostgreSQL's jsonfuncs.c does at a path.
type jsonEdit struct {
	path                          []value
	with                          *jsonNode
	create, remove, before, after bool
}

func (e *jsonEdit) inserts() bool { return e.create || e.before || e.after }

func (e *jsonEdit) apply(n *jsonNode, level int) (*jsonNode, error) {
	if n.kind < jsonArray {
		return n, nil
	}
	if e.path[level].null {
		return nil, fail("22004", "path element at position %d is null", level+1)
	}
	if n.kind == jsonObject {
		return e.object(n, level)
	}
	return e.array(n, level)
}

func (e *jsonEdit) object(n *jsonNode, level int) (*jsonNode, error) {
	last := level == len(e.path)-1
	out := &jsonNode{kind: jsonObject}
	found := false
	for i, k := range n.keys {
		m := n.list[i]
		if k == e.path[level].s {
			found = true
			switch {
			case !last:
				var err error
				if m, err = e.apply(m, level+1); err != nil {
					return nil, err
				}
			case e.before || e.after:
				return nil, fail(codeInvalidParameter, "cannot replace existing key").hint("use jsonb_set to replace it")
			case e.remove:
				continue
			default:
				m = e.with
			}
		}
		out.keys, out.list = append(out.keys, k), append(out.list, m)
	}
	if !found && last && e.inserts() {
		out.keys, out.list = append(out.keys, e.path[level].s), append(out.list, e.with)
		out.sortKeys()
	}
	return out, nil
}

func (e *jsonEdit) array(n *jsonNode, level int) (*jsonNode, error) {
	last := level == len(e.path)-1
	i, err := strconv.ParseInt(strings.TrimLeft(e.path[level].s, space), 10, 32)
	if err != nil {
		return nil, fail(codeInvalidText, "path element at position %d is not an integer: %q", level+1, e.path[level].s)
	}
	at, count := int(i), len(n.list)
	front := false
	if at < 0 {
		front = -at > count
		at += count
	}
	at = min(at, count)
	out := &jsonNode{kind: jsonArray}
	done := false
	if (front || count == 0) && last && e.inserts() {
		out.list, done = append(out.list, e.with), true
	}
	for k, m := range n.list {
		switch {
		case k != at || front:
			out.list = append(out.list, m)
		case !last:
			done = true
			if m, err = e.apply(m, level+1); err != nil {
				return nil, err
			}
			out.list = append(out.list, m)
		default:
			done = true
			if e.before {
				out.list = append(out.list, e.with)
			}
			if e.before || e.after {
				out.list = append(out.list, m)
			}
			if !e.before && !e.remove {
				out.list = append(out.list, e.with)
			}
		}
	}
	if !done && last && e.inserts() {
		out.list = append(out.list, e.with)
	}
	return out, nil
}

// edit applies e to a whole jsonb; verb names it in the error for a scalar.
func (e *jsonEdit) edit(n *jsonNode, verb string) (value, error) {
	if n.kind < jsonArray {
		return null, fail(codeInvalidParameter, "cannot %s path in scalar", verb)
	}
	if len(e.path) == 0 || len(n.list) == 0 && !e.inserts() {
		return jsonValue(n), nil
	}
	out, err := e.apply(n, 0)
	if err != nil {
		return null, err
	}
	return bounded(jsonValue(out))
}

// jsonList collects the values of jsonb_agg.
type jsonList struct {
	convert func(v value) (*jsonNode, error)
	node    *jsonNode
	size    int
}

func (s *jsonList) add(a []value) error {
	n, err := s.convert(a[0])
	if err != nil {
		return err
	}
	if s.node == nil {
		s.node = &jsonNode{kind: jsonArray}
	}
	return s.grow("", n)
}

func (s *jsonList) grow(key string, n *jsonNode) error {
	if s.size += n.size() + len(key); s.size > maxText {
		return errTooLong()
	}
	if len(s.node.list) == maxElements {
		return errTooMany()
	}
	s.node.list = append(s.node.list, n)
	return nil
}

// result is a node of its own: in a window more values may follow.
func (s *jsonList) result() (value, error) {
	if s.node == nil {
		return null, nil
	}
	out := *s.node
	return jsonValue(&out), nil
}

// jsonMembers collects the members of jsonb_object_agg.
type jsonMembers struct {
	jsonList
	keyType Type
}

func (s *jsonMembers) add(a []value) error {
	if a[0].null {
		return fail(codeInvalidParameter, "field name must not be null")
	}
	key, err := jsonKey(s.keyType, a[0])
	if err != nil {
		return err
	}
	n, err := s.convert(a[1])
	if err != nil {
		return err
	}
	if s.node == nil {
		s.node = &jsonNode{kind: jsonObject}
	}
	s.node.keys = append(s.node.keys, key)
	return s.grow(key, n)
}

func (s *jsonMembers) result() (value, error) {
	if s.node == nil {
		return null, nil
	}
	out := *s.node
	out.sortKeys()
	return jsonValue(&out), nil
}

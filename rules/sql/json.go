package sql

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonNode is a value of type jsonb. Objects have their keys ordered as
// PostgreSQL stores them (by length, then bytes), each once.
type jsonNode struct {
	kind jsonKind
	num  *numeric
	str  string
	list []*jsonNode
	keys []string // of an object, beside list
}

// jsonKind is in the order in which jsonb compares values of different kinds,
// but for arrays, which are handled in compareJSON.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonString
	jsonNumber
	jsonFalse
	jsonTrue
	jsonArray
	jsonObject
)

const maxJSONDepth = 500

func invalidJSON() error {
	return fail(codeInvalidText, "invalid input syntax for type json")
}

// parseJSON reads JSON text. The last of equal keys counts.
func parseJSON(text string) (*jsonNode, error) {
	if !pairedSurrogates(text) {
		return nil, invalidJSON()
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	nodes := 0
	n, err := decodeJSON(d, &nodes, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, invalidJSON()
	}
	return n, nil
}

// pairedSurrogates reports whether each high surrogate that is written as \uXXXX
// has its low one after it, and no low one stands alone: Go's decoder lets them.
func pairedSurrogates(text string) bool {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return true
		}
		text = text[i:]
		first, ok := unicodeEscape(text)
		switch {
		case !ok:
			text = text[2:]
		case !utf16.IsSurrogate(first):
			text = text[6:]
		default:
			second, ok := unicodeEscape(text[6:])
			if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
				return false
			}
			text = text[12:]
		}
	}
}

// unicodeEscape reads \uXXXX at the start of s.
func unicodeEscape(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

func decodeJSON(d *json.Decoder, nodes *int, depth int) (*jsonNode, error) {
	if *nodes++; *nodes > maxElements {
		return nil, errTooMany()
	}
	if depth > maxJSONDepth {
		return nil, fail(codeLimit, "json is nested more than %d deep", maxJSONDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, invalidJSON()
	}
	switch t := t.(type) {
	case nil:
		return &jsonNode{kind: jsonNull}, nil
	case bool:
		if t {
			return &jsonNode{kind: jsonTrue}, nil
		}
		return &jsonNode{kind: jsonFalse}, nil
	case string:
		if strings.IndexByte(t, 0) >= 0 {
			return nil, errNullCharacter()
		}
		return &jsonNode{kind: jsonString, str: t}, nil
	case json.Number:
		n, err := parseNumeric(t.String())
		if err != nil {
			return nil, err
		}
		return &jsonNode{kind: jsonNumber, num: n}, nil
	}
	if t == json.Delim('[') {
		n := &jsonNode{kind: jsonArray}
		for d.More() {
			e, err := decodeJSON(d, nodes, depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, e)
		}
		_, err := d.Token()
		if err != nil {
			return nil, invalidJSON()
		}
		return n, nil
	}
	return decodeObject(d, nodes, depth)
}

func errNullCharacter() *Error { return fail("22P05", "unsupported Unicode escape sequence") }

func decodeObject(d *json.Decoder, nodes *int, depth int) (*jsonNode, error) {
	n := &jsonNode{kind: jsonObject}
	for d.More() {
		k, err := d.Token()
		key, ok := k.(string)
		if err != nil || !ok {
			return nil, invalidJSON()
		}
		if strings.IndexByte(key, 0) >= 0 {
			return nil, errNullCharacter()
		}
		e, err := decodeJSON(d, nodes, depth+1)
		if err != nil {
			return nil, err
		}
		n.keys, n.list = append(n.keys, key), append(n.list, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, invalidJSON()
	}
	n.sortKeys()
	return n, nil
}

func lessKey(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func (n *jsonNode) sortKeys() {
	order := make([]int, len(n.keys))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return lessKey(n.keys[order[i]], n.keys[order[j]]) < 0 })
	keys, list := make([]string, 0, len(order)), make([]*jsonNode, 0, len(order))
	for k, i := range order {
		if k+1 < len(order) && n.keys[order[k+1]] == n.keys[i] {
			continue
		}
		keys, list = append(keys, n.keys[i]), append(list, n.list[i])
	}
	n.keys, n.list = keys, list
}

// get returns the object's member, nil when there is none.
func (n *jsonNode) get(key string) *jsonNode {
	if n.kind != jsonObject {
		return nil
	}
	i, ok := slices.BinarySearchFunc(n.keys, key, lessKey)
	if !ok {
		return nil
	}
	return n.list[i]
}

// index returns the array's element, counted from the end if negative; a
// scalar counts as an array of itself.
func (n *jsonNode) index(i int64) *jsonNode {
	switch {
	case n.kind == jsonObject:
		return nil
	case n.kind != jsonArray:
		n = &jsonNode{kind: jsonArray, list: []*jsonNode{n}}
	}
	if i < 0 {
		i += int64(len(n.list))
	}
	if i < 0 || i >= int64(len(n.list)) {
		return nil
	}
	return n.list[i]
}

func (n *jsonNode) String() string { return string(n.append(nil, false)) }

// key is equal for equal values.
func (n *jsonNode) key() string { return string(n.append(nil, true)) }

// append appends the text as jsonb_out gives it; trim drops trailing zeros of numbers.
func (n *jsonNode) append(dst []byte, trim bool) []byte {
	switch n.kind {
	case jsonNull:
		return append(dst, "null"...)
	case jsonTrue:
		return append(dst, "true"...)
	case jsonFalse:
		return append(dst, "false"...)
	case jsonString:
		return appendJSONString(dst, n.str)
	case jsonNumber:
		if trim {
			return append(dst, n.num.trimmed()...)
		}
		return append(dst, n.num.String()...)
	case jsonArray:
		dst = append(dst, '[')
		for i, e := range n.list {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = e.append(dst, trim)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, e := range n.list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(appendJSONString(dst, n.keys[i]), ": "...)
		dst = e.append(dst, trim)
	}
	return append(dst, '}')
}

// appendJSONString quotes as escape_json: only what JSON requires.
func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < 0x20 {
				dst = append(dst, `\u00`...)
				dst = append(dst, hex[c>>4], hex[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}

// text is what ->> gives: a string bare, JSON null as NULL.
func (n *jsonNode) text() value {
	switch {
	case n == nil || n.kind == jsonNull:
		return null
	case n.kind == jsonString:
		return textValue(n.str)
	}
	return textValue(n.String())
}

// contains is jsonb's @>. An array contains a bare scalar that is one of its
// elements, at the top only.
func (n *jsonNode) contains(m *jsonNode, top bool) bool {
	if n.kind == jsonArray && m.kind < jsonArray && top {
		return slices.ContainsFunc(n.list, func(e *jsonNode) bool { return compareJSON(e, m) == 0 })
	}
	if n.kind != m.kind {
		return false
	}
	switch n.kind {
	case jsonObject:
		for i, k := range m.keys {
			if e := n.get(k); e == nil || !e.contains(m.list[i], false) {
				return false
			}
		}
		return true
	case jsonArray:
		if len(n.list) > 8 && len(m.list) > 8 {
			return n.containsMany(m)
		}
		for _, e := range m.list {
			if !slices.ContainsFunc(n.list, func(x *jsonNode) bool { return x.contains(e, false) }) {
				return false
			}
		}
		return true
	}
	return compareJSON(n, m) == 0
}

// containsMany is contains for two long arrays: equal elements are found in
// a set, and only different arrays and objects compared with each other.
func (n *jsonNode) containsMany(m *jsonNode) bool {
	have := make(map[string]bool, len(n.list))
	var nested []*jsonNode
	for _, e := range n.list {
		if k := e.key(); !have[k] {
			have[k] = true
			if e.kind >= jsonArray {
				nested = append(nested, e)
			}
		}
	}
	for _, e := range m.list {
		k := e.key()
		if have[k] {
			continue
		}
		if e.kind < jsonArray || !slices.ContainsFunc(nested, func(x *jsonNode) bool { return x.contains(e, false) }) {
			return false
		}
		have[k] = true
	}
	return true
}

// compareJSON orders by compareJsonbContainers: object > array > boolean >
// number > string > null, then more members first; an empty top-level array
// is less than everything.
func compareJSON(a, b *jsonNode) int {
	emptyArray := func(n *jsonNode) bool { return n.kind == jsonArray && len(n.list) == 0 }
	if emptyArray(a) || emptyArray(b) {
		switch {
		case emptyArray(a) && emptyArray(b):
			return 0
		case emptyArray(a):
			return -1
		default:
			return 1
		}
	}
	return compareNodes(a, b)
}

// compareNodes is compareJSON below the top.
func compareNodes(a, b *jsonNode) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case jsonString:
		return strings.Compare(a.str, b.str)
	case jsonNumber:
		return a.num.cmp(b.num)
	case jsonArray, jsonObject:
		if c := cmp.Compare(len(a.list), len(b.list)); c != 0 {
			return c
		}
		for i := range a.list {
			if a.kind == jsonObject {
				if c := strings.Compare(a.keys[i], b.keys[i]); c != 0 {
					return c
				}
			}
			if c := compareNodes(a.list[i], b.list[i]); c != 0 {
				return c
			}
		}
	}
	return 0
}

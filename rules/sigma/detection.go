package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// detection reads the searches of a rule and its condition.
func (d *Document) detection(v *value) {
	if v.kind != mapping {
		panic(fail(v.line, "detection: a map is wanted"))
	}
	condition := v.get("condition")
	switch {
	case condition == nil:
		panic(fail(v.line, "the detection has no condition"))
	case v.get("timeframe") != nil:
		panic(fail(v.get("timeframe").line, "timeframe is of Sigma 1: write a correlation rule"))
	}
	d.searches = map[string]node{}
	tests := 0
	for _, e := range v.entries {
		if e.key == "condition" {
			continue
		}
		d.searches[e.key] = readSearch(e.value)
		if tests += count(d.searches[e.key]); tests > maxTests {
			panic(fail(e.line, "more than %d comparisons", maxTests))
		}
	}
	var either or
	for _, text := range condition.words("condition") {
		either = append(either, parseCondition(text, condition.line, d.searches))
	}
	if len(either) == 0 {
		panic(fail(condition.line, "the condition is empty"))
	}
	d.condition = either
}

// count returns the number of comparisons below a node.
func count(n node) (sum int) {
	switch n := n.(type) {
	case and:
		for _, c := range n {
			sum += count(c)
		}
	case or:
		for _, c := range n {
			sum += count(c)
		}
	case not:
		sum = count(n.node)
	case *item:
		for _, forms := range n.tests {
			sum += len(forms)
		}
	}
	return sum
}

// readSearch reads a search: a map of fields, all of which must hold, or a list
// of maps and keywords, one of which must.
func readSearch(v *value) node {
	switch v.kind {
	case mapping:
		if len(v.entries) == 0 {
			panic(fail(v.line, "a search is empty"))
		}
		var all and
		for _, e := range v.entries {
			all = append(all, readField(e))
		}
		return all
	case sequence:
		if len(v.list) == 0 {
			panic(fail(v.line, "a search is empty"))
		}
		if !slices.ContainsFunc(v.list, func(e *value) bool { return e.kind != scalar }) {
			return readField(entry{"", v.line, v})
		}
		var either or
		for _, e := range v.list {
			either = append(either, readSearch(e))
		}
		return either
	}
	return readField(entry{"", v.line, v})
}

// readField reads one field with its modifiers and values.
func readField(e entry) node {
	name, rest, _ := strings.Cut(e.key, "|")
	m := modifiers{line: e.line, field: name}
	if rest != "" {
		m.list = strings.Split(rest, "|")
	}
	values := []*value{e.value}
	if e.kind == sequence {
		values = e.list
	}
	if len(values) == 0 {
		panic(fail(e.line, "field %q has no value", name))
	}
	m.read()
	it := &item{line: e.line, field: name, all: m.all}
	for _, v := range values {
		if v.kind != scalar {
			panic(fail(v.line, "field %q: a text or number is wanted", name))
		}
		if forms := m.tests(v); len(forms) > 0 {
			it.tests = append(it.tests, forms)
		}
	}
	if m.negated {
		return not{it}
	}
	return it
}

// modifiers are what stands behind a field's name.
type modifiers struct {
	line    int
	field   string
	list    []string
	all     bool
	cased   bool
	negated bool
	place   place
	op      operator
	flags   string
	expand  bool
	steps   []string // what is made of each value, in order
}

// read checks the modifiers.
func (m *modifiers) read() {
	m.op = opMatch
	comparison := ""
	compare := func(name string, op operator) {
		if comparison != "" {
			panic(fail(m.line, "modifiers %q and %q exclude each other", comparison, name))
		}
		comparison, m.op = name, op
	}
	placed := ""
	for i, name := range m.list {
		switch name {
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "neq":
			m.negated = true
		case "contains", "startswith", "endswith":
			if placed != "" {
				panic(fail(m.line, "modifiers %q and %q exclude each other", placed, name))
			}
			placed = name
			m.place = map[string]place{"contains": within, "startswith": atStart, "endswith": atEnd}[name]
		case "re":
			compare(name, opRegexp)
		case "i", "ignorecase", "m", "multiline", "s", "dotall":
			if m.op != opRegexp {
				panic(fail(m.line, "modifier %q goes with re", name))
			}
			m.flags += name[:1]
			if name == "dotall" {
				m.flags = m.flags[:len(m.flags)-1] + "s"
			}
		case "cidr":
			compare(name, opCIDR)
		case "exists":
			compare(name, opExists)
		case "fieldref":
			compare(name, opField)
		case "lt":
			compare(name, opLess)
		case "lte":
			compare(name, opLessEqual)
		case "gt":
			compare(name, opGreater)
		case "gte":
			compare(name, opGreaterEqual)
		case "expand":
			m.expand = true
		case "windash", "base64", "base64offset", "utf16", "utf16le", "utf16be", "wide":
			if m.place != whole && name != "windash" {
				panic(fail(m.line, "modifier %q must stand before %q", name, placed))
			}
			m.steps = append(m.steps, name)
		case "":
			panic(fail(m.line, "field %q: modifier %d is empty", m.field, i+1))
		default:
			panic(fail(m.line, "modifier %q is not known", name))
		}
	}
	if m.op == opField && (len(m.steps) > 0 || m.expand) || m.op != opMatch && m.op != opField && (m.place != whole || m.cased || len(m.steps) > 0 || m.expand) {
		panic(fail(m.line, "%q goes with no such modifier: %s", comparison, strings.Join(m.list, "|")))
	}
	if m.field == "" && m.op != opMatch && m.op != opRegexp {
		panic(fail(m.line, "%q needs a field", comparison))
	}
}

// tests returns the forms of one value.
func (m *modifiers) tests(v *value) []test {
	null := v.tag == "!!null"
	if len(v.text) > maxValue {
		panic(fail(v.line, "field %q: a value of more than %d KiB", m.field, maxValue>>10))
	}
	if strings.IndexByte(v.text, 0) >= 0 {
		panic(fail(v.line, "field %q: no text holds a NUL character", m.field))
	}
	switch m.op {
	case opMatch:
		if !null {
			return m.patterns(v)
		}
		if m.field == "" || len(m.list) > 0 && !(len(m.list) == 1 && (m.all || m.negated)) {
			panic(fail(v.line, "field %q: null goes with no modifier", m.field))
		}
		return []test{{op: opNull}}
	case opExists:
		if v.tag != "!!bool" && v.text != "true" && v.text != "false" {
			panic(fail(v.line, "field %q: exists is true or false", m.field))
		}
		return []test{{op: opExists, text: strings.ToLower(v.text)}}
	}
	if null || v.text == "" {
		panic(fail(v.line, "field %q: a value is wanted", m.field))
	}
	t := test{op: m.op, text: v.text, flags: m.flags, cased: m.cased, part: m.place}
	switch m.op {
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		if !isNumber(v.text) {
			panic(fail(v.line, "field %q: %q is not a number", m.field, oneLine(v.text)))
		}
	case opRegexp:
		if _, _, err := translate(v.text, m.flags); err != nil {
			panic(fail(v.line, "field %q: %v", m.field, err))
		}
	case opCIDR:
		if err := checkCIDR(v.text); err != nil {
			panic(fail(v.line, "field %q: %v", m.field, err))
		}
	}
	return []test{t}
}

func isNumber(s string) bool {
	if strings.TrimLeft(s, "+-.0123456789eE") != "" {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && len(s) < 40
}

// patterns applies the steps to a value that is matched.
func (m *modifiers) patterns(v *value) []test {
	forms := []pattern{newPattern(v.text)}
	for i, step := range m.steps {
		switch step {
		case "windash":
			p, n := forms[0].windash()
			if n > maxWindash {
				panic(fail(v.line, "field %q: more than %d dashes", m.field, maxWindash))
			}
			forms[0] = p
			continue
		case "base64", "base64offset":
		default:
			if i+1 == len(m.steps) || m.steps[i+1] != "base64" && m.steps[i+1] != "base64offset" {
				panic(fail(v.line, "field %q: no column has bytes of UTF-16: %s must be followed by base64 or base64offset", m.field, step))
			}
			continue
		}
		text, ok := forms[0].plain()
		if !ok && len(forms[0]) > 0 {
			panic(fail(v.line, "field %q: %s takes no wildcards", m.field, step))
		}
		data := []byte(text)
		if i > 0 {
			data = encodeUTF16(text, m.steps[i-1])
		}
		if step == "base64" {
			forms = []pattern{literal(base64.StdEncoding.EncodeToString(data))}
			continue
		}
		forms = offsets(data)
		if len(forms) == 0 {
			panic(fail(v.line, "field %q: %q is too short for base64offset", m.field, oneLine(v.text)))
		}
		if i+1 < len(m.steps) {
			panic(fail(v.line, "field %q: base64offset must be the last step", m.field))
		}
	}
	tests := make([]test, len(forms))
	for i, p := range forms {
		if m.field == "" && m.place == whole {
			m.place = within
		}
		tests[i] = test{op: opMatch, pattern: p.placed(m.place), cased: m.cased}
		if m.expand {
			tests[i].text = v.text // for its placeholders
		}
	}
	return tests
}

func encodeUTF16(s, form string) []byte {
	var out []byte
	order := binary.AppendByteOrder(binary.LittleEndian)
	switch form {
	case "utf16be":
		order = binary.BigEndian
	case "utf16":
		out = append(out, 0xff, 0xfe) // the mark of little endian
	case "utf16le", "wide":
	default:
		return []byte(s)
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, unit)
	}
	return out
}

// offsets returns what of the Base64 of data does not depend on what is before
// and after it, for each of the three places where data can begin.
func offsets(data []byte) (list []pattern) {
	for offset, skip := range []int{0, 2, 3} {
		padded := slices.Concat(make([]byte, offset), data)
		text := base64.StdEncoding.EncodeToString(padded)
		end := len(text)
		switch len(padded) % 3 {
		case 1:
			end -= 3
		case 2:
			end -= 2
		}
		if skip < end {
			list = append(list, literal(text[skip:end]))
		}
	}
	if len(list) < 3 {
		return nil // one of the places could not be told
	}
	return list
}

package sigma

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parse reads the documents of a Sigma file; name is that of the file. One that
// is refused has an Err.
func Parse(name string, data []byte) []*Document {
	refused := func(line int, format string, args ...any) []*Document {
		return []*Document{{File: name, Line: line, Err: fail(line, format, args...)}}
	}
	switch {
	case len(data) > MaxFileBytes:
		return refused(0, "larger than %d KiB", MaxFileBytes>>10)
	case !utf8.Valid(data):
		return refused(1+bytes.Count(data[:invalidAt(data)], []byte("\n")), "the file has bytes that are not UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return refused(1+bytes.Count(data[:bytes.IndexByte(data, 0)], []byte("\n")), "the file has a NUL byte")
	}
	var list []*Document
	r := &reader{}
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		switch {
		case errors.Is(err, io.EOF) && len(list) == 0:
			return refused(0, "the file has no document")
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			text := strings.TrimPrefix(err.Error(), "yaml: ")
			return append(list, refused(lineOf(text), "%s", text)...)
		case len(list) == maxDocuments:
			return append(list, refused(n.Line, "more than %d documents", maxDocuments)...)
		}
		list = append(list, r.document(name, &n))
	}
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// lineOf takes the line out of a message such as "line 3: mapping values are not allowed".
func lineOf(message string) int {
	rest, ok := strings.CutPrefix(message, "line ")
	if !ok {
		return 0
	}
	number, _, _ := strings.Cut(rest, ":")
	n, _ := strconv.Atoi(number)
	return n
}

// reader turns YAML into documents. It stops with a panic of *Error, which
// document takes.
type reader struct{ nodes int }

func (r *reader) document(name string, n *yaml.Node) (d *Document) {
	d = &Document{File: name, Line: n.Line}
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(*Error)
			if !ok {
				panic(p)
			}
			d.Err = err
		}
	}()
	top := r.resolve(n, 0)
	if top.kind != mapping {
		panic(fail(n.Line, "a Sigma rule is a map of keys"))
	}
	if len(top.entries) > 0 {
		d.Line = top.line
	}
	d.head(top)
	switch {
	case top.get("action") != nil:
		panic(fail(top.get("action").line, "action: collections of Sigma 1 are not read"))
	case top.get("filter") != nil && top.get("detection") == nil:
		panic(fail(top.get("filter").line, "filter: Sigma filters are not read"))
	case top.get("correlation") != nil:
		d.readCorrelation(top.get("correlation"))
	case top.get("detection") == nil:
		panic(fail(d.Line, "the rule has no detection"))
	default:
		d.detection(top.get("detection"))
	}
	return d
}

// kind is what a value is.
type kind uint8

const (
	scalar kind = iota + 1
	sequence
	mapping
)

// value is a YAML value whose aliases are resolved.
type value struct {
	kind    kind
	line    int
	text    string // of a scalar
	tag     string // !!str, !!int, !!float, !!bool, !!null and such
	list    []*value
	entries []entry
}

type entry struct {
	key  string
	line int
	*value
}

// get returns the value of a key, nil when there is none.
func (v *value) get(key string) *value {
	for _, e := range v.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

func (r *reader) resolve(n *yaml.Node, depth int) *value {
	if r.nodes++; r.nodes > maxNodes {
		panic(fail(n.Line, "more than %d values in the file", maxNodes))
	}
	if depth > maxDepth {
		panic(fail(n.Line, "values are nested more than %d deep", maxDepth))
	}
	v := &value{line: n.Line}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			panic(fail(n.Line, "an empty document"))
		}
		return r.resolve(n.Content[0], depth)
	case yaml.AliasNode:
		return r.resolve(n.Alias, depth+1)
	case yaml.ScalarNode:
		v.kind, v.text, v.tag = scalar, n.Value, n.ShortTag()
	case yaml.SequenceNode:
		v.kind = sequence
		for _, c := range n.Content {
			v.list = append(v.list, r.resolve(c, depth+1))
		}
	case yaml.MappingNode:
		v.kind = mapping
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
				panic(fail(key.Line, "a key must be a text"))
			}
			if seen[key.Value] {
				panic(fail(key.Line, "key %q was given already", key.Value))
			}
			seen[key.Value] = true
			v.entries = append(v.entries, entry{key.Value, key.Line, r.resolve(n.Content[i+1], depth+1)})
		}
	default:
		panic(fail(n.Line, "an empty document"))
	}
	return v
}

// word returns the text of a scalar; "" when v is nil or null.
func (v *value) word(key string) string {
	switch {
	case v == nil || v.tag == "!!null":
		return ""
	case v.kind != scalar:
		panic(fail(v.line, "%s: a text is wanted", key))
	}
	return v.text
}

// words returns the texts of a list, or of a single one.
func (v *value) words(key string) (list []string) {
	switch {
	case v == nil || v.tag == "!!null":
	case v.kind == scalar:
		list = append(list, v.text)
	case v.kind == sequence:
		for _, e := range v.list {
			list = append(list, e.word(key))
		}
	default:
		panic(fail(v.line, "%s: a list of texts is wanted", key))
	}
	return list
}

// head reads what a rule says about itself.
func (d *Document) head(top *value) {
	for key, dst := range map[string]*string{
		"id": &d.ID, "name": &d.Name, "title": &d.Title, "description": &d.Description, "author": &d.Author,
		"date": &d.Date, "modified": &d.Modified, "status": &d.Status, "level": &d.Level,
	} {
		*dst = oneLine(top.get(key).word(key))
	}
	for key, dst := range map[string]*[]string{"tags": &d.Tags, "references": &d.References, "falsepositives": &d.FalsePositives} {
		for _, s := range top.get(key).words(key) {
			if s = oneLine(s); s != "" {
				*dst = append(*dst, s)
			}
		}
	}
	if d.Title == "" {
		panic(fail(d.Line, "the rule has no title"))
	}
	if l := top.get("logsource"); l != nil {
		if l.kind != mapping {
			panic(fail(l.line, "logsource: a map is wanted"))
		}
		for key, dst := range map[string]*string{"product": &d.Logsource.Product, "category": &d.Logsource.Category, "service": &d.Logsource.Service} {
			*dst = strings.ToLower(oneLine(l.get(key).word(key)))
		}
	}
}

// oneLine makes one line of a text, which can stand in a comment of SQL and on
// a terminal: control characters and what changes the direction of writing are
// blanks.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
}

package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"daemoneye/rules/sql"
)

// Lists stand in lists/*.yaml of a source; all lists of one Load share their
// names:
//
//	name: trusted_updaters
//	description: what may replace programs
//	type: text                      # or bigint, inet
//	values:
//	  - /usr/bin/apt-get
//	  - value: /opt/vendor/update
//	    expires: 2026-12-31         # the last day (UTC) that it counts, or a time
const listDir = "lists"

// Limits of lists.
const (
	maxLists      = 200     // of one source
	maxListBytes  = 1 << 20 // of a file
	maxListValues = 10_000
	maxListValue  = 4096 // bytes
)

// List is a list of values that rules read as list('name'). It is shared and
// must not be changed.
type List struct {
	Name        string
	Description string
	File        string
	Type        sql.Type
	Values      []ListValue
}

// ListValue is one value; zero Expires: for ever.
type ListValue struct {
	Text    string
	Expires time.Time
	Line    int
}

// at returns the values that count at a time.
func (l *List) at(now time.Time) (*sql.List, error) {
	out := &sql.List{Type: l.Type}
	for _, v := range l.Values {
		if !ended(v.Expires, now) {
			if err := out.Add(v.Text); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// ended reports whether what ends at a time, zero: never, has ended.
func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

var listTypes = map[string]sql.Type{"text": sql.Text, "bigint": sql.Int8, "inet": sql.Inet}

// loadLists reads lists/*.yaml of a source.
func (l *loader) loadLists(s Source) {
	l.yamlFiles(s, listDir, maxLists, func(file string, data []byte) {
		list, problems := parseList(file, data)
		if first := l.set.List(list.Name); first != nil && len(problems) == 0 {
			problems = []*Problem{{File: file, Message: fmt.Sprintf("list %q is in %s already", list.Name, first.File)}}
		}
		if len(problems) > 0 {
			l.refuse(&Refusal{File: file, Problems: problems})
			return
		}
		l.set.Lists = append(l.set.Lists, list)
	})
}

// yamlFiles hands over the files *.yaml of a directory beside the source's
// rules, at most limit.
func (l *loader) yamlFiles(s Source, dir string, limit int, each func(file string, data []byte)) {
	root := s.root()
	if info, err := fs.Stat(s.FS, root); err == nil && !info.IsDir() {
		root = path.Dir(root)
	}
	dir = path.Join(root, dir)
	entries, err := readDir(s.FS, dir, l.cfg.MaxEntries)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.unreadable(s.display(dir), err)
		}
		return
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		if limit--; limit < 0 {
			l.refuse(refuse(s.display(name), "too many files in %s; this one and those after it are not loaded", dir))
			return
		}
		data, err := l.read(s, name, maxListBytes)
		if err != nil {
			l.unreadable(s.display(name), err)
			continue
		}
		each(s.display(name), data)
	}
}

// Reads reports whether Load reads a file of a directory, by its path: one of
// rules, lists or exceptions.
func Reads(name string) bool {
	dir := path.Base(path.Dir(filepath.ToSlash(name)))
	return Source{}.holds(name) || (dir == listDir || dir == exceptionDir) && strings.HasSuffix(name, ".yaml")
}

// List returns the list with that name, or nil.
func (s *Set) List(name string) *List {
	i := slices.IndexFunc(s.Lists, func(l *List) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return s.Lists[i]
}

// SQLLists returns the lists with the values that count at a time, as
// sql.Config wants them.
func (s *Set) SQLLists(now time.Time) map[string]*sql.List {
	out := make(map[string]*sql.List, len(s.Lists))
	for _, l := range s.Lists {
		if list, err := l.at(now); err == nil { // it was checked when it was loaded
			out[l.Name] = list
		}
	}
	return out
}

// LoadLists reads the lists of the sources alone, as sql.Config wants them;
// those that are not good are left out.
func LoadLists(now time.Time, sources ...Source) map[string]*sql.List {
	l := loader{cfg: LoadConfig{MaxEntries: maxEntries}, set: &Set{}}
	for _, s := range sources {
		l.loadLists(s)
	}
	return l.set.SQLLists(now)
}

func parseList(file string, data []byte) (*List, []*Problem) {
	l := &List{File: file, Type: sql.Text}
	r := newYAMLReader(file, data)
	var values *yaml.Node
	r.object(r.document(), "a list", []string{"name", "values"}, map[string]func(*yaml.Node){
		"name": func(n *yaml.Node) {
			if l.Name = r.text(n, "name", 80); l.Name != "" && !columnForm.MatchString(l.Name) {
				r.fail(n, "a name has a-z, 0-9 and '_'", "%q is not a name of a list", l.Name)
			}
		},
		"description": func(n *yaml.Node) { l.Description = r.text(n, "description", maxText) },
		"type": func(n *yaml.Node) {
			t, ok := listTypes[r.text(n, "type", 80)]
			if l.Type = t; !ok {
				r.fail(n, "it can be text, bigint or inet", "there are no lists of type %q", n.Value)
			}
		},
		"values": func(n *yaml.Node) { values = n },
	})
	if len(r.problems) > 0 {
		return l, r.problems
	}
	seen := map[string]int{}
	check := &sql.List{Type: l.Type}
	r.items(values, "values", maxListValues, func(n *yaml.Node) {
		v := ListValue{Line: n.Line}
		at := n
		if n.Kind == yaml.ScalarNode {
			v.Text = r.text(n, "a value", maxListValue)
		} else {
			r.object(n, "a value", []string{"value"}, map[string]func(*yaml.Node){
				"value":   func(n *yaml.Node) { at, v.Text = n, r.text(n, "value", maxListValue) },
				"expires": func(n *yaml.Node) { v.Expires = r.end(n) },
				"comment": func(n *yaml.Node) { r.text(n, "comment", maxText) },
			})
		}
		if err := check.Add(v.Text); err != nil {
			r.fail(at, "", "%v", err)
		} else if seen[v.Text] > 0 {
			r.fail(at, "", "the value stands on line %d already", seen[v.Text])
		}
		seen[v.Text] = n.Line
		l.Values = append(l.Values, v)
	})
	return l, r.problems
}

// yamlReader reads a YAML file strictly and gathers what is wrong.
type yamlReader struct {
	file, content string
	problems      []*Problem
}

func newYAMLReader(file string, data []byte) *yamlReader {
	return &yamlReader{file: file, content: string(data)}
}

// maxFileProblems bounds what is told of one file.
const maxFileProblems = 20

func (r *yamlReader) fail(n *yaml.Node, hint, format string, args ...any) {
	p := &Problem{File: r.file, Message: fmt.Sprintf(format, args...), Hint: hint, Code: "yaml"}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
		p.caret = caret(r.content, p.Line, p.Column)
	}
	r.add(p)
}

func (r *yamlReader) add(p *Problem) {
	if len(r.problems) < maxFileProblems {
		r.problems = append(r.problems, p)
	}
}

// document returns the one document, nil when it can not be read.
func (r *yamlReader) document() *yaml.Node {
	if p := oddByte(r.file, r.content); p != nil {
		r.add(p)
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader([]byte(r.content)))
	var n, more yaml.Node
	switch err := d.Decode(&n); {
	case errors.Is(err, io.EOF):
		r.fail(nil, "", "the file is empty")
		return nil
	case err != nil:
		p := &Problem{File: r.file, Message: strings.TrimPrefix(err.Error(), "yaml: "), Code: "yaml"}
		if _, scan := fmt.Sscanf(p.Message, "line %d:", &p.Line); scan == nil {
			_, p.Message, _ = strings.Cut(p.Message, ": ")
		}
		r.add(p)
		return nil
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		r.fail(nil, "", "more than one document")
		return nil
	}
	return n.Content[0]
}

// object reads the keys of a mapping.
func (r *yamlReader) object(n *yaml.Node, what string, required []string, keys map[string]func(*yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "write key: value lines", "%s has keys", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, read := n.Content[i], keys[n.Content[i].Value]
		switch {
		case read == nil:
			r.fail(key, meantKey(key.Value, keys), "unknown key %q", key.Value)
		case seen[key.Value]:
			r.fail(key, "", "key %q is given twice", key.Value)
		default:
			seen[key.Value] = true
			read(n.Content[i+1])
		}
	}
	for _, name := range required {
		if !seen[name] {
			r.fail(n, "", "%s has no %s", what, name)
		}
	}
}

// items hands over the items of a sequence.
func (r *yamlReader) items(n *yaml.Node, what string, limit int, each func(*yaml.Node)) {
	switch {
	case n == nil:
	case n.Kind != yaml.SequenceNode:
		r.fail(n, "begin each item with a dash", "%s is not a list", what)
	case len(n.Content) > limit:
		r.fail(n, "", "%d %s, the limit is %d", len(n.Content), what, limit)
	default:
		for _, item := range n.Content {
			each(item)
		}
	}
}

// text reads a scalar of at most limit bytes that is not empty.
func (r *yamlReader) text(n *yaml.Node, what string, limit int) string {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		r.fail(n, "", "%s is not a text", what)
		return ""
	case n.Value == "":
		r.fail(n, "", "%s is empty", what)
	case len(n.Value) > limit:
		r.fail(n, "", "%s has %d bytes, the limit is %d", what, len(n.Value), limit)
	}
	return n.Value
}

// end reads when something ends: a date, which is the last day that counts
// (UTC), or a time.
func (r *yamlReader) end(n *yaml.Node) time.Time {
	text := r.text(n, "expires", 80)
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1)
	}
	t, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "T", 1))
	if err != nil {
		r.fail(n, "write it as 2026-12-31 or 2026-12-31T18:00:00Z", "expires: %q is not a date", text)
	}
	return t
}

// within moves a problem of a text that stands at n, at line and column of it,
// to its place in the file, as far as that is known.
func (r *yamlReader) within(n *yaml.Node, line, column int) (int, int) {
	switch n.Style {
	case 0:
		if line == 1 {
			return n.Line, n.Column + column - 1
		}
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		lines := strings.Split(r.content, "\n")
		rest := []rune(lines[n.Line-1])
		if line == 1 && n.Column < len(rest) && strings.HasPrefix(string(rest[n.Column:]), n.Value) { // no escapes before
			return n.Line, n.Column + column
		}
	case yaml.LiteralStyle:
		lines := strings.Split(r.content, "\n")
		if at := n.Line + line - 1; at < len(lines) {
			first, _, _ := strings.Cut(n.Value, "\n")
			indent := utf8.RuneCountInString(lines[n.Line]) - utf8.RuneCountInString(first)
			return at + 1, max(0, indent) + column
		}
	}
	return n.Line, n.Column
}

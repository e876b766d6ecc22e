package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

// locate finds the line of each key. Its Problem is what the parsers would
// accept although it cannot be meant, or choke on: a key twice, a second
// document, deep nesting. What is no good syntax is the parsers' to report.
func locate(name string, content []byte) (map[string]int, *Problem) {
	f := &finder{name: name, content: content, lines: map[string]int{}}
	if i := tooDeep(content); i >= 0 {
		return nil, f.fail(lineAt(content, i), fmt.Sprintf("it is nested more than %d levels deep", maxDepth))
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		d := json.NewDecoder(bytes.NewReader(content))
		if p, _ := f.json(d, ""); p != nil {
			return nil, p
		}
	case ".toml":
		if p := f.toml(); p != nil {
			return nil, p
		}
	default:
		if p := f.yaml(); p != nil {
			return nil, p
		}
	}
	return f.lines, nil
}

type finder struct {
	name    string
	content []byte
	lines   map[string]int // key → line
}

func (f *finder) fail(line int, message string) *Problem {
	return &Problem{Where: f.name, Line: line, Message: message}
}

// tooDeep is the offset of the bracket that goes beyond maxDepth, or -1. It
// also counts brackets in strings and comments; maxDepth is far from any
// configuration of ours either way, if brackets come in pairs.
func tooDeep(content []byte) int {
	depth := 0
	for i, c := range content {
		switch c {
		case '[', '{':
			if depth++; depth > maxDepth {
				return i
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return -1
}

// json walks one value; false: bad syntax, which ends the walk quietly.
func (f *finder) json(d *json.Decoder, prefix string) (*Problem, bool) {
	t, err := d.Token()
	if err != nil {
		return nil, false
	}
	switch t {
	case json.Delim('['):
		for d.More() {
			if p, ok := f.json(d, prefix+"[]"); p != nil || !ok {
				return p, ok
			}
		}
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			t, err := d.Token()
			name, ok := t.(string)
			if err != nil || !ok {
				return nil, false
			}
			key, line := join(prefix, name), lineAt(f.content, int(d.InputOffset())-1)
			if seen[name] {
				return f.fail(line, printable(key)+" is set twice"), true
			}
			seen[name] = true
			f.lines[key] = line
			if p, ok := f.json(d, key); p != nil || !ok {
				return p, ok
			}
		}
	default:
		return nil, true
	}
	_, err = d.Token() // the closing bracket
	return nil, err == nil
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// toml walks the expressions of the document.
func (f *finder) toml() *Problem {
	var p unstable.Parser
	p.Reset(f.content)
	table, array := "", false
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.KeyValue && e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		key, line, ok := f.tomlKey(&p, e)
		if !ok {
			return f.fail(line, fmt.Sprintf("it is nested more than %d levels deep", maxDepth))
		}
		if e.Kind != unstable.KeyValue {
			table, array = key, e.Kind == unstable.ArrayTable
			f.lines[table] = line
			continue
		}
		// The parser would report it, too, but not where.
		if _, twice := f.lines[join(table, key)]; twice && !array {
			return f.fail(line, printable(join(table, key))+" is set twice")
		}
		f.lines[join(table, key)] = line
		if p := f.tomlInline(&p, e.Value(), join(table, key)); p != nil {
			return p
		}
	}
	return nil
}

// tomlKey is the dotted key of an expression; false: it has too many parts.
func (f *finder) tomlKey(p *unstable.Parser, e *unstable.Node) (string, int, bool) {
	var parts []string
	line := 0
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
		if len(parts) == maxDepth {
			return "", line, false
		}
		parts = append(parts, string(n.Data))
	}
	return strings.Join(parts, "."), line, true
}

// tomlInline walks {a = 1, b = {c = 2}}.
func (f *finder) tomlInline(p *unstable.Parser, v *unstable.Node, prefix string) *Problem {
	if v.Kind != unstable.InlineTable {
		return nil
	}
	for it := v.Children(); it.Next(); {
		n := it.Node()
		key, line, ok := f.tomlKey(p, n)
		if !ok {
			return f.fail(line, fmt.Sprintf("it is nested more than %d levels deep", maxDepth))
		}
		f.lines[join(prefix, key)] = line
		if p := f.tomlInline(p, n.Value(), join(prefix, key)); p != nil {
			return p
		}
	}
	return nil
}

func (f *finder) yaml() *Problem {
	d := yaml.NewDecoder(bytes.NewReader(f.content))
	var document, second yaml.Node
	if d.Decode(&document) != nil {
		return nil
	}
	if d.Decode(&second) != io.EOF {
		return f.fail(second.Line, "expected one document, not several with --- between them")
	}
	if len(document.Content) == 1 {
		return f.yamlNode(document.Content[0], "", 0)
	}
	return nil
}

// yamlNode does not follow aliases: what they bring is at the alias's line.
func (f *finder) yamlNode(n *yaml.Node, prefix string, depth int) *Problem {
	if depth > maxDepth {
		return f.fail(n.Line, fmt.Sprintf("it is nested more than %d levels deep", maxDepth))
	}
	for i, child := range n.Content {
		key := prefix + "[]"
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			name := n.Content[i-1]
			key = join(prefix, name.Value)
			f.lines[key] = name.Line
		}
		if p := f.yamlNode(child, key, depth+1); p != nil {
			return p
		}
	}
	return nil
}

// syntaxProblem is a parser's error with its line where it gives one.
func syntaxProblem(name string, content []byte, err error) Problem {
	p := Problem{Where: name, Message: printable(err.Error())}
	var fromTOML *toml.DecodeError
	var fromJSON *json.SyntaxError
	var typeJSON *json.UnmarshalTypeError
	switch {
	case errors.As(err, &fromTOML):
		p.Line, _ = fromTOML.Position()
	case errors.As(err, &fromJSON):
		p.Line = lineAt(content, int(fromJSON.Offset)-1)
		p.Message = "json: " + p.Message
	case errors.As(err, &typeJSON):
		p.Line = lineAt(content, int(typeJSON.Offset)-1)
		p.Message = "json: expected an object with keys"
	default:
		p.Line, p.Message = yamlError(err.Error())
	}
	return p
}

// yamlError takes the first line number out of the text of one of the
// parser's errors, which have it nowhere else: "yaml: line 3: did not find
// expected key" or "yaml: unmarshal errors:\n  line 1: cannot unmarshal …".
func yamlError(text string) (line int, message string) {
	message = strings.Join(strings.Fields(text), " ")
	m := regexp.MustCompile(`line (\d+): (.*)`).FindStringSubmatch(message)
	if m == nil {
		return 0, printable(message)
	}
	if n, err := strconv.Atoi(m[1]); err == nil {
		line, message = n, "yaml: "+m[2]
	}
	if strings.Contains(message, "into map[string]") {
		return line, "yaml: expected keys with values"
	}
	return line, printable(message)
}

func sortedKeys(m map[string]any) []string {
	return slices.Sorted(maps.Keys(m))
}

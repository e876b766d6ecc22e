package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
)

const (
	maxFile  = mib // bytes of a configuration file
	maxDepth = 64  // of nested maps and lists in one; the parsers recurse
)

// parser is the one for a file's name, nil for a name that says none.
func parser(name string) koanf.Parser {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		return yaml.Parser()
	case ".toml":
		return toml.Parser()
	case ".json":
		return json.Parser()
	}
	return nil
}

// search finds config.* in dir.
func (l *loader) search(dir string) []string {
	var found []string
	for _, ext := range []string{"yaml", "yml", "toml", "json"} {
		name := filepath.Join(dir, "config."+ext)
		_, err := os.Lstat(name)
		switch {
		case err == nil:
			found = append(found, name)
		case errors.Is(err, fs.ErrPermission):
			return nil // HOME is somebody else's, as after sudo -u: there is no file of this user's
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			l.problem(Problem{Where: name, Message: reason(err)})
			return nil
		}
	}
	return found
}

// reason is err without the path, which the Problem has.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

func (l *loader) file(name string) layer {
	if parser(name) == nil {
		l.problem(Problem{Where: name, Message: "expected a name that ends in .yaml, .yml, .toml or .json"})
		return layer{}
	}
	content, err := l.host.read(name)
	if err != nil {
		l.problem(Problem{Where: name, Message: reason(err)})
		return layer{}
	}
	return l.parse(name, content)
}

// read returns the content of a configuration file. It decides what is run as
// whom: root takes it only from a file that nobody else can change.
func (h host) read(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // do not wait for a FIFO's writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if h.root {
		if err := trusted(info, h.uid); err != nil {
			return nil, err
		}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, errors.New("it is larger than " + FormatSize(maxFile))
	}
	return content, nil
}

// parse reads content, in the format that name says.
func (l *loader) parse(name string, content []byte) layer {
	y := layer{values: map[string]any{}, sources: map[string]string{}}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if i := invalidUTF8(content); i >= 0 {
		l.problem(Problem{Where: name, Line: lineAt(content, i), Message: "it is not valid UTF-8"})
		return y
	}
	// An empty file sets nothing, also as JSON.
	if len(bytes.TrimSpace(content)) == 0 {
		return y
	}
	lines, p := locate(name, content)
	if p != nil {
		l.problem(*p)
		return y
	}
	tree, err := parser(name).Unmarshal(content)
	if err != nil {
		l.problem(syntaxProblem(name, content, err))
		return y
	}
	f := &fileValues{loader: l, name: name, lines: lines, layer: y, seen: map[string]bool{}}
	f.section("", tree)
	return y
}

// fileValues is one file on its way into a layer.
type fileValues struct {
	*loader
	name  string
	lines map[string]int
	layer layer
	seen  map[string]bool
}

// section adds what is below prefix. A key with dots, as TOML has them, means
// the same in every format.
func (f *fileValues) section(prefix string, tree map[string]any) {
	for _, name := range sortedKeys(tree) {
		key, raw := name, tree[name]
		if prefix != "" {
			key = prefix + "." + name
		}
		if raw == nil {
			raw = map[string]any{} // a section or a setting of which nothing is set
		}
		at := Problem{Where: f.name, Line: f.line(key), Key: key, Value: quote(raw)}
		s, known := f.byKey[key]
		nested, isMap := stringMap(raw)
		switch {
		case known && isMap && len(nested) == 0:
		case known && f.seen[key]:
			at.Message = "it is set twice"
			f.problem(at)
		case known:
			f.seen[key] = true
			f.add(f.layer, s, raw, origin{dir: filepath.Dir(f.name), home: f.host.home()}, "file:"+f.name, at)
		case isMap && len(below(key, f.settings)) > 0:
			f.section(key, nested)
		case len(below(key, f.settings)) > 0:
			at.Message = "expected a section with " + strings.Join(below(key, f.settings), ", ")
			f.problem(at)
		case isMap && len(nested) > 0:
			f.strange(key, nested, 1)
		default:
			at.Message = unknown(key, f.settings, func(s Setting) string { return s.Key })
			f.problem(at)
		}
	}
}

// strange reports the keys of an unknown section one by one, because
// "colector: {interval: 5s}" is best answered with collector.interval.
func (f *fileValues) strange(prefix string, tree map[string]any, depth int) {
	for _, name := range sortedKeys(tree) {
		key, raw := prefix+"."+name, tree[name]
		if nested, ok := stringMap(raw); ok && len(nested) > 0 && depth < 4 {
			f.strange(key, nested, depth+1)
			continue
		}
		f.problem(Problem{
			Where: f.name, Line: f.line(key), Key: key, Value: quote(raw),
			Message: unknown(key, f.settings, func(s Setting) string { return s.Key }),
		})
	}
}

// line is that of key or of the nearest section above it.
func (f *fileValues) line(key string) int {
	for {
		if n, ok := f.lines[key]; ok {
			return n
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0
		}
		key = key[:i]
	}
}

// stringMap is raw as a map. YAML has one with keys of any type when not all
// of them are text.
func stringMap(raw any) (map[string]any, bool) {
	switch m := raw.(type) {
	case map[string]any:
		return m, true
	case map[any]any:
		out := make(map[string]any, len(m))
		for k, v := range m {
			out[fmt.Sprint(k)] = v
		}
		return out, true
	}
	return nil, false
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// lineAt is the line of the byte at offset, from 1.
func lineAt(content []byte, offset int) int {
	return bytes.Count(content[:min(max(offset, 0), len(content))], []byte{'\n'}) + 1
}

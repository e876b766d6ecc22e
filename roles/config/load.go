package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

const envPrefix = "DAEMONEYE_"

// Options says what to load beside the usual places.
type Options struct {
	File  string            // --config: read instead of the system's and the user's file; "": DAEMONEYE_CONFIG
	Flags map[string]string // Setting.Key → value, of the flags that were given; lists as JoinList writes them
}

// Load merges the configuration. What is wrong with it is an *Error that has
// all problems.
func Load(o Options) (*Config, error) {
	return load(o, thisHost())
}

// Default is the configuration without files, environment and flags, and
// without Paths.
func Default() *Config {
	c := &Config{}
	for _, s := range Settings() {
		s.set(c, s.defaultValue())
	}
	return c
}

// defaultValue panics when the table is wrong.
func (s Setting) defaultValue() any {
	v, err := s.parse(s.Default, origin{text: true})
	if err != nil {
		panic(fmt.Sprintf("config: default of %s: %v", s.Key, err))
	}
	return v
}

// layer is what one source sets.
type layer struct {
	values  map[string]any // Setting.Key → value of the Go type
	sources map[string]string
}

// loader collects layers, the least important first, and problems.
type loader struct {
	host     host
	settings []Setting
	byKey    map[string]Setting
	merged   *koanf.Koanf
	sources  map[string]string
	problems []Problem
}

func load(o Options, h host) (*Config, error) {
	l := &loader{host: h, settings: Settings(), byKey: map[string]Setting{}, merged: koanf.New("."), sources: map[string]string{}}
	defaults := layer{values: map[string]any{}}
	for _, s := range l.settings {
		l.byKey[s.Key] = s
		defaults.values[s.Key] = s.defaultValue()
	}
	l.merge(defaults)
	for _, name := range l.files(o) {
		l.merge(l.file(name))
	}
	l.merge(l.environment())
	l.merge(l.flags(o.Flags))
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}

	c := &Config{sources: l.sources}
	for _, s := range l.settings {
		s.set(c, l.merged.Get(s.Key))
	}
	var err error
	if c.Paths, err = h.paths(c); err != nil {
		return nil, err
	}
	return c, nil
}

func (l *loader) problem(p Problem) { l.problems = append(l.problems, p) }

func (l *loader) merge(y layer) {
	// Load of a map can fail only in strict mode, which this is not.
	if err := l.merged.Load(confmap.Provider(y.values, "."), nil); err != nil {
		panic("config: merge: " + err.Error())
	}
	for key, source := range y.sources {
		l.sources[key] = source
	}
}

// files are those to read, the least important first.
func (l *loader) files(o Options) []string {
	name := o.File
	if name == "" {
		name = l.host.env(envPrefix + "CONFIG")
	}
	if name != "" {
		path, err := origin{dir: l.host.cwd}.absolute(name)
		if err != nil {
			l.problem(Problem{Where: name, Message: err.Error()})
			return nil
		}
		return []string{path}
	}
	var names []string
	dirs := []string{l.host.system, l.host.configDir()}
	for _, dir := range slices.Compact(dirs) {
		if dir == "" {
			continue
		}
		found := l.search(dir)
		if len(found) > 1 {
			l.problem(Problem{Where: found[0], Message: "there is " + orList(found[1:]) + ", too: keep one of them"})
			continue
		}
		names = append(names, found...)
	}
	return names
}

// add checks one value and puts it into y.
func (l *loader) add(y layer, s Setting, raw any, from origin, source string, p Problem) {
	value, err := s.parse(raw, from)
	if err == nil {
		y.values[s.Key], y.sources[s.Key] = value, source
		return
	}
	p.Key, p.Value, p.Message = s.Key, quote(raw), "expected "+s.Expected()
	if !errors.Is(err, errValue) {
		p.Message = err.Error() + "; " + p.Message
	}
	l.problem(p)
}

func (l *loader) environment() layer {
	y := layer{values: map[string]any{}, sources: map[string]string{}}
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return l.host.environ },
	})
	found, err := provider.Read()
	if err != nil {
		panic("config: read environment: " + err.Error()) // it has no error to give
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		value := found[name].(string)
		if value == "" || ignored(name) {
			continue
		}
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__", ".")
		s, ok := l.byKey[key]
		if !ok || s.Env() != name {
			l.problem(Problem{
				Where: name, Key: key, Value: quote(value),
				Message: unknown(key, l.settings, Setting.Env),
			})
			continue
		}
		l.add(y, s, value, origin{dir: l.host.cwd, home: l.host.home(), text: true}, "env:"+name, Problem{Where: name})
	}
	return y
}

// ignored says that an environment variable is not a setting: the file's name,
// the socket that clients ask, and what Kubernetes sets in every container beside a service that is called
// daemoneye.
func ignored(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "CONFIG" || rest == "SOCKET" || rest == "PORT" || rest == "SERVICE_HOST" || rest == "SERVICE_PORT" ||
		strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_PORT_")
}

func (l *loader) flags(flags map[string]string) layer {
	y := layer{values: map[string]any{}, sources: map[string]string{}}
	keys := make([]string, 0, len(flags))
	for key := range flags {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		s, ok := l.byKey[key]
		if !ok {
			l.problem(Problem{
				Where: "--" + key, Key: key, Value: quote(flags[key]),
				Message: unknown(key, l.settings, func(s Setting) string { return s.Key }),
			})
			continue
		}
		name := "--" + s.Key
		if s.Flag != "" {
			name = "--" + s.Flag
		}
		if key == "data_dir" && flags[key] == "" { // mostly a variable of a shell that is not set
			l.problem(Problem{Where: name, Key: key, Value: quote(""), Message: "expected a directory"})
			continue
		}
		l.add(y, s, flags[key], origin{dir: l.host.cwd, home: l.host.home(), text: true}, "flag:"+name, Problem{Where: name})
	}
	return y
}

// Entry is one setting as it stands.
type Entry struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // default, file:PATH, env:NAME or flag:--NAME
	Doc    string `json:"doc"`
}

// Entries lists all settings in the order of Settings.
func (c *Config) Entries() []Entry {
	var entries []Entry
	for _, s := range Settings() {
		e := Entry{Key: s.Key, Value: s.format(s.get(c)), Source: "default", Doc: s.Doc}
		if source, ok := c.sources[s.Key]; ok {
			e.Source = source
		}
		entries = append(entries, e)
	}
	return entries
}

// wire is what Marshal writes: Config and what it does not export.
type wire struct {
	Config  *Config
	Sources map[string]string
}

// Marshal encodes c, with its Paths, for another role of the same executable.
func (c *Config) Marshal() ([]byte, error) {
	b, err := json.Marshal(wire{Config: c, Sources: c.sources})
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return b, nil
}

// Unmarshal decodes what Marshal wrote and checks each value again.
func Unmarshal(b []byte) (*Config, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	w := wire{Config: &Config{}}
	if err := d.Decode(&w); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("decode configuration: more follows it")
	}
	if w.Config == nil {
		return nil, errors.New("decode configuration: it is empty")
	}
	for _, s := range Settings() {
		value := s.get(w.Config)
		if list, ok := value.([]string); ok && list == nil {
			s.set(w.Config, []string{})
		}
		text := any(s.format(value))
		if s.Type == List || s.Type == PathList {
			text = value
		}
		if _, err := s.parse(text, origin{}); err != nil {
			return nil, fmt.Errorf("decode configuration: %s = %s: expected %s", s.Key, quote(text), s.Expected())
		}
	}
	w.Config.sources = w.Sources
	return w.Config, nil
}

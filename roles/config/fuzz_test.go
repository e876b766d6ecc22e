//go:build unix

package config

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/knadh/koanf/v2"
)

// fuzzFile reads any bytes as a file: no panic, the same answer twice, and only
// values that pass the checks once more.
func fuzzFile(f *testing.F, name string, seeds ...string) {
	for _, s := range append(seeds, "", "a", "{", "[[[[", "\ufeff{}") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		parse := func() (layer, []Problem) {
			l := &loader{host: user("/h"), settings: Settings(), byKey: map[string]Setting{}, merged: koanf.New("."), sources: map[string]string{}}
			for _, s := range l.settings {
				l.byKey[s.Key] = s
			}
			y := l.parse(name, bytes.Clone(content))
			l.merge(y)
			return y, l.problems
		}
		y, p := parse()
		again, q := parse()
		if !reflect.DeepEqual(y, again) || !slices.Equal(p, q) {
			t.Fatalf("two answers: %v %v, %v %v", y, p, again, q)
		}
		c := Default()
		for _, s := range Settings() {
			if v, ok := y.values[s.Key]; ok {
				s.set(c, v)
			}
		}
		b, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Unmarshal(b); err != nil {
			t.Fatalf("accepted %v: %v", y.values, err)
		}
		for _, problem := range p {
			if bytes.ContainsAny([]byte(problem.String()), "\x1b\n\x00") {
				t.Fatalf("%q has control characters", problem.String())
			}
		}
	})
}

func FuzzYAML(f *testing.F) {
	var example bytes.Buffer
	if err := WriteExample(&example); err != nil {
		f.Fatal(err)
	}
	fuzzFile(f, "/h/c.yaml", fullYAML, example.String(), "a: &a [*a]", "<<: {log: {level: info}}", "log: &x {level: info}\nb: *x", "1: 2\n? [a]\n: b", "--- a\n--- b")
}

func FuzzTOML(f *testing.F) {
	fuzzFile(f, "/h/c.toml", fullTOML, "[[log]]\nlevel='info'", "a.b.c = {d = [1, {e = 2}]}", "log.level = 1979-05-27T07:32:00Z", "x = nan")
}

func FuzzJSON(f *testing.F) {
	fuzzFile(f, "/h/c.json", fullJSON, `{"a":1,"a":2}`, `null`, `{"store":{"retention":{"bytes":1e300}}}`, `{"log":null}`, `{"a":[1 x`, `[}`)
}

func FuzzText(f *testing.F) {
	f.Add("30d")
	f.Add("64MiB")
	f.Add(`a,"b,c"`)
	f.Add(`" /","k=""v"""`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range Settings() {
			v, err := s.parse(text, origin{dir: "/d", home: "/h", text: true})
			if err != nil {
				continue
			}
			again, err := s.parse(s.format(v), origin{dir: "/d", home: "/h", text: true})
			if err != nil || !reflect.DeepEqual(again, v) {
				t.Fatalf("%s: %q is %#v, written as %q, which is %#v, %v", s.Key, text, v, s.format(v), again, err)
			}
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	b, err := Default().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := Unmarshal(b); err == nil {
			if _, err := c.Marshal(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

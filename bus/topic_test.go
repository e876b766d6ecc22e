package bus

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckTopic(t *testing.T) {
	for _, tt := range []struct {
		in             string
		topic, pattern bool
	}{
		{"events", true, true},
		{"events.process.exec", true, true},
		{"a.b.c.d", true, true},
		{"a-1.b_2", true, true},
		{"a.b.c.d.e", false, false},
		{"a.b.c.d.#", false, false},
		{"", false, false},
		{".", false, false},
		{"a..b", false, false},
		{"a.", false, false},
		{".a", false, false},
		{"A", false, false},
		{"a b", false, false},
		{"é", false, false},
		{"a\x00", false, false},
		{"+", false, true},
		{"#", false, true},
		{"a.+.c", false, true},
		{"+.+.+.+", false, true},
		{"a.b.c.#", false, true},
		{"a.#.c", false, false},
		{"a+", false, false},
		{"a#", false, false},
		{"##", false, false},
		{strings.Repeat("x", 255), true, true},
		{strings.Repeat("x", 256), false, false},
	} {
		if err := CheckTopic(tt.in); (err == nil) != tt.topic {
			t.Errorf("CheckTopic(%q) = %v, want ok %v", tt.in, err, tt.topic)
		}
		if _, err := ParsePattern(tt.in); (err == nil) != tt.pattern {
			t.Errorf("ParsePattern(%q) = %v, want ok %v", tt.in, err, tt.pattern)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a", false},
		{"a.b", "a.b.c", false},
		{"a.b", "a.c", false},
		{"a", "ab", false},
		{"+", "a", true},
		{"+", "a.b", false},
		{"a.+", "a", false},
		{"a.+", "a.b", true},
		{"a.+.c", "a.b.c", true},
		{"a.+.c", "a.b.d", false},
		{"+.b", "a.b", true},
		{"#", "a", true},
		{"#", "a.b.c.d", true},
		{"a.#", "a", true},
		{"a.#", "a.b", true},
		{"a.#", "a.b.c.d", true},
		{"a.#", "b", false},
		{"a.#", "ab.c", false},
		{"+.b.#", "a.b.c", true},
		{"+.b.#", "a.c", false},
	} {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(tt.topic); got != tt.want {
			t.Errorf("Pattern(%q).Match(%q) = %v, want %v", tt.pattern, tt.topic, got, tt.want)
		}
	}
	if (Pattern{}).Match("a") {
		t.Error("the zero pattern matches")
	}
}

// matchReference is the definition, word by word.
func matchReference(pattern, topic []string) bool {
	switch {
	case len(pattern) == 1 && pattern[0] == "#":
		return true
	case len(pattern) == 0 || len(topic) == 0:
		return len(pattern) == 0 && len(topic) == 0
	}
	return (pattern[0] == "+" || pattern[0] == topic[0]) && matchReference(pattern[1:], topic[1:])
}

func drawPattern(t *rapid.T, label string) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "+"}), 1, 4).Draw(t, label)
	if rapid.Bool().Draw(t, label+" rest") {
		segments[len(segments)-1] = "#"
	}
	return strings.Join(segments, ".")
}

func TestMatchProperty(t *testing.T) {
	// Every topic of the two segments a and b.
	var topics []string
	level := []string{"a", "b"}
	for range 4 {
		topics = append(topics, level...)
		var next []string
		for _, s := range level {
			next = append(next, s+".a", s+".b")
		}
		level = next
	}
	rapid.Check(t, func(t *rapid.T) {
		p, err := ParsePattern(drawPattern(t, "p"))
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParsePattern(drawPattern(t, "q"))
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			want := matchReference(strings.Split(p.String(), "."), strings.Split(topic, "."))
			if got := p.Match(topic); got != want {
				t.Errorf("Pattern(%q).Match(%q) = %v, want %v", p, topic, got, want)
			}
			if p.Covers(q) && q.Match(topic) && !p.Match(topic) {
				t.Errorf("Pattern(%q).Covers(%q), but only the second matches %q", p, q, topic)
			}
		}
		if !p.Covers(p) {
			t.Errorf("Pattern(%q) does not cover itself", p)
		}
	})
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		p, q string
		want bool
	}{
		{"events.#", "events.#", true},
		{"events.#", "events", true},
		{"events.#", "events.+.exec", true},
		{"events.#", "#", false},
		{"events.#", "+.process", false},
		{"events.+", "events.process", true},
		{"events.+", "events.#", false},
		{"events.+", "events.+.+", false},
		{"events.process", "events.+", false},
	} {
		p, _ := ParsePattern(tt.p)
		q, _ := ParsePattern(tt.q)
		if got := p.Covers(q); got != tt.want {
			t.Errorf("Pattern(%q).Covers(%q) = %v, want %v", tt.p, tt.q, got, tt.want)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range []string{"events.process.exec", "a.+.#", "", "a..b", "#.a", "a.b.c.d.e", "\xff"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		p, err := ParsePattern(pattern)
		valid := CheckTopic(topic) == nil
		if err != nil {
			if CheckTopic(pattern) == nil {
				t.Errorf("topic %q is not a pattern: %v", pattern, err)
			}
			return
		}
		if p.String() != pattern {
			t.Errorf("ParsePattern(%q).String() = %q", pattern, p)
		}
		got := p.Match(topic)
		if valid {
			if want := matchReference(strings.Split(pattern, "."), strings.Split(topic, ".")); got != want {
				t.Errorf("Pattern(%q).Match(%q) = %v, want %v", pattern, topic, got, want)
			}
		}
	})
}

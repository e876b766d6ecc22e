package sql

import (
	"fmt"
	"testing"

	"daemoneye/bus/event"
)

func namesBatch(names ...string) *event.Batch {
	b := event.NewBuilder(event.Lookup("process_events"))
	for _, name := range names {
		b.Column("name").Text(name)
		b.EndRow()
	}
	return b.Batch()
}

// A wrong pattern among those of an array tells its error when a value gets as
// far, and not when an element before it decides.
func TestWrongElementIsToldWhenMet(t *testing.T) {
	for _, c := range []struct {
		condition string
		name      string
		matches   int
		fails     bool
	}{
		{`name LIKE ANY (ARRAY['a%', 'b\'])`, "apple", 1, false},
		{`name LIKE ANY (ARRAY['a%', 'b\\'])`, "b", 0, false},
		{`name ~ ANY (ARRAY['^a', '('])`, "apple", 1, false},
		{`name ~ ANY (ARRAY['^a', '('])`, "b", 0, true},
		{`name LIKE ALL (ARRAY['a%', NULL, '%e'])`, "b", 0, false},
		{`name NOT LIKE ALL (ARRAY['a%', '%e'])`, "b", 1, false},
	} {
		q, err := Compile("SELECT name FROM process_events WHERE "+c.condition, Config{})
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		rows, _, err := q.Match(namesBatch(c.name), testTime)
		if len(rows) != c.matches || (err != nil) != c.fails {
			t.Errorf("%s of %q: %d rows, %v", c.condition, c.name, len(rows), err)
		}
	}
}

// BenchmarkAnyPattern matches different names with patterns of an array.
func BenchmarkAnyPattern(b *testing.B) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("program-%d", i))
	}
	batch := namesBatch(names...)
	for name, condition := range map[string]string{
		"like":   "name LIKE ANY (ARRAY['%/sh', '%/bash', 'x%y%z'])",
		"regexp": "name ~ ANY (ARRAY['/(ba|z)?sh$', '^x.*y[0-9]+', 'perl|python'])",
	} {
		b.Run(name, func(b *testing.B) {
			q, err := Compile("SELECT name FROM process_events WHERE "+condition, Config{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, _, err := q.Match(batch, testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package sql

import (
	"slices"
	"testing"
)

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"SELECT pid FROM process_events", nil},
		{"SELECT pid FROM process_events WHERE pid = 1", []string{"pid = 1"}},
		{"SELECT pid FROM process_events WHERE true AND NOT (pid = 1 OR name IN ('a', 'b OR c')) LIMIT 5", []string{"pid = 1", "name IN ('a', 'b OR c')"}},
		{"SELECT pid FROM process_events WHERE (pid + 1) * 2 > 3 AND accessible", []string{"(pid + 1) * 2 > 3", "accessible"}},
		{"SELECT pid FROM process_events WHERE ((pid)) BETWEEN 1 AND 2 AND (name IS NOT NULL) ORDER BY pid", []string{"((pid)) BETWEEN 1 AND 2", "name IS NOT NULL"}},
		{"SELECT pid FROM process_events WHERE CASE WHEN pid = 1 OR pid = 2 THEN true ELSE false END -- AND\n AND name\n  LIKE /* OR */ E'it\\'s%'", []string{
			"CASE WHEN pid = 1 OR pid = 2 THEN true ELSE false END", `name LIKE E'it\'s%'`,
		}},
		{"SELECT pid FROM process_events WHERE name LIKE ANY (ARRAY['%a', '%b']) AND coalesce(name = 'x' OR pid = 2, false)", []string{
			"name LIKE ANY (ARRAY['%a', '%b'])", "coalesce(name = 'x' OR pid = 2, false)",
		}},
		{"SELECT a.pid FROM process_events a JOIN process_events b ON a.pid = b.pid AND a.time > b.time - interval '5 minutes' WHERE a.pid > 1", []string{
			"a.pid = b.pid", "a.time > b.time - interval '5 minutes'", "a.pid > 1",
		}},
		{"WITH x AS (SELECT pid FROM process_events WHERE pid = 1) SELECT pid FROM x WHERE EXISTS (SELECT 1 FROM process_events p WHERE p.pid = x.pid AND p.name = 'a') GROUP BY pid HAVING count(*) > 1", []string{
			"pid = 1", "EXISTS (SELECT 1 FROM process_events p WHERE p.pid = x.pid AND p.name = 'a')", "p.pid = x.pid", "p.name = 'a'", "count(*) > 1",
		}},
		{"SELECT pid FROM process_events WHERE pid IN (SELECT pid FROM process_events WHERE name = 'a') UNION SELECT pid FROM process_events WHERE pid::text = '2'", []string{
			"pid IN (SELECT pid FROM process_events WHERE name = 'a')", "name = 'a'", "pid::text = '2'",
		}},
	} {
		got, err := Conditions(c.text, Config{})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Conditions(%q) = %q, %v, want %q", c.text, got, err, c.want)
		}
		for i := range got {
			for _, value := range []bool{false, true} {
				if _, err := CompileWith(c.text, i, value, Config{}); err != nil {
					t.Errorf("%q with %t for %q: %v", c.text, value, got[i], err)
				}
			}
		}
	}
	if _, err := Conditions("SELECT FROM WHERE", Config{}); err == nil {
		t.Error("no error for what is no query")
	}
}

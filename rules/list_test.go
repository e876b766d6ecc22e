package rules

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

const updaterRule = `-- id: unknown-updater
-- title: t
-- severity: low
SELECT pid FROM process_events WHERE executable_path <> ALL (list('updaters'))
`

func started(t *testing.T, paths ...string) *event.Batch {
	t.Helper()
	b := event.NewBuilder(event.Lookup("process_events"))
	for i, path := range paths {
		for _, c := range b.Table().Columns {
			switch {
			case c.Name == "executable_path":
				b.Column(c.Name).Text(path)
			case c.Name == "pid":
				b.Column(c.Name).Int(int64(i))
			case !c.NotNull:
			case c.Type == event.Timestamptz:
				b.Column(c.Name).Time(time.UnixMicro(1).UTC())
			case c.Type == event.Int4, c.Type == event.Int8:
				b.Column(c.Name).Int(0)
			case c.Type == event.Bool:
				b.Column(c.Name).Bool(false)
			case c.Type == event.Text:
				b.Column(c.Name).Text(fmt.Sprintf("%s-%d", c.Name, i))
			}
		}
		b.EndRow()
	}
	return b.Batch()
}

func TestListValueExpiresByItself(t *testing.T) {
	end := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	set := Load(LoadConfig{Now: end.Add(-time.Hour)}, files(
		"a.sql", updaterRule,
		"lists/u.yaml", "name: updaters\nvalues:\n  - /bin/apt\n  - value: /bin/vendor\n    expires: 2026-06-01\n  - {value: /bin/old, expires: 2020-01-01}\n"))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	m := NewMatcher(set, MatcherConfig{})
	batch := started(t, "/bin/apt", "/bin/vendor", "/bin/old")
	if got := m.Match(batch, end.Add(-time.Microsecond)); len(got) != 1 || got[0].PID != 2 {
		t.Errorf("before the end: %v", got)
	}
	if got := m.Match(batch, end); len(got) != 2 || got[0].PID != 1 {
		t.Errorf("at the end: %v", got)
	}
	expired := m.Set().Expired(end)
	if len(expired) != 2 || !strings.Contains(expired[0].String(), `t/lists/u.yaml:4: value "/bin/vendor" of list updaters: it expired at 2026-06-02T00:00:00Z`) {
		t.Errorf("Expired() = %v", expired)
	}
	if s := m.Stats(); s[0].Matched != 3 {
		t.Errorf("matched %d, want 3: counters are kept", s[0].Matched)
	}
	if got := set.SQLLists(end)["updaters"].Len(); got != 1 {
		t.Errorf("%d values at the end, want 1", got)
	}
}

// Something that expires while a Reload is under way holds up no batch.
func TestExpiryWaitsForNoReload(t *testing.T) {
	end := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	m := NewMatcher(Load(LoadConfig{Now: end.Add(-time.Hour)}, files(
		"a.sql", updaterRule, "lists/u.yaml", "name: updaters\nvalues:\n  - /bin/apt\n  - value: /bin/vendor\n    expires: 2026-06-01\n")), MatcherConfig{})
	batch := started(t, "/bin/vendor")
	m.reload.Lock() // as a Reload does while it makes the rules ready
	found := make(chan int, 1)
	go func() { found <- len(m.Match(batch, end)) }()
	select {
	case n := <-found:
		if n != 0 {
			t.Errorf("%d matches while the rules are reloaded, want none: the value still counts", n)
		}
		m.reload.Unlock()
	case <-time.After(time.Minute):
		m.reload.Unlock()
		t.Fatal("the batch waits for the reload")
	}
	if n := len(m.Match(batch, end)); n != 1 {
		t.Errorf("%d matches after it, want 1", n)
	}
}

func TestListOfOtherTypes(t *testing.T) {
	set := Load(LoadConfig{}, files(
		"a.sql", "-- id: a\n-- title: t\n-- severity: low\nSELECT pid FROM process_events WHERE user_id = ANY (list('users'))\n",
		"lists/u.yaml", "name: users\ntype: bigint\nvalues: [0, 1000]\n"))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
}

func TestListRefused(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"", "t/lists/u.yaml: the file is empty"},
		{"name: updaters\n", "t/lists/u.yaml:1:1: a list has no values"},
		{"nam: updaters\nvalues: [a]\n", `t/lists/u.yaml:1:1: unknown key "nam" (did you mean "name"?)`},
		{"name: Up\nvalues: [a]\n", `t/lists/u.yaml:1:7: "Up" is not a name of a list`},
		{"name: updaters\ntype: integer\nvalues: [1]\n", `t/lists/u.yaml:2:7: there are no lists of type "integer" (it can be text, bigint or inet)`},
		{"name: updaters\ntype: bigint\nvalues: [1, x]\n", `t/lists/u.yaml:3:13: invalid input syntax for type bigint: "x"`},
		{"name: updaters\nvalues:\n  - a\n  - a\n", "t/lists/u.yaml:4:5: the value stands on line 3 already"},
		{"name: updaters\nvalues:\n  - value: a\n    expires: soon\n", `t/lists/u.yaml:4:14: expires: "soon" is not a date`},
		{"name: updaters\nvalues: a\n", "t/lists/u.yaml:2:9: values is not a list"},
		{"name: updaters\nvalues: [[a]]\n", "a value has keys"},
		{"name: [\n", "t/lists/u.yaml:"},
		{"name: updaters\nvalues: [" + strings.Repeat("a,", 10_001) + "]\n", "10001 values, the limit is 10000"},
		{"name: updaters\nvalues: [" + strings.Repeat("a", 5000) + "]\n", "a value has 5000 bytes, the limit is 4096"},
		{"name: updaters\nvalues: [\"a\\u0000\"]\n", "NUL"},
		{"name: &a updaters\nvalues: [*a]\n", "a value has keys"},
	} {
		set := Load(LoadConfig{}, files("a.sql", updaterRule, "lists/u.yaml", tt.list))
		if len(set.Refused) != 2 || !strings.Contains(set.Refused[0].Error(), tt.want) {
			t.Errorf("%q: refused %v, want %q", tt.list[:min(len(tt.list), 60)], set.Refused, tt.want)
			continue
		}
		if got := set.Refused[1].Error(); !strings.Contains(got, `t/a.sql:4:62: there is no list "updaters"`) {
			t.Errorf("%q: the rule is refused with %q", tt.list[:min(len(tt.list), 60)], got)
		}
	}
	set := Load(LoadConfig{}, files("lists/a.yaml", "name: x\nvalues: []\n", "lists/b.yaml", "name: x\nvalues: []\n"))
	if len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), `t/lists/b.yaml: list "x" is in t/lists/a.yaml already`) {
		t.Errorf("two lists of one name: %v", set.Refused)
	}
}

func FuzzList(f *testing.F) {
	f.Add("name: updaters\nvalues:\n  - a\n  - {value: b, expires: 2026-01-01, comment: c}\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(_ *testing.T, text string) {
		set := Load(LoadConfig{}, files("lists/u.yaml", text))
		set.At(time.Now().Add(time.Hour)).Expired(time.Now())
		for _, r := range set.Refused {
			_ = r.Error()
		}
	})
}

// A run over history reads the list as it is then, too.
func TestListOfHistoryRule(t *testing.T) {
	set := Load(LoadConfig{Now: time.UnixMicro(0)}, files(
		"a.sql", "-- id: a\n-- title: t\n-- severity: low\nSELECT count(*) AS n FROM process_events WHERE executable_path = ANY (list('u'))\n",
		"lists/u.yaml", "name: u\nvalues: [{value: /bin/a, expires: \"1970-01-01T00:00:10Z\"}]\n"))
	if len(set.Refused) > 0 {
		t.Fatal(set.Refused[0])
	}
	for _, tt := range []struct {
		second int64
		want   string
	}{{5, `{"n": 1}`}, {10, `{"n": 0}`}} {
		m := NewMatcher(set, MatcherConfig{})
		got, err := m.RunHistory(context.Background(), memory{started(t, "/bin/a")}, time.Unix(tt.second, 0))
		if err != nil || len(got) != 1 || string(got[0].Row()) != tt.want {
			t.Errorf("at %d s: %v (%v), want %s", tt.second, got, err, tt.want)
		}
	}
}

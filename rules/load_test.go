package rules

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// ruleText is a rule with the header keys (as lines) and the SELECT.
func ruleText(id, keys, query string) string {
	return "-- id: " + id + "\n-- title: T\n-- severity: low\n" + keys + query + "\n"
}

const anyEvent = "SELECT pid, entity_id FROM process_events WHERE pid > 0"

func files(list ...string) Source {
	m := fstest.MapFS{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = &fstest.MapFile{Data: []byte(list[i+1]), Mode: 0o644}
	}
	return Source{Name: "t/", FS: m}
}

func mustLoad(t testing.TB, sources ...Source) *Set {
	t.Helper()
	set := Load(LoadConfig{}, sources...)
	for _, r := range set.Refused {
		t.Errorf("refused: %v", r)
	}
	if t.Failed() {
		t.FailNow()
	}
	return set
}

func TestLoadModes(t *testing.T) {
	for _, c := range []struct {
		query string
		want  Mode
	}{
		{anyEvent, Stream},
		{"SELECT count(*) FROM process_events", History},
		{"SELECT DISTINCT name FROM process_events", History},
		{"SELECT pid FROM process_events ORDER BY time LIMIT 5", History},
		{"SELECT pid FROM processes", Scan},
		{"SELECT name, count(*) FROM processes GROUP BY name", Scan},
	} {
		r := mustLoad(t, files("a.sql", ruleText("a", "", c.query))).Rules[0]
		if r.Mode != c.want {
			t.Errorf("mode of %q = %v, want %v", c.query, r.Mode, c.want)
		}
	}
}

func TestLoadRefusesOnlyBrokenFiles(t *testing.T) {
	set := Load(LoadConfig{MaxFiles: 20},
		files(
			"a.sql", ruleText("good", "", anyEvent),
			"b.sql", ruleText("bad-column", "-- description: x\n--   y\n", "SELECT pid\nFROM process_events\nWHERE cmdline = 'x'"),
			"c.sql", ruleText("bad-header", "-- nope: 1\n", anyEvent),
			"d.sql", "-- id: nul\n-- title: a\x00b\n",
			"e.sql", "-- id: x\n-- title: caf\xe9\n",
			"f.sql", ruleText("huge", "", anyEvent)+strings.Repeat("-", MaxRuleBytes),
			"g.sql", ruleText("empty", "", "  \n"),
			"h.sql", ruleText("no-table", "", "SELECT 1"),
			"i.sql", ruleText("dedup", "-- dedup: pid, exectable_path\n", anyEvent),
			"j.sql", ruleText("dedup-grouped", "-- dedup: pid\n", "SELECT count(*) FROM process_events"),
			"k.sql", ruleText("deep", "", "SELECT pid FROM process_events WHERE "+strings.Repeat("(", 20000)+"true"+strings.Repeat(")", 20000)),
			"sub/l.sql", "\ufeff"+ruleText("good-too", "", anyEvent),
			".hidden.sql", "x", ".git/m.sql", "x", "README.md", "x", "n.sql.bak", "x",
		),
		files("z.sql", ruleText("good", "", anyEvent)))
	var ids []string
	for _, r := range set.Rules {
		ids = append(ids, r.ID)
	}
	if got := strings.Join(ids, " "); got != "good good-too" {
		t.Errorf("loaded %q, want good and good-too", got)
	}
	want := []string{
		`t/b.sql:8:7: column "cmdline" does not exist`,
		`t/c.sql:4:4: unknown key "nope"`,
		`t/d.sql:2:12: the file has a NUL byte`,
		`t/e.sql:2:14: the file has bytes that are not UTF-8`,
		`t/f.sql: larger than 64 KiB`,
		`t/g.sql:4: no SELECT below the header`,
		`t/h.sql: the rule reads no event table`,
		`t/i.sql:4:16: dedup: column "exectable_path" is neither in the result nor in process_events (did you mean "executable_path"?)`,
		`t/j.sql:4:11: dedup: column "pid" is not in the result`,
		`t/k.sql`,
		`t/z.sql: id "good" is taken by t/a.sql`,
	}
	if len(set.Refused) != len(want) {
		t.Fatalf("%d files refused, want %d: %v", len(set.Refused), len(want), set.Refused)
	}
	for i, w := range want {
		if got := set.Refused[i].Error(); !strings.HasPrefix(got, w) {
			t.Errorf("refusal %d = %q, want %q…", i, got, w)
		}
	}
	if got, want := set.Refused[0].Problems[0].Caret(), "WHERE cmdline = 'x'\n      ^"; got != want {
		t.Errorf("caret = %q, want %q", got, want)
	}
	if set.Refused[0].Header.ID != "bad-column" {
		t.Errorf("the refusal does not name the rule: %+v", set.Refused[0].Header)
	}
}

func TestLoadDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("elsewhere/real.sql", ruleText("linked", "", anyEvent))
	write("elsewhere/tree/x.sql", ruleText("in-linked-dir", "", anyEvent))
	write("rules/own.sql", ruleText("own", "", anyEvent))
	write("rules/dir.sql/inner.sql", ruleText("in-dir", "", anyEvent))
	for _, l := range [][2]string{{"../elsewhere/real.sql", "rules/link.sql"}, {"../elsewhere/tree", "rules/tree"}, {".", "rules/circle"}, {"nowhere", "rules/dangling.sql"}} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Skip(err)
		}
	}
	set := Load(LoadConfig{}, Dir(filepath.Join(dir, "rules")), Dir(filepath.Join(dir, "missing")))
	for _, id := range []string{"linked", "in-linked-dir", "own", "in-dir"} {
		if set.Rule(id) == nil {
			t.Errorf("rule %s was not loaded", id)
		}
	}
	var circle, dangling, missing bool
	for _, r := range set.Refused {
		circle = circle || strings.HasSuffix(r.Error(), "rules/circle: links back to a directory that it is in")
		dangling = dangling || strings.HasSuffix(r.File, "rules/dangling.sql")
		missing = missing || strings.HasSuffix(r.File, "/missing")
	}
	if !circle || !dangling || !missing {
		t.Errorf("refused %v; want the circle, the dangling link and the missing directory", set.Refused)
	}

	one := Load(LoadConfig{}, Dir(filepath.Join(dir, "rules", "own.sql")))
	if len(one.Rules) != 1 || len(one.Refused) != 0 || one.Rules[0].File != filepath.Join(dir, "rules", "own.sql") {
		t.Errorf("one file: %+v, refused %v", one.Rules, one.Refused)
	}
}

// Each link that leads back is refused once, however many there are.
func TestLoadDoesNotGoInCircles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "r.sql"), []byte(ruleText("r", "", anyEvent)), 0o644); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"a": ".", "b": ".", "sub/up": "..", "sub/again": "../sub"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	set := Load(LoadConfig{}, Dir(dir))
	if len(set.Rules) != 1 || len(set.Refused) != len(links) {
		t.Errorf("%d rules, %d refusals, want 1 and %d: %v", len(set.Rules), len(set.Refused), len(links), set.Refused)
	}
}

func TestLoadLimitsDepth(t *testing.T) {
	set := Load(LoadConfig{MaxDepth: 2}, files("1/2/a.sql", ruleText("a", "", anyEvent), "1/2/3/b.sql", ruleText("b", "", anyEvent)))
	if len(set.Rules) != 1 || len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), "t/1/2/3: directories are nested more than 2 deep") {
		t.Errorf("%d rules, refused %v; want 1 and the third directory", len(set.Rules), set.Refused)
	}
}

// Links to one another, not back, multiply what is looked at; so do a million
// files that are no rules.
func TestLoadLimitsEntries(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.sql"), []byte(ruleText("own", "", anyEvent)), 0o644); err != nil {
		t.Fatal(err)
	}
	for level := range 5 {
		at := filepath.Join(dir, fmt.Sprintf("z%d", level))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := os.Symlink(fmt.Sprintf("../z%d", level+1), filepath.Join(at, fmt.Sprint(i))); err != nil {
				t.Skip(err)
			}
		}
	}
	set := Load(LoadConfig{MaxEntries: 500}, Dir(dir), files("z.sql", ruleText("next-source", "", anyEvent)))
	var said int
	for _, r := range set.Refused {
		if strings.Contains(r.Error(), "more than 500 directory entries") {
			said++
		}
	}
	if set.Rule("own") == nil || set.Rule("next-source") == nil || said != 1 || len(set.Refused) > 500 {
		t.Errorf("%d rules, %d refusals, of which %d say that there are too many entries; want 2, at most 500, 1", len(set.Rules), len(set.Refused), said)
	}
}

func TestLoadRefusesOddFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("device files")
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.sql")); err != nil {
		t.Fatal(err)
	}
	set := Load(LoadConfig{}, Dir(dir))
	if len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), "not a regular file") {
		t.Errorf("refused %v, want the device", set.Refused)
	}
}

func TestLoadLimitsFiles(t *testing.T) {
	var list []string
	for i := range 7 {
		list = append(list, fmt.Sprintf("%d.sql", i), ruleText(fmt.Sprintf("r%d", i), "", anyEvent))
	}
	set := Load(LoadConfig{MaxFiles: 5}, files(list...))
	if len(set.Rules) != 5 || len(set.Refused) != 1 || !strings.Contains(set.Refused[0].Error(), "more than 5 rule files") {
		t.Errorf("%d rules, refused %v; want 5 and one refusal", len(set.Rules), set.Refused)
	}
}

func TestRulesTable(t *testing.T) {
	set := Load(LoadConfig{}, files("a.sql", ruleText("a", "-- version: 3\n", anyEvent), "b.sql", "SELECT"))
	m := NewMatcher(set, MatcherConfig{})
	m.Match(eventBatch(5), testStart)
	b := event.NewBuilder(event.Lookup("rules"))
	set.AppendTo(b, m.Stats())
	batch := b.Batch()
	if batch.Rows != 2 {
		t.Fatalf("%d rows, want 2", batch.Rows)
	}
	for row, want := range []map[string]any{
		{"rule_id": "a", "version": "3", "file": "t/a.sql", "enabled": true, "mode": "stream", "evaluated": int64(5), "matched": int64(5), "error": nil, "sql": anyEvent},
		{"rule_id": nil, "file": "t/b.sql", "enabled": false, "mode": nil, "evaluated": int64(0), "error": set.Refused[0].Error()},
	} {
		for column, w := range want {
			if got := batch.Column(column).Value(row); got != w {
				t.Errorf("row %d %s = %v, want %v", row, column, got, w)
			}
		}
	}
	for i, c := range batch.Table.Columns {
		for row := range batch.Rows {
			if c.NotNull && batch.Columns[i].IsNull(row) {
				t.Errorf("rules.%s is NULL in row %d", c.Name, row)
			}
		}
	}
}

// Whatever stands in a rule file, it is refused with an error that a terminal
// can show, or it becomes a rule.
func FuzzParse(f *testing.F) {
	f.Add([]byte(ruleText("a", "-- dedup: pid\n", anyEvent)))
	f.Add([]byte(ruleText("a", "", "SELECT x FROM process_events")))
	f.Add([]byte("-- id: \x1b[2J\nSELECT \xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse("f.sql", data, sql.Config{})
		if (r == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", r, err)
		}
	})
}

func TestBuiltinFilesAreComplete(t *testing.T) {
	fsys := Builtin().FS
	names, err := fs.Glob(fsys, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		data, err := fs.ReadFile(fsys, n)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("\t")) || bytes.Contains(data, []byte("\r")) {
			t.Errorf("%s has tabs or carriage returns", n)
		}
	}
}

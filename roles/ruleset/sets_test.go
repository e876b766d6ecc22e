package ruleset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"daemoneye/rules"
)

// put keeps a set of the files of two directories, given as name, text….
func put(t *testing.T, dir string, before *Set, list ...string) *Set {
	t.Helper()
	first, second := fstest.MapFS{}, fstest.MapFS{}
	for i := 0; i < len(list); i += 2 {
		fsys, name := first, list[i]
		if rest, ok := strings.CutPrefix(name, "second/"); ok {
			fsys, name = second, rest
		}
		fsys[name] = &fstest.MapFile{Data: []byte(list[i+1]), Mode: 0o644}
	}
	sources := []rules.Source{{Name: "/a/", FS: first}, {Name: "/b/", FS: second}}
	r := NewRecorder(sources)
	set := rules.Load(rules.LoadConfig{Read: r.Read}, sources...)
	s := Describe(set, r, "test")
	s.Changes = s.Against(before)
	if err := Keep(dir, s, r); err != nil {
		t.Fatal(err)
	}
	return s
}

func rule(id, where string) string {
	return "-- id: " + id + "\n-- title: t\n-- severity: low\nSELECT pid FROM process_events WHERE " + where + "\n"
}

// A set that is read again is the one that was kept, rule by rule.
func TestSetsAreKept(t *testing.T) {
	dir := t.TempDir()
	one := put(t, dir, nil, "x.sql", rule("x", "pid = 1"), "sub/y.sql", rule("y", "pid = ANY(list('pids'))"), "lists/l.yaml", "name: pids\ntype: bigint\nvalues: [7]\n", "broken.sql", "-- id: z\nSELECT")
	two := put(t, dir, one, "x.sql", rule("x", "pid = 2"), "second/n.sql", rule("n", "pid = 3"), "broken.sql", "-- id: z\nSELECT")
	if one.Number != 1 || two.Number != 2 || len(one.Rules) != 2 || !slices.Equal(one.Refused, []string{"/a/broken.sql"}) {
		t.Errorf("sets %+v and %+v", one, two)
	}
	c := two.Changes
	if got, want := fmt.Sprintf("%s %s %s %s %d %d %d %d", c.Added.First[0].ID, c.Removed.First[0].ID, c.Changed.First[0].ID, c.Files.First[0].ID, c.Added.Count, c.Removed.Count, c.Changed.Count, c.Files.Count), "n y x /a/lists/l.yaml 1 1 1 1"; got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
	if e := c.Changed.First[0]; e.Was == e.Hash || len(e.Was) != 64 || len(e.Hash) != 64 {
		t.Errorf("hashes of what was changed: %+v", e)
	}
	list, err := List(dir)
	if err != nil || len(list) != 2 || list[0].Digest != one.Digest || list[1].Error != "" {
		t.Fatalf("List: %+v, %v", list, err)
	}
	s, sources, err := Read(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	again := rules.Load(rules.LoadConfig{}, sources...)
	if len(again.Rules) != 2 || len(again.Refused) != 1 || again.Rule("y") == nil || again.Rule("x").Hash != s.Rules[1].Hash || again.Rule("x").File != "/a/x.sql" {
		t.Errorf("loaded again: %+v", again)
	}
	if text, err := again.Rule("x").Text(); err != nil || text != rule("x", "pid = 1") {
		t.Errorf("its text: %q, %v", text, err)
	}
	if _, _, err := Read(dir, 3); !errors.Is(err, ErrNotExist) {
		t.Errorf("a set that is not there: %v", err)
	}
}

// The rules that come with the program are of no set.
func TestSetsHaveNoBuiltinRules(t *testing.T) {
	r := NewRecorder(nil)
	set := rules.Load(rules.LoadConfig{Read: r.Read}, rules.Builtin())
	if s := Describe(set, r, "test"); len(set.Rules) == 0 || len(s.Rules) > 0 || len(s.Others) > 0 {
		t.Errorf("%d rules, described as %+v", len(set.Rules), s)
	}
}

// The last ones stay; numbers go on.
func TestSetsArePruned(t *testing.T) {
	dir := t.TempDir()
	var last *Set
	for i := range MaxSets + 3 {
		last = put(t, dir, last, "x.sql", rule("x", fmt.Sprint("pid = ", i)))
	}
	list, err := List(dir)
	if err != nil || len(list) != MaxSets || list[0].Number != 4 || list[MaxSets-1].Number != MaxSets+3 {
		t.Errorf("%d sets, %v, want the last %d", len(list), err, MaxSets)
	}
}

// Nothing but the whole set is given back, whatever becomes of the file.
func TestDamagedSets(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, nil, "x.sql", rule("x", "pid = 1"), "y.sql", rule("y", "pid = 1"))
	path := setFile(dir, 1)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 3 {
		for _, bad := range [][]byte{good[:i], append(slices.Clone(good[:i]), append([]byte{good[i] ^ 0x10}, good[i+1:]...)...)} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if s, sources, err := Read(dir, 1); err == nil {
				if set := rules.Load(rules.LoadConfig{}, sources...); len(set.Rules) != 2 || len(set.Refused) > 0 || s.Number != 1 {
					t.Fatalf("byte %d of %d changed: read %+v, %d rules", i, len(good), s, len(set.Rules))
				}
			}
		}
	}
	if err := os.WriteFile(path, good[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := List(dir); err != nil || len(list) != 1 || !strings.Contains(list[0].Error, "set 1 is damaged") {
		t.Errorf("List: %+v, %v", list, err)
	}
	// What is beside them is no set.
	for _, name := range []string{"1.set", "x.set", "00000009.set.new"} {
		if err := os.WriteFile(filepath.Join(setsDir(dir), name), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := List(dir); err != nil || len(list) != 1 {
		t.Errorf("List: %+v, %v", list, err)
	}
}

// A set that is too large is not kept, and none is taken away for it.
func TestLargeSet(t *testing.T) {
	dir := t.TempDir()
	r := NewRecorder([]rules.Source{{Name: "/a/"}})
	for i := range 3 {
		r.Read("/a/", fmt.Sprint(i, ".sql"), make([]byte, MaxSetBytes/2))
		r.Read("builtin:", fmt.Sprint(i, ".sql"), make([]byte, MaxSetBytes))
	}
	if err := Keep(dir, &Set{}, r); err == nil || !strings.Contains(err.Error(), "more than 32 MiB") {
		t.Errorf("Keep: %v", err)
	}
	if list, err := List(dir); err != nil || len(list) != 0 {
		t.Errorf("List: %+v, %v", list, err)
	}
}

func TestRollbackFile(t *testing.T) {
	dir := t.TempDir()
	if r, err := ReadRollback(dir); r != nil || err != nil {
		t.Errorf("without a file: %v, %v", r, err)
	}
	want := Rollback{Set: 7, UID: 5}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadRollback(dir); err != nil || *r != want {
		t.Errorf("read %v, %v, want %v", r, err, want)
	}
	for _, text := range []string{"", "{", "null", "{}", "[]"} {
		if err := os.WriteFile(rollbackFile(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRollback(dir); err == nil {
			t.Errorf("%q: %v, want an error", text, r)
		}
	}
	for range 2 {
		if err := EndRollback(dir); err != nil {
			t.Error(err)
		}
	}
}

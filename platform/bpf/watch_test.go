package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// look says what the tables make of a path from a state on, as files.bpf.c reads
// them.
func look(raw []byte, state uint32, path string) uint16 {
	for name := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' }) {
		hash := uint64(0xcbf29ce484222325)
		for _, c := range []byte(name) {
			hash = (hash ^ uint64(c)) * 0x100000001b3
		}
		slot := uint32(hash) ^ uint32(hash>>32) ^ state*0x9e3779b1
		next := uint32(binary.LittleEndian.Uint16(raw[4*state:]))
		for range maxProbes {
			e := raw[edgesAt+16*(slot%maxEdges):]
			to := binary.LittleEndian.Uint32(e[12:])
			if to == 0 {
				break
			}
			if binary.LittleEndian.Uint64(e) == hash && binary.LittleEndian.Uint32(e[8:]) == state {
				next = to
				break
			}
			slot++
		}
		if state = next; state == 0 {
			return 0
		}
	}
	return binary.LittleEndian.Uint16(raw[4*state+2:])
}

// matches reports whether the first names of a path are those of a pattern.
func matches(pattern, path string) (rest int, ok bool) {
	names := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	want := strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' })
	if n := len(want); n > 0 && want[n-1] == "*" {
		want = want[:n-1]
	}
	if len(names) < len(want) {
		return 0, false
	}
	for i, name := range want {
		if name != "*" && name != names[i] {
			return 0, false
		}
	}
	return len(names) - len(want), true
}

// TestWatchTables: the tables say of any path what a comparison with each
// pattern does.
func TestWatchTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"a", "b", "c", "proc", "root", "task", "*"})
		pattern := rapid.Map(rapid.SliceOfN(name, 1, 5), func(names []string) string { return "/" + strings.Join(names, "/") })
		paths := rapid.SliceOfN(pattern, 0, 6).Draw(t, "paths")
		reads := rapid.SliceOfN(rapid.Map(pattern, func(s string) string { return s + "/c" }), 0, 6).Draw(t, "reads")
		w, err := watchTables(paths, reads, nil)
		if err != nil {
			t.Fatal(err)
		}
		plain := rapid.SampledFrom([]string{"a", "b", "c", "d", "root", "task"})
		for range 20 {
			path := "/" + strings.Join(rapid.SliceOfN(plain, 0, 8).Draw(t, "path"), "/")
			var want uint16
			for _, p := range paths {
				if _, ok := matches(p, path); ok {
					want |= watchChanges
				}
			}
			for _, p := range reads {
				if rest, ok := matches(p, path); ok && rest <= 1 {
					want |= watchReads
				}
			}
			if got := look(w.raw, root, path); got != want {
				t.Fatalf("%q is watched as %d, want %d; paths %q, reads %q", path, got, want, paths, reads)
			}
		}
	})
}

// TestWatchProcRoot: a path by way of a process's root is the path there.
func TestWatchProcRoot(t *testing.T) {
	w, err := watchTables([]string{"/etc"}, []string{"/etc/shadow"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint16{
		"/proc/self/root/etc/cron.d/x":             watchChanges,
		"/proc/4711/root/proc/1/root/etc/shadow":   watchChanges | watchReads,
		"/proc/4711/task/4712/root/etc/passwd":     watchChanges,
		"/proc/self/root/usr":                      0,
		"/proc/root/etc":                           0,
		"/etc" + strings.Repeat("/proc", 30):       watchChanges,
		"/etc/shadow" + strings.Repeat("/root", 2): watchChanges,
		"/": 0,
	} {
		if got := look(w.raw, root, path); got != want {
			t.Errorf("%q is watched as %d, want %d", path, got, want)
		}
	}
}

func TestWatchTablesRefuses(t *testing.T) {
	deep := strings.Repeat("/d", maxNames)
	if _, err := watchTables([]string{deep, "/", "//a//", "/*"}, []string{deep, "/home/*/x/*"}, nil); err != nil {
		t.Error(err)
	}
	many := make([]string, 2*maxStates)
	for i := range many {
		many[i] = fmt.Sprintf("/%d/x", i)
	}
	alike := make([]string, maxKeys)
	for i := range alike {
		alike[i] = fmt.Sprintf("/a/%d", i)
	}
	for _, c := range []struct {
		what         string
		paths, reads []string
	}{
		{"relative", []string{"etc"}, nil},
		{"empty", []string{""}, nil},
		{"deep", []string{deep + "/x"}, nil},
		{"long name", []string{"/" + strings.Repeat("x", 256)}, nil},
		{"..", []string{"/etc/../root"}, nil},
		{"NUL", []string{"/a\x00b"}, nil},
		{"part of a name", []string{"/etc/ssh*"}, nil},
		{"read of *", nil, []string{"/home/*/*"}},
		{"read of the root", nil, []string{"/"}},
		{"too many", many, nil},
		{"too many names", nil, alike},
		{"too many sets", []string{
			"/*/*/*/*/*/*/*/*/*/*/*/*/a", "/*/*/*/*/*/*/*/*/*/*/*/b", "/a/*/*/*/*/*/*/*/*/*/*/*/a", "/*/a/*/*/*/*/*/*/*/*/*/*/a",
			"/*/*/a/*/*/*/*/*/*/*/*/*/a", "/*/*/*/a/*/*/*/*/*/*/*/*/a", "/*/*/*/*/a/*/*/*/*/*/*/*/a", "/*/*/*/*/*/a/*/*/*/*/*/*/a",
			"/*/*/*/*/*/*/a/*/*/*/*/*/a", "/*/*/*/*/*/*/*/a/*/*/*/*/a", "/*/*/*/*/*/*/*/*/a/*/*/*/a", "/*/*/*/*/*/*/*/*/*/a/*/*/a", "/*/*/*/*/*/*/*/*/*/*/a/*/a",
		}, nil},
	} {
		if _, err := watchTables(c.paths, c.reads, nil); err == nil {
			t.Errorf("%s: no error", c.what)
		}
	}
}

// TestWatchMany: two thousand rules' prefixes have room.
func TestWatchMany(t *testing.T) {
	var paths []string
	for i := range 2000 {
		paths = append(paths, fmt.Sprintf("/srv/app%d/releases/*", i))
	}
	w, err := watchTables(paths[:1300], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := look(w.raw, root, "/srv/app1299/releases/a/b"); got != watchChanges {
		t.Errorf("watched as %d", got)
	}
	if slices.Contains(paths[:1300], "/srv/app1300/releases") || look(w.raw, root, "/srv/app1300/releases/a") != 0 {
		t.Error("a path is watched that is not named")
	}
}

// TestWatchProc: what of /proc stands for what the process has open.
func TestWatchProc(t *testing.T) {
	w, err := watchTables([]string{"/etc"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint16{
		"/proc/self/cwd": watchOwnDirectory | watchForeign, "/proc/thread-self/fd/3": watchOwnFile | watchForeign | watchOfThread, "/dev/fd/0": watchOwnFile,
		"/proc/1/cwd": watchForeign, "/proc/1/task/2/fd/3": watchForeign, "/proc/1/root/proc/self/cwd": watchOwnDirectory | watchForeign,
		"/proc/self/fd": 0, "/proc/self/exe": 0, "/proc/self/fdinfo/3": 0,
	} {
		if got := look(w.raw, root, path); got != want {
			t.Errorf("%q is watched as %d, want %d", path, got, want)
		}
	}
}

package rules

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFingerprint(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "a.sql")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sources := func() []Source {
		return []Source{Builtin(), Dir(dir), {Name: "none/", FS: os.DirFS(filepath.Join(dir, "none"))}}
	}
	last := Fingerprint(sources()...)
	step := func(what string, want bool, change func()) {
		t.Helper()
		change()
		now := Fingerprint(sources()...)
		if (now != last) != want {
			t.Errorf("%s: changed %t, want %t", what, now != last, want)
		}
		last = now
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	step("nothing", false, func() {})
	step("a new file", true, func() { write(file, "one"); must(os.Chtimes(file, at, at)) })
	step("its text", true, func() { write(file, "two") })
	step("its time set back", true, func() { must(os.Chtimes(file, at, at)) })
	step("another of the same size and time in its place", true, func() {
		write(file+".new", "six")
		must(os.Chtimes(file+".new", at, at))
		must(os.Rename(file+".new", file))
	})
	step("a hidden file", false, func() { write(filepath.Join(dir, ".a.sql.swp"), "x") })
	step("a link to a directory", true, func() { must(os.Symlink(other, filepath.Join(dir, "more"))) })
	step("a file there", true, func() { write(filepath.Join(other, "lists.yaml"), "x") })
	step("a link that leads back", true, func() { must(os.Symlink(dir, filepath.Join(other, "back"))) })
	step("a directory that can not be entered", true, func() { must(os.Chmod(other, 0)) })
	step("that can be again", true, func() { must(os.Chmod(other, 0o700)) })
	step("a file removed", true, func() { must(os.Remove(file)) })
	step("nothing at the end", false, func() {})
}

//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// told says what a function caused, in short, without the test's directory.
func (f *fileTest) told(do func() error) (list []string) {
	f.t.Helper()
	for _, e := range f.caused(func() {
		if err := do(); err != nil {
			f.t.Error(err)
		}
	}) {
		text := fmt.Sprintf("%s %s", e.File.Call, e.File.Path)
		if e.File.Target != "" {
			text += " " + e.File.Target
		}
		list = append(list, strings.ReplaceAll(text, f.dir, ""))
	}
	return list
}

// TestFilesMoved: what is watched can not be hidden by moving a directory above
// it, nor by a link in the place of one.
func TestFilesMoved(t *testing.T) {
	f := watchFiles(t, Config{})
	if err := errors.Join(f.source.Watch([]string{f.watched, f.dir + "/home/*/config/systemd"}, []string{f.dir + "/home/*/aws/key"}),
		os.MkdirAll(f.dir+"/home/u/config/systemd", 0o755), os.MkdirAll(f.dir+"/home/u/aws", 0o755),
		os.MkdirAll(f.dir+"/home/u/other/systemd", 0o755)); err != nil {
		t.Fatal(err)
	}
	f.caused(func() {})
	t.Chdir(f.dir + "/home/u")
	got := f.told(func() error {
		return errors.Join(
			unix.Rename("config", "hidden"),
			os.WriteFile("hidden/systemd/unit", nil, 0o600),                                       // which is not told
			unix.Renameat2(unix.AT_FDCWD, "hidden", unix.AT_FDCWD, "other", unix.RENAME_EXCHANGE), // nor this
			unix.Rename("other", "config"),
			unix.Renameat2(unix.AT_FDCWD, "config", unix.AT_FDCWD, "hidden", unix.RENAME_EXCHANGE),
			unix.Rename(f.dir+"/home", f.dir+"/away"), unix.Rename(f.dir+"/away", f.dir+"/home"),
			unix.Rename("aws", "gone"),
			os.Symlink("gone", "aws"),
			os.Symlink("..", "way"),
			os.Symlink("hidden", "way-of-no-interest"),
			unix.Rename("gone", "lost"),
		)
	})
	want := []string{
		"renameat /home/u/config /home/u/hidden",
		"renameat /home/u/other /home/u/config",
		"renameat2 /home/u/config /home/u/hidden",
		"renameat /home /away", "renameat /away /home",
		"renameat /home/u/aws /home/u/gone",
		"symlinkat /home/u/aws gone",
		"symlinkat /home/u/way ..",
	}
	for i := range got {
		got[i] = strings.Replace(strings.Replace(got[i], "rename ", "renameat ", 1), "symlink ", "symlinkat ", 1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

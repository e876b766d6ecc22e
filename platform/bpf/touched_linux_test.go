//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFilesByLinks: a path that leads through a symbolic link, or a mount, to
// what is watched is told as what it leads to.
func TestFilesByLinks(t *testing.T) {
	f := watchFiles(t, Config{})
	for _, limit := range f.source.Limits() {
		if strings.Contains(limit, "by way of a link") {
			t.Skip(limit)
		}
	}
	if err := errors.Join(os.Mkdir(f.dir+"/other", 0o755), os.Symlink(f.dir, f.dir+"/other/way"), os.Mkdir(f.watched+"/deep", 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(f.dir)
	f.caused(func() {})
	way, far := f.dir+"/other/way/watched", f.dir+"/other/way/other"
	all := func(dir string) func() error {
		return func() error {
			return errors.Join(
				os.WriteFile("other/file", nil, 0o600),
				unix.Rename("other/file", dir+"/new"),
				unix.Chmod(dir+"/new", 0o640),
				unix.Lchown(dir+"/new", os.Getuid(), os.Getgid()),
				unix.Setxattr(dir+"/new", "user.test", []byte("x"), 0),
				unix.Removexattr(dir+"/new", "user.test"),
				unix.Truncate(dir+"/new", 3),
				unix.Rename(dir+"/new", dir+"/file"),
				unix.Link(dir+"/file", dir+"/second"),
				unix.Unlink(dir+"/second"),
				unix.Mkdir(dir+"/made/", 0o755),
				unix.Rename(dir+"/made", dir+"/deep/made"),
				unix.Rmdir(dir+"/deep/made"),
				unix.Symlink("x", dir+"/link"),
				unix.Unlink(dir+"/link"),
				unix.Mknod(dir+"/fifo", unix.S_IFIFO|0o600, 0),
				unix.Unlink(dir+"/./fifo"),
				unix.Rename(dir+"/file", "other/file"),
				unix.Unlink("other/file"),
			)
		}
	}
	check := func(what string, do func() error, by, other string) {
		t.Helper()
		want := []string{
			"rename OTHER/file /watched/new by BY/new",
			"chmod /watched/new by BY/new",
			"lchown /watched/new by BY/new",
			"setxattr /watched/new by BY/new",
			"removexattr /watched/new by BY/new",
			"truncate /watched/new by BY/new",
			"rename /watched/new /watched/file by BY/new",
			"link /watched/second BY/file by BY/second",
			"unlink /watched/second by BY/second",
			"mkdir /watched/made by BY/made",
			"rename /watched/made /watched/deep/made by BY/made",
			"unlink /watched/deep/made by BY/deep/made",
			"symlink /watched/link x by BY/link",
			"unlink /watched/link by BY/link",
			"mknod /watched/fifo by BY/fifo",
			"unlink /watched/fifo by BY/fifo",
			"rename /watched/file OTHER/file by BY/file",
		}
		got := f.told(do)
		for i := range got {
			for _, c := range [][2]string{
				{"renameat ", "rename "},
				{"fchmodat ", "chmod "},
				{"fchownat ", "lchown "},
				{"linkat ", "link "},
				{"unlinkat ", "unlink "},
				{"rmdir ", "unlink "},
				{"mkdirat ", "mkdir "},
				{"symlinkat ", "symlink "},
				{"mknodat ", "mknod "},
			} {
				if rest, ok := strings.CutPrefix(got[i], c[0]); ok {
					got[i] = c[1] + rest
				}
			}
		}
		for i := range want {
			want[i] = strings.NewReplacer("BY", by, "OTHER", other).Replace(want[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check("link", all(way), "/other/way/watched", "/other")
	if err := os.Mkdir(f.dir+"/other/deep", 0o755); err != nil {
		t.Fatal(err)
	}
	if got := f.told(all(far)); got != nil {
		t.Errorf("by a link to what is not watched: %q", got)
	}
	other := exec.Command("sleep", "1000")
	other.Dir = f.watched
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	if err := os.WriteFile(f.dir+"/other/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cwd := fmt.Sprintf("/proc/%d/cwd", other.Process.Pid)
	check("working directory of another process", all(cwd), cwd, "/other")
	run := otherMounts(t)
	if err := errors.Join(os.Mkdir(f.dir+"/bound", 0o755), run(func() error { return unix.Mount(f.dir, f.dir+"/bound", "", unix.MS_BIND, "") })); err != nil {
		t.Fatal(err)
	}
	f.caused(func() {})
	check("mount", func() error {
		return run(func() error { // all in the mount: there is no rename from one to another
			return errors.Join(unix.Chdir(f.dir+"/bound"), all(f.dir+"/bound/watched")(), unix.Chdir("/"))
		})
	}, "/bound/watched", "/bound/other")
}

//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
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
		if e.File.Accessed != "" {
			text += " by " + e.File.Accessed
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

// TestFilesSetID: a file by which one becomes another user is told wherever it is.
func TestFilesSetID(t *testing.T) {
	f := watchFiles(t, Config{})
	t.Chdir(f.dir)
	if err := errors.Join(os.Mkdir("elsewhere", 0o755), os.Chdir("elsewhere"), os.WriteFile("file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("file", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	fchmodat2 := func(mode uint32) error {
		err := unix.Fchmodat(unix.AT_FDCWD, "file", mode, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.EOPNOTSUPP) { // before 6.6
			err = unix.Fchmodat(unix.AT_FDCWD, "file", mode, 0)
		}
		return err
	}
	openat2 := func(name string, mode uint64) error {
		fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY, Mode: mode})
		return errors.Join(err, unix.Close(fd))
	}
	for _, c := range []struct {
		what uint32
		do   func(special uint32, name string) error
	}{
		{FileChmod, func(mode uint32, _ string) error { return unix.Chmod("file", mode) }},
		{FileChmod, func(mode uint32, _ string) error { return unix.Fchmod(fd, mode) }},
		{FileChmod, func(mode uint32, _ string) error { return fchmodat2(mode) }},
		{FileCreate, func(mode uint32, name string) error { return opens(name, unix.O_CREAT|unix.O_RDWR, mode)() }},
		{FileCreate, func(mode uint32, name string) error { return openat2(name, uint64(mode)) }},
		{FileMknod, func(mode uint32, name string) error { return unix.Mknod(name, unix.S_IFREG|mode, 0) }},
	} {
		for i, mode := range []uint32{0o4700, 0o2711} {
			name := fmt.Sprintf("%p-%d", &c, i)
			if _, file := f.one(c.what, func() error { return c.do(mode, name) }); file.NewMode&0o7777 != mode || !strings.HasPrefix(file.Path, f.dir+"/elsewhere/") {
				t.Errorf("event %d: %+v, want mode %o", c.what, *file, mode)
			}
			_ = os.Remove(name)
		}
		for i, mode := range []uint32{0o755, 0o2644, 0o1777} {
			if got := f.told(func() error { return c.do(mode, fmt.Sprintf("plain-%d-%d", c.what, i)) }); got != nil {
				t.Errorf("mode %o: told %q", mode, got)
			}
			_ = os.Remove(fmt.Sprintf("plain-%d-%d", c.what, i))
		}
	}
	if got := f.told(func() error { return unix.Mkdir("directory", 0o2755) }); got != nil {
		t.Errorf("of a directory, which does not take the bit from mkdir: %q", got)
	}
}

// TestFilesByProc: what /proc shows of a process stands for that, in whatever
// way it is written.
func TestFilesByProc(t *testing.T) {
	f := watchFiles(t, Config{})
	if err := errors.Join(os.Mkdir(f.dir+"/other", 0o755), os.WriteFile(f.watched+"/file", nil, 0o600), os.WriteFile(f.dir+"/other/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	directory, err := unix.Open(f.watched, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(directory)
	file, err := unix.Open(f.watched+"/file", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	other, err := unix.Open(f.dir+"/other/file", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	t.Chdir(f.watched)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f.caused(func() {})
	got := f.told(func() error {
		return errors.Join(
			unix.Chmod("/proc/thread-self/cwd/file", 0o600),
			unix.Chmod("/proc/.//thread-self/cwd//../watched/file", 0o600),
			unix.Chmod(fmt.Sprintf("/proc/thread-self/fd/%d/file", directory), 0o600),
			unix.Chmod(fmt.Sprintf("/proc/thread-self/fd/%d", file), 0o600),
			unix.Chmod(fmt.Sprintf("/proc/thread-self/fd/%d", other), 0o600), // not watched
			unix.Chmod("/proc/thread-self/cwd/../other/file", 0o600),         // nor this
			unix.Rename(f.dir+"/other/file", fmt.Sprintf("/proc/thread-self/fd/%d/new", directory)),
			unix.Rename("/proc/thread-self/cwd/new", "/proc/thread-self/cwd/newer"),
			unix.Chmod(fmt.Sprintf("/proc/self/task/%d/cwd/file", unix.Gettid()), 0o600),
		)
	})
	want := []string{
		"chmod /watched/file", "chmod /watched/file", "chmod /watched/file", "chmod /watched/file",
		"rename /other/file /watched/new", "rename /watched/new /watched/newer",
		"chmod /proc/self/task/TID/cwd/file",
	}
	if !slices.ContainsFunc(f.source.Limits(), func(s string) bool { return strings.Contains(s, "by way of a link") }) {
		want[len(want)-1] = "chmod /watched/file by /proc/self/task/TID/cwd/file"
	}
	for i := range got {
		got[i] = strings.Replace(strings.Replace(got[i], "fchmodat ", "chmod ", 1), "renameat ", "rename ", 1)
		got[i] = regexp.MustCompile("/task/[0-9]+").ReplaceAllString(got[i], "/task/TID")
	}
	if !slices.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// A process's own are those of its first thread: of a test another one's may
	// have gone on.
	cmd := exec.Command("chmod", "600", "/proc/self/cwd/file", "/proc/self/fd/3/file", "/dev/fd/4")
	cmd.Dir, cmd.ExtraFiles = f.watched, []*os.File{reopen(t, directory), reopen(t, file)}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got = nil
	for _, e := range f.until(t, exitOf(cmd.Process.Pid)) {
		if e.File != nil && int(e.PID) == cmd.Process.Pid {
			got = append(got, e.File.Path)
		}
	}
	if want := slices.Repeat([]string{f.watched + "/file"}, 3); !slices.Equal(got, want) {
		t.Errorf("chmod of %q, want %q", got, want)
	}
	t.Chdir(f.dir)
}

// reopen returns a file for another descriptor of the same.
func reopen(t *testing.T, fd int) *os.File {
	t.Helper()
	again, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(again), "")
	t.Cleanup(func() { _ = file.Close() })
	return file
}

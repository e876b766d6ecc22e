//go:build amd64 || arm64

package bpf

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// otherMounts returns what runs a function in a mount namespace of its own,
// always in the same thread.
func otherMounts(t *testing.T) (run func(func() error) error) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounts are root's")
	}
	work, done := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread() // and end with the goroutine
		for f := range work {
			done <- f()
		}
	}()
	t.Cleanup(func() { close(work) })
	run = func(f func() error) error {
		work <- f
		return <-done
	}
	if err := run(func() error {
		return errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	}); err != nil {
		t.Fatal(err)
	}
	return run
}

// TestFilesByOtherMounts: whatever the mount is by which a file is reached, it
// is the one that is watched.
func TestFilesByOtherMounts(t *testing.T) {
	f := watchFiles(t, Config{})
	if err := errors.Join(os.MkdirAll(f.watched+"/deep", 0o755), os.Mkdir(f.dir+"/secrets", 0o755), os.Mkdir(f.dir+"/bound", 0o755),
		os.Mkdir(f.dir+"/sub", 0o755), os.Mkdir(f.dir+"/moved", 0o755), os.WriteFile(f.watched+"/file", nil, 0o600),
		os.WriteFile(f.watched+"/deep/file", nil, 0o600), os.WriteFile(f.dir+"/secrets/token", nil, 0o600), os.WriteFile(f.dir+"/plain", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	run := otherMounts(t)
	f.caused(func() {})
	tree := -1
	for _, c := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"bind mount", func() error {
			if err := unix.Mount(f.watched, f.dir+"/bound", "", unix.MS_BIND, ""); err != nil {
				return err
			}
			return opens(f.dir+"/bound/file", unix.O_WRONLY, 0)()
		}, []string{"openat /watched/file by /bound/file"}},
		{"mode of an open file", func() error {
			fd, err := unix.Open(f.dir+"/bound/file", unix.O_RDONLY, 0)
			return errors.Join(err, unix.Fchmod(fd, 0o600), unix.Close(fd))
		}, []string{"fchmod /watched/file by /bound/file"}},
		{"working directory", func() error {
			return errors.Join(unix.Chdir(f.dir+"/bound"), unix.Mkdir("made", 0o755), unix.Rename("./made", "deep/../deep/made"),
				unix.Mkdir("../of-no-interest", 0o755), unix.Chdir("/"))
		}, []string{
			"mkdirat /watched/made by /bound/made", "renameat /watched/made /watched/deep/made by /bound/made",
		}},
		{"part of what is watched", func() error {
			return errors.Join(unix.Mount(f.watched+"/deep", f.dir+"/sub", "", unix.MS_BIND, ""), opens(f.dir+"/sub/file", unix.O_WRONLY, 0)(),
				unix.Chdir(f.dir+"/sub"), unix.Mkdir("../nothing", 0o755), unix.Rmdir("./made/.."+"/made"), unix.Chdir("/"))
		}, []string{"openat /watched/deep/file by /sub/file", "unlinkat /watched/deep/made by /sub/made"}},
		{"secret file", func() error {
			return errors.Join(unix.Mount(f.dir+"/secrets/token", f.dir+"/plain", "", unix.MS_BIND, ""), opens(f.dir+"/plain", unix.O_RDONLY, 0)())
		}, []string{"openat /secrets/token by /plain"}},
		{"detached mount", func() (err error) {
			if tree, err = unix.OpenTree(unix.AT_FDCWD, f.watched, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
				return err
			}
			fd, err := unix.Openat(tree, "file", unix.O_WRONLY, 0)
			return errors.Join(err, unix.Close(fd), unix.Mkdirat(tree, "made", 0o755), unix.Renameat(tree, "made", tree, "new"))
		}, []string{"openat /watched/file by /file", "mkdirat /watched/made by /made", "renameat /watched/made /watched/new by /made"}},
		{"moved mount", func() error {
			return errors.Join(unix.MoveMount(tree, "", unix.AT_FDCWD, f.dir+"/moved", unix.MOVE_MOUNT_F_EMPTY_PATH), unix.Close(tree),
				opens(f.dir+"/moved/file", unix.O_WRONLY, 0)())
		}, []string{"openat /watched/file by /moved/file"}},
	} {
		got := f.told(func() error { return run(c.do) })
		for i := range got {
			for _, call := range []string{"mkdir", "rename", "open"} {
				got[i] = strings.Replace(got[i], call+" ", call+"at ", 1)
			}
			got[i] = strings.Replace(got[i], "rmdir ", "unlinkat ", 1)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told\n%s\nwant\n%s", c.what, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestFilesRemount: a file system that is mounted where something is watched is
// taken up.
func TestFilesRemount(t *testing.T) {
	f := watchFiles(t, Config{})
	run := otherMounts(t)
	disk := f.dir + "/disk"
	if err := errors.Join(f.source.Watch([]string{f.watched, disk + "/*/keys"}, nil), os.Mkdir(disk, 0o755), os.Mkdir(f.dir+"/bound", 0o755),
		unix.Mount("tmpfs", disk, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	if err := errors.Join(os.MkdirAll(disk+"/ana/keys", 0o755), f.source.Remount()); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, disk, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	f.caused(func() {})
	got := f.told(func() error {
		return run(func() error {
			return errors.Join(unix.MoveMount(fd, "", unix.AT_FDCWD, f.dir+"/bound", unix.MOVE_MOUNT_F_EMPTY_PATH),
				opens(f.dir+"/bound/ana/keys/new", unix.O_WRONLY|unix.O_CREAT, 0o600)())
		})
	})
	if want := []string{"openat /disk/ana/keys/new by /bound/ana/keys/new"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

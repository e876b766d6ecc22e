//go:build amd64 || arm64

package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileTest is a directory in which watched is watched, and a source that tells
// of it.
type fileTest struct {
	*recorder
	t       *testing.T
	dir     string // with no symbolic link
	watched string
	marks   int
	seen    int
}

func watchFiles(t *testing.T, config Config) *fileTest {
	t.Helper()
	s := open(t, config)
	for _, limit := range s.Limits() {
		if strings.HasPrefix(limit, "files") {
			t.Skip(limit)
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fileTest{t: t, dir: dir, watched: dir + "/watched"}
	if err := errors.Join(os.Mkdir(f.watched, 0o755), s.Want(Files, AllFiles), s.Watch([]string{f.watched}, []string{dir + "/secrets", dir + "/*/key"})); err != nil {
		t.Fatal(err)
	}
	f.recorder = record(t, s)
	return f
}

// caused returns what a function did, by this process.
func (f *fileTest) caused(do func()) []Event {
	f.t.Helper()
	do()
	f.marks++
	mark := fmt.Sprintf("%s/mark-%d", f.watched, f.marks)
	if err := os.Mkdir(mark, 0o755); err != nil {
		f.t.Fatal(err)
	}
	all := f.until(f.t, func(e *Event) bool { return e.File != nil && e.File.Path == mark })
	list := all[f.seen : len(all)-1]
	f.seen = len(all)
	return slices.DeleteFunc(slices.Clone(list), func(e Event) bool { return e.Kind != Files || int(e.PID) != os.Getpid() })
}

// one returns the only event that a function caused.
func (f *fileTest) one(what uint32, do func() error) (Event, *File) {
	f.t.Helper()
	list := f.caused(func() {
		if err := do(); err != nil {
			f.t.Errorf("event %d: %v", what, err)
		}
	})
	if len(list) != 1 || list[0].What != what {
		for _, e := range list {
			f.t.Logf("event %d: %+v", e.What, *e.File)
		}
		f.t.Fatalf("%d events, want one, %d", len(list), what)
	}
	return list[0], list[0].File
}

// opens opens a file and closes it.
func opens(path string, flags int, mode uint32) func() error {
	return func() error {
		fd, err := unix.Open(path, flags, mode)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

func TestFiles(t *testing.T) {
	f := watchFiles(t, Config{})
	t.Chdir(f.dir)
	path := f.watched + "/file"

	t.Run("create", func(t *testing.T) {
		e, file := f.one(FileCreate, opens("watched/./file", unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL, 0o640))
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		if file.Path != path || !file.Resolved || file.Errno != 0 || file.Inode != st.Ino || file.Device != st.Dev || file.Mode != st.Mode ||
			file.Owner != st.Uid || file.Group != st.Gid || file.NewMode != 0o640 || file.Flags&^unix.O_LARGEFILE != unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL {
			t.Errorf("created %+v, want %q, %+v", *file, path, st)
		}
		if created, known := file.Created(e.What); !created || !known {
			t.Errorf("created: %v, known: %v", created, known)
		}
		if e.PPID != int32(os.Getppid()) || e.Name != comm(t) {
			t.Errorf("of %q, child of %d, want %q and %d", e.Name, e.PPID, comm(t), os.Getppid())
		}
	})
	t.Run("write", func(t *testing.T) {
		e, file := f.one(FileWrite, opens(path, unix.O_CREAT|unix.O_RDWR, 0o600))
		if created, known := file.Created(e.What); file.Path != path || created || !known {
			t.Errorf("%+v, created %v, known %v", *file, created, known)
		}
		if _, file := f.one(FileWrite, opens(path, unix.O_TRUNC, 0)); file.Path != path {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("openat2", func(t *testing.T) {
		_, file := f.one(FileWrite, func() error {
			fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_APPEND})
			return errors.Join(err, unix.Close(fd))
		})
		if file.Call != "openat2" || file.Path != path || file.Flags != unix.O_WRONLY|unix.O_APPEND {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("by way of a link", func(t *testing.T) {
		// The link leads into a watched directory, so it is told itself.
		e, file := f.one(FileSymlink, func() error { return os.Symlink(f.watched, f.dir+"/way") })
		if file.Path != f.dir+"/way" || file.Target != f.watched || file.Resolved {
			t.Errorf("%d: %+v", e.What, *file)
		}
		if _, file := f.one(FileWrite, opens("way/file", unix.O_WRONLY, 0)); file.Path != path || !file.Resolved {
			t.Errorf("%+v", *file)
		}
		_, file = f.one(FileSymlink, func() error { return os.Symlink("watched/file", f.dir+"/relative") })
		if file.Path != f.dir+"/relative" || file.Target != "watched/file" {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("directory's descriptor", func(t *testing.T) {
		fd, err := unix.Open(f.watched, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if _, file := f.one(FileMkdir, func() error { return unix.Mkdirat(fd, "made", 0o711) }); file.Path != f.watched+"/made" || file.NewMode != 0o711 {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileChmod, func() error { return unix.Fchmodat(fd, "made", 0o700, 0) }); file.Path != f.watched+"/made" || file.NewMode != 0o700 {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileDelete, func() error { return unix.Unlinkat(fd, "../watched/made", unix.AT_REMOVEDIR) }); file.Path != f.watched+"/made" || file.Flags != unix.AT_REMOVEDIR {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileChown, func() error { return unix.Fchownat(fd, "", -1, os.Getgid(), unix.AT_EMPTY_PATH) }); file.Path != f.watched || !file.Resolved || file.NewOwner != NoID || file.NewGroup != uint32(os.Getgid()) {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("change", func(t *testing.T) {
		for _, c := range []struct {
			what uint32
			do   func() error
		}{
			{FileTruncate, func() error { return unix.Truncate(path, 3) }},
			{FileChmod, func() error { return unix.Chmod(path, 0o4755) }},
			{FileChown, func() error { return unix.Lchown(path, os.Getuid(), os.Getgid()) }},
			{FileSetxattr, func() error { return unix.Setxattr(path, "user.test", []byte("x"), 0) }},
			{FileRemovexattr, func() error { return unix.Removexattr(path, "user.test") }},
		} {
			_, file := f.one(c.what, c.do)
			if file.Path != path || file.Resolved || file.HasFile {
				t.Errorf("event %d: %+v", c.what, *file)
			}
			if c.what == FileChmod && file.NewMode != 0o4755 || (c.what == FileSetxattr || c.what == FileRemovexattr) != (file.Attribute == "user.test") {
				t.Errorf("event %d: %+v", c.what, *file)
			}
		}
	})
	t.Run("change of an open file", func(t *testing.T) {
		fd, err := unix.Open(path, unix.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		f.caused(func() {})
		for _, c := range []struct {
			what uint32
			do   func() error
		}{
			{FileTruncate, func() error { return unix.Ftruncate(fd, 5) }},
			{FileChmod, func() error { return unix.Fchmod(fd, 0o600) }},
			{FileChown, func() error { return unix.Fchown(fd, os.Getuid(), -1) }},
			{FileSetxattr, func() error { return unix.Fsetxattr(fd, "user.test", []byte("x"), 0) }},
			{FileRemovexattr, func() error { return unix.Fremovexattr(fd, "user.test") }},
		} {
			if _, file := f.one(c.what, c.do); file.Path != path || !file.Resolved || file.Inode == 0 {
				t.Errorf("event %d: %+v", c.what, *file)
			}
		}
	})
	t.Run("names", func(t *testing.T) {
		other := f.dir + "/other"
		if _, file := f.one(FileLink, func() error { return unix.Link(path, other) }); file.Path != other || file.Target != path {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileRename, func() error { return unix.Rename(other, f.watched+"/new") }); file.Path != other || file.Target != f.watched+"/new" {
			t.Errorf("%+v", *file)
		}
		_, file := f.one(FileRename, func() error {
			return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, f.watched+"/new", unix.RENAME_EXCHANGE)
		})
		if file.Path != path || file.Target != f.watched+"/new" || file.Flags != unix.RENAME_EXCHANGE {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileDelete, func() error { return unix.Unlink(f.watched + "/new") }); file.Path != f.watched+"/new" {
			t.Errorf("%+v", *file)
		}
		if _, file := f.one(FileMknod, func() error { return unix.Mknod(f.watched+"/fifo", unix.S_IFIFO|0o600, 0) }); file.NewMode != unix.S_IFIFO|0o600 {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("without a name", func(t *testing.T) {
		fd := -1
		e, file := f.one(FileCreate, func() (err error) {
			fd, err = unix.Open(f.watched, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
			return err
		})
		defer unix.Close(fd)
		if created, known := file.Created(e.What); !strings.HasPrefix(file.Path, f.watched+"/#") || !created || !known {
			t.Errorf("%+v", *file)
		}
	})
	t.Run("read", func(t *testing.T) {
		list := f.caused(func() {
			for _, dir := range []string{"/secrets", "/secrets/deeper", "/x"} {
				if err := os.Mkdir(f.dir+dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"secrets/token", "secrets/deeper/token", "x/key", "x/keys", "key"} {
				if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := os.ReadFile(name); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.ReadDir("secrets"); err != nil {
				t.Fatal(err)
			}
		})
		var got []string
		for _, e := range list {
			if e.What == FileRead {
				got = append(got, strings.TrimPrefix(e.File.Path, f.dir))
			}
		}
		if want := []string{"/secrets/token", "/x/key"}; !slices.Equal(got, want) || len(list) != len(want) {
			t.Errorf("reads of %q among %d events, want %q", got, len(list), want)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		list := f.caused(func() {
			_ = os.WriteFile(f.dir+"/x/unwatched", nil, 0o600)
			_ = os.Rename(f.dir+"/x/unwatched", f.dir+"/x/watched-not")
			_ = os.Chmod(f.dir+"/x/watched-not", 0o600)
			_ = os.Remove(f.dir + "/x/watched-not")
			_, _ = os.ReadFile(f.watched + "/new")         // a read of what is not secret
			_, _ = unix.Open(f.watched, unix.O_PATH, 0)    // no access
			_ = unix.Unlink(f.watched + "/does-not-exist") // ENOENT
			_ = os.WriteFile(f.watched+"/../elsewhere", nil, 0o600)
			_ = os.Remove(f.watched + "/../elsewhere")
		})
		if len(list) != 0 {
			t.Errorf("%d events, the first: %+v", len(list), *list[0].File)
		}
	})
	t.Run("hostile names", func(t *testing.T) {
		name := "\xff\x01 \u202e\n" + strings.Repeat("x", 240)
		_, file := f.one(FileCreate, opens(f.watched+"/"+name, unix.O_CREAT|unix.O_WRONLY, 0o600))
		if file.Path != f.watched+"/"+name {
			t.Errorf("%+v", *file)
		}
		deep := strings.Repeat("/"+strings.Repeat("d", 200), 30)
		f.caused(func() { makeDeep(t, f.watched, 30) })
		list := f.caused(func() {
			// Relative, since no path of 6,000 bytes can be passed.
			if err := opens("last", unix.O_CREAT|unix.O_WRONLY, 0o600)(); err != nil {
				t.Error(err)
			}
			if err := unix.Unlink("last"); err != nil {
				t.Error(err)
			}
		})
		if len(list) != 2 {
			t.Fatalf("%d events", len(list))
		}
		for _, e := range list {
			whole := f.watched + deep + "/last"
			end, ok := strings.CutPrefix(e.File.Path, "…")
			if !ok || !e.File.PathCut || !strings.HasSuffix(whole, end) || len(end) < 3000 {
				t.Errorf("path of %d bytes, cut %v", len(e.File.Path), e.File.PathCut)
			}
		}
		t.Chdir(f.dir)
	})
}

// makeDeep makes directories and goes there.
func makeDeep(t *testing.T, dir string, levels int) {
	t.Helper()
	t.Chdir(dir)
	name := strings.Repeat("d", 200)
	for range levels {
		if err := errors.Join(unix.Mkdir(name, 0o755), unix.Chdir(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func comm(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// TestFilesRefused: what is refused is told, by another user.
func TestFilesRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root is somebody else")
	}
	f := watchFiles(t, Config{})
	if err := errors.Join(os.Chmod(f.dir, 0o755), os.Chmod(filepath.Dir(f.dir), 0o755), os.Mkdir(f.dir+"/secrets", 0o755),
		os.WriteFile(f.dir+"/secrets/token", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	list := f.caused(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and end with the goroutine
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1234, 1234, 1234); errno != 0 {
				t.Error(errno)
				return
			}
			_, _ = unix.Open(f.watched+"/new", unix.O_CREAT|unix.O_WRONLY, 0o600)
			_, _ = unix.Open(f.dir+"/secrets/token", unix.O_RDONLY, 0)
			_ = unix.Chmod(f.watched, 0o777)
			_ = unix.Unlink(f.watched + "/../watched")
		}()
		<-done
	})
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%d %d %s", e.What, e.File.Errno, strings.TrimPrefix(e.File.Path, f.dir)))
		if created, known := e.File.Created(e.What); created || !known || e.File.Resolved {
			t.Errorf("%+v: created %v, known %v", *e.File, created, known)
		}
	}
	want := []string{
		fmt.Sprintf("%d %d /watched/new", FileWrite, unix.EACCES), fmt.Sprintf("%d %d /secrets/token", FileRead, unix.EACCES),
		fmt.Sprintf("%d %d /watched", FileChmod, unix.EPERM), fmt.Sprintf("%d %d /watched", FileDelete, unix.EACCES),
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestFilesChroot: an absolute path counts from the process's root, and .. does
// not leave it.
func TestFilesChroot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("chroot is root's")
	}
	f := watchFiles(t, Config{})
	list := f.caused(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and end with the goroutine
			if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chroot(f.watched), unix.Mkdir("/../../made", 0o755), opens("/file", unix.O_CREAT, 0o600)()); err != nil {
				t.Error(err)
			}
		}()
		<-done
	})
	if len(list) != 2 || list[0].File.Path != f.watched+"/made" || list[1].File.Path != f.watched+"/file" {
		t.Errorf("%d events: %+v", len(list), list)
	}
}

// TestFilesUnread: a path that is gone from the process's memory when the call
// ends does not hide the call.
func TestFilesUnread(t *testing.T) {
	f := watchFiles(t, Config{})
	path := f.dir + "/holds-its-path"
	if err := os.WriteFile(path, []byte(path+"\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(page) }()
	_, cut := f.one(FileTruncate, func() error {
		if _, _, errno := unix.Syscall(unix.SYS_TRUNCATE, uintptr(unsafe.Pointer(&page[0])), 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
	if cut.Path != "" || cut.Call != "truncate" {
		t.Errorf("%+v", *cut)
	}
}

// TestFilesOf32Bits: calls of a 32-bit program are told.
func TestFilesOf32Bits(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("there is no 32-bit program for this machine")
	}
	f := watchFiles(t, Config{})
	program := build(t, "files32", "-m32", "-nostdlib", "-fno-pie", "-fno-stack-protector", "-fno-builtin")
	cmd := exec.Command(program)
	cmd.Dir = f.watched
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range f.until(t, exitOf(cmd.Process.Pid)) {
		if e.File != nil && int(e.PID) == cmd.Process.Pid {
			got = append(got, e.File.Call+" "+e.File.Path+" "+strconv.FormatUint(uint64(e.File.NewMode), 8))
		}
	}
	want := []string{"open " + f.watched + "/a 640", "rename " + f.watched + "/a 0", "mkdir " + f.watched + "/c 755", "rmdir " + f.watched + "/c 0"}
	if !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// TestWatch: what is watched can be changed at any time.
func TestWatch(t *testing.T) {
	f := watchFiles(t, Config{})
	for i := range 20 {
		watched := fmt.Sprintf("%s/now-%d", f.dir, i)
		if err := f.source.Watch([]string{f.watched, watched}, nil); err != nil {
			t.Fatal(err)
		}
		list := f.caused(func() {
			for k := range 20 {
				if err := os.MkdirAll(fmt.Sprintf("%s/now-%d", f.dir, k), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(fmt.Sprintf("%s/now-%d", f.dir, k), 0o700); err != nil {
					t.Fatal(err)
				}
			}
		})
		list = slices.DeleteFunc(list, func(e Event) bool { return e.What == FileMkdir })
		if len(list) != 1 || list[0].File.Path != watched {
			t.Fatalf("%d events, want one of %q", len(list), watched)
		}
	}
	if err := f.source.Watch([]string{"relative"}, nil); err == nil {
		t.Error("a relative path is watched")
	}
	if err := f.source.Want(Files, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.watched, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.source.Want(Files, AllFiles); err != nil {
		t.Fatal(err)
	}
	if list := f.caused(func() {}); len(list) != 0 {
		t.Errorf("%d events that were not wanted", len(list))
	}
}

// TestFileLosses: in a storm of them and with a ring that is too small, what was
// received and what is counted as lost is what was sent.
func TestFileLosses(t *testing.T) {
	s := open(t, Config{RingBytes: 16 << 10})
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Want(Files, AllFiles), s.Watch([]string{dir}, nil)); err != nil {
		t.Skip(err)
	}
	const count = 3000
	for range count {
		if err := errors.Join(unix.Mkdir(dir+"/x", 0o755), unix.Rmdir(dir+"/x")); err != nil {
			t.Fatal(err)
		}
	}
	record(t, s)
	for range 1000 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
		stats, err := s.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if sent := stats.Sent[Files]; sent >= 2*count && sent == stats.Received[Files]+stats.Lost[Files] && stats.Lost[Files] > 0 && stats.Malformed == 0 {
			t.Logf("%d sent, %d lost", sent, stats.Lost[Files])
			return
		}
	}
	stats, err := s.Stats()
	t.Errorf("%+v, %v: want Sent = Received + Lost", stats, err)
}

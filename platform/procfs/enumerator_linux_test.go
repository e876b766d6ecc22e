package procfs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newTestEnumerator(t *testing.T, c Config) *Enumerator {
	t.Helper()
	e, err := NewEnumerator(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func scan(t *testing.T, e *Enumerator) *Snapshot {
	t.Helper()
	s, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Err != nil {
		t.Errorf("%d errors, the first: %v", s.Errors, s.Err)
	}
	return s
}

func TestScanSelf(t *testing.T) {
	t.Setenv("X", "1")
	e := newTestEnumerator(t, Config{Environment: true})
	s := scan(t, e)
	p := s.Find(int32(os.Getpid()))
	if p == nil {
		t.Fatal("the scan does not have its own process")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(exe, &st); err != nil {
		t.Fatal(err)
	}
	if p.Executable != exe || p.CWD != cwd || p.ExecutableID.Inode != st.Ino || p.ExecutableID.Device != st.Dev || p.ExecutableID.Size != st.Size || p.FileExists != Exists {
		t.Errorf("executable %q (%+v, %v), cwd %q; want %q, %q", p.Executable, p.ExecutableID, p.FileExists, p.CWD, exe, cwd)
	}
	if !p.Accessible || !p.HasStat || !p.HasStatus || p.KernelThread || p.PPID != int32(os.Getppid()) || p.UID[0] != uint32(os.Getuid()) || p.GID[1] != uint32(os.Getegid()) {
		t.Errorf("process = %+v", p)
	}
	if p.ExecutableMode != st.Mode || p.ExecutableOwner != st.Uid || p.ExecutableGroup != st.Gid {
		t.Errorf("mode %o of %d:%d, want %o of %d:%d", p.ExecutableMode, p.ExecutableOwner, p.ExecutableGroup, st.Mode, st.Uid, st.Gid)
	}
	login := strconv.FormatUint(uint64(p.LoginUID), 10)
	if want, err := os.ReadFile("/proc/self/loginuid"); err == nil && string(want) != login {
		t.Errorf("login uid %s, want %s", login, want)
	}
	if args := SplitArgs(p.Cmdline); len(args) != len(os.Args) || args[0] != os.Args[0] {
		t.Errorf("arguments = %q, want %q", args, os.Args)
	}
	for name, got := range map[string]uint64{"mnt": p.Namespaces.Mnt, "pid": p.Namespaces.PID, "user": p.Namespaces.User} {
		link, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := ParseNamespaceLink([]byte(link)); got != want {
			t.Errorf("namespace %s = %d, want %d", name, got, want)
		}
	}
	if !p.EnvironKnown || len(SplitEnviron(p.Environ)) == 0 {
		t.Error("the environment was asked for and is not known")
	}
	// The start, from the boot clock, agrees with the wall clock of now.
	if age := time.Since(p.Started); age < 0 || age > time.Hour {
		t.Errorf("started %v, %v ago", p.Started, age)
	}
	if p.Parent == nil || p.Parent.PID != p.PPID || s.Find(1) == nil {
		t.Error("the parent or process 1 is missing")
	}
	if p.EntityID != EntityID(e.BootID(), p.PID, p.StartTicks) {
		t.Error("the identity is not that of EntityID")
	}
}

// The boot clock's start of this process agrees with /proc/stat's btime, which
// has whole seconds.
func TestStartTimeAgreesWithBootTime(t *testing.T) {
	p := scan(t, newTestEnumerator(t, Config{})).Find(int32(os.Getpid()))
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		rest, ok := bytes.CutPrefix(line, []byte("btime "))
		if !ok {
			continue
		}
		btime, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Unix(btime, 0).Add(time.Duration(p.StartTicks) * (time.Second / TicksPerSecond))
		if d := p.Started.Sub(want).Abs(); d > 2*time.Second {
			t.Errorf("started %v, by btime %v", p.Started, want)
		}
		return
	}
	t.Skip("no btime in /proc/stat")
}

func TestKernelThreads(t *testing.T) {
	s := scan(t, newTestEnumerator(t, Config{}))
	found := 0
	for _, p := range s.Processes {
		if p.KernelThread {
			found++
			if p.Cmdline != "" || p.Executable != "" || p.FileExists != ExistenceUnknown {
				t.Errorf("kernel thread %d has an image: %q", p.PID, p.Executable)
			}
		}
	}
	p := s.Find(2)
	if p == nil || p.Name != "kthreadd" {
		if found > 0 {
			t.Errorf("%d kernel threads where process 2 is none", found)
		}
		t.Skip("this pid namespace has no kernel threads")
	}
	if !p.KernelThread || found < 2 {
		t.Errorf("kthreadd = %+v, %d kernel threads", p, found)
	}
}

// An identical process in the next scan keeps its identity and start; what it
// did in between is seen although it sleeps in both.
func TestScanAgain(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", "echo; read x; cd '"+dir+"'; echo; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := startGroup(t, cmd)
	e := newTestEnumerator(t, Config{})
	first := scan(t, e).Find(int32(cmd.Process.Pid))
	quiet := scan(t, e).Find(int32(cmd.Process.Pid))
	if first == quiet || first.EntityID != quiet.EntityID || !first.Started.Equal(quiet.Started) || quiet.Cmdline != first.Cmdline || quiet.Namespaces != first.Namespaces {
		t.Errorf("the same process twice: %+v and %+v", first, quiet)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if moved := scan(t, e).Find(int32(cmd.Process.Pid)); moved.CWD != dir {
		t.Errorf("cwd = %q, want %q", moved.CWD, dir)
	}
}

func TestCommandLineLimit(t *testing.T) {
	cmd := exec.Command("sh", "-c", "echo; read x", strings.Repeat("a", 1000))
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	startGroup(t, cmd)
	p := scan(t, newTestEnumerator(t, Config{MaxCommandLine: 100})).Find(int32(cmd.Process.Pid))
	if len(p.Cmdline) != 100 || !p.CmdlineTruncated || !strings.HasPrefix(p.Cmdline, "sh\x00-c\x00") {
		t.Errorf("command line %q, truncated %v", p.Cmdline, p.CmdlineTruncated)
	}
	if whole := scan(t, newTestEnumerator(t, Config{})).Find(int32(cmd.Process.Pid)); whole.CmdlineTruncated || len(whole.Cmdline) < 1000 {
		t.Errorf("command line of %d bytes, truncated %v", len(whole.Cmdline), whole.CmdlineTruncated)
	}
}

// Processes that come and go while a scan runs are counted, and are no errors.
func TestScanDuringForks(t *testing.T) {
	startGroup(t, exec.Command("sh", "-c", "echo; while :; do /bin/true; done"))
	e := newTestEnumerator(t, Config{})
	for range 50 {
		s := scan(t, e)
		for i := 1; i < len(s.Processes); i++ {
			if s.Processes[i-1].PID >= s.Processes[i].PID {
				t.Fatal("processes are not ordered by pid")
			}
		}
	}
}

// A container's path is looked up in the container, not here.
func TestFileExistsInOtherMountNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a mount namespace")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	cmd := exec.Command("sh", "-c", "mount -t tmpfs none '"+dir+"' && cat >'"+program+"' && chmod 755 '"+program+"' && echo && exec '"+program+"' 1000")
	cmd.Stdin = bytes.NewReader(raw)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	startGroup(t, cmd)
	if _, err := os.Stat(program); err == nil {
		t.Fatal("the file is visible here: no other mount namespace")
	}
	e := newTestEnumerator(t, Config{})
	var p *Process
	for p = scan(t, e).Find(int32(cmd.Process.Pid)); p.Executable != program; p = scan(t, e).Find(int32(cmd.Process.Pid)) {
		if p.State == 'Z' {
			t.Skip("the mount namespace could not be used")
		}
	}
	if p.FileExists != Exists {
		t.Errorf("file_exists = %v, want %v", p.FileExists, Exists)
	}
}

func TestHasher(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "'"+program+"' 1000 & echo $!; wait")
	startGroup(t, cmd)
	e := newTestEnumerator(t, Config{})
	var p *Process
	for p == nil {
		for _, q := range scan(t, e).Processes {
			if q.Executable == program {
				p = q
			}
		}
	}
	if err := os.Remove(program); err != nil { // what runs can still be read
		t.Fatal(err)
	}
	// Removing a name changes ctime: the identity is taken anew.
	p = scan(t, e).Find(p.PID)
	if p.FileExists != Gone || p.Executable != program {
		t.Errorf("after removal: %q, %v", p.Executable, p.FileExists)
	}

	h := NewHasher(HasherConfig{})
	defer h.Close()
	if _, ok := h.Request(p); ok {
		t.Error("a digest is known before the file was read")
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-h.Done()
	want, err := exec.Command("sha256sum", sleep).Output()
	if err != nil {
		t.Fatal(err)
	}
	d, ok := h.Lookup(p.ExecutableID)
	if !ok || d.SHA256 != strings.Fields(string(want))[0] || len(d.BLAKE3) != 64 {
		t.Errorf("digest = %+v, %v, want %s", d, ok, want)
	}
	if s := h.Stats(); s.Hashed != 1 || s.Bytes != uint64(len(raw)) || s.Queued != 0 {
		t.Errorf("stats = %+v", s)
	}

	small := NewHasher(HasherConfig{MaxFile: 10})
	defer small.Close()
	small.Request(p)
	if err := small.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	small.Request(p) // not queued again
	if s := small.Stats(); s.Skipped != 1 || s.Queued != 0 {
		t.Errorf("stats with a limit of 10 bytes = %+v", s)
	}

	other := *p
	other.ExecutableID.Size++ // as if the pid were another process's by now
	h.Request(&other)
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.Lookup(other.ExecutableID); ok || h.Stats().Failed != 1 {
		t.Errorf("a file that is not the one asked for got a digest; stats %+v", h.Stats())
	}
}

func TestLRU(t *testing.T) {
	l := newLRU(2)
	for i := range uint64(3) {
		l.put(FileID{Inode: i + 1}, Digest{SHA256: "x"})
		l.get(FileID{Inode: 1}) // is used, so it stays
	}
	for inode, want := range map[uint64]bool{1: true, 2: false, 3: true} {
		if _, got := l.get(FileID{Inode: inode}); got != want {
			t.Errorf("inode %d is kept: %v, want %v", inode, got, want)
		}
	}
}

func FuzzParseDirents(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x0442\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, pid := range parseDirents(b, nil) {
			if pid <= 0 {
				t.Errorf("parseDirents(%q) has %d", b, pid)
			}
		}
	})
}

//go:build amd64 || arm64

package platform

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// run interprets a filter as the kernel does and returns its action.
func run(t *testing.T, program []unix.SockFilter, arch, number uint32, arguments ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data, number)
	binary.LittleEndian.PutUint32(data[4:], arch)
	for i, a := range arguments {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		branch := func(yes bool) {
			if yes {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.LittleEndian.Uint32(data[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			branch(a == in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			branch(a >= in.K)
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, in.Code)
		}
	}
	t.Fatal("the program does not end")
	return 0
}

func TestFilter(t *testing.T) {
	const refused, missing = unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	const allowed = unix.SECCOMP_RET_ALLOW
	collector := filter(Cage{Dials: true, Lists: true}.calls(), refused)
	agent := filter(Cage{Dials: true, Listens: true, Writes: true}.calls(), refused)
	pid := uint64(os.Getpid())
	for _, c := range []struct {
		number           uint32
		arguments        []uint64
		collector, agent uint32
	}{
		{unix.SYS_READ, nil, allowed, allowed},
		{unix.SYS_EXECVE, nil, refused, refused},
		{unix.SYS_EXECVEAT, nil, refused, refused},
		{unix.SYS_PTRACE, nil, refused, refused},
		{unix.SYS_IO_URING_SETUP, nil, refused, refused},
		{unix.SYS_MOUNT, nil, refused, refused},
		{unix.SYS_SETUID, nil, refused, refused},
		{unix.SYS_CAPSET, nil, refused, refused},
		{unix.SYS_CLONE3, nil, missing, missing},
		{unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allowed, allowed},
		{unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, refused, refused},
		{unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_NEWUSER}, refused, refused},
		{unix.SYS_SOCKET, []uint64{unix.AF_UNIX}, allowed, allowed},
		{unix.SYS_SOCKET, []uint64{unix.AF_INET}, refused, refused},
		{unix.SYS_SOCKET, []uint64{unix.AF_NETLINK}, refused, refused},
		{unix.SYS_LISTEN, nil, refused, allowed},
		{unix.SYS_CONNECT, nil, allowed, allowed},
		{unix.SYS_SECCOMP, []uint64{unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC}, refused, allowed},
		{unix.SYS_SECCOMP, []uint64{unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}, refused, refused},
		{unix.SYS_BPF, []uint64{unix.BPF_ITER_CREATE}, allowed, refused},
		{unix.SYS_BPF, []uint64{unix.BPF_PROG_LOAD}, refused, refused},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY}, allowed, allowed},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_WRONLY}, refused, allowed},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_RDWR}, refused, allowed},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_CREAT}, refused, allowed},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_TRUNC}, refused, allowed},
		{unix.SYS_OPENAT, []uint64{0, 0, unix.O_TMPFILE}, refused, allowed},
		{unix.SYS_UNLINKAT, nil, refused, allowed},
		{unix.SYS_MMAP, []uint64{0, 0, unix.PROT_READ | unix.PROT_WRITE}, allowed, allowed},
		{unix.SYS_MMAP, []uint64{0, 0, unix.PROT_READ | unix.PROT_EXEC}, refused, refused},
		{unix.SYS_MPROTECT, []uint64{0, 0, unix.PROT_EXEC}, refused, refused},
		{unix.SYS_TGKILL, []uint64{pid}, allowed, allowed},
		{unix.SYS_TGKILL, []uint64{pid + 1}, refused, refused},
		{unix.SYS_KILL, []uint64{pid + 1, 0}, allowed, allowed},
		{unix.SYS_KILL, []uint64{pid + 1, uint64(unix.SIGKILL)}, refused, refused},
		{unix.SYS_IOCTL, []uint64{1, unix.TCGETS}, allowed, allowed},
		{unix.SYS_IOCTL, []uint64{1, unix.TIOCGWINSZ}, allowed, allowed},
		{unix.SYS_IOCTL, []uint64{1, unix.TIOCSTI}, refused, refused},
		{unix.SYS_PRCTL, []uint64{unix.PR_SET_VMA}, allowed, allowed},
		{unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE}, refused, refused},
		{unix.SYS_PRLIMIT64, []uint64{0, 0, 0}, allowed, allowed},
		{unix.SYS_PRLIMIT64, []uint64{0, 0, 1 << 32}, refused, refused},
		{unix.SYS_PRLIMIT64, []uint64{0, 0, 1}, refused, refused},
	} {
		got := [2]uint32{run(t, collector, auditArch, c.number, c.arguments...), run(t, agent, auditArch, c.number, c.arguments...)}
		if want := [2]uint32{c.collector, c.agent}; got != want {
			t.Errorf("system call %d with %x: %#x, want %#x", c.number, c.arguments, got, want)
		}
		for _, foreign := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM} {
			if got := run(t, agent, foreign, c.number, c.arguments...); got != refused {
				t.Errorf("architecture %#x, system call %d: %#x, want it refused", foreign, c.number, got)
			}
		}
		if firstForeign != 0 {
			if got := run(t, agent, auditArch, firstForeign|c.number, c.arguments...); got != refused {
				t.Errorf("x32 system call %d: %#x, want it refused", c.number, got)
			}
		}
	}
}

// A system call is in one list only: the first rule for it is the one that counts.
func TestCallsAreUnique(t *testing.T) {
	for _, c := range []Cage{{Dials: true, Lists: true}, {Dials: true, Listens: true, Writes: true}} {
		seen := map[uint32]bool{}
		for _, rule := range c.calls() {
			if seen[rule.number] {
				t.Errorf("%+v has system call %d twice", c, rule.number)
			}
			seen[rule.number] = true
		}
	}
}

// TestCallsAreDocumented: the operator's guide shows how many calls the collector
// and the agent may make.
func TestCallsAreDocumented(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("it was written on another architecture")
	}
	guide, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Cage{{Dials: true, Lists: true}, {Writes: true}} {
		if want := fmt.Sprintf("filter: %d calls, else errno", len(c.calls())); !strings.Contains(string(guide), want) {
			t.Errorf("docs/operating.md does not say %q", want)
		}
	}
}

// cagedReport is what a process in a cage says of itself.
type cagedReport struct {
	Walls    Walls
	Seccomp  int      // of /proc/self/status
	Attempts []string // on each of the threads: what succeeded
	Opened   []string // what could be opened
	Written  []string // what could be written
	Error    string
}

// caged closes a cage with dir to write and reports what is possible then, on
// threads that were there before.
func caged(c Cage, dir string) (r cagedReport) {
	const threads = 8
	closed, results := make(chan struct{}), make(chan []string)
	ready := make(chan struct{})
	for range threads {
		go func() {
			runtime.LockOSThread()
			ready <- struct{}{}
			<-closed
			results <- attempts()
		}()
	}
	for range threads {
		<-ready
	}
	if os.Getenv("TEST_CONTAINER") != "" {
		refuseWalls()
	}
	c.Paths = []Path{
		{dir, Read | Write},
		{"/proc", Read},
		{filepath.Join(dir, "absent"), Read},
		{filepath.Join(dir, "old", "no-directory"), Read},
		{filepath.Join(dir, "old"), Read | Write | Reach},
	}
	r.Walls = c.Close()
	close(closed)
	for range threads {
		r.Attempts = append(r.Attempts, <-results...)
	}
	for _, name := range []string{"/etc/passwd", "/proc/self/status", filepath.Join(dir, "old")} {
		if f, err := os.Open(name); err == nil {
			_ = f.Close()
			r.Opened = append(r.Opened, name)
		}
	}
	for _, name := range []string{filepath.Join(dir, "new"), filepath.Join(filepath.Dir(dir), "outside")} {
		if err := os.WriteFile(name, nil, 0o600); err == nil {
			r.Written = append(r.Written, name)
		}
	}
	s, err := ReadStatus(os.Getpid())
	if err != nil {
		r.Error = err.Error()
	}
	r.Seccomp = s.Seccomp
	return r
}

// refuseWalls does what a container's filter may do: it refuses to this process
// the calls that a cage is made with.
func refuseWalls() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const load, equal, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: load},
		{Code: equal, K: unix.SYS_SECCOMP, Jt: 1},
		{Code: equal, K: unix.SYS_LANDLOCK_CREATE_RULESET, Jf: 1},
		{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f))); errno != 0 {
		panic(errno)
	}
}

// attempts returns which of some things that the cage is to prevent this thread
// can do.
func attempts() (done []string) {
	try := func(what string, err error) {
		if err == nil {
			done = append(done, what)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	try("network socket", err)
	_ = unix.Close(fd)
	_, err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	try("executable memory", err)
	try("signal", unix.Kill(os.Getppid(), unix.SIGURG))
	try("personality", errnoOf(unix.SYS_PERSONALITY, 0xffffffff))
	return done
}

func errnoOf(number uintptr, argument uintptr) error {
	if _, _, errno := unix.Syscall6(number, argument, 0, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// startCaged runs caged in a process of this test binary.
func startCaged(t *testing.T, c Cage) (r cagedReport, dir string, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "dir")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "old"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	argument, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "test-caged", string(argument), dir)
	out, err := cmd.Output()
	if err == nil {
		if err := json.Unmarshal(out, &r); err != nil || r.Error != "" {
			t.Fatalf("report of the child: %v %s: %s", err, r.Error, out)
		}
	}
	return r, dir, err
}

func TestCage(t *testing.T) {
	open, dir, err := startCaged(t, Cage{Seccomp: SeccompOff})
	if err != nil {
		t.Fatal(err)
	}
	if len(open.Attempts) != 8*4 || len(open.Opened) != 3 || len(open.Written) != 2 || open.Walls.Seccomp != SeccompOff || open.Walls.Landlock != 0 {
		t.Errorf("without a cage: %+v, want all possible", open)
	}
	_ = dir

	got, dir, err := startCaged(t, Cage{Landlock: true, Writes: true})
	if err != nil {
		t.Fatal(err)
	}
	if version, err := landlockABI(); err != nil || version < 2 {
		t.Skipf("this kernel has Landlock version %d: %v", version, err)
	}
	if w := got.Walls; w.Seccomp != SeccompErrno || w.Landlock == 0 || len(w.Missing) != 0 {
		t.Errorf("walls = %+v, want both", w)
	}
	if len(got.Attempts) != 0 || got.Seccomp != 2 || got.Walls.Calls < 50 {
		t.Errorf("in a cage of %d calls, seccomp %d, it could %v", got.Walls.Calls, got.Seccomp, got.Attempts)
	}
	if want := []string{"/proc/self/status", filepath.Join(dir, "old")}; !slices.Equal(got.Opened, want) {
		t.Errorf("it opened %v, want %v", got.Opened, want)
	}
	if want := []string{filepath.Join(dir, "new")}; !slices.Equal(got.Written, want) {
		t.Errorf("it wrote %v, want %v", got.Written, want)
	}

	got, _, err = startCaged(t, Cage{})
	if err != nil || len(got.Opened) != 3 || len(got.Written) != 0 {
		t.Errorf("without Landlock and Writes it opened %v and wrote %v, %v; want all three and none", got.Opened, got.Written, err)
	}

	_, _, err = startCaged(t, Cage{Seccomp: SeccompKill})
	if err == nil || !strings.Contains(err.Error(), "bad system call") {
		t.Errorf("it ended with %v, want by SIGSYS", err)
	}
}

// Where a container refuses both walls, what is missing is said and the role
// goes on.
func TestCageInContainer(t *testing.T) {
	t.Setenv("TEST_CONTAINER", "1")
	got, _, err := startCaged(t, Cage{Landlock: true, Writes: true})
	if err != nil {
		t.Fatal(err)
	}
	if w := got.Walls; w.Seccomp != SeccompOff || w.Landlock != 0 || len(w.Missing) != 2 || len(w.Limits) != 0 {
		t.Errorf("walls = %+v, want none and two that are missing", w)
	}
	if len(got.Attempts) != 8*4 || len(got.Opened) != 3 || len(got.Written) != 2 {
		t.Errorf("without walls: %+v, want all possible", got)
	}
}

func TestUnrestricted(t *testing.T) {
	all := Cage{Dials: true, Writes: true}
	for version, want := range map[int]int{0: 0, 2: 3, 3: 2, 7: 1, 9: 0} {
		if got := all.Unrestricted(version); len(got) != want {
			t.Errorf("version %d leaves open %q, want %d", version, got, want)
		}
	}
	if got := (Cage{}).Unrestricted(1); len(got) != 0 {
		t.Errorf("what the filter refuses is no limit: %q", got)
	}
	none := filter(Cage{}.calls(), unix.SECCOMP_RET_KILL_PROCESS)
	if got := run(t, none, auditArch, unix.SYS_SOCKET, unix.AF_UNIX); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("socket of a role that neither dials nor listens: %#x, want it refused", got)
	}
}

func TestGiveUpAll(t *testing.T) {
	nobody := needRoot(t)
	_, got := start(t, Launch{User: nobody, Keep: CollectorCapabilities()})
	if n := len(got.Bare.Effective) + len(got.Bare.Permitted) + len(got.Bare.Inheritable); n != 0 {
		t.Errorf("after GiveUpAll: %+v, want no capability", got.Bare)
	}
}

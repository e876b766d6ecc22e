//go:build amd64 || arm64

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"daemoneye/platform/procfs"
)

// The test binary run with this variable executes what it says, from a thread
// that is not its first.
const threadVariable = "DAEMONEYE_TEST_THREAD"

func TestMain(m *testing.M) {
	if path := os.Getenv(threadVariable); path != "" {
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				go func() {
					runtime.LockOSThread()
					done <- syscall.Exec(path, []string{path, "from a thread"}, nil)
				}()
				select {}
			}
			done <- syscall.Exec(path, []string{path, "from a thread"}, nil)
		}()
		panic(<-done)
	}
	if what := os.Getenv(networkVariable); what != "" {
		os.Exit(useNetwork(what))
	}
	os.Exit(m.Run())
}

// open returns a source, or skips the test with the reason.
func open(t testing.TB, config Config) *Source {
	t.Helper()
	s, err := Open(config)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// recorder reads a source in the background.
type recorder struct {
	source *Source
	mu     sync.Mutex
	more   *sync.Cond
	events []Event
	from   int // of events: where until begins
	err    error
	done   chan struct{}
}

func record(t testing.TB, s *Source) *recorder {
	r := &recorder{source: s, done: make(chan struct{})}
	r.more = sync.NewCond(&r.mu)
	go func() {
		defer close(r.done)
		for {
			list, err := s.Read(nil)
			r.mu.Lock()
			r.events = append(r.events, list...)
			r.err = err
			r.more.Broadcast()
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-r.done
	})
	return r
}

// until waits for an event that the function accepts, from from on, and returns
// all up to it.
func (r *recorder) until(t testing.TB, accept func(*Event) bool) []Event {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := r.from; ; i++ {
		for i >= len(r.events) {
			if r.err != nil {
				t.Fatalf("the source ended: %v", r.err)
			}
			if stats, err := r.source.Stats(); err != nil || Total(stats.Lost) > 0 {
				t.Fatalf("what is waited for may be lost: %+v, %v", stats, err)
			}
			r.more.Wait()
		}
		if accept(&r.events[i]) {
			return append([]Event{}, r.events[r.from:i+1]...)
		}
	}
}

// exitOf accepts the end of a process.
func exitOf(pid int) func(*Event) bool {
	return func(e *Event) bool { return e.Kind == Exit && int(e.PID) == pid }
}

// of returns the events of a process, by kind.
func of(events []Event, pid int) (fork, image, exit []Event) {
	for _, e := range events {
		if int(e.PID) != pid {
			continue
		}
		switch e.Kind {
		case Fork:
			fork = append(fork, e)
		case Exec:
			image = append(image, e)
		case Exit:
			exit = append(exit, e)
		}
	}
	return fork, image, exit
}

// observe runs a command and returns its fork, exec and exit; an exec for each
// image.
func observe(t *testing.T, r *recorder, cmd *exec.Cmd) (fork Event, images []Event, exit Event) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stderr = &out
	r.mu.Lock()
	r.from = len(r.events) // another may have had the pid before
	r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	forks, images, exits := of(r.until(t, exitOf(pid)), pid)
	if len(forks) != 1 || len(images) == 0 || len(exits) != 1 {
		t.Fatalf("%v: %d forks, %d execs, %d exits, want 1, at least 1, and 1; it said %q", cmd.Args, len(forks), len(images), len(exits), out.String())
	}
	return forks[0], images, exits[0]
}

// build compiles a C file of testdata.
func build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	raw, err := exec.Command("gcc", append([]string{"-O2", "-static", "-o", out, "testdata/" + name + ".c"}, flags...)...).CombinedOutput()
	if err != nil {
		t.Skipf("gcc: %v\n%s", err, raw)
	}
	return out
}

// TestStorm: of each of many processes that live for less than a millisecond,
// fork, exec and exit are seen, with the right argument and parent.
func TestStorm(t *testing.T) {
	storm, tiny := build(t, "storm"), build(t, "tiny", "-nostdlib")
	count := 20000
	if testing.Short() {
		count = 2000
	}
	s := open(t, Config{})
	r := record(t, s)
	var wg sync.WaitGroup
	storms := make([]*exec.Cmd, 2)
	for i := range storms {
		storms[i] = exec.Command(storm, strconv.Itoa(count), tiny)
		if err := storms[i].Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := storms[i].Wait(); err != nil {
				t.Errorf("storm: %v", err)
			}
		})
	}
	began := time.Now()
	wg.Wait()
	t.Logf("%.0f processes a second", float64(len(storms)*count)/time.Since(began).Seconds())
	var events []Event
	for _, storm := range storms {
		if list := r.until(t, exitOf(storm.Process.Pid)); len(list) > len(events) {
			events = list
		}
	}
	for _, storm := range storms {
		checkStorm(t, events, int32(storm.Process.Pid), count)
	}
	stats, err := s.Stats()
	if err != nil || Total(stats.Lost) != 0 || stats.Missing != 0 || stats.Malformed != 0 {
		t.Errorf("stats: %+v, %v, want nothing lost", stats, err)
	}
}

func checkStorm(t *testing.T, events []Event, storm int32, count int) {
	t.Helper()
	var start time.Duration
	seen := map[string]int{}
	forks, exits, wrong := 0, 0, 0
	for _, e := range events {
		if e.PID == storm && e.Kind == Exec {
			start = e.Start
		}
		if e.PPID != storm {
			continue
		}
		if e.ParentStart != start || e.Time < e.Start {
			wrong++
		}
		switch e.Kind {
		case Fork:
			forks++
		case Exec:
			args := procfs.SplitArgs(e.Process.Cmdline)
			if len(args) != 2 || e.Process.Executable != args[0] || e.Filename != args[0] || e.Name != "tiny" {
				t.Fatalf("exec of %q: executable %q, filename %q, name %q", args, e.Process.Executable, e.Filename, e.Name)
			}
			seen[args[1]]++
		case Exit:
			exits++
			if e.Status != 7<<8 {
				t.Fatalf("exit of %d: status %#x, want 7", e.PID, e.Status)
			}
		}
	}
	for i := range count {
		if n := seen[fmt.Sprintf("number-%d-%d", storm, i)]; n != 1 {
			t.Fatalf("number %d of storm %d was seen %d times", i, storm, n)
		}
	}
	if forks != count || len(seen) != count || exits != count || wrong != 0 {
		t.Errorf("storm %d: %d forks, %d execs, %d exits, %d with a wrong parent or time, want %d of each and none wrong", storm, forks, len(seen), exits, wrong, count)
	}
}

// TestLosses: with a ring that is too small, what was received and what is
// counted as lost is what was sent, and the numbers say the same.
func TestLosses(t *testing.T) {
	storm, tiny := build(t, "storm"), build(t, "tiny", "-nostdlib")
	s := open(t, Config{RingBytes: 16 << 10})
	const count = 500
	if err := exec.Command(storm, strconv.Itoa(count), tiny).Run(); err != nil {
		t.Fatal(err)
	}
	record(t, s)
	// Others run processes too, so the counts agree only at times; and each
	// processor must have sent something after its last loss.
	var stats Stats
	for range 1000 {
		for i := range runtime.NumCPU() {
			runOn(t, i, exec.Command(tiny))
		}
		var err error
		if stats, err = s.Stats(); err != nil {
			t.Fatal(err)
		}
		agree := stats.Missing == Total(stats.Lost)
		for k := range stats.Sent {
			agree = agree && stats.Sent[k] == stats.Received[k]+stats.Lost[k]
		}
		if lost := Total(stats.Lost); agree && lost >= count && stats.Lost[Exec] > 0 && stats.Malformed == 0 {
			t.Logf("%d sent, %d lost", Total(stats.Sent), lost)
			return
		}
	}
	t.Errorf("%+v: want Sent = Received + Lost, Missing = Lost and Malformed = 0", stats)
}

// runOn runs a command on one processor.
func runOn(t *testing.T, cpu int, cmd *exec.Cmd) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	one.Set(cpu)
	if !before.IsSet(cpu) || unix.SchedSetaffinity(0, &one) != nil {
		return
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
}

// TestWakeUp: the reader waits, and is woken by one record.
func TestWakeUp(t *testing.T) {
	s := open(t, Config{})
	s.doze = time.Hour
	r := record(t, s)
	for range 100 {
		observe(t, r, exec.Command("/bin/true"))
	}
}

// TestSync: what happened before Sync is returned before ErrSynced.
func TestSync(t *testing.T) {
	s := open(t, Config{})
	s.doze = time.Hour
	for range 50 {
		cmd := exec.Command("/bin/true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		var events []Event
		var err error
		for err == nil {
			events, err = s.Read(events)
		}
		if _, _, exit := of(events, cmd.Process.Pid); !errors.Is(err, ErrSynced) || len(exit) != 1 {
			t.Fatalf("%d events and %d exits before %v, want 1 before ErrSynced", len(events), len(exit), err)
		}
	}
}

func TestExec(t *testing.T) {
	r := record(t, open(t, Config{}))
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	boot := bootTime(t)

	t.Run("script", func(t *testing.T) {
		cmd := exec.Command(script, "one", "two words", "")
		cmd.Dir = dir
		cmd.Env = []string{"LD_PRELOAD=/nowhere/lib.so", "HOME=/root", "LONG=" + strings.Repeat("x", 10000), "LD_LIBRARY_PATH=/lib"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 1234, Gid: 5678}}
		fork, images, exit := observe(t, r, cmd)
		e, p := images[0], images[0].Process
		sh, _ := filepath.EvalSymlinks("/bin/sh")
		if e.Filename != script || e.Interp != "/bin/sh" || p.Executable != sh || p.CWD != dir || e.Flags != 0 {
			t.Errorf("filename %q, interpreter %q, executable %q, directory %q, flags %d", e.Filename, e.Interp, p.Executable, p.CWD, e.Flags)
		}
		if want := strings.Join([]string{"/bin/sh", script, "one", "two words"}, "\x00"); p.Cmdline != want {
			t.Errorf("arguments %q, want %q", p.Cmdline, want)
		}
		if want := "LD_PRELOAD=/nowhere/lib.so\x00LD_LIBRARY_PATH=/lib"; p.Environ != want || !p.EnvironKnown {
			t.Errorf("environment %q, want %q", p.Environ, want)
		}
		pid := int32(cmd.Process.Pid)
		if p.UID != [4]uint32{1234, 1234, 1234, 1234} || p.GID != [4]uint32{5678, 5678, 5678, 5678} || p.CapEffective != 0 || p.SID != pid || p.PGID != pid {
			t.Errorf("uid %v, gid %v, capabilities %x, session %d, group %d", p.UID, p.GID, p.CapEffective, p.SID, p.PGID)
		}
		if e.PPID != int32(os.Getpid()) || fork.PPID != e.PPID || exit.PPID != e.PPID || fork.Start != e.Start || exit.Start != e.Start || fork.ParentStart != exit.ParentStart {
			t.Errorf("parents %d, %d, %d of %d, starts %v, %v, %v", fork.PPID, e.PPID, exit.PPID, os.Getpid(), fork.Start, e.Start, exit.Start)
		}
		if exit.Status != 3<<8 || exit.PeakRSS <= 0 || exit.CPUTime <= 0 || exit.CPUTime > exit.Time-exit.Start {
			t.Errorf("status %#x, peak %d, CPU time %v of %v", exit.Status, exit.PeakRSS, exit.CPUTime, exit.Time-exit.Start)
		}
		if age := time.Since(boot.Add(e.Time)); age < -time.Second || age > time.Minute {
			t.Errorf("executed %v ago", age)
		}
		var st unix.Stat_t
		if err := unix.Stat(sh, &st); err != nil {
			t.Fatal(err)
		}
		want := procfs.FileID{Device: st.Dev, Inode: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}
		if p.ExecutableID != want || p.ExecutableMode != st.Mode || p.ExecutableOwner != st.Uid || p.FileExists != procfs.Exists {
			t.Errorf("file %+v, mode %o, owner %d, exists %d, want %+v, %o", p.ExecutableID, p.ExecutableMode, p.ExecutableOwner, p.FileExists, want, st.Mode)
		}
	})
	t.Run("long arguments", func(t *testing.T) {
		long := strings.Repeat("y", 40000)
		_, images, _ := observe(t, r, exec.Command("/bin/true", long))
		p := images[0].Process
		if want := ("/bin/true\x00" + long)[:32<<10]; p.Cmdline != want || !p.CmdlineTruncated || images[0].Flags != ArgsCut {
			t.Errorf("%d bytes of arguments, truncated %v, flags %d, want %d", len(p.Cmdline), p.CmdlineTruncated, images[0].Flags, len(want))
		}
	})
	t.Run("memfd", func(t *testing.T) {
		fd, err := unix.MemfdCreate("secret", 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "memfd")
		defer file.Close()
		raw, err := os.ReadFile("/bin/true")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(raw); err != nil {
			t.Fatal(err)
		}
		_, images, _ := observe(t, r, exec.Command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)))
		if p := images[0].Process; p.Executable != "/memfd:secret" || p.FileExists != procfs.Gone {
			t.Errorf("executable %q, exists %d", p.Executable, p.FileExists)
		}
	})
	t.Run("removed", func(t *testing.T) {
		raw, err := os.ReadFile("/bin/sh")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "shell")
		if err := os.WriteFile(path, raw, 0o755); err != nil {
			t.Fatal(err)
		}
		_, images, _ := observe(t, r, exec.Command(path, "-c", "rm $0; exec /proc/$$/exe -c :", path))
		if len(images) != 2 || images[0].Process.FileExists != procfs.Exists || images[1].Process.FileExists != procfs.Gone || images[1].Process.Executable != path {
			t.Errorf("executables %+v", images)
		}
	})
	t.Run("thread", func(t *testing.T) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{threadVariable + "=/bin/true"}
		fork, images, _ := observe(t, r, cmd)
		if len(images) != 2 || images[1].Process.Cmdline != "/bin/true\x00from a thread" || images[1].Start != fork.Start {
			t.Errorf("executables %+v", images)
		}
	})
	t.Run("signal", func(t *testing.T) {
		if _, _, exit := observe(t, r, exec.Command("sh", "-c", "kill -9 $$")); exit.Status != uint32(unix.SIGKILL) {
			t.Errorf("status %#x, want 9", exit.Status)
		}
	})
	t.Run("directory /", func(t *testing.T) {
		cmd := exec.Command("/bin/true")
		cmd.Dir = "/"
		if _, images, _ := observe(t, r, cmd); images[0].Process.CWD != "/" {
			t.Errorf("directory %q, want /", images[0].Process.CWD)
		}
	})
	t.Run("deep directory", func(t *testing.T) {
		deep := dir
		for range 18 {
			deep = filepath.Join(deep, strings.Repeat("d", 200))
		}
		if err := os.MkdirAll(deep, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/true")
		cmd.Dir = deep
		if _, images, _ := observe(t, r, cmd); images[0].Process.CWD != deep {
			t.Errorf("directory of %d bytes, want %d", len(images[0].Process.CWD), len(deep))
		}
	})
}

// bootTime returns when the boot clock was 0.
func bootTime(t *testing.T) time.Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(-time.Duration(ts.Nano()))
}

// TestMuchEnvironment: what matters is found however much stands before it, and
// told when it finds no room.
func TestMuchEnvironment(t *testing.T) {
	const preload = "LD_PRELOAD=/nowhere/lib.so"
	many := func(format string, count, size int) (list []string) {
		for i := range count {
			list = append(list, fmt.Sprintf(format, i)+strings.Repeat("z", size))
		}
		return list
	}
	long := "LD_PRELOAD=" + strings.Repeat(":", 20000) + "/nowhere/lib.so"
	loader, always := many("LD_%d=", 7, 4000), many("LD_LIBRARY_%d=", 2, 7000)
	for _, test := range []struct {
		name        string
		environment bool // all of it
		in, want    []string
		flags       Flags
	}{
		{name: "many", in: append(many("V%d=", 3000, 100), preload), want: []string{preload}},
		{name: "tiny", in: append(many("%d", 100_000, 0), preload), want: []string{preload}},
		{name: "large", in: append(many("V%d=", 10, 100_000), preload), want: []string{preload}},
		{name: "crowded", in: append(slices.Clone(loader), preload), want: append(slices.Clone(loader[:6]), preload), flags: EnvironCut},
		{name: "long", in: []string{long, "LD_LIBRARY_PATH=/lib"}, want: []string{long, "LD_LIBRARY_PATH=/lib"}},
		{
			name: "longer", in: []string{"LD_LIBRARY_PATH=" + strings.Repeat("x", 30_000), preload},
			want: []string{"LD_LIBRARY_PATH=" + strings.Repeat("x", 6*4095-len("LD_LIBRARY_PATH=")), preload}, flags: EnvironCut,
		},
		{name: "exactly", in: []string{"LD_A=" + strings.Repeat("x", 4090), preload}, want: []string{"LD_A=" + strings.Repeat("x", 4090), preload}},
		{name: "at the end", in: []string{"LD_A=" + strings.Repeat("x", 4090)}, want: []string{"LD_A=" + strings.Repeat("x", 4090)}},
		{
			name: "requested", environment: true, in: slices.Concat(many("V%d=", 20, 1000), always, []string{preload}),
			want: slices.Concat(many("V%d=", 16, 1000), always[:1], []string{preload}), flags: EnvironCut,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(t, open(t, Config{Environment: test.environment}))
			cmd := exec.Command("/bin/true")
			cmd.Env = test.in
			_, images, _ := observe(t, r, cmd)
			got, want := images[0].Process.Environ, strings.Join(test.want, "\x00")
			if got != want || images[0].Flags != test.flags || images[0].Process.EnvironTruncated != (test.flags != 0) {
				t.Errorf("environment of %d bytes %.40q…, flags %d, want %d bytes %.40q…, flags %d", len(got), got, images[0].Flags, len(want), want, test.flags)
			}
		})
	}
}

// TestAllEnvironment: on request, every variable is there.
func TestAllEnvironment(t *testing.T) {
	r := record(t, open(t, Config{Environment: true}))
	cmd := exec.Command("/bin/true")
	cmd.Env = []string{"HOME=/root", "EMPTY=", "LD_DEBUG=x"}
	if _, images, _ := observe(t, r, cmd); images[0].Process.Environ != strings.Join(cmd.Env, "\x00") {
		t.Errorf("environment %q, want %q", images[0].Process.Environ, cmd.Env)
	}
}

// TestWithoutLoop: on a kernel without bpf_loop an exec is seen without paths.
func TestWithoutLoop(t *testing.T) {
	s := open(t, Config{NoLoop: true})
	if len(s.Limits()) == 0 {
		t.Error("no limit is told")
	}
	_, images, _ := observe(t, record(t, s), exec.Command("/bin/true", "x"))
	e, p := images[0], images[0].Process
	if e.Flags != NoPaths || p.Executable != "" || p.EnvironKnown || e.Filename != "/bin/true" || p.Cmdline != "/bin/true\x00x" || p.ExecutableID.Inode == 0 {
		t.Errorf("event %+v of %+v", e, p)
	}
}

// TestList: the list tells of a process what /proc tells.
func TestList(t *testing.T) {
	s := open(t, Config{})
	cmd := exec.Command("/bin/sh", "-c", "echo; read line", strings.Repeat("a", 5000))
	cmd.Dir = "/usr"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 77, Gid: 78}}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want := fromProc(t, cmd.Process.Pid)
	for want.State != 'S' { // until it waits for its input
		want = fromProc(t, cmd.Process.Pid)
	}
	var got Event
	found := map[int32]bool{}
	err := s.List(func(e *Event) bool {
		if found[e.PID] {
			t.Errorf("process %d is listed twice", e.PID)
		}
		found[e.PID] = true
		if e.PID == want.PID {
			got = *e
		}
		return true
	})
	if err != nil {
		t.Skip(err)
	}
	p := got.Process
	if p == nil || !found[int32(os.Getpid())] {
		t.Fatalf("%d processes, not the one", len(found))
	}
	if got.Flags != 0 || got.PPID != int32(os.Getpid()) {
		t.Errorf("flags %d, parent %d", got.Flags, got.PPID)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"start", p.StartTicks, want.StartTicks},
		{"name", p.Name, want.Name},
		{"state", p.State, want.State},
		{"group", p.PGID, want.PGID},
		{"session", p.SID, want.SID},
		{"tty", p.TTY, want.TTY},
		{"threads", p.Threads, want.Threads},
		{"virtual size", p.VirtualSize, want.VirtualSize},
		{"stack", p.StartStack, want.StartStack},
		{"uid", p.UID, want.UID},
		{"gid", p.GID, want.GID},
		{"capabilities", p.CapEffective, want.CapEffective},
		{"permitted", p.CapPermitted, want.CapPermitted},
		{"login", p.LoginUID, want.LoginUID},
		{"inner pid", p.InnerPID, want.InnerPID},
		{"seccomp", p.Seccomp, want.Seccomp},
		{"arguments", p.Cmdline, want.Cmdline},
		{"executable", p.Executable, want.Executable},
		{"file", p.ExecutableID, want.ExecutableID},
		{"mode", p.ExecutableMode, want.ExecutableMode},
		{"exists", p.FileExists, want.FileExists},
		{"directory", p.CWD, want.CWD},
		{"cgroup", p.Cgroup, want.Cgroup},
		{"namespaces", p.Namespaces, want.Namespaces},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, /proc says %v", c.name, c.got, c.want)
		}
	}
	if p.RSS <= 0 || p.RSS > 2*want.RSS || want.RSS > 2*p.RSS+1<<20 {
		t.Errorf("resident %d, /proc says %d", p.RSS, want.RSS)
	}
}

// TestScan: a scan by the list finds what a scan of /proc finds, and tells the
// same of it.
func TestScan(t *testing.T) {
	s := open(t, Config{})
	shell := exec.Command("/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo; read line; kill $(jobs -p)", strings.Repeat("long ", 4000))
	in, _ := shell.StdinPipe()
	out, _ := shell.StdoutPipe()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer shell.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	zombie := exec.Command("/bin/true")
	r := record(t, s)
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	r.until(t, exitOf(zombie.Process.Pid))

	scan := func(c procfs.Config) *procfs.Snapshot {
		e, err := procfs.NewEnumerator(c)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		snap, err := e.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	asked := 0
	listed := scan(procfs.Config{List: func(yield func(*procfs.Process, bool) bool) error {
		asked++
		return s.Processes(yield)
	}})
	if listed.Err != nil {
		t.Skip(listed.Err)
	}
	plain := scan(procfs.Config{})
	if asked != 1 || listed.Find(1) == nil || listed.Find(int32(zombie.Process.Pid)) != nil {
		t.Errorf("asked %d times, process 1 %v, zombie %v", asked, listed.Find(1), listed.Find(int32(zombie.Process.Pid)))
	}
	both := 0
	for _, p := range listed.Processes {
		q := plain.Find(p.PID)
		if q == nil || q.EntityID != p.EntityID || q.State == 'Z' || q.StartStack != p.StartStack {
			continue
		}
		both++
		own := p.PPID == int32(shell.Process.Pid) || p.PID == int32(shell.Process.Pid)
		if p.PPID != q.PPID || p.Name != q.Name && !p.KernelThread || p.Executable != q.Executable || p.ExecutableID != q.ExecutableID || p.FileExists != q.FileExists ||
			p.Namespaces != q.Namespaces || p.Cgroup != q.Cgroup || p.UserName != q.UserName || (p.Parent == nil) != (q.Parent == nil) ||
			p.Started.Sub(q.Started).Abs() > time.Second/procfs.TicksPerSecond || own && (p.Cmdline != q.Cmdline || p.CWD != q.CWD) {
			t.Errorf("listed %+v\nof /proc %+v", *p, *q)
		}
	}
	if both < len(plain.Processes)/2 {
		t.Errorf("%d processes in both, of %d and %d", both, len(listed.Processes), len(plain.Processes))
	}
}

// BenchmarkScan10000 is the scan of procfs's benchmark of that name by the list,
// and the list alone.
//
//	go test -run '^$' -bench Scan10000 -benchtime 20x ./platform/bpf ./platform/procfs
func BenchmarkScan10000(b *testing.B) {
	const count = 10000
	s := open(b, Config{})
	shell := exec.Command("sh", "-c", `i=0; while [ $i -lt 10000 ]; do sleep 3600 & i=$((i+1)); done; echo ready; wait`)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := shell.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
		_ = shell.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			if err := s.List(func(*Event) bool { n++; return true }); err != nil || n < count {
				b.Fatalf("%d processes, error %v", n, err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		e, err := procfs.NewEnumerator(procfs.Config{List: s.Processes})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		b.ReportAllocs()
		for b.Loop() {
			snap, err := e.Scan(b.Context())
			if err != nil || snap.Err != nil || len(snap.Processes) < count {
				b.Fatalf("%d processes, error %v, %v", len(snap.Processes), err, snap.Err)
			}
		}
	})
}

// BenchmarkStorm is fork, exec, exit and wait of a tiny program on each
// processor at once, by itself and with a source that is read.
//
//	go test -run '^$' -bench Storm -benchtime 20000x -count 5 ./platform/bpf
func BenchmarkStorm(b *testing.B) {
	storm, tiny := build(b, "storm"), build(b, "tiny", "-nostdlib")
	run := func(b *testing.B) {
		var all sync.WaitGroup
		for range runtime.NumCPU() {
			all.Go(func() {
				if err := exec.Command(storm, strconv.Itoa(b.N), tiny).Run(); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
	b.Run("alone", run)
	b.Run("watched", func(b *testing.B) {
		s := open(b, Config{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			var list []Event
			for err := error(nil); err == nil; {
				list, err = s.Read(list[:0])
			}
		}()
		b.ResetTimer()
		run(b)
		b.StopTimer()
		stats, err := s.Stats()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(Total(stats.Lost))/float64(Total(stats.Sent)), "lost")
		_ = s.Close()
		<-done
	})
}

// fromProc returns a process as a scan of /proc has it.
func fromProc(t *testing.T, pid int) *procfs.Process {
	t.Helper()
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := snap.Find(int32(pid))
	if p == nil {
		t.Fatalf("no process %d in /proc", pid)
	}
	return p
}

package connector

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

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// The test binary run with this variable plays the part that it names, of a
// process whose first thread does not stand for it.
const partVariable = "CONNECTOR_TEST_PART"

func TestMain(m *testing.M) {
	runtime.LockOSThread() // this is the first thread
	part := os.Getenv(partVariable)
	if part == "" {
		runtime.UnlockOSThread()
		os.Exit(m.Run())
	}
	go func() {
		runtime.LockOSThread()
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the first thread has been looked up
		switch part {
		case "exec":
			panic(syscall.Exec("/bin/sleep", []string{"sleep", "0.2"}, nil))
		case "outlive":
			unix.Exit(7) // exit_group(2)
		}
	}()
	if part == "outlive" {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	select {}
}

// source returns one, or skips the test with the reason.
func source(t testing.TB, config Config) *Source {
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
	events []bpf.Event
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

// until waits for an event that the function accepts and returns all up to it.
func (r *recorder) until(t testing.TB, accept func(*bpf.Event) bool) []bpf.Event {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; ; i++ {
		for i >= len(r.events) {
			if r.err != nil {
				t.Fatalf("the source ended: %v", r.err)
			}
			r.more.Wait()
		}
		if accept(&r.events[i]) {
			return slices.Clone(r.events[:i+1])
		}
	}
}

// exitOf accepts the end of a process.
func exitOf(pid int) func(*bpf.Event) bool {
	return func(e *bpf.Event) bool { return e.Kind == bpf.Exit && int(e.PID) == pid }
}

// of returns the events of a process, in order.
func of(events []bpf.Event, pid int) []bpf.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e bpf.Event) bool { return int(e.PID) != pid })
}

// observe runs a shell that waits between its steps, so that each can be looked
// up, and returns the events of the process.
func observe(t *testing.T, r *recorder, cmd *exec.Cmd) []bpf.Event {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	r.until(t, func(e *bpf.Event) bool { return e.Kind == bpf.Exec && int(e.PID) == pid })
	_ = in.Close()
	var ended *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	list := of(r.until(t, exitOf(pid)), pid)
	if out.Len() > 0 {
		t.Errorf("%v: %s", cmd.Args, out.String())
	}
	return list
}

func find(t *testing.T, list []bpf.Event, kind bpf.Kind) bpf.Event {
	t.Helper()
	i := slices.IndexFunc(list, func(e bpf.Event) bool { return e.Kind == kind })
	if i < 0 {
		t.Fatalf("no %v in %+v", kind, list)
	}
	return list[i]
}

// began returns the start of a process in ticks since boot.
func began(t *testing.T, pid int) uint64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := procfs.ParseStat(raw)
	if err != nil {
		t.Fatal(err)
	}
	return stat.StartTicks
}

// bootTime returns the time since boot.
func bootTime(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestProcess: fork, exec and exit of a process are told, with its parent and
// what it runs.
func TestProcess(t *testing.T) {
	r := record(t, source(t, Config{}))
	before := bootTime(t)
	cmd := exec.Command("/bin/sh", "-c", "read x; exit 3", "zero", "two words")
	cmd.Dir = "/usr"
	cmd.Env = []string{"HOME=/root", "LONG=" + strings.Repeat("x", 100000), "LD_LIBRARY_PATH=/lib"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 1234, Gid: 5678}}
	list := observe(t, r, cmd)
	after := bootTime(t)
	fork, image, exit := find(t, list, bpf.Fork), find(t, list, bpf.Exec), find(t, list, bpf.Exit)
	last := before
	for _, e := range list {
		if e.PPID != int32(os.Getpid()) || procfs.Ticks(e.ParentStart) != began(t, os.Getpid()) || e.Start != fork.Start || e.Time < last || e.Time > after {
			t.Errorf("%v: parent %d, started %v; started %v, want %v; at %v, after %v and before %v", e.Kind, e.PPID, e.ParentStart, e.Start, fork.Start, e.Time, last, after)
		}
		last = e.Time
	}
	if fork.Start > fork.Time || fork.Time-fork.Start > tick {
		t.Errorf("forked at %v and started at %v", fork.Time, fork.Start)
	}
	p := image.Process
	sh, _ := filepath.EvalSymlinks("/bin/sh")
	if want := "/bin/sh\x00-c\x00read x; exit 3\x00zero\x00two words"; p.Cmdline != want || p.Executable != sh || p.CWD != "/usr" || p.Name != "sh" || !p.Accessible {
		t.Errorf("arguments %q, want %q; executable %q, directory %q, name %q, accessible %t", p.Cmdline, want, p.Executable, p.CWD, p.Name, p.Accessible)
	}
	if p.Environ != "LD_LIBRARY_PATH=/lib" || !p.EnvironKnown {
		t.Errorf("environment %q", p.Environ)
	}
	if pid := int32(cmd.Process.Pid); p.UID[0] != 1234 || p.GID[0] != 5678 || p.SID != pid || p.PGID != pid || p.StartTicks != procfs.Ticks(fork.Start) || p.Cgroup == "" {
		t.Errorf("uid %v, gid %v, session %d, group %d, cgroup %q, began %d, want %d", p.UID, p.GID, p.SID, p.PGID, p.Cgroup, p.StartTicks, procfs.Ticks(fork.Start))
	}
	if exit.Status != 3<<8 {
		t.Errorf("status %#x, want %#x", exit.Status, 3<<8)
	}
	if stats, err := r.source.Stats(); err != nil || stats.Malformed != 0 || bpf.Total(stats.Lost) != 0 || stats.Received[bpf.Fork] == 0 {
		t.Errorf("stats %+v, %v", stats, err)
	}
}

// TestSignal: a process that a signal ends.
func TestSignal(t *testing.T) {
	r := record(t, source(t, Config{}))
	if exit := find(t, observe(t, r, exec.Command("sh", "-c", "read x; kill -9 $$")), bpf.Exit); exit.Status != uint32(unix.SIGKILL) {
		t.Errorf("status %#x, want 9", exit.Status)
	}
}

// TestAllEnvironment: on request, every variable is there.
func TestAllEnvironment(t *testing.T) {
	r := record(t, source(t, Config{Environment: true}))
	cmd := exec.Command("sh", "-c", "read x")
	cmd.Env = []string{"HOME=/root", "EMPTY=", "LD_DEBUG_OUTPUT=x"}
	if p := find(t, observe(t, r, cmd), bpf.Exec).Process; p.Environ != strings.Join(cmd.Env, "\x00") {
		t.Errorf("environment %q, want %q", p.Environ, cmd.Env)
	}
}

// TestMuchEnvironment: what matters is found behind what fills the room for the
// rest, and what found none is told.
func TestMuchEnvironment(t *testing.T) {
	for all, others := range map[bool]int{false: 0, true: 16} {
		r := record(t, source(t, Config{Environment: all}))
		cmd := exec.Command("sh", "-c", "read x")
		for i := range 30 {
			cmd.Env = append(cmd.Env, fmt.Sprintf("V%02d=%s", i, strings.Repeat("z", 1024-5)))
		}
		want := cmd.Env[:others]
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Repeat("z", 30_000), "LD_PRELOAD=")
		p := find(t, observe(t, r, cmd), bpf.Exec).Process
		room := bpf.Room("LD_LIBRARY_PATH=", all) - len(strings.Join(want, "\x00")) - 1
		want = append(slices.Clone(want), cmd.Env[30][:room], "LD_PRELOAD=")
		if p.Environ != strings.Join(want, "\x00") || !p.EnvironTruncated {
			t.Errorf("all %t: environment of %d bytes, truncated %t, want %d bytes, true", all, len(p.Environ), p.EnvironTruncated, len(strings.Join(want, "\x00")))
		}
	}
}

// TestChanges: a process that gets another user, session and name.
func TestChanges(t *testing.T) {
	r := record(t, source(t, Config{}))
	cmd := exec.Command("sh", "-c", "read x; printf renamed > /proc/$$/comm; exec setpriv --reuid 1234 --clear-groups sleep 0.1")
	list := observe(t, r, cmd)
	renamed := slices.ContainsFunc(list, func(e bpf.Event) bool { return e.Kind == bpf.Changed && e.Name == "renamed" })
	user := slices.ContainsFunc(list, func(e bpf.Event) bool { return e.Kind == bpf.Changed && e.Name == "" && e.Process.UID[0] == 1234 })
	if !renamed || !user {
		t.Errorf("renamed %t, another user %t in %+v", renamed, user, list)
	}
}

// play runs this binary with a part.
func play(t *testing.T, r *recorder, part string) []bpf.Event {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{partVariable + "=" + part}
	return observe(t, r, cmd)
}

// TestThreadExecutes: an exec by another than the first thread ends that one, and
// is no end of the process.
func TestThreadExecutes(t *testing.T) {
	r := record(t, source(t, Config{}))
	list := play(t, r, "exec")
	var kinds []bpf.Kind
	for _, e := range list {
		kinds = append(kinds, e.Kind)
	}
	if want := []bpf.Kind{bpf.Fork, bpf.Exec, bpf.Exec, bpf.Exit}; !slices.Equal(kinds, want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	if p := list[2].Process; p.Cmdline != "sleep\x000.2" {
		t.Errorf("arguments %q", p.Cmdline)
	}
	if lived := list[3].Time - list[2].Time; lived < 100*time.Millisecond {
		t.Errorf("it ended %v after its exec", lived)
	}
}

// TestFirstThreadEnds: a process goes on without its first thread, and ends with
// its last.
func TestFirstThreadEnds(t *testing.T) {
	r := record(t, source(t, Config{}))
	list := play(t, r, "outlive")
	if exit := find(t, list, bpf.Exit); exit.Status != 7<<8 || len(list) != 3 {
		t.Errorf("status %#x, want %#x; %d events, want 3", exit.Status, 7<<8, len(list))
	}
	if err := r.source.Close(); err != nil {
		t.Fatal(err)
	}
	if _, kept := r.source.leaders[list[0].PID]; kept {
		t.Error("its first thread is kept")
	}
}

// TestSync: what happened before Sync is returned before bpf.ErrSynced. An exit
// may come later: the kernel wakes the parent before it tells of it.
func TestSync(t *testing.T) {
	s := source(t, Config{})
	for range 50 {
		cmd := exec.Command("/bin/true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		var events []bpf.Event
		var err error
		for err == nil {
			events, err = s.Read(events)
		}
		told := map[bpf.Kind]int{}
		for _, e := range of(events, cmd.Process.Pid) {
			told[e.Kind]++
		}
		if !errors.Is(err, bpf.ErrSynced) || told[bpf.Fork] != 1 || told[bpf.Exec] != 1 {
			t.Fatalf("%d events and %v of the process before %v, want a fork and an exec before ErrSynced", len(events), told, err)
		}
	}
}

// TestClose: a Read that waits ends, and so does a goroutine that has no room.
func TestClose(t *testing.T) {
	s := source(t, Config{})
	done := make(chan error)
	go func() {
		var err error
		for err == nil {
			_, err = s.Read(nil)
		}
		done <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v, want os.ErrClosed", err)
	}
	if err := s.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Sync: %v, want os.ErrClosed", err)
	}
	full := source(t, Config{})
	full.queue.mu.Lock()
	full.queue.bytes = queueBytes
	full.queue.mu.Unlock()
	if err := exec.Command("/bin/true").Run(); err != nil {
		t.Fatal(err)
	}
}

// TestForeign: what another process sends to the socket is no event.
func TestForeign(t *testing.T) {
	r := record(t, source(t, Config{}))
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to, err := unix.Getsockname(r.source.socket.fd)
	if err != nil {
		t.Fatal(err)
	}
	to.(*unix.SockaddrNetlink).Groups = 0
	const pid = 1 << 29
	if err := unix.Sendto(fd, message(Exit, pid, pid), 0, to); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	list := r.until(t, exitOf(cmd.Process.Pid))
	if stats, err := r.source.Stats(); err != nil || stats.Malformed != 1 || len(of(list, pid)) != 0 {
		t.Errorf("stats %+v, %v, want one message that does not count", stats, err)
	}
}

// build compiles a C file that the tests of eBPF have too.
func build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	raw, err := exec.Command("gcc", append([]string{"-O2", "-static", "-o", out, "../bpf/testdata/" + name + ".c"}, flags...)...).CombinedOutput()
	if err != nil {
		t.Skipf("gcc: %v\n%s", err, raw)
	}
	return out
}

// TestStorm: of each of many processes that live for less than a millisecond,
// fork and exit are seen, with the right parent; and of each exec either the
// argument, or that it came too late.
func TestStorm(t *testing.T) {
	storm, tiny := build(t, "storm"), build(t, "tiny", "-nostdlib")
	count := 10000
	if testing.Short() {
		count = 2000
	}
	s := source(t, Config{BufferBytes: 64 << 20})
	r := record(t, s)
	var storms [2]*exec.Cmd
	for i := range storms {
		storms[i] = exec.Command(storm, strconv.Itoa(count), tiny)
		if err := storms[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	for _, cmd := range storms {
		if err := cmd.Wait(); err != nil {
			t.Errorf("storm: %v", err)
		}
	}
	t.Logf("%.0f processes a second", float64(len(storms)*count)/time.Since(start).Seconds())
	var events []bpf.Event
	for _, cmd := range storms {
		if list := r.until(t, exitOf(cmd.Process.Pid)); len(list) > len(events) {
			events = list
		}
	}
	stats, err := s.Stats()
	if err != nil || bpf.Total(stats.Lost) != 0 || stats.Malformed != 0 {
		t.Errorf("stats: %+v, %v, want nothing lost", stats, err)
	}
	late := 0
	for _, cmd := range storms {
		late += checkStorm(t, events, int32(cmd.Process.Pid), count)
	}
	t.Logf("%d of %d looked up too late", late, len(storms)*count)
	if n := s.Late(); n < uint64(late) {
		t.Errorf("%d came too late, and %d were counted", late, n)
	}
}

// checkStorm returns how many of a storm's processes were looked up too late.
func checkStorm(t *testing.T, events []bpf.Event, storm int32, count int) (late int) {
	t.Helper()
	var start time.Duration
	seen := map[string]int{}
	forks, images, exits, wrong := 0, 0, 0, 0
	for _, e := range events {
		if e.PID == storm && e.Kind == bpf.Exec {
			start = e.Start
		}
		if e.PPID != storm || e.PID == storm {
			continue
		}
		if e.ParentStart != start || e.Time < e.Start {
			wrong++
		}
		switch e.Kind {
		case bpf.Fork:
			forks++
		case bpf.Exec:
			images++
			p := e.Process
			if args := procfs.SplitArgs(p.Cmdline); len(args) == 2 && p.Executable == args[0] {
				seen[args[1]]++
			} else if p.Accessible || len(args) != 0 {
				t.Fatalf("exec of %q: executable %q, name %q", args, p.Executable, p.Name)
			} else {
				late++
			}
		case bpf.Exit:
			exits++
			if e.Status != 7<<8 {
				t.Fatalf("exit of %d: status %#x, want 7", e.PID, e.Status)
			}
		}
	}
	for number, n := range seen {
		if n != 1 || !strings.HasPrefix(number, fmt.Sprintf("number-%d-", storm)) {
			t.Fatalf("%q of storm %d was seen %d times", number, storm, n)
		}
	}
	if forks != count || images != count || exits != count || wrong != 0 {
		t.Errorf("storm %d: %d forks, %d execs, %d exits, %d with a wrong parent or time, want %d of each and none wrong", storm, forks, images, exits, wrong, count)
	}
	return late
}

// TestLosses: with a buffer that is too small, the socket's count of losses is
// what the numbers say, messages go on to come, and no event has a wrong parent.
func TestLosses(t *testing.T) {
	storm, tiny := build(t, "storm"), build(t, "tiny", "-nostdlib")
	s := source(t, Config{})
	const count = 3000
	var storms [2]*exec.Cmd
	r := record(t, s)
	room := func(bytes int) {
		if err := unix.SetsockoptInt(s.socket.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes); err != nil {
			t.Skip(err)
		}
	}
	for i := range runtime.NumCPU() { // whose numbers are known from then on
		cmd := exec.Command(tiny)
		runOn(t, i, cmd)
		if cmd.Process != nil {
			r.until(t, exitOf(cmd.Process.Pid))
		}
	}
	room(4096)
	for i := range storms {
		storms[i] = exec.Command(storm, strconv.Itoa(count), tiny)
		if err := storms[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range storms {
		if err := cmd.Wait(); err != nil {
			t.Errorf("storm: %v", err)
		}
	}
	// What others do now is not lost, and each processor must have sent something
	// after its last loss.
	room(16 << 20)
	var drops uint32
	for i := 0; ; i++ {
		for i := range runtime.NumCPU() {
			runOn(t, i, exec.Command(tiny))
		}
		var err error
		if drops, err = s.socket.drops(); err != nil {
			t.Fatal(err)
		}
		missing := s.counts.missing.Load()
		if drops > 100 && missing == uint64(drops) {
			break
		}
		if i == 1000 {
			t.Fatalf("%d numbers are missing, and the socket dropped %d", missing, drops)
		}
	}
	stats, err := s.Stats()
	if err != nil || stats.Malformed != 0 || bpf.Total(stats.Lost) < uint64(drops) {
		t.Errorf("stats %+v, %v", stats, err)
	}
	t.Logf("%d messages, %d lost, %d unclear, %d late", s.counts.messages.Load(), drops, s.counts.unclear.Load(), s.Late())
	r.mu.Lock()
	defer r.mu.Unlock()
	began := map[int32]time.Duration{} // of the storms, those that were seen
	for i := range r.events {
		e := &r.events[i]
		for _, cmd := range storms {
			if int(e.PID) == cmd.Process.Pid {
				began[e.PID] = e.Start
			}
		}
	}
	for i := range r.events {
		e := &r.events[i]
		if start, ok := began[e.PPID]; ok && e.ParentStart != 0 && procfs.Ticks(e.ParentStart) != procfs.Ticks(start) {
			t.Fatalf("%v of %d: its parent began at %v, not %v", e.Kind, e.PID, start, e.ParentStart)
		}
	}
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

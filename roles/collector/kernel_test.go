//go:build linux

package collector

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// watch runs a collector with the kernel's source, or skips the test.
func (a *testAgent) watch(cfg Config) (stop func()) {
	a.t.Helper()
	s, err := bpf.Open(bpf.Config{})
	if err != nil {
		a.t.Skip(err)
	}
	_ = s.Close()
	return a.run(cfg)
}

// of returns what is known of a process, in order.
func (a *testAgent) of(pid int) []row {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rows("process_events", pid, func(r row) bool { return ours(r, pid) })
}

func kinds(rows []row) (list []string) {
	for _, r := range rows {
		list = append(list, r["event"].(string))
	}
	return list
}

// TestKernelEvents: with no scan in between, a process is seen from its begin
// to its end.
func TestKernelEvents(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour})
	a.scan(1)
	cmd := exec.Command("sh", "-c", "exit 3")
	cmd.Env = []string{"LD_PRELOAD=", "HOME=/"}
	cmd.Dir = "/"
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	a.event(eventExit, pid, nil)
	rows := a.of(pid)
	if got := kinds(rows); !slices.Equal(got, []string{eventFork, eventExec, eventExit}) {
		t.Fatalf("events %v, want fork, exec and exit", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	last := time.Time{}
	for _, r := range rows {
		if r["entity_id"] != rows[0]["entity_id"] || r["source"] != api.SourceKernel || r["ppid"] != int64(os.Getpid()) || r["parent_executable_path"] != self ||
			r["parent_entity_id"] == nil || r["ancestors"].([]string)[0] != self || r["time"].(time.Time).Before(last) {
			t.Errorf("%v: entity %v, source %v, parent %v %v, time %v after %v", r["event"], r["entity_id"], r["source"], r["ppid"], r["parent_executable_path"], r["time"], last)
		}
		last = r["time"].(time.Time)
	}
	if age := time.Since(last); age < -time.Second || age > time.Minute {
		t.Errorf("it ended %v ago", age)
	}
	fork, image, exit := rows[0], rows[1], rows[2]
	if fork["executable_path"] != self || fork["exit_code"] != nil {
		t.Errorf("fork: executable %v, exit code %v; want the parent's and none", fork["executable_path"], fork["exit_code"])
	}
	if image["command_line"] != "sh -c exit 3" || image["name"] != "sh" || image["cwd"] != "/" || image["environment_vars"] == nil ||
		!changed("executable_path")(image) || !changed("command_line")(image) || changed("user_id")(image) {
		t.Errorf("exec: %v", image)
	}
	if exit["exit_code"] != int64(3) || exit["exit_signal"] != nil || exit["command_line"] != "sh -c exit 3" || exit["duration"].(float64) <= 0 || exit["peak_memory"].(int64) <= 0 {
		t.Errorf("exit: code %v, signal %v, command line %v, duration %v, peak %v", exit["exit_code"], exit["exit_signal"], exit["command_line"], exit["duration"], exit["peak_memory"])
	}
}

// TestKernelEnvironment: what found no room is said, also when nothing did.
func TestKernelEnvironment(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	fill := "LD_LIBRARY_PATH=" + strings.Repeat("x", 30_000)
	for _, test := range []struct {
		environ []string
		want    any
	}{
		{[]string{"HOME=/"}, nil}, {[]string{"LD_DEBUG="}, false}, {[]string{fill}, true}, {[]string{fill, "LD_PRELOAD="}, true},
	} {
		cmd := exec.Command("true")
		cmd.Env = test.environ
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		image := a.event(eventExec, cmd.Process.Pid, nil)
		vars, _ := image["environment_vars"].(json.RawMessage)
		if image["environment_truncated"] != test.want || (vars == nil) != (test.want == nil) {
			t.Errorf("%.30q: truncated %v, want %v; %.40s", test.environ, image["environment_truncated"], test.want, vars)
		}
		if len(test.environ) == 2 && !strings.Contains(string(vars), "LD_PRELOAD") {
			t.Errorf("LD_PRELOAD is missing in %.40s", vars)
		}
	}
}

// TestKernelAndScans: however scans fall between the events, each process is
// told of once, and a scan finds nothing new.
func TestKernelAndScans(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{NoHash: true})
	a.scan(1)
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	stays := start(t, exec.Command("sh", "-c", "echo; read x; exec sleep 1000"), true)
	var pids []int
	for i := range 200 {
		cmd := exec.Command("sh", "-c", "exec true "+strconv.Itoa(i))
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	stays.tell(t, false)
	a.event(eventExec, stays.Process.Pid, func(r row) bool { return r["name"] == "sleep" })
	a.event(eventExit, pids[len(pids)-1], nil)
	a.scan(2)
	for i, pid := range pids {
		rows := a.of(pid)
		if got := kinds(rows); !slices.Equal(got, []string{eventFork, eventExec, eventExec, eventExit}) {
			t.Fatalf("events of %d: %v, want fork, exec, exec and exit", pid, got)
		}
		if want := fmt.Sprintf("true %d", i); rows[2]["command_line"] != want || rows[3]["command_line"] != want {
			t.Errorf("command lines %q, %q, want %q", rows[2]["command_line"], rows[3]["command_line"], want)
		}
	}
	if got := kinds(a.of(stays.Process.Pid)); !slices.Equal(got, []string{eventFork, eventExec, eventExec}) {
		t.Errorf("events of a process that stays: %v, want fork, exec and exec", got)
	}
	if got := kinds(a.of(zombie.Process.Pid)); !slices.Equal(got, []string{eventFork, eventExec, eventExit}) {
		t.Errorf("events of a process that nobody waits for: %v, want fork, exec and exit", got)
	}
}

// TestKernelHash: the digest of a file that is run for the first time comes in a
// row of its own, and not later than it is known.
func TestKernelHash(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour})
	a.scan(1)
	// While others are hashed, state is compared again and again.
	a.await("the hashes of all", func() bool {
		last := a.beats[len(a.beats)-1]
		return last.Scans > 0 && last.HashQueue == 0
	})
	p := start(t, exec.Command(copyOf(t, "sleep", "fresh"), "1000"), false)
	if r := a.event(eventExec, p.Process.Pid, nil); r["executable_hash"] != nil {
		t.Errorf("the exec has the hash %v, which is not known yet", r["executable_hash"])
	}
	r := a.event(eventChanged, p.Process.Pid, func(r row) bool { return r["executable_hash"] != nil })
	if changed, _ := r["changed_columns"].([]string); !slices.Equal(changed, []string{"executable_hash", "executable_blake3"}) {
		t.Errorf("changed columns %v, want the hashes", r["changed_columns"])
	}
}

// TestKernelLosses: what finds no room in the ring buffer is reported as a gap,
// and a scan finds what is there.
func TestKernelLosses(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{RingBytes: 4096, NoHash: true})
	a.scan(1)
	stays := exec.Command("sh", "-c", `i=0; while [ $i -lt 500 ]; do (:) & i=$((i+1)); done; wait; echo; read x`)
	p := start(t, stays, true)
	a.await("a gap", func() bool {
		for _, b := range a.batches {
			if b.Table.Name == "event_gaps" && b.Column("table_name").Text(0) == "process_events" && b.Column("lost").Int(0) > 0 {
				return true
			}
		}
		return false
	})
	a.await("the process", func() bool {
		for _, b := range a.state {
			if b.Column("pid").Int(0) == int64(p.Process.Pid) && b.Column("name").Text(0) == "sh" {
				return true
			}
		}
		return false
	})
	// Until a scan finds one of which no event could tell.
	for found := false; !found; {
		start(t, exec.Command("sh", "-c", `i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; echo; wait`), true)
		a.scan(1)
		a.mu.Lock()
		found = len(a.beats) > 0 && a.beats[len(a.beats)-1].Found > 0
		a.mu.Unlock()
	}
}

// TestKernelLossesAreReportedAtOnce: a gap does not wait for a scan, nor for the
// agent to acknowledge what was sent before.
func TestKernelLossesAreReportedAtOnce(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{RingBytes: 4096, NoHash: true, Interval: time.Hour})
	a.scan(1)
	a.mu.Lock()
	a.hold = true
	a.mu.Unlock()
	start(t, exec.Command("sh", "-c", `while :; do (:) & (:) & (:) & wait; done`), false)
	a.await("a gap", func() bool {
		return slices.ContainsFunc(a.held, func(m *bus.Ingest) bool { return m.Topic == api.EventsTopic+"event_gaps" })
	})
	a.release()
}

// TestKernelStops: when the programs, or one of them, are taken out of the kernel
// behind the source's back, a scan notices it, and the time since is a gap.
func TestKernelStops(t *testing.T) {
	counts := Config{NoHash: true, checkInterval: time.Hour}
	t.Run("all", func(t *testing.T) {
		testKernelStops(t, counts, nil, func() { start(t, exec.Command("sleep", "1000"), false) })
	})
	// The links were opened in this order.
	t.Run("exit", func(t *testing.T) {
		testKernelStops(t, counts, []int{0}, func() {
			c := start(t, exec.Command("sleep", "1000"), false)
			_ = c.Process.Kill()
			_ = c.Wait()
		})
	})
	t.Run("exec", func(t *testing.T) {
		testKernelStops(t, counts, []int{1}, func() { start(t, exec.Command("sleep", "1000"), false) })
	})
	t.Run("another, which nothing counts", func(t *testing.T) {
		testKernelStops(t, Config{NoHash: true}, []int{3}, func() {})
	})
}

func testKernelStops(t *testing.T, cfg Config, links []int, act func()) {
	a := newTestAgent(t)
	a.watch(cfg)
	a.scan(2)
	before := cutLinks(t, links)
	a.await("another source", func() bool { // the kernel takes the programs out a little later
		act()
		return a.regs[len(a.regs)-1].Source != api.SourceKernel
	})
	a.await("sensor_stopped", func() bool {
		return len(a.rows("kernel_events", 0, func(r row) bool {
			return r["event"] == eventSensorStopped && r["target_protected"] == true && r["target_pid"] == int64(os.Getpid()) && r["arguments"] != nil
		})) == 1
	})
	a.await("a gap", func() bool {
		return slices.ContainsFunc(a.batches, func(b *event.Batch) bool {
			return b.Table.Name == "event_gaps" && b.Column("table_name").Text(0) == "process_events" &&
				b.Column("start_time").Int(0) <= before.UnixMicro() && b.Column("end_time").Int(0) > before.UnixMicro()
		})
	})
}

// cutLinks closes what attaches the programs for processes: those named, or all
// but the list. It returns when it began to.
func cutLinks(t *testing.T, only []int) (began time.Time) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// By number, as they were opened.
	slices.SortFunc(open, func(a, b os.DirEntry) int {
		return cmp.Or(cmp.Compare(len(a.Name()), len(b.Name())), cmp.Compare(a.Name(), b.Name()))
	})
	found, cut := 0, 0
	for _, f := range open {
		info, err := os.ReadFile("/proc/self/fdinfo/" + f.Name())
		if err != nil || !bytes.Contains(info, []byte("link_id:")) || bytes.Contains(info, []byte("link_type:\titer")) {
			continue
		}
		if found++; len(only) > 0 && !slices.Contains(only, found-1) {
			continue
		}
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if cut == 0 {
			began = time.Now()
		}
		if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		cut++
	}
	if found < 3 || len(only) > 0 && cut != len(only) {
		t.Fatalf("%d links were open, want at least 3; %d are cut", found, cut)
	}
	return began
}

// TestKernelEventsAreGathered: while the agent does not take them, events fill
// few batches, so that the queue holds more than as many moments.
func TestKernelEventsAreGathered(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{NoHash: true, Interval: time.Hour, QueueFrames: 384})
	a.scan(1)
	a.mu.Lock()
	a.hold = true
	a.mu.Unlock()
	pids := make([]int, 500)
	for i := range pids {
		cmd := exec.Command("true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		pids[i] = cmd.Process.Pid
	}
	a.release()
	told, taken := map[int64][]string{}, 0
	a.await("the last exit", func() bool {
		for _, b := range a.batches[taken:] {
			for i := 0; i < b.Rows && b.Table.Name == "process_events"; i++ {
				pid := b.Column("pid").Int(i)
				told[pid] = append(told[pid], b.Column("event").Text(i))
			}
		}
		taken = len(a.batches)
		return slices.Contains(told[int64(pids[len(pids)-1])], eventExit)
	})
	for _, pid := range pids {
		if got := told[int64(pid)]; !slices.Equal(got, []string{eventFork, eventExec, eventExit}) {
			t.Fatalf("events of %d: %v, want fork, exec and exit", pid, got)
		}
	}
}

// TestKernelEnds: when a source fails, the next best goes on, and the agent is
// told.
func TestKernelEnds(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		name string
	}{{Config{}, api.SourceKernel}, {Config{NoEBPF: true}, api.SourceNetlink}} {
		t.Run(c.name, func(t *testing.T) { testEnd(t, c.cfg, c.name) })
	}
}

// TestOnlyEBPF: with collector.source: ebpf there is no collector that sees less.
func TestOnlyEBPF(t *testing.T) {
	a := newTestAgent(t)
	cfg := Config{Dial: a.dial, NoHash: true, OnlyEBPF: true}
	t.Run("refused", func(t *testing.T) {
		if os.Geteuid() == 0 { // in another process, since connect gives capabilities up
			cmd := exec.Command("/proc/self/exe", "-test.run", "^TestOnlyEBPF$/^refused$", "-test.v")
			cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestOnlyEBPF/refused")) {
				t.Errorf("as nobody: %v\n%s", err, out)
			}
			return
		}
		c, err := open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := c.connect(); err == nil || !strings.HasPrefix(err.Error(), "collector.source is ebpf: ") {
			t.Errorf("connect without capabilities = %v, want an error that says why", err)
		}
	})
	t.Run("ended", func(t *testing.T) {
		c, err := open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := c.connect(); err != nil {
			t.Skip(err)
		}
		defer c.agent.close()
		if c.before, err = c.agent.baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.kernel.source.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "collector.source is ebpf: ") {
			t.Errorf("run without its source = %v, want an error that says why", err)
		}
	})
}

func testEnd(t *testing.T, cfg Config, name string) {
	a := newTestAgent(t)
	cfg.Dial, cfg.Interval, cfg.NoHash, cfg.Log = a.dial, MinInterval, true, core.NewLogger(zaptest.NewLogger(t).Core())
	c, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.connect(); err != nil {
		t.Fatal(err)
	}
	defer c.agent.close()
	if c.source() != name {
		t.Skipf("%s can not be used here", name)
	}
	source := c.kernel.source
	if c.before, err = c.agent.baseline(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	a.scan(1)
	p := start(t, exec.Command("sleep", "1000"), false)
	a.event(eventExec, p.Process.Pid, nil)
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	var last api.Registration
	a.await("another registration", func() bool {
		last = a.regs[len(a.regs)-1]
		return a.regs[0].Source == name && last.Source != name && len(last.Limits) > 0
	})
	if name == api.SourceNetlink && last.Source != api.SourceProc {
		t.Errorf("source %s, want scans", last.Source)
	}
	a.scan(1)
	q := start(t, exec.Command("sleep", "1001"), false)
	kind := eventExec
	if last.Source == api.SourceProc {
		kind = eventSeen
	}
	a.event(kind, q.Process.Pid, func(r row) bool { return r["source"] == last.Source })
	if got := kinds(a.of(p.Process.Pid)); slices.Contains(got, eventSeen) || slices.Contains(got, eventExit) {
		t.Errorf("events of a process from before: %v", got)
	}
}

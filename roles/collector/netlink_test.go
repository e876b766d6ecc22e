//go:build linux

package collector

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/connector"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
)

// listen runs a collector with the kernel's process events, or skips the test.
func (a *testAgent) listen(cfg Config) {
	a.t.Helper()
	s, err := connector.Open(connector.Config{})
	if err != nil {
		a.t.Skip(err)
	}
	_ = s.Close()
	cfg.NoEBPF = true
	a.run(cfg)
}

// gap reports whether there is one of process_events.
func (a *testAgent) gap(reason string, lost bool) bool {
	return slices.ContainsFunc(a.batches, func(b *event.Batch) bool {
		return b.Table.Name == "event_gaps" && b.Column("table_name").Text(0) == "process_events" && b.Column("reason").Text(0) == reason &&
			b.Column("lost").IsNull(0) != lost && b.Column("start_time").Int(0) < b.Column("end_time").Int(0)
	})
}

// TestNetlinkEvents: with no scan in between, a process is seen from its begin to
// its end.
func TestNetlinkEvents(t *testing.T) {
	a := newTestAgent(t)
	a.listen(Config{Interval: time.Hour})
	a.scan(1)
	cmd := exec.Command("sh", "-c", "read x; printf other > /proc/$$/comm; read y; exit 3")
	cmd.Env = []string{"LD_LIBRARY_PATH=/lib", "HOME=/"}
	cmd.Dir = "/"
	p := start(t, cmd, false)
	pid := p.Process.Pid
	a.event(eventExec, pid, nil)
	p.tell(t, false)
	renamed := a.event(eventChanged, pid, changed("name"))
	p.tell(t, false)
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatal(err)
	}
	a.event(eventExit, pid, nil)
	rows := a.of(pid)
	if got := kinds(rows); !slices.Equal(got, []string{eventFork, eventExec, eventChanged, eventExit}) {
		t.Fatalf("events %v, want fork, exec, changed and exit", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	last := time.Time{}
	for _, r := range rows {
		if r["entity_id"] != rows[0]["entity_id"] || r["start_time"] != rows[0]["start_time"] || r["source"] != api.SourceNetlink || r["ppid"] != int64(os.Getpid()) ||
			r["parent_executable_path"] != self || r["parent_entity_id"] == nil || r["ancestors"].([]string)[0] != self || r["time"].(time.Time).Before(last) {
			t.Errorf("%v: entity %v, started %v, source %v, parent %v %v, time %v after %v",
				r["event"], r["entity_id"], r["start_time"], r["source"], r["ppid"], r["parent_executable_path"], r["time"], last)
		}
		last = r["time"].(time.Time)
	}
	if age := time.Since(last); age < -time.Second || age > time.Minute {
		t.Errorf("it ended %v ago", age)
	}
	sh, _ := filepath.EvalSymlinks("/bin/sh")
	fork, image, exit := rows[0], rows[1], rows[3]
	if fork["executable_path"] != self || fork["exit_code"] != nil || fork["user_id"] != int64(os.Getuid()) || fork["name"] == "sh" {
		t.Errorf("fork: %v", fork)
	}
	if image["command_line"] != "sh -c read x; printf other > /proc/$$/comm; read y; exit 3" || image["name"] != "sh" || image["executable_path"] != sh || image["cwd"] != "/" ||
		image["environment_vars"] == nil || image["accessible"] != true || !changed("executable_path")(image) || !changed("command_line")(image) || changed("user_id")(image) {
		t.Errorf("exec: %v", image)
	}
	if renamed["name"] != "other" || renamed["command_line"] != image["command_line"] || len(renamed["changed_columns"].([]string)) != 1 {
		t.Errorf("changed: %v", renamed)
	}
	if exit["exit_code"] != int64(3) || exit["exit_signal"] != nil || exit["command_line"] != image["command_line"] || exit["duration"].(float64) <= 0 || exit["peak_memory"] != nil {
		t.Errorf("exit: %v", exit)
	}
}

// TestNetlinkAndScans: however scans fall between the events, each process is
// told of once, and no scan finds one.
func TestNetlinkAndScans(t *testing.T) {
	a := newTestAgent(t)
	a.listen(Config{NoHash: true})
	a.scan(1)
	stays := start(t, exec.Command("sh", "-c", "echo; read x; exec sleep 1000"), true)
	var pids []int
	for i := range 100 {
		cmd := exec.Command("sh", "-c", "exec true "+strconv.Itoa(i))
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	stays.tell(t, false)
	a.event(eventExec, stays.Process.Pid, func(r row) bool { return r["name"] == "sleep" })
	a.await("the last exit", func() bool { // of which the arguments may not be known
		return len(a.find(func(r row) bool { return r["event"] == eventExit && ours(r, pids[len(pids)-1]) })) > 0
	})
	a.scan(12)
	for i, pid := range pids {
		rows := a.of(pid)
		if got := kinds(rows); !slices.Equal(got, []string{eventFork, eventExec, eventExec, eventExit}) {
			for _, r := range rows {
				t.Logf("%v of %d: %v", r["event"], pid, r["changed_columns"])
			}
			t.Fatalf("events of %d: %v, want fork, exec, exec and exit", pid, got)
		}
		for _, r := range rows[1:3] {
			line := r["command_line"]
			if line != nil && line != "sh -c exec true "+strconv.Itoa(i) && line != "true "+strconv.Itoa(i) || line == nil && r["accessible"] != false {
				t.Errorf("%v of %d: command line %v, accessible %v", r["event"], pid, line, r["accessible"])
			}
		}
		if second := rows[2]["command_line"]; second == "sh -c exec true "+strconv.Itoa(i) {
			t.Errorf("the second exec of %d has the arguments of the first", pid)
		}
	}
	if got := kinds(a.of(stays.Process.Pid)); !slices.Equal(got, []string{eventFork, eventExec, eventExec}) {
		t.Errorf("events of a process that stays: %v, want fork, exec and exec", got)
	}
}

// TestForkThatCameLate: what could not be read of a new process is as it was of
// its parent, so that the scan after it finds nothing changed.
func TestForkThatCameLate(t *testing.T) {
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := newLive(e, newRows(nil, nil), false)
	l.seed(snap)
	parent := l.processes[int32(os.Getpid())]
	if parent == nil || parent.CapBounding == 0 {
		t.Skip("this process has no capability bounding set")
	}
	parent.CapInheritable, parent.CapAmbient = 1, 1
	child := &procfs.Process{PID: 1 << 22, StartTime: 1 << 50, StartTicks: procfs.Ticks(1 << 50)}
	h := l.apply(&bpf.Event{Kind: bpf.Fork, PPID: parent.PID, ParentStart: procfs.TicksTime(parent.StartTicks), Process: child})
	if h.process != child || child.Parent != parent {
		t.Fatalf("the new process %v, parent %v", h.process, child.Parent)
	}
	if got := differences(parent, child); len(got) > 0 {
		t.Errorf("it differs from its parent in %v", got)
	}
}

// TestNetlinkLosses: what finds no room in the socket's buffer is reported as a
// gap, and a scan out of turn finds who is there.
func TestNetlinkLosses(t *testing.T) {
	a := newTestAgent(t)
	a.listen(Config{SocketBytes: 2048, NoHash: true, Interval: time.Hour})
	a.scan(1)
	storm := `i=0; while [ $i -lt 300 ]; do (:) & i=$((i+1)); done; wait`
	start(t, exec.Command("sh", "-c", storm+"; "+storm+"; echo; read x"), true)
	a.await("a gap", func() bool { return a.gap("the kernel's buffer was full", true) })
	a.scan(1)
	// Until a scan out of turn has found one of which no event could tell.
	for found := false; !found; {
		start(t, exec.Command("sh", "-c", `i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; echo; wait`), true)
		a.scan(1)
		a.mu.Lock()
		found = len(a.beats) > 0 && a.beats[len(a.beats)-1].Found > 0
		a.mu.Unlock()
	}
}

// TestNetlinkLate: of a process that has ended before it could be looked up, the
// row says so, and there is a gap.
func TestNetlinkLate(t *testing.T) {
	a := newTestAgent(t)
	a.listen(Config{NoHash: true, Interval: time.Hour})
	a.scan(1)
	start(t, exec.Command("sh", "-c", `while :; do /bin/true & /bin/true & /bin/true & wait; done`), false)
	a.await("a gap", func() bool { return a.gap("a process ended before /proc could tell what it ran", false) })
	a.await("the number of them", func() bool { return len(a.beats) > 0 && a.beats[len(a.beats)-1].Late > 0 })
	a.await("its row", func() bool {
		return len(a.find(func(r row) bool {
			return r["event"] == eventExec && r["source"] == api.SourceNetlink && r["command_line"] == nil && r["accessible"] == false && r["ppid"] != nil && r["start_time"] != nil
		})) > 0
	})
}

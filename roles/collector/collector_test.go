//go:build linux

package collector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"daemoneye/bus/event"
	"daemoneye/platform/procfs"
)

func changed(column string) func(row) bool {
	return func(r row) bool {
		list, _ := r["changed_columns"].([]string)
		return slices.Contains(list, column)
	}
}

// copyOf returns the path of a copy of a program, under the name.
func copyOf(t *testing.T, program, name string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(copied, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestSeenExecExit(t *testing.T) {
	a := newTestAgent(t)
	stop := a.collect(Config{})
	a.scan(1)
	p := start(t, exec.Command("sh", "-c", "echo; read x; exec sleep 1000"), true)
	pid := p.Process.Pid
	seen := a.event(eventSeen, pid, nil)
	if seen["name"] != "sh" || seen["command_line"] != "sh -c echo; read x; exec sleep 1000" || seen["invoked_path"] != "sh" || seen["source"] != "procfs" {
		t.Errorf("seen: name %q, command line %q, invoked as %q", seen["name"], seen["command_line"], seen["invoked_path"])
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if seen["ppid"] != int64(os.Getpid()) || seen["parent_executable_path"] != self || seen["ancestors"].([]string)[0] != self {
		t.Errorf("parent %v, %q, ancestors %q; want %d, %q", seen["ppid"], seen["parent_executable_path"], seen["ancestors"], os.Getpid(), self)
	}
	age := time.Since(seen["start_time"].(time.Time))
	if age < 0 || age > time.Minute {
		t.Errorf("it started %v ago, want a moment", age)
	}
	hashed := a.event(eventChanged, pid, changed("executable_hash"))
	raw, err := os.ReadFile(seen["executable_path"].(string))
	if err != nil {
		t.Fatal(err)
	}
	sum, blake := sha256.Sum256(raw), blake3.Sum256(raw)
	if hashed["executable_hash"] != hex.EncodeToString(sum[:]) || hashed["hash_algorithm"] != "sha256" || hashed["executable_blake3"] != hex.EncodeToString(blake[:]) {
		t.Errorf("digests %v and %v, want those of %v", hashed["executable_hash"], hashed["executable_blake3"], seen["executable_path"])
	}

	p.tell(t, false)
	ran := a.event(eventExec, pid, func(r row) bool { return r["name"] == "sleep" })
	if ran["entity_id"] != seen["entity_id"] || ran["name"] != "sleep" || ran["command_line"] != "sleep 1000" {
		t.Errorf("exec: entity %v, want %v; name %q, command line %q", ran["entity_id"], seen["entity_id"], ran["name"], ran["command_line"])
	}
	if !changed("executable_path")(ran) || !changed("command_line")(ran) {
		t.Errorf("exec changed %v, want executable_path and command_line among them", ran["changed_columns"])
	}

	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	gone := a.event(eventExit, pid, nil)
	if gone["entity_id"] != seen["entity_id"] || gone["command_line"] != "sleep 1000" || gone["parent_executable_path"] != self {
		t.Errorf("exit = %v, want the last known values", gone)
	}
	stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.find(func(r row) bool { return r["pid"] == int64(pid) && r["event"] == eventSeen })); n != 1 {
		t.Errorf("%d seen events of one process, want 1", n)
	}
	for _, r := range a.find(func(r row) bool { return r["event"] == eventChanged }) {
		if list := r["changed_columns"].([]string); len(list) == 0 {
			t.Errorf("changed without changed columns: %v", r)
		}
	}
}

func TestChangedWithoutExec(t *testing.T) {
	a := newTestAgent(t)
	p := start(t, self(t, "title", strings.Repeat("x", 64)), true)
	a.collect(Config{})
	a.event(eventSeen, p.Process.Pid, nil)
	p.tell(t, true)
	got := a.event(eventChanged, p.Process.Pid, changed("command_line"))
	if got["command_line"] != "worker: idle" {
		t.Errorf("command line = %q, want %q", got["command_line"], "worker: idle")
	}
	if n := a.count(p.Process.Pid, eventExec); n != 0 {
		t.Errorf("%d exec events for a process that wrote over its arguments, want none", n)
	}
}

func (a *testAgent) count(pid int, kind string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.find(func(r row) bool { return r["pid"] == int64(pid) && r["event"] == kind }))
}

func TestExecOfTheSameProgram(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	p := start(t, exec.Command("sh", "-c", `echo; read x; exec sh -c "echo; read x; read y"`), true)
	a.event(eventSeen, p.Process.Pid, nil)
	p.tell(t, true)
	got := a.event(eventExec, p.Process.Pid, func(r row) bool { return r["command_line"] == "sh -c echo; read x; read y" })
	if changed("executable_path")(got) || !changed("command_line")(got) {
		t.Errorf("changed %v, want command_line and not executable_path", got["changed_columns"])
	}
}

func TestCredentialsChange(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes users")
	}
	a := newTestAgent(t)
	a.collect(Config{})
	p := start(t, self(t, "setuid", "65534"), true)
	seen := a.event(eventSeen, p.Process.Pid, nil)
	if seen["user_id"] != int64(0) || seen["user_name"] != "root" || len(seen["capabilities"].([]string)) == 0 {
		t.Errorf("user %v %v, capabilities %v, want root's", seen["user_id"], seen["user_name"], seen["capabilities"])
	}
	p.tell(t, true)
	got := a.event(eventChanged, p.Process.Pid, changed("user_id"))
	if got["user_id"] != int64(65534) || got["effective_user_id"] != int64(65534) || len(got["capabilities"].([]string)) != 0 || !changed("capabilities")(got) {
		t.Errorf("user %v, capabilities %v, changed %v", got["user_id"], got["capabilities"], got["changed_columns"])
	}
}

func TestExecutableDeletedAndReplaced(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	deleted, replaced := copyOf(t, "sleep", "victim"), copyOf(t, "sleep", "replaced")
	odd := copyOf(t, "sleep", "x (deleted)") // really its name
	p, q, o := start(t, exec.Command(deleted, "1000"), false), start(t, exec.Command(replaced, "1000"), false), start(t, exec.Command(odd, "1000"), false)
	for _, x := range []*process{p, q, o} {
		if got := a.event(eventSeen, x.Process.Pid, nil); got["file_exists"] != true || got["executable_path"] != x.Path {
			t.Errorf("%s: file_exists = %v, path %q", x.Path, got["file_exists"], got["executable_path"])
		}
	}
	if err := os.Remove(deleted); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copyOf(t, "true", "other"), replaced); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*process{p, q} {
		got := a.event(eventChanged, x.Process.Pid, changed("file_exists"))
		if got["file_exists"] != false || got["executable_path"] != x.Path {
			t.Errorf("%s: file_exists = %v, path %q, want false and the path as it was", x.Path, got["file_exists"], got["executable_path"])
		}
	}
	if n := a.count(o.Process.Pid, eventChanged); n > 1 { // its digest
		t.Errorf("%d changes of a process whose executable is in place", n)
	}
}

func TestOddBytes(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	name := "o)\n \x1b[31m\xff"
	sh := start(t, exec.Command("sh", "-c", "echo; read x", "sh", "", "a\xffb", "\x1b]0;x\a"), true)
	got := a.event(eventSeen, sh.Process.Pid, nil)
	if want := "sh -c echo; read x sh  a\\xffb \x1b]0;x\a"; got["command_line"] != want {
		t.Errorf("command line = %q, want %q", got["command_line"], want)
	}
	named := start(t, exec.Command(copyOf(t, "sleep", name), "1000"), false)
	got = a.event(eventSeen, named.Process.Pid, nil)
	if want := "o)\n \x1b[31m\\xff"; got["name"] != want || !strings.HasSuffix(got["executable_path"].(string), want) {
		t.Errorf("name = %q, path %q, want %q", got["name"], got["executable_path"], want)
	}
}

func TestLongCommandLine(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	args := []string{"-c", "echo; read x", "sh"}
	for range 15 {
		args = append(args, strings.Repeat("\xfe", 128<<10-1)) // MAX_ARG_STRLEN
	}
	p := start(t, exec.Command("sh", args...), true)
	got := a.event(eventSeen, p.Process.Pid, nil)
	line := got["command_line"].(string)
	if got["command_line_truncated"] != true || !strings.HasPrefix(line, "sh -c echo; read x sh \\xfe") || len(line) > maxCommandLine {
		t.Errorf("command line of %d bytes, truncated %v", len(line), got["command_line_truncated"])
	}
	child := start(t, exec.Command("sleep", "1000"), false)
	if got := a.event(eventSeen, child.Process.Pid, nil); got["command_line_truncated"] != false {
		t.Errorf("truncated = %v for a short command line", got["command_line_truncated"])
	}
}

func TestSecretsNeverLeave(t *testing.T) {
	const secret = "hunter2secret"
	a := newTestAgent(t)
	cfg := Config{}
	cfg.Scan.Environment = true
	stop := a.collect(cfg)
	cmd := exec.Command("sh", "-c", "echo; read x", "mysql", "--password", secret, "-p"+secret, "https://u:"+secret+"@h/", "API_TOKEN="+secret)
	cmd.Env = []string{"DB_PASSWORD=" + secret, "URL=https://u:" + secret + "@h/", "HOME=/x"}
	p := start(t, cmd, true)
	// A program that has written its command line over its name.
	titled := exec.Command("sh", "-c", "echo; read x")
	titled.Args[0] = "worker: --password " + secret
	w := start(t, titled, true)
	if got := a.event(eventSeen, w.Process.Pid, nil); got["invoked_path"] != "worker: --password [REDACTED]" {
		t.Errorf("invoked_path = %q", got["invoked_path"])
	}
	got := a.event(eventSeen, p.Process.Pid, nil)
	if want := "sh -c echo; read x mysql --password [REDACTED] -p[REDACTED] https://u:[REDACTED]@h/ API_TOKEN=[REDACTED]"; got["command_line"] != want {
		t.Errorf("command line = %q, want %q", got["command_line"], want)
	}
	var env map[string]string
	if err := json.Unmarshal(got["environment_vars"].(json.RawMessage), &env); err != nil {
		t.Fatal(err)
	}
	if env["DB_PASSWORD"] != redacted || env["HOME"] != "/x" || env["URL"] != "https://u:[REDACTED]@h/" {
		t.Errorf("environment = %v", env)
	}
	stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.batches {
		for k, c := range b.Table.Columns {
			for i := range b.Rows {
				if s, ok := b.Columns[k].Value(i).(string); ok && strings.Contains(s, secret) {
					t.Errorf("%s.%s = %q holds the secret", b.Table.Name, c.Name, s)
				}
			}
		}
	}
}

// What is cut off in the middle may be half a secret.
func TestCutSecretsNeverLeave(t *testing.T) {
	a := newTestAgent(t)
	cfg := Config{}
	cfg.Scan.MaxCommandLine, cfg.Scan.MaxEnviron, cfg.Scan.Environment = 48, 48, true
	a.collect(cfg)
	cmd := exec.Command("sh", "-c", "echo; read x", "sh", "--verbose", "https://root:hunter2secret@host/")
	cmd.Env = []string{"HOME=/x", "URL=https://somebody:hunter2secrethunter2secret@host/"}
	p := start(t, cmd, true)
	got := a.event(eventSeen, p.Process.Pid, nil)
	if want := "sh -c echo; read x sh --verbose"; got["command_line"] != want || got["command_line_truncated"] != true {
		t.Errorf("command line = %q, truncated %v, want %q", got["command_line"], got["command_line_truncated"], want)
	}
	var env map[string]string
	if err := json.Unmarshal(got["environment_vars"].(json.RawMessage), &env); err != nil || len(env) != 1 || env["HOME"] != "/x" {
		t.Errorf("environment = %v (%v), want HOME alone", env, err)
	}
	script := start(t, exec.Command("sh", "-c", "echo; read x; echo curl https://root:hunter2secret@host/"), true)
	if got := a.event(eventSeen, script.Process.Pid, nil); got["command_line"] != "sh -c echo; read x; echo curl" {
		t.Errorf("command line = %q, want it without the last word", got["command_line"])
	}
}

// The largest row that can be made, after a batch that is all but full, fits
// into a frame.
func TestLargestRow(t *testing.T) {
	for _, c := range []string{"\xff", "\x01", "x", "\\", "\u2028"} {
		redact, err := newRedactor(Redaction{})
		if err != nil {
			t.Fatal(err)
		}
		long := func(n int) string { return strings.Repeat(c, n/len(c)) }
		var parent *procfs.Process
		for i := range 40 {
			p := &procfs.Process{
				EntityID: fmt.Sprintf("%032d", i), HasStat: true, HasStatus: true, PID: int32(i + 1), Name: long(64), TTY: long(64),
				Cmdline: strings.Repeat(long(100)+"\x00", 4000), UserName: long(256), Executable: fmt.Sprint(i) + long(4095), CWD: long(4095),
				Cgroup: long(4095), ContainerID: long(128), CapEffective: 1<<41 - 1, EnvironKnown: true, Environ: "A=" + long(32<<10) + "\x00",
				Accessible: true, Parent: parent,
			}
			parent = p
		}
		rows := newRows(redact, nil).build([]*procfs.Process{parent}, newState())
		b := event.NewBuilder(event.Lookup("process_events"))
		b.Column("changed_columns").Texts(compared())
		b.Column("event").Text(eventChanged)
		b.AddRow(rows, 0)
		if size := len(event.Encode(nil, b.Batch())) + maxBatchSize; size > 1<<20-1<<10 {
			t.Errorf("of %q: the largest row in a batch that is all but full makes %d bytes, which is no frame", c, size)
		}
	}
}

func TestZombieKeepsItsRow(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	// The shell becomes sleep, which never waits for its child.
	p := start(t, exec.Command("sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"), false)
	line := p.line(t)
	var pid int
	if err := json.Unmarshal([]byte(line), &pid); err != nil {
		t.Fatal(err)
	}
	seen := a.event(eventSeen, pid, func(r row) bool { return r["name"] == "sleep" })
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.await("the zombie's sample", func() bool {
		for _, b := range a.batches {
			for i := range b.Rows {
				if b.Table.Name == "process_samples" && b.Column("pid").Int(i) == int64(pid) && b.Column("status").Text(i) == "zombie" {
					return true
				}
			}
		}
		return false
	})
	a.scan(2)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.find(func(r row) bool { return r["pid"] == int64(pid) && r["name"] == "sleep" }) {
		if r["executable_path"] != seen["executable_path"] || r["command_line"] != "sleep 1000" || r["event"] == eventExit {
			t.Errorf("%v of a zombie: %q, %q; want no exit, and what was known", r["event"], r["executable_path"], r["command_line"])
		}
	}
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	a := newTestAgent(t)
	stays := start(t, exec.Command("sh", "-c", "echo; read x"), true)
	stop := a.collect(Config{})
	ends := start(t, exec.Command("sleep", "1001"), false)
	execs := start(t, exec.Command("sh", "-c", "echo; read x; exec sleep 1000"), true)
	a.event(eventSeen, stays.Process.Pid, nil)
	a.event(eventChanged, stays.Process.Pid, changed("executable_hash"))
	a.event(eventSeen, ends.Process.Pid, nil)
	a.event(eventSeen, execs.Process.Pid, nil)
	stop()

	_ = ends.Process.Kill()
	_ = ends.Wait()
	execs.tell(t, false)
	for { // until the shell has become sleep
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", execs.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if string(comm) == "sleep\n" {
			break
		}
	}
	comes := start(t, exec.Command("sleep", "1002"), false)
	a.collect(Config{})
	a.event(eventExit, ends.Process.Pid, nil)
	a.event(eventExec, execs.Process.Pid, func(r row) bool { return r["name"] == "sleep" })
	a.event(eventSeen, comes.Process.Pid, nil)
	a.scan(2)
	a.mu.Lock()
	defer a.mu.Unlock()
	if list := a.find(func(r row) bool { return r["pid"] == int64(stays.Process.Pid) }); len(list) != 2 {
		t.Errorf("%d events of a process that only went on, want seen and its digest", len(list))
	}
	if len(a.regs) != 2 || a.regs[0].CollectorID == a.regs[1].CollectorID {
		t.Errorf("registrations %+v, want two with different ids", a.regs)
	}
}

func TestAgentAway(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{})
	a.scan(1)
	a.stop()
	p := start(t, exec.Command("sleep", "1000"), false)
	a.start()
	a.event(eventSeen, p.Process.Pid, nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.batches {
		if b.Table.Name == "event_gaps" {
			t.Error("a gap is reported although nothing was lost")
		}
	}
}

func TestLossIsReportedAndMended(t *testing.T) {
	a := newTestAgent(t)
	a.collect(Config{QueueFrames: 2})
	a.scan(2)
	a.mu.Lock()
	a.hold = true
	a.mu.Unlock()
	// The queue fills with what is not acknowledged; then a process comes that
	// the agent is not told of.
	a.await("a full queue", func() bool { return len(a.beats) > 0 && a.beats[len(a.beats)-1].Dropped > 0 })
	p := start(t, exec.Command("sleep", "1000"), false)
	a.mu.Lock()
	beat := a.beats[len(a.beats)-1]
	a.mu.Unlock()
	a.await("two more scans", func() bool { return a.beats[len(a.beats)-1].Scans >= beat.Scans+2 })
	a.release()
	a.event(eventSeen, p.Process.Pid, nil)
	a.await("the gap", func() bool {
		for _, b := range a.batches {
			if b.Table.Name == "event_gaps" && b.Column("hop").Text(0) == "collector" && b.Column("lost").Int(0) > 0 &&
				b.Column("start_time").Int(0) < b.Column("end_time").Int(0) {
				return true
			}
		}
		return false
	})
}

func TestUnreadableProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it scans as nobody what belongs to root")
	}
	binary := copyOf(t, "/proc/self/exe", "once")
	for dir := filepath.Dir(binary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "json")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "COLLECTOR_TEST_ROLE=once")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var found, own bool
	for line := range strings.Lines(string(out)) {
		r := row{}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		switch {
		case r["pid"] == float64(os.Getpid()):
			found = true
			if r["accessible"] != false || r["executable_path"] != nil || r["name"] == nil || r["user_id"] != float64(0) || r["command_line"] == nil {
				t.Errorf("a process of root as nobody sees it: %v", r)
			}
		case r["executable_path"] == binary:
			own = true
			if r["accessible"] != true || r["executable_hash"] == nil {
				t.Errorf("the scanning process itself: %v", r)
			}
		}
	}
	if !found || !own {
		t.Errorf("found a process of root: %v, itself: %v", found, own)
	}
	if !strings.Contains(stderr.String(), "run as root") {
		t.Errorf("summary %q does not say what can not be seen", stderr.String())
	}
}

func TestOnceTable(t *testing.T) {
	start(t, exec.Command("sh", "-c", "echo; read x", "sh", "\x1b[31mred\nline"), true)
	out, err := self(t, "once", "table").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out, []byte("    PID")) && !bytes.Contains(out, []byte("PPID  USER")) {
		t.Errorf("no heading in %.100q", out)
	}
	if bytes.ContainsAny(out, "\x1b\r\t") || !bytes.Contains(out, []byte(`\x1b[31mred\nline`)) {
		t.Error("control characters passed through, or the process is missing")
	}
}

package roles

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/store"
	"daemoneye/store/eventfile"
)

// The test binary is the real program under each of its names, so that
// /proc/self/exe starts the roles from it, too.
func TestMain(m *testing.M) {
	run := func() {
		provokable()
		os.Exit(Main(context.Background(), "test", os.Args, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"daemoneye": run, "procmond": run, "daemoneye-agent": run, "daemoneye-cli": run, "procmond-old": run,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DAEMONEYE_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status2, "alerts": storeAlerts, "events": storeEvents},
	})
}

// status2 runs a command and wants its exit status: status 2 daemoneye query.
func status2(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// storeAlerts makes a store at rest with alerts of the given ids: alerts ID….
func storeAlerts(ts *testscript.TestScript, neg bool, ids []string) {
	if neg {
		ts.Fatalf("usage: alerts ID…")
	}
	s, err := store.Open(filepath.Join(ts.Getenv("DAEMONEYE_DATA_DIR"), "store"), store.Config{MaxAge: -1})
	ts.Check(err)
	var list []event.Alert
	for i, id := range ids {
		at := time.Date(2026, 1, 2, 3, 4, i, 0, time.UTC)
		list = append(list, event.Alert{
			ID: id, Time: at, FirstSeen: at, LastSeen: at, RuleID: "reverse-shell", Severity: "critical", Title: "Reverse shell started",
			Table: "process_events", Row: json.RawMessage(`{"pid": 7}`), PID: 7, Host: "host", Count: 1, Complete: true, Tags: []string{},
		})
	}
	ts.Check(s.PutAlerts(context.Background(), list, 0))
	ts.Check(s.Close())
}

// storeEvents adds the rows of a file to a store at rest: events FILE.
func storeEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: events FILE")
	}
	s, err := store.Open(filepath.Join(ts.Getenv("DAEMONEYE_DATA_DIR"), "store"), store.Config{MaxAge: -1})
	ts.Check(err)
	f, err := eventfile.Open(context.Background(), ts.MkAbs(args[0]), nil)
	ts.Check(err)
	for n := uint64(1); ; n++ {
		b, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ts.Check(err)
		_, err = s.Append(context.Background(), []store.Batch{{Collector: args[0], Sequence: n, Data: event.Encode(nil, b)}})
		ts.Check(err)
	}
	ts.Check(f.Close())
	ts.Check(s.Close())
}

// patience is how long a test waits for what must come at last. It bounds a
// hang; nothing is measured by it.
const patience = 60 * time.Second

// instance is a running "daemoneye run".
type instance struct {
	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	done chan error

	mu    sync.Mutex
	out   bytes.Buffer // standard output
	log   bytes.Buffer // standard error
	grown chan struct{}
}

// start runs the monitor with a data directory of its own and waits for its
// opening lines.
func start(t testing.TB, attr *syscall.SysProcAttr, args ...string) *instance {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	in := launch(t, dir, attr, args...)
	in.waitFor("Alerts appear below")
	return in
}

func launch(t testing.TB, dir string, attr *syscall.SysProcAttr, args ...string) *instance {
	t.Helper()
	return launchCommand(t, dir, attr, append([]string{"run", "--data-dir", dir}, args...)...)
}

// launchCommand runs a command that goes on until it is stopped.
func launchCommand(t testing.TB, dir string, attr *syscall.SysProcAttr, args ...string) *instance {
	t.Helper()
	return launchProgram(t, dir, attr, "daemoneye", args...)
}

// launchProgram is launchCommand of any program that becomes one.
func launchProgram(t testing.TB, dir string, attr *syscall.SysProcAttr, name string, args ...string) *instance {
	t.Helper()
	in := &instance{t: t, dir: dir, done: make(chan error, 1), grown: make(chan struct{})}
	in.cmd = exec.Command(name, args...)
	in.cmd.Dir = "/"
	in.cmd.SysProcAttr = attr
	stdout, err := in.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := in.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pipes sync.WaitGroup
	pipes.Go(func() { in.read(stdout, &in.out) })
	pipes.Go(func() { in.read(stderr, &in.log) })
	go func() {
		pipes.Wait()
		in.done <- in.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = in.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-in.done:
		case <-time.After(patience):
			_ = in.cmd.Process.Kill()
		}
		if t.Failed() {
			t.Logf("standard output:\n%s\nstandard error:\n%s", in.output(), in.logged())
		}
	})
	return in
}

func (in *instance) read(r io.Reader, to *bytes.Buffer) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		in.mu.Lock()
		to.WriteString(line)
		close(in.grown)
		in.grown = make(chan struct{})
		in.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (in *instance) output() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.out.String()
}

func (in *instance) logged() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.log.String()
}

// lastLines returns the last n lines of standard error.
func (in *instance) lastLines(n int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(in.logged(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// waitFor waits until standard output has text.
func (in *instance) waitFor(text string) { in.t.Helper(); in.waitIn(&in.out, text) }

// waitInLog waits until standard error has text.
func (in *instance) waitInLog(text string) { in.t.Helper(); in.waitIn(&in.log, text) }

func (in *instance) waitIn(where *bytes.Buffer, text string) {
	in.t.Helper()
	timeout := time.After(patience)
	for {
		in.mu.Lock()
		found, grown := strings.Contains(where.String(), text), in.grown
		in.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case err := <-in.done:
			in.done <- err
			in.t.Fatalf("ended (%v) before it printed %q:\n%s\n%s", err, text, in.output(), in.logged())
		case <-timeout:
			in.t.Fatalf("%q did not appear:\n%s\n%s", text, in.output(), in.logged())
		}
	}
}

// stop sends sig and returns the exit status.
func (in *instance) stop(sig os.Signal) int {
	in.t.Helper()
	if err := in.cmd.Process.Signal(sig); err != nil {
		in.t.Fatal(err)
	}
	return in.wait()
}

func (in *instance) wait() int {
	in.t.Helper()
	select {
	case err := <-in.done:
		in.done <- err
		return in.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		in.t.Fatal("it does not stop")
		return -1
	}
}

// client runs a client command on the instance and returns what it printed.
func (in *instance) client(args ...string) (stdout, stderr string, status int) {
	in.t.Helper()
	cmd := exec.Command("daemoneye", append(args, "--data-dir", in.dir)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		in.t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// query returns the rows of a query, each as a map.
func (in *instance) query(sql string) []map[string]any {
	in.t.Helper()
	out, errOut, status := in.client("query", sql, "--format", "json", "--timeout", "10m")
	if status != 0 {
		in.t.Fatalf("query %s: status %d\n%s", sql, status, errOut)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		in.t.Fatalf("query %s: %v\n%s", sql, err, out)
	}
	return rows
}

// eventually calls f, which looks at the instance, until it returns true.
// There is no event to wait for in another process's answers, so it asks again.
func (in *instance) eventually(what string, f func() bool) {
	in.t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			in.t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type health struct {
	Healthy  bool     `json:"healthy"`
	Problems []string `json:"problems"`
	Roles    []struct {
		Role         string   `json:"role"`
		PID          int      `json:"pid"`
		UID          int      `json:"uid"`
		Capabilities []string `json:"capabilities"`
		Bounding     []string `json:"bounding"`
		NoNewPrivs   bool     `json:"no_new_privs"`
	} `json:"roles"`
	Collector struct {
		Source string     `json:"source"`
		Unread api.Unread `json:"unread"`
	} `json:"collector"`
}

// health asks for the instance's health; ok is false when nothing answers.
func (in *instance) health() (h health, ok bool) {
	in.t.Helper()
	out, _, _ := in.client("health", "--format", "json")
	if err := json.Unmarshal([]byte(out), &h); err != nil {
		return h, false
	}
	return h, true
}

func (h health) pid(role string) int {
	for _, r := range h.Roles {
		if r.Role == role {
			return r.PID
		}
	}
	return 0
}

// writeRule writes a rule file and returns its directory.
func writeRule(t testing.TB, name, text string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rules")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sleeper starts a process with a command line of its own; it is killed when
// the test ends.
func sleeper(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	cmd.Args[0] = name
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

//go:build unix

package roles

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runOn starts the monitor with standard output going to out, and waits until
// clients can reach it.
func runOn(t *testing.T, out *os.File, args ...string) *instance {
	t.Helper()
	in := &instance{t: t, dir: filepath.Join(t.TempDir(), "data"), done: make(chan error, 1)}
	in.cmd = exec.Command("daemoneye", append([]string{"run", "--data-dir", in.dir, "--interval", "100ms"}, args...)...)
	in.cmd.Dir = "/"
	in.cmd.Stdout = out
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	in.cmd.Stderr = log
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { in.done <- in.cmd.Wait() }()
	t.Cleanup(func() {
		_ = in.cmd.Process.Kill()
		in.done <- <-in.done
		if t.Failed() {
			_, _ = log.Seek(0, io.SeekStart)
			text, _ := io.ReadAll(log)
			t.Logf("standard error:\n%s", text)
		}
	})
	return in
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// daemoneye run | head -1: the reader goes, the monitor stays.
func TestReaderOfOutputGoesAway(t *testing.T) {
	r, w := pipe(t)
	in := runOn(t, w, "--rules", writeRule(t, "canary.sql", testRule))
	_ = w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil { // the opening lines have come
		t.Fatal(err)
	}
	h, _ := in.health()
	agent := h.pid("daemoneye-agent")
	if agent == 0 {
		t.Fatal("no agent")
	}
	_ = r.Close()
	canary := sleeper(t, "/opt/canary-unread")
	in.eventually("health says that nothing is printed", func() bool {
		h, ok := in.health()
		return ok && strings.Contains(strings.Join(h.Problems, "\n"), "standard output can not be written")
	})
	if h, ok := in.health(); !ok || h.pid("daemoneye-agent") != agent {
		t.Errorf("the agent is %d, was %d", h.pid("daemoneye-agent"), agent)
	}
	in.eventually("the alert is stored", func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM alerts WHERE rule_id = 'test-canary' AND pid = %d", canary.Process.Pid))) == 1
	})
	if status := in.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// A reader that is there but does not read holds up neither the rules nor the end.
func TestReaderOfOutputHangs(t *testing.T) {
	r, w := pipe(t)
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil { // it is full now
		t.Fatal(err)
	}
	in := runOn(t, w, "--rules", writeRule(t, "canary.sql", testRule))
	var pids [3]int
	for i := range pids {
		pids[i] = sleeper(t, fmt.Sprintf("/opt/canary-unread-%d", i)).Process.Pid
	}
	in.eventually("the alerts are stored", func() bool {
		_, _, status := in.client("ps")
		return status == 0 && len(in.query(fmt.Sprintf("SELECT 1 FROM alerts WHERE rule_id = 'test-canary' AND pid IN (%d, %d, %d)", pids[0], pids[1], pids[2]))) == 3
	})
	in.eventually("health says that nobody reads", func() bool {
		h, ok := in.health()
		return ok && strings.Contains(strings.Join(h.Problems, "\n"), "nobody reads standard output")
	})
	// Status 1 is that of a role which had to be killed.
	if status := in.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	_ = r.Close()
}

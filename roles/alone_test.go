//go:build unix

package roles

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// role starts one role by itself over the data directory.
func role(t testing.TB, dir, name string, args ...string) *instance {
	t.Helper()
	return launchCommand(t, dir, nil, append([]string{name, "--data-dir", dir}, args...)...)
}

func TestAgentAloneSaysThatAnotherRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := role(t, dir, "agent")
	first.waitInLog("agent serves")
	token := filepath.Join(dir, "token")
	before, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("daemoneye: already running as pid %d on %s\nhint: ", first.cmd.Process.Pid, dir)
	second := role(t, dir, "agent")
	if status := second.wait(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if last := second.lastLines(2); !strings.HasPrefix(last, want) {
		t.Errorf("its last lines are %q, want %q", last, want)
	}
	// The refused ones took nothing from the first.
	if after, err := os.ReadFile(token); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the token changed: %v", err)
	}
	collector := role(t, dir, "procmond", "--interval", "100ms")
	collector.waitInLog("registered with the agent")

	// One more is refused: a warning, once, that says what to do.
	other := role(t, dir, "procmond")
	other.waitInLog("the agent refuses this collector")
	if text := other.logged(); !strings.Contains(text, `"level":"warn"`) || !strings.Contains(text, "--data-dir") {
		t.Errorf("the refusal is no warning that says what to do:\n%s", text)
	}
	// Once the first has gone, it may come, without an agent started anew.
	if status := collector.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("collector: exit status %d", status)
	}
	other.waitInLog("registered with the agent")
	if n := strings.Count(other.logged(), "the agent refuses this collector"); n != 1 {
		t.Errorf("the refusal was said %d times, want once:\n%s", n, other.logged())
	}
	other.stop(syscall.SIGTERM)
	if status := first.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("agent: exit status %d", status)
	}
	if _, err := os.Stat(token); !os.IsNotExist(err) {
		t.Errorf("the token was left behind: %v", err)
	}
}

// A token that a killed agent left does no harm.
func TestStaleToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := role(t, dir, "agent")
	first.waitInLog("agent serves")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.wait()
	if _, err := os.Stat(filepath.Join(dir, "token")); err != nil {
		t.Fatalf("there is no stale token to try: %v", err)
	}
	collector := role(t, dir, "procmond", "--interval", "100ms")
	collector.waitInLog("connection to the agent")
	role(t, dir, "agent").waitInLog("agent serves")
	collector.waitInLog("registered with the agent")
}

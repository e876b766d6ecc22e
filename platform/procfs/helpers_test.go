//go:build linux

package procfs

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

// startGroup starts a shell in a process group of its own, waits until it has
// printed a line, and kills the group at the end of the test. It returns the
// rest of the output.
func startGroup(t testing.TB, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatalf("%v did not say that it is ready: %v", cmd.Args, err)
	}
	return lines
}

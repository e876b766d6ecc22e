//go:build linux && (amd64 || arm64)

package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestOpenRefused: where the kernel refuses to load anything, as to the root of a
// user namespace, Open says so.
func TestOpenRefused(t *testing.T) {
	const variable = "BPF_TEST_REFUSED"
	if os.Getenv(variable) != "" {
		_, err := Open(Config{})
		fmt.Println(err)
		os.Exit(0)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOpenRefused$")
	cmd.Env = append(os.Environ(), variable+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skip("no user namespace:", err)
	}
	err := cmd.Wait()
	if got, want := out.String(), "eBPF: "; err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("Open in a user namespace: %v, %q, want an error that begins with %q", err, got, want)
	}
	t.Log(out.String())
}

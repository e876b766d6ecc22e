package ledger

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of the size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// cpuTime is what this process has used of the cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A log is made in a directory of which there is only a descriptor.
func TestDescriptor(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l := open(t, fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), quiet())
	appendFacts(t, l, 3)
	closed(t, l)
	if r := verified(t, dir.Name(), VerifyOptions{PublicKey: l.PublicKey()}); r.Entries != 4 {
		t.Errorf("Verify = %+v, want 4 entries", r)
	}
}

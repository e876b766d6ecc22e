package ledger

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// A FIFO in place of a file is named, and not waited for.
func TestFIFO(t *testing.T) {
	origin := t.TempDir()
	newLog(t, origin, 300, quiet())
	for _, file := range []string{checkpointFile, bundlePath(0), tilePath(0, 0)} {
		dir := copyLog(t, origin)
		name := filepath.Join(dir, file)
		if err := errors.Join(os.Remove(name), syscall.Mkfifo(name, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: Verify = %v, want that it is no file", file, err)
		}
	}
}

package roles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is nearly full is said at once, one that is full does not make
// the agent crash, and when there is room again all goes on by itself.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=56m,mode=755", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	in := launch(t, filepath.Join(disk, "data"), nil, "--interval", "100ms")
	t.Cleanup(func() { in.stop(syscall.SIGTERM) }) // before the disk goes
	in.waitFor("Alerts appear below")
	if out := in.output(); !strings.Contains(out, "nothing is stored: not enough free disk space") || !strings.Contains(out, in.dir) {
		t.Errorf("the opening lines do not say that nothing is stored:\n%s", out)
	}
	h, ok := in.health()
	if !ok || !strings.Contains(strings.Join(h.Problems, "\n"), "nothing is stored") {
		t.Errorf("health = %q, want that nothing is stored", h.Problems)
	}
	if log := in.logged(); !strings.Contains(log, `"level":"warn"`) || !strings.Contains(log, "nothing is stored") {
		t.Errorf("there is no warning:\n%s", log)
	}
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	_ = ballast.Close()
	if err := h.signal("daemoneye-agent", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.eventually("the supervisor says why it starts the agent again", func() bool {
		for line := range strings.Lines(in.logged()) {
			if strings.Contains(line, "starting it again") && strings.Contains(line, "MiB are free on the disk of "+in.dir) {
				return true
			}
		}
		return false
	})
	if log := in.logged(); strings.Contains(log, "goroutine ") || strings.Contains(log, "SIGBUS") {
		t.Errorf("the agent crashed:\n%s", log)
	}
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	in.eventually("the agent is back", func() bool {
		again, ok := in.health()
		return ok && again.pid("daemoneye-agent") != 0 && again.pid("daemoneye-agent") != h.pid("daemoneye-agent")
	})
}

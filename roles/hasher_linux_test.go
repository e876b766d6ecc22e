package roles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"daemoneye/platform"
	"daemoneye/platform/bpf"
)

// wantRoles is how many there are: root's collector has a hasher.
func wantRoles() int {
	if os.Geteuid() == 0 {
		return 4
	}
	return 3
}

// stranger starts a program that only another user may read, as that user, and
// returns its pid and its digest.
func stranger(t *testing.T, name string) (pid int, digest string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	program = append(program, name...) // nobody has hashed it yet
	dir, err := os.MkdirTemp("/tmp", "daemoneye-stranger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, program, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir} {
		if err := os.Chown(p, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "3600")
	cmd.Args[0] = "/opt/" + name
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	sum := sha256.Sum256(program)
	return cmd.Process.Pid, hex.EncodeToString(sum[:])
}

// known waits until the hash of the process has arrived, and wants the rest.
func (in *instance) known(pid int, name, digest string) {
	in.t.Helper()
	var rows []map[string]any
	in.eventually(fmt.Sprintf("the hash of process %d is there", pid), func() bool {
		rows = in.query(fmt.Sprintf("SELECT command_line, executable_path, cwd, accessible, executable_hash FROM processes WHERE pid = %d AND executable_hash IS NOT NULL", pid))
		return len(rows) == 1
	})
	r := rows[0]
	path, _ := r["executable_path"].(string)
	if r["command_line"] != "/opt/"+name+" 3600" || filepath.Base(path) != name || r["cwd"] != filepath.Dir(path) || r["accessible"] != true || r["executable_hash"] != digest {
		in.t.Errorf("process %d is %v, want it whole with the hash %s", pid, r, digest)
	}
}

// The collector sees all of another user's process and has no capability; its
// hasher has two. Killed, they come back.
func TestCollectorWithoutCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: without privileges there is no hasher")
	}
	for _, source := range []string{"auto", "procfs"} {
		t.Run(source, func(t *testing.T) {
			if s, err := bpf.Open(bpf.Config{}); err == nil {
				_ = s.Close()
			} else if source == "auto" {
				t.Skip(err)
			}
			t.Setenv("DAEMONEYE_COLLECTOR__SOURCE", source)
			in := start(t, nil, "--interval", "200ms")
			hasher := []string{"cap_dac_read_search", "cap_sys_ptrace"}
			collector := hasher // scans of its own
			if source == "auto" {
				collector = []string{}
			}
			for i, kill := range []string{"hasher", "procmond", ""} {
				name := fmt.Sprintf("stranger-%d", i)
				pid, digest := stranger(t, name)
				in.known(pid, name, digest)
				h, ok := in.health()
				if !ok {
					t.Fatal("no health")
				}
				for role, want := range map[string][]string{"procmond": collector, "hasher": hasher} {
					s, err := platform.ReadStatus(h.pid(role))
					if err != nil {
						t.Fatalf("%s: %v", role, err)
					}
					if s.UID == 0 || !slices.Equal(s.Permitted, want) || !slices.Equal(s.Effective, want) || len(s.Bounding)+len(s.Ambient)+len(s.Inheritable) != 0 || !s.NoNewPrivs {
						t.Errorf("%s: %+v, want no root, %v and nothing else", role, s, want)
					}
				}
				if kill == "" {
					continue
				}
				if err := h.signal(kill, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				in.eventually("both run again", func() bool {
					now, ok := in.health()
					return ok && now.pid("procmond") > 0 && now.pid("hasher") > 0 && now.pid("procmond") != h.pid("procmond") && now.pid("hasher") != h.pid("hasher")
				})
				for _, role := range []string{"procmond", "hasher"} {
					in.eventually("the old "+role+" has ended", func() bool { return syscall.Kill(h.pid(role), 0) != nil })
				}
			}
			if status := in.stop(os.Interrupt); status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

// What a hasher that hangs did not read is told by health, with its time.
func TestHealthOfLateHasher(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: without privileges there is no hasher")
	}
	in := start(t, nil, "--interval", "200ms")
	h, ok := in.health()
	pid := h.pid("hasher")
	if !ok || pid == 0 {
		t.Fatalf("health = %+v, want a hasher", h)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	in.eventually("a late request is counted", func() bool {
		h, ok = in.health()
		return ok && h.Collector.Unread.Late > 0
	})
	if u := h.Collector.Unread; u.First.IsZero() || u.Last.Before(u.First) {
		t.Errorf("unread = %+v, want its times", u)
	}
	text, _, _ := in.client("health")
	if !strings.Contains(text, "not read or hashed in time: ") {
		t.Errorf("health does not say what was not read:\n%s", text)
	}
}

// A root that can not become anybody else has a hasher of the same privileges.
func TestHasherOfRestrictedRoot(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	dir := filepath.Join(t.TempDir(), "data")
	in := launchProgram(t, dir, nil, setpriv, "--bounding-set=-setuid,-setgid", "daemoneye", "run", "--data-dir", dir)
	in.waitInLog("registered with the agent")
	h, ok := in.health()
	if !ok || h.pid("procmond") == 0 || h.pid("hasher") == 0 {
		t.Fatalf("health = %+v, want collector and hasher", h)
	}
	s, err := platform.ReadStatus(h.pid("hasher"))
	if want := []string{"cap_dac_read_search", "cap_sys_ptrace"}; err != nil || !slices.Equal(s.Permitted, want) || len(s.Bounding) != 0 {
		t.Errorf("the hasher has %v permitted, %v bounding, %v; want %v and none", s.Permitted, s.Bounding, err, want)
	}
}

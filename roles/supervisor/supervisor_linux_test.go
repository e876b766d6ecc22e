package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"daemoneye/platform"
	"daemoneye/roles/config"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "test-check" {
		if err := check(os.Args[2]); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// check prints as whom the roles would run, and what the log says.
func check(data string) error {
	c, err := load(data)
	if err != nil {
		return err
	}
	core, logs := observer.New(zap.WarnLevel)
	s, err := newSupervisor(Config{Config: c, Log: zap.New(core)})
	if err != nil {
		return err
	}
	for _, l := range logs.All() {
		fmt.Println("warn:", l.Message)
	}
	if err := s.check(); err != nil {
		return err
	}
	for _, child := range []*child{s.agent, s.collector} {
		launch, err := child.launch()
		if err != nil {
			return err
		}
		fmt.Println(launch.Name, "as uid", launch.User.UID)
	}
	return nil
}

func load(data string) (*config.Config, error) {
	return config.Load(config.Options{Flags: map[string]string{"data_dir": data, "agent.user": "54321", "collector.user": "54322"}})
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes users, mounts or gives up capabilities")
	}
}

func TestRootThatCanNotChangeUsers(t *testing.T) {
	needRoot(t)
	const asRoot = "daemoneye-agent as uid 0\nprocmond as uid 0\n"
	const asOthers = "daemoneye-agent as uid 54321\nprocmond as uid 54322\n"
	says := func(why string) string {
		return "warn: the roles run as root, because root can not change users here: " + why + "\n" + asRoot
	}
	for _, c := range []struct {
		command string
		owner   int // of the data directories, -1 when there are none
		want    string
	}{
		{"setpriv --nnp", -1, asOthers},
		{"setpriv --bounding-set=-all --inh-caps=-all", -1, says("uid 54321: cap_setuid, cap_setgid, cap_kill not held")},
		{"setpriv --bounding-set=-setuid,-setgid", -1, says("uid 54321: cap_setuid, cap_setgid not held")},
		{"setpriv --bounding-set=-chown", -1, says("cap_chown not held")},
		{"setpriv --bounding-set=-chown", 54321, asOthers},
		{"setpriv --bounding-set=-fowner", -1, asOthers},
		{"unshare -Ur", -1, says("uid 54321: uid 54321 does not exist in this user namespace")},
	} {
		t.Run(fmt.Sprint(c.command, c.owner), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			if c.owner >= 0 {
				cfg, err := load(data)
				if err != nil {
					t.Fatal(err)
				}
				for _, dir := range []string{cfg.Paths.Store, cfg.Paths.Run, cfg.Paths.Ledger} {
					owner := c.owner
					if dir == cfg.Paths.Ledger {
						owner++ // the collector
					}
					if err := os.MkdirAll(dir, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.Chown(dir, owner, c.owner); err != nil {
						t.Fatal(err)
					}
				}
			}
			args := strings.Fields(c.command)
			if out, err := exec.Command(args[0], append(args[1:], "true")...).CombinedOutput(); err != nil {
				t.Skipf("%s: %v %s", c.command, err, out)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(args[0], append(args[1:], self, "test-check", data)...).CombinedOutput()
			if err != nil || string(out) != c.want {
				t.Errorf("it says %q, %v, want %q", out, err, c.want)
			}
		})
	}
}

// What is wrong with a directory ends the very first start, with nothing
// started and nothing logged before the one line.
func TestFirstStartEndsOnBadDirectory(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mount := func(name string, flags uintptr) string {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=1m,mode=0755"); err != nil {
			t.Skipf("mount: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
		if cfg, err := load(at); err != nil {
			t.Fatal(err)
		} else if flags == 0 {
			for _, d := range []string{cfg.Paths.Store, cfg.Paths.Run} {
				if err := os.Mkdir(d, 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.Chown(d, 54321, 54321); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := syscall.Mount("", at, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Skipf("remount: %v", err)
		}
		return at
	}
	empty, made := mount("empty", 1), mount("made", 0)
	theirs := filepath.Join(dir, "theirs")
	if err := os.MkdirAll(filepath.Join(theirs, "store", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(theirs, "store"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("a", 300))
	for _, c := range []struct{ name, data, want string }{
		{"read-only", empty, fmt.Sprintf("make directory %q: read-only file system", filepath.Join(empty, "store"))},
		{"read-only, below", filepath.Join(empty, "a", "b"), fmt.Sprintf("make directory %q: read-only file system", filepath.Join(empty, "a"))},
		{"read-only, made before", made, fmt.Sprintf("directory %q can not be written to: read-only file system", filepath.Join(made, "store"))},
		{"too long", long, fmt.Sprintf("make directory %q: file name too long", long)},
		{"a file", file, fmt.Sprintf("make directory %q: not a directory", file)},
		{"of somebody else", theirs, fmt.Sprintf("directory %q belongs to uid 12345, and the role that writes it runs as uid 54321", filepath.Join(theirs, "store"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := load(c.data)
			if err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.DebugLevel)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err = Run(ctx, Config{Config: cfg, Log: zap.New(core)})
			if err == nil || err.Error() != "daemoneye-agent: "+c.want || ctx.Err() != nil {
				t.Errorf("Run = %v, want %s", err, c.want)
			}
			if logs.Len() != 0 {
				t.Errorf("it logged %v", logs.All())
			}
		})
	}
}

// A root that runs the roles as itself has no way to give a directory away.
func TestOpenOwnedKeepsOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	f, err := openOwned(dir, platform.Self(), 0o750)
	if err == nil {
		_ = f.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "belongs to uid 12345, and the role that writes it runs as root (uid 0)") || !ownedBy(dir, platform.User{UID: 12345}) {
		t.Errorf("openOwned = %v, want a refusal and the owner left as it was", err)
	}
}

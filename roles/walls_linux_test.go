package roles

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// provocations is what a role said that it tried.
type provocations struct {
	Provoked int               // its pid
	Tried    map[string]string // attempt → what came of it: done, or an error
	Refused  map[string]bool
}

// provokable makes this process, whichever role it becomes, try on SIGUSR1 all
// that its walls are to prevent, and write what came of it to standard error.
// It runs inside the role, on threads that are caged with it.
func provokable() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			line, _ := json.Marshal(provoke())
			_, _ = os.Stderr.Write(append(line, '\n'))
		}
	}()
}

// outside is where a role tries to write; all users may.
func outside() string { return filepath.Join("/tmp", fmt.Sprintf("daemoneye-walls-%d", os.Getpid())) }

func provoke() provocations {
	p := provocations{Provoked: os.Getpid(), Tried: map[string]string{}, Refused: map[string]bool{}}
	try := func(what string, err error) {
		p.Tried[what] = "done"
		if err != nil {
			p.Tried[what] = err.Error()
		}
		p.Refused[what] = errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
	}
	for name, family := range map[string]int{"inet": unix.AF_INET, "inet6": unix.AF_INET6, "netlink": unix.AF_NETLINK, "vsock": unix.AF_VSOCK} {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if family != unix.AF_NETLINK { // else a raw one takes a capability
			fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		}
		try("socket "+name, err)
		_ = unix.Close(fd)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	try("socket unix", err)
	_ = unix.Close(fd)
	try("run a shell", exec.Command("/bin/sh", "-c", ":").Run())
	try("become a program", unix.Exec("/does/not/exist", []string{"x"}, nil)) // else this would be the end of the role
	_, err = os.ReadFile("/etc/shadow")
	try("read /etc/shadow", err)
	_, err = os.ReadFile("/etc/passwd") // which DAC lets everybody read
	try("read /etc/passwd", err)
	try("write outside", os.WriteFile(outside(), nil, 0o600))
	_ = os.Remove(outside())
	try("write /etc", os.WriteFile("/etc/daemoneye-walls", nil, 0o600))

	var attr [128]byte
	for name, command := range map[string]uintptr{"load BPF program": unix.BPF_PROG_LOAD, "make BPF map": unix.BPF_MAP_CREATE, "list BPF programs": unix.BPF_PROG_GET_NEXT_ID} {
		try(name, raw(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)))
	}
	try("trace another process", onThread(func() error {
		return raw(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(os.Getppid()), 0)
	}))
	byt := make([]byte, 1)
	local := unix.Iovec{Base: &byt[0], Len: 1}
	_, err = unix.ProcessVMReadv(os.Getppid(), []unix.Iovec{local}, []unix.RemoteIovec{{Base: 0x1000, Len: 1}}, 0)
	try("read another's memory", err)
	try("signal another process", unix.Kill(os.Getppid(), unix.SIGURG)) // which does nothing
	try("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	try("make a user namespace", unix.Unshare(unix.CLONE_NEWUSER))
	try("become root", onThread(func() error { return raw(unix.SYS_SETRESUID, 0, 0, 0) }))
	try("take capabilities", onThread(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		all := unix.CapUserData{Effective: ^uint32(0), Permitted: ^uint32(0), Inheritable: ^uint32(0)}
		data := [2]unix.CapUserData{all, all}
		return unix.Capset(&header, &data[0])
	}))
	try("be dumped", raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0))
	try("make io_uring", raw(unix.SYS_IO_URING_SETUP, 1, 0, 0))
	try("make userfaultfd", raw(unix.SYS_USERFAULTFD, 0, 0, 0))
	code, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	try("executable memory", err)
	if err == nil {
		_ = unix.Munmap(code)
	}
	return p
}

func raw(number, a, b, c uintptr) error {
	if _, _, errno := unix.Syscall6(number, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// onThread calls f on a thread that ends with it, with what f changed there.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}

// provoke has a role try, and returns what came of it.
func (in *instance) provoke(pid int) (p provocations) {
	in.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		in.t.Fatal(err)
	}
	prefix := fmt.Sprintf(`{"Provoked":%d,`, pid)
	in.waitInLog(prefix)
	for line := range strings.Lines(in.logged()) {
		if strings.HasPrefix(line, prefix) {
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				in.t.Fatal(err)
			}
		}
	}
	return p
}

// confinement is what health --security says of a role.
type confinement struct {
	Role        string
	PID         int
	Permitted   []string
	Effective   []string
	Bounding    []string
	NoNewPrivs  bool `json:"no_new_privs"`
	Seccomp     int
	Source      string
	Descriptors map[string]int
	From        string `json:"descriptors_source"`
	Confinement *struct {
		Seccomp  string
		Calls    int
		Landlock int
		Missing  []string
	}
}

// security returns what health --security says, by role.
func (in *instance) security() map[string]confinement {
	in.t.Helper()
	out, errOut, _ := in.client("health", "--security", "--format", "json")
	var list []confinement
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		in.t.Fatalf("health --security: %v\n%s%s", err, out, errOut)
	}
	roles := map[string]confinement{}
	for _, c := range list {
		roles[c.Role] = c
	}
	return roles
}

// startConfined starts the monitor and waits until each role has said what
// confines it.
func startConfined(t *testing.T, args ...string) (*instance, map[string]confinement) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: as an ordinary user the roles have fewer walls")
	}
	in := start(t, nil, append([]string{"--interval", "100ms"}, args...)...)
	var roles map[string]confinement
	in.eventually("each role says what confines it", func() bool {
		roles = in.security()
		return roles["procmond"].Confinement != nil && roles["daemoneye-agent"].Confinement != nil
	})
	return in, roles
}

// Each wall holds from inside, and a role that ran against all of them goes on
// working.
func TestWalls(t *testing.T) {
	in, roles := startConfined(t)
	for _, name := range []string{"procmond", "daemoneye-agent"} {
		role := roles[name]
		if c := role.Confinement; len(c.Missing) > 0 {
			t.Skipf("this kernel does not give all walls: %v", c.Missing)
		}
		p := in.provoke(role.PID)
		for what, came := range p.Tried {
			want := true
			switch {
			case what == "read /etc/shadow":
				want = !slices.Contains(role.Effective, "cap_dac_read_search")
			case what == "socket unix":
				want = name == "daemoneye-agent" // the other connects to it
			case what == "read /etc/passwd", what == "write outside": // the collector writes the ledger
				want = role.Confinement.Landlock > 0
			}
			if p.Refused[what] != want {
				t.Errorf("%s: %s: %s, want it refused: %t", name, what, came, want)
			}
		}
		if len(p.Tried) < 20 {
			t.Errorf("%s tried only %v", name, p.Tried)
		}
		if role.Seccomp != 2 || !role.NoNewPrivs || len(role.Bounding) != 0 || role.Source != "kernel" || role.From != "kernel" || role.Descriptors["socket"] == 0 {
			t.Errorf("health --security says of %s: %+v", name, role)
		}
	}
	if agent := roles["daemoneye-agent"]; agent.Confinement.Landlock == 0 || len(agent.Permitted) != 0 {
		t.Errorf("health --security says of the agent: %+v, want Landlock and no capability", agent)
	}
	// The hasher reads what others may not, and can do nothing with it.
	p := in.provoke(roles["hasher"].PID)
	for what, came := range p.Tried {
		if want := what != "read /etc/shadow" && what != "read /etc/passwd"; p.Refused[what] != want {
			t.Errorf("hasher: %s: %s, want it refused: %t", what, came, want)
		}
	}
	if h := roles["hasher"]; h.Seccomp != 2 || !h.NoNewPrivs || len(h.Bounding) != 0 || len(h.Effective) != 2 {
		t.Errorf("health --security says of the hasher: %+v", h)
	}
	canary := sleeper(t, "/opt/canary-w")
	in.eventually("a process is seen by the same roles", func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE pid = %d AND event IN ('exec', 'seen')", canary.Process.Pid))) == 1
	})
	out, _, status := in.client("rules", "reload")
	h, ok := in.health()
	if !ok || status != 0 {
		t.Errorf("health = %+v, rules reload: status %d, %s", h, status, out)
	}
	for name, role := range roles {
		if h.pid(name) != role.PID {
			t.Errorf("%s was pid %d and is %d", name, role.PID, h.pid(name))
		}
	}
	out, _, _ = in.client("health", "--security")
	for _, want := range []string{"filter: ", " calls, else errno", "open: socket", "no_new_privs"} {
		if !strings.Contains(out, want) {
			t.Errorf("health --security does not say %q:\n%s", want, out)
		}
	}
}

// What the roles try is possible without the walls: these are what refuses it.
func TestWithoutWalls(t *testing.T) {
	t.Setenv("DAEMONEYE_SECURITY__SECCOMP", "off")
	t.Setenv("DAEMONEYE_SECURITY__LANDLOCK", "false")
	in, roles := startConfined(t)
	for _, name := range []string{"procmond", "daemoneye-agent"} {
		p := in.provoke(roles[name].PID)
		for _, what := range []string{"socket inet", "socket netlink", "run a shell", "become a program", "read /etc/passwd", "write outside", "executable memory", "be dumped"} {
			if p.Refused[what] {
				t.Errorf("%s without walls: %s: %s", name, what, p.Tried[what])
			}
		}
		if roles[name].Seccomp != 0 || roles[name].Confinement.Landlock != 0 {
			t.Errorf("health --security says of %s: %+v", name, roles[name])
		}
	}
}

// With security.seccomp: kill, a role that makes another system call ends, and
// is started again.
func TestSeccompKill(t *testing.T) {
	t.Setenv("DAEMONEYE_SECURITY__SECCOMP", "kill")
	in, roles := startConfined(t)
	if err := syscall.Kill(roles["daemoneye-agent"].PID, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	in.waitInLog("ended by signal 31 (bad system call)")
	in.eventually("the agent is back", func() bool {
		h, ok := in.health()
		return ok && h.pid("procmond") != 0 && h.pid("daemoneye-agent") != roles["daemoneye-agent"].PID
	})
}

// The agent reads the rules that links lead to. What is in a directory that has
// replaced one it can not read, and says so.
func TestCagedRules(t *testing.T) {
	const rule = "-- id: %s\n-- title: T\n-- severity: low\nSELECT pid FROM process_events WHERE pid = -1\n"
	dir := writeRule(t, "own.sql", fmt.Sprintf(rule, "test-own"))
	linked := writeRule(t, "linked.sql", fmt.Sprintf(rule, "test-linked"))
	for _, name := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir)), filepath.Dir(linked), filepath.Dir(filepath.Dir(linked))} {
		if err := os.Chmod(name, 0o755); err != nil { // the agent's user goes there by name
			t.Fatal(err)
		}
	}
	if err := os.Symlink(linked, filepath.Join(dir, "more")); err != nil {
		t.Fatal(err)
	}
	in, roles := startConfined(t, "--rules", dir)
	if roles["daemoneye-agent"].Confinement.Landlock == 0 {
		t.Skip("this kernel has no Landlock")
	}
	loaded := func(id string) bool {
		t.Helper()
		return len(in.query("SELECT 1 FROM rules WHERE rule_id = '"+id+"'")) == 1
	}
	if !loaded("test-own") || !loaded("test-linked") {
		t.Error("a rule of the directory, or one that a link leads to, is not loaded")
	}
	if err := os.WriteFile(filepath.Join(linked, "later.sql"), []byte(fmt.Sprintf(rule, "test-later")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, status := in.client("rules", "reload"); status != 0 || !loaded("test-later") {
		t.Errorf("a rule that came later is not loaded: status %d, %s", status, out)
	}
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "new.sql"), []byte(fmt.Sprintf(rule, "test-new")), 0o644)); err != nil {
		t.Fatal(err)
	}
	out, _, status := in.client("rules", "reload")
	if status != 1 || !strings.Contains(out, "a directory that was replaced") || !strings.Contains(out, "nothing changes") || !loaded("test-own") || loaded("test-new") {
		t.Errorf("the directory was replaced; rules reload: status %d, the old rule is loaded: %t\n%s", status, loaded("test-own"), out)
	}
}

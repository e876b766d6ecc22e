package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// report is what a started test binary says of itself over descriptor 3.
type report struct {
	PID        int
	Before     Status // as started
	After      Status // after Confine
	Loaded     Status // after giving up what loading programs takes
	Bare       Status // after giving up all
	Grandchild string // capability lines of /proc/self/status in a program that it started
	Executable string // what it reads from the parent's /proc/PID/exe
	WriteEtc   string // error of writing to /etc
	Error      string
}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "test-restricted" {
		_ = json.NewEncoder(os.Stdout).Encode(restricted())
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "test-caged" {
		var c Cage
		if err := json.Unmarshal([]byte(os.Args[2]), &c); err != nil {
			panic(err)
		}
		_ = json.NewEncoder(os.Stdout).Encode(caged(c, os.Args[3]))
		os.Exit(0)
	}
	switch os.Args[0] {
	case "test-report":
		_ = json.NewEncoder(os.NewFile(3, "report")).Encode(inside())
		os.Exit(0)
	case "test-hand-on":
		_ = json.NewEncoder(os.NewFile(3, "report")).Encode(handOn())
		os.Exit(0)
	case "test-status":
		os.Exit(ExitConfig)
	case "test-wait":
		_, _ = io.Copy(io.Discard, os.NewFile(3, "until closed"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func inside() report {
	r := report{PID: os.Getpid()}
	var errs []error
	var err error
	r.Before, err = ReadStatus(r.PID)
	errs = append(errs, err)
	errs = append(errs, Confine("confined"))
	r.After, err = ReadStatus(r.PID)
	errs = append(errs, err)
	errs = append(errs, GiveUp(OpeningCapabilities()...))
	r.Loaded, err = ReadStatus(r.PID)
	errs = append(errs, err)
	out, err := exec.Command("grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status").Output()
	r.Grandchild = string(out)
	errs = append(errs, err)
	r.Executable, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", os.Getppid()))
	if os.Geteuid() != 0 { // else it could
		if err := os.WriteFile("/etc/daemoneye-test", nil, 0o600); err != nil {
			r.WriteEtc = err.Error()
		}
	}
	errs = append(errs, GiveUpAll())
	r.Bare, err = ReadStatus(r.PID)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		r.Error = err.Error()
	}
	return r
}

// start starts this test binary as name and returns what it reports.
func start(t *testing.T, l Launch) (*Process, report) {
	t.Helper()
	p, got, err := startReport(l)
	if err != nil {
		t.Fatal(err)
	}
	if got.Error != "" {
		t.Errorf("inside the child: %s", got.Error)
	}
	if got.PID != p.PID {
		t.Errorf("pid = %d, the child says %d", p.PID, got.PID)
	}
	return p, got
}

func startReport(l Launch) (p *Process, got report, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, got, err
	}
	defer func() { _ = r.Close() }()
	l.Name, l.Files = "test-report", []*os.File{w}
	p, err = Start(l)
	_ = w.Close()
	if err != nil {
		return nil, got, err
	}
	if err := json.NewDecoder(r).Decode(&got); err != nil {
		return nil, got, fmt.Errorf("report of the child: %w", err)
	}
	return p, got, p.Wait()
}

// handedOn is what a role that starts another one tells of both.
type handedOn struct {
	First, Late           report   // of one started before Confine, and of one after it
	Kept, LateUnavailable []string // of these
	Own                   Status   // after Confine and giving up all
	Error                 string
}

func handOn() (h handedOn) {
	child := func(got *report) *Process {
		p, r, err := startReport(Launch{Keep: HasherCapabilities()})
		*got = r
		if err != nil {
			h.Error += err.Error()
			return &Process{}
		}
		return p
	}
	h.Kept = child(&h.First).Kept
	err := Confine("confined")
	h.LateUnavailable = child(&h.Late).Unavailable
	err = errors.Join(err, GiveUpAll())
	own, statusErr := ReadStatus(os.Getpid())
	h.Own = own
	if err := errors.Join(err, statusErr); err != nil {
		h.Error += err.Error()
	}
	return h
}

// A role hands on to one that it starts what of its own capabilities that is to
// have, until it confines itself.
func TestHandOn(t *testing.T) {
	nobody := needRoot(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := Start(Launch{Name: "test-hand-on", User: nobody, Keep: CollectorCapabilities(), Files: []*os.File{w}})
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var got handedOn
	if err := json.NewDecoder(r).Decode(&got); err != nil || got.Error != "" {
		t.Fatalf("report of the child: %v, %s", err, got.Error)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	want := []string{"cap_dac_read_search", "cap_sys_ptrace"}
	slices.Sort(got.Kept)
	for _, s := range []Status{got.First.Before, got.First.After} {
		if s.UID != nobody.UID || !slices.Equal(s.Permitted, want) || !slices.Equal(s.Effective, want) || len(s.Bounding) != 0 || !s.NoNewPrivs {
			t.Errorf("it runs as %d with %v permitted, %v effective, %v bounding; want %d, %v and none", s.UID, s.Permitted, s.Effective, s.Bounding, nobody.UID, want)
		}
	}
	if s := got.First.After; len(s.Ambient)+len(s.Inheritable) != 0 || !slices.Equal(got.Kept, want) {
		t.Errorf("kept %v; after Confine ambient %v, inheritable %v", got.Kept, s.Ambient, s.Inheritable)
	}
	if s := got.Late.Before; len(s.Permitted) != 0 || len(got.LateUnavailable) != 2 {
		t.Errorf("after Confine one was started with %v, unavailable %v", s.Permitted, got.LateUnavailable)
	}
	if s := got.Own; len(s.Permitted)+len(s.Effective)+len(s.Inheritable)+len(s.Ambient)+len(s.Bounding) != 0 {
		t.Errorf("after all was given up: %+v", s)
	}
}

func needRoot(t *testing.T) User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it changes users")
	}
	nobody, err := LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	return nobody
}

func TestStartAsCollector(t *testing.T) {
	nobody := needRoot(t)
	p, got := start(t, Launch{User: nobody, Keep: CollectorCapabilities()})
	want := []string{"cap_bpf", "cap_dac_read_search", "cap_net_admin", "cap_perfmon", "cap_sys_ptrace"}
	slices.Sort(p.Kept)
	if !slices.Equal(p.Kept, want) || len(p.Unavailable) != 0 {
		t.Fatalf("kept %v, unavailable %v, want %v and none", p.Kept, p.Unavailable, want)
	}
	for _, s := range []Status{got.Before, got.After} {
		if s.UID != nobody.UID || s.GID != nobody.GID || !s.NoNewPrivs {
			t.Errorf("runs as %d:%d with no_new_privs %t, want %d:%d and true", s.UID, s.GID, s.NoNewPrivs, nobody.UID, nobody.GID)
		}
		slices.Sort(s.Effective)
		slices.Sort(s.Permitted)
		if !slices.Equal(s.Effective, want) || !slices.Equal(s.Permitted, want) || len(s.Bounding) != 0 {
			t.Errorf("effective %v, permitted %v, bounding %v, want %v, %[4]v and none", s.Effective, s.Permitted, s.Bounding, want)
		}
	}
	less := []string{"cap_dac_read_search", "cap_sys_ptrace"}
	if !slices.Equal(got.Loaded.Effective, less) || !slices.Equal(got.Loaded.Permitted, less) {
		t.Errorf("after loading: effective %v, permitted %v, want %v", got.Loaded.Effective, got.Loaded.Permitted, less)
	}
	if len(got.After.Ambient) != 0 || len(got.After.Inheritable) != 0 {
		t.Errorf("after Confine: ambient %v, inheritable %v, want none", got.After.Ambient, got.After.Inheritable)
	}
	for line := range strings.Lines(got.Grandchild) {
		if strings.HasPrefix(line, "Cap") && !strings.HasSuffix(strings.TrimSpace(line), "0000000000000000") {
			t.Errorf("a program started from the role has %s", line)
		}
	}
	if own, err := os.Executable(); err != nil || got.Executable != own {
		t.Errorf("executable of a root process = %q, want %q (%v)", got.Executable, own, err)
	}
	if got.WriteEtc == "" {
		t.Error("it could write to /etc")
	}
}

func TestStartAsAgent(t *testing.T) {
	nobody := needRoot(t)
	_, got := start(t, Launch{User: nobody})
	s := got.Before
	if s.UID != nobody.UID || len(s.Permitted)+len(s.Effective)+len(s.Bounding)+len(s.Ambient) != 0 || !s.NoNewPrivs {
		t.Errorf("status = %+v, want no capability at all", s)
	}
	if got.Executable != "" {
		t.Error("it could read the executable of a root process")
	}
	if len(s.Dropped()) < 38 {
		t.Errorf("dropped %v, want all of the kernel's", s.Dropped())
	}
}

// The thread that started a role must not leave its restrictions behind.
func TestStartLeavesParentAlone(t *testing.T) {
	nobody := needRoot(t)
	before, err := ReadStatus(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	start(t, Launch{User: nobody, Keep: CollectorCapabilities()})
	_, again := start(t, Launch{User: nobody, Keep: CollectorCapabilities()})
	if len(again.Before.Effective) != len(CollectorCapabilities()) {
		t.Errorf("a second start kept %v, want the collector's capabilities", again.Before.Effective)
	}
	out, err := exec.Command("grep", "-E", "^(CapBnd|NoNewPrivs)", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "NoNewPrivs:\t1") != before.NoNewPrivs {
		t.Errorf("a program started afterwards: %s, before: %+v", out, before)
	}
}

// btime of /proc/stat is the other way to count it, in whole seconds.
func TestStarted(t *testing.T) {
	var boot, ticks int64
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), "\nbtime ")
	if _, err := fmt.Sscan(after, &boot); err != nil {
		t.Fatal(err)
	}
	if stat, err = os.ReadFile("/proc/1/stat"); err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if _, err := fmt.Sscan(fields[22-3], &ticks); err != nil { // from field 3 on
		t.Fatal(err)
	}
	got, err := ReadStatus(1)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Unix(boot+ticks/100, 0); got.Started.Sub(want).Abs() > 3*time.Second {
		t.Errorf("process 1 started at %v, want about %v", got.Started, want)
	}
}

func TestExitStatus(t *testing.T) {
	self := Self()
	run := func(name string) (*Process, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Start(Launch{Name: name, User: self, Files: []*os.File{r}})
		_ = r.Close()
		if err != nil {
			t.Fatal(err)
		}
		return p, w
	}
	var exit *ExitError
	p, w := run("test-status")
	if err := p.Wait(); !errors.As(err, &exit) || exit.Code != ExitConfig || exit.Signal != 0 {
		t.Errorf("Wait = %v, want status %d", err, ExitConfig)
	}
	_ = w.Close()
	p, w = run("test-wait")
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL {
		t.Errorf("Wait = %v, want SIGKILL", err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal after the end = %v, want %v", err, os.ErrProcessDone)
	}
	_ = w.Close()
}

func TestLookupUser(t *testing.T) {
	for _, c := range []struct {
		names []string
		uid   int
		ok    bool
	}{
		{[]string{"root"}, 0, true},
		{[]string{"no-such-user-here", "root"}, 0, true},
		{[]string{"54321"}, 54321, true},
		{[]string{"no-such-user-here"}, 0, false},
		{[]string{"-1"}, 0, false},
		{[]string{""}, 0, false},
	} {
		got, err := LookupUser(c.names...)
		if (err == nil) != c.ok || got.UID != c.uid {
			t.Errorf("LookupUser(%q) = %+v, %v, want uid %d, ok %t", c.names, got, err, c.uid, c.ok)
		}
	}
}

// restrictedReport is what this test binary says when it was started with less
// than root usually has.
type restrictedReport struct {
	CanBecome, CanChown string // errors
	AsNobody            string // error of Start
	Kept, Unavailable   []string
	Child               report // started as this user
	Error               string
}

func restricted() (r restrictedReport) {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	nobody := User{Name: "nobody", UID: 65534, GID: 65534}
	r.CanBecome, r.CanChown = text(CanBecome(nobody)), text(CanChown())
	in, out, err := os.Pipe()
	if err != nil {
		r.Error = err.Error()
		return r
	}
	if p, err := Start(Launch{Name: "test-wait", User: nobody, Files: []*os.File{out}}); err != nil {
		r.AsNobody = err.Error()
	} else {
		_ = p.Signal(syscall.SIGKILL)
	}
	p, err := Start(Launch{Name: "test-report", User: Self(), Keep: CollectorCapabilities(), Files: []*os.File{out}})
	_ = out.Close()
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Kept, r.Unavailable = p.Kept, p.Unavailable
	slices.Sort(r.Kept)
	r.Error = text(errors.Join(json.NewDecoder(in).Decode(&r.Child), p.Wait()))
	return r
}

// Root that can not become anybody else still starts roles, as root without
// capabilities but those kept.
func TestStartFromRestrictedRoot(t *testing.T) {
	needRoot(t)
	collector := []string{"cap_bpf", "cap_dac_read_search", "cap_net_admin", "cap_perfmon", "cap_sys_ptrace"}
	for _, c := range []struct {
		command   string
		canBecome string
		canChown  string
		kept      []string
		bounding  bool // something may remain in the bounding set
	}{
		{"setpriv --bounding-set=-all --inh-caps=-all", "cap_setuid, cap_setgid, cap_kill not held", "cap_chown not held", nil, false},
		{"setpriv --bounding-set=-setuid,-setgid", "cap_setuid, cap_setgid not held", "", collector, false},
		{"setpriv --bounding-set=-kill", "cap_kill not held", "", collector, false},
		{"setpriv --bounding-set=-setuid,-setpcap,-chown", "cap_setuid not held", "cap_chown not held", collector, true},
		{"unshare -Ur", "uid 65534 does not exist in this user namespace", "", collector, false},
	} {
		t.Run(c.command, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			args := append(strings.Fields(c.command), self, "test-restricted")
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skip(err)
			}
			if err := exec.Command(args[0], append(args[1:len(args)-2:len(args)-2], "true")...).Run(); err != nil {
				t.Skipf("%s: %v", c.command, err)
			}
			out, err := exec.Command(args[0], args[1:]...).Output()
			var got restrictedReport
			if err := errors.Join(err, json.Unmarshal(out, &got)); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got.Error != "" || got.Child.Error != "" {
				t.Errorf("start as root: %q, inside the child: %q", got.Error, got.Child.Error)
			}
			if got.CanBecome != c.canBecome || got.CanChown != c.canChown {
				t.Errorf("CanBecome = %q, CanChown = %q, want %q and %q", got.CanBecome, got.CanChown, c.canBecome, c.canChown)
			}
			if !strings.Contains(c.command, "-kill") && !strings.HasSuffix(got.AsNobody, "root can not become nobody: "+c.canBecome) {
				t.Errorf("start as nobody: %q, want %q in the end", got.AsNobody, c.canBecome)
			}
			if !slices.Equal(got.Kept, c.kept) {
				t.Errorf("kept %v, want %v; unavailable %v", got.Kept, c.kept, got.Unavailable)
			}
			for _, s := range []Status{got.Child.Before, got.Child.After} {
				slices.Sort(s.Permitted)
				slices.Sort(s.Effective)
				if s.UID != 0 || !s.NoNewPrivs || !slices.Equal(s.Permitted, c.kept) || !slices.Equal(s.Effective, c.kept) || (len(s.Bounding) != 0) != c.bounding {
					t.Errorf("status %+v, want uid 0 with only %v, bounding set %t", s, c.kept, c.bounding)
				}
			}
			for line := range strings.Lines(got.Child.Grandchild) {
				name, set, _ := strings.Cut(strings.TrimSpace(line), ":\t")
				if strings.HasPrefix(name, "Cap") && strings.Trim(set, "0") != "" && (name != "CapBnd" || !c.bounding) && (!c.bounding || name == "CapInh" || name == "CapAmb") {
					t.Errorf("a program started from the role has %s", line)
				}
			}
		})
	}
}

func TestMapped(t *testing.T) {
	const table = "         0     100000      65536\n     70000       1000          1\n"
	for id, want := range map[int]bool{0: true, 65535: true, 65536: false, 70000: true, 70001: false} {
		if got := mapped(table, id); got != want {
			t.Errorf("mapped(%d) = %t, want %t", id, got, want)
		}
	}
}

func TestExplainTellsPermissionsApart(t *testing.T) {
	u := User{Name: "agent", UID: 54321, GID: 54321}
	for _, c := range []struct {
		err  syscall.Errno
		want string
	}{{syscall.EACCES, "mode 0755"}, {syscall.EPERM, "become agent"}} {
		got := explain(&os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: c.err}, u, true)
		if !errors.Is(got, os.ErrPermission) || !strings.Contains(got.Error(), c.want) || c.err == syscall.EPERM && strings.Contains(got.Error(), "0755") {
			t.Errorf("explain(%v) = %q, want %q in it", c.err, got, c.want)
		}
	}
}

//go:build linux && (amd64 || arm64)

package roles

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// monitor is a program that tells of processes as they start.
type monitor struct {
	name  string
	start func(t testing.TB, p stormPrograms) (running, error) // an error: why it is left out
}

// running is a monitor at work.
type running interface {
	cpu() map[string]time.Duration // so far, by the name of what used it
	// finish waits until all is told of the storms, stops the monitor and says
	// what it told.
	finish(before map[string]time.Duration, storms []storm) told
}

// told is what a monitor told of storms.
type told struct {
	used map[string]time.Duration // of CPU, from before the storm on
	seen int                      // of their processes, those of which it had the arguments
	lost string                   // what it says of losses
}

func monitors() []monitor {
	return []monitor{
		{"none", startNothing},
		{"DaemonEye", startOwn},
		{"auditd", startAuditd},
		{"bpftrace execsnoop.bt", startBpftrace},
		{"forkstat", startForkstat},
	}
}

type nothing struct{}

func startNothing(testing.TB, stormPrograms) (running, error) { return nothing{}, nil }

func (nothing) cpu() map[string]time.Duration { return nil }

func (nothing) finish(map[string]time.Duration, []storm) told { return told{} }

// own is DaemonEye.
type own struct{ in *instance }

func startOwn(t testing.TB, _ stormPrograms) (running, error) {
	in := start(t, nil)
	if source := in.query("SELECT source FROM collectors")[0]["source"]; source != "ebpf" {
		return nil, fmt.Errorf("its source is %v", source)
	}
	in.eventually("the first scan", func() bool { return len(in.query("SELECT 1 FROM scans")) > 0 })
	settle(own{in}) // the executables of the host are hashed
	return own{in}, nil
}

func (o own) cpu() map[string]time.Duration {
	h, ok := o.in.health()
	if !ok {
		o.in.t.Fatal("no health")
	}
	used := map[string]time.Duration{}
	for _, r := range h.Roles {
		used[r.Role] = cpuTime(o.in.t, r.PID)
	}
	return used
}

func (o own) finish(before map[string]time.Duration, storms []storm) (got told) {
	settle(o)
	got.used = since(before, o.cpu())
	o.in.checkStored(storms)
	gaps := o.in.query("SELECT table_name, hop, reason, lost FROM event_gaps")
	if len(gaps) > 0 {
		o.in.t.Errorf("events were lost in a storm: %v", gaps)
	}
	got.seen, got.lost = total(storms), strconv.Itoa(len(gaps))
	if status := o.in.stop(os.Interrupt); status != 0 {
		o.in.t.Errorf("exit status %d", status)
	}
	return got
}

// settle waits until a monitor has done what it has to do: until it uses next
// to no CPU, but on a busy machine not for long.
func settle(r running) {
	const look, share, most = 500 * time.Millisecond, 0.03, 10 * time.Second
	sum := func() (all time.Duration) {
		for _, d := range r.cpu() {
			all += d
		}
		return all
	}
	last := sum()
	for range int(most / look) {
		time.Sleep(look)
		now := sum()
		if (now - last).Seconds() < share*look.Seconds() {
			return
		}
		last = now
	}
}

// since subtracts what had been used before.
func since(before, now map[string]time.Duration) map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, d := range now {
		used[name] = d - before[name]
	}
	return used
}

// peer is a monitor of others, which writes to a file.
type peer struct {
	t     testing.TB
	cmd   *exec.Cmd
	tasks map[string]int // the pids that work for it
	file  string
	ended chan error
	stop  func() (lost string)
}

// startPeer starts a program that writes its findings to a file.
func startPeer(t testing.TB, name string, args ...string) (*peer, error) {
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, errors.New("it is not installed")
	}
	p := &peer{t: t, cmd: exec.Command(args[0], args[1:]...), file: filepath.Join(t.TempDir(), name), ended: make(chan error, 1)}
	out, err := os.Create(p.file)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(p.end)
	p.tasks = map[string]int{name: p.cmd.Process.Pid}
	return p, nil
}

// end stops the program, and by force if need be.
func (p *peer) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
	}
}

// until waits for what the program does at its start.
func (p *peer) until(ready func() bool) error {
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("it ended: %v: %s", err, bytes.TrimSpace(p.output()))
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not begin: %s", bytes.TrimSpace(p.output()))
		}
	}
	return nil
}

func (p *peer) output() []byte {
	raw, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Error(err)
	}
	return raw
}

func (p *peer) cpu() map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, pid := range p.tasks {
		used[name] = cpuTime(p.t, pid)
	}
	return used
}

func (p *peer) finish(before map[string]time.Duration, storms []storm) (got told) {
	settle(p)
	got.used = since(before, p.cpu())
	if p.stop != nil {
		got.lost = p.stop()
	}
	p.end()
	got.seen = numbersIn(p.t, p.file, storms)
	return got
}

// numbersIn counts the processes of storms whose argument stands in a file.
func numbersIn(t testing.TB, file string, storms []storm) (n int) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string][]bool{}
	for _, s := range storms {
		seen[s.name] = make([]bool, s.count)
	}
	number := regexp.MustCompile(`number-([a-z0-9-]+)-([0-9]+)`)
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if i := bytes.Index(line, []byte("number-")); i >= 0 {
			if m := number.FindSubmatch(line[i:]); m != nil {
				list := seen[string(m[1])]
				if k, err := strconv.Atoi(string(m[2])); err == nil && k < len(list) && !list[k] {
					list[k] = true
					n++
				}
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return n
		}
	}
}

// startAuditd starts the audit daemon with Debian's configuration and rules, and
// rules for each exec. Its log is never rotated.
func startAuditd(t testing.TB, _ stormPrograms) (running, error) {
	if _, err := exec.LookPath("auditctl"); err != nil {
		return nil, errors.New("it is not installed")
	}
	audit := func(args ...string) string {
		out, err := exec.Command("auditctl", args...).CombinedOutput()
		if err != nil {
			t.Logf("auditctl %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	status := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + ` (\d+)`).FindStringSubmatch(audit("-s"))
		if m == nil {
			return ""
		}
		return m[1]
	}
	if pid := status("pid"); pid != "0" || status("enabled") != "0" {
		return nil, fmt.Errorf("the audit system is in use: enabled %q, pid %q", status("enabled"), pid)
	}
	config, err := os.ReadFile("/etc/audit/auditd.conf")
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	text := regexp.MustCompile(`(?m)^log_file =.*`).ReplaceAllString(string(config), "log_file = "+log)
	text = regexp.MustCompile(`(?m)^max_log_file_action =.*`).ReplaceAllString(text, "max_log_file_action = IGNORE")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "plugins.d"), 0o750), os.WriteFile(filepath.Join(dir, "auditd.conf"), []byte(text), 0o640)); err != nil {
		return nil, err
	}
	p, err := startPeer(t, "auditd", "auditd", "-n", "-s", "disable", "-c", dir)
	if err != nil {
		return nil, err
	}
	// Once it was on, each new process costs time until the next boot, unless a
	// rule excepts it: that one stays.
	off := func() {
		for _, args := range []string{"-D", "-a never,task", "-e 0"} {
			audit(strings.Fields(args)...)
		}
	}
	t.Cleanup(off)
	p.file = log
	if err := p.until(func() bool { return status("pid") == strconv.Itoa(p.cmd.Process.Pid) }); err != nil {
		return nil, err
	}
	for _, rule := range []string{"-D", "-b 8192", "--backlog_wait_time 60000", "-f 1", "-a always,exit -F arch=b64 -S execve -S execveat", "-e 1"} {
		audit(strings.Fields(rule)...)
	}
	pids, _ := exec.Command("pgrep", "-x", "kauditd").Output()
	if pid, err := strconv.Atoi(strings.TrimSpace(string(pids))); err == nil {
		p.tasks["kauditd"] = pid
	}
	before := status("lost")
	p.stop = func() string {
		now := status("lost")
		off()
		n, _ := strconv.Atoi(now)
		m, _ := strconv.Atoi(before)
		return strconv.Itoa(n - m)
	}
	return p, nil
}

// startBpftrace starts the script for this that bpftrace comes with.
func startBpftrace(t testing.TB, _ stormPrograms) (running, error) {
	script, err := exec.LookPath("execsnoop.bt")
	if err != nil {
		return nil, errors.New("it is not installed")
	}
	const mounts = "mount -t tracefs none /sys/kernel/tracing; mount -t debugfs none /sys/kernel/debug; exec bpftrace "
	p, err := startPeer(t, "bpftrace", "unshare", "-m", "sh", "-c", mounts+script)
	if err != nil {
		return nil, err
	}
	canary := func() bool { // it tells of a process
		_ = exec.Command("/bin/true", "canary").Run()
		return bytes.Contains(p.output(), []byte("/bin/true canary"))
	}
	if err := p.until(canary); err != nil {
		return nil, err
	}
	p.stop = func() string {
		n := 0
		for _, m := range regexp.MustCompile(`Lost (\d+) events`).FindAllSubmatch(p.output(), -1) {
			k, _ := strconv.Atoi(string(m[1]))
			n += k
		}
		return strconv.Itoa(n)
	}
	return p, nil
}

// startForkstat starts forkstat, which asks the kernel's process connector.
func startForkstat(t testing.TB, _ stormPrograms) (running, error) {
	p, err := startPeer(t, "forkstat", "forkstat", "-l")
	if err != nil {
		return nil, err
	}
	p.stop = func() string { return "not told" }
	return p, p.until(func() bool {
		cmd := exec.Command("sleep", "0.1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		_ = cmd.Run()
		return bytes.Contains(p.output(), []byte("sleep 0.1"))
	})
}

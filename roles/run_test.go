//go:build unix

package roles

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"daemoneye/platform"
)

const testRule = `-- id: test-canary
-- title: Test canary started
-- description: A process of this test.
-- severity: high
-- version: 1
-- tags: attack.execution, attack.t1059
-- falsepositives: this test
SELECT pid, name, command_line FROM process_events
WHERE event IN ('seen', 'exec') AND invoked_path LIKE '%canary%'
`

// A restart changes nothing of what is known: the processes that were there
// before are there, and are not seen again.
func TestRestartKeepsProcesses(t *testing.T) {
	in := start(t, nil, "--interval", "100ms")
	canary := sleeper(t, "/opt/canary-kept")
	present := func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM processes WHERE pid = %d", canary.Process.Pid))) == 1
	}
	in.eventually("the process is known", present)
	for range 2 {
		if status := in.stop(os.Interrupt); status != 0 {
			t.Fatalf("exit status %d", status)
		}
		in = launch(t, in.dir, nil, "--interval", "100ms")
		in.waitFor("Alerts appear below")
		if !present() {
			t.Error("a process that has not changed is not known after a restart")
		}
		rows := in.query("SELECT count(*) AS n FROM processes")
		scan := in.query("SELECT processes AS n FROM scans ORDER BY time DESC LIMIT 1")
		if known, found := rows[0]["n"].(float64), scan[0]["n"].(float64); known < found-20 || known > found+20 {
			t.Errorf("%v processes are known, the last scan found %v", known, found)
		}
	}
	if rows := in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE pid = %d AND event IN ('exec', 'seen')", canary.Process.Pid)); len(rows) != 1 {
		t.Errorf("seen %d times over two restarts, want once", len(rows))
	}
}

// signal sends a signal to a role. Process 0 would be this test's own group.
func (h health) signal(role string, sig syscall.Signal) error {
	pid := h.pid(role)
	if pid <= 0 {
		return fmt.Errorf("health names no %s", role)
	}
	return syscall.Kill(pid, sig)
}

// A collector that is stopped leaves a gap, and health says so while it lasts.
func TestStoppedCollectorLeavesGap(t *testing.T) {
	t.Setenv("DAEMONEYE_COLLECTOR__SOURCE", "procfs") // what eBPF has told waits in the kernel
	in := start(t, nil, "--interval", "100ms")
	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	if err := h.signal("procmond", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	in.eventually("health notices", func() bool {
		h, ok := in.health()
		return ok && !h.Healthy
	})
	if err := h.signal("procmond", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	in.eventually("the gap is recorded", func() bool {
		return len(in.query("SELECT 1 FROM event_gaps WHERE table_name = 'process_events' AND hop = 'collector' AND lost IS NULL")) == 1
	})
}

// Who kills the collector kills the programs that could tell of it. The next one
// tells.
func TestKilledCollectorIsAlerted(t *testing.T) {
	in := start(t, nil, "--interval", "100ms")
	h, _ := in.health()
	if err := h.signal("procmond", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.eventually("the alert is stored", func() bool {
		rows := in.query(fmt.Sprintf("SELECT 1 FROM alerts WHERE rule_id = 'own-process-attacked' AND matched_row->>'target_pid' = '%d' AND matched_row->>'operation' = 'SIGKILL'", h.pid("procmond")))
		return len(rows) == 1
	})
	in.eventually("the time without it is a gap of each table", func() bool {
		rows := in.query("SELECT DISTINCT table_name FROM event_gaps WHERE reason = 'no collector was running'")
		return len(rows) == 4 || len(rows) == 1 && h.Collector.Source != "ebpf"
	})
}

// What keeps the monitor from starting is said, once.
func TestRunSaysWhyItCanNot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := launch(t, filepath.Join(file, "data"), nil)
	if status := in.wait(); status != 1 || !strings.Contains(in.logged(), "daemoneye: stopped: daemoneye-agent: make ") || !strings.Contains(in.logged(), "not a directory") {
		t.Errorf("status %d, want 1 and the reason:\n%s", status, in.logged())
	}
}

// The whole path: a process starts, a rule matches it, the alert is printed
// and stored, clients see it, and Ctrl-C leaves nothing behind.
func TestRunFromProcessToAlert(t *testing.T) {
	in := start(t, nil, "--interval", "100ms", "--rules", writeRule(t, "canary.sql", testRule))
	canary := sleeper(t, "/opt/canary-1")
	in.waitFor("Test canary started")
	in.waitFor(fmt.Sprintf("pid %d", canary.Process.Pid))

	rows := in.query(fmt.Sprintf("SELECT pid, event, invoked_path, executable_path FROM process_events WHERE pid = %d AND event NOT IN ('fork', 'changed')", canary.Process.Pid))
	if len(rows) != 1 || rows[0]["event"] != "seen" && rows[0]["event"] != "exec" || rows[0]["invoked_path"] != "/opt/canary-1" {
		t.Errorf("process_events of the canary = %v, want it seen once", rows)
	}
	// Another test on this host may have canaries of its own.
	alertOf := fmt.Sprintf("rule_id = 'test-canary' AND pid = %d", canary.Process.Pid)
	in.eventually("the alert is stored", func() bool {
		alerts := in.query("SELECT severity FROM alerts WHERE " + alertOf)
		return len(alerts) == 1 && alerts[0]["severity"] == "high"
	})
	h, ok := in.health()
	if !ok || !h.Healthy || len(h.Roles) != wantRoles() {
		t.Errorf("health = %+v, want %d healthy roles", h, wantRoles())
	}
	_ = canary.Process.Kill()
	_ = canary.Wait()
	in.eventually("the exit is seen", func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE pid = %d AND event = 'exit'", canary.Process.Pid))) == 1
	})

	if status := in.stop(os.Interrupt); status != 0 {
		t.Errorf("exit status %d after SIGINT, want 0", status)
	}
	for _, r := range h.Roles {
		if err := syscall.Kill(r.PID, 0); err == nil {
			t.Errorf("%s (pid %d) is still there", r.Role, r.PID)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(in.dir, "run", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if n := strings.Count(in.output(), fmt.Sprintf("(pid %d, ", canary.Process.Pid)); n != 1 {
		t.Errorf("the alert was printed %d times, want once", n)
	}
	// The store answers when no agent runs.
	if alerts := in.query("SELECT 1 FROM alerts WHERE " + alertOf); len(alerts) != 1 {
		t.Errorf("%d alerts in the store at rest, want 1", len(alerts))
	}
}

// Whichever role is killed is started again; no event is lost or doubled.
func TestRunRestartsRoles(t *testing.T) {
	in := start(t, nil, "--interval", "100ms", "--rules", writeRule(t, "canary.sql", testRule))
	first := sleeper(t, "/opt/canary-a")
	in.waitFor(fmt.Sprintf("pid %d", first.Process.Pid))
	for _, role := range []string{"daemoneye-agent", "procmond", "daemoneye-agent"} {
		h, ok := in.health()
		if !ok {
			t.Fatalf("no answer before %s is killed", role)
		}
		old := h.pid(role)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s (pid %d): %v", role, old, err)
		}
		in.eventually(role+" runs again", func() bool {
			h, ok := in.health()
			return ok && h.pid(role) != 0 && h.pid(role) != old && h.pid("procmond") != 0
		})
	}
	second := sleeper(t, "/opt/canary-b")
	in.waitFor(fmt.Sprintf("pid %d", second.Process.Pid))
	for _, pid := range []int{first.Process.Pid, second.Process.Pid} {
		rows := in.query(fmt.Sprintf("SELECT event FROM process_events WHERE pid = %d AND event IN ('exec', 'seen')", pid))
		if len(rows) != 1 {
			t.Errorf("process %d was seen %d times, want once", pid, len(rows))
		}
		if n := strings.Count(in.output(), fmt.Sprintf("pid %d", pid)); n != 1 {
			t.Errorf("the alert of %d was printed %d times, want once", pid, n)
		}
	}
	if status := in.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", status)
	}
}

func TestRunDropsPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: there are no privileges to drop")
	}
	in := start(t, nil)
	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	for _, r := range h.Roles {
		want := []string{}
		switch r.Role {
		case "supervisor":
			continue
		case "hasher":
			want = []string{"cap_dac_read_search", "cap_sys_ptrace"}
		}
		slices.Sort(r.Capabilities)
		if r.UID == 0 || !slices.Equal(r.Capabilities, want) || len(r.Bounding) != 0 || !r.NoNewPrivs {
			t.Errorf("%s: uid %d, capabilities %v, bounding %v, no_new_privs %t; want an unprivileged uid, %v, none, true",
				r.Role, r.UID, r.Capabilities, r.Bounding, r.NoNewPrivs, want)
		}
		// Health must say what the kernel says.
		s, err := platform.ReadStatus(r.PID)
		if err != nil || s.UID != r.UID {
			t.Errorf("%s: kernel says uid %d, %v; health says %d", r.Role, s.UID, err, r.UID)
		}
	}
	// This test's own executable lies in a directory that only root may enter;
	// the collector must see it all the same.
	rows := in.query(fmt.Sprintf("SELECT executable_path, accessible FROM processes WHERE pid = %d", os.Getpid()))
	if len(rows) != 1 || rows[0]["executable_path"] == nil || rows[0]["accessible"] != true {
		t.Errorf("own process = %v, want it accessible with its executable", rows)
	}
}

func TestRunAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	nobody, err := platform.LookupUser("nobody")
	if err != nil {
		t.Fatal(err)
	}
	parent, err := os.MkdirTemp("/tmp", "daemoneye-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	if err := os.Chown(parent, nobody.UID, nobody.GID); err != nil {
		t.Fatal(err)
	}
	// The program lies in a directory that only root may enter.
	program, err := exec.LookPath("daemoneye")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(nobody.UID), Gid: uint32(nobody.GID)}}
	in := launch(t, filepath.Join(parent, "data"), attr, "--interval", "100ms")
	in.waitFor("Alerts appear below")
	rows := in.query(fmt.Sprintf("SELECT accessible, executable_path FROM processes WHERE pid = %d", os.Getpid()))
	if len(rows) != 1 || rows[0]["accessible"] != false {
		t.Errorf("a process of root = %v, want one row that is not accessible", rows)
	}
	if !strings.Contains(in.output(), "root") {
		t.Errorf("the opening lines do not say what an ordinary user can not see:\n%s", in.output())
	}
	if status := in.stop(os.Interrupt); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	in := start(t, nil)
	again := launch(t, in.dir, nil)
	if status := again.wait(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	h, ok := in.health()
	if want := fmt.Sprintf("daemoneye: already running as pid %d on %s\nhint: ", h.pid("daemoneye-agent"), in.dir); !strings.HasPrefix(again.lastLines(2), want) {
		t.Errorf("its last lines are %q, want %q", again.lastLines(2), want)
	}
	if !ok || strings.Contains(again.logged(), "status 78") {
		t.Errorf("it speaks of exit statuses:\n%s", again.logged())
	}
	if h, ok := in.health(); !ok || !h.Healthy {
		t.Errorf("the first instance suffered: %+v", h)
	}
}

// After another user was configured for the agent, the refusal names the
// command that helps, and the command helps.
func TestForeignDataDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the agent changes its user")
	}
	in := start(t, nil)
	if status := in.stop(os.Interrupt); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	t.Setenv("DAEMONEYE_AGENT__USER", "54321")
	again := launch(t, in.dir, nil)
	if status := again.wait(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	want := fmt.Sprintf("chown -R 54321:54321 %s/store", in.dir)
	if !strings.Contains(again.lastLines(1), want) {
		t.Fatalf("the hint %q does not say %q", again.lastLines(1), want)
	}
	if out, err := exec.Command("sh", "-c", want).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	launch(t, in.dir, nil).waitFor("Alerts appear below")
}

func TestReloadRules(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "0s")
	dir := writeRule(t, "broken.sql", "-- id: broken\n-- title: Broken\n-- severity: low\nSELECT cmdline FROM process_events\n")
	in := start(t, nil, "--interval", "100ms", "--rules", dir)
	if !strings.Contains(in.output(), "broken.sql:4:8") {
		t.Errorf("the opening lines do not name the place of the broken rule:\n%s", in.output())
	}
	if err := os.WriteFile(filepath.Join(dir, "canary.sql"), []byte(testRule), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errOut, status := in.client("rules", "reload")
	if status != 1 || !strings.Contains(out+errOut, "broken.sql") {
		t.Errorf("rules reload: status %d, %s%s; want 1 and the broken file named", status, out, errOut)
	}
	canary := sleeper(t, "/opt/canary-r")
	in.waitFor(fmt.Sprintf("pid %d", canary.Process.Pid))

	if err := os.Remove(filepath.Join(dir, "broken.sql")); err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	in.eventually("the broken rule is gone after SIGHUP", func() bool {
		return len(in.query("SELECT 1 FROM rules WHERE error IS NOT NULL")) == 0
	})
	if rows := in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE pid = %d AND event IN ('exec', 'seen')", canary.Process.Pid)); len(rows) != 1 {
		t.Errorf("seen %d times over two reloads, want once", len(rows))
	}
}

// Files that change are put in force by themselves; a mistake in one takes no
// rule away, and is said.
func TestChangedRules(t *testing.T) {
	t.Setenv("DAEMONEYE_RULES__RELOAD", "50ms")
	const text = "-- id: %s\n-- title: %s\n-- severity: low\nSELECT pid FROM process_events WHERE pid = -1\n"
	dir := writeRule(t, "one.sql", fmt.Sprintf(text, "one", "First"))
	in := start(t, nil, "--rules", dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	titles := func() string {
		var list []string
		for _, row := range in.query("SELECT title FROM rules WHERE rule_id IN ('one', 'two') AND error IS NULL ORDER BY 1") {
			list = append(list, fmt.Sprint(row))
		}
		return strings.Join(list, " ")
	}
	problem := func() string {
		h, _ := in.health()
		i := slices.IndexFunc(h.Problems, func(p string) bool { return strings.Contains(p, "the changed rules are not in force") })
		if i < 0 {
			return ""
		}
		return h.Problems[i]
	}
	first := titles()
	write("two.sql", fmt.Sprintf(text, "two", "Second"))
	in.eventually("a new file is in force", func() bool { return titles() != first })
	both := titles()

	write("two.sql", fmt.Sprintf(text, "two", "Other"))
	write("one.sql", "-- id: one\nSELECT")
	in.eventually("that it is not in force is said", func() bool { return problem() != "" })
	if got := titles(); got != both {
		t.Errorf("with a mistake in one file: %s, want %s", got, both)
	}
	if out, _, status := in.client("rules", "reload"); status != 1 || !strings.Contains(out, "one.sql") || !strings.Contains(out, "nothing changes") {
		t.Errorf("rules reload: status %d, %s", status, out)
	}
	if rows := in.query("SELECT file FROM rules WHERE error IS NOT NULL"); len(rows) != 1 {
		t.Errorf("refused: %v, want the file", rows)
	}

	write("one.sql", fmt.Sprintf(text, "one", "Mended"))
	in.eventually("the mended files are in force", func() bool { return problem() == "" && strings.Contains(titles(), "Mended") })
	if got := titles(); !strings.Contains(got, "Other") {
		t.Errorf("titles %s, want Mended and Other", got)
	}
	if err := os.Remove(filepath.Join(dir, "two.sql")); err != nil {
		t.Fatal(err)
	}
	in.eventually("a removed file is not in force", func() bool { return !strings.Contains(titles(), "Other") })
}

// What is switched stays so over a reload and a restart.
func TestSwitchedRules(t *testing.T) {
	dir := writeRule(t, "canary.sql", testRule)
	in := start(t, nil, "--rules", dir)
	enabled := func() string {
		rows := in.query("SELECT enabled FROM rules WHERE rule_id = 'test-canary'")
		return fmt.Sprint(rows)
	}
	do := func(want string, wantStatus int, args ...string) {
		t.Helper()
		if out, errOut, status := in.client(args...); status != wantStatus || !strings.Contains(out+errOut, want) {
			t.Errorf("%s: status %d, %s%s, want %d and %q", strings.Join(args, " "), status, out, errOut, wantStatus, want)
		}
	}
	on := enabled()
	do("test-canary is disabled", 0, "rules", "disable", "test-canary")
	do("test-canary is already disabled", 0, "rules", "disable", "test-canary")
	do(`there is no rule "nope" in force`, 1, "rules", "disable", "nope")
	off := enabled()
	if on == off {
		t.Fatalf("the rule is %s after it was disabled", off)
	}
	do("1 disabled", 0, "rules", "reload")
	if got := enabled(); got != off {
		t.Errorf("after a reload: %s, want %s", got, off)
	}
	in.killAgent()
	if got := enabled(); got != off {
		t.Errorf("after a restart: %s, want %s", got, off)
	}
	do("test-canary is enabled", 0, "rules", "enable", "test-canary")
	if got := enabled(); got != on {
		t.Errorf("enabled again: %s, want %s", got, on)
	}

	// A damaged file takes nothing else away.
	if err := os.WriteFile(filepath.Join(in.dir, "store", "rules.json"), []byte("{"), 0o640); err != nil {
		t.Fatal(err)
	}
	in.killAgent()
	in.eventually("health tells", func() bool {
		now, ok := in.health()
		return ok && slices.ContainsFunc(now.Problems, func(p string) bool { return strings.Contains(p, filepath.Join(in.dir, "store", "rules.json")) })
	})
}

// Processes that start while the rules are loaded again and again are all
// seen once, and each raises one alert.
func TestReloadLosesNothing(t *testing.T) {
	in := start(t, nil, "--interval", "100ms", "--rules", writeRule(t, "canary.sql", testRule))
	const canaries = 60
	reloaded := make(chan error, 1)
	stop := make(chan struct{})
	var reloads atomic.Int32
	go func() {
		for ; ; reloads.Add(1) {
			select {
			case <-stop:
				reloaded <- nil
				return
			default:
			}
			if out, err := exec.Command("daemoneye", "rules", "reload", "--data-dir", in.dir).CombinedOutput(); err != nil {
				reloaded <- fmt.Errorf("%w: %s", err, out)
				return
			}
		}
	}()
	var pids []string
	for i := range canaries {
		if i%10 == 0 { // among the canaries
			in.eventually("the rules are loaded again", func() bool { return reloads.Load() >= int32(i/10) })
		}
		pids = append(pids, fmt.Sprint(sleeper(t, fmt.Sprintf("/opt/canary-%d", i)).Process.Pid))
		if i%10 == 9 { // several scans and reloads go by
			last := pids[len(pids)-1]
			in.eventually("process "+last+" is seen", func() bool { return len(in.query("SELECT 1 FROM process_events WHERE pid = "+last)) > 0 })
		}
	}
	list := strings.Join(pids, ", ")
	in.eventually("all alerts are stored", func() bool {
		return len(in.query("SELECT 1 FROM alerts WHERE rule_id = 'test-canary' AND pid IN ("+list+")")) >= canaries
	})
	close(stop)
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
	for table, where := range map[string]string{"process_events": "event IN ('exec', 'seen')", "alerts": "rule_id = 'test-canary' AND count = 1"} {
		if rows := in.query("SELECT pid, count(*) FROM " + table + " WHERE " + where + " AND pid IN (" + list + ") GROUP BY pid HAVING count(*) = 1"); len(rows) != canaries {
			t.Errorf("%s has %d of the %d processes once", table, len(rows), canaries)
		}
	}
}

// The default directory of rules is made at the start, and counts when rules
// come later; a file that the agent's user can not read is refused by that user's name.
func TestDefaultRulesDirectory(t *testing.T) {
	var attr *syscall.SysProcAttr
	home := t.TempDir()
	if os.Geteuid() == 0 { // whose default is the system's
		nobody, err := platform.LookupUser("nobody")
		if err != nil {
			t.Fatal(err)
		}
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(nobody.UID), Gid: uint32(nobody.GID)}}
		program, err := exec.LookPath("daemoneye")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program)), filepath.Dir(home)} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(home, nobody.UID, nobody.GID); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	in := launch(t, filepath.Join(home, "data"), attr, "--interval", "100ms")
	in.waitFor("Alerts appear below")
	rules := filepath.Join(home, ".config", "daemoneye", "rules")
	if out, _, _ := in.client("health"); !strings.Contains(out, "read from builtin, "+rules+"\n") {
		t.Errorf("health does not say where rules are read from:\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(rules, "canary.sql"), []byte(testRule), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errOut, status := in.client("rules", "reload")
	if status != 0 || !strings.Contains(out, "0 refused; read from builtin, "+rules+"\n") {
		t.Errorf("rules reload: status %d\n%s%s", status, out, errOut)
	}
	if rows := in.query("SELECT 1 FROM rules WHERE rule_id = 'test-canary'"); len(rows) != 1 {
		t.Error("the rule is not loaded")
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chmod(filepath.Join(rules, "canary.sql"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, status = in.client("rules", "reload")
	if want := "canary.sql: open: permission denied (the agent runs as nobody, who must be able to read it"; status != 1 || !strings.Contains(out, want) {
		t.Errorf("rules reload: status %d, %q, want %q", status, out, want)
	}
	h, _ := in.health()
	if want := "1 rule was refused; see daemoneye rules list"; !slices.Contains(h.Problems, want) {
		t.Errorf("health has the problems %q, want %q among them", h.Problems, want)
	}
}

func TestSupervisorKilledStopsRoles(t *testing.T) {
	in := start(t, nil)
	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	if err := in.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	in.wait()
	in.eventually("the roles end", func() bool {
		return !slices.ContainsFunc([]string{"procmond", "daemoneye-agent"}, func(role string) bool {
			return syscall.Kill(h.pid(role), 0) == nil
		})
	})
}

func TestAlertFile(t *testing.T) {
	in := func() *instance {
		dir := t.TempDir()
		config := filepath.Join(dir, "config.yaml")
		if err := os.Chmod(dir, 0o777); err != nil { // the agent's user makes the file
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		text := "alerts:\n  jsonl:\n    path: " + filepath.Join(dir, "alerts.jsonl") + "\n"
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		in := start(t, nil, "--interval", "100ms", "--config", config, "--rules", writeRule(t, "canary.sql", testRule))
		t.Setenv("ALERTS", filepath.Join(dir, "alerts.jsonl"))
		return in
	}()
	path := os.Getenv("ALERTS")
	canary := sleeper(t, "/opt/canary-f")
	has := func() bool {
		data, _ := os.ReadFile(path)
		return strings.Contains(string(data), fmt.Sprintf(`"pid":%d,`, canary.Process.Pid)) && strings.HasSuffix(string(data), "\n")
	}
	in.eventually("the alert is in the file", has)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	in.eventually("the file is made anew after SIGHUP", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	canary = sleeper(t, "/opt/canary-g")
	in.eventually("the next alert is in the new file", has)
}

// The log names the socket as people do, not as the caged collector reaches it.
func TestLogNamesSocket(t *testing.T) {
	in := start(t, nil)
	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	// Stopped, the supervisor does not start the agent again.
	supervisor := in.cmd.Process
	if err := errors.Join(supervisor.Signal(syscall.SIGSTOP), syscall.Kill(h.pid("daemoneye-agent"), syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = supervisor.Signal(syscall.SIGCONT) })
	in.waitInLog(`connect to \"`)
	if err := supervisor.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if log := in.logged(); strings.Contains(log, "/proc/self/fd/") {
		t.Errorf("the log names a descriptor:\n%s", log)
	}
}

// An agent that had to be killed leaves no socket behind.
func TestKilledAgentLeavesNoSocket(t *testing.T) {
	t.Setenv("DAEMONEYE_SUPERVISOR__STOP_TIMEOUT", "1s")
	in := start(t, nil, "--interval", "100ms")
	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	if err := h.signal("daemoneye-agent", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if status := in.stop(syscall.SIGTERM); status != 1 || !strings.Contains(in.logged(), "was killed") {
		t.Errorf("exit status %d, want 1 and that a role was killed", status)
	}
	if _, err := os.Lstat(filepath.Join(in.dir, "run", "agent.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there (%v)", err)
	}
}

// Root without CAP_DAC_OVERRIDE can not enter the directories that it gave to
// the agent's user, and need not.
func TestRootWithoutOverride(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	daemoneye, err := exec.LookPath("daemoneye")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // where the roles may go without a capability
		t.Fatal(err)
	}
	in := &instance{t: t, dir: filepath.Join(dir, "data"), done: make(chan error, 1)}
	in.cmd = exec.Command(setpriv, "--bounding-set=-dac_override,-dac_read_search", daemoneye, "run", "--data-dir", in.dir)
	var log strings.Builder
	in.cmd.Stderr = &log
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { in.done <- in.cmd.Wait() }()
	t.Cleanup(func() {
		_ = in.cmd.Process.Kill()
		in.done <- <-in.done
		if t.Failed() {
			t.Logf("standard error:\n%s", log.String())
		}
	})
	in.eventually("it answers", func() bool {
		select {
		case err := <-in.done:
			in.done <- err
			t.Fatalf("it ended: %v", err)
		default:
		}
		h, ok := in.health()
		return ok && h.pid("procmond") != 0
	})
	if status := in.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// A rule file may have any name.
func TestRuleFileWithLineBreak(t *testing.T) {
	dir := writeRule(t, "a\nb.sql", "-- id: x\n-- title: X\n-- severity: low\nSELECT nope FROM process_events\n")
	cmd := exec.Command("daemoneye", "rules", "list", "--rules", dir, "--data-dir", t.TempDir())
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), `/a\nb.sql:4:8: column "nope" does not exist`) {
		t.Errorf("rules list (%v) does not show the file's name:\n%s", err, out)
	}
}

package roles

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"daemoneye/platform/connector"
)

// With the kernel's process events, a process is told from its begin to its end,
// and the collector keeps no more privileges than with scans.
func TestRunWithNetlink(t *testing.T) {
	s, err := connector.Open(connector.Config{})
	if err != nil {
		t.Skip(err)
	}
	_ = s.Close()
	t.Setenv("DAEMONEYE_COLLECTOR__SOURCE", "netlink")
	in := start(t, nil, "--interval", "1h")
	in.waitFor("netlink process events, and scans")
	cmd := exec.Command("sh", "-c", "read x; exit 3")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	in.eventually("the exec is told", func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM process_events WHERE pid = %d AND event = 'exec' AND command_line = 'sh -c read x; exit 3'", pid))) == 1
	})
	_ = stdin.Close()
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) {
		t.Fatal(err)
	}
	of := fmt.Sprintf("FROM process_events WHERE pid = %d AND ppid = %d AND source = 'netlink'", pid, os.Getpid())
	in.eventually("the exit is told", func() bool { return len(in.query("SELECT 1 "+of+" AND event = 'exit'")) == 1 })
	var events []string
	for _, r := range in.query("SELECT event, exit_code " + of + " ORDER BY time") {
		events = append(events, fmt.Sprint(r["event"], r["exit_code"]))
	}
	if got := strings.Join(events, " "); got != "fork<nil> exec<nil> exit3" {
		t.Errorf("events %s", got)
	}
	h, ok := in.health()
	if !ok || !h.Healthy {
		t.Errorf("health %+v", h)
	}
	for _, r := range h.Roles {
		slices.Sort(r.Capabilities)
		if want := []string{"cap_dac_read_search", "cap_sys_ptrace"}; os.Geteuid() == 0 && r.Role == "procmond" && (!slices.Equal(r.Capabilities, want) || r.UID == 0) {
			t.Errorf("the collector holds %v as uid %d, want %v", r.Capabilities, r.UID, want)
		}
	}
	if out, _, _ := in.client("health"); !strings.Contains(out, "source netlink") || !strings.Contains(out, "looked up too late") {
		t.Errorf("health says\n%s", out)
	}
}

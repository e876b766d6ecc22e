package roles

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"daemoneye/platform/bpf"
)

const listenerRule = `-- id: test-listener
-- title: Test listener
-- severity: low
-- dedup: local_port, pid
SELECT pid, name, local_port FROM network_connections WHERE state = 'listen' AND name LIKE 'listens%%' AND local_port = %d
`

// A caged collector tells of the sockets of all users at the moment of the
// query, also of those that are older than it; and rules read them.
func TestRunTellsConnections(t *testing.T) {
	s, err := bpf.Open(bpf.Config{})
	if err != nil {
		t.Skip(err)
	}
	limits := s.Limits()
	_ = s.Close()
	if len(limits) > 0 {
		t.Skip(limits)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	hostile := filepath.Join(t.TempDir(), "listens\x1b[2J\xff")
	if err := os.WriteFile(hostile, program, 0o755); err != nil {
		t.Fatal(err)
	}
	other := exec.Command(hostile, "3600")
	other.ExtraFiles = []*os.File{f}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	_ = f.Close()

	in := start(t, nil, "--interval", "1s", "--rules", writeRule(t, "listener.sql", fmt.Sprintf(listenerRule, port)))
	in.waitFor("Test listener")
	of := fmt.Sprintf(" FROM network_connections WHERE local_port = %d", port)
	var pids []int
	for _, r := range in.query("SELECT pid, name, executable_path, state, direction, local_address, open, inode, user_id, entity_id, ppid" + of) {
		pid, _ := r["pid"].(float64)
		pids = append(pids, int(pid))
		if r["state"] != "listen" || r["direction"] != "listening" || r["local_address"] != "127.0.0.1" || r["open"] != true || r["inode"] == nil || r["entity_id"] == nil || r["user_id"] != float64(os.Geteuid()) {
			t.Errorf("%v", r)
		}
		if int(pid) == other.Process.Pid && (r["name"] != "listens\x1b[2J\\xff" || r["ppid"] != float64(os.Getpid())) {
			t.Errorf("the other process is %q", r)
		}
	}
	slices.Sort(pids)
	want := []int{os.Getpid(), other.Process.Pid}
	slices.Sort(want)
	if !slices.Equal(pids, want) {
		t.Errorf("processes %v, want %v", pids, want)
	}

	// What begins later is joined with what events tell of it.
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	near := netip.MustParseAddrPort(out.LocalAddr().String()).Port()
	in.eventually("the connection is joined with its event", func() bool {
		return len(in.query(fmt.Sprintf("SELECT 1 FROM network_connections c JOIN network_events e USING (socket_id) WHERE e.event = 'connect' AND c.local_port = %d AND c.direction = 'outbound' AND c.pid = %d AND c.duration >= 0", near, os.Getpid()))) == 1
	})
	// One moment, however often a query reads it.
	const twice = "SELECT 1 FROM network_connections a JOIN network_connections b USING (inode, pid) WHERE a.collection_time <> b.collection_time AND a.local_port = %d"
	if rows := in.query(fmt.Sprintf(twice, port)); len(rows) > 0 {
		t.Errorf("%d rows differ within a query", len(rows))
	}
	_ = out.Close()
	_ = l.Close()
	_ = other.Process.Kill()
	_ = other.Wait()
	in.eventually("the listener is gone", func() bool { return len(in.query("SELECT 1"+of+" AND state = 'listen'")) == 0 })

	h, ok := in.health()
	if !ok {
		t.Fatal("no health")
	}
	old := h.pid("procmond")
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.eventually("a new collector tells", func() bool {
		text, _, status := in.client("query", "SELECT count(*) > 0 FROM network_connections", "--format", "csv")
		h, ok := in.health()
		return ok && h.pid("procmond") != 0 && h.pid("procmond") != old && status == 0 && strings.Contains(text, "t")
	})
	in.stop(os.Interrupt)
	if _, text, status := in.client("query", "SELECT 1 FROM network_connections"); status == 0 || !strings.Contains(text, "only a running agent can tell") {
		t.Errorf("without an agent: status %d, %s", status, text)
	}
}

// Where nothing can list the sockets, queries and health say so.
func TestConnectionsNeedEBPF(t *testing.T) {
	t.Setenv("DAEMONEYE_COLLECTOR__SOURCE", "procfs")
	in := start(t, nil)
	const want = "network_connections can not be told: that takes eBPF"
	if _, text, status := in.client("query", "SELECT 1 FROM network_connections"); status == 0 || !strings.Contains(text, want) {
		t.Errorf("status %d, %s", status, text)
	}
	if text, _, _ := in.client("health", "--format", "json"); !strings.Contains(text, want) {
		t.Errorf("health does not say it:\n%s", text)
	}
	if status := in.stop(os.Interrupt); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

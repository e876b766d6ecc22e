//go:build linux

package collector

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFrozenCollector: who freezes the collector by its control group is told as
// soon as it runs again, and that it did not run.
func TestFrozenCollector(t *testing.T) {
	root := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			root = dir
		}
	}
	group := fmt.Sprintf("/daemoneye-test-%d", os.Getpid())
	if root == "" || os.Mkdir(root+group, 0o755) != nil {
		t.Skip("no control group can be made")
	}
	defer func() {
		if err := os.Remove(root + group); err != nil {
			t.Error(err)
		}
	}()
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true, stallTime: time.Second})
	a.scan(1)
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, home, _ := strings.Cut("\n"+string(own), "\n0::")
	home, _, _ = strings.Cut(home, "\n")
	const freeze = `cd "$1"; echo $2 >cgroup.procs; echo 1 >cgroup.freeze; sleep 3; echo 0 >cgroup.freeze; echo $2 >"$3/cgroup.procs"`
	cmd := exec.Command("sh", "-c", freeze, "sh", root+group, strconv.Itoa(os.Getpid()), root+home)
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for _, kind := range []string{"cgroup_move", "cgroup_freeze"} {
		r := a.kernelEvent(kind, cmd.Process.Pid)
		if r["object_name"] != group || r["target_pid"] != int64(os.Getpid()) || r["target_protected"] != true || r["protected"] != false || r["success"] != true {
			t.Errorf("%v", r)
		}
	}
	a.await("sensor_stalled", func() bool {
		return len(a.rows("kernel_events", 0, func(r row) bool {
			return r["event"] == eventSensorStalled && r["target_pid"] == int64(os.Getpid()) && r["target_protected"] == true
		})) > 0
	})
}

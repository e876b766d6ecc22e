//go:build amd64 || arm64

package bpf

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProtected: of protected processes more is told than of others: reads of
// their memory, their limits, signals that the kernel sends for another process,
// and their control group.
func TestProtected(t *testing.T) {
	c := newCaller(t)
	waits := strconv.Itoa(c.waits)
	told := func(t *testing.T, protected bool) {
		pids := []int32{int32(os.Getpid())}
		if protected {
			pids = append(pids, int32(c.waits))
		}
		if err := c.source.Protect(pids); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name, call string
			what       uint32
			want       func(*Call) bool
		}{
			{"memory-read", "openat", MemoryRead, func(c *Call) bool { return c.Path == "/proc/"+waits+"/mem" && c.Args[2]&3 == 0 }},
			{"limit", "prlimit64", SetLimits, func(c *Call) bool { return c.Args[1] == 10 && len(c.Bytes) == 16 && c.Bytes[0] == 7 }},
			{"nice", "setpriority", SetLimits, func(*Call) bool { return true }},
			{"affinity", "sched_setaffinity", SetLimits, func(*Call) bool { return true }},
			{"sigio", "", Signal, func(c *Call) bool { return c.Args[1] == uint64(unix.SIGUSR1) && int32(c.Args[2]) > 0 }},
		} {
			list := c.run(t, System, test.name, waits)
			if !protected {
				if len(list) != 0 {
					t.Errorf("%s: %d records of a process that is not protected, the first %+v", test.name, len(list), *list[0].System)
				}
				continue
			}
			if len(list) != 1 {
				t.Errorf("%s: %d records, want 1", test.name, len(list))
				continue
			}
			if e, call := list[0], list[0].System; e.What != test.what || call.Name != test.call || call.Target.PID != int32(c.waits) || call.Target.Start == 0 || !test.want(call) {
				t.Errorf("%s: what %d, %+v", test.name, e.What, *call)
			}
		}
	}
	t.Run("not", func(t *testing.T) { told(t, false) })
	t.Run("protected", func(t *testing.T) { told(t, true) })
	t.Run("descriptor", func(t *testing.T) { // of any process
		list := c.run(t, System, "getfd", waits, "1")
		if len(list) != 1 || list[0].What != PidfdGetfd || list[0].System.Target.PID != int32(c.waits) || list[0].System.Args[1] != 1 || list[0].System.Result < 0 {
			t.Errorf("%d records: %+v", len(list), list)
		}
	})
	t.Run("control group", func(t *testing.T) {
		dir := cgroup(t)
		write := func(file, text string) {
			t.Helper()
			if err := os.WriteFile(dir+"/"+file, []byte(text), 0); err != nil {
				t.Fatal(err)
			}
		}
		is := func(what uint32, want func(*Call) bool) {
			t.Helper()
			c.until(t, func(e *Event) bool {
				return e.Kind == System && e.What == what && int(e.PID) == os.Getpid() && e.System.Target.PID == int32(c.waits) && want(e.System)
			})
		}
		path := func(c *Call) bool { return c.Texts[0] == "/daemoneye-test-"+strconv.Itoa(os.Getpid()) }
		write("cgroup.procs", waits)
		is(CgroupMove, path)
		write("cgroup.freeze", "1")
		is(CgroupFreeze, path)
		write("cgroup.freeze", "0")
		write("cgroup.kill", "1")
		is(Signal, func(c *Call) bool { return c.Args[1] == uint64(unix.SIGKILL) && c.Args[2] == 1<<16 })
	})
}

// cgroup makes a control group of the unified hierarchy.
func cgroup(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := root + "/daemoneye-test-" + strconv.Itoa(os.Getpid())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Log(err)
			}
		})
		return dir
	}
	t.Skip("there is no unified hierarchy of control groups")
	return ""
}

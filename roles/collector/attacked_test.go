//go:build linux

package collector

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// attack runs the program that makes system calls, which is none of ours, against
// this process.
func attack(t *testing.T, program, name string, argument int) (pid int) {
	t.Helper()
	cmd := exec.Command(program, name, strconv.Itoa(os.Getpid()), strconv.Itoa(argument))
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, raw)
	}
	return cmd.Process.Pid
}

// TestAttacks: what another process does to the collector beyond signals is told
// with who did it.
func TestAttacks(t *testing.T) {
	program := calls(t)
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	id := 0
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(wantedMap(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(info[bytes.Index(info, []byte("map_id:")):]), "map_id:\t%d", &id); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		argument int
		event    string
		columns  map[string]string
	}{
		{"memory-read", 0, "process_memory_read", map[string]string{"path": fmt.Sprintf("/proc/%d/mem", os.Getpid())}},
		{"readv", 0, "process_vm_read", nil},
		{"limit", 0, "set_limits", map[string]string{"system_call": "prlimit64", "operation": "RLIMIT_LOCKS", "arguments": `{"hard":"unlimited","soft":"7"}`}},
		{"nice", 0, "set_limits", map[string]string{"system_call": "setpriority"}},
		{"affinity", 0, "set_limits", map[string]string{"system_call": "sched_setaffinity"}},
		{"getfd", 1, "pidfd_getfd", map[string]string{"arguments": `{"descriptor":1}`}},
		{"sigio", 0, "signal", map[string]string{"operation": "SIGUSR1", "arguments": `{"cause":"a file whose owner gets it (F_SETSIG)"}`}},
		{"map-open", id, "bpf", map[string]string{"operation": "BPF_MAP_GET_FD_BY_ID"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := a.kernelEvent(test.event, attack(t, program, test.name, test.argument))
			if r["target_pid"] != int64(os.Getpid()) || r["target_protected"] != true || r["protected"] != false || r["success"] != true || r["executable_path"] != program {
				t.Errorf("%v", r)
			}
			for name, want := range test.columns {
				if got := fmt.Sprintf("%s", r[name]); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
		})
	}
}

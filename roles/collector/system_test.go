//go:build linux

package collector

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// calls builds the program of platform/bpf that makes system calls.
func calls(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	raw, err := exec.Command("gcc", "-O2", "-static", "-no-pie", "-Wno-unused-result", "-o", out, "../../platform/bpf/testdata/calls.c").CombinedOutput()
	if err != nil {
		t.Skipf("gcc: %v\n%s", err, raw)
	}
	return out
}

// kernelEvent waits for a row of kernel_events of a process.
func (a *testAgent) kernelEvent(kind string, pid int) row {
	a.t.Helper()
	var found []row
	a.await(kind+" of process "+strconv.Itoa(pid), func() bool {
		found = a.rows("kernel_events", pid, func(r row) bool { return r["event"] == kind })
		return len(found) > 0
	})
	return found[0]
}

// TestKernelCalls: what a process does to the kernel and to others becomes a row with
// its words decoded, its target and the process itself.
func TestKernelCalls(t *testing.T) {
	program := calls(t)
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	waits := start(t, exec.Command(program, "wait"), true)
	target := a.event(eventExec, waits.Process.Pid, nil)
	pid := strconv.Itoa(waits.Process.Pid)
	for _, test := range []struct {
		args    []string
		event   string
		columns row
	}{
		{[]string{"module"}, "module_load", row{"system_call": "finit_module", "path": "/etc/hostname", "object_name": "hostname", "arguments": `{"parameters":"a=1 b=\\xff"}`}},
		{[]string{"unload"}, "module_unload", row{"object_name": `no\xffmodule`, "success": false}},
		{[]string{"bpf"}, "bpf", row{"operation": "BPF_PROG_LOAD", "object_name": "mine", "error": "EPERM", "success": false, "arguments": `{"instructions":0,"program_type":"socket_filter"}`}},
		{[]string{"attach", pid}, "ptrace", row{"operation": "PTRACE_SEIZE", "target_pid": target["pid"], "target_entity_id": target["entity_id"], "target_name": "calls", "target_executable_path": program, "target_user_id": int64(0), "target_protected": false, "success": true}},
		{[]string{"writev", pid}, "process_vm_write", row{"target_entity_id": target["entity_id"], "arguments": `{"bytes":8}`}},
		{[]string{"memory", pid}, "process_memory_open", row{"path": "/proc/" + pid + "/mem", "target_entity_id": target["entity_id"]}},
		{[]string{"memory-refused", pid}, "process_memory_open", row{"path": "/proc/" + pid + "/mem", "error": "EACCES", "user_id": int64(1234)}},
		{[]string{"memfd"}, "memfd_create", row{"object_name": "na\n\\xffme", "flags": []string{"MFD_CLOEXEC"}}},
		{[]string{"shared"}, "memory_executable", row{"system_call": "mmap", "path": program, "flags": []string{"PROT_READ", "PROT_EXEC"}}},
		{[]string{"segment"}, "memory_executable", row{"system_call": "shmat", "path": nil, "flags": []string{"SHM_RDONLY", "SHM_EXEC"}}},
		{[]string{"personality"}, "memory_executable", row{"system_call": "personality", "flags": []string{"ADDR_NO_RANDOMIZE", "READ_IMPLIES_EXEC"}}},
		{[]string{"wx-file"}, "memory_executable", row{"system_call": "mmap", "path": "/etc/hostname", "flags": []string{"PROT_READ", "PROT_WRITE", "PROT_EXEC"}, "arguments": `{"length":4096}`}},
		{[]string{"mount-refused"}, "mount", row{"path": "/mnt", "object_name": "tmpfs", "flags": []string{}, "arguments": `{"source":"what"}`, "error": "EPERM"}},
		{[]string{"key"}, "key", row{"system_call": "add_key", "object_name": "mine", "arguments": `{"type":"user"}`}},
		{[]string{"perf", pid}, "perf_event_open", row{"operation": "software", "target_entity_id": target["entity_id"]}},
		{[]string{"hostname"}, "host_name", row{"object_name": `other\xff`}},
		{[]string{"time"}, "set_time", row{"arguments": `{"time":"2009-02-13T23:31:30.000000005Z"}`, "error": "EPERM"}},
		{[]string{"dumpable"}, "prctl", row{"operation": "PR_SET_DUMPABLE", "arguments": `{"value":0}`}},
		{[]string{"quit-as", pid}, "signal", row{"operation": "SIGUSR2", "signal": int64(12), "error": "EPERM", "target_entity_id": target["entity_id"], "target_protected": false}},
		{[]string{"chroot"}, "chroot", row{"path": "/usr/../usr"}},
		{[]string{"unshare"}, "namespace", row{"system_call": "unshare", "flags": []string{"CLONE_NEWUTS"}}},
		{[]string{"long"}, "module_load", row{"truncated": true}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			cmd := exec.Command(program, test.args...)
			if raw, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			r := a.kernelEvent(test.event, cmd.Process.Pid)
			for name, want := range test.columns {
				got := r[name]
				if list, ok := want.([]string); ok {
					if got, ok := got.([]string); !ok || !slices.Equal(got, list) {
						t.Errorf("%s is %q, want %q", name, got, list)
					}
				} else if raw, ok := got.(json.RawMessage); ok {
					if string(raw) != want {
						t.Errorf("%s is %s, want %s", name, raw, want)
					}
				} else if got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			if r["executable_path"] != program || r["command_line"] != strings.Join(append([]string{program}, test.args...), " ") || r["parent_entity_id"] == nil || r["entity_id"] == nil {
				t.Errorf("process %v %v of %v", r["executable_path"], r["command_line"], r["parent_entity_id"])
			}
		})
	}
}

// TestOwnProcesses: signals to processes of ours are told, whoever sends them; a
// program that is not ours, or not this program, is not protected.
func TestOwnProcesses(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	ours := start(t, self(t, "title", "x"), true)
	a.event(eventExec, ours.Process.Pid, nil)
	kill := func(pid int) int {
		cmd := exec.Command("sh", "-c", "kill -WINCH "+strconv.Itoa(pid))
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	for _, pid := range []int{ours.Process.Pid, os.Getpid()} {
		r := a.kernelEvent("signal", kill(pid))
		if r["target_pid"] != int64(pid) || r["target_protected"] != true || r["protected"] != false || r["operation"] != "SIGWINCH" || r["success"] != true || r["system_call"] != nil {
			t.Errorf("signal to %d: %v", pid, r)
		}
	}
	other := start(t, exec.Command("sh", "-c", "echo; read x"), true)
	killer := kill(other.Process.Pid)
	a.event(eventExit, killer, nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	if list := a.rows("kernel_events", killer, func(row) bool { return true }); len(list) != 0 {
		t.Errorf("a signal to another process is told: %v", list)
	}
}

//go:build amd64 || arm64

package bpf

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// all wants everything of a kind.
const all = 1<<64 - 1

// caller is a source and the program of testdata that makes system calls.
type caller struct {
	*recorder
	program string
	waits   int // a process that waits
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	program := build(t, "calls", "-no-pie", "-Wno-unused-result")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{})
	for _, limit := range s.Limits() {
		t.Skip(limit)
	}
	for _, kind := range []Kind{Changed, System} {
		if err := s.Want(kind, all); err != nil {
			t.Fatal(err)
		}
	}
	c := &caller{recorder: record(t, s), program: program}
	wait := exec.Command(program, "wait")
	out, err := wait.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := wait.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = wait.Process.Kill()
		_ = wait.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.waits = wait.Process.Pid
	return c
}

// run runs the program and returns what was told of it.
func (c *caller) run(t *testing.T, kind Kind, args ...string) (list []Event) {
	t.Helper()
	_, list = c.pid(t, kind, args...)
	return list
}

func (c *caller) pid(t *testing.T, kind Kind, args ...string) (pid int, list []Event) {
	t.Helper()
	cmd := exec.Command(c.program, args...)
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, raw)
	}
	pid = cmd.Process.Pid
	for _, e := range c.until(t, exitOf(pid)) {
		if int(e.PID) == pid && e.Kind == kind {
			list = append(list, e)
		}
	}
	return pid, list
}

// TestCalls: what a process does is told with what it asked for, and with whom
// it concerns.
func TestCalls(t *testing.T) {
	c := newCaller(t)
	waits := strconv.Itoa(c.waits)
	_, err := os.Stat("/proc/sys/kernel/yama")
	yama := err == nil
	amd64 := runtime.GOARCH == "amd64"
	for _, test := range []struct {
		args []string
		what uint32
		call string
		want func(*Call) bool
		skip bool
	}{
		{args: []string{"module"}, what: ModuleLoad, call: "finit_module", want: func(c *Call) bool { return c.Path == "/etc/hostname" && c.Texts[1] == "a=1 b=\xff" && c.Result < 0 }},
		{args: []string{"unload"}, what: ModuleUnload, call: "delete_module", want: func(c *Call) bool { return c.Texts[0] == "no\xffmodule" && c.Result < 0 }},
		{args: []string{"bpf"}, what: BPF, call: "bpf", want: func(c *Call) bool {
			return c.Args[0] == 5 && c.Bytes[0] == 1 && bytes.HasPrefix(c.Bytes[48:], []byte("mine\x00")) && c.Result == -int64(unix.EPERM)
		}},
		{args: []string{"attach", waits}, what: Ptrace, call: "ptrace", want: func(call *Call) bool {
			return call.Args[0] == 0x4206 && call.Target.Name == "calls" && call.Target.PID == int32(c.waits) && call.Target.Start > 0 && call.Result == 0
		}},
		{args: []string{"traceme"}, what: Ptrace, call: "ptrace", want: func(c *Call) bool { return c.Args[0] == 0 && c.Target.PID == int32(os.Getpid()) }},
		{args: []string{"cont", waits}, what: Ptrace, call: "ptrace", want: func(c *Call) bool { return c.Args[0] == 16 }},
		{args: []string{"readv", waits}, what: ProcessVMRead, call: "process_vm_readv", want: func(call *Call) bool { return call.Target.PID == int32(c.waits) && call.Result == 8 }},
		{args: []string{"writev", waits}, what: ProcessVMWrite, call: "process_vm_writev", want: func(call *Call) bool { return call.Target.PID == int32(c.waits) && call.Result == 8 }},
		{args: []string{"memory", waits}, what: MemoryOpen, call: "openat", want: func(call *Call) bool {
			return call.Target.PID == int32(c.waits) && call.Target.Start > 0 && call.Path == "/proc/"+waits+"/mem"
		}},
		{args: []string{"memory-relative", waits}, what: MemoryOpen, call: "openat2", want: func(call *Call) bool {
			return call.Target.PID == int32(c.waits) && call.Texts[1] == "mem" && call.Path == "/proc/"+waits+"/task/"+waits+"/mem"
		}},
		{args: []string{"memory-refused", waits}, what: MemoryOpen, call: "openat", want: func(c *Call) bool { return c.Texts[1] == "/proc/"+waits+"/mem" && c.Result == -int64(unix.EACCES) }},
		{args: []string{"memfd"}, what: MemfdCreate, call: "memfd_create", want: func(c *Call) bool { return c.Texts[0] == "na\n\xffme" && c.Args[1] == 1 }},
		{args: []string{"wx"}, what: MemoryExecutable, call: "mmap", want: func(c *Call) bool { return c.Args[2] == 7 && c.Path == "" && c.Result > 0 }},
		{args: []string{"wx-file"}, what: MemoryExecutable, call: "mmap", want: func(c *Call) bool { return c.Path == "/etc/hostname" }},
		{args: []string{"protect"}, what: MemoryExecutable, call: "mprotect", want: func(c *Call) bool { return c.Args[2] == 5 && c.Result == 0 }},
		{args: []string{"shared"}, what: MemoryExecutable, call: "mmap", want: func(call *Call) bool { return call.Args[2] == 5 && call.Path == c.program }},
		{args: []string{"segment"}, what: MemoryExecutable, call: "shmat", want: func(c *Call) bool { return c.Args[2] == 0o110000 && c.Result > 0 }},
		{args: []string{"personality"}, what: MemoryExecutable, call: "personality", want: func(c *Call) bool { return c.Args[0] == 0x440000 }},
		{args: []string{"old-segment"}, what: MemoryExecutable, call: "shmat", want: func(c *Call) bool { return c.Compat && c.Args[2] == 0o100000 }, skip: !amd64},
		{args: []string{"old-ipc"}, what: MemoryExecutable, call: "ipc", want: func(c *Call) bool { return c.Compat && c.Args[2] == 0o100000 }, skip: !amd64},
		{args: []string{"old-wx"}, what: MemoryExecutable, call: "mmap", want: func(c *Call) bool { return c.Compat && c.Args[2] == 7 }, skip: !amd64},
		{args: []string{"old-memfd"}, what: MemfdCreate, call: "memfd_create", want: func(c *Call) bool { return c.Compat && c.Texts[0] == "old" }, skip: !amd64},
		{args: []string{"mount-refused"}, what: Mount, call: "mount", want: func(c *Call) bool {
			return c.Texts[0] == "what" && c.Texts[1] == "/mnt" && c.Texts[2] == "tmpfs" && c.Result == -int64(unix.EPERM)
		}},
		{args: []string{"kexec"}, what: Kexec, call: "kexec_load", want: func(c *Call) bool { return c.Args[3] == 0 }},
		{args: []string{"key"}, what: Key, call: "add_key", want: func(c *Call) bool { return c.Texts[0] == "user" && c.Texts[1] == "mine" && c.Texts[2] == "" }},
		{args: []string{"uring"}, what: IOURing, call: "io_uring_setup", want: func(c *Call) bool { return c.Args[0] == 8 }},
		{args: []string{"perf", waits}, what: PerfEvent, call: "perf_event_open", want: func(call *Call) bool {
			return call.Target.PID == int32(c.waits) && call.Bytes[0] == 1 && len(call.Bytes) == 16
		}},
		{args: []string{"handle"}, what: OpenByHandle, call: "open_by_handle_at", want: func(c *Call) bool { return c.Result == -int64(unix.EPERM) && len(c.Bytes) == 8 }},
		{args: []string{"time"}, what: SetTime, call: "clock_settime", want: func(c *Call) bool { return len(c.Bytes) == 16 && c.Result == -int64(unix.EPERM) }},
		{args: []string{"adjust"}, what: SetTime, call: "adjtimex", want: func(c *Call) bool { return c.Result == -int64(unix.EPERM) }},
		{args: []string{"dumpable"}, what: Prctl, call: "prctl", want: func(c *Call) bool { return c.Args[0] == 4 && c.Args[1] == 0 && c.Target.PID == 0 }},
		{args: []string{"ptracer", waits}, what: Prctl, call: "prctl", want: func(call *Call) bool { return call.Target.PID == int32(c.waits) }, skip: !yama},
		{args: []string{"quit", waits}, what: SignalOther, call: "", want: func(call *Call) bool {
			return call.Args[1] == uint64(unix.SIGUSR2) && call.Target.PID == int32(c.waits)
		}},
		{args: []string{"queue", waits}, what: Signal, call: "rt_sigqueueinfo", want: func(call *Call) bool { return call.Target.PID == int32(c.waits) }},
		{args: []string{"chroot"}, what: Chroot, call: "chroot", want: func(c *Call) bool { return c.Texts[0] == "/usr/../usr" }},
		{args: []string{"unshare"}, what: Namespace, call: "unshare", want: func(c *Call) bool { return c.Args[0] == unix.CLONE_NEWUTS }},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			if test.skip {
				t.Skip("this machine has no such call")
			}
			list := c.run(t, System, test.args...)
			if len(list) != 1 {
				for _, e := range list {
					t.Logf("%d: %+v", e.What, *e.System)
				}
				t.Fatalf("%d records, want 1", len(list))
			}
			e, call := list[0], list[0].System
			if e.What != test.what || call.Name != test.call || e.Name != "calls" || e.Flags != 0 || !test.want(call) {
				t.Errorf("what %d, flags %d, %+v", e.What, e.Flags, *call)
			}
		})
	}
	t.Run("not told", func(t *testing.T) {
		for _, name := range []string{"plain", "setsid"} {
			if list := c.run(t, System, name); len(list) != 0 {
				t.Errorf("%s: %d records, the first %+v", name, len(list), *list[0].System)
			}
		}
	})
	for _, name := range []string{"memfd-shared", "memfd-private", "memfd-protect"} {
		t.Run(name, func(t *testing.T) {
			list := c.run(t, System, name)
			if len(list) != 2 || list[0].What != MemfdCreate || list[1].What != MemoryExecutable || list[1].System.Path != "/memfd:code" {
				t.Errorf("%d records: %+v", len(list), list)
			}
		})
	}
	t.Run("mount", func(t *testing.T) {
		list := c.run(t, System, "mount")
		if len(list) != 4 || list[0].What != Namespace || list[1].What != Mount || list[2].What != Mount || list[3].What != Unmount {
			t.Fatalf("%d records, want 4", len(list))
		}
		if m := list[2].System; m.Texts[0] != "what\xff" || m.Texts[1] != "/mnt" || m.Texts[2] != "tmpfs" || m.Args[3] != unix.MS_NOSUID|unix.MS_NODEV || list[3].System.Texts[0] != "/mnt" {
			t.Errorf("mount %+v, umount %+v", *m, *list[3].System)
		}
	})
	t.Run("host name", func(t *testing.T) {
		list := c.run(t, System, "hostname")
		if len(list) != 2 || list[1].What != HostName || string(list[1].System.Bytes) != "other\xff" {
			t.Errorf("%d records", len(list))
		}
	})
	t.Run("long", func(t *testing.T) {
		list := c.run(t, System, "long")
		if len(list) != 1 || list[0].Flags != CallTextCut || len(list[0].System.Texts[1]) != 4095 {
			t.Errorf("%d records", len(list))
		}
	})
	t.Run("attached by this process", func(t *testing.T) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "theirs", Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_hang", Program: p})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		loaded := false
		c.until(t, func(e *Event) bool {
			if e.Kind != System || e.What != BPF || int(e.PID) != os.Getpid() || e.System.Result < 0 {
				return false
			}
			loaded = loaded || e.System.Args[0] == 5 && bytes.HasPrefix(e.System.Bytes[48:], []byte("theirs\x00"))
			return loaded && e.System.Args[0] == 17 && e.System.Texts[1] == "sched_process_hang"
		})
	})
	t.Run("unreadable", func(t *testing.T) {
		list := c.run(t, System, "unreadable")
		if len(list) != 1 || list[0].Flags != CallTextUnread || list[0].System.Texts[0] != "" {
			t.Errorf("%d records: %+v", len(list), list)
		}
	})
	t.Run("signal to another user's process", func(t *testing.T) {
		list := c.run(t, System, "quit-as", waits)
		if len(list) != 1 || list[0].What != Signal || list[0].System.Name != "kill" || list[0].System.Result != -int64(unix.EPERM) || list[0].System.Target.PID != int32(c.waits) {
			t.Errorf("%d records: %+v", len(list), list)
		}
	})
	t.Run("signal to a protected process", func(t *testing.T) {
		if err := c.source.Protect([]int32{int32(c.waits)}); err != nil {
			t.Fatal(err)
		}
		if list := c.run(t, System, "quit", waits); len(list) != 1 || list[0].What != Signal {
			t.Errorf("%d records: %+v", len(list), list)
		}
	})
}

// TestChanges: what a process changes of itself is told with what it is then.
func TestChanges(t *testing.T) {
	c := newCaller(t)
	t.Run("credentials", func(t *testing.T) {
		list := c.run(t, Changed, "setuid")
		if len(list) != 2 || list[1].What != ChangedCredentials {
			t.Fatalf("%d records", len(list))
		}
		if p := list[1].Process; p.UID != [4]uint32{1, 2, 3, 2} || p.GID != [4]uint32{5, 6, 7, 6} || p.CapEffective != 0 {
			t.Errorf("uid %v, gid %v, capabilities %x", p.UID, p.GID, p.CapEffective)
		}
	})
	t.Run("credentials of 32 bits", func(t *testing.T) {
		if runtime.GOARCH != "amd64" {
			t.Skip("another architecture")
		}
		if list := c.run(t, Changed, "old-setuid"); len(list) != 1 || list[0].Process.UID[0] != 1234 {
			t.Errorf("%d records", len(list))
		}
	})
	t.Run("namespaces", func(t *testing.T) {
		list := c.run(t, Changed, "unshare")
		if len(list) != 2 || list[1].What != ChangedNamespaces || list[0].Process.Namespaces.UTS == list[1].Process.Namespaces.UTS {
			t.Errorf("%d records", len(list))
		}
	})
	t.Run("name", func(t *testing.T) {
		list := c.run(t, Changed, "rename")
		if len(list) != 2 || list[0].What != ChangedName || list[0].Name != "re\xffnamed" || list[1].Name != "twice" {
			t.Errorf("%d records: %+v", len(list), list)
		}
	})
	t.Run("name by another process", func(t *testing.T) {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/comm", os.Getpid()), []byte("written"), 0); err != nil {
			t.Fatal(err)
		}
		c.until(t, func(e *Event) bool { return e.Kind == Changed && int(e.PID) == os.Getpid() && e.Name == "written" })
	})
	t.Run("session", func(t *testing.T) {
		pid, list := c.pid(t, Changed, "setsid")
		if len(list) != 0 {
			t.Errorf("%d records of the parent %d", len(list), pid)
		}
		c.until(t, func(e *Event) bool {
			return e.Kind == Changed && int(e.PPID) == pid && e.Process.SID == e.PID && e.Process.PGID == e.PID
		})
	})
	t.Run("confinement", func(t *testing.T) {
		if list := c.run(t, Changed, "privileges"); len(list) != 1 || list[0].What != ChangedConfinement || !list[0].Process.NoNewPrivs {
			t.Errorf("%d records", len(list))
		}
	})
	t.Run("unwanted", func(t *testing.T) {
		if err := c.source.Want(Changed, all&^(1<<ChangedCredentials)); err != nil {
			t.Fatal(err)
		}
		if list := c.run(t, Changed, "setuid"); len(list) != 0 {
			t.Errorf("%d records", len(list))
		}
	})
}

// TestCallLosses: with a ring that is too small, what was received and what is
// counted as lost is what was sent.
func TestCallLosses(t *testing.T) {
	s := open(t, Config{RingBytes: 16 << 10})
	for _, limit := range s.Limits() {
		t.Skip(limit)
	}
	if err := s.Want(System, all); err != nil {
		t.Fatal(err)
	}
	const count = 1000
	for range count {
		fd, err := unix.MemfdCreate("storm", 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
	}
	record(t, s)
	var stats Stats
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		var err error
		if stats, err = s.Stats(); err != nil {
			t.Fatal(err)
		}
		if stats.Sent[System] >= count && stats.Lost[System] > 0 && stats.Sent[System] == stats.Received[System]+stats.Lost[System] {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%+v: want Sent = Received + Lost", stats)
}

// BenchmarkCalls is system calls that are told of never, seldom or by their
// arguments, by itself and with a source that wants everything.
//
//	go test -run '^$' -bench Calls -count 5 ./platform/bpf
func BenchmarkCalls(b *testing.B) {
	loops := []struct {
		name string
		call func() error
	}{
		{"getppid", func() error { _ = unix.Getppid(); return nil }},
		{"mmap", func() error {
			m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return err
			}
			return unix.Munmap(m)
		}},
		{"open", func() error {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}},
	}
	for _, watched := range []bool{false, true} {
		name := "alone"
		if watched {
			name = "watched"
		}
		b.Run(name, func(b *testing.B) {
			if watched {
				s := open(b, Config{})
				for _, kind := range []Kind{Changed, System} {
					if err := s.Want(kind, all); err != nil {
						b.Fatal(err)
					}
				}
				record(b, s)
			}
			for _, l := range loops {
				b.Run(l.name, func(b *testing.B) {
					for b.Loop() {
						if err := l.call(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

package roles

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"daemoneye/platform/bpf"
)

// A caged collector whose programs are taken out of the kernel has given up what
// it takes to load them again, or to read /proc by itself: it goes on with scans
// through the hasher, and sees all of other users' processes.
func TestCagedCollectorOutlivesItsPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if s, err := bpf.Open(bpf.Config{}); err != nil {
		t.Skip(err)
	} else {
		_ = s.Close()
	}
	in := start(t, nil, "--interval", "200ms")
	pid, digest := stranger(t, "stranger-before")
	in.known(pid, "stranger-before", digest)
	h, ok := in.health()
	if !ok || h.Collector.Source != "ebpf" {
		t.Fatalf("health = %+v, want the source ebpf", h)
	}
	cutLink(t, h.pid("procmond"))
	n := 0
	var after health
	in.eventually("scans are the source", func() bool {
		n++ // the programs may run on for a moment
		stranger(t, fmt.Sprintf("stranger-%d", n))
		after, ok = in.health()
		return ok && after.Collector.Source == "procfs"
	})
	if got, want := after.pid("procmond"), h.pid("procmond"); got != want {
		t.Errorf("the collector is process %d, was %d: it was started again", got, want)
	}
	pid, digest = stranger(t, "stranger-after")
	in.known(pid, "stranger-after", digest)
	if rows := in.query("SELECT event, source FROM process_events WHERE command_line LIKE '/opt/stranger-after %' ORDER BY time"); len(rows) == 0 || rows[0]["source"] != "procfs" {
		t.Errorf("events of a process that began later: %v, want one of the source procfs", rows)
	}
	in.eventually("there is a gap", func() bool {
		return len(in.query("SELECT 1 FROM event_gaps WHERE table_name = 'process_events' AND reason = 'the kernel''s source ended'")) > 0
	})
	in.eventually("there is an alert", func() bool {
		return len(in.query("SELECT 1 FROM alerts WHERE rule_id = 'own-sensor-stopped'")) > 0
	})
	if status := in.stop(os.Interrupt); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// cutLink closes in another process what attaches one of its programs, which is not
// the list.
func cutLink(t *testing.T, pid int) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		info, err := os.ReadFile(filepath.Join(proc, "fdinfo", f.Name()))
		if err != nil || !bytes.Contains(info, []byte("link_id:")) || bytes.Contains(info, []byte("link_type:\titer")) {
			continue
		}
		fd, err := strconv.ParseUint(f.Name(), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(inject(t, pid, unix.SYS_CLOSE, fd)); got != 0 {
			t.Fatalf("close(%d) in process %d = %d", fd, pid, got)
		}
		return
	}
	t.Fatalf("process %d has no links", pid)
}

// inject lets the first thread of another process make a system call and
// returns what that did. The call that the thread waits in is made again.
func inject(t *testing.T, pid int, call, argument uint64) uint64 {
	t.Helper()
	instruction := syscallInstruction(t, pid)
	runtime.LockOSThread() // who traces is a thread
	defer runtime.UnlockOSThread()
	must := func(what string, err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("%s of process %d: %v", what, pid, err)
		}
	}
	wait := func() {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		must("wait for a stop", err)
		if !status.Stopped() {
			t.Fatalf("process %d: status %#x, want a stop", pid, status)
		}
	}
	must("trace", unix.PtraceAttach(pid))
	defer func() { _ = unix.PtraceDetach(pid) }()
	wait()
	var before unix.PtraceRegs
	must("read registers", unix.PtraceGetRegs(pid, &before))
	regs := before
	regs.Rax, regs.Rdi, regs.Rip, regs.Orig_rax = call, argument, instruction, ^uint64(0)
	if interrupted := int64(before.Rax); int64(before.Orig_rax) >= 0 && interrupted <= -512 && interrupted >= -516 { // ERESTART…
		before.Rax, before.Rip = before.Orig_rax, before.Rip-2
	}
	before.Orig_rax = ^uint64(0) // nothing else is to be made again
	must("write registers", unix.PtraceSetRegs(pid, &regs))
	must("step", unix.PtraceSingleStep(pid))
	wait()
	must("read registers", unix.PtraceGetRegs(pid, &regs))
	must("write registers", unix.PtraceSetRegs(pid, &before))
	return regs.Rax
}

// syscallInstruction is the address of one in the process's program.
func syscallInstruction(t *testing.T, pid int) uint64 {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(filepath.Join(proc, "mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for line := range bytes.Lines(maps) {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s", &from, &to, &access); err != nil || access != "r-xp" {
			continue
		}
		code := make([]byte, min(to-from, 64<<20))
		n, _ := memory.ReadAt(code, int64(from))
		if i := bytes.Index(code[:n], []byte{0x0f, 0x05}); i >= 0 {
			return from + uint64(i)
		}
	}
	t.Fatalf("process %d has no system call in its code", pid)
	return 0
}

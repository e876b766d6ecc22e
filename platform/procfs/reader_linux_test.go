package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestReader: one process is told as a scan tells it.
func TestReader(t *testing.T) {
	cmd := exec.Command("sh", "-c", "echo; exec sleep 1000")
	cmd.Dir = "/"
	startGroup(t, cmd)
	pid := int32(cmd.Process.Pid)
	r, err := NewProcessReader(Config{Environment: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e, err := NewEnumerator(Config{Environment: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var got *Process
	for got == nil || got.Name != "sleep" || got.State != 'S' {
		if got, err = r.Read(pid); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := *snap.Find(pid)
	want.Parent, want.Collected, want.CPUUsage, want.Started = nil, got.Collected, got.CPUUsage, got.Started
	if *got != want {
		t.Errorf("Read = %+v\nwant   %+v", *got, want)
	}
	stat, err := r.Stat(pid)
	if err != nil || stat.PID != pid || stat.StartTicks != got.StartTicks || string(stat.Comm) != "sleep" {
		t.Errorf("Stat = %+v, %v", stat, err)
	}
	pids, err := r.PIDs()
	if err != nil || !slices.Contains(pids, pid) || !slices.Contains(pids, int32(os.Getpid())) {
		t.Errorf("PIDs = %d of them, %v", len(pids), err)
	}
}

// TestReaderLate: of a process that has ended and waits for its parent, there is
// what the kernel keeps; of one that is gone, nothing.
func TestReaderLate(t *testing.T) {
	r, err := NewProcessReader(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := int32(cmd.Process.Pid)
	var zombie *Process
	for zombie == nil || zombie.State != 'Z' {
		if zombie, err = r.Read(pid); err != nil {
			t.Fatal(err)
		}
	}
	if zombie.Name != "true" || zombie.PPID != int32(os.Getpid()) || !zombie.HasStatus || zombie.Executable != "" || zombie.Cmdline != "" {
		t.Errorf("zombie %+v", *zombie)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Read(pid); err == nil {
		t.Errorf("Read = %+v, want an error", *p)
	}
	if stat, err := r.Stat(pid); err == nil {
		t.Errorf("Stat = %+v, want an error", stat)
	}
}

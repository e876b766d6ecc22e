package collector

import (
	"slices"
	"testing"
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// TestMerge: what a scan finds and no event has told counts when it is not
// under way.
func TestMerge(t *testing.T) {
	const boot = 100 * time.Second
	process := func(pid int32, image uint64, began time.Duration) *procfs.Process {
		return &procfs.Process{
			EntityID: procfs.EntityID("boot", pid, uint64(began/(time.Second/procfs.TicksPerSecond))), PID: pid, StartStack: image,
			StartTicks: uint64(began / (time.Second / procfs.TicksPerSecond)),
		}
	}
	known, ended := process(1, 11, time.Second), process(2, 22, time.Second)
	l := newLive(nil, nil, false)
	l.seed(&procfs.Snapshot{Processes: []*procfs.Process{known, ended}})

	merge := func(list ...*procfs.Process) (pids []int32, images []uint64) {
		snap := &procfs.Snapshot{Processes: list}
		l.merge(snap, boot)
		for _, p := range snap.Processes {
			pids, images = append(pids, p.PID), append(images, p.StartStack)
		}
		return pids, images
	}
	for i, c := range []struct {
		scan    []*procfs.Process
		touched map[string]*procfs.Process
		pids    []int32
		images  []uint64
	}{
		// An exec and an end count the second time, a begin when it is a while ago.
		{[]*procfs.Process{process(1, 12, time.Second), process(3, 33, boot), process(4, 44, time.Second)}, nil, []int32{1, 2, 4}, []uint64{11, 22, 44}},
		{[]*procfs.Process{process(1, 12, time.Second), process(4, 44, time.Second)}, nil, []int32{1, 4}, []uint64{12, 44}},
		// An exec that is another one each time is under way each time.
		{[]*procfs.Process{process(1, 13, time.Second), process(4, 44, time.Second)}, nil, []int32{1, 4}, []uint64{12, 44}},
		{[]*procfs.Process{process(1, 14, time.Second), process(4, 44, time.Second)}, nil, []int32{1, 4}, []uint64{12, 44}},
		// Events stand against the scan.
		{
			[]*procfs.Process{process(1, 12, time.Second), process(4, 44, time.Second)},
			map[string]*procfs.Process{known.EntityID: nil, process(4, 0, time.Second).EntityID: process(4, 45, time.Second), "new": process(5, 55, boot)},
			[]int32{4, 5},
			[]uint64{45, 55},
		},
	} {
		l.touched = c.touched
		if pids, images := merge(c.scan...); !slices.Equal(pids, c.pids) || !slices.Equal(images, c.images) {
			t.Errorf("scan %d: %v with images %v, want %v with %v", i, pids, images, c.pids, c.images)
		}
	}
}

// TestParentsAreBounded: a line of parents that have all ended does not grow.
func TestParentsAreBounded(t *testing.T) {
	p := &procfs.Process{}
	for i := range 10 * maxAncestors {
		p = &procfs.Process{PID: int32(i), Parent: bounded(p)}
	}
	n := 0
	for a := p; a != nil; a = a.Parent {
		n++
	}
	if n > 2*maxAncestors+3 || n < 2 {
		t.Errorf("%d ancestors are kept, want at most %d", n, 2*maxAncestors+3)
	}
}

// TestDifferencesAreCompared: exec names only columns that scans compare, in
// the same order.
func TestDifferencesAreCompared(t *testing.T) {
	a := &procfs.Process{}
	b := &procfs.Process{
		Name: "x", Executable: "/x", Cmdline: "x", CmdlineTruncated: true, CWD: "/", UID: [4]uint32{1, 1}, GID: [4]uint32{1, 1},
		SID: 1, PGID: 1, TTY: "t", Cgroup: "/", ContainerID: "c", Namespaces: procfs.Namespaces{Mnt: 1}, CapEffective: 1, LoginUID: 1,
		ExecutableID: procfs.FileID{Device: 1, Inode: 1}, ExecutableMode: 1, ExecutableOwner: 1, FileExists: procfs.Exists, Environ: "A=", EnvironTruncated: true,
	}
	rest := compared()
	for _, column := range differences(a, b) {
		i := slices.Index(rest, column)
		if i < 0 {
			t.Fatalf("%s is not compared, or out of order", column)
		}
		rest = rest[i+1:]
	}
	if got := differences(a, a); len(got) != 0 {
		t.Errorf("a process differs from itself in %v", got)
	}
}

// TestActorHasEnded: what a connection does after its process has ended is
// still told with that process.
func TestActorHasEnded(t *testing.T) {
	start := 5 * time.Second
	p := &procfs.Process{EntityID: "one", PID: 7, StartTime: start, StartTicks: procfs.Ticks(start), Executable: "/bin/one"}
	l := newLive(nil, nil, false)
	l.seed(&procfs.Snapshot{Processes: []*procfs.Process{p}})
	l.ended(&bpf.Event{Kind: bpf.Exit, PID: 7, Start: start}, p)
	if got := l.actor(&bpf.Event{PID: 7, Start: start}); got.EntityID != "one" || got.Executable != "/bin/one" {
		t.Errorf("actor %+v, want the one that has ended", *got)
	}
}

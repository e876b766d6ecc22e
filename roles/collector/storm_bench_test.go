//go:build linux

package collector

import (
	"fmt"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// BenchmarkStormRows makes rows and batches of the fork, exec and exit of one
// process after another, as the collector does in a storm.
//
//	go test -run '^$' -bench StormRows -count 5 ./roles/collector
func BenchmarkStormRows(b *testing.B) {
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Scan(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := newRows(newTestRedactor(b, Redaction{}), nil)
	l := newLive(e, r, false)
	storm := &procfs.Process{PID: 1, EntityID: "parent", Name: "storm", Executable: "/usr/bin/storm", Cmdline: "storm\x00100"}
	l.seed(&procfs.Snapshot{Processes: []*procfs.Process{storm}})
	r.text(storm)
	before := newState()
	builder := event.NewBuilder(event.Lookup("process_events"))
	h := newHappenings(builder)
	shell := procfs.Process{
		HasStat: true, HasStatus: true, Accessible: true, UserName: "root", CapEffective: 1<<41 - 1, CapPermitted: 1<<41 - 1,
		LoginUID: procfs.NoUser, Threads: 1, State: 'R', VirtualSize: 1 << 20, Cgroup: "/system.slice/storm.service",
		Namespaces: procfs.Namespaces{Cgroup: 1, IPC: 2, Mnt: 3, Net: 4, PID: 5, Time: 6, User: 7, UTS: 8},
	}
	var data []byte
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		known := lineage{}
		start := time.Duration(n+1) * time.Millisecond
		for i, kind := range []bpf.Kind{bpf.Fork, bpf.Exec, bpf.Exit} {
			ev := bpf.Event{Kind: kind, Time: start + time.Duration(i)*time.Microsecond, PID: int32(1000 + n%20000), PPID: 1, Start: start, Name: "storm"}
			if kind != bpf.Exit {
				p := shell
				p.PID, p.PPID, p.Name, p.StartTime, p.StartTicks = ev.PID, 1, "storm", start, procfs.Ticks(start)
				if kind == bpf.Exec {
					ev.Filename = "/opt/tiny"
					p.Name, p.Executable, p.CWD, p.EnvironKnown = "tiny", "/opt/tiny", "/root", true
					p.Cmdline = fmt.Sprintf("/opt/tiny\x00number-1-%d", n)
					p.ExecutableID = procfs.FileID{Device: 1, Inode: 2, Size: 3}
				}
				ev.Process = &p
			}
			x := l.apply(&ev)
			r.add(&h.columns, x.process, before, known)
			h.add(&x, "ebpf")
			builder.EndRow()
			if x.kind == eventExit {
				before.remove(x.process.EntityID)
				r.forget(x.process.EntityID)
			}
		}
		if builder.Rows() >= 90 {
			batch := builder.Batch()
			data = event.Encode(data[:0], batch)
			builder.Reuse(batch)
		}
	}
}

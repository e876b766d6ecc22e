//go:build linux

package procfs

import (
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// BenchmarkScan10000 starts 10,000 processes and measures a steady scan of all
// columns but hashes, the first scan, and ps beside them.
//
//	go test -run '^$' -bench Scan10000 -benchtime 20x ./platform/procfs
func BenchmarkScan10000(b *testing.B) {
	const count = 10000
	// One shell starts them all: its children are killed with its group.
	shell := exec.Command("sh", "-c", `i=0; while [ $i -lt 10000 ]; do sleep 3600 & i=$((i+1)); done; echo ready; wait`)
	startGroup(b, shell)

	e, err := NewEnumerator(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	first, err := e.Scan(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if got := len(first.Processes); got < count {
		b.Fatalf("%d processes, want at least %d", got, count)
	}
	start := time.Now()
	ps := exec.Command("ps", "-e", "-o", "pid,ppid,comm,args")
	ps.Stdout = io.Discard
	if err := ps.Run(); err != nil {
		b.Fatal(err)
	}
	psTime := time.Since(start)
	cpu := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		snap, err := e.Scan(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if snap.Err != nil || len(snap.Processes) < count {
			b.Fatalf("%d processes, error %v", len(snap.Processes), snap.Err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/scan")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(b.N), "ms-cpu/scan")
	b.ReportMetric(float64(first.Duration.Microseconds())/1000, "ms/first-scan")
	b.ReportMetric(float64(psTime.Microseconds())/1000, "ms/ps")
}

// cpuTime is what this process has used, in user and kernel mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

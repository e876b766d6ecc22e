//go:build linux

package hasher

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"daemoneye/platform"
	"daemoneye/platform/procfs"
)

// BenchmarkScan10000 scans 10,000 processes through a hasher, all columns but
// hashes, and beside it as a process that may read /proc itself.
//
//	go test -run '^$' -bench Scan10000 ./roles/hasher
func BenchmarkScan10000(b *testing.B) {
	const count = 10000
	shell := exec.Command("sh", "-c", `i=0; while [ $i -lt 10000 ]; do sleep 3600 & i=$((i+1)); done; echo ready; wait`)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := shell.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
		_ = shell.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	p, err := Start(b.Context(), platform.User{}, "")
	if err != nil {
		b.Fatal(err)
	}
	if p == nil {
		b.Skip("needs root: without privileges there is no hasher")
	}
	b.Cleanup(func() { _ = p.Close() })
	for name, through := range map[string]bool{"hasher": true, "proc": false} {
		b.Run(name, func(b *testing.B) {
			e, err := procfs.NewEnumerator(procfs.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			if through {
				e.ReadThrough(p)
			}
			before := cpuTime(b, p.PID())
			b.ReportAllocs()
			for b.Loop() {
				snap, err := e.Scan(b.Context())
				if err != nil || snap.Err != nil || len(snap.Processes) < count {
					b.Fatal(len(snap.Processes), err, snap.Err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/scan")
			b.ReportMetric(float64((cpuTime(b, p.PID())-before).Milliseconds())/float64(b.N), "ms-cpu/scan")
			if _, pss, err := platform.Memory(p.PID()); err == nil && through {
				b.ReportMetric(float64(pss)/(1<<20), "MiB-PSS-hasher")
			}
		})
	}
}

// cpuTime is what this process and another one have used.
func cpuTime(b *testing.B, pid int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	s, err := procfs.ParseStat(raw)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + procfs.TicksTime(s.UserTicks+s.SysTicks)
}

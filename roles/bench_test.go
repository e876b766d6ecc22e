//go:build unix

package roles

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle measures all roles together at the default interval of 30 s: the
// sum of their PSS, and their CPU use over three scans; on a host with 300
// processes more that sleep, and on one with 1,000 and ten programs that start
// each second. With -short it looks only a moment, to see that it works.
func BenchmarkIdle(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: smaps_rollup of a role is not for others")
	}
	for _, c := range []struct {
		name      string
		processes int
		pause     time.Duration // between two starts; 0: none
	}{{"asleep", 300, 0}, {"busy", 1000, 100 * time.Millisecond}} {
		b.Run(c.name, func(b *testing.B) { idle(b, c.processes, c.pause) })
	}
}

func idle(b *testing.B, processes int, pause time.Duration) {
	for range processes {
		cmd := exec.Command("sleep", "3600")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	in := start(b, nil)
	settle, watch := 35*time.Second, 90*time.Second
	if testing.Short() {
		settle, watch = time.Second, time.Second
	}
	h, ok := in.health()
	if !ok {
		b.Fatal("no health")
	}
	if pause > 0 {
		ctx, stop := context.WithCancel(b.Context())
		var starts sync.WaitGroup
		starts.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_ = exec.Command("/bin/true", strconv.Itoa(i)).Run()
				time.Sleep(pause)
			}
		})
		defer starts.Wait()
		defer stop()
	}
	time.Sleep(settle)
	before := map[string]time.Duration{}
	for _, r := range h.Roles {
		before[r.Role] = cpuTime(b, r.PID)
	}
	time.Sleep(watch)
	var total int64
	var used time.Duration
	for _, r := range h.Roles {
		cpu, pss := cpuTime(b, r.PID)-before[r.Role], proportional(b, r.PID)
		used, total = used+cpu, total+pss
		b.ReportMetric(100*cpu.Seconds()/watch.Seconds(), r.Role+"-%CPU")
		b.ReportMetric(float64(pss)/1e6, r.Role+"-MB")
	}
	b.ReportMetric(float64(total)/1e6, "PSS-MB")
	b.ReportMetric(100*used.Seconds()/watch.Seconds(), "%CPU")
	b.ReportMetric(0, "ns/op")
}

func cpuTime(b testing.TB, pid int) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	total := time.Duration(0)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	for _, i := range []int{11, 12} { // utime and stime, ticks of 10 ms: proc_pid_stat(5)
		ticks, err := strconv.Atoi(fields[i])
		if err != nil {
			b.Fatal(err)
		}
		total += time.Duration(ticks) * 10 * time.Millisecond
	}
	return total
}

func proportional(b testing.TB, pid int) int64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); f[0] == "Pss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatalf("no Pss of process %d", pid)
	return 0
}

// BenchmarkAlert measures from the start of a process to its alert on standard
// output. By scans it takes out one interval: what is left is what DaemonEye
// adds to waiting for the scan.
func BenchmarkAlert(b *testing.B) {
	const interval = 500 * time.Millisecond
	for _, c := range []struct {
		source string
		waits  time.Duration
	}{{"auto", 0}, {"procfs", interval}} {
		b.Run(c.source, func(b *testing.B) {
			b.Setenv("DAEMONEYE_COLLECTOR__SOURCE", c.source)
			in := start(b, nil, "--interval", interval.String(), "--rules", writeRule(b, "canary.sql", testRule))
			if c.waits == 0 && in.query("SELECT source FROM collectors")[0]["source"] != "ebpf" {
				b.Skip("no events but by scans")
			}
			var took []time.Duration
			for i := range b.N {
				begun := time.Now()
				cmd := exec.Command("sleep", "3600")
				cmd.Args[0] = fmt.Sprintf("/opt/canary-%d", i)
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				in.waitFor(fmt.Sprintf("pid %d", cmd.Process.Pid))
				took = append(took, time.Since(begun)-c.waits)
				_ = cmd.Process.Signal(syscall.SIGKILL)
				_ = cmd.Wait()
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-median")
			b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-slowest")
		})
	}
}

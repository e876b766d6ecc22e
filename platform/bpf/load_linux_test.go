//go:build amd64 || arm64

package bpf

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkLoad is what it takes until the programs run: most of it the kernel's
// verifying of them, by their CPU time, which other work on the machine changes less.
//
//	go test -run '^$' -bench Load -benchtime 10x -count 3 ./platform/bpf
func BenchmarkLoad(b *testing.B) {
	began := cpuTime(b)
	for b.Loop() {
		s, err := Open(Config{})
		if err != nil {
			b.Skip(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuTime(b)-began).Seconds()*1000/float64(b.N), "CPU-ms/op")
}

// cpuTime returns what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package store

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkMemory ingests 1,000 rows an iteration with the default
// configuration and reports what the process then holds: anonymous memory and
// mapped file pages, which the kernel can take back. The figure is
// -benchtime 20000x.
func BenchmarkMemory(b *testing.B) {
	s := openStore(b, b.TempDir(), Config{})
	data := make([][]byte, 8)
	for i := range data {
		data[i] = processEvents(epoch, 1000*i, 1000)
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Append(noDeadline(), []Batch{{"c", uint64(i + 1), data[i%len(data)]}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	for name, kb := range residentKB(b) {
		b.ReportMetric(float64(kb)/1024, name+"-MB")
	}
}

// residentKB returns RssAnon and RssFile of this process, proc_pid_status(5).
func residentKB(b *testing.B) map[string]int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	defer func() { _ = f.Close() }()
	got := map[string]int64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name == "RssAnon" || name == "RssFile" || name == "RssShmem" {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			got[name] = n
		}
	}
	return got
}

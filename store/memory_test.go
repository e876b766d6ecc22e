package store

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
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

// maxResident bounds what the store's process may hold after a million rows.
// It is far above what it does hold, and far below what Badger's defaults or
// all rows in memory would take.
const maxResident = 128 // MB

// TestResidentMemory runs the benchmark in a process of its own, whose memory
// no other test has used.
func TestResidentMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it appends a million rows")
	}
	out, err := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkMemory$", "-test.benchtime", "1000x").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := regexp.MustCompile(`([0-9.]+) (Rss\w+)-MB`).FindAllSubmatch(out, -1)
	if len(found) == 0 {
		t.Skipf("the benchmark reports no memory here:\n%s", out)
	}
	total := 0.0
	for _, m := range found {
		mb, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		total += mb
	}
	if total > maxResident {
		t.Errorf("%.0f MB are resident, the bound is %d:\n%s", total, maxResident, out)
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

package ledger

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

var (
	benchDir    = flag.String("bench.dir", "", "where the benchmarks make their logs, default: a temporary directory")
	benchVerify = flag.Int("bench.verify", 1_000_000, "entries of the log that BenchmarkVerify reads")
	benchProve  = flag.Int("bench.prove", 10_000_000, "entries of the log that BenchmarkProve proves in")
)

// benchTemp is a directory on the disk that is measured.
func benchTemp(b *testing.B) string {
	b.Helper()
	if *benchDir == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(*benchDir, "ledger")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// benchFact is an entry as an alert makes it: 300 bytes.
func benchFact(i int) Entry {
	e := fact(i)
	e.Subject = "webserver-spawns-shell"
	e.Payload = fmt.Appendf(nil, "%150d", i)
	return e
}

// parallel calls f b.N times from so many goroutines.
func parallel(b *testing.B, goroutines int, f func(i int) error) {
	var next atomic.Int64
	var wait sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for range goroutines {
		wait.Go(func() {
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "appends/s")
}

// writers is how many append at once.
const writers = 64

// Durable appends with 64 writers, beside what the disk can, one fdatasync after
// the other, and sumdb/tlog in memory.
func BenchmarkAppend64(b *testing.B) {
	b.Run("fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(benchTemp(b), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		record := make([]byte, writers*300)
		for b.Loop() {
			if _, err := f.Write(record); err != nil {
				b.Fatal(err)
			}
			if err := syncData(f); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fsyncs/s")
	})
	b.Run("ledger", func(b *testing.B) {
		l := open(b, benchTemp(b), Config{})
		parallel(b, writers, func(i int) error {
			_, err := l.Append(b.Context(), benchFact(i))
			return err
		})
		b.ReportMetric(float64(b.N)/float64(l.Stats().Commits), "appends/commit")
	})
	b.Run("tlog-in-memory", func(b *testing.B) {
		var mu sync.Mutex
		var hashes []tlog.Hash
		n := int64(0)
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			list := make([]tlog.Hash, len(indexes))
			for i, at := range indexes {
				list[i] = hashes[at]
			}
			return list, nil
		})
		parallel(b, writers, func(i int) error {
			e := benchFact(i)
			data := e.appendHeader(slices.Clone(e.Payload))
			mu.Lock()
			defer mu.Unlock()
			stored, err := tlog.StoredHashes(n, data, reader)
			hashes = append(hashes, stored...)
			n++
			return err
		})
	})
}

// One waiting appender, in turns with one write and fdatasync of as many bytes.
func BenchmarkAppendOne(b *testing.B) {
	dir := benchTemp(b)
	f, err := os.Create(filepath.Join(dir, "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	l := open(b, filepath.Join(dir, "ledger"), Config{})
	e := benchFact(1)
	record, _ := appendRecord(nil, &e)
	var syncs, appends []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := f.Write(record); err != nil {
			b.Fatal(err)
		}
		if err := syncData(f); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if _, err := l.Append(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		syncs, appends = append(syncs, middle.Sub(start)), append(appends, time.Since(middle))
	}
	one, other := median(syncs), median(appends)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(one.Microseconds()), "fsync-µs")
	b.ReportMetric(float64(other.Microseconds()), "append-µs")
	b.ReportMetric(float64(other)/float64(one), "appends/fsync")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// bigLog makes a log of n entries.
func bigLog(b *testing.B, dir string, n int) (public string) {
	b.Helper()
	c := quiet()
	c.CheckpointEntries = 1 << 20
	l := open(b, dir, c)
	for size := int(l.Size()); size < n; size = int(l.Size()) {
		batch := make([]Entry, min(MaxBatch, n-size))
		for i := range batch {
			batch[i] = benchFact(size + i)
		}
		if _, err := l.Append(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	closed(b, l)
	return l.PublicKey()
}

// Everything in a log, with what it takes on disk beside its entries.
func BenchmarkVerify(b *testing.B) {
	n := *benchVerify
	if testing.Short() {
		n = 10_000
	}
	dir := benchTemp(b)
	public := bigLog(b, dir, n)
	var r Report
	before := cpuTime()
	for b.Loop() {
		r = verified(b, dir, VerifyOptions{PublicKey: public})
	}
	b.ReportMetric((cpuTime()-before).Seconds()/float64(b.N), "cpu-s")
	size, files := int64(0), 0
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		files++
		return err
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.Entries), "entries")
	b.ReportMetric(float64(r.Bytes)/float64(r.Entries), "bytes/entry")
	b.ReportMetric(float64(size-r.Bytes)/float64(r.Entries), "overhead-bytes/entry")
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
}

// One proof after the other, each with its file, of entries all over the log;
// and to open the log.
func BenchmarkProve(b *testing.B) {
	n := *benchProve
	if testing.Short() {
		n = 10_000
	}
	dir := benchTemp(b)
	public := bigLog(b, dir, n)
	r, err := OpenReader(dir)
	if err != nil {
		b.Fatal(err)
	}
	hashes := 0
	b.Run("inclusion", func(b *testing.B) {
		before := cpuTime()
		for i := 0; b.Loop(); i++ {
			p, err := r.ProveInclusion(uint64(i*7919_333) % uint64(n))
			if err != nil {
				b.Fatal(err)
			}
			hashes = max(hashes, len(p.Hashes))
		}
		b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs")
		b.ReportMetric(float64(hashes), "hashes")
		b.ReportMetric(float64(n), "entries")
	})
	b.Run("check", func(b *testing.B) {
		p, err := r.ProveInclusion(uint64(n / 3))
		if err != nil {
			b.Fatal(err)
		}
		file, err := p.MarshalText()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			p, err := ParseProof(file)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Verify(public); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			l, err := Open(dir, Config{})
			if err != nil {
				b.Fatal(err)
			}
			closed(b, l)
		}
	})
}

// How much a process grows by a log with many writers.
func BenchmarkMemory(b *testing.B) {
	n := 300_000
	if testing.Short() {
		n = 3_000
	}
	for b.Loop() {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "LEDGER_TEST_MEMORY="+benchTemp(b), fmt.Sprint("LEDGER_TEST_ENTRIES=", n))
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		var before, after float64
		if _, err := fmt.Sscan(string(out), &before, &after); err != nil {
			b.Skipf("the process said %q", out)
		}
		b.ReportMetric(after-before, "RSS-MB")
	}
}

// growInMemory prints the RSS before a log is open, and after n appends to it.
func growInMemory(dir string, n int) error {
	before := rss()
	l, err := Open(dir, Config{})
	if err != nil {
		return err
	}
	var next atomic.Int64
	errs := make([]error, writers)
	var wait sync.WaitGroup
	for w := range errs {
		wait.Go(func() {
			for i := int(next.Add(1)); i <= n && errs[w] == nil; i = int(next.Add(1)) {
				_, errs[w] = l.Append(context.Background(), benchFact(i))
			}
		})
	}
	wait.Wait()
	fmt.Println(before, rss())
	return errors.Join(append(errs, l.Close())...)
}

// rss returns VmRSS of proc_pid_status(5) in MB, 0 where there is none.
func rss() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	var kb float64
	_, _ = fmt.Sscan(line, &kb)
	return kb / 1024
}

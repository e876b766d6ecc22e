package platform

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// niceOf is the nice value of the calling thread as the kernel reports it.
func niceOf(t *testing.T, tid string) string {
	data, err := os.ReadFile(filepath.Join("/proc/self/task", tid, "stat"))
	if err != nil {
		t.Error(err)
		return ""
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))[16] // field 19, proc(5)
}

// Background work has threads of its own, which nothing else gets afterwards,
// and never the process's first one.
func TestBackground(t *testing.T) {
	usual := niceOf(t, strconv.Itoa(os.Getpid()))
	var mu sync.Mutex
	seen := make(map[int]bool)
	var all sync.WaitGroup
	start := make(chan struct{})
	const n = 50
	for range n {
		all.Add(1)
		Background(func() {
			defer all.Done()
			<-start // all at once
			tid := unix.Gettid()
			if nice := niceOf(t, strconv.Itoa(tid)); nice != "15" || tid == os.Getpid() {
				t.Errorf("thread %d of %d has nice %s", tid, os.Getpid(), nice)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[tid] = true
		})
	}
	close(start)
	all.Wait()
	if len(seen) != n {
		t.Errorf("%d threads for %d functions at once", len(seen), n)
	}
	// Goroutines that run now are on other threads.
	for range n {
		all.Go(func() {
			if nice := niceOf(t, strconv.Itoa(unix.Gettid())); nice != usual {
				t.Errorf("a goroutine has nice %s, want %s", nice, usual)
			}
		})
	}
	all.Wait()
}

package procfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// runSparse runs n copies of a program, each with a hole of nearly 1 GB behind
// it, which costs nobody anything to make.
func runSparse(t testing.TB, n int) (pids []int32) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range n {
		path := filepath.Join(dir, "sleep"+strconv.Itoa(i))
		if err := os.WriteFile(path, raw, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 1e9); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, startProcess(t, exec.Command(path, "3600")))
	}
	return pids
}

func startProcess(t testing.TB, cmd *exec.Cmd) int32 {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return int32(cmd.Process.Pid)
}

// TestLargeFilesHoldNobodyUp: while large files wait, which take minutes, a
// small one is hashed.
func TestLargeFilesHoldNobodyUp(t *testing.T) {
	large := runSparse(t, 6)
	small := startProcess(t, exec.Command("sleep", "3600"))
	e, err := NewEnumerator(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	snap, err := e.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := NewHasher(HasherConfig{Rate: 4 << 20})
	defer h.Close()
	for _, pid := range large {
		h.Request(snap.Find(pid))
	}
	for _, ok := h.Request(snap.Find(small)); !ok; _, ok = h.Lookup(snap.Find(small).ExecutableID) {
		select {
		case <-h.Done():
		case <-time.After(time.Minute):
			t.Fatal("the small file is not hashed")
		}
	}
	if s := h.Stats(); s.Hashed != 1 || s.Queued != len(large) {
		t.Errorf("%+v, want one hashed and %d waiting", s, len(large))
	}
}

// BenchmarkSmallBehindLarge is how long a small file waits while six of 1 GB do.
//
//	go test -run '^$' -bench SmallBehindLarge -benchtime 1x ./platform/procfs
func BenchmarkSmallBehindLarge(b *testing.B) {
	large := runSparse(b, 6)
	small := startProcess(b, exec.Command("sleep", "3600"))
	e, err := NewEnumerator(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	snap, err := e.Scan(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h := NewHasher(HasherConfig{})
		for _, pid := range large {
			h.Request(snap.Find(pid))
		}
		for _, ok := h.Request(snap.Find(small)); !ok; _, ok = h.Lookup(snap.Find(small).ExecutableID) {
			<-h.Done()
		}
		h.Close()
	}
}

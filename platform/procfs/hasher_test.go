package procfs

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestHasherAsksForOthers: a file whose processes end before it can be read is
// asked for with the last one that runs it, not with each of them.
func TestHasherAsksForOthers(t *testing.T) {
	const last = 10_000
	asked := make(chan int32, last)
	first := make(chan struct{})
	h := NewHasher(HasherConfig{Digest: func(_ context.Context, e Executable) (Digest, int64, error) {
		asked <- e.PID
		if e.PID != last {
			<-first
			return Digest{}, 0, errors.New("no such process")
		}
		return Digest{SHA256: "of it"}, 1, nil
	}})
	defer h.Close()
	process := func(pid int32) *Process { return &Process{PID: pid, ExecutableID: FileID{Inode: 7}} }
	h.Request(process(1))
	if got := <-asked; got != 1 {
		t.Fatalf("asked for process %d, want 1", got)
	}
	for pid := int32(2); pid <= last; pid++ {
		if _, ok := h.Request(process(pid)); ok {
			t.Fatalf("a digest is known of process %d", pid)
		}
	}
	close(first)
	select {
	case <-h.Done():
	case <-time.After(time.Minute):
		t.Fatal("no digest")
	}
	if d, ok := h.Request(process(1)); !ok || d.SHA256 != "of it" {
		t.Errorf("digest %+v, %v", d, ok)
	}
	if got := len(asked); got != 1 || <-asked != last {
		t.Errorf("%d more requests, want one for the last process", got)
	}

	unreadable := &Process{PID: 1, ExecutableID: FileID{Inode: 8}}
	for range 2 { // nobody else runs it: the end of it, until it is asked for again
		h.Request(unreadable)
		if err := h.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := h.Stats(); s.Failed != 3 || s.Hashed != 1 || len(h.Done()) != 0 {
		t.Errorf("stats %+v, %d digests told", s, len(h.Done()))
	}
}

//go:build linux

package collector

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"daemoneye/platform/procfs"
)

// TestUnread: executables that did not fit into the queue of those to hash are
// in the heartbeats, with the first and the last time.
func TestUnread(t *testing.T) {
	a := newTestAgent(t)
	begin := time.Now()
	hangs := func(ctx context.Context, _ procfs.Executable) (procfs.Digest, int64, error) {
		<-ctx.Done()
		return procfs.Digest{}, 0, ctx.Err()
	}
	// With this program they are three: one is being hashed, one waits.
	start(t, exec.Command("sleep", "3600"), false)
	start(t, exec.Command("sh", "-c", "read x"), false)
	a.run(Config{NoKernel: true, Interval: 200 * time.Millisecond, Hash: procfs.HasherConfig{Queue: 1, Digest: hangs}})
	a.scan(2)
	a.await("the count", func() bool {
		if len(a.beats) == 0 {
			return false
		}
		u := a.beats[len(a.beats)-1].Unread
		return u.Dropped > 1 && u.Late+u.Refused+u.Stalled == 0 && u.First.After(begin) && u.Last.After(u.First)
	})
}

// TestTooLarge: executables above the limit are not hashed, and counted.
func TestTooLarge(t *testing.T) {
	a := newTestAgent(t)
	a.run(Config{NoKernel: true, Interval: 200 * time.Millisecond, Hash: procfs.HasherConfig{MaxFile: 1}})
	a.scan(1)
	a.await("the count", func() bool {
		return len(a.beats) > 0 && a.beats[len(a.beats)-1].Unread.Large > 0
	})
}

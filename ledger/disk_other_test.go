//go:build !linux

package ledger

import (
	"testing"
	"time"
)

func smallDisk(t *testing.T, _ string) string {
	t.Helper()
	t.Skip("mounts a small file system, which is written for Linux")
	return ""
}

func cpuTime() time.Duration { return 0 }

//go:build unix

package store

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A scan does not wait for a named pipe in the place of a segment.
func TestSegmentIsPipe(t *testing.T) {
	s := sealedStore(t, t.TempDir(), 3)
	defer func() { _ = s.Close() }()
	file := segmentFiles(t, s.dir)[1]
	if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o640)); err != nil {
		t.Fatal(err)
	}
	var damage *DamagedError
	if rows, err := scanRows(s); !errors.As(err, &damage) || damage.Rows != 5000 || rows != 10_000 {
		t.Errorf("Scan() = %d rows, %v; want 10,000 and the damage of 5,000", rows, err)
	}
	checkLoss(t, s, true)
}

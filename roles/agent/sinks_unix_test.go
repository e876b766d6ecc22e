//go:build unix

package agent

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestAlertFileRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, filepath.Join(dir, "no", "such")} {
		if s, err := newJSONLSink(path); err == nil {
			_ = s.close()
			t.Errorf("%s was accepted", path)
		}
	}
}

//go:build unix

package platform

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A FIFO without a writer is refused, not waited for.
func TestReadRegular(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadRegular(file); err != nil || string(b) != "text" {
		t.Errorf("a file: %q, %v", b, err)
	}
	for _, name := range []string{fifo, dir} {
		if _, err := ReadRegular(name); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v, want that it is no regular file", name, err)
		}
	}
}

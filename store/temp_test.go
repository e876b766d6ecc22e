package store

import (
	"os"
	"path/filepath"
	"testing"
)

// The directory for temporary files is empty whenever the store is opened.
func TestTempDir(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if s.TempDir() != filepath.Join(dir, "tmp") {
			t.Errorf("TempDir = %q", s.TempDir())
		}
		files, err := os.ReadDir(s.TempDir())
		if err != nil || len(files) > 0 {
			t.Errorf("%d temporary files are left, %v", len(files), err)
		}
		if info, err := os.Stat(s.TempDir()); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v, %v: command lines are in there", info.Mode(), err)
		}
		if err := os.WriteFile(filepath.Join(s.TempDir(), "query-1.tmp"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenReadOnly(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.TempDir() != "" {
		t.Errorf("a reader has the temporary directory %q", s.TempDir())
	}
}

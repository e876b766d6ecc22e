package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// sizeFile says how long MANIFEST was: "inode length". Badger appends to
// MANIFEST and deletes the tables that it does not list, so that one which was
// cut off would cost the history without a word. Badger seldom writes a new
// one; that has another inode.
const sizeFile = "MANIFEST-SIZE"

// noteManifest writes sizeFile when MANIFEST has grown.
func (s *Store) noteManifest() error {
	info, err := os.Stat(filepath.Join(s.dir, dbDir, badger.ManifestFilename))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d %d\n", inode(info), info.Size())
	s.mu.Lock()
	same := text == s.manifest
	s.mu.Unlock()
	if same {
		return nil
	}
	path := filepath.Join(s.dir, sizeFile)
	if err := os.WriteFile(path+".new", []byte(text), 0o640); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	s.mu.Lock()
	s.manifest = text
	s.mu.Unlock()
	return nil
}

// checkManifestSize refuses a MANIFEST that has become shorter. Without a
// record of it, as after a loss of power, nothing can be told.
func checkManifestSize(path string, info os.FileInfo) error {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), sizeFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var number uint64
	var size int64
	if _, err := fmt.Sscanf(string(text), "%d %d\n", &number, &size); err != nil || number != inode(info) || size <= info.Size() {
		return nil
	}
	return damaged(filepath.Join(path, badger.ManifestFilename), fmt.Errorf("it was cut off: it has %d bytes and had %d", info.Size(), size))
}

// openSpace is what must be free on the disk for the database to be opened:
// Badger writes into mapped files, and a page for which there is no room ends
// the process with SIGBUS.
const openSpace = 8 << 20

func checkOpenSpace(dir string) error {
	free, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("free space of %q: %w", dir, err)
	}
	if free < openSpace {
		return fmt.Errorf("%w: %.1f MiB are free on the disk of %s, and it takes %d to open it", ErrDiskFull, float64(free)/(1<<20), dir, openSpace>>20)
	}
	return nil
}

// Space returns ErrDiskFull, with the figures, while so little is free on the
// disk that nothing is stored.
func (s *Store) Space() error {
	if s.cfg.MinFree < 0 || s.readOnly {
		return nil
	}
	free, err := freeSpace(s.dir)
	if err != nil {
		return fmt.Errorf("free space of %q: %w", s.dir, err)
	}
	if free < s.cfg.MinFree {
		return fmt.Errorf("nothing is stored: %w: %.1f MiB are free on the disk of %s, %d must remain", ErrDiskFull, float64(free)/(1<<20), s.dir, s.cfg.MinFree>>20)
	}
	return nil
}

//go:build unix

package store

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A scan reads no other thing in the place of a segment, nor waits for it.
func TestSegmentIsNoFile(t *testing.T) {
	base := t.TempDir()
	if err := sealedStore(t, base, 3).Close(); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]func(path string) error{
		"a named pipe": func(p string) error { return syscall.Mkfifo(p, 0o640) },
		"a socket": func(p string) error {
			dir, err := os.MkdirTemp("", "") // its path must be short
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return errors.Join(os.Rename(filepath.Join(dir, "s"), p), l.Close())
		},
		"a link to a device": func(p string) error { return os.Symlink("/dev/zero", p) },
		"a file of holes": func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o640), os.Truncate(p, 1<<40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, copyStore(t, base), quiet())
			defer func() { _ = s.Close() }()
			file := segmentFiles(t, s.dir)[1]
			if err := errors.Join(os.Remove(file), place(file)); err != nil {
				t.Fatal(err)
			}
			var damage *DamagedError
			if rows, err := scanRows(s); !errors.As(err, &damage) || damage.Rows != 5000 || rows != 10_000 {
				t.Errorf("Scan() = %d rows, %v; want 10,000 and the damage of 5,000", rows, err)
			}
			checkLoss(t, s, true)
		})
	}
}

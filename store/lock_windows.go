package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// dirLock is LockFileEx on the file LOCK. The kernel frees it with the process.
type dirLock struct{ f *os.File }

func lockDir(dir string, shared bool) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	l := &dirLock{f}
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if shared {
		flags = 0
	}
	if err := l.lockFile(flags); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

func (l *dirLock) lockFile(flags uint32) error {
	err := windows.LockFileEx(windows.Handle(l.f.Fd()), flags|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func (l *dirLock) relock(flags uint32) error {
	if err := windows.UnlockFileEx(windows.Handle(l.f.Fd()), 0, 1, 0, new(windows.Overlapped)); err != nil {
		return err
	}
	return l.lockFile(flags)
}

func (l *dirLock) upgrade() error   { return l.relock(windows.LOCKFILE_EXCLUSIVE_LOCK) }
func (l *dirLock) downgrade() error { return l.relock(0) }
func (l *dirLock) release() error   { return l.f.Close() }

func adoptFiles(string) error { return nil }

func freeSpace(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return int64(free), err
}

func inode(os.FileInfo) uint64 { return 0 }

func allocated(path string) (int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// syncDir does nothing: names are in NTFS's own log.
func syncDir(string) error { return nil }

// diskFull makes the system's error ours.
func diskFull(err error) error {
	if errors.Is(err, windows.ERROR_DISK_FULL) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

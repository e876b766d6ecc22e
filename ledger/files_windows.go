package ledger

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock takes LockFileEx on an open file, alone or with others who share it.
func lock(f *os.File, shared bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return os.NewSyscallError("LockFileEx", err)
}

// syncDir does nothing: names are in NTFS's own log.
func syncDir(string) error { return nil }

func diskFull(err error) bool { return errors.Is(err, windows.ERROR_DISK_FULL) }

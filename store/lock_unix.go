//go:build unix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirLock is flock(2) on the file LOCK. The kernel frees it with the process.
type dirLock struct{ f *os.File }

func lockDir(dir string, shared bool) (*dirLock, error) {
	path := filepath.Join(dir, "LOCK")
	flags := os.O_RDWR | os.O_CREATE
	if shared {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flags, 0o640)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	l := &dirLock{f}
	if err := l.flock(how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !shared {
		err := f.Truncate(0)
		if err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			return nil, errors.Join(err, f.Close())
		}
	}
	return l, nil
}

func (l *dirLock) flock(how int) error {
	err := unix.Flock(int(l.f.Fd()), how|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	// Only readers hold it if one more may read.
	if how == unix.LOCK_EX && unix.Flock(int(l.f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		_ = unix.Flock(int(l.f.Fd()), unix.LOCK_UN)
		return ErrReaders
	}
	return &LockedError{PID: l.holder()}
}

// holder returns the process that wrote the file last, 0 when it has gone.
func (l *dirLock) holder() int {
	text, err := io.ReadAll(io.NewSectionReader(l.f, 0, 32))
	pid, numErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || numErr != nil || !alive(pid) {
		return 0
	}
	return pid
}

func alive(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

func (l *dirLock) upgrade() error   { return l.flock(unix.LOCK_EX) }
func (l *dirLock) downgrade() error { return l.flock(unix.LOCK_SH) }
func (l *dirLock) release() error   { return l.f.Close() }

// adoptFiles gives what root created in dir to the directory's owner, who
// could not open the store again otherwise.
func adoptFiles(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var owner unix.Stat_t
	if err := unix.Stat(dir, &owner); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}

// freeSpace returns what an unprivileged process may still write, in bytes.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil
}

// inode returns the number of the file, 0 when there is none.
func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}

// allocated returns how much of the disk a file takes: value log files are
// longer than what is written of them.
func allocated(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st.Blocks * 512, nil
}

// syncDir makes the names in a directory survive the loss of power.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// diskFull makes the kernel's error ours.
func diskFull(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

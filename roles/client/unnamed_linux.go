package client

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createUnnamed makes a file in dir that has no name, so that nothing is left
// of it when this process is killed; an error where the file system can not.
func createUnnamed(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_WRONLY|unix.O_TMPFILE, 0o640)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(procName(f)); err != nil { // no /proc
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// nameFile gives a file of createUnnamed a name that is free; see open(2), O_TMPFILE.
func nameFile(f *os.File, name string) error {
	if err := unix.Linkat(unix.AT_FDCWD, procName(f), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.PathError{Op: "link", Path: name, Err: err}
	}
	return nil
}

func procName(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

package supervisor

import (
	"os"

	"golang.org/x/sys/unix"
)

// openPlace opens a directory that this process may not read, as a place in
// the file system: root without CAP_DAC_OVERRIDE may give a directory to the
// agent's user and then not enter it, but can still hand it over.
func openPlace(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

//go:build unix

package supervisor

import (
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminals returns a function that reports whether a terminal that was on
// standard output or error is gone. A SIGHUP then means that the user closed
// the window, not that rules changed.
func terminals() (gone func() bool) {
	var fds []int
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if fd := int(f.Fd()); term.IsTerminal(fd) {
			fds = append(fds, fd)
		}
	}
	return func() bool {
		for _, fd := range fds {
			// A hung-up terminal answers EIO to every request.
			if _, err := unix.IoctlGetTermios(fd, getTermios); err != nil {
				return true
			}
		}
		return false
	}
}

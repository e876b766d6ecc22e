package collector

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// errorName returns what a system call has come to: success, or the name of an
// error.
func errorName(number int) string {
	if number == 0 {
		return "success"
	}
	if name := unix.ErrnoName(unix.Errno(number)); name != "" {
		return name
	}
	return strconv.Itoa(number)
}

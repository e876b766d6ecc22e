package rules

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the CPU time that the calling thread has had; ok is false where
// it is not known. The clock is exact to the moment it is read; getrusage counts
// what a running thread has had only from tick to tick.
func threadTime() (d time.Duration, ok bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

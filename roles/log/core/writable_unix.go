//go:build unix

package core

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writable waits until f can take a chunk, at most for the time given. What
// it cannot tell counts as writable: the write will say what is wrong.
func writable(f *os.File, wait time.Duration) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return true
	}
	ok := true
	err = conn.Control(func(fd uintptr) {
		deadline := time.Now().Add(wait)
		for {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			n, err := unix.Poll(fds, int(max(0, time.Until(deadline)).Milliseconds()))
			if err == unix.EINTR {
				continue
			}
			// POLLERR is a pipe without a reader. Writing to it would end the
			// process when f is its stderr (os/signal: SIGPIPE).
			ok = err != nil || n > 0 && fds[0].Revents&unix.POLLERR == 0
			return
		}
	})
	return err != nil || ok
}

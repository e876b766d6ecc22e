package platform

import "golang.org/x/sys/unix"

// backgroundNice leaves such a thread some 3 % of a core that another one wants
// too (sched(7): weights 36 and 1024).
const backgroundNice = 15

func threadID() int { return unix.Gettid() }

// lowerPriority is of the calling thread: on Linux a nice value is a thread's.
func lowerPriority() error {
	return unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice)
}

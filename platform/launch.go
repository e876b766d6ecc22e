package platform

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Launch describes the start of one of our roles.
type Launch struct {
	Name   string     // argv[0], which selects the role
	Args   []string   // after argv[0]
	User   User       // as whom, if this process is root; root itself or without root: nothing changes
	Groups []int      // supplementary groups, if User changes
	Keep   []int      // capabilities to keep, if this process is root
	Files  []*os.File // inherited as descriptors 3, 4, …; they stay open here
}

// Process is a started role.
type Process struct {
	PID         int
	Kept        []string // capabilities that it has, such as cap_sys_ptrace
	Unavailable []string // what could not be kept, or dropped, and why

	process *os.Process
	done    chan struct{}
	err     error
}

// Wait waits for the end of the process. Its error is an *ExitError unless the
// process ended with status 0.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends sig to the process; os.ErrProcessDone when it has ended.
func (p *Process) Signal(sig os.Signal) error { return p.process.Signal(sig) }

// ExitError is how a process ended if not well.
type ExitError struct {
	Code   int            // exit status; -1 when a signal ended it
	Signal syscall.Signal // that ended it, 0 when none did
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("ended with status %d", e.Code)
}

// Status is what the kernel reports of a process.
type Status struct {
	UID, GID    int
	Parent      int      // pid
	Permitted   []string // capabilities
	Effective   []string
	Inheritable []string
	Bounding    []string
	Ambient     []string
	NoNewPrivs  bool
	Seccomp     int   // 0 off, 1 strict, 2 filter
	Memory      int64 // resident set size, bytes
	Started     time.Time
}

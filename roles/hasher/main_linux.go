package hasher

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"daemoneye/platform"
)

// descriptor is its end of the socket pair.
const descriptor = 3

// Main is the role. It ends when the collector does. What becomes of system
// calls that it has no need of is the argument: see platform.Cage.
func Main(seccomp string) error {
	// A terminal's Ctrl-C is for the supervisor, which ends the collector.
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	conn, err := inherited()
	if err != nil {
		return err
	}
	if err := platform.Confine(Name); err != nil && !errors.Is(err, platform.ErrNotSupported) {
		return fmt.Errorf("hasher: confine: %w", err)
	}
	// Files are opened for reading only. No Landlock: with it, no /proc/PID could
	// be read that takes the right to trace.
	platform.Cage{Seccomp: seccomp}.Close()
	// Little is allocated here, and what the start took is not needed again.
	debug.SetGCPercent(25)
	debug.FreeOSMemory()
	if err := newServer(conn).serve(); err != nil {
		return fmt.Errorf("hasher: %w", err)
	}
	return nil
}

func inherited() (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(descriptor, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("hasher: descriptor %d is no socket: this role is started by procmond", descriptor)
	}
	unix.CloseOnExec(descriptor)
	if err := unix.SetNonblock(descriptor, true); err != nil {
		return nil, fmt.Errorf("hasher: %w", err)
	}
	return os.NewFile(descriptor, "collector"), nil
}

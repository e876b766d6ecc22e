//go:build unix

package handoff

import (
	"fmt"
	"os"
	"syscall"
)

// inherit returns the inherited end of the pipe. It must be non-blocking
// before os.NewFile sees it, or Close would not interrupt a Read.
func inherit() (*os.File, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(FD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil, fmt.Errorf("descriptor %d is no pipe: this role was not started by \"daemoneye run\"", FD)
	}
	if err := syscall.SetNonblock(FD, true); err != nil {
		return nil, fmt.Errorf("set descriptor %d non-blocking: %w", FD, err)
	}
	closeOnExec(FD)
	return os.NewFile(FD, "hand-off"), nil
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

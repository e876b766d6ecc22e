// Package procfs enumerates the processes of a Linux host from /proc.
//
// The parsers are pure functions over the bytes of one file; the Enumerator
// joins them into one Process per thread group, and the Hasher reads the
// executables. Nothing here holds a wall clock as identity: a process is its
// boot, its pid and its start tick (see EntityID).
package procfs

import "errors"

// ErrNotSupported is returned where there is no /proc of Linux.
var ErrNotSupported = errors.New("procfs: not supported on this system")

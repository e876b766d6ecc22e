// Package platform is what an operating system can do for us: start a role
// with few privileges, say what a process holds, and confine the present one.
// Sources of events are in its sub-packages.
package platform

import "errors"

// ErrNotSupported is returned where the operating system lacks the feature.
var ErrNotSupported = errors.New("not supported on this system")

// ExitConfig is the exit status of a role that would fail again in the same
// way if it were started again: EX_CONFIG of sysexits.h.
const ExitConfig = 78

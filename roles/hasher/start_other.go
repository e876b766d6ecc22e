//go:build !linux

package hasher

import (
	"context"

	"daemoneye/platform"
)

// Process is a hasher; there are none here.
type Process struct{ *Client }

// Start returns nil: a process may read as much by itself.
func Start(context.Context, platform.User, string) (*Process, error) { return nil, nil }

// PID is 0.
func (*Process) PID() int { return 0 }

// Kept is empty.
func (*Process) Kept() []string { return nil }

// Close does nothing.
func (*Process) Close() error { return nil }

// Main is not supported here.
func Main(string) error { return platform.ErrNotSupported }

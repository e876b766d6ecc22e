//go:build !linux

package procfs

import (
	"context"
	"time"
)

// Enumerator lists all processes; it exists on Linux only.
type Enumerator struct{}

// NewEnumerator returns ErrNotSupported.
func NewEnumerator(Config) (*Enumerator, error) { return nil, ErrNotSupported }

// Close does nothing.
func (*Enumerator) Close() error { return nil }

// BootID returns "".
func (*Enumerator) BootID() string { return "" }

// Scan returns ErrNotSupported.
func (*Enumerator) Scan(context.Context) (*Snapshot, error) { return nil, ErrNotSupported }

// Complete does nothing.
func (*Enumerator) Complete(*Process) {}

// Wall returns the zero time.
func (*Enumerator) Wall(time.Duration) time.Time { return time.Time{} }

// Boot returns 0.
func (*Enumerator) Boot(time.Time) time.Duration { return 0 }

// ReadThrough does nothing.
func (*Enumerator) ReadThrough(Reader) {}

// Identify does nothing.
func (*Enumerator) Identify(context.Context, []*Process) error { return nil }

//go:build !linux || (!amd64 && !arm64)

package bpf

import "daemoneye/platform/procfs"

// Source is the programs in the kernel; it exists on Linux only.
type Source struct{}

// Open returns ErrNotSupported.
func Open(Config) (*Source, error) { return nil, ErrNotSupported }

// Close does nothing.
func (*Source) Close() error { return nil }

// Limits returns nothing.
func (*Source) Limits() []string { return nil }

// Want returns ErrNotSupported.
func (*Source) Want(Kind, uint64) error { return ErrNotSupported }

// Protect returns ErrNotSupported.
func (*Source) Protect([]int32) error { return ErrNotSupported }

// Watch returns ErrNotSupported.
func (*Source) Watch([]string, []string) error { return ErrNotSupported }

// Remount returns ErrNotSupported.
func (*Source) Remount() error { return ErrNotSupported }

// Read returns ErrNotSupported.
func (*Source) Read([]Event) ([]Event, error) { return nil, ErrNotSupported }

// Stats returns ErrNotSupported.
func (*Source) Stats() (Stats, error) { return Stats{}, ErrNotSupported }

// List returns ErrNotSupported.
func (*Source) List(func(*Event) bool) error { return ErrNotSupported }

// Processes returns ErrNotSupported.
func (*Source) Processes(func(*procfs.Process, bool) bool) error { return ErrNotSupported }

// Connections returns ErrNotSupported.
func (*Source) Connections(func(*Event) bool) error { return ErrNotSupported }

// Sync returns ErrNotSupported.
func (*Source) Sync() error { return ErrNotSupported }

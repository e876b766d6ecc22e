//go:build !linux

package connector

import (
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// Source exists on Linux only.
type Source struct{}

// Open returns ErrNotSupported.
func Open(Config) (*Source, error) { return nil, ErrNotSupported }

// Connections returns ErrNotSupported.
func (*Source) Connections(func(*bpf.Event) bool) error { return ErrNotSupported }

// Close does nothing.
func (*Source) Close() error { return nil }

// Limits returns nothing.
func (*Source) Limits() []string { return nil }

// Want returns ErrNotSupported.
func (*Source) Want(bpf.Kind, uint64) error { return ErrNotSupported }

// Watch returns ErrNotSupported.
func (*Source) Watch([]string, []string) error { return ErrNotSupported }

// Protect returns ErrNotSupported.
func (*Source) Protect([]int32) error { return ErrNotSupported }

// Remount returns ErrNotSupported.
func (*Source) Remount() error { return ErrNotSupported }

// Read returns ErrNotSupported.
func (*Source) Read([]bpf.Event) ([]bpf.Event, error) { return nil, ErrNotSupported }

// Stats returns ErrNotSupported.
func (*Source) Stats() (bpf.Stats, error) { return bpf.Stats{}, ErrNotSupported }

// Late returns 0.
func (*Source) Late() uint64 { return 0 }

// Processes returns ErrNotSupported.
func (*Source) Processes(func(*procfs.Process, bool) bool) error { return ErrNotSupported }

// Sync returns ErrNotSupported.
func (*Source) Sync() error { return ErrNotSupported }

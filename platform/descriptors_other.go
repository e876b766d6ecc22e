//go:build !linux

package platform

// Descriptors lists the open descriptors of a process.
type Descriptors struct{}

// OpenDescriptors reports that this is not possible here.
func OpenDescriptors(int) (*Descriptors, error) { return nil, ErrNotSupported }

// Close does nothing.
func (d *Descriptors) Close() error { return nil }

// Kinds reports that this is not possible here.
func (d *Descriptors) Kinds() (map[string]int, error) { return nil, ErrNotSupported }

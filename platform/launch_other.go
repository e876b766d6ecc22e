//go:build !linux

package platform

// CollectorCapabilities: there are none here.
func CollectorCapabilities() []int { return nil }

// Start is not supported here.
func Start(Launch) (*Process, error) { return nil, ErrNotSupported }

// CanBecome is not supported here.
func CanBecome(User) error { return ErrNotSupported }

// CanChown is not supported here.
func CanChown() error { return ErrNotSupported }

// ReadStatus is not supported here.
func ReadStatus(int) (Status, error) { return Status{}, ErrNotSupported }

// Dropped is not known here.
func (s Status) Dropped() []string { return nil }

// OpeningCapabilities: there are none here.
func OpeningCapabilities() []int { return nil }

// LoadingCapabilities: there are none here.
func LoadingCapabilities() []int { return nil }

// HasherCapabilities: there are none here.
func HasherCapabilities() []int { return nil }

// Missing is not known here.
func Missing(...int) ([]string, error) { return nil, ErrNotSupported }

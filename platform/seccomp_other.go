//go:build linux && !amd64 && !arm64

package platform

// call is a system call that may be made.
type call struct{}

func (c Cage) calls() []call { return nil }

func (c Cage) closeSeccomp([]call) error { return ErrNotSupported }

//go:build !linux

package platform

// Memory is not supported here.
func Memory(int) (rss, pss int64, err error) { return 0, 0, ErrNotSupported }

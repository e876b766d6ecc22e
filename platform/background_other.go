//go:build !linux

package platform

func threadID() int { return 0 }

func lowerPriority() error { return ErrNotSupported }

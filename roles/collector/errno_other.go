//go:build !linux

package collector

import "strconv"

// errorName returns the number of an error: only Linux tells of any.
func errorName(number int) string { return strconv.Itoa(number) }

//go:build unix

package rules

import (
	"io/fs"
	"syscall"
)

// fileNumber tells two files of the same name apart, also when their sizes and
// times are the same.
func fileNumber(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

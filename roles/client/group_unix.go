//go:build unix

package client

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// groupOf names the group of a directory, as " (name)"; "" when it is not known.
func groupOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	number := strconv.FormatUint(uint64(stat.Gid), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return " (" + g.Name + ")"
	}
	return " (gid " + number + ")"
}

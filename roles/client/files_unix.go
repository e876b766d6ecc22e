//go:build unix

package client

import (
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// access reports whether this process may use the file: 4 read, 2 write,
// 1 search. It is the kernel's word, with all groups and lists.
func access(path string, want os.FileMode) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, uint32(want), unix.AT_EACCESS) == nil
}

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

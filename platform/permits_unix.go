//go:build unix

package platform

import (
	"io/fs"
	"syscall"
)

// Permits reports whether the mode of a file gives the user, who has no
// groups but their own, all of want: 4 read, 2 write, 1 search or execute.
// Access control lists are not looked at.
func Permits(info fs.FileInfo, user User, want fs.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || user.UID == 0 {
		return true
	}
	perm := info.Mode().Perm()
	switch {
	case int(stat.Uid) == user.UID:
		perm >>= 6
	case int(stat.Gid) == user.GID:
		perm >>= 3
	}
	return perm&want == want
}

//go:build unix

package config

import (
	"fmt"
	"io/fs"
	"syscall"
)

// trusted refuses a file that somebody other than root and uid can change.
func trusted(info fs.FileInfo, uid int) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("its owner is not known")
	}
	if owner := int(stat.Uid); owner != 0 && owner != uid {
		return fmt.Errorf("it belongs to user %d: as root, DaemonEye reads only root's own files (chown root it, or start DaemonEye as that user)", owner)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("its mode is %04o: as root, DaemonEye reads only files that nobody else can write (chmod go-w it)", perm)
	}
	return nil
}

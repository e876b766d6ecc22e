package platform

import (
	"errors"
	"io/fs"
	"os"
)

// ReplaceFile makes a file of this mode, whatever the umask, which takes the
// place of the one of that name when it is whole; with sync once it is on the
// disk, so that after a crash it is the old or the new one. A file that somebody
// has put where it is made is not followed and not written to.
func ReplaceFile(path string, data []byte, mode fs.FileMode, sync bool) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode))
	if sync {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		_ = os.Remove(fresh)
	}
	return err
}

//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"daemoneye/platform"
)

// openOwned opens the directory, making it and what is above it if need be,
// and gives it to the user that the role will run as, so that the role can
// use it through the descriptor even below a directory that only root may
// enter. A directory that belongs to somebody else and is not empty is
// refused: taking it over would lock its owner out of the files in it.
func openOwned(path string, user platform.User, mode os.FileMode) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, notMade(err)
	}
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, notMade(err)
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() == 0 {
		dir, err = openPlace(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open directory %q: %w", path, reason(err))
	}
	if err := own(dir, user, mode); err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// notMade names the directory of an error once.
func notMade(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("make directory %q: %w", e.Path, e.Err)
	}
	return err
}

// reason is an error without the path that the caller names.
func reason(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// ownedBy reports whether the directory is there and the user's.
func ownedBy(path string, user platform.User) bool {
	info, err := os.Lstat(path)
	return err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == user.UID
}

func own(dir *os.File, user platform.User, mode os.FileMode) error {
	info, err := dir.Stat()
	if err != nil {
		return fmt.Errorf("look at %q: %w", dir.Name(), err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	// Not for the mode, which root need not mind but the agent might.
	if err := unix.Faccessat(int(dir.Fd()), ".", unix.W_OK, 0); errors.Is(err, unix.EROFS) {
		return fmt.Errorf("directory %q can not be written to: %w", dir.Name(), err)
	}
	if int(owner) == user.UID {
		return nil
	}
	foreign := &ownerError{dirs: []string{dir.Name()}, owner: int(owner), user: user}
	if user.UID == os.Geteuid() {
		return foreign
	}
	if _, err := dir.Readdirnames(1); !errors.Is(err, io.EOF) {
		return foreign
	}
	// While it is root's own: afterwards it takes CAP_FOWNER.
	if err := dir.Chmod(mode); err != nil {
		return fmt.Errorf("set mode of %q: %w", dir.Name(), err)
	}
	if err := dir.Chown(user.UID, user.GID); err != nil {
		return fmt.Errorf("give %q to %v: %w", dir.Name(), user, err)
	}
	return nil
}

//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"daemoneye/platform"
)

// openOwned opens the directory, making it and what is above it if need be,
// and gives it to the user that the agent will run as, so that the agent can
// use it through the descriptor even below a directory that only root may
// enter. A directory that belongs to somebody else and is not empty is
// refused: taking it over would lock its owner out of the files in it.
func openOwned(path string, user platform.User) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make %q: %w", filepath.Dir(path), err)
	}
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make %q: %w", path, err)
	}
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %q: %w", path, err)
	}
	if err := own(dir, user); err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

func own(dir *os.File, user platform.User) error {
	info, err := dir.Stat()
	if err != nil {
		return fmt.Errorf("look at %q: %w", dir.Name(), err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if int(owner) == user.UID {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("directory %q belongs to uid %d, this is uid %d", dir.Name(), owner, user.UID)
	}
	if _, err := dir.Readdirnames(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("directory %q belongs to uid %d and is not empty, the agent runs as %v; give it to that user with chown -R, or use another directory", dir.Name(), owner, user)
	}
	if err := dir.Chown(user.UID, user.GID); err != nil {
		return fmt.Errorf("give %q to %v: %w", dir.Name(), user, err)
	}
	if err := dir.Chmod(0o750); err != nil {
		return fmt.Errorf("set mode of %q: %w", dir.Name(), err)
	}
	return nil
}

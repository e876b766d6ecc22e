//go:build !unix

package supervisor

import (
	"fmt"
	"os"

	"daemoneye/platform"
)

// ownedBy reports whether the directory is the user's; there is only one.
func ownedBy(string, platform.User) bool { return true }

// openOwned opens the directory and makes it if need be; the roles run as the
// same user.
func openOwned(path string, _ platform.User, _ os.FileMode) (*os.File, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("make %q: %w", path, err)
	}
	return os.Open(path)
}

package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"daemoneye/platform/procfs"
)

// CanBecome reports why Start could not start a process as u that this process
// can signal, or nil. Root lacks what it takes in a container without
// capabilities and in a user namespace that has no other user.
func CanBecome(u User) error {
	if err := holds(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL); err != nil {
		return err
	}
	for _, id := range []struct {
		name, file string
		id         int
	}{{"uid", "/proc/self/uid_map", u.UID}, {"gid", "/proc/self/gid_map", u.GID}} {
		switch raw, err := os.ReadFile(id.file); {
		case errors.Is(err, fs.ErrNotExist): // a kernel without user namespaces
		case err != nil:
			return err
		case !mapped(string(raw), id.id):
			return fmt.Errorf("%s %d does not exist in this user namespace", id.name, id.id)
		}
	}
	raw, err := os.ReadFile("/proc/self/setgroups")
	if err == nil && string(bytes.TrimSpace(raw)) == "deny" {
		return errors.New("this user namespace denies setgroups")
	}
	return nil
}

// CanChown reports why this process could not give a directory away, or nil.
func CanChown() error { return holds(unix.CAP_CHOWN) }

// holds returns an error that names those of the capabilities that this thread
// can not use.
func holds(capabilities ...int) error {
	missing, err := Missing(capabilities...)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not held", strings.Join(missing, ", "))
	}
	return nil
}

// Missing returns the names of those of the capabilities that this thread can
// not use.
func Missing(capabilities ...int) (names []string, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read own capabilities: %w", err)
	}
	for _, c := range capabilities {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			names = append(names, procfs.CapabilityName(c))
		}
	}
	return names, nil
}

// mapped reports whether id is in a uid_map or gid_map, user_namespaces(7):
// lines of first id inside, first id outside, and number of ids.
func mapped(table string, id int) bool {
	for line := range strings.Lines(table) {
		var inside, outside, n int64
		if _, err := fmt.Sscan(line, &inside, &outside, &n); err == nil && inside <= int64(id) && int64(id)-inside < n {
			return true
		}
	}
	return false
}

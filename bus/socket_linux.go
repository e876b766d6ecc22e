package bus

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the space in sockaddr_un.sun_path without its final NUL, unix(7).
const maxSocketPath = 107

// socketName returns a name for path that fits into a socket address: path
// itself, or one that starts at a descriptor of its directory. The name is
// good until done is called.
func socketName(path string) (name string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %q: %w", filepath.Dir(path), err)
	}
	name = fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(path))
	if len(name) > maxSocketPath {
		_ = unix.Close(fd)
		return "", nil, fmt.Errorf("socket name %q is too long", filepath.Base(path))
	}
	return name, func() { _ = unix.Close(fd) }, nil
}

// peerCredentials reads SO_PEERCRED and SO_PEERGROUPS, socket(7): what held
// when the other end called connect or listen.
func peerCredentials(conn *net.UnixConn) (credentials, error) {
	var c credentials
	err := onSocket(conn, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return fmt.Errorf("read peer credentials: %w", err)
		}
		c.pid, c.uid, c.gid = int(cred.Pid), cred.Uid, cred.Gid
		c.groups, err = peerGroups(fd)
		return err
	})
	return c, err
}

func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errors.Is(errno, unix.ERANGE) && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		case errors.Is(errno, unix.ENOPROTOOPT):
			return nil, nil // before Linux 4.13
		default:
			return nil, fmt.Errorf("read peer groups: %w", errno)
		}
	}
}

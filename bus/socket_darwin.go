package bus

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the space in sockaddr_un.sun_path without its final NUL, unix(4).
const maxSocketPath = 103

func socketName(path string) (name string, done func(), err error) {
	if len(path) > maxSocketPath {
		return "", nil, fmt.Errorf("path has %d bytes, a socket's may have %d", len(path), maxSocketPath)
	}
	return path, func() {}, nil
}

func peerCredentials(conn *net.UnixConn) (credentials, error) {
	var c credentials
	err := onSocket(conn, func(fd int) error {
		cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return fmt.Errorf("read peer credentials: %w", err)
		}
		pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		if err != nil {
			return fmt.Errorf("read peer pid: %w", err)
		}
		n := min(int(cred.Ngroups), len(cred.Groups))
		c = credentials{pid: pid, uid: cred.Uid, groups: cred.Groups[:max(0, n)]}
		if n > 0 {
			c.gid = cred.Groups[0]
		}
		return nil
	})
	return c, err
}

//go:build !linux && !darwin

package bus

import (
	"context"
	"fmt"
	"net"
)

// Listener is a Unix socket that peers connect to.
type Listener struct {
	*net.UnixListener
	gid uint32
}

// Listen returns ErrNotSupported: the other end's credentials cannot be known.
func Listen(path string) (*Listener, error) {
	return nil, fmt.Errorf("listen on %q: %w", path, ErrNotSupported)
}

// Path returns the path that l was made with.
func (l *Listener) Path() string { return "" }

func dialSocket(context.Context, string) (*net.UnixConn, error) { return nil, ErrNotSupported }

func peerCredentials(*net.UnixConn) (credentials, error) { return credentials{}, ErrNotSupported }

//go:build linux || darwin

package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Listener is a Unix socket that peers connect to.
type Listener struct {
	*net.UnixListener
	path string
	gid  uint32 // the socket's group
	made os.FileInfo
	once sync.Once
}

// Listen makes the socket at path with mode 0660, and its directory with mode
// 0750 if there is none. A socket left by a process that has died is replaced;
// one on which somebody answers is an error, as is any other file.
func Listen(path string) (*Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	return l, nil
}

func listen(path string) (*Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	// Two agents that start at once must not both find the socket stale.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %q: %w", dir, err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Bound under another name first: nobody sees it before its mode is set.
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	short, done, err := socketName(fresh)
	if err != nil {
		return nil, err
	}
	defer done()
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ul.SetUnlinkOnClose(false)
	l := &Listener{UnixListener: ul, path: path}
	if err := l.place(fresh); err != nil {
		_ = ul.Close()
		_ = os.Remove(fresh)
		return nil, err
	}
	return l, nil
}

func (l *Listener) place(fresh string) error {
	if err := os.Chmod(fresh, 0o660); err != nil {
		return err
	}
	info, err := os.Lstat(fresh)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(fresh, &st); err != nil {
		return err
	}
	l.made, l.gid = info, st.Gid
	return os.Rename(fresh, l.path)
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is not a socket")
	}
	conn, err := dialSocket(context.Background(), path)
	if err == nil {
		_ = conn.Close()
		return errors.New("another process answers on it")
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("is another process using it? %w", err)
	}
	return os.Remove(path)
}

// Path returns the path that l was made with.
func (l *Listener) Path() string { return l.path }

// Close stops listening and removes the socket, unless another has replaced it.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		if info, e := os.Lstat(l.path); e == nil && os.SameFile(info, l.made) {
			err = os.Remove(l.path)
		}
		err = errors.Join(err, l.UnixListener.Close())
	})
	return err
}

func dialSocket(ctx context.Context, path string) (*net.UnixConn, error) {
	short, done, err := socketName(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// onSocket calls f with the connection's descriptor.
func onSocket(conn *net.UnixConn, f func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

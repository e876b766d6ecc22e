package platform

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Descriptors lists the open descriptors of a process.
type Descriptors struct{ dir *os.File }

// OpenDescriptors opens the list of those of a process, 0: this one. Of another
// process it takes the right to trace it. What is open can be read in a cage.
func OpenDescriptors(pid int) (*Descriptors, error) {
	path := "/proc/self/fd"
	if pid != 0 {
		path = fmt.Sprintf("/proc/%d/fd", pid)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Descriptors{dir}, nil
}

// Close ends the list.
func (d *Descriptors) Close() error { return d.dir.Close() }

// Kinds counts the descriptors by kind: socket, pipe, file, directory, device,
// and what the kernel calls others: eventpoll, eventfd, bpf-map, bpf-prog,
// bpf_link, … It is for one goroutine at a time.
func (d *Descriptors) Kinds() (map[string]int, error) {
	if _, err := d.dir.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	names, err := d.dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	kinds := map[string]int{}
	target := make([]byte, 4096)
	for _, name := range names {
		var st unix.Stat_t
		fd := int(d.dir.Fd())
		n, err := unix.Readlinkat(fd, name, target)
		if err == nil {
			err = unix.Fstatat(fd, name, &st, 0)
		}
		switch {
		case errors.Is(err, unix.ENOENT): // closed meanwhile
		case err != nil:
			return nil, fmt.Errorf("look at descriptor %s: %w", name, err)
		default:
			kinds[descriptorKind(string(target[:n]), st.Mode)]++
		}
	}
	return kinds, nil
}

// descriptorKind is by the link in /proc/PID/fd, proc_pid_fd(5), and the mode.
func descriptorKind(target string, mode uint32) string {
	if kind, ok := strings.CutPrefix(target, "anon_inode:"); ok {
		return strings.Trim(kind, "[]")
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFIFO:
		return "pipe"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "device"
	}
	return "file"
}

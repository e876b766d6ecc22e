package procfs

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The wrappers of x/sys copy every path to add its NUL. A scan makes a quarter
// of a million calls with a dozen constant names, so these take names that end
// with NUL already.

func openat(dir int, name *byte, flags int) (int, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

func readlinkat(dir int, name *byte, buf []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// statx asks for what a Process has of a file, and for no traffic to a file server.
func statx(dir int, name *byte, out *unix.Statx_t) error {
	const mask = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_UID | unix.STATX_GID | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(name)), unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, mask, uintptr(unsafe.Pointer(out)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func fileID(st *unix.Statx_t) FileID {
	return FileID{
		Device: makedev(st.Dev_major, st.Dev_minor),
		Inode:  st.Ino,
		Size:   int64(st.Size),
		Mtime:  st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec),
		Ctime:  st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}
}

// zname returns the first byte of a name that must end with NUL.
func zname(name string) *byte { return unsafe.StringData(name) }

// readPIDs appends the numeric entries of the directory, from its start.
func readPIDs(dir int, buf []byte, pids []int32) ([]int32, error) {
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return pids, err
	}
	for {
		n, err := unix.Getdents(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return pids, err
		}
		pids = parseDirents(buf[:n], pids)
	}
}

// parseDirents reads what getdents64(2) fills in: inode and offset (8 bytes
// each), record length (2), type (1) and the name up to NUL.
func parseDirents(b []byte, pids []int32) []int32 {
	const nameAt = 19
	for len(b) > nameAt {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= nameAt || size > len(b) {
			return pids
		}
		name := b[nameAt:size]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		if pid, ok := parsePID(name); ok && pid > 0 {
			pids = append(pids, pid)
		}
		b = b[size:]
	}
	return pids
}

package procfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Local reads the files of one process after another. All are opened below one
// descriptor of /proc/PID, which stays with the process: when its pid is
// reused, reads fail with ESRCH and never tell of another process. It is not
// for concurrent use.
type Local struct {
	proc  int // descriptor of /proc
	dir   int // of the process
	ask   Ask // its limits
	buf   []byte
	name  []byte            // a path with its NUL
	mount uint64            // our own mount namespace
	names map[string]FileID // what a path of our mount namespace names, as far as that was looked up

	remote  map[uint64]bool // devices on which nothing is looked up by name
	dirents []byte

	exe    string // of the process; "" if it was not read
	device uint64 // of the file behind it
	mnt    uint64 // its mount namespace
}

// NewLocal opens /proc. Of ask only the limits matter.
func NewLocal(ask Ask) (*Local, error) {
	proc, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc: %w", err)
	}
	l := &Local{proc: proc, dir: -1, names: map[string]FileID{}}
	l.SetLimits(ask)
	if n, err := readlinkat(proc, zname("self/ns/mnt\x00"), l.buf); err == nil {
		l.mount, _ = ParseNamespaceLink(l.buf[:n])
	}
	l.Refresh()
	return l, nil
}

// another returns one that shares the descriptor of /proc.
func (l *Local) another() *Local {
	m := &Local{proc: l.proc, dir: -1, names: map[string]FileID{}, mount: l.mount}
	m.SetLimits(l.ask)
	return m
}

// SetLimits says how much of a text is read from now on.
func (l *Local) SetLimits(ask Ask) {
	if need := max(smallFile, ask.Cmdline, ask.Environ) + 1; need > len(l.buf) {
		l.buf = make([]byte, need)
	}
	l.ask = ask
}

// Close gives the descriptor of /proc back.
func (l *Local) Close() error { return unix.Close(l.proc) }

// Refresh forgets what was looked up by name, and looks which file systems may
// hang.
func (l *Local) Refresh() { l.refresh(remoteDevices()) }

func (l *Local) refresh(remote map[uint64]bool) {
	clear(l.names)
	l.remote = remote
}

// remoteDevices returns the devices of file systems that may hang.
func remoteDevices() map[uint64]bool {
	raw, err := readLimited("/proc/self/mountinfo", 8<<20)
	if err != nil {
		return nil
	}
	return ParseNetworkMounts(raw)
}

// PIDs appends the numbers of all processes.
func (l *Local) PIDs(list []int32) ([]int32, error) {
	if l.dirents == nil {
		l.dirents = make([]byte, 64<<10)
	}
	return readPIDs(l.proc, l.dirents, list)
}

// prepare has nothing to do.
func (l *Local) prepare(context.Context, []int32) {}

// Begin turns to a process; 0 is success. End must follow it.
func (l *Local) Begin(pid int32) syscall.Errno { return errno(l.begin(pid)) }

func (l *Local) begin(pid int32) error {
	l.name = append(strconv.AppendInt(l.name[:0], int64(pid), 10), 0)
	dir, err := openat(l.proc, &l.name[0], unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	l.dir, l.exe, l.device, l.mnt = dir, "", 0, 0
	return nil
}

// End gives up the process.
func (l *Local) End() {
	if l.dir >= 0 {
		unix.Close(l.dir)
		l.dir = -1
	}
}

// Read returns what f has, until the next call.
func (l *Local) Read(f File) Content {
	if f == FileNamed {
		info, err := l.named(l.exe, l.device, l.mnt != 0 && l.mnt == l.mount)
		if err != nil {
			return Content{Err: errno(err)}
		}
		return Content{Data: info.append(l.buf[:0])}
	}
	b, more, err := l.read(f)
	if err != nil {
		return Content{Err: errno(err)}
	}
	switch f {
	case FileExe:
		l.exe = string(b)
	case FileExeInfo:
		l.device = parseFileInfo(b).id.Device
	case FileNSMnt:
		l.mnt, _ = ParseNamespaceLink(b)
	}
	return Content{Data: b, More: more}
}

func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok { // as all of ours are
		return e
	}
	return syscall.EIO
}

// read returns what f has, until the next call.
func (l *Local) read(f File) (b []byte, more bool, err error) {
	switch name := fileName(f); f {
	case FileExeInfo:
		var st unix.Statx_t
		if err := statx(l.dir, zname(name), &st); err != nil {
			return nil, false, err
		}
		info := infoOf(&st)
		return info.append(l.buf[:0]), false, nil
	case FileStat, FileStatus, FileCgroup, FileCmdline, FileLoginUID, FileEnviron:
		return l.file(name, l.ask.limit(f))
	default:
		n, err := readlinkat(l.dir, zname(name), l.buf[:smallFile])
		return l.buf[:max(n, 0)], false, err
	}
}

// fileName returns the name below /proc/PID with its NUL.
func fileName(f File) string {
	return [files]string{
		FileStat: "stat\x00", FileStatus: "status\x00", FileCgroup: "cgroup\x00", FileExe: "exe\x00", FileExeInfo: "exe\x00",
		FileCmdline: "cmdline\x00", FileCWD: "cwd\x00", FileNSMnt: "ns/mnt\x00", FileNSCgroup: "ns/cgroup\x00", FileNSIPC: "ns/ipc\x00",
		FileNSNet: "ns/net\x00", FileNSPID: "ns/pid\x00", FileNSTime: "ns/time\x00", FileNSUser: "ns/user\x00", FileNSUTS: "ns/uts\x00",
		FileLoginUID: "loginuid\x00", FileEnviron: "environ\x00",
	}[f]
}

// file reads at most limit bytes. A short read is the end: procfs fills the
// buffer while it has more. more is true when the file was longer.
func (l *Local) file(name string, limit int) (b []byte, more bool, err error) {
	fd, err := openat(l.dir, zname(name), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, false, err
	}
	n := 0
	buf := l.buf[:limit+1]
	for n < len(buf) {
		var got int
		asked := len(buf) - n
		got, err = unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		n += max(got, 0)
		// A page that can not be read ends a read of arguments early, but not the file.
		if err != nil || got <= 0 || got < asked && n < 4096 {
			break
		}
	}
	unix.Close(fd)
	if err != nil {
		return nil, false, err
	}
	return l.buf[:min(n, limit)], n > limit, nil
}

// named tells of the file that the path names now. It is looked up where it is
// meant: in our own mount namespace, or for a process of another one below
// /proc/PID/root. On a file system that may hang nothing is looked up, and the
// error is EREMOTE. Look-ups in our own namespace are remembered until Refresh.
func (l *Local) named(path string, device uint64, own bool) (fileInfo, error) {
	if path == "" || path[0] != '/' {
		return fileInfo{}, unix.ENOENT
	}
	if l.remote[device] {
		return fileInfo{}, unix.EREMOTE
	}
	if own {
		if id, ok := l.names[path]; ok {
			return fileInfo{id: id}, nil
		}
		l.name = append(append(l.name[:0], path...), 0)
	} else {
		l.name = append(append(append(l.name[:0], "root"...), path...), 0)
	}
	var st unix.Statx_t
	if err := statx(l.dir, &l.name[0], &st); err != nil {
		return fileInfo{}, err
	}
	id := fileID(&st)
	if own && len(l.names) < maxInterned {
		l.names[path] = id
	}
	return fileInfo{id: id}, nil
}

func infoOf(st *unix.Statx_t) fileInfo {
	return fileInfo{id: fileID(st), mode: uint32(st.Mode), owner: st.Uid, group: st.Gid, links: st.Nlink}
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

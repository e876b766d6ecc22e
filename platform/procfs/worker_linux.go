package procfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// worker reads processes one after another into buffers of its own.
type worker struct {
	*scanState
	config   Config
	proc     int
	buf      []byte            // contents of one file
	link     []byte            // target of one link
	name     []byte            // a path with its NUL
	interned map[string]string // paths and control groups: many processes share few
	named    map[string]FileID // in this scan: what a path of our mount namespace names

	vanished int
	errors   int
	err      error
}

const (
	smallFile   = 8 << 10 // more than stat, status and cgroup take
	maxInterned = 4096
	pidsAtOnce  = 32
)

// errVanished says that a process ended while it was read.
var errVanished = errors.New("vanished")

func newWorker(state *scanState, config Config, proc int) *worker {
	return &worker{
		scanState: state, config: config, proc: proc,
		buf:      make([]byte, max(smallFile, config.MaxCommandLine, config.MaxEnviron)+1),
		link:     make([]byte, unix.PathMax+64),
		interned: make(map[string]string),
		named:    make(map[string]FileID),
	}
}

// run takes pids until none is left. Entries of slab whose process vanished
// keep an empty EntityID.
func (w *worker) run(ctx context.Context, pids []int32, slab []Process, next *atomic.Int64) {
	w.vanished, w.errors, w.err = 0, 0, nil
	clear(w.named)
	if len(w.interned) > maxInterned {
		clear(w.interned)
	}
	for ctx.Err() == nil {
		end := int(next.Add(pidsAtOnce))
		for i := end - pidsAtOnce; i < min(end, len(pids)); i++ {
			switch err := w.read(pids[i], &slab[i]); {
			case errors.Is(err, errVanished):
				slab[i] = Process{}
				w.vanished++
			case err != nil:
				w.note(fmt.Errorf("process %d: %w", pids[i], err))
			}
		}
		if end >= len(pids) {
			return
		}
	}
}

func (w *worker) note(err error) {
	w.errors++
	if w.err == nil {
		w.err = err
	}
}

// read fills p. All files are opened below one descriptor of /proc/PID, which
// stays with the process: when its pid is reused, reads fail with ESRCH and
// never tell of another process.
func (w *worker) read(pid int32, p *Process) error {
	w.name = append(strconv.AppendInt(w.name[:0], int64(pid), 10), 0)
	dir, err := openat(w.proc, &w.name[0], unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return vanishedOr(err)
	}
	defer unix.Close(dir)
	p.PID, p.Accessible = pid, true
	old := find(w.last, pid)

	old, err = w.readStat(dir, p, old)
	if err != nil {
		return err
	}
	if err := w.readStatus(dir, p, old); err != nil {
		return err
	}
	if err := w.readCgroup(dir, p, old); err != nil {
		return err
	}
	if p.KernelThread {
		return nil // no image, no files, no namespaces of its own
	}
	return w.readImage(dir, p, old)
}

// vanishedOr maps what the kernel answers for a process that is gone.
func vanishedOr(err error) error {
	if err == unix.ENOENT || err == unix.ESRCH || err == unix.ENOTDIR {
		return errVanished
	}
	return err
}

func refused(err error) bool { return err == unix.EACCES || err == unix.EPERM }

// file reads at most limit bytes of a file of the process into w.buf. A short
// read is the end: procfs fills the buffer while it has more. more is true when
// the file was longer. A refusal clears p.Accessible and is no error.
func (w *worker) file(dir int, name string, limit int, p *Process) (b []byte, more bool, err error) {
	fd, err := openat(dir, zname(name), unix.O_RDONLY|unix.O_NONBLOCK)
	n := 0
	if err == nil {
		buf := w.buf[:limit+1]
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
	}
	if refused(err) {
		p.Accessible = false
		return nil, false, nil
	}
	if err != nil {
		return nil, false, vanishedOr(err)
	}
	return w.buf[:min(n, limit)], n > limit, nil
}

// keep returns b as a string, old itself when it is equal.
func keep(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}

// intern returns b as a string, the same one for the same bytes.
func (w *worker) intern(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	if s, ok := w.interned[string(b)]; ok {
		return s
	}
	s := string(b)
	w.interned[s] = s
	return s
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

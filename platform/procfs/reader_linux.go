package procfs

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Reader reads single processes. It is not for concurrent use.
type Reader struct {
	e        *Enumerator
	prepared time.Time
}

// NewReader opens /proc. It uses neither List nor Workers.
func NewReader(config Config) (*Reader, error) {
	config.List, config.Workers = nil, 1
	e, err := NewEnumerator(config)
	if err != nil {
		return nil, err
	}
	return &Reader{e: e}, nil
}

// Close gives the descriptor of /proc back.
func (r *Reader) Close() error { return r.e.Close() }

// Read returns the process that has the pid now, as a scan does, but for its
// parent. It may be about to end: what goes first is read first, and what is not
// there any more is left out. The error is mostly that nothing is.
func (r *Reader) Read(pid int32) (*Process, error) {
	const fresh = time.Second // as long as what is read once for all processes holds
	if now := time.Now(); now.Sub(r.prepared) > fresh {
		if err := r.e.prepare(); err != nil {
			return nil, err
		}
		r.prepared = now
	}
	w := r.e.workers[0]
	w.errors, w.err = 0, nil
	clear(w.named)
	if len(w.interned) > maxInterned {
		clear(w.interned)
	}
	p := &Process{PID: pid, Accessible: true}
	if err := w.readOnce(p); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// readOnce is read for a process that may end at any moment.
func (w *worker) readOnce(p *Process) error {
	w.name = append(strconv.AppendInt(w.name[:0], int64(p.PID), 10), 0)
	dir, err := openat(w.proc, &w.name[0], unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return vanishedOr(err)
	}
	defer unix.Close(dir)
	none, err := w.readStat(dir, p, nil)
	if err != nil || !p.HasStat {
		return cmp.Or(err, w.err)
	}
	if !p.KernelThread {
		_ = w.readImage(dir, p, none)
	}
	_ = w.readStatus(dir, p, none)
	_ = w.readCgroup(dir, p, none)
	return nil
}

// Stat returns /proc/PID/stat. Comm is valid until the next call.
func (r *Reader) Stat(pid int32) (Stat, error) {
	w := r.e.workers[0]
	w.name = append(strconv.AppendInt(w.name[:0], int64(pid), 10), "/stat\x00"...)
	fd, err := openat(w.proc, &w.name[0], unix.O_RDONLY)
	if err != nil {
		return Stat{}, vanishedOr(err)
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, w.buf[:smallFile])
	if err != nil {
		return Stat{}, vanishedOr(err)
	}
	return ParseStat(w.buf[:n])
}

// PIDs returns the pids of all processes.
func (r *Reader) PIDs() (pids []int32, err error) {
	r.e.pids, err = readPIDs(r.e.proc, r.e.dirents, r.e.pids[:0])
	return r.e.pids, err
}

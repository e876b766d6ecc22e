package procfs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// source is where a worker reads from.
type source interface {
	prepare(ctx context.Context, pids []int32) // these are read next, in their order
	begin(pid int32) error
	End()
	read(f File) (b []byte, more bool, err error) // valid until the next call
	named(path string, device uint64, own bool) (fileInfo, error)
}

// worker reads processes one after another.
type worker struct {
	*scanState
	source
	config   Config
	interned map[string]string // paths and control groups: many processes share few
	cgroups  string            // where the unified hierarchy is mounted; "": it is not

	vanished int
	errors   int
	err      error
}

const (
	maxInterned = 4096
	pidsAtOnce  = 32
)

var (
	errVanished = errors.New("vanished") // a process ended while it was read
	errSource   = errors.New("read /proc")
)

func newWorker(state *scanState, config Config, from source) *worker {
	return &worker{scanState: state, source: from, config: config, interned: make(map[string]string), cgroups: unifiedCgroups()}
}

// run takes pids until none is left. Entries of slab whose process vanished
// keep an empty EntityID. An error is of the source: the scan is worth nothing.
func (w *worker) run(ctx context.Context, pids []int32, slab []Process, next *atomic.Int64) error {
	w.vanished, w.errors, w.err = 0, 0, nil
	if len(w.interned) > maxInterned {
		clear(w.interned)
	}
	for ctx.Err() == nil {
		end := int(next.Add(pidsAtOnce))
		begin := end - pidsAtOnce
		end = min(end, len(pids))
		if begin >= end {
			return nil
		}
		w.prepare(ctx, pids[begin:end])
		for i := begin; i < end; i++ {
			switch err := w.process(pids[i], &slab[i]); {
			case errors.Is(err, errSource):
				return err
			case errors.Is(err, errVanished):
				slab[i] = Process{}
				w.vanished++
			case err != nil:
				w.note(fmt.Errorf("process %d: %w", pids[i], err))
			}
		}
	}
	return nil
}

func (w *worker) note(err error) {
	w.errors++
	if w.err == nil {
		w.err = err
	}
}

// process fills p.
func (w *worker) process(pid int32, p *Process) error {
	if err := w.begin(pid); err != nil {
		return vanishedOr(err)
	}
	defer w.End()
	p.PID, p.Accessible = pid, true
	old := find(w.last, pid)

	old, err := w.readStat(p, old)
	if err != nil {
		return err
	}
	if err := w.readStatus(p, old); err != nil {
		return err
	}
	if err := w.readCgroup(p, old); err != nil {
		return err
	}
	if p.KernelThread {
		return nil // no image, no files, no namespaces of its own
	}
	return w.readImage(p, old)
}

// vanishedOr maps what the kernel answers for a process that is gone.
func vanishedOr(err error) error {
	if err == unix.ENOENT || err == unix.ESRCH || err == unix.ENOTDIR {
		return errVanished
	}
	return err
}

func refused(err error) bool { return err == unix.EACCES || err == unix.EPERM }

// file reads a file of the process. A refusal clears p.Accessible and is no
// error.
func (w *worker) file(f File, p *Process) (b []byte, more bool, err error) {
	b, more, err = w.read(f)
	if refused(err) {
		p.Accessible = false
		return nil, false, nil
	}
	if err != nil {
		return nil, false, vanishedOr(err)
	}
	return b, more, nil
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

package procfs

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// ProcessReader reads single processes. It is not for concurrent use.
type ProcessReader struct {
	e        *Enumerator
	prepared time.Time
}

// NewProcessReader opens /proc. It uses neither List nor Workers.
func NewProcessReader(config Config) (*ProcessReader, error) {
	config.List, config.Workers = nil, 1
	e, err := NewEnumerator(config)
	if err != nil {
		return nil, err
	}
	return &ProcessReader{e: e}, nil
}

// Close gives the descriptor of /proc back.
func (r *ProcessReader) Close() error { return r.e.Close() }

// Read returns the process that has the pid now, as a scan does, but for its
// parent. It may be about to end: what goes first is read first, and what is not
// there any more is left out. The error is mostly that nothing is.
func (r *ProcessReader) Read(pid int32) (*Process, error) {
	const fresh = time.Second // as long as what is read once for all processes holds
	if now := time.Now(); now.Sub(r.prepared) > fresh {
		if err := r.e.prepare(context.Background()); err != nil {
			return nil, err
		}
		r.prepared = now
	}
	w := r.e.workers[0]
	w.errors, w.err = 0, nil
	clear(r.e.local.names)
	if len(w.interned) > maxInterned {
		clear(w.interned)
	}
	p := &Process{PID: pid, Accessible: true}
	if err := w.readOnce(p); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return p, nil
}

// readOnce is process for one that may end at any moment.
func (w *worker) readOnce(p *Process) error {
	if err := w.begin(p.PID); err != nil {
		return vanishedOr(err)
	}
	defer w.End()
	none, err := w.readStat(p, nil)
	if err != nil || !p.HasStat {
		return cmp.Or(err, w.err)
	}
	if !p.KernelThread {
		_ = w.readImage(p, none)
	}
	_ = w.readStatus(p, none)
	_ = w.readCgroup(p, none)
	return nil
}

// Stat returns /proc/PID/stat. Comm is valid until the next call.
func (r *ProcessReader) Stat(pid int32) (Stat, error) {
	l := r.e.local
	if err := l.begin(pid); err != nil {
		return Stat{}, vanishedOr(err)
	}
	defer l.End()
	b, _, err := l.read(FileStat)
	if err != nil {
		return Stat{}, vanishedOr(err)
	}
	return ParseStat(b)
}

// PIDs returns the pids of all processes.
func (r *ProcessReader) PIDs() (pids []int32, err error) {
	r.e.pids, err = r.e.local.PIDs(r.e.pids[:0])
	return r.e.pids, err
}

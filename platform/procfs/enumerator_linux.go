package procfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Enumerator lists all processes, again and again. It keeps the last result:
// CPU use is the difference to it, and strings that did not change are shared
// with it. It is not for concurrent use.
type Enumerator struct {
	proc    int // descriptor of /proc; -1 when everything is read through reader
	reader  Reader
	bootID  string
	list    Lister // nil: none
	config  Config
	self    *scanState
	local   *Local
	workers []*worker
	pids    []int32
	last    []*Process
	offset  time.Duration // CLOCK_REALTIME − CLOCK_BOOTTIME
}

// scanState is what the workers of one scan share and do not change.
type scanState struct {
	bootID  string
	mount   uint64 // our own mount namespace
	users   userNames
	offset  time.Duration
	uptime  time.Duration
	last    []*Process
	pageLen int64
	scans   uint64 // before this one
}

// NewEnumerator opens /proc.
func NewEnumerator(config Config) (*Enumerator, error) {
	config = config.withDefaults()
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	bootID, err := ParseBootID(raw)
	if err != nil {
		return nil, err
	}
	local, err := NewLocal(config.limits())
	if err != nil {
		return nil, err
	}
	e := &Enumerator{
		proc: local.proc, local: local, bootID: bootID, list: config.List, config: config,
		self: &scanState{bootID: bootID, mount: local.mount, pageLen: int64(os.Getpagesize())},
	}
	if config.Environment {
		e.list = nil
	}
	e.workers = []*worker{newWorker(e.self, config, local)}
	for len(e.workers) < config.Workers {
		e.workers = append(e.workers, newWorker(e.self, config, local.another()))
	}
	return e, nil
}

// Close gives the descriptor of /proc back.
func (e *Enumerator) Close() error {
	if e.proc < 0 {
		return nil
	}
	return unix.Close(e.proc)
}

// BootID returns the kernel's id of the present boot.
func (e *Enumerator) BootID() string { return e.bootID }

// Scan reads every process once. It fails when /proc can not be listed or ctx
// ends; a process that can not be read is a row with less in it.
//
// Start times: the offset between wall clock and boot clock is taken anew when
// the wall clock was set by more than a second, and a process keeps the start
// time with which it was seen first.
func (e *Enumerator) Scan(ctx context.Context) (*Snapshot, error) {
	snap := &Snapshot{Began: time.Now()}
	if err := e.prepare(ctx); err != nil {
		return nil, err
	}
	var pidsErr error
	var reading sync.WaitGroup
	reading.Go(func() { pidsErr = e.readPIDs(ctx) })
	listed, done, err := e.listed(ctx)
	reading.Wait()
	if pidsErr != nil {
		return nil, fmt.Errorf("list /proc: %w", pidsErr)
	}
	if err != nil {
		snap.Errors, snap.Err = 1, err
	}
	e.pids = slices.DeleteFunc(e.pids, func(pid int32) bool { return done[pid] })
	slab := make([]Process, len(e.pids))
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make([]error, len(e.workers))
	for i, w := range e.workers {
		wg.Go(func() { failed[i] = w.run(ctx, e.pids, slab, &next) })
	}
	wg.Wait()
	if err := cmp.Or(ctx.Err(), errors.Join(failed...)); err != nil {
		return nil, err
	}
	snap.Processes = make([]*Process, 0, len(listed)+len(slab))
	snap.Processes = append(snap.Processes, listed...)
	for i := range slab {
		if p := &slab[i]; p.EntityID != "" {
			snap.Processes = append(snap.Processes, p)
		}
	}
	for _, p := range snap.Processes {
		if !p.Accessible {
			snap.Inaccessible++
		}
	}
	for _, w := range e.workers {
		snap.Vanished += w.vanished
		snap.Errors += w.errors
		snap.Err = errors.Join(snap.Err, w.err)
	}
	// The kernel lists by pid; find depends on it.
	if byPID := func(a, b *Process) int { return int(a.PID) - int(b.PID) }; !slices.IsSortedFunc(snap.Processes, byPID) {
		slices.SortFunc(snap.Processes, byPID)
	}
	link(snap.Processes)
	e.last = snap.Processes
	snap.Duration = time.Since(snap.Began)
	return snap, nil
}

// readPIDs lists /proc.
func (e *Enumerator) readPIDs(ctx context.Context) (err error) {
	if e.reader != nil {
		e.pids, err = e.reader.PIDs(ctx, e.pids[:0])
	} else {
		e.pids, err = e.local.PIDs(e.pids[:0])
	}
	return err
}

// listed returns the processes that the lister has whole, and the pids, theirs
// and those of processes that have ended, that need not be read.
func (e *Enumerator) listed(ctx context.Context) (list []*Process, done map[int32]bool, err error) {
	if e.list == nil {
		return nil, nil, nil
	}
	list = make([]*Process, 0, len(e.last))
	done = make(map[int32]bool, len(e.last))
	err = e.list(func(p *Process, whole bool) bool {
		switch {
		case p.Threads == 0:
			done[p.PID] = true
		case whole:
			done[p.PID] = true
			list = append(list, p)
		}
		return ctx.Err() == nil
	})
	err = errors.Join(err, e.Identify(ctx, list))
	for _, p := range list {
		e.Complete(p)
	}
	return list, done, err
}

// Complete gives a process that the kernel has told of, by other means than
// /proc, what it has in a scan: identity, wall clock, user name and, as far as
// the scan before knows, CPU use. It belongs to the goroutine of Scan.
func (e *Enumerator) Complete(p *Process) {
	s := e.self
	p.Collected = time.Now()
	old := find(e.last, p.PID)
	if old == nil || !old.Same(p) || !old.HasStat {
		old = &Process{}
		p.EntityID = EntityID(e.bootID, p.PID, p.StartTicks)
		p.Started = e.Wall(cmp.Or(p.StartTime, TicksTime(p.StartTicks)))
	} else {
		p.EntityID, p.Started = old.EntityID, old.Started
	}
	p.UserName = s.users.names[p.UID[0]]
	p.CPUUsage = s.usage(p, old)
	if len(p.Cmdline) > e.config.MaxCommandLine {
		p.Cmdline, p.CmdlineTruncated = p.Cmdline[:e.config.MaxCommandLine], true
	}
}

// Wall returns the time on the wall clock of a time on the boot clock, as the
// last scan saw both.
func (e *Enumerator) Wall(boot time.Duration) time.Time {
	return time.Unix(0, int64(e.offset+boot)).UTC()
}

// Boot is the inverse of Wall.
func (e *Enumerator) Boot(wall time.Time) time.Duration {
	return time.Duration(wall.UnixNano()) - e.offset
}

// prepare reads what is the same for all processes of a scan.
func (e *Enumerator) prepare(ctx context.Context) error {
	var wall, boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return fmt.Errorf("read the boot clock: %w", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
		return fmt.Errorf("read the wall clock: %w", err)
	}
	uptime := time.Duration(boot.Nano())
	if offset := time.Duration(wall.Nano()) - uptime; (offset - e.offset).Abs() > time.Second {
		e.offset = offset
	}
	s := e.self
	s.scans++
	s.offset, s.uptime, s.last = e.offset, uptime, e.last
	if e.reader != nil {
		passwd, err := e.reader.Passwd(ctx)
		if err != nil {
			return fmt.Errorf("read the names of users: %w", err)
		}
		s.users.take(passwd)
		return nil
	}
	s.users.refresh()
	devices := remoteDevices()
	for _, w := range e.workers {
		w.source.(*Local).refresh(devices)
	}
	return nil
}

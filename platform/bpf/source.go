//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types process process.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

const (
	// pause is after a wake-up, so that what a short process does comes together,
	// and longPause between two looks into the ring while many records come, over
	// a window: what handles them, here and in the agent, has a price for each look.
	pause         = time.Millisecond
	longPause     = 10 * time.Millisecond
	window        = 20 * time.Millisecond
	manyPerSecond = 1000 // of about 300 processes
	// doze bounds a wait for a wake-up, in case one does not come.
	doze = time.Second
	// maxEvents and about maxBytes are what one Read returns at most.
	maxEvents = 1024
	maxBytes  = 1 << 20
)

// Source is the programs in the kernel and their ring buffer. Read and Close
// may be called at once, and so may Stats and List; Read is for one goroutine.
type Source struct {
	processObjects
	links     []link.Link
	ring      *ringbuf.Reader
	counts    *ebpf.Memory // struct counters of each CPU
	readings  *ebpf.Memory // what the reader says of itself
	wanted    *ebpf.Memory // a mask of what is wanted, by Kind
	protected *ebpf.Memory // pids, of the part that has them
	parts     []*ebpf.Collection
	cpus      int
	fetch     bool // atomic operations can return a value
	limited   []string
	doze      time.Duration

	closing  sync.Once
	closeErr error
	closed   atomic.Bool
	reading  sync.Mutex // Read, and the end of the ring buffer

	record ringbuf.Record
	before int       // how many the Read before returned
	busy   bool      // many came in the last window
	seen   int       // in this one
	since  time.Time // when it began
	last   []uint64  // highest sequence number received, by CPU
	fence  atomic.Uint32

	mountinfo    *os.File
	mounts       []mount // as of the last Watch or Remount
	paths, reads []string
	watcher      atomic.Pointer[watcher] // of the tables in the kernel

	received  [kinds]atomic.Uint64
	missing   atomic.Int64
	malformed atomic.Uint64

	list        list
	connections connections
	control     control
}

// Open loads the programs and attaches them. An error says, for a person, why
// this machine can not run them.
func Open(config Config) (*Source, error) {
	kernel, err := usable()
	if err != nil {
		return nil, err
	}
	// Before 5.11 the memory of maps counted as locked. Where this is refused,
	// creating the maps says so.
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	s := &Source{doze: doze}
	if err := s.open(config, kernel); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) open(config Config, kernel *btf.Spec) error {
	spec, err := s.spec(config, kernel)
	if err != nil {
		return err
	}
	if err := s.load(spec, kernel, config.NoLoop || !hasLoop()); err != nil {
		return explain(err)
	}
	if s.counts, err = s.Counters.Memory(); err != nil {
		return fmt.Errorf("eBPF: map counters: %w", err)
	}
	if s.readings, err = s.Readings.Memory(); err != nil {
		return fmt.Errorf("eBPF: map the reader's state: %w", err)
	}
	if s.wanted, err = s.Wanted.Memory(); err != nil {
		return fmt.Errorf("eBPF: map what is wanted: %w", err)
	}
	if s.ring, err = ringbuf.NewReader(s.Ring); err != nil {
		return fmt.Errorf("eBPF: open the ring buffer: %w", err)
	}
	// Its mounts are those of the thread's namespace and below its root, ever after.
	if s.mountinfo, err = os.Open("/proc/thread-self/mountinfo"); err != nil {
		return fmt.Errorf("eBPF: %w", err)
	}
	s.neverWait()
	loaded := s.loadParts(kernel) // which takes a while: the ring buffer would fill
	s.loadConnections(kernel, config.UnixSockets)
	if err := s.openControl(); err != nil {
		return err
	}
	exec := s.ProcessExec
	if exec == nil {
		exec = s.ProcessExecBare
	}
	// The end of the way first: an exec is not seen whose fork should have been.
	for _, p := range []*ebpf.Program{s.ProcessExit, exec, s.ProcessFork} {
		if err := s.attach(p.String(), p); err != nil {
			return explain(err)
		}
	}
	for _, p := range loaded {
		if err := s.attachAll(p.programs); err != nil {
			s.limit(p.what, err)
		}
	}
	return nil
}

// limit notes that something is not seen.
func (s *Source) limit(what string, err error) {
	s.limited = append(s.limited, what+" are not seen: "+explain(err).Error())
}

// Want says what of a kind is to be told from now on: a bit for each of what can
// happen. At first it is nothing but forks, execs and exits, which are always told.
func (s *Source) Want(k Kind, mask uint64) error {
	if _, err := s.wanted.WriteAt(binary.LittleEndian.AppendUint64(nil, mask), 8*int64(k)); err != nil {
		return fmt.Errorf("eBPF: write what is wanted: %w", err)
	}
	binary.LittleEndian.PutUint64(s.control.wanted[8*k:], mask)
	return nil
}

// spec returns the programs and maps, sized for this machine.
func (s *Source) spec(config Config, kernel *btf.Spec) (*ebpf.CollectionSpec, error) {
	spec, err := loadProcess()
	if err != nil {
		return nil, fmt.Errorf("eBPF: read the programs: %w", err)
	}
	if s.cpus, err = ebpf.PossibleCPU(); err != nil {
		return nil, fmt.Errorf("eBPF: count processors: %w", err)
	}
	s.last = make([]uint64, s.cpus)
	spec.Maps["counters"].MaxEntries = uint32(s.cpus)
	spec.Maps["scratches"].MaxEntries = uint32(s.cpus) + 1
	spec.Maps["ring"].MaxEntries = uint32(config.ring())
	says, err := exitSaysGroup(kernel)
	if err != nil {
		return nil, err
	}
	s.fetch = hasFetch()
	err = setVariables(spec, map[string]any{
		"cpus": uint32(s.cpus), "exit_says_group": says,
		"all_variables": config.Environment, "names": variables(), "has_fetch": s.fetch,
	})
	if err != nil {
		return nil, fmt.Errorf("eBPF: %w", err)
	}
	return spec, nil
}

// load loads the three programs that every kernel can have, and the list, if
// it can.
func (s *Source) load(spec *ebpf.CollectionSpec, kernel *btf.Spec, bare bool) error {
	omit := "process_exec_bare"
	if bare {
		omit = "process_exec"
		s.limited = append(s.limited, "paths, control group and environment of an exec are not seen: the kernel has no bpf_loop (5.17)")
	}
	list := spec.Copy()
	for _, name := range []string{"process_fork", "process_exec", "process_exec_bare", "process_exit"} {
		delete(list.Programs, name)
	}
	delete(spec.Programs, omit)
	delete(spec.Programs, "process_list")
	options := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}
	c, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		return err
	}
	defer c.Close()
	s.ProcessFork, s.ProcessExit = c.DetachProgram("process_fork"), c.DetachProgram("process_exit")
	s.ProcessExec, s.ProcessExecBare = c.DetachProgram("process_exec"), c.DetachProgram("process_exec_bare")
	s.Ring, s.Counters = c.DetachMap("ring"), c.DetachMap("counters")
	s.Readings, s.Scratches, s.Wanted = c.DetachMap("readings"), c.DetachMap("scratches"), c.DetachMap("wanted")
	s.Budgets = c.DetachMap("budgets")
	options.MapReplacements = map[string]*ebpf.Map{"scratches": s.Scratches}
	s.list.load(list, options)
	return nil
}

// Close takes the programs out of the kernel. A Read that waits returns
// os.ErrClosed.
func (s *Source) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Source) close() error {
	var errs []error
	s.closed.Store(true)
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	if s.ring != nil {
		errs = append(errs, s.ring.Flush()) // wakes a Read
		s.reading.Lock()
		errs = append(errs, s.ring.Close())
		s.reading.Unlock()
	}
	s.control.position.close()
	if s.control.own != nil {
		errs = append(errs, s.control.own.Close())
	}
	for _, c := range s.parts {
		c.Close()
	}
	if s.mountinfo != nil {
		errs = append(errs, s.mountinfo.Close())
	}
	errs = append(errs, s.list.close(), s.connections.close(), s.processObjects.Close())
	return errors.Join(errs...)
}

// Limits says what this kernel can not tell, nothing when it tells all.
func (s *Source) Limits() []string { return s.limited }

// Sync lets a Read return ErrSynced as soon as all that was in the ring buffer
// before has been returned, by it or those before it.
func (s *Source) Sync() error { return s.ring.Flush() }

// Read waits for records and returns those there are, 1,024 at most, in the order in
// which they were written. A record that can not be decoded is counted and left
// out. The error, which may come with events, is ErrSynced after Sync, and
// os.ErrClosed after Close.
func (s *Source) Read(list []Event) ([]Event, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.closed.Load() {
		return list, os.ErrClosed
	}
	if s.busy && s.before > 0 && s.ring.AvailableBytes() < s.ring.BufferSize()/4 {
		time.Sleep(longPause)
	}
	had := len(list)
	for {
		waits := s.inPlace() && s.ring.AvailableBytes() == 0
		if waits {
			s.balance(time.Now())
			if err := s.wait(); err != nil {
				return list, err
			}
		}
		var err error
		list, err = s.drain(list, waits)
		s.pace(len(list)-had, time.Now())
		if err != nil || s.before > 0 {
			return list, err
		}
	}
}

// pace notes how many records a look has found.
func (s *Source) pace(found int, now time.Time) {
	s.before = found
	s.seen += found
	if d := now.Sub(s.since); d >= window {
		s.busy = float64(s.seen) >= manyPerSecond*d.Seconds()
		s.seen, s.since = 0, now
	}
}

// wait returns when there may be a record. It says that it waits before it
// looks for the last time; see wake of process.bpf.c.
func (s *Source) wait() error {
	if err := s.sleeps(1); err != nil {
		return err
	}
	if s.ring.AvailableBytes() > 0 {
		return s.sleeps(0)
	}
	s.ring.SetDeadline(time.Now().Add(s.doze))
	return nil
}

// neverWait lets the next reads of the ring return at once.
func (s *Source) neverWait() { s.ring.SetDeadline(time.Unix(1, 0)) }

// sleeps tells the programs whether the reader waits.
func (s *Source) sleeps(value byte) error {
	if err := s.say(0, value); err != nil {
		return err
	}
	s.fence.Add(1) // a full memory barrier
	return nil
}

// Behind says whether what takes the events can not keep up. Then who makes many
// is held back even while there is room in the ring buffer.
func (s *Source) Behind(is bool) error {
	value := byte(0)
	if is {
		value = 1
	}
	return s.say(8, value)
}

// say writes a field of struct reading.
func (s *Source) say(at int64, value byte) error {
	if _, err := s.readings.WriteAt([]byte{value, 0, 0, 0, 0, 0, 0, 0}, at); err != nil {
		return fmt.Errorf("eBPF: write the reader's state: %w", err)
	}
	return nil
}

// drain reads what is there, after waiting for it as the deadline says. When it
// waits, it gives others a moment to come.
func (s *Source) drain(list []Event, waits bool) ([]Event, error) {
	for size := 0; len(list) < maxEvents && size < maxBytes; size += len(s.record.RawSample) {
		err := s.ring.ReadInto(&s.record)
		if s.closed.Load() {
			return list, os.ErrClosed
		}
		s.neverWait()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return list, nil
		}
		if errors.Is(err, ringbuf.ErrFlushed) {
			return list, ErrSynced
		}
		if errors.Is(err, io.ErrUnexpectedEOF) { // the position is not where a record begins
			s.displaced()
			return list, nil
		}
		if err != nil {
			return list, err
		}
		e, err := Decode(s.record.RawSample)
		if err != nil || int(e.CPU) >= len(s.last) {
			s.malformed.Add(1)
			if !s.inPlace() {
				return list, nil
			}
			continue
		}
		// An interrupt's record may come before one with a lower number.
		if ahead := int64(e.Sequence - s.last[e.CPU]); ahead > 0 {
			s.last[e.CPU] = e.Sequence
			s.missing.Add(ahead - 1)
		} else {
			s.missing.Add(-1)
		}
		if w := s.watcher.Load(); w != nil && e.File != nil {
			w.place(e.File)
		}
		s.received[e.Kind].Add(1)
		list = append(list, e)
		if waits {
			time.Sleep(pause)
			waits = false
		}
	}
	return list, nil
}

// Stats returns the counts since Open.
func (s *Source) Stats() (Stats, error) {
	var t Stats
	for k := range t.Received {
		t.Received[k] = s.received[k].Load()
	}
	t.Missing, t.Malformed = uint64(max(s.missing.Load(), 0)), s.malformed.Load()
	const size = 8 * (1 + 3*len(t.Sent))
	raw := make([]byte, s.cpus*size)
	if _, err := s.counts.ReadAt(raw, 0); err != nil {
		return t, fmt.Errorf("eBPF: read the counters: %w", err)
	}
	for r := (reader{raw}); len(r.rest) > 0; {
		r.u64()
		for k := range t.Sent {
			t.Sent[k] += r.u64()
		}
		for k := range t.Lost {
			t.Lost[k] += r.u64()
		}
		for k := range t.Held {
			n := r.u64()
			t.Lost[k] += n
			t.Held[k] += n
		}
	}
	return t, nil
}

package connector

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// pendingMessages is how many messages are kept that have been received and not
// been looked up yet.
const pendingMessages = 4096

// Source is the socket and a goroutine that looks up what the messages are
// about. Its methods may be called at once, but for Read, which is for one
// goroutine.
type Source struct {
	socket *socket
	reader *procfs.ProcessReader
	config Config
	limits []string
	queue  *queue
	done   sync.WaitGroup

	closing sync.Once
	closed  atomic.Bool
	open    sync.RWMutex // held while others use the socket, and to close it
	synced  atomic.Bool  // a Sync waits

	// Of the goroutine.
	clock   clock
	opened  time.Duration // on the monotonic clock: all that was there then was listed
	pending []*pending
	execs   map[int32]*pending // by pid: the last one in pending
	last    map[uint32]uint32  // number received, by CPU
	overrun bool               // messages were lost, after those that are still in the buffer
	table   table
	leaders map[int32]leader // by pid
	answer  *Message         // to the request to listen
	mark    time.Duration    // on the monotonic clock: when a Sync was noticed; 0: none was
	stale   bool             // messages were lost since all was looked up

	counts counts
}

// pending is a message that waits.
type pending struct {
	Message
	loss bool // others were lost before it; it may be none itself

	// Of Exec.
	process *procfs.Process // as it was when the message came; nil: it was gone
	read    time.Duration   // on the monotonic clock: when that had been read
}

// counts are read by others.
type counts struct {
	messages  atomic.Uint64 // with a number, received
	missing   atomic.Uint64 // numbers left out
	unclear   atomic.Uint64 // messages after a loss that may be about another process
	malformed atomic.Uint64
	late      atomic.Uint64
	events    [bpf.Changed + 1]atomic.Uint64
}

// Open returns a source that tells what happens from now on. An error says, for
// a person, why this machine has none.
func Open(config Config) (*Source, error) {
	s, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	s.done.Go(s.run)
	return s, nil
}

func open(config Config) (s *Source, err error) {
	s = &Source{config: config, queue: newQueue(), execs: map[int32]*pending{}, last: map[uint32]uint32{}, table: newTable(), leaders: map[int32]leader{}}
	// ld.so(8) takes LD_PRELOAD from anywhere in the environment, which is as
	// large as execve(2) allows.
	read := procfs.Config{MaxCommandLine: config.MaxCommandLine, Environment: true, MaxEnviron: 6 << 20}
	if s.reader, err = procfs.NewProcessReader(read); err != nil {
		return nil, err
	}
	if s.socket, err = openSocket(config.buffer()); err != nil {
		_ = s.reader.Close()
		return nil, err
	}
	if err := s.answered(); err != nil {
		s.socket.close()
		_ = s.reader.Close()
		return nil, err
	}
	s.limits = []string{"what a process runs is looked up in /proc: of one that ends at once, arguments and path may be missing"}
	if s.socket.buffer < config.buffer() {
		s.limits = append(s.limits, fmt.Sprintf("events wait in a buffer of %d KiB and may find no room: cap_net_admin is missing to have a larger one", s.socket.buffer>>10))
	}
	err = s.relist() // processes from before the first message
	if err == nil {
		err = s.clock.adjust()
	}
	if err != nil {
		s.socket.close()
		_ = s.reader.Close()
		return nil, err
	}
	s.opened = s.clock.monotonic
	return s, nil
}

// answered waits for the kernel's answer to the request to listen.
func (s *Source) answered() error {
	for end := time.Now().Add(answerIn); time.Now().Before(end); {
		more, err := s.receive()
		switch {
		case err != nil:
			return err
		case s.answer == nil && !more:
			if err := s.socket.wait(time.Until(end)); err != nil {
				return err
			}
		case s.answer == nil:
		case s.answer.Err == 0:
			return nil
		case s.answer.Err == uint32(unix.EPERM):
			return errors.New("cap_net_admin not held, which the kernel wants before 6.6")
		default:
			return fmt.Errorf("listen: %w", unix.Errno(s.answer.Err))
		}
	}
	return errors.New("the kernel does not answer (CONFIG_PROC_EVENTS)")
}

// Limits says what this source can not tell.
func (s *Source) Limits() []string { return s.limits }

// Want returns ErrNotSupported: which events there are is up to the kernel.
func (s *Source) Want(bpf.Kind, uint64) error { return ErrNotSupported }

// Watch returns errors.ErrUnsupported.
func (s *Source) Watch([]string, []string) error { return errors.ErrUnsupported }

// Remount does nothing.
func (s *Source) Remount() error { return nil }

// Protect returns errors.ErrUnsupported.
func (s *Source) Protect([]int32) error { return errors.ErrUnsupported }

// Connections returns ErrNotSupported.
func (s *Source) Connections(func(*bpf.Event) bool) error { return ErrNotSupported }

// Close ends the source. A Read that waits returns os.ErrClosed.
func (s *Source) Close() error {
	var err error
	s.closing.Do(func() {
		s.closed.Store(true)
		s.queue.close()
		s.socket.wake()
		s.done.Wait()
		s.open.Lock()
		defer s.open.Unlock()
		s.socket.close()
		err = s.reader.Close()
	})
	return err
}

// Sync lets a Read return bpf.ErrSynced as soon as all that happened before has
// been returned, by it or those before it.
func (s *Source) Sync() error {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed.Load() {
		return os.ErrClosed
	}
	s.synced.Store(true)
	s.socket.wake()
	return nil
}

// Read waits for events and returns those there are, 1,024 at most, in the
// order in which they happened, for each CPU. Kinds are Fork, Exec and Exit; and
// Changed, for a process whose user, group, session or name has changed, of which
// that is what Process tells; Name is empty unless it changed. What came
// too late to be looked up has no Process.HasStat, or of an exec no path and no
// arguments, and is not Accessible. An Exit whose CPU time is not known has -1.
// The error, which may come with events, is
// bpf.ErrSynced after Sync, and os.ErrClosed after Close.
func (s *Source) Read(list []bpf.Event) ([]bpf.Event, error) { return s.queue.read(list) }

// Processes yields nothing: a scan reads /proc.
func (s *Source) Processes(func(*procfs.Process, bool) bool) error { return nil }

// Late returns how many events could not be looked up any more and lack what
// only /proc could tell.
func (s *Source) Late() uint64 { return s.counts.late.Load() }

// Stats returns the counts since Open. What a lost message was is not known: it
// counts as a fork. Threads' messages are counted only when they are lost.
func (s *Source) Stats() (bpf.Stats, error) {
	var t bpf.Stats
	for kind := range s.counts.events {
		t.Received[kind] = s.counts.events[kind].Load()
	}
	t.Missing, t.Malformed = s.counts.missing.Load(), s.counts.malformed.Load()
	lost, err := s.lost()
	t.Lost[bpf.Fork] = lost
	for kind := range t.Sent {
		t.Sent[kind] = t.Received[kind] + t.Lost[kind]
	}
	return t, err
}

// lost returns how many messages were. The socket's count is there at once;
// numbers also show what the kernel had no memory for, when the next message of
// the CPU comes. Both are of the same messages.
func (s *Source) lost() (uint64, error) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed.Load() {
		return 0, os.ErrClosed
	}
	drops, err := s.socket.drops()
	return max(uint64(drops), s.counts.missing.Load()) + s.counts.unclear.Load(), err
}

// run receives and looks up until the source is closed.
func (s *Source) run() {
	for !s.closed.Load() {
		more, err := s.next()
		if err == nil && len(s.pending) == 0 {
			if err = s.idle(more); err == nil {
				continue
			}
		}
		if err != nil {
			s.queue.end(fmt.Errorf("netlink: %w", err))
			return
		}
		m := s.pending[0]
		s.pending = s.pending[1:]
		if m.loss {
			s.table.doubt()
			s.stale = true
		}
		if s.execs[m.TGID] == m {
			delete(s.execs, m.TGID)
		}
		if s.mark > 0 && m.Time > s.mark {
			s.syncedNow()
		}
		s.handle(m)
	}
}

// next takes up a Sync, and then messages.
func (s *Source) next() (more bool, err error) {
	if s.synced.Swap(false) {
		if err := s.clock.adjust(); err != nil {
			return false, err
		}
		s.mark = s.clock.monotonic
	}
	return s.receive()
}

// idle is when all messages have been handled.
func (s *Source) idle(more bool) error {
	if more { // receive left some, such as of a wrong form
		return nil
	}
	s.release()
	if s.mark > 0 {
		s.syncedNow()
	}
	if s.stale {
		return s.relist()
	}
	if err := s.socket.wait(-1); err != nil {
		return err
	}
	return s.clock.adjust()
}

// syncedNow says that all that happened before the mark was told.
func (s *Source) syncedNow() {
	s.release()
	s.mark = 0
	s.queue.put(&bpf.Event{})
}

// receive takes messages from the socket, while there is room for them. more
// says that it may have left some.
func (s *Source) receive() (more bool, err error) {
	if len(s.pending)+atOnce > pendingMessages {
		return true, nil
	}
	list, err := s.socket.receive()
	if errors.Is(err, unix.ENOBUFS) {
		s.overrun = true
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("receive: %w", err)
	}
	for _, d := range list {
		m, gap, ok := s.accept(d)
		if gap {
			s.overrun = false
		}
		if m.What == None && m.Ack == requestID+1 && ok {
			s.answer = &m
		}
		if !gap && (!ok || m.What == None) {
			continue
		}
		p := &pending{Message: m, loss: gap}
		if m.What == Exec {
			s.readImage(p)
		}
		s.pending = append(s.pending, p)
	}
	// The kernel drops all, from the first that has no room until the buffer is
	// empty: netlink_overrun and netlink_rcv_wake of af_netlink.c.
	if len(list) == 0 && s.overrun {
		s.overrun = false
		s.pending = append(s.pending, &pending{loss: true})
	}
	return len(list) == atOnce, nil
}

// accept decodes a message and compares its number with the one before.
func (s *Source) accept(d datagram) (m Message, gap, ok bool) {
	m, err := Decode(d.bytes)
	if err != nil || !d.kernel {
		s.counts.malformed.Add(1)
		return Message{}, false, false
	}
	if m.CPU > 1<<16 { // an answer, of some kernels
		return m, false, m.What == None
	}
	if last, ok := s.last[m.CPU]; ok && m.Sequence != last+1 {
		s.counts.missing.Add(uint64(m.Sequence - last - 1))
		gap = true
	}
	s.last[m.CPU] = m.Sequence
	s.counts.messages.Add(1)
	return m, gap, true
}

// relist takes up all processes that are there, before messages that wait.
func (s *Source) relist() error {
	s.stale = false
	pids, err := s.reader.PIDs()
	if err != nil {
		return fmt.Errorf("list /proc: %w", err)
	}
	for _, pid := range pids {
		if stat, err := s.reader.Stat(pid); err == nil {
			s.table.found(&stat)
		}
	}
	s.table.keepSure()
	for pid := range s.leaders {
		if _, ok := s.table.processes[pid]; !ok {
			delete(s.leaders, pid)
		}
	}
	return nil
}

// put hands an event on.
func (s *Source) put(e *bpf.Event) {
	s.counts.events[e.Kind].Add(1)
	s.queue.put(e)
}

// keep leaves of an environment what is wanted.
func (s *Source) keep(p *procfs.Process) {
	var b strings.Builder
	for v := range strings.SplitSeq(strings.TrimSuffix(p.Environ, "\x00"), "\x00") {
		room := bpf.Room(v, s.config.Environment)
		if room == 0 {
			continue
		}
		if left := max(room-b.Len()-1, 0); len(v) > left {
			p.EnvironTruncated = true
			if v = v[:left]; v == "" {
				continue
			}
		}
		if b.Len() > 0 {
			b.WriteByte(0)
		}
		b.WriteString(v)
	}
	p.Environ = b.String()
}

// clock turns times of the messages into times since boot.
type clock struct {
	monotonic time.Duration // when it was adjusted last
	asleep    time.Duration // how much the boot clock is ahead
}

// adjust takes both clocks. Between them is the time that the machine slept; a
// message that waited meanwhile is told as if it came after.
func (c *clock) adjust() error {
	const tries, precise, slept = 10, 10 * time.Microsecond, time.Millisecond
	for range tries {
		var before, boot, after unix.Timespec
		for _, r := range []struct {
			id int32
			to *unix.Timespec
		}{{unix.CLOCK_MONOTONIC, &before}, {unix.CLOCK_BOOTTIME, &boot}, {unix.CLOCK_MONOTONIC, &after}} {
			if err := unix.ClockGettime(r.id, r.to); err != nil {
				return fmt.Errorf("read a clock: %w", err)
			}
		}
		c.monotonic = time.Duration(after.Nano())
		took := c.monotonic - time.Duration(before.Nano())
		asleep := time.Duration(boot.Nano()) - c.monotonic + took/2
		if took < precise && ((asleep-c.asleep).Abs() > slept || c.asleep == 0) {
			c.asleep = asleep
		}
		if took < precise {
			break
		}
	}
	return nil
}

func (c *clock) boot(monotonic time.Duration) time.Duration { return monotonic + c.asleep }

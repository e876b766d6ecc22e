//go:build linux && (amd64 || arm64)

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// balanceEvery is between two comparisons of what was sent and received.
const balanceEvery = 100 * time.Millisecond

// control is what was written into the maps that say what is told, and where
// the reader's position in the ring buffer stands. Check compares them with
// what is there.
type control struct {
	wanted    [8 * kinds]byte
	protected [4 * MaxProtected]byte
	tables    []byte // of watched files; nil: none were written
	watching  byte   // which of the two tables
	ids       map[uint32]bool
	own       *os.File // /proc/self/fd

	looked   [3]time.Time // when Check was called, the last one first
	position *position
	moved    atomic.Uint64 // how often the reader's position was not in the ring buffer

	mu       sync.Mutex
	balanced time.Time // when the counts were last compared
	least    int64     // records that were neither received nor lost, at the least since the last Check; -1: not compared
	before   int64     // in the time before that
	stolen   int64     // reported
}

// position is the reader's in the ring buffer, BPF_MAP_TYPE_RINGBUF of
// kernel/bpf/ringbuf.c: one page that the reader writes, one that the kernel does.
type position struct{ consumer, producer []byte }

func mapPosition(ring *ebpf.Map) (*position, error) {
	page := os.Getpagesize()
	consumer, err := unix.Mmap(ring.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("eBPF: map the reader's position: %w", err)
	}
	producer, err := unix.Mmap(ring.FD(), int64(page), page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Munmap(consumer)
		return nil, fmt.Errorf("eBPF: map the writers' position: %w", err)
	}
	return &position{consumer, producer}, nil
}

func (p *position) close() {
	if p != nil {
		_ = unix.Munmap(p.consumer)
		_ = unix.Munmap(p.producer)
	}
}

// toEnd lets the reader go on behind all that was written.
func (p *position) toEnd() {
	word := func(page []byte) *uint64 { return (*uint64)(unsafe.Pointer(unsafe.SliceData(page))) }
	atomic.StoreUint64(word(p.consumer), atomic.LoadUint64(word(p.producer)))
}

// openControl notes what the maps hold at the begin, and which are ours.
func (s *Source) openControl() (err error) {
	s.control.least, s.control.ids = -1, map[uint32]bool{}
	for i := range s.control.looked {
		s.control.looked[i] = time.Now()
	}
	if s.control.position, err = mapPosition(s.Ring); err != nil {
		return err
	}
	if s.control.own, err = os.Open("/proc/self/fd"); err != nil {
		return fmt.Errorf("eBPF: list own descriptors: %w", err)
	}
	maps := []*ebpf.Map{s.Ring, s.Counters, s.Readings, s.Budgets, s.Wanted, s.Scratches}
	for _, c := range s.parts {
		for _, m := range c.Maps {
			maps = append(maps, m)
		}
	}
	for _, m := range maps {
		info, err := m.Info()
		if err != nil {
			return fmt.Errorf("eBPF: look up the id of a map: %w", err)
		}
		if id, ok := info.ID(); ok {
			s.control.ids[uint32(id)] = true
		}
	}
	return nil
}

// HasMap reports whether a map of the programs has the id.
func (s *Source) HasMap(id uint32) bool { return s.control.ids[id] }

// Check returns what another process has changed since the last Check, and puts
// it back. The error is ErrDetached when it can not be. Want, Watch, Protect and
// Check are for one goroutine.
func (s *Source) Check() (list []Tampering, err error) {
	if s.closed.Load() {
		return nil, nil
	}
	c := &s.control
	before := c.looked
	c.looked = [...]time.Time{time.Now(), before[0], before[1]}
	note := func(what string, kinds ...Kind) { list = append(list, Tampering{what, kinds, before[0]}) }
	var wanted [len(c.wanted)]byte
	if _, err := s.wanted.ReadAt(wanted[:], 0); err != nil {
		return nil, fmt.Errorf("eBPF: read what is wanted: %w", err)
	}
	for k := Kind(0); k < kinds; k++ {
		if want := c.wanted[8*k:][:8]; !bytes.Equal(wanted[8*k:][:8], want) {
			note(fmt.Sprintf("another process has changed which %v events are told", k), k)
			if err := s.Want(k, binary.LittleEndian.Uint64(want)); err != nil {
				return list, err
			}
		}
	}
	if s.protected != nil {
		same, err := equals(s.protected, 0, c.protected[:])
		if err == nil && !same {
			note("another process has changed which processes are protected", System)
			_, err = s.protected.WriteAt(c.protected[:], 0)
		}
		if err != nil {
			return list, fmt.Errorf("eBPF: check what is protected: %w", err)
		}
	}
	if c.tables != nil {
		same, err := s.sameTables()
		if err == nil && !same {
			note("another process has changed which files are watched", Files)
			err = s.writeTables(c.tables)
		}
		if err != nil {
			return list, err
		}
	}
	if n := c.moved.Swap(0); n > 0 {
		note("another process has moved the position of the ring buffer's reader")
	}
	if n := c.take(); n > 0 {
		note(fmt.Sprintf("another process has taken %d events from the ring buffer", n))
		list[len(list)-1].Since = before[2]
	}
	return list, s.attached()
}

// attached returns ErrDetached when what attaches one of the programs is not open
// any more. Nothing else can detach them.
func (s *Source) attached() error {
	target := make([]byte, 64)
	for _, l := range s.links {
		fd, ok := l.(interface{ FD() int })
		if !ok {
			continue
		}
		n, err := unix.Readlinkat(int(s.control.own.Fd()), strconv.Itoa(fd.FD()), target)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("eBPF: look at a link: %w", err)
		}
		if err != nil || !strings.Contains(string(target[:n]), "bpf_link") {
			return ErrDetached
		}
	}
	return nil
}

// equals reports whether memory holds what is wanted.
func equals(m *ebpf.Memory, at int64, want []byte) (bool, error) {
	var raw [4096]byte
	for len(want) > 0 {
		n := min(len(want), len(raw))
		if _, err := m.ReadAt(raw[:n], at); err != nil {
			return false, err
		}
		if !bytes.Equal(raw[:n], want[:n]) {
			return false, nil
		}
		want, at = want[n:], at+int64(n)
	}
	return true, nil
}

// inPlace reports whether the reader's position is in the ring buffer. If it is
// not, which nothing of ours does, it is set behind all that was written: what is
// there can not be told from what was there.
func (s *Source) inPlace() bool {
	if n := s.ring.AvailableBytes(); n >= 0 && n <= s.ring.BufferSize() {
		return true
	}
	s.displaced()
	return false
}

func (s *Source) displaced() {
	s.control.position.toEnd()
	s.control.moved.Add(1)
}

// balance compares what was sent with what was received and lost, when nothing is
// in the ring buffer. A program may have counted a record that it has not written
// yet, so it is the least difference that counts. It belongs to Read.
func (s *Source) balance(now time.Time) {
	c := &s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.balanced) < balanceEvery {
		return
	}
	t, err := s.Stats()
	if err != nil || s.ring.AvailableBytes() != 0 {
		return
	}
	c.balanced = now
	missing := int64(Total(t.Sent) - Total(t.Lost) - Total(t.Received) - t.Malformed)
	if c.least < 0 || missing < c.least {
		c.least = max(missing, 0)
	}
}

// take returns how many records somebody else has taken, of which the two last
// times agree: it was in the time before these at the latest.
func (c *control) take() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.least < 0 {
		return 0
	}
	n := min(c.least, c.before) - c.stolen
	c.before, c.least = c.least, -1
	if n <= 0 {
		return 0
	}
	c.stolen += n
	return n
}

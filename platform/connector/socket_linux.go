package connector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"daemoneye/platform"
)

const (
	group     = 1 // CN_IDX_PROC
	listen    = 1 // PROC_CN_MCAST_LISTEN
	ignore    = 2 // PROC_CN_MCAST_IGNORE
	atOnce    = 64
	roomy     = 128 // bytes for a message, more than it has
	answerIn  = 5 * time.Second
	requestID = 0x6461656d // of the request to listen; its answer has one more
)

// mmsghdr is what recvmmsg(2) fills in.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// socket receives the kernel's messages. It belongs to one goroutine, but for
// wake, drops and close.
type socket struct {
	fd     int
	waker  int // an eventfd
	slots  [atOnce]mmsghdr
	vecs   [atOnce]unix.Iovec
	from   [atOnce]unix.RawSockaddrNetlink
	bytes  [atOnce][roomy]byte
	got    []datagram
	buffer int // bytes that it has in fact
}

// datagram is what was received. It is valid until the next receive.
type datagram struct {
	bytes  []byte
	kernel bool // that sent it
}

// openSocket returns a socket on which messages begin to arrive. An error says,
// for a person, why there is none.
func openSocket(buffer int) (s *socket, err error) {
	if kind := platform.OwnNamespace("pid", "user", "time"); kind != "" {
		return nil, fmt.Errorf("this process is in a %s namespace of its own, and the kernel tells only those in the first", kind)
	}
	s = &socket{fd: -1, waker: -1, got: make([]datagram, 0, atOnce)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR); err != nil {
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			return nil, errors.New("the kernel has no connector (CONFIG_CONNECTOR)")
		}
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	if s.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("open an eventfd: %w", err)
	}
	if err := s.options(buffer); err != nil {
		return nil, err
	}
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)}); err != nil {
		if errors.Is(err, unix.EPERM) {
			return nil, errors.New("cap_net_admin not held, which the kernel wants before 6.6")
		}
		return nil, fmt.Errorf("bind the socket: %w", err)
	}
	for i := range s.slots {
		s.vecs[i].Base = &s.bytes[i][0]
		s.vecs[i].SetLen(roomy)
		h := &s.slots[i].header
		h.Iov, h.Name = &s.vecs[i], (*byte)(unsafe.Pointer(&s.from[i]))
		h.SetIovlen(1)
	}
	return s, s.ask(listen)
}

func (s *socket) options(buffer int) error {
	// Beyond net.core.rmem_max with cap_net_admin only.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return fmt.Errorf("set the socket's buffer: %w", err)
		}
	}
	var err error
	if s.buffer, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
		return fmt.Errorf("read the size of the socket's buffer: %w", err)
	}
	// Else the kernel takes a full buffer for nobody listening any more, and
	// tells nothing ever after: send_msg of cn_proc.c looks for ESRCH.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_BROADCAST_ERROR, 1); err != nil {
		return fmt.Errorf("let the kernel know of losses: %w", err)
	}
	return nil
}

// ask sends the kernel an operation, enum proc_cn_mcast_op.
func (s *socket) ask(operation uint32) error {
	var b []byte
	add := func(values ...uint32) {
		for _, v := range values {
			b = binary.NativeEndian.AppendUint32(b, v)
		}
	}
	half := func(values ...uint16) {
		for _, v := range values {
			b = binary.NativeEndian.AppendUint16(b, v)
		}
	}
	const size = headerSize + cnSize + 4
	add(size)
	half(unix.NLMSG_DONE, 0)
	add(0, 0)
	add(1, 1, 0, requestID)
	half(4, 0)
	add(operation)
	if err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		if errors.Is(err, unix.ECONNREFUSED) {
			return errors.New("this process is in a network namespace of its own, and the kernel tells only those in the first")
		}
		return fmt.Errorf("ask the kernel: %w", err)
	}
	return nil
}

// wait returns when there may be a message, after wake, or after the time; no
// time limit when that is negative.
func (s *socket) wait(limit time.Duration) error {
	timeout := -1
	if limit >= 0 {
		timeout = int(limit / time.Millisecond)
	}
	fds := [...]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.waker), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], timeout); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for the socket: %w", err)
	}
	if fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(s.waker, count[:]) // clears it
	}
	return nil
}

// wake lets wait return.
func (s *socket) wake() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(s.waker, one) // fails only when it was written 2⁶⁴ times
}

// receive returns the messages that are there, some of them when they are many,
// and none when there is none. ENOBUFS says that some found no room.
func (s *socket) receive() ([]datagram, error) {
	for i := range s.slots {
		h := &s.slots[i].header
		h.Namelen, h.Flags = unix.SizeofSockaddrNetlink, 0
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.slots[0])), atOnce, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.got = s.got[:0]
			for i := range int(n) {
				h := &s.slots[i]
				s.got = append(s.got, datagram{s.bytes[i][:min(h.length, roomy)], h.header.Namelen == unix.SizeofSockaddrNetlink && s.from[i].Pid == 0})
			}
			return s.got, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return nil, nil
		default:
			return nil, errno
		}
	}
}

// drops returns how many messages found no room in the socket's buffer, since
// it was opened, modulo 2³².
func (s *socket) drops() (uint32, error) {
	const index, words = 8, 9 // SK_MEMINFO_DROPS, SK_MEMINFO_VARS of linux/sock_diag.h
	var info [words]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("read the socket's count of losses: %w", errno)
	}
	return info[index], nil
}

func (s *socket) close() {
	if s.fd >= 0 {
		_ = s.ask(ignore) // from 6.6 on, or with cap_net_admin: else it goes on for nobody
		_ = unix.Close(s.fd)
	}
	if s.waker >= 0 {
		_ = unix.Close(s.waker)
	}
	s.fd, s.waker = -1, -1
}

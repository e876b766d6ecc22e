package connector

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// What says what a message tells, enum proc_cn_event of linux/cn_proc.h.
type What uint32

const (
	None     What = 0 // an answer to a request
	Fork     What = 1 // a process or a thread was made
	Exec     What = 2
	UID      What = 4
	GID      What = 0x40
	SID      What = 0x80 // a process leads a new session
	Ptrace   What = 0x100
	Comm     What = 0x200 // a thread gave itself a name
	Coredump What = 0x40000000
	Exit     What = 0x80000000 // of a process or a thread
)

// Message is what the kernel says. Pids are those of the first namespace.
type Message struct {
	What     What
	CPU      uint32
	Sequence uint32        // of its CPU; it wraps
	Ack      uint32        // of None: one more than that of the request
	Time     time.Duration // CLOCK_MONOTONIC: since boot, sleep left out

	PID, TGID int32 // the thread and its process; of Fork, the new one
	Parent    int32 // process; of Fork, Coredump and Exit; 0 when not known
	Tracer    int32 // process; of Ptrace; 0: it traces no more

	Status          uint32 // of Exit, as wait(2) gives it
	Real, Effective uint32 // of UID and GID
	Name            string // of Comm
	Err             uint32 // of None: an error number, or 0
}

// Sizes of struct nlmsghdr, cn_msg and proc_event.
const (
	headerSize  = 16
	cnSize      = 20
	eventSize   = 16 + dataSize // what is about the process begins after 16 bytes
	dataSize    = 24
	messageSize = headerSize + cnSize + eventSize
)

// Decode reads a datagram of the socket, which is one message.
func Decode(b []byte) (Message, error) {
	var m Message
	if len(b) < messageSize {
		return m, fmt.Errorf("message of %d bytes, want %d", len(b), messageSize)
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	if size := u32(0); size < messageSize || uint64(size) > uint64(len(b)) {
		return m, fmt.Errorf("message of %d bytes says it has %d", len(b), size)
	}
	const cn = headerSize
	const idx, val = 1, 1 // CN_IDX_PROC, CN_VAL_PROC
	if u32(cn) != idx || u32(cn+4) != val {
		return m, fmt.Errorf("message of connector %d:%d, want %d:%d", u32(cn), u32(cn+4), idx, val)
	}
	if size := binary.NativeEndian.Uint16(b[cn+16:]); size < eventSize {
		return m, fmt.Errorf("event of %d bytes, want %d", size, eventSize)
	}
	m.Sequence, m.Ack = u32(cn+8), u32(cn+12)
	const ev = cn + cnSize
	m.What, m.CPU, m.Time = What(u32(ev)), u32(ev+4), time.Duration(binary.NativeEndian.Uint64(b[ev+8:]))
	data := b[ev+16:][:dataSize]
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(data[4*i:]) }
	pid := func(i int) int32 { return int32(word(i)) }
	switch m.What {
	case None:
		m.Err = word(0)
		return m, nil
	case Fork:
		m.Parent, m.PID, m.TGID = pid(1), pid(2), pid(3)
	case Exec, SID:
		m.PID, m.TGID = pid(0), pid(1)
	case UID, GID:
		m.PID, m.TGID, m.Real, m.Effective = pid(0), pid(1), word(2), word(3)
	case Ptrace:
		m.PID, m.TGID, m.Tracer = pid(0), pid(1), pid(3)
	case Comm:
		m.PID, m.TGID = pid(0), pid(1)
		name := data[8:]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		m.Name = string(name)
	case Coredump:
		m.PID, m.TGID, m.Parent = pid(0), pid(1), pid(3)
	case Exit:
		m.PID, m.TGID, m.Status, m.Parent = pid(0), pid(1), word(2), pid(5)
	default: // of a newer kernel; its number counts
		return m, nil
	}
	if m.PID <= 0 || m.TGID <= 0 || m.Parent < 0 || m.Tracer < 0 || m.Time < 0 {
		return m, fmt.Errorf("message %#x of process %d, thread %d, parent %d, tracer %d at %d", uint32(m.What), m.TGID, m.PID, m.Parent, m.Tracer, m.Time)
	}
	return m, nil
}

package connector

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// message returns a datagram as the kernel sends it.
func message(what What, data ...uint32) []byte {
	var b bytes.Buffer
	for _, v := range []any{
		uint32(messageSize), uint16(3), uint16(0), uint32(9), uint32(0), // struct nlmsghdr
		uint32(1), uint32(1), uint32(9), uint32(7), uint16(eventSize), uint16(0), // struct cn_msg
		uint32(what), uint32(2), uint64(5 * time.Second), // struct proc_event
	} {
		_ = binary.Write(&b, binary.NativeEndian, v)
	}
	words := make([]uint32, dataSize/4)
	copy(words, data)
	_ = binary.Write(&b, binary.NativeEndian, words)
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	name := func(s string) (words []uint32) {
		raw := make([]byte, 16)
		copy(raw, s)
		for i := range 4 {
			words = append(words, binary.NativeEndian.Uint32(raw[4*i:]))
		}
		return words
	}
	for _, c := range []struct {
		what What
		data []uint32
		want Message
	}{
		{None, []uint32{13}, Message{Err: 13}},
		{Fork, []uint32{10, 11, 12, 13}, Message{Parent: 11, PID: 12, TGID: 13}},
		{Exec, []uint32{12, 13}, Message{PID: 12, TGID: 13}},
		{SID, []uint32{12, 13}, Message{PID: 12, TGID: 13}},
		{UID, []uint32{12, 13, 1000, 0}, Message{PID: 12, TGID: 13, Real: 1000}},
		{GID, []uint32{12, 13, 0, 1000}, Message{PID: 12, TGID: 13, Effective: 1000}},
		{Ptrace, []uint32{12, 13, 14, 15}, Message{PID: 12, TGID: 13, Tracer: 15}},
		{Comm, append([]uint32{12, 13}, name("bash")...), Message{PID: 12, TGID: 13, Name: "bash"}},
		{Comm, append([]uint32{12, 13}, name("sixteen bytes ab")...), Message{PID: 12, TGID: 13, Name: "sixteen bytes ab"}},
		{Coredump, []uint32{12, 13, 14, 15}, Message{PID: 12, TGID: 13, Parent: 15}},
		{Exit, []uint32{12, 13, 3 << 8, 17, 14, 15}, Message{PID: 12, TGID: 13, Status: 3 << 8, Parent: 15}},
		{1 << 20, []uint32{12, 13}, Message{}},
	} {
		c.want.What, c.want.CPU, c.want.Sequence, c.want.Ack, c.want.Time = c.what, 2, 9, 7, 5*time.Second
		if got, err := Decode(message(c.what, c.data...)); err != nil || got != c.want {
			t.Errorf("message %#x: %+v, %v, want %+v", uint32(c.what), got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := message(Exec, 12, 13)
	change := func(at int, value uint32) []byte {
		b := bytes.Clone(good)
		binary.NativeEndian.PutUint32(b[at:], value)
		return b
	}
	const ev = headerSize + cnSize
	for name, b := range map[string][]byte{
		"short":            good[:len(good)-1],
		"empty":            nil,
		"length too small": change(0, messageSize-1),
		"length too large": change(0, messageSize+1),
		"other connector":  change(headerSize, 3),
		"other value":      change(headerSize+4, 2),
		"short event":      change(headerSize+16, eventSize-1),
		"no pid":           change(ev+16, 0),
		"negative pid":     change(ev+16, 1<<31),
		"negative process": change(ev+20, 1<<31),
		"parent":           message(Fork, 1, 1<<31, 12, 13),
		"tracer":           message(Ptrace, 12, 13, 14, 1<<31),
	} {
		if m, err := Decode(b); err == nil {
			t.Errorf("%s: %+v, want an error", name, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, what := range []What{None, Fork, Exec, UID, GID, SID, Ptrace, Comm, Coredump, Exit} {
		f.Add(message(what, 10, 11, 12, 13, 14, 15))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, err := Decode(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Decode changed its input")
		}
		if err != nil {
			return
		}
		if m.PID < 0 || m.TGID < 0 || m.Parent < 0 || m.Tracer < 0 || len(m.Name) > 16 {
			t.Fatalf("%+v", m)
		}
		if again, err := Decode(b[:messageSize]); err == nil && again != m {
			t.Fatalf("%+v, of the message alone %+v", m, again)
		}
	})
}

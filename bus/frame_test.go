package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"testing"
)

// encodeFrame is a frame as it goes over the wire.
func encodeFrame(h header, p *payload) []byte {
	var head [headerSize]byte
	h.encode(&head, p)
	if p == nil {
		return head[:]
	}
	return append(head[:], p.buf...)
}

// reseal corrects the checksum of a frame that a test has changed.
func reseal(frame []byte) []byte {
	sum := crc32.Checksum(frame[headerSize:], castagnoli)
	sum = crc32.Update(sum, castagnoli, frame[:checksumOffset])
	binary.LittleEndian.PutUint32(frame[checksumOffset:], sum)
	return frame
}

func TestFrameRoundTrip(t *testing.T) {
	var o pool
	messages := [][]byte{nil, []byte("a"), make([]byte, 255), make([]byte, 256), make([]byte, 65_536)}
	var stream []byte
	sent := []header{
		{kind: kindPublish, sequence: 7, correlation: 1 << 60},
		{kind: kindAck, sequence: 1<<64 - 1},
		{kind: kindReply, flags: flagFinal, correlation: 3},
	}
	batch := o.batch("events.process", messages)
	stream = append(stream, encodeFrame(sent[0], batch)...)
	stream = append(stream, encodeFrame(sent[1], nil)...)
	stream = append(stream, encodeFrame(sent[2], o.plain("", []byte("x")))...)
	r := newFrameReader(smallReads{bytes.NewReader(stream)}, &o, 1<<20)
	for i, want := range sent {
		h, p, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if h.kind != want.kind || h.flags != want.flags || h.sequence != want.sequence || h.correlation != want.correlation {
			t.Errorf("frame %d = %+v, want %+v", i, h, want)
		}
		if i == 0 {
			if got := string(p.topicBytes()); got != "events.process" {
				t.Errorf("topic = %q, want events.process", got)
			}
			n, err := checkBatch(p.body())
			got := slices.Collect(p.eachMessage())
			if err != nil || n != len(messages) || !slices.EqualFunc(got, messages, bytes.Equal) {
				t.Errorf("messages: %d, %v, want the %d that were sent", n, err, len(messages))
			}
		}
		p.release()
	}
	if _, _, err := r.next(); err != io.EOF {
		t.Errorf("next() at the end = %v, want io.EOF", err)
	}
}

// smallReads gives a few bytes at a time, as a socket may.
type smallReads struct{ r io.Reader }

func (r smallReads) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 7)]) }

func TestFrameTruncated(t *testing.T) {
	var o pool
	frame := encodeFrame(header{kind: kindPublish}, o.batch("a", [][]byte{[]byte("message")}))
	for n := 1; n < len(frame); n++ {
		_, _, err := newFrameReader(bytes.NewReader(frame[:n]), &o, 1<<20).next()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("next() of %d bytes = %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

// TestFrameBitFlips: whatever single bit changes on the way, it is seen.
func TestFrameBitFlips(t *testing.T) {
	var o pool
	frame := encodeFrame(header{kind: kindPublish, sequence: 5}, o.batch("a", [][]byte{[]byte("message")}))
	for i := range len(frame) * 8 {
		flipped := bytes.Clone(frame)
		flipped[i/8] ^= 1 << (i % 8)
		if _, _, err := newFrameReader(bytes.NewReader(flipped), &o, 1<<10).next(); err == nil {
			t.Errorf("a frame with bit %d flipped is accepted", i)
		}
	}
}

func TestPoolSizes(t *testing.T) {
	var o pool
	for _, n := range []int{0, 1, 255, 256, 257, 1 << 20, 1<<21 + 1} {
		for range 2 {
			p := o.get(n)
			if len(p.buf) != n || p.refs.Load() != 1 {
				t.Errorf("get(%d) has %d bytes and %d references, want %d and 1", n, len(p.buf), p.refs.Load(), n)
			}
			p.release()
		}
	}
}

func FuzzFrame(f *testing.F) {
	var o pool
	f.Add(encodeFrame(header{kind: kindPublish}, o.batch("a.b", [][]byte{[]byte("m"), nil})))
	f.Add(encodeFrame(header{kind: kindAck, sequence: 9}, nil))
	f.Add(encodeFrame(header{kind: kindRequest, correlation: 1}, o.plain("query", []byte{0xc0})))
	f.Add([]byte("DEB\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Fuzzing does not guess checksums: make the first one right.
		if len(data) >= headerSize {
			data = bytes.Clone(data)
			end := headerSize + int(binary.LittleEndian.Uint16(data[6:])) + int(binary.LittleEndian.Uint32(data[8:]))
			if end <= len(data) {
				reseal(data[:end])
			}
		}
		r := newFrameReader(bytes.NewReader(data), &o, 4096)
		for rest := data; ; {
			h, p, err := r.next()
			if err != nil {
				return
			}
			again := encodeFrame(h, p)
			if !bytes.Equal(again, rest[:len(again)]) {
				t.Errorf("frame % x is encoded again as % x", rest[:len(again)], again)
			}
			rest = rest[len(again):]
			if p != nil {
				if n, err := checkBatch(p.body()); err == nil {
					if got := len(slices.Collect(p.eachMessage())); got != n {
						t.Errorf("%d messages of % x, want %d", got, p.body(), n)
					}
				}
				p.release()
			}
		}
	})
}

// TestControlLengths: a claimed length that is not there costs no memory.
func TestControlLengths(t *testing.T) {
	var o pool
	for _, body := range []string{
		"\x93\xa8operator\xc6\xff\xff\xff\xff\xc0", "\x93\xdb\xff\xff\xff\xff\xc0\xc0", "\x93\xa8operator\xc0\xdd\xff\xff\xff\xff",
	} {
		p := o.plain("", []byte(body))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := parseControl(p, new(clientHello))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 || !errors.Is(err, errMalformed) {
			t.Errorf("parseControl(% x) = %v, and allocates %d bytes, want a malformed frame and at most 64 KiB", body, err, got)
		}
	}
}

func FuzzControl(f *testing.F) {
	var o pool
	for _, v := range []any{
		&serverHello{Version: 1, Nonce: newNonce()},
		&clientHello{Role: Collector, Nonce: newNonce(), MAC: newNonce()},
		&welcome{MaxBody: 1 << 20, PublishWindow: 1},
		&subscribe{Pattern: "events.#", Class: Wait, Window: 1 << 20},
		&register{Collector: "c1"},
		&registered{Bytes: 1, Frames: 2},
		&wireError{Code: "denied", Message: "no", Detail: []byte{1}},
	} {
		f.Add(o.control(v).body())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := o.plain("", body)
		defer p.release()
		for _, v := range []any{new(serverHello), new(clientHello), new(welcome), new(subscribe), new(register), new(registered), new(wireError)} {
			err := parseControl(p, v)
			if err != nil && !errors.Is(err, errMalformed) {
				t.Errorf("parseControl(% x) into %T = %v, want a malformed frame", body, v, err)
			}
		}
	})
}

func FuzzMessages(f *testing.F) {
	var o pool
	f.Add(o.batch("", [][]byte{[]byte("a")}).body())
	f.Add(o.batch("", make([][]byte, 20)).body())
	f.Add(o.batch("", [][]byte{make([]byte, 300), make([]byte, 70_000)}).body())
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0xc4, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := checkBatch(body)
		if err != nil {
			return
		}
		p := o.plain("", body)
		messages := slices.Collect(p.eachMessage())
		if len(messages) != n {
			t.Errorf("%d messages, want %d", len(messages), n)
		}
		again := o.batch("", messages)
		if got := slices.Collect(again.eachMessage()); !slices.EqualFunc(got, messages, bytes.Equal) {
			t.Errorf("messages change when they are encoded again")
		}
		p.release()
		again.release()
	})
}

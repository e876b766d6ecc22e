package bus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	protocolVersion = 1
	headerSize      = 32
	checksumOffset  = 28
	// readBuffer holds many small frames; of a large one all but the first
	// bytes go from the socket straight to where they stay.
	readBuffer = 16 << 10
)

type kind uint8

const (
	kindServerHello kind = 1 + iota
	kindClientHello
	kindWelcome
	kindError
	kindPublish
	kindCredit
	kindSubscribe
	kindSubscribed
	kindUnsubscribe
	kindDeliver
	kindRequest
	kindReply
	kindCancel
	kindRegister
	kindRegistered
	kindIngest
	kindAck
	kindEnd // one above the last
)

const flagFinal = 1

// errMalformed marks what a correct peer never sends.
var errMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errMalformed, fmt.Errorf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	kind        kind
	flags       uint8
	topic       int
	body        int
	sequence    uint64
	correlation uint64
}

// encode writes the header of a frame that carries p, which may be nil.
func (h header) encode(dst *[headerSize]byte, p *payload) {
	var sum uint32
	var topic, body int
	if p != nil {
		sum, topic, body = p.sum, p.topic, len(p.buf)-p.topic
	}
	copy(dst[:], "DEB")
	dst[3] = protocolVersion
	dst[4] = byte(h.kind)
	dst[5] = h.flags
	binary.LittleEndian.PutUint16(dst[6:], uint16(topic))
	binary.LittleEndian.PutUint32(dst[8:], uint32(body))
	binary.LittleEndian.PutUint64(dst[12:], h.sequence)
	binary.LittleEndian.PutUint64(dst[20:], h.correlation)
	sum = crc32.Update(sum, castagnoli, dst[:checksumOffset])
	binary.LittleEndian.PutUint32(dst[checksumOffset:], sum)
}

func (h *header) decode(raw *[headerSize]byte, limit int) error {
	if string(raw[:3]) != "DEB" {
		return malformed("magic % x", raw[:3])
	}
	if raw[3] != protocolVersion {
		return malformed("protocol version %d, want %d", raw[3], protocolVersion)
	}
	h.kind, h.flags = kind(raw[4]), raw[5]
	h.topic = int(binary.LittleEndian.Uint16(raw[6:]))
	body := binary.LittleEndian.Uint32(raw[8:])
	h.sequence = binary.LittleEndian.Uint64(raw[12:])
	h.correlation = binary.LittleEndian.Uint64(raw[20:])
	switch {
	case h.kind == 0 || h.kind >= kindEnd:
		return malformed("kind %d", h.kind)
	case h.flags&^flagFinal != 0:
		return malformed("flags %#x", h.flags)
	case h.topic > maxTopic:
		return malformed("topic of %d bytes, the limit is %d", h.topic, maxTopic)
	case uint64(body) > uint64(limit):
		return malformed("body of %d bytes, the limit is %d", body, limit)
	}
	h.body = int(body)
	return nil
}

// A payload is the topic and body of a frame in a pooled buffer. It is not
// changed once it is shared; who holds a reference releases it.
type payload struct {
	buf   []byte // topic, body
	topic int    // bytes of topic
	sum   uint32 // CRC-32C of buf
	count int    // messages in a publish, deliver or ingest body
	refs  atomic.Int32
	pool  *pool
	class int
}

func (p *payload) body() []byte       { return p.buf[p.topic:] }
func (p *payload) topicBytes() []byte { return p.buf[:p.topic] }
func (p *payload) retain()            { p.refs.Add(1) }

// cost is what a frame with p takes of a window.
func (p *payload) cost() int {
	if p == nil {
		return headerSize
	}
	return headerSize + len(p.buf)
}

func (p *payload) release() {
	if p != nil && p.refs.Add(-1) == 0 {
		p.pool.put(p)
	}
}

func (p *payload) seal() { p.sum = crc32.Checksum(p.buf, castagnoli) }

const (
	minClass = 8  // 256 bytes
	maxClass = 21 // 2 MiB; larger buffers are left to the garbage collector
)

// A pool keeps buffers by size, in powers of two.
type pool struct {
	classes [maxClass + 1]sync.Pool
}

// get returns a payload with n bytes of any content and one reference.
func (o *pool) get(n int) *payload {
	class := max(minClass, bits.Len(uint(max(n, 1)-1)))
	if class <= maxClass {
		if p, ok := o.classes[class].Get().(*payload); ok {
			p.buf = p.buf[:n]
			p.topic, p.sum, p.count = 0, 0, 0
			p.refs.Store(1)
			return p
		}
	}
	p := &payload{buf: make([]byte, n, max(n, 1<<class)), pool: o, class: class}
	p.refs.Store(1)
	return p
}

func (o *pool) put(p *payload) {
	if p.class <= maxClass {
		o.classes[p.class].Put(p)
	}
}

// plain returns a sealed payload of a topic and one uninterpreted body.
func (o *pool) plain(topic string, body []byte) *payload {
	p := o.get(len(topic) + len(body))
	p.topic = copy(p.buf, topic)
	copy(p.buf[p.topic:], body)
	p.seal()
	return p
}

type frameReader struct {
	r     *bufio.Reader
	pool  *pool
	limit int // of a body, in bytes
}

func newFrameReader(r io.Reader, o *pool, limit int) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, readBuffer), pool: o, limit: limit}
}

// next reads a frame. The payload is nil when topic and body are empty; else
// the caller releases it. The error is io.EOF between frames, and is
// errMalformed for bytes that no correct peer sends.
func (r *frameReader) next() (header, *payload, error) {
	var h header
	raw, err := r.r.Peek(headerSize)
	if err != nil {
		if err == io.EOF && len(raw) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return h, nil, err
	}
	head := [headerSize]byte(raw)
	if err := h.decode(&head, r.limit); err != nil {
		return h, nil, err
	}
	_, _ = r.r.Discard(headerSize)
	var p *payload
	var sum uint32
	if n := h.topic + h.body; n > 0 {
		p = r.pool.get(n)
		p.topic = h.topic
		if _, err := io.ReadFull(r.r, p.buf); err != nil {
			p.release()
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return h, nil, err
		}
		p.seal()
		sum = p.sum
	}
	sum = crc32.Update(sum, castagnoli, head[:checksumOffset])
	if want := binary.LittleEndian.Uint32(head[checksumOffset:]); sum != want {
		p.release()
		return h, nil, malformed("checksum %08x, want %08x", sum, want)
	}
	return h, p, nil
}

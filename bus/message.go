package bus

//lint:file-ignore U1000 the fields _msgpack are read by the msgpack package

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// batchSize is the length of the msgpack array that holds messages.
func batchSize(messages [][]byte) int {
	n := 5
	for _, m := range messages {
		n += 5 + len(m)
	}
	return n
}

// batch returns a sealed payload of a topic and messages, whose bytes it copies.
func (o *pool) batch(topic string, messages [][]byte) *payload {
	p := o.get(len(topic) + batchSize(messages))
	b := append(p.buf[:0], topic...)
	p.topic = len(b)
	p.count = len(messages)
	switch n := len(messages); {
	case n <= 15:
		b = append(b, 0x90|byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
	}
	for _, m := range messages {
		switch n := len(m); {
		case n <= math.MaxUint8:
			b = append(b, 0xc4, byte(n))
		case n <= math.MaxUint16:
			b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
		default:
			b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
		}
		b = append(b, m...)
	}
	p.buf = b
	p.seal()
	return p
}

// arrayHeader reads the length of a msgpack array.
func arrayHeader(b []byte) (n int, rest []byte, err error) {
	switch {
	case len(b) >= 1 && b[0]&0xf0 == 0x90:
		return int(b[0] & 0x0f), b[1:], nil
	case len(b) >= 3 && b[0] == 0xdc:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], nil
	case len(b) >= 5 && b[0] == 0xdd:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], nil
	}
	return 0, nil, errors.New("not an array")
}

// nextBin reads one msgpack bin.
func nextBin(b []byte) (bin, rest []byte, err error) {
	n, head := 0, 0
	switch {
	case len(b) >= 2 && b[0] == 0xc4:
		n, head = int(b[1]), 2
	case len(b) >= 3 && b[0] == 0xc5:
		n, head = int(binary.BigEndian.Uint16(b[1:])), 3
	case len(b) >= 5 && b[0] == 0xc6:
		n, head = int(binary.BigEndian.Uint32(b[1:])), 5
	default:
		return nil, nil, errors.New("not a bin")
	}
	if n > len(b)-head {
		return nil, nil, fmt.Errorf("bin of %d bytes in %d", n, len(b)-head)
	}
	return b[head : head+n : head+n], b[head+n:], nil
}

// checkBatch walks an array of bins and returns how many there are, at least one.
func checkBatch(body []byte) (count int, err error) {
	count, rest, err := arrayHeader(body)
	if err != nil {
		return 0, malformed("messages: %w", err)
	}
	if count == 0 {
		return 0, malformed("no messages")
	}
	for i := range count {
		if _, rest, err = nextBin(rest); err != nil {
			return 0, malformed("message %d of %d: %w", i, count, err)
		}
	}
	if len(rest) > 0 {
		return 0, malformed("%d bytes after the messages", len(rest))
	}
	return count, nil
}

// eachMessage yields the messages of a checked payload.
func (p *payload) eachMessage() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		n, rest, _ := arrayHeader(p.body())
		for range n {
			var m []byte
			var err error
			if m, rest, err = nextBin(rest); err != nil || !yield(m) {
				return
			}
		}
	}
}

type serverHello struct {
	_msgpack struct{} `msgpack:",as_array"`
	Version  int
	Nonce    []byte
}

type clientHello struct {
	_msgpack struct{} `msgpack:",as_array"`
	Role     Role
	Nonce    []byte
	MAC      []byte
}

type welcome struct {
	_msgpack      struct{} `msgpack:",as_array"`
	MAC           []byte
	MaxBody       int
	PublishWindow int
}

type subscribe struct {
	_msgpack struct{} `msgpack:",as_array"`
	Pattern  string
	Class    Class
	Window   int
}

type register struct {
	_msgpack  struct{} `msgpack:",as_array"`
	Collector string
}

type registered struct {
	_msgpack struct{} `msgpack:",as_array"`
	Bytes    int
	Frames   int
}

type wireError struct {
	_msgpack struct{} `msgpack:",as_array"`
	Code     string
	Message  string
	Detail   []byte
}

// control returns a sealed payload with the msgpack form of v, one of the
// structs above.
func (o *pool) control(v any) *payload {
	body, err := msgpack.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bus: encode %T: %v", v, err)) // our own struct of plain fields
	}
	return o.plain("", body)
}

// parseControl reads v, one of the structs above, and nothing after it.
func parseControl(p *payload, v any) error {
	if p == nil || p.topic != 0 {
		return malformed("want a body and no topic for a %T", v)
	}
	n, fields, err := arrayHeader(p.body())
	if err != nil {
		return malformed("%T: %w", v, err)
	}
	if want := controlFields(v); n != want {
		return malformed("%T has %d fields, want %d", v, n, want)
	}
	// The decoder allocates up to a megabyte for a length that it has not checked.
	for range n {
		if fields, err = skipField(fields); err != nil {
			return malformed("%T: %w", v, err)
		}
	}
	r := bytes.NewReader(p.body())
	if err := msgpack.NewDecoder(r).Decode(v); err != nil {
		return malformed("%T: %w", v, err)
	}
	if r.Len() > 0 {
		return malformed("%d bytes after a %T", r.Len(), v)
	}
	return nil
}

// skipField passes over a nil, integer, string or bin.
func skipField(b []byte) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, errors.New("a field is missing")
	}
	if c := b[0]; c >= 0xc4 && c <= 0xc6 {
		_, rest, err = nextBin(b)
		return rest, err
	}
	n := uint64(1)
	switch c := b[0]; {
	case c <= 0x7f || c >= 0xe0 || c == 0xc0: // fixint, nil
	case c&0xe0 == 0xa0: // fixstr
		n += uint64(c & 0x1f)
	case c >= 0xcc && c <= 0xcf: // uint 8 to 64
		n += 1 << (c - 0xcc)
	case c >= 0xd0 && c <= 0xd3: // int 8 to 64
		n += 1 << (c - 0xd0)
	case c == 0xd9 && len(b) >= 2:
		n += 1 + uint64(b[1])
	case c == 0xda && len(b) >= 3:
		n += 2 + uint64(binary.BigEndian.Uint16(b[1:]))
	case c == 0xdb && len(b) >= 5:
		n += 4 + uint64(binary.BigEndian.Uint32(b[1:]))
	default:
		return nil, fmt.Errorf("a field begins with %#x", c)
	}
	if n > uint64(len(b)) {
		return nil, fmt.Errorf("a field of %d bytes in %d", n, len(b))
	}
	return b[n:], nil
}

func controlFields(v any) int {
	switch v.(type) {
	case *register:
		return 1
	case *serverHello, *registered:
		return 2
	default:
		return 3
	}
}

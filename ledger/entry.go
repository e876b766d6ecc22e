package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/zeebo/blake3"
)

// What one entry may hold, in bytes.
const (
	MaxName        = 64 // role, action
	MaxCorrelation = 128
	MaxSubject     = 4096
	MaxPayload     = 64 << 10
)

const (
	entryVersion = 1
	headerFixed  = 66
	maxHeader    = headerFixed + 2*MaxName + MaxCorrelation + MaxSubject
	maxEntry     = maxHeader + MaxPayload
)

// ErrInvalid is what Append returns for an entry that the format can not hold.
var ErrInvalid = errors.New("invalid entry")

// An Actor is who did it, as the one who appends the entry knows.
type Actor struct {
	Role string
	PID  uint32
	UID  uint32
}

// An Entry is one fact. Append sets Sequence, Time and PayloadHash.
type Entry struct {
	Sequence    uint64
	Time        time.Time // UTC, in ms; never before the entry before
	Actor       Actor
	Action      string // lower-case letters, digits, ".", "_", "-"; as Actor.Role
	Subject     string // UTF-8
	Correlation string // UTF-8: what ties entries together; may be empty
	PayloadHash Hash
	Payload     []byte // msgpack by convention; the ledger does not look into it
}

// check tells why the format can not hold e.
func (e *Entry) check() error {
	switch {
	case !validName(e.Actor.Role):
		return fmt.Errorf("%w: role %.80q", ErrInvalid, e.Actor.Role)
	case !validName(e.Action):
		return fmt.Errorf("%w: action %.80q", ErrInvalid, e.Action)
	case len(e.Subject) > MaxSubject:
		return fmt.Errorf("%w: subject of %d bytes, the limit is %d", ErrInvalid, len(e.Subject), MaxSubject)
	case len(e.Correlation) > MaxCorrelation:
		return fmt.Errorf("%w: correlation of %d bytes, the limit is %d", ErrInvalid, len(e.Correlation), MaxCorrelation)
	case len(e.Payload) > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrInvalid, len(e.Payload), MaxPayload)
	case !utf8.ValidString(e.Subject):
		return fmt.Errorf("%w: subject %.80q is not UTF-8", ErrInvalid, e.Subject)
	case !utf8.ValidString(e.Correlation):
		return fmt.Errorf("%w: correlation %.80q is not UTF-8", ErrInvalid, e.Correlation)
	}
	return nil
}

func validName[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// appendHeader appends all of e but the payload. Its hash must be set.
func (e *Entry) appendHeader(dst []byte) []byte {
	dst = append(dst, entryVersion)
	dst = binary.BigEndian.AppendUint64(dst, e.Sequence)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Time.UnixMilli()))
	dst = binary.BigEndian.AppendUint32(dst, e.Actor.PID)
	dst = binary.BigEndian.AppendUint32(dst, e.Actor.UID)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Payload)))
	dst = append(dst, e.PayloadHash[:]...)
	for _, s := range []string{e.Actor.Role, e.Action, e.Correlation} {
		dst = append(append(dst, byte(len(s))), s...)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Subject)))
	return append(dst, e.Subject...)
}

// MarshalBinary returns the canonical bytes: the header, which is the leaf of
// the tree, and the payload, whose hash the header holds.
func (e *Entry) MarshalBinary() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if ms := e.Time.UnixMilli(); ms < 0 {
		return nil, fmt.Errorf("%w: time %d ms", ErrInvalid, ms)
	}
	if e.PayloadHash != blake3.Sum256(e.Payload) {
		return nil, fmt.Errorf("%w: the payload has another hash", ErrInvalid)
	}
	return append(e.appendHeader(nil), e.Payload...), nil
}

// LeafHash returns the hash of the entry in the tree.
func (e *Entry) LeafHash() Hash { return leafHash(e.appendHeader(nil)) }

// ParseEntry reads what [Entry.MarshalBinary] makes, and nothing else.
func ParseEntry(b []byte) (Entry, error) {
	v, err := decodeEntry(b)
	if err != nil {
		return Entry{}, err
	}
	return v.entry(), nil
}

// A view is an entry that lies in the buffer that it was decoded from.
type view struct {
	header      []byte
	sequence    uint64
	time        int64 // ms
	pid, uid    uint32
	payloadHash Hash
	role        []byte
	action      []byte
	correlation []byte
	subject     []byte
	payload     []byte
}

func (v *view) entry() Entry {
	return Entry{
		Sequence:    v.sequence,
		Time:        time.UnixMilli(v.time).UTC(),
		Actor:       Actor{Role: string(v.role), PID: v.pid, UID: v.uid},
		Action:      string(v.action),
		Subject:     string(v.subject),
		Correlation: string(v.correlation),
		PayloadHash: v.payloadHash,
		Payload:     append([]byte(nil), v.payload...),
	}
}

func decodeEntry(b []byte) (view, error) {
	v, err := decodeHeader(b)
	if err != nil {
		return v, err
	}
	if v.payloadHash != blake3.Sum256(v.payload) {
		return v, errors.New("the payload has another hash")
	}
	return v, nil
}

// decodeHeader checks all but the hash of the payload.
func decodeHeader(b []byte) (view, error) {
	var v view
	if len(b) < headerFixed || len(b) > maxEntry {
		return v, fmt.Errorf("entry of %d bytes, want %d to %d", len(b), headerFixed, maxEntry)
	}
	if b[0] != entryVersion {
		return v, fmt.Errorf("entry version %d, want %d", b[0], entryVersion)
	}
	v.sequence = binary.BigEndian.Uint64(b[1:])
	ms := binary.BigEndian.Uint64(b[9:])
	if ms > math.MaxInt64 {
		return v, fmt.Errorf("time %d ms", ms)
	}
	v.time = int64(ms)
	v.pid = binary.BigEndian.Uint32(b[17:])
	v.uid = binary.BigEndian.Uint32(b[21:])
	payload := binary.BigEndian.Uint32(b[25:])
	v.payloadHash = Hash(b[29:61])
	rest := b[61:]
	for _, s := range []struct {
		into *[]byte
		size int // of the length
		max  int
	}{{&v.role, 1, MaxName}, {&v.action, 1, MaxName}, {&v.correlation, 1, MaxCorrelation}, {&v.subject, 2, MaxSubject}} {
		if len(rest) < s.size {
			return v, errors.New("the entry ends in its header")
		}
		n := int(rest[0])
		if s.size == 2 {
			n = n<<8 | int(rest[1])
		}
		if rest = rest[s.size:]; n > s.max || n > len(rest) {
			return v, fmt.Errorf("text of %d bytes, the limit is %d and %d follow", n, s.max, len(rest))
		}
		*s.into, rest = rest[:n], rest[n:]
	}
	switch {
	case payload > MaxPayload || int(payload) != len(rest):
		return v, fmt.Errorf("payload of %d bytes, the limit is %d and %d follow", payload, MaxPayload, len(rest))
	case !validName(v.role):
		return v, fmt.Errorf("role %q", v.role)
	case !validName(v.action):
		return v, fmt.Errorf("action %q", v.action)
	case !utf8.Valid(v.correlation) || !utf8.Valid(v.subject):
		return v, errors.New("the entry has a text that is not UTF-8")
	}
	v.header, v.payload = b[:len(b)-len(rest)], rest
	return v, nil
}

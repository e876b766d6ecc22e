package sql

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// network is a value of type inet or cidr: an address and the length of its
// network's prefix.
type network struct {
	addr []byte // 4 or 16 bytes
	bits int
}

func (n network) v4() bool     { return len(n.addr) == 4 }
func (n network) maxBits() int { return 8 * len(n.addr) }

// value returns n as a value of type inet or cidr.
func (n network) value() value { return textValue(n.key()) }

// network returns the value of type inet or cidr.
func (v value) network() network { return networkFromKey(v.s) }

// key encodes n so that its bytes order as PostgreSQL orders networks: by
// family, by the common part of the prefixes, by the prefix's length, and by
// address. It is the family, then for each eight bits of the prefix these
// and their number (9 when more follow), then the address.
func (n network) key() string {
	out := make([]byte, 0, 52)
	if n.v4() {
		out = append(out, 4)
	} else {
		out = append(out, 6)
	}
	for from := 0; ; from += 8 {
		left := n.bits - from
		if left > 8 {
			out = append(out, n.addr[from/8], 9)
			continue
		}
		if left == 0 {
			out = append(out, 0, 0)
		} else {
			out = append(out, n.addr[from/8]&^(0xff>>left), byte(left))
		}
		return string(append(out, n.addr...))
	}
}

func networkFromKey(s string) network {
	size := 16
	if s[0] == 4 {
		size = 4
	}
	chunks := s[1 : len(s)-size]
	return network{addr: []byte(s[len(s)-size:]), bits: len(chunks)/2*8 - 8 + int(chunks[len(chunks)-1])}
}

// mask returns n with the bits after the first so many set to zero, or one.
func (n network) mask(bits int, one bool) network {
	out := network{addr: bytes.Clone(n.addr), bits: n.bits}
	for i := range out.addr {
		host := byte(0xff)
		if k := bits - 8*i; k > 0 {
			host = byte(0xff >> min(k, 8))
		}
		if one {
			out.addr[i] |= host
		} else {
			out.addr[i] &^= host
		}
	}
	return out
}

// commonBits is how many of their first bits, at most limit, agree.
func commonBits(a, b []byte, limit int) int {
	for i := range limit {
		if (a[i/8]^b[i/8])&(0x80>>(i%8)) != 0 {
			return i
		}
	}
	return limit
}

// within reports whether m's network holds n's, or n's is the same.
func (n network) within(m network) bool {
	return len(n.addr) == len(m.addr) && n.bits >= m.bits && commonBits(n.addr, m.addr, m.bits) == m.bits
}

// parseNetwork is network_in.
func parseNetwork(s string, t Type) (network, error) {
	var n network
	var ok bool
	switch {
	case strings.IndexByte(s, ':') >= 0:
		n, ok = parseIPv6(s)
	case t == Cidr:
		n, ok = parseIPv4Network(s)
	default:
		n, ok = parseIPv4(s)
	}
	if !ok {
		return network{addr: make([]byte, 4)}, inputError(t, s)
	}
	if t == Cidr && !bytes.Equal(n.mask(n.bits, false).addr, n.addr) {
		return n, fail(codeInvalidText, "invalid cidr value: %q", s).hint("it has bits set to the right of its mask")
	}
	return n, nil
}

// octets reads numbers up to 255 with points between, up to a / or the end.
func octets(s string) (out []byte, rest string, ok bool) {
	for {
		n := digits(s)
		v, err := strconv.ParseUint(s[:n], 10, 64)
		if n == 0 || err != nil && strings.Trim(s[:n], "0") != "" || v > 255 || len(out) == 4 {
			return out, s, false
		}
		out, s = append(out, byte(v)), s[n:]
		if s == "" || s[0] == '/' {
			return out, s, true
		}
		if s[0] != '.' {
			return out, s, false
		}
		s = s[1:]
	}
}

// prefixLength reads /n; -1 when there is nothing.
func prefixLength(s string, most int) (int, bool) {
	if s == "" {
		return -1, true
	}
	if s[0] != '/' || len(s) < 2 || digits(s[1:]) != len(s)-1 {
		return 0, false
	}
	n, err := strconv.Atoi(s[1:])
	return n, err == nil && n <= most
}

// parseIPv4 reads an inet: with a prefix length, trailing octets may be missing.
func parseIPv4(s string) (network, bool) {
	// PostgreSQL's loop also ends at a point with nothing after it.
	trimmed := s
	if i := strings.IndexByte(s, '/'); i > 0 && s[i-1] == '.' {
		trimmed = s[:i-1] + s[i:]
	}
	addr, rest, ok := octets(trimmed)
	if !ok {
		return network{}, false
	}
	bits, ok := prefixLength(rest, 32)
	if !ok || bits < 0 && len(addr) < 4 || bits/8 > len(addr) {
		return network{}, false
	}
	if bits < 0 {
		bits = 32
	}
	return network{append(addr, make([]byte, 4-len(addr))...), bits}, true
}

// parseIPv4Network reads a cidr: octets that are missing are zero, and a
// missing length is that of the address's class, or of the octets given.
func parseIPv4Network(s string) (network, bool) {
	var addr []byte
	var rest string
	if hexDigits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X"); len(hexDigits) == len(s)-2 {
		n := 0
		for n < len(hexDigits) && strings.IndexByte("0123456789abcdefABCDEF", hexDigits[n]) >= 0 {
			n++
		}
		text := hexDigits[:n]
		if n%2 == 1 {
			text += "0"
		}
		v, err := decodeHex(text)
		if err != nil || n == 0 || len(v.s) > 4 {
			return network{}, false
		}
		addr, rest = []byte(v.s), hexDigits[n:]
	} else {
		var ok bool
		if addr, rest, ok = octets(s); !ok {
			return network{}, false
		}
	}
	bits, ok := prefixLength(rest, 32)
	if !ok {
		return network{}, false
	}
	if bits < 0 {
		first := addr[0]
		switch {
		case first >= 240:
			bits = 32
		case first >= 192 && first < 224:
			bits = 24
		case first >= 128 && first < 192:
			bits = 16
		default:
			bits = 8
		}
		if bits = max(bits, 8*len(addr)); first == 224 && bits == 8 {
			bits = 4 // all of class D
		}
	}
	return network{append(addr, make([]byte, 4-len(addr))...), bits}, true
}

// parseIPv6 reads groups of hex digits with colons, :: once, an IPv4 address
// at the end, and a prefix length.
func parseIPv6(s string) (network, bool) {
	bad := network{}
	text, length, hasLength := strings.Cut(s, "/")
	bits := 128
	if hasLength {
		n, ok := prefixLength("/"+length, 128)
		if !ok || len(length) > 1 && length[0] == '0' {
			return bad, false
		}
		bits = n
	}
	var addr []byte
	gap := -1
	if strings.HasPrefix(text, ":") {
		if text = text[1:]; !strings.HasPrefix(text, ":") {
			return bad, false
		}
	}
	for text != "" {
		if text[0] == ':' {
			if gap >= 0 {
				return bad, false
			}
			gap, text = len(addr), text[1:]
			continue
		}
		group, rest, more := strings.Cut(text, ":")
		if !more && strings.IndexByte(group, '.') >= 0 {
			tail, ok := embeddedIPv4(group)
			if !ok || len(addr) > 12 {
				return bad, false
			}
			addr = append(addr, tail...)
			break
		}
		v, err := strconv.ParseUint(group, 16, 16)
		if err != nil || len(group) > 4 || strings.IndexByte(group, '_') >= 0 || len(addr) == 16 || more && rest == "" {
			return bad, false
		}
		addr, text = append(addr, byte(v>>8), byte(v)), rest
	}
	if gap >= 0 {
		if len(addr) == 16 {
			return bad, false
		}
		addr = append(addr[:gap:gap], append(make([]byte, 16-len(addr)), addr[gap:]...)...)
	}
	return network{addr, bits}, len(addr) == 16
}

// embeddedIPv4 reads up to four octets without leading zeros.
func embeddedIPv4(s string) ([]byte, bool) {
	out := make([]byte, 4)
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return nil, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 8)
		if i < len(parts)-1 && p == "" {
			v, err = 0, nil
		}
		if err != nil || len(p) > 1 && p[0] == '0' || p != "" && digits(p) != len(p) {
			return nil, false
		}
		out[i] = byte(v)
	}
	return out, true
}

// append appends the address, and the prefix length where it does not say
// that all bits count, or full is set.
func (n network) append(dst []byte, full bool) []byte {
	if n.v4() {
		dst = fmt.Appendf(dst, "%d.%d.%d.%d", n.addr[0], n.addr[1], n.addr[2], n.addr[3])
	} else {
		dst = n.appendIPv6(dst)
	}
	if full || n.bits != n.maxBits() {
		dst = fmt.Appendf(dst, "/%d", n.bits)
	}
	return dst
}

func (n network) words() [8]int {
	var w [8]int
	for i := range w {
		w[i] = int(n.addr[2*i])<<8 | int(n.addr[2*i+1])
	}
	return w
}

// zeroRun is the first of the longest runs of zeros.
func zeroRun(words []int) (from, length int) {
	start := -1
	for i, w := range words {
		switch {
		case w != 0:
			start = -1
			continue
		case start < 0:
			start = i
		}
		if i-start+1 > length {
			from, length = start, i-start+1
		}
	}
	return from, length
}

// appendIPv6 is inet_net_ntop_ipv6, with the last 32 bits as IPv4 where the
// rest says so.
func (n network) appendIPv6(dst []byte) []byte {
	words := n.words()
	from, length := zeroRun(words[:])
	if length < 2 {
		from, length = -1, 0
	}
	for i := 0; i < 8; i++ {
		if length > 0 && i >= from && i < from+length {
			if i == from {
				dst = append(dst, ':')
			}
			continue
		}
		if i != 0 {
			dst = append(dst, ':')
		}
		if i == 6 && from == 0 && (length == 6 || length == 7 && words[7] != 1 || length == 5 && words[5] == 0xffff) {
			return fmt.Appendf(dst, "%d.%d.%d.%d", n.addr[12], n.addr[13], n.addr[14], n.addr[15])
		}
		dst = strconv.AppendInt(dst, int64(words[i]), 16)
	}
	if from+length == 8 {
		dst = append(dst, ':')
	}
	return dst
}

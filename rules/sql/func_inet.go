package sql

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
)

func (c *catalog) networkCasts() {
	c.cast(Inet, Cidr, func(a []value) (value, error) {
		n := a[0].network()
		return n.mask(n.bits, false).value(), nil
	})
	show := func(a []value) (value, error) { return textValue(string(a[0].network().full())), nil }
	for _, from := range []Type{Inet, Cidr} {
		c.cast(from, Text, show)
		c.cast(from, Varchar, show)
	}
}

// full is the address with the prefix length, always.
func (n network) full() []byte { return n.append(nil, true) }

func (c *catalog) addNetworks() {
	const g = "Networks"
	test := func(f func(a, b network) bool) func(a []value) value {
		return func(a []value) value { return boolValue(f(a[0].network(), a[1].network())) }
	}
	for _, e := range []struct {
		name, doc, example string
		f                  func(a, b network) bool
	}{
		{"<<", "is strictly contained by the network", "SELECT inet '192.168.1.5' << inet '192.168.1/24'", func(a, b network) bool { return a.within(b) && a.bits > b.bits }},
		{"<<=", "is contained by the network, or equal to it", "SELECT inet '192.168.1/24' <<= inet '192.168.1/24'", network.within},
		{">>", "strictly contains the other network", "SELECT inet '192.168.1/24' >> inet '192.168.1.5'", func(a, b network) bool { return b.within(a) && b.bits > a.bits }},
		{">>=", "contains the other network, or is equal to it", "SELECT inet '192.168.1/24' >>= inet '192.168.1/24'", func(a, b network) bool { return b.within(a) }},
		{"&&", "one of the networks contains the other, or is equal to it", "SELECT inet '192.168.1/24' && inet '192.168.1.80/28'", func(a, b network) bool { return a.within(b) || b.within(a) }},
	} {
		c.op(g, e.name, e.doc, e.example, pairs{"inet,inet:bool", test(e.f)})
	}
	c.op(g, "~", "", "", pairs{"inet:inet", func(a []value) value {
		n := a[0].network()
		for i := range n.addr {
			n.addr[i] = ^n.addr[i]
		}
		return n.value()
	}})
	combine := func(name string, f func(x, y byte) byte) func(a []value) (value, error) {
		return func(a []value) (value, error) {
			n, m := a[0].network(), a[1].network()
			if len(n.addr) != len(m.addr) {
				return null, fail(codeInvalidParameter, "cannot %s inet values of different sizes", name)
			}
			for i := range n.addr {
				n.addr[i] = f(n.addr[i], m.addr[i])
			}
			n.bits = max(n.bits, m.bits)
			return n.value(), nil
		}
	}
	c.op(g, "&", "", "", pairs{"inet,inet:inet", combine("AND", func(x, y byte) byte { return x & y })})
	c.op(g, "|", "", "", pairs{"inet,inet:inet", combine("OR", func(x, y byte) byte { return x | y })})
	c.op(g, "+", "", "", pairs{
		"inet,int8:inet", func(a []value) (value, error) { return a[0].network().add(big.NewInt(a[1].i)) },
		"int8,inet:inet", func(a []value) (value, error) { return a[1].network().add(big.NewInt(a[0].i)) },
	})
	c.op(g, "-", "", "", pairs{
		"inet,int8:inet", func(a []value) (value, error) {
			return a[0].network().add(new(big.Int).Neg(big.NewInt(a[1].i)))
		},
		"inet,inet:int8", func(a []value) (value, error) { return a[0].network().minus(a[1].network()) },
	})
	c.addNetworkParts()
}

func (n network) number() *big.Int { return new(big.Int).SetBytes(n.addr) }

// add is n with k added to its address.
func (n network) add(k *big.Int) (value, error) {
	sum := n.number()
	sum.Add(sum, k)
	if sum.Sign() < 0 || sum.BitLen() > n.maxBits() {
		return null, fail(codeOutOfRange, "result is out of range")
	}
	return network{sum.FillBytes(make([]byte, len(n.addr))), n.bits}.value(), nil
}

func (n network) minus(m network) (value, error) {
	if len(n.addr) != len(m.addr) {
		return null, fail(codeInvalidParameter, "cannot subtract inet values of different sizes")
	}
	d := n.number()
	if d.Sub(d, m.number()); !d.IsInt64() {
		return null, fail(codeOutOfRange, "result is out of range")
	}
	return intValue(d.Int64()), nil
}

func (c *catalog) addNetworkParts() {
	const g = "Networks"
	part := func(f func(n network) value) func(a []value) value {
		return func(a []value) value { return f(a[0].network()) }
	}
	c.fn(g, "host", "address as text, without the prefix length; with it always: text(address)", "SELECT host(inet '192.168.1.5/24')", pairs{"inet:text", part(func(n network) value {
		n.bits = n.maxBits()
		return textValue(string(n.append(nil, false)))
	})})
	c.fn(g, "abbrev", "short text: of a cidr without the octets that are zero", "SELECT abbrev(cidr '10.1.0.0/16')", pairs{
		"inet:text", part(func(n network) value { return textValue(string(n.append(nil, false))) }),
		"cidr:text", part(func(n network) value { return textValue(n.abbreviated()) }),
	})
	c.fn(g, "family", "4 or 6", "SELECT family(inet '::1')", pairs{"inet:int4", part(func(n network) value {
		if n.v4() {
			return intValue(4)
		}
		return intValue(6)
	})})
	c.fn(g, "masklen", "prefix length", "SELECT masklen(inet '192.168.1.5/24')", pairs{"inet:int4", part(func(n network) value { return intValue(int64(n.bits)) })})
	c.fn(g, "network", "network that an address is in", "SELECT network(inet '192.168.1.5/24')", pairs{"inet:cidr", part(func(n network) value { return n.mask(n.bits, false).value() })})
	c.fn(g, "broadcast", "last address of the network", "SELECT broadcast(inet '192.168.1.5/24')", pairs{"inet:inet", part(func(n network) value { return n.mask(n.bits, true).value() })})
	whole := func(n network, first byte, prefix bool) value {
		all := network{addr: make([]byte, len(n.addr)), bits: n.maxBits()}
		for i := range all.addr {
			all.addr[i] = first
		}
		return all.mask(n.bits, !prefix).value()
	}
	c.fn(g, "netmask", "mask of the network", "SELECT netmask(inet '192.168.1.5/24')", pairs{"inet:inet", part(func(n network) value { return whole(n, 0xff, true) })})
	c.fn(g, "hostmask", "mask of the part that is not the network's", "SELECT hostmask(inet '192.168.23.20/30')", pairs{"inet:inet", part(func(n network) value { return whole(n, 0, false) })})
	c.fn(g, "set_masklen", "with another prefix length; -1 stands for all bits", "SELECT set_masklen(cidr '192.168.1.0/24', 16)", pairs{
		"inet,int4:inet", func(a []value) (value, error) { return a[0].network().withBits(a[1].i, false) },
		"cidr,int4:cidr", func(a []value) (value, error) { return a[0].network().withBits(a[1].i, true) },
	})
	c.fn(g, "inet_same_family", "whether both are IPv4, or both IPv6", "SELECT inet_same_family('::1', '10.0.0.1')", pairs{
		"inet,inet:bool", func(a []value) value { return boolValue(a[0].network().v4() == a[1].network().v4()) },
	})
	c.fn(g, "inet_merge", "smallest network that holds both", "SELECT inet_merge('192.168.1.5/24', '192.168.2.5/24')", pairs{
		"inet,inet:cidr", func(a []value) (value, error) {
			n, m := a[0].network(), a[1].network()
			if n.v4() != m.v4() {
				return null, fail(codeInvalidParameter, "cannot merge addresses from different families")
			}
			n.bits = commonBits(n.addr, m.addr, min(n.bits, m.bits))
			return n.mask(n.bits, false).value(), nil
		},
	})
}

func (n network) withBits(bits int64, masked bool) (value, error) {
	if bits == -1 {
		bits = int64(n.maxBits())
	}
	if bits < 0 || bits > int64(n.maxBits()) {
		return null, fail(codeInvalidParameter, "invalid mask length: %d", bits)
	}
	n.bits = int(bits)
	if masked {
		n = n.mask(n.bits, false)
	}
	return n.value(), nil
}

// abbreviated is inet_cidr_ntop: only the octets or words that the prefix reaches.
func (n network) abbreviated() string {
	n = n.mask(n.bits, false)
	length := "/" + strconv.Itoa(n.bits)
	if n.v4() {
		text := "0"
		for i := range (n.bits + 7) / 8 {
			if i == 0 {
				text = strconv.Itoa(int(n.addr[0]))
			} else {
				text += "." + strconv.Itoa(int(n.addr[i]))
			}
		}
		return text + length
	}
	if n.bits == 0 {
		return "::/0"
	}
	words := make([]int, max((n.bits+15)/16, 2))
	for i := range words {
		words[i] = int(binary.BigEndian.Uint16(n.addr[2*i:]))
	}
	from, zeros := zeroRun(words)
	v4 := zeros != len(words) && from == 0 && (zeros == 6 || zeros == 5 && words[5] == 0xffff || zeros == 7 && n.addr[14] != 0 && n.addr[15] != 1)
	var text []byte
	for p, w := range words {
		switch {
		case zeros > 0 && p >= from && p < from+zeros:
			if p == from {
				text = append(text, ':')
			}
			if p == len(words)-1 {
				text = append(text, ':')
			}
		case v4 && p > 5:
			sep := byte('.')
			if p == 6 {
				sep = ':'
			}
			text = fmt.Appendf(text, "%c%d", sep, n.addr[2*p])
			if p != 7 || n.bits > 120 {
				text = fmt.Appendf(text, ".%d", n.addr[2*p+1])
			}
		default:
			if len(text) > 0 {
				text = append(text, ':')
			}
			text = strconv.AppendInt(text, int64(w), 16)
		}
	}
	return string(text) + length
}

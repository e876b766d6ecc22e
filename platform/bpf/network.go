package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"time"
)

// What of a Network event: what was done with a socket.
const (
	Connect     = iota // TCP, once the outcome is known; vsock, as connect(2) returns it
	Accept             // TCP, vsock
	Listen             // TCP, vsock
	Close              // TCP: the connection is over, or nothing listens any more
	Socket             // raw, of packets or of XDP, was made
	UnixConnect        // of a stream or of datagrams
	Send               // UDP, UDP-Lite: the first datagram of the process to the remote address
	DNSQuery
	DNSResponse
	HeldSocket // not an event: a socket that there is
	networkWhats
)

// Direction of a connection.
type Direction uint8

const (
	Outbound Direction = 1 + iota
	Inbound
	Listening
)

// Address families, as Linux numbers them: address_families(7).
const (
	FamilyUnix   = 1
	FamilyInet   = 2
	FamilyInet6  = 10
	FamilyPacket = 17
	FamilyVsock  = 40
	FamilyXDP    = 44
)

// Connection is what a Network event tells of.
type Connection struct {
	Socket    uint64 // joins what is told of one socket; 0: not known
	Direction Direction
	Family    uint16
	Protocol  uint16         // of the internet protocol; of packets, their EtherType
	Local     netip.AddrPort // invalid: not known
	Remote    netip.AddrPort
	LocalVM   VMAddr // of vsock
	RemoteVM  VMAddr
	Namespace uint32 // inode of the network namespace
	Error     int    // number of an error; 0: none
	Type      uint8  // of Socket, as socket(2) takes it

	Sent, Received int64         // of Close and HeldSocket: bytes of data; of Send: of the first datagram
	Duration       time.Duration // of Connect until the outcome, of Close and HeldSocket since its begin, of DNSResponse since the query
	Path           string        // of UnixConnect and HeldSocket; an abstract one begins with @
	DNS            *DNS          // of DNSQuery and DNSResponse

	Held // of HeldSocket
}

// VMAddr is an address of vsock(7); the zero value: not known.
type VMAddr struct {
	CID  uint32 // context id: which machine
	Port uint32
}

// anyVM is VMADDR_CID_ANY, and VMADDR_PORT_ANY.
const anyVM = 1<<32 - 1

// String returns CID:PORT, with "any" for each that is not fixed.
func (a VMAddr) String() string {
	name := func(n uint32) string {
		if n == anyVM {
			return "any"
		}
		return strconv.FormatUint(uint64(n), 10)
	}
	return name(a.CID) + ":" + name(a.Port)
}

// vmAddr reads a port and a context id. A socket that has neither has no address.
func vmAddr(b []byte) VMAddr {
	a := VMAddr{Port: binary.LittleEndian.Uint32(b), CID: binary.LittleEndian.Uint32(b[4:])}
	if a == (VMAddr{anyVM, anyVM}) {
		return VMAddr{}
	}
	return a
}

// messageCut is of Event.Flags: the message of the DNS is not whole.
const messageCut Flags = 1

// networkSize is that of struct network of network.bpf.c.
const networkSize = 152

// network reads struct network and what is behind it.
func (e *Event) network(r reader, size int) error {
	if size < networkSize {
		return fmt.Errorf("network record of %d bytes, want %d at least", size, networkSize)
	}
	if e.What >= networkWhats {
		return fmt.Errorf("network record that tells of %d", e.What)
	}
	c := &Connection{Socket: r.u64(), Sent: int64(r.u64()), Received: int64(r.u64()), Duration: time.Duration(r.u64())}
	local, remote := r.bytes(16), r.bytes(16)
	localPort, remotePort := r.bytes(2), r.bytes(2)
	c.Family, c.Protocol, c.Namespace = r.u16(), r.u16(), r.u32()
	c.Error, c.Direction, c.Type = int(int32(r.u32())), Direction(r.u8()), r.u8()
	more := int(r.u16())
	r.bytes(4)
	if c.Family == FamilyPacket {
		c.Protocol = bits.ReverseBytes16(c.Protocol) // in network order: packet(7)
	}
	if c.Sent < 0 || c.Received < 0 || c.Duration < 0 || c.Error < 0 || c.Direction > Listening {
		return fmt.Errorf("network record: %d and %d bytes, %v, error %d, direction %d", c.Sent, c.Received, c.Duration, c.Error, c.Direction)
	}
	if e.What == HeldSocket {
		if len(r.rest) < heldSize {
			return fmt.Errorf("network record: %d bytes about an open socket, want %d", len(r.rest), heldSize)
		}
		c.Held = readHeld(&r)
	}
	if more > len(r.rest) {
		return fmt.Errorf("network record: %d bytes behind it, want %d", len(r.rest), more)
	}
	switch e.What {
	case UnixConnect, HeldSocket:
		c.Path = unixPath(r.bytes(more))
	case DNSQuery, DNSResponse:
		c.DNS = decodeDNS(r.bytes(more))
		c.DNS.Cut = e.Flags&messageCut != 0
	}
	if c.Family == FamilyVsock {
		c.LocalVM, c.RemoteVM = vmAddr(local), vmAddr(remote)
	}
	c.Local, c.Remote = addrPort(c.Family, local, localPort), addrPort(c.Family, remote, remotePort)
	e.Network = c
	return nil
}

// addrPort reads an address and a port in network order. An address of IPv4 in
// one of IPv6 is that of IPv4: so are the packets.
func addrPort(family uint16, address, port []byte) netip.AddrPort {
	var a netip.Addr
	switch family {
	case FamilyInet:
		a = netip.AddrFrom4([4]byte(address))
	case FamilyInet6:
		a = netip.AddrFrom16([16]byte(address)).Unmap()
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// unixPath returns the path of an address, of an abstract one all its bytes
// after @: unix(7).
func unixPath(b []byte) string {
	if len(b) > 0 && b[0] == 0 {
		return "@" + string(b[1:])
	}
	path, _, _ := bytes.Cut(b, []byte{0})
	return string(path)
}

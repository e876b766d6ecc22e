package collector

import (
	"fmt"
	"net/netip"
	"strconv"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// networkTable is network_events. Raw sockets are told of always: they are rare.
func networkTable() actionTable {
	return actionTable{
		name:   "network_events",
		events: networkEvents(),
		open:   func(b *event.Builder) func(*bpf.Event, *procfs.Process, *live) { return newNetwork(b).add },
		wanted: 1<<bpf.Connect | 1<<bpf.Accept | 1<<bpf.Listen | 1<<bpf.Socket,
	}
}

func networkEvents() []string {
	return []string{
		bpf.Connect: "connect", bpf.Accept: "accept", bpf.Listen: "listen", bpf.Close: "close",
		bpf.Socket: "socket", bpf.UnixConnect: "unix_connect",
		bpf.Send: "send", bpf.DNSQuery: "dns_query", bpf.DNSResponse: "dns_response",
	}
}

// network is the columns of network_events that are its own.
type network struct {
	events []string
	event, result, protocol, family, socketType, direction,
	localAddress, localPort, remoteAddress, remotePort, localVM, remoteVM,
	path, id, sent, received, duration, namespace,
	dnsName, dnsType, dnsRcode, dnsAddresses, dnsNames, dnsTexts, dnsTruncated *event.ColumnBuilder
}

func newNetwork(b *event.Builder) *network {
	return &network{
		events: networkEvents(), event: b.Column("event"), result: b.Column("result"), protocol: b.Column("protocol"), family: b.Column("address_family"),
		socketType: b.Column("socket_type"), direction: b.Column("direction"),
		localAddress: b.Column("local_address"), localPort: b.Column("local_port"),
		remoteAddress: b.Column("remote_address"), remotePort: b.Column("remote_port"),
		localVM: b.Column("local_vsock_address"), remoteVM: b.Column("remote_vsock_address"),
		path: b.Column("socket_path"), id: b.Column("socket_id"), sent: b.Column("bytes_sent"), received: b.Column("bytes_received"),
		duration: b.Column("duration"), namespace: b.Column("network_namespace"),
		dnsName: b.Column("dns_name"), dnsType: b.Column("dns_type"), dnsRcode: b.Column("dns_rcode"), dnsAddresses: b.Column("dns_addresses"),
		dnsNames: b.Column("dns_names"), dnsTexts: b.Column("dns_texts"), dnsTruncated: b.Column("dns_truncated"),
	}
}

func (n *network) add(e *bpf.Event, _ *procfs.Process, _ *live) {
	c := e.Network
	n.event.Text(n.events[e.What])
	n.result.Text(errorName(c.Error))
	n.family.Text(addressFamily(c.Family))
	n.protocol.Text(protocolName(c.Family, c.Protocol))
	n.direction.TextOrNull(direction(c.Direction))
	addressColumns(n.localAddress, n.localPort, c.Local)
	addressColumns(n.remoteAddress, n.remotePort, c.Remote)
	if c.LocalVM != (bpf.VMAddr{}) {
		n.localVM.Text(c.LocalVM.String())
	}
	if c.RemoteVM != (bpf.VMAddr{}) {
		n.remoteVM.Text(c.RemoteVM.String())
	}
	if c.Socket != 0 {
		n.id.Text(strconv.FormatUint(c.Socket, 16))
	}
	if c.Namespace != 0 {
		n.namespace.Int(int64(c.Namespace))
	}
	switch e.What {
	case bpf.Connect:
		if c.Socket != 0 {
			n.duration.Float(c.Duration.Seconds())
		}
	case bpf.Close:
		if c.Socket != 0 {
			n.duration.Float(c.Duration.Seconds())
		}
		if c.Direction != bpf.Listening {
			n.sent.Int(c.Sent)
			n.received.Int(c.Received)
		}
	case bpf.Socket:
		n.socketType.Text(socketType(c.Type))
	case bpf.UnixConnect:
		n.path.TextOrNull(cutPath(c.Path, maxAncestor))
	case bpf.Send:
		n.sent.Int(c.Sent)
	case bpf.DNSQuery:
		n.dns(c.DNS)
	case bpf.DNSResponse:
		n.duration.Float(c.Duration.Seconds())
		n.dns(c.DNS)
		n.dnsRcode.TextOrNull(c.DNS.Rcode)
		var addresses []string
		for _, a := range c.DNS.Addresses {
			addresses = append(addresses, a.String())
		}
		n.dnsAddresses.Texts(addresses)
		n.dnsNames.Texts(cleaned(c.DNS.Names))
		n.dnsTexts.Texts(cleaned(c.DNS.Texts))
	}
}

func (n *network) dns(d *bpf.DNS) {
	n.dnsName.TextOrNull(event.Clean(d.Name))
	n.dnsType.TextOrNull(d.Type)
	n.dnsTruncated.Bool(d.Cut)
}

// cleaned returns texts of a message, which is short, as a column holds them.
func cleaned(list []string) []string {
	clean := make([]string, len(list))
	for i, s := range list {
		clean[i] = event.Clean(s)
	}
	return clean
}

// addressColumns writes an address and a port; of a socket that has none, or
// not yet, it is left out.
func addressColumns(address, port *event.ColumnBuilder, a netip.AddrPort) {
	if !a.IsValid() || a.Port() == 0 && a.Addr().IsUnspecified() {
		return
	}
	address.Text(a.Addr().String())
	port.Int(int64(a.Port()))
}

func direction(d bpf.Direction) string {
	switch d {
	case bpf.Outbound:
		return "outbound"
	case bpf.Inbound:
		return "inbound"
	case bpf.Listening:
		return "listening"
	}
	return ""
}

func addressFamily(family uint16) string {
	switch family {
	case bpf.FamilyInet:
		return "ipv4"
	case bpf.FamilyInet6:
		return "ipv6"
	case bpf.FamilyUnix:
		return "unix"
	case bpf.FamilyPacket:
		return "packet"
	case bpf.FamilyVsock:
		return "vsock"
	case bpf.FamilyXDP:
		return "xdp"
	}
	return strconv.Itoa(int(family))
}

// protocolName returns the name of an internet protocol, as /etc/protocols has
// it, or of what packets carry, as linux/if_ether.h has it.
func protocolName(family, protocol uint16) string {
	name := ""
	switch family {
	case bpf.FamilyUnix, bpf.FamilyVsock, bpf.FamilyXDP:
		return addressFamily(family)
	case bpf.FamilyPacket:
		name = map[uint16]string{0: "none", 3: "all", 0x0800: "ip", 0x0806: "arp", 0x86dd: "ipv6", 0x8100: "vlan", 0x888e: "eapol", 0x88cc: "lldp"}[protocol]
		if name == "" {
			name = fmt.Sprintf("0x%04x", protocol)
		}
		return name
	}
	name = map[uint16]string{0: "ip", 1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp", 136: "udplite", 255: "raw", 262: "mptcp"}[protocol]
	if name == "" {
		name = strconv.Itoa(int(protocol))
	}
	return name
}

func socketType(t uint8) string {
	const dgram, raw, packet = 2, 3, 10
	switch t {
	case dgram:
		return "dgram"
	case raw:
		return "raw"
	case packet:
		return "packet"
	}
	return strconv.Itoa(int(t))
}

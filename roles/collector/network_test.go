//go:build linux

package collector

import (
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
)

// networkRow waits for a row of network_events.
func (a *testAgent) networkRow(what string, match func(row) bool) row {
	a.t.Helper()
	var found row
	a.await(what, func() bool {
		for _, b := range a.batches {
			for i := 0; i < b.Rows && b.Table.Name == "network_events"; i++ {
				if r := rowOf(b, i); match(r) {
					found = r
					return true
				}
			}
		}
		return false
	})
	return found
}

// TestNetworkEvents: what is always told of the network comes with who did it.
func TestNetworkEvents(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	p := start(t, self(t, "dial", at.String()), true)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddrPort(c.RemoteAddr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p.tell(t, true) // it tries again

	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := func(r row) bool { return r["pid"] == int64(p.Process.Pid) }
	server := func(r row) bool { return r["pid"] == int64(os.Getpid()) }
	for _, c := range []struct {
		name  string
		match func(row) bool
		want  row
	}{
		{"listen", func(r row) bool { return server(r) && r["event"] == "listen" && r["local_port"] == int64(at.Port()) }, row{
			"direction": "listening", "local_address": "127.0.0.1", "remote_address": nil, "remote_port": nil, "result": "success", "duration": nil,
		}},
		{"accept", func(r row) bool { return server(r) && r["event"] == "accept" && r["remote_port"] == int64(from.Port()) }, row{
			"direction": "inbound", "local_address": "127.0.0.1", "local_port": int64(at.Port()), "remote_address": "127.0.0.1", "result": "success", "executable_path": path,
		}},
		{"connect", func(r row) bool { return client(r) && r["result"] == "success" }, row{
			"event": "connect", "direction": "outbound", "source": "ebpf", "protocol": "tcp", "address_family": "ipv4",
			"local_address": "127.0.0.1", "local_port": int64(from.Port()), "remote_address": "127.0.0.1", "remote_port": int64(at.Port()),
			"bytes_sent": nil, "bytes_received": nil, "socket_type": nil, "socket_path": nil,
			"executable_path": path, "command_line": path + " " + at.String(), "ppid": int64(os.Getpid()), "parent_executable_path": path, "user_id": int64(os.Getuid()),
		}},
		{"refused connect", func(r row) bool { return client(r) && r["result"] != "success" }, row{
			"event": "connect", "result": "ECONNREFUSED", "direction": "outbound", "remote_address": "127.0.0.1", "remote_port": int64(at.Port()), "executable_path": path,
		}},
	} {
		r := a.networkRow(c.name, c.match)
		for column, want := range c.want {
			if r[column] != want {
				t.Errorf("%s: %s is %v, want %v", c.name, column, r[column], want)
			}
		}
		if id, _ := r["socket_id"].(string); id == "" {
			t.Errorf("%s: socket_id is %v", c.name, r["socket_id"])
		}
	}
}

// networkRows returns the rows that become of events.
func networkRows(t *testing.T, events ...bpf.Event) []row {
	t.Helper()
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	redact, err := newRedactor(Redaction{})
	if err != nil {
		t.Fatal(err)
	}
	rows := newRows(redact, nil)
	a := newActions(networkTable(), &outbox{builder: event.NewBuilder(event.Lookup("network_events"))})
	l := newLive(e, rows, false)
	for i := range events {
		if err := a.add(&events[i], l, lineage{}); err != nil {
			t.Fatal(err)
		}
	}
	b := a.builder.Batch()
	var list []row
	for i := range b.Rows {
		list = append(list, rowOf(b, i))
	}
	return list
}

func TestNetworkRows(t *testing.T) {
	local, remote := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("192.0.2.9:443")
	for _, c := range []struct {
		name  string
		event bpf.Event
		want  row
	}{
		{"close", bpf.Event{What: bpf.Close, PID: 7, Start: time.Second, Name: "curl", Network: &bpf.Connection{
			Socket: 0xabc, Direction: bpf.Outbound, Family: bpf.FamilyInet6, Protocol: 6, Local: local, Remote: remote, Error: 104, Sent: 5, Received: 6, Duration: 1500 * time.Millisecond, Namespace: 9,
		}}, row{
			"event": "close", "result": "ECONNRESET", "socket_id": "abc", "bytes_sent": int64(5), "bytes_received": int64(6), "duration": 1.5, "network_namespace": int64(9),
			"address_family": "ipv6", "local_address": "2001:db8::1", "local_port": int64(40000), "remote_address": "192.0.2.9", "remote_port": int64(443), "pid": int64(7), "name": "curl",
		}},
		{"nobody's", bpf.Event{What: bpf.Close, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 6, Local: remote, Remote: remote}}, row{
			"event": "close", "result": "success", "pid": nil, "entity_id": nil, "name": nil, "ppid": nil, "direction": nil, "socket_id": nil, "duration": nil, "bytes_sent": int64(0),
		}},
		{"packets", bpf.Event{What: bpf.Socket, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyPacket, Protocol: 3, Type: 3, Error: 1}}, row{
			"event": "socket", "protocol": "all", "address_family": "packet", "socket_type": "raw", "result": "EPERM", "local_address": nil, "local_port": nil,
		}},
		{"raw", bpf.Event{What: bpf.Socket, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 200, Type: 3}}, row{"protocol": "200", "result": "success"}},
		{"send", bpf.Event{What: bpf.Send, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 17, Local: remote, Remote: remote, Sent: 9}}, row{
			"event": "send", "protocol": "udp", "bytes_sent": int64(9), "duration": nil, "dns_name": nil, "dns_truncated": nil,
		}},
		{"question", bpf.Event{What: bpf.DNSQuery, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 17, DNS: &bpf.DNS{Name: "\xff\x1b.example", Type: "A", Rcode: "NOERROR", Cut: true}}}, row{
			"event": "dns_query", "dns_name": event.Clean("\xff\x1b.example"), "dns_type": "A", "dns_rcode": nil, "dns_addresses": nil, "dns_truncated": true,
		}},
		{"answer", bpf.Event{What: bpf.DNSResponse, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 17, Duration: time.Second, DNS: &bpf.DNS{
			Name: "a.example", Type: "A", Rcode: "NOERROR", Addresses: []netip.Addr{remote.Addr()}, Names: []string{"b.example"}, Texts: []string{"\x00"},
		}}}, row{
			"event": "dns_response", "dns_rcode": "NOERROR", "duration": 1.0, "dns_truncated": false,
			"dns_addresses": []string{"192.0.2.9"}, "dns_names": []string{"b.example"}, "dns_texts": []string{event.Clean("\x00")},
		}},
		{"vsock", bpf.Event{What: bpf.Connect, PID: 7, Network: &bpf.Connection{
			Family: bpf.FamilyVsock, Direction: bpf.Outbound, RemoteVM: bpf.VMAddr{CID: 2, Port: 1<<32 - 2}, Error: 19,
		}}, row{
			"event": "connect", "protocol": "vsock", "address_family": "vsock", "local_vsock_address": nil, "remote_vsock_address": "2:4294967294",
			"remote_address": nil, "remote_port": nil, "duration": nil, "result": "ENODEV",
		}},
		{"vsock, anywhere", bpf.Event{What: bpf.Listen, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyVsock, LocalVM: bpf.VMAddr{CID: 1<<32 - 1, Port: 7}}}, row{
			"local_vsock_address": "any:7", "remote_vsock_address": nil,
		}},
		{"XDP", bpf.Event{What: bpf.Socket, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyXDP, Type: 3}}, row{"protocol": "xdp", "address_family": "xdp", "socket_type": "raw"}},
		{"UDP-Lite", bpf.Event{What: bpf.Send, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 136}}, row{"protocol": "udplite"}},
		{"unix", bpf.Event{What: bpf.UnixConnect, PID: 7, Network: &bpf.Connection{Family: bpf.FamilyUnix, Path: "@\xff\x1b[2J", Error: 111}}, row{
			"event": "unix_connect", "protocol": "unix", "address_family": "unix", "socket_path": event.Clean("@\xff\x1b[2J"), "result": "ECONNREFUSED",
		}},
	} {
		r := networkRows(t, c.event)[0]
		for column, want := range c.want {
			if !reflect.DeepEqual(r[column], want) {
				t.Errorf("%s: %s is %#v, want %#v", c.name, column, r[column], want)
			}
		}
	}
}

// TestLease: what is not told always is told while the agent needs it.
func TestLease(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true})
	a.scan(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int64(netip.MustParseAddrPort(l.Addr().String()).Port())
	dial := func() {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
		}
		_ = c.Close()
	}
	told := func(want string) {
		t.Helper()
		a.await(want, func() bool { return len(a.beats) > 0 && slices.Contains(a.beats[len(a.beats)-1].Told, want) })
	}
	closed := func(r row) bool { return r["event"] == "close" && r["remote_port"] == port }

	told("network_events: connect, accept, listen, socket")
	dial()
	a.networkRow("connect", func(r row) bool { return r["event"] == "connect" && r["remote_port"] == port })
	a.needs <- api.Needs{Tables: []api.Need{{Table: "network_events", Events: []string{"close"}}, {Table: "no_such_table"}}}
	told("network_events: connect, accept, listen, close, socket")
	a.mu.Lock()
	early := 0
	for _, b := range a.batches {
		for i := 0; i < b.Rows && b.Table.Name == "network_events"; i++ {
			if closed(rowOf(b, i)) {
				early++
			}
		}
	}
	a.mu.Unlock()
	if early > 0 {
		t.Errorf("%d connections were told to be closed before it was needed", early)
	}
	dial()
	a.networkRow("close", closed)
	a.needs <- api.Needs{}
	told("network_events: connect, accept, listen, socket")
}

// TestLeaseEnds: without another answer a collector tells no more than always.
func TestLeaseEnds(t *testing.T) {
	a := newTestAgent(t)
	a.watch(Config{Interval: time.Hour, NoHash: true, leaseTime: time.Second})
	a.scan(1)
	told := func(events string) {
		t.Helper()
		want := "network_events: connect, accept, listen, " + events
		a.await(want, func() bool { return len(a.beats) > 0 && slices.Contains(a.beats[len(a.beats)-1].Told, want) })
	}
	a.needs <- api.Needs{Tables: []api.Need{{Table: "network_events"}}}
	told("close, socket, unix_connect, send, dns_query, dns_response")
	told("socket")
}

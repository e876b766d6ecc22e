//go:build linux

package collector

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

func TestConnectionRows(t *testing.T) {
	e, err := procfs.NewEnumerator(procfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	redact, err := newRedactor(Redaction{})
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{live: newLive(e, newRows(redact, nil), false)}
	local, remote := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("192.0.2.9:443")
	none := netip.MustParseAddrPort("0.0.0.0:0")
	for _, x := range []struct {
		name  string
		event bpf.Event
		want  row
	}{
		{"established", bpf.Event{PID: 7, Start: time.Second, Name: "a\x1b\xff", Network: &bpf.Connection{
			Socket: 0xabc, Direction: bpf.Outbound, Family: bpf.FamilyInet6, Protocol: 6, Local: local, Remote: remote, Namespace: 9, Sent: 5, Received: 6, Duration: 1500 * time.Millisecond,
			Held: bpf.Held{State: bpf.Established, Open: true, Whole: true, Inode: 11, UID: 1000},
		}}, row{
			"protocol": "tcp", "address_family": "ipv6", "state": "established", "direction": "outbound", "local_address": "2001:db8::1", "local_port": int64(40000),
			"remote_address": "192.0.2.9", "remote_port": int64(443), "socket_id": "abc", "duration": 1.5, "network_namespace": int64(9), "bytes_sent": int64(5),
			"bytes_received": int64(6), "inode": int64(11), "socket_user_id": int64(1000), "open": true, "pid": int64(7), "name": event.Clean("a\x1b\xff"), "source": "ebpf",
		}},
		{"nobody's", bpf.Event{Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 6, Local: remote, Remote: remote, Held: bpf.Held{State: bpf.TimeWait}}}, row{
			"state": "time_wait", "open": false, "pid": nil, "entity_id": nil, "name": nil, "direction": nil, "socket_id": nil, "duration": nil, "bytes_sent": nil, "inode": nil, "socket_user_id": nil,
		}},
		{"listener", bpf.Event{PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 262, Local: remote, Remote: none, Held: bpf.Held{State: bpf.Listens, Open: true, Whole: true, Inode: 1}}}, row{
			"protocol": "mptcp", "state": "listen", "direction": "listening", "remote_address": nil, "remote_port": nil, "bytes_sent": nil,
		}},
		{"udp", bpf.Event{PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 17, Local: remote, Remote: none, Held: bpf.Held{State: bpf.Closed, Open: true, Whole: true}}}, row{
			"protocol": "udp", "state": "close", "direction": nil, "bytes_sent": nil,
		}},
		{"unix", bpf.Event{PID: 7, Network: &bpf.Connection{Family: bpf.FamilyUnix, Path: "@\xff\x1b[2J", Held: bpf.Held{State: 99}}}, row{
			"protocol": "unix", "address_family": "unix", "state": "99", "socket_path": event.Clean("@\xff\x1b[2J"), "local_address": nil,
		}},
	} {
		rows := newConnectionRows(event.NewBuilder(event.Lookup("network_connections")))
		if rest := rows.add(c, []bpf.Event{x.event}); len(rest) != 0 {
			t.Errorf("%s: %d are left", x.name, len(rest))
		}
		b, err := event.Decode(rows.encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := rowOf(b, 0)
		for column, want := range x.want {
			if !reflect.DeepEqual(r[column], want) {
				t.Errorf("%s: %s is %#v, want %#v", x.name, column, r[column], want)
			}
		}
	}

	// A batch has no more rows than others have.
	rows := newConnectionRows(event.NewBuilder(event.Lookup("network_connections")))
	many := make([]bpf.Event, maxBatchRows+5)
	for i := range many {
		many[i] = bpf.Event{PID: 7, Network: &bpf.Connection{Family: bpf.FamilyInet, Protocol: 6, Local: local, Remote: remote}}
	}
	if rest := rows.add(c, many); len(rest) != 5 || rows.Rows() != maxBatchRows {
		t.Errorf("%d rows, %d left of %d", rows.Rows(), len(rest), len(many))
	}
	c.live = nil // the source has ended
	if rest := rows.add(c, many); len(rest) != 0 {
		t.Errorf("%d are left without a source", len(rest))
	}
}

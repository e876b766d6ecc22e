package bpf

import (
	"net/netip"
	"testing"
	"time"
)

// networkRecord is a record as network.bpf.c writes it.
func networkRecord(what uint32, more string) []byte {
	b := make([]byte, networkSize)
	put(b, 8, 8, uint64(5*time.Second))
	put(b, 24, 4, 4242)
	b[30] = byte(Network)
	put(b, 44, 4, uint64(what))
	put(b, 64, 8, 77)                      // socket
	put(b, 72, 8, 1000)                    // sent
	put(b, 80, 8, 2000)                    // received
	put(b, 88, 8, uint64(3*time.Second))   // duration
	copy(b[96:], []byte{192, 0, 2, 1})     // local
	copy(b[112:], []byte{198, 51, 100, 7}) // remote
	copy(b[128:], []byte{0x80, 1, 1, 0xbb})
	put(b, 132, 2, FamilyInet)
	put(b, 134, 2, 6)
	put(b, 136, 4, 4026531840)
	b[144] = byte(Outbound)
	put(b, 146, 2, uint64(len(more)))
	return append(b, more...)
}

func TestDecodeNetwork(t *testing.T) {
	e, err := Decode(networkRecord(Close, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := Connection{
		Socket: 77, Direction: Outbound, Family: FamilyInet, Protocol: 6, Namespace: 4026531840, Sent: 1000, Received: 2000, Duration: 3 * time.Second,
		Local: netip.MustParseAddrPort("192.0.2.1:32769"), Remote: netip.MustParseAddrPort("198.51.100.7:443"),
	}
	if e.Kind != Network || e.What != Close || *e.Network != want {
		t.Errorf("%+v of %+v, want %+v", *e.Network, e, want)
	}
	mapped := networkRecord(Accept, "")
	put(mapped, 132, 2, FamilyInet6)
	copy(mapped[112:], []byte{10: 0xff, 11: 0xff, 12: 203, 13: 0, 14: 113, 15: 9})
	if e, err := Decode(mapped); err != nil || e.Network.Remote.Addr() != netip.MustParseAddr("203.0.113.9") || !e.Network.Local.Addr().Is6() {
		t.Errorf("%+v, error %v, want a remote address of IPv4", e.Network, err)
	}
	for in, want := range map[string]string{"": "", "/run/x\x00yz": "/run/x", "/run/x": "/run/x", "\x00a\x00b": "@a\x00b"} {
		if e, err := Decode(networkRecord(UnixConnect, in)); err != nil || e.Network.Path != want {
			t.Errorf("path %q, error %v, want %q", e.Network.Path, err, want)
		}
	}
}

func TestDecodeNetworkRefuses(t *testing.T) {
	whole := networkRecord(UnixConnect, "/run/x")
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are a record", n, len(whole))
		}
	}
	for name, change := range map[string]func(b []byte){
		"what":      func(b []byte) { put(b, 44, 4, networkWhats) },
		"bytes":     func(b []byte) { put(b, 72, 8, 1<<63) },
		"duration":  func(b []byte) { put(b, 88, 8, 1<<63) },
		"error":     func(b []byte) { put(b, 140, 4, 1<<31) },
		"direction": func(b []byte) { b[144] = 4 },
		"more text": func(b []byte) { put(b, 146, 2, 7) },
	} {
		b := networkRecord(UnixConnect, "/run/x")
		change(b)
		if e, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, e.Network)
		}
	}
}

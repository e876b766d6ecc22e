//go:build linux && (amd64 || arm64)

package bpf

import "github.com/cilium/ebpf"

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types network network.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

func setNetwork(spec *ebpf.CollectionSpec) error {
	// As in network.bpf.c.
	const socket, connect, listen, accept, send, socketcall = 1, 2, 3, 4, 5, 6
	return setCalls(spec, map[string]uint8{
		"socket": socket, "connect": connect, "listen": listen, "accept": accept, "accept4": accept,
		"bind": send, "sendto": send, "sendmsg": send, "sendmmsg": send, "socketcall": socketcall,
	})
}

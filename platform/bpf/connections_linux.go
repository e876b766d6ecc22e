//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types connections connections.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

// connections is the programs that list the sockets.
type connections struct {
	mu    sync.Mutex // one enumeration at a time
	links []*link.Iter
	err   error // why there are none
	bufs  pieces
}

// loadConnections loads and attaches them. A kernel that refuses them is noted.
func (s *Source) loadConnections(kernel *btf.Spec, withUnix bool) {
	c := &s.connections
	programs, err := s.loadPart(part{load: loadConnections, set: func(spec *ebpf.CollectionSpec) error {
		return setVariables(spec, map[string]any{"with_unix": withUnix})
	}}, kernel)
	// Those that processes have open come first.
	for _, name := range []string{"connections_open", "connections_tcp", "connections_udp"} {
		if err != nil {
			break
		}
		var l *link.Iter
		if l, err = link.AttachIter(link.IterOptions{Program: programs.Programs[name]}); err == nil {
			c.links = append(c.links, l)
		}
	}
	if err != nil {
		c.err = explain(fmt.Errorf("list sockets: %w", err))
		s.limit("current connections", err)
	}
}

func (c *connections) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	c.links, c.err = nil, fmt.Errorf("list sockets: %w", os.ErrClosed)
	return errors.Join(errs...)
}

// Connections yields the sockets of TCP and UDP that there are, until yield
// returns false: first each with each process that has it open, in all network
// namespaces; then those of this network namespace that none has, the process
// being the one that was last seen to use it, if any. With Config.UnixSockets
// Unix sockets are among the first.
func (s *Source) Connections(yield func(*Event) bool) error {
	c := &s.connections
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	seen := newSeen()
	for i, l := range c.links {
		r, err := l.Open()
		if err != nil {
			return explain(fmt.Errorf("list sockets: %w", err))
		}
		more := true
		err = c.bufs.read(r, func(e *Event) bool {
			isNew := seen.unheld
			if i == 0 {
				isNew = seen.held
			}
			more = !isNew(e) || yield(e)
			return more
		})
		_ = r.Close()
		if err != nil {
			return fmt.Errorf("eBPF: list sockets: %w", err)
		}
		if !more {
			break
		}
	}
	return nil
}

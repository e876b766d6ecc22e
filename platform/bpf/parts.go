//go:build linux && (amd64 || arm64)

package bpf

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// part is an object of programs that a kernel may refuse; the others then run
// without them.
type part struct {
	what string // for people, in the plural
	load func() (*ebpf.CollectionSpec, error)
	set  func(*ebpf.CollectionSpec) error // its variables; may be nil
}

// parts are all of them; never changed.
var parts = []part{
	{"changes of processes and of the kernel", loadSystem, setSystem},
	{"network events", loadNetwork, setNetwork},
	{"file events", loadFiles, setFileCalls},
}

// setCalls says what each system call, by name, is to the programs of a part
// that has syscall.h.
func setCalls(spec *ebpf.CollectionSpec, what map[string]uint8) error {
	calls, compat, err := numberCalls(what, runtime.GOARCH)
	if err != nil {
		return err
	}
	for name, value := range map[string]any{"calls": calls, "compat_calls": compat} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// open loads a part, which shares the maps of the programs for processes, and
// attaches each of its programs.
func (s *Source) open(p part, kernel *btf.Spec) error {
	spec, err := p.load()
	if err != nil {
		return fmt.Errorf("read the programs: %w", err)
	}
	if p.set != nil {
		if err := p.set(spec); err != nil {
			return err
		}
	}
	if v := spec.Variables["has_fetch"]; v != nil {
		if err := v.Set(hasFetch()); err != nil {
			return fmt.Errorf("set has_fetch: %w", err)
		}
	}
	options := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}, MapReplacements: map[string]*ebpf.Map{}}
	for name, m := range map[string]*ebpf.Map{"ring": s.Ring, "counters": s.Counters, "asleep": s.Asleep, "wanted": s.Wanted, "scratches": s.Scratches} {
		if spec.Maps[name] != nil {
			spec.Maps[name].MaxEntries = m.MaxEntries()
			options.MapReplacements[name] = m
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, c)
	if m := c.Maps["protected"]; m != nil {
		if s.protected, err = m.Memory(); err != nil {
			return fmt.Errorf("map what is protected: %w", err)
		}
	}
	for name, program := range c.Programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, err)
		}
		s.links = append(s.links, l)
	}
	return nil
}

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
	{"file events by way of a link, or a mount, in the path that was passed", loadTouched, setTouched},
}

// setVariables sets variables of programs, by name.
func setVariables(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// setCalls says what each system call, by name, is to the programs of a part
// that has syscall.h.
func setCalls(spec *ebpf.CollectionSpec, what map[string]uint8) error {
	calls, compat, err := numberCalls(what, runtime.GOARCH)
	if err != nil {
		return err
	}
	return setVariables(spec, map[string]any{"calls": calls, "compat_calls": compat})
}

// loadedPart is a part whose programs are in the kernel, not attached yet.
type loadedPart struct {
	what     string
	programs map[string]*ebpf.Program
}

// loadParts loads all parts; those that the kernel refuses are noted as limits.
func (s *Source) loadParts(kernel *btf.Spec) (list []loadedPart) {
	for _, p := range parts {
		c, err := s.loadPart(p, kernel)
		if err != nil {
			s.limit(p.what, err)
			continue
		}
		list = append(list, loadedPart{p.what, c.Programs})
	}
	return list
}

// loadPart loads a part, which shares the maps of the programs for processes.
func (s *Source) loadPart(p part, kernel *btf.Spec) (*ebpf.Collection, error) {
	spec, err := p.load()
	if err != nil {
		return nil, fmt.Errorf("read the programs: %w", err)
	}
	if p.set != nil {
		if err := p.set(spec); err != nil {
			return nil, err
		}
	}
	if spec.Variables["has_fetch"] != nil {
		if err := setVariables(spec, map[string]any{"has_fetch": s.fetch}); err != nil {
			return nil, err
		}
	}
	options := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}, MapReplacements: map[string]*ebpf.Map{}}
	for name, m := range map[string]*ebpf.Map{"ring": s.Ring, "counters": s.Counters, "readings": s.Readings, "budgets": s.Budgets, "wanted": s.Wanted, "scratches": s.Scratches} {
		if spec.Maps[name] != nil {
			spec.Maps[name].MaxEntries = m.MaxEntries()
			options.MapReplacements[name] = m
		}
	}
	for _, c := range s.parts { // sockets, of what tells of network events, and what files were touched
		for _, name := range []string{"sockets", "touches"} {
			if m := c.Maps[name]; m != nil && spec.Maps[name] != nil {
				options.MapReplacements[name] = m
			}
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		return nil, err
	}
	s.parts = append(s.parts, c)
	if m := c.Maps["protected"]; m != nil {
		if s.protected, err = m.Memory(); err != nil {
			return nil, fmt.Errorf("map what is protected: %w", err)
		}
	}
	return c, nil
}

// attachAll attaches each of the programs of a part.
func (s *Source) attachAll(programs map[string]*ebpf.Program) error {
	for name, program := range programs {
		if err := s.attach(name, program); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) attach(name string, program *ebpf.Program) error {
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, err)
	}
	s.links = append(s.links, l)
	return nil
}

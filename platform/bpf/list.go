//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"daemoneye/platform/procfs"
)

// list is the program that lists the processes.
type list struct {
	mu      sync.Mutex // one at a time: they share a scratch
	program *ebpf.Program
	link    *link.Iter
	err     error // why there is none
	buf     []byte
}

// load loads the program, which needs more of the kernel than the others do.
func (l *list) load(spec *ebpf.CollectionSpec, options ebpf.CollectionOptions) {
	fail := func(err error) { l.err = explain(fmt.Errorf("list processes: %w", err)) }
	c, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		fail(err)
		return
	}
	defer c.Close()
	l.program = c.DetachProgram("process_list")
	if l.link, err = link.AttachIter(link.IterOptions{Program: l.program}); err != nil {
		fail(err)
	}
}

func (l *list) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.link != nil {
		errs = append(errs, l.link.Close())
	}
	if l.program != nil {
		errs = append(errs, l.program.Close())
	}
	return errors.Join(errs...)
}

// List yields the processes that the kernel's iterator finds, as events of kind
// Task, until yield returns false. Of arguments it has 8 KiB; what is cut or
// could not be read is flagged. Process 1 may be missing.
func (s *Source) List(yield func(*Event) bool) error {
	l := &s.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	r, err := l.link.Open()
	if err != nil {
		return explain(fmt.Errorf("list processes: %w", err))
	}
	defer r.Close()
	if l.buf == nil {
		l.buf = make([]byte, 64<<10)
	}
	have := 0
	for {
		n, err := r.Read(l.buf[have:])
		have += n
		rest := l.buf[:have]
		for len(rest) >= 4 {
			size := int(binary.LittleEndian.Uint32(rest))
			if size < 0 || size > len(l.buf)-4 {
				return fmt.Errorf("eBPF: list processes: record of %d bytes", size)
			}
			if len(rest)-4 < size {
				break
			}
			e, err := Decode(rest[4 : 4+size])
			if err != nil {
				return fmt.Errorf("eBPF: list processes: %w", err)
			}
			if !yield(&e) {
				return nil
			}
			rest = rest[4+size:]
		}
		have = copy(l.buf, rest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("eBPF: list processes: %w", err)
		}
	}
}

// Processes is List for a scan, see procfs.Lister. The first process, which
// the iterator leaves out, and those whose arguments it cuts or that have none
// of their own any more are left to /proc.
func (s *Source) Processes(yield func(p *procfs.Process, whole bool) bool) error {
	const lacking = ArgsCut | ArgsUnread | ExecutableCut | CWDCut | NoPaths
	return s.List(func(e *Event) bool {
		p := e.Process
		if e.What == Dead {
			p.Threads = 0
		}
		return yield(p, e.Flags&lacking == 0 && (p.KernelThread || p.StartStack != 0))
	})
}

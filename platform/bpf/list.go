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
	bufs    pieces
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
	if err := l.bufs.read(r, yield); err != nil {
		return fmt.Errorf("eBPF: list processes: %w", err)
	}
	return nil
}

// pieces is the memory into which an iterator is read.
type pieces [2][]byte

// read yields the records that an iterator writes, each after its size, until
// yield returns false.
func (b *pieces) read(r io.Reader, yield func(*Event) bool) error {
	// The next piece is read while one is decoded.
	read, free := make(chan piece), make(chan []byte, len(b))
	for i := range b {
		if b[i] == nil {
			b[i] = make([]byte, 64<<10)
		}
		free <- b[i]
	}
	go func() {
		defer close(read)
		readPieces(r, free, read)
	}()
	defer func() {
		close(free)
		for range read { // until the goroutine has ended
		}
	}()
	for p := range read {
		for rest := p.records; len(rest) > 0; {
			size := 4 + int(binary.LittleEndian.Uint32(rest))
			e, err := Decode(rest[4:size])
			if err != nil {
				return err
			}
			if !yield(&e) {
				return nil
			}
			rest = rest[size:]
		}
		if errors.Is(p.err, io.EOF) {
			return nil
		}
		if p.err != nil {
			return p.err
		}
		free <- p.buf
	}
	return nil
}

// piece is whole records, each after its size, and the error that came after
// them.
type piece struct {
	buf     []byte
	records []byte // in buf
	err     error
}

// readPieces reads into the free buffers, of which there are two, one after the
// other, until an error or until no more come.
func readPieces(r io.Reader, free <-chan []byte, pieces chan<- piece) {
	var begun []byte // a record, in the other buffer
	for buf := range free {
		have := copy(buf, begun)
		n, err := r.Read(buf[have:])
		have += n
		whole, wrong := wholeRecords(buf[:have], len(buf)-4)
		if wrong != nil {
			err = wrong
		}
		begun = buf[whole:have]
		pieces <- piece{buf, buf[:whole], err}
		if err != nil {
			return
		}
	}
}

// wholeRecords returns how many bytes the whole records at the begin of b have.
func wholeRecords(b []byte, most int) (n int, err error) {
	for len(b)-n >= 4 {
		size := int(binary.LittleEndian.Uint32(b[n:]))
		if size < 0 || size > most {
			return n, fmt.Errorf("record of %d bytes", size)
		}
		if len(b)-n-4 < size {
			break
		}
		n += 4 + size
	}
	return n, nil
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

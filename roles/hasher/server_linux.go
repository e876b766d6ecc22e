package hasher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"daemoneye/platform/procfs"
)

const (
	// stall is for how long a file of /proc may hang: the kernel reads arguments
	// and environment from the memory of the process, which may lie in a file of
	// a file system that does not answer.
	stall = time.Second
	// maxHanging is how many reads may hang at once. Beyond it what hangs with
	// some is not read of anybody.
	maxHanging = 16
	maxIdle    = 2 // readers that are kept
	// fresh is for how long what was looked up by name is remembered.
	fresh = time.Second
)

// server answers the requests of one collector.
type server struct {
	stall time.Duration
	wg    sync.WaitGroup

	conn  io.ReadWriteCloser
	write sync.Mutex

	digester *procfs.Digester

	mu      sync.Mutex
	waiting int // requests that are not answered
	idle    []*reading
	hanging map[int32]procfs.FileSet // what can not be read now, by pid
	hangs   int                      // reads that do not come back
}

func newServer(conn io.ReadWriteCloser) *server {
	return &server{stall: stall, conn: conn, digester: procfs.NewDigester(0), hanging: map[int32]procfs.FileSet{}}
}

// serve answers until the connection ends; that is no error. A request that is
// none is. It closes the connection, and comes back when nothing works at an
// answer any more, but for a read that hangs.
func (s *server) serve() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer s.wg.Wait()
	defer s.conn.Close() // an answer may wait for who does not read it
	defer cancel()
	var buf [maxRequest]byte
	for {
		h, err := readHeader(s.conn)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if h.size > maxRequest {
			return fmt.Errorf("request of %d bytes", h.size)
		}
		body := buf[:h.size]
		if _, err := io.ReadFull(s.conn, body); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		var answer func()
		switch h.kind {
		case kindHash:
			e, err := parseHash(body)
			if err != nil {
				return err
			}
			answer = func() { s.hash(ctx, h, e) }
		case kindRead:
			ask, err := parseRead(body)
			if err != nil {
				return err
			}
			answer = func() { s.read(h, ask) }
		default:
			return fmt.Errorf("request of kind %d", h.kind)
		}
		s.mu.Lock()
		s.waiting++
		tooMany := s.waiting > maxRequests
		s.mu.Unlock()
		if tooMany {
			return fmt.Errorf("more than %d requests at once", maxRequests)
		}
		s.wg.Go(answer)
	}
}

// send sends an answer. If that fails the collector has gone, which serve sees,
// too.
func (s *server) send(message []byte) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	s.waiting-- // before the collector can know
	s.mu.Unlock()
	_, _ = s.conn.Write(finish(message))
}

func (s *server) hash(ctx context.Context, h header, e procfs.Executable) {
	d, n, err := s.digester.Digest(ctx, e)
	s.send(appendDigest(appendHeader(nil, h.kind, h.id), d, n, err))
}

func (s *server) read(h header, ask *procfs.Ask) {
	r, err := s.take(ask)
	if err != nil { // too many open files, if anything
		s.send(refuse(appendHeader(nil, h.kind, h.id), ask))
		return
	}
	r.out = appendHeader(r.out[:0], h.kind, h.id)
	switch {
	case len(ask.PIDs) == 0 && ask.Files == wantPIDs:
		r.pids()
	case len(ask.PIDs) == 0:
		r.passwd()
	case !s.records(r):
		s.send(s.abandon(r))
		return
	}
	s.send(r.out)
	s.put(r)
}

// refuse answers that nothing can be read.
func refuse(dst []byte, ask *procfs.Ask) []byte {
	for _, pid := range ask.PIDs {
		dst = procfs.AppendProcess(dst, pid, syscall.EMFILE)
	}
	return dst
}

// take returns an idle reader or a new one, with the limits of ask.
func (s *server) take(ask *procfs.Ask) (*reading, error) {
	s.mu.Lock()
	var r *reading
	if n := len(s.idle); n > 0 {
		r, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	s.mu.Unlock()
	if r == nil {
		local, err := procfs.NewLocal(*ask)
		if err != nil {
			return nil, err
		}
		r = &reading{local: local, refreshed: time.Now()}
	}
	if time.Since(r.refreshed) > fresh {
		r.local.Refresh()
		r.refreshed = time.Now()
	}
	r.local.SetLimits(*ask)
	r.ask, r.at, r.file, r.begun, r.finished = ask, 0, 0, false, false
	return r, nil
}

func (s *server) put(r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxIdle {
		s.idle = append(s.idle, r)
		return
	}
	_ = r.local.Close()
}

// reading is one request that reads.
type reading struct {
	local     *procfs.Local
	refreshed time.Time
	ask       *procfs.Ask

	mu        sync.Mutex
	out       []byte
	at        int         // process of ask whose record is made
	file      procfs.File // of it that is read now
	begun     bool        // the record is
	steps     int
	finished  bool
	abandoned bool
}

func (r *reading) pids() {
	pids, err := r.local.PIDs(nil)
	if err != nil || len(pids) > maxPIDs {
		return // no pid at all: there is none such /proc
	}
	r.out = appendPIDs(r.out, pids)
}

func (r *reading) passwd() {
	text, err := procfs.ReadPasswd()
	if err != nil || len(text) > maxPasswd {
		return // nobody has a name
	}
	r.out = append(r.out, text...)
}

// records reads until it has enough. It returns false when a read does not come
// back: then r belongs to the goroutine that waits for it.
func (s *server) records(r *reading) bool {
	done := make(chan struct{})
	go func() {
		s.process(r)
		r.mu.Lock()
		r.finished = true
		abandoned := r.abandoned
		r.mu.Unlock()
		if abandoned {
			s.returned(r)
			return
		}
		close(done)
	}()
	timer := time.NewTicker(s.stall)
	defer timer.Stop()
	for before := -1; ; {
		select {
		case <-done:
			return true
		case <-timer.C:
			r.mu.Lock()
			r.abandoned = r.steps == before && !r.finished
			before = r.steps
			abandoned := r.abandoned
			r.mu.Unlock()
			if abandoned {
				return false
			}
		}
	}
}

// process makes the records, until it is abandoned.
func (s *server) process(r *reading) {
	for i, pid := range r.ask.PIDs {
		hangs := s.hangsAt(pid)
		err := r.local.Begin(pid)
		if !r.step(func() { r.at, r.begun, r.out = i, true, procfs.AppendProcess(r.out, pid, err) }) {
			return
		}
		if err == 0 {
			for f := range r.ask.Files.All() {
				c := procfs.Content{Err: syscall.ETIMEDOUT}
				if !r.step(func() { r.file = f }) {
					return
				}
				if !hangs.Has(f) {
					c = r.local.Read(f)
				}
				if !r.step(func() { r.file, r.out = f+1, procfs.AppendContent(r.out, c) }) {
					return
				}
			}
			r.local.End()
		}
		if !r.step(func() { r.at, r.begun, r.file = i+1, false, 0 }) || len(r.out) >= enough {
			return
		}
	}
}

// step changes r unless it is abandoned.
func (r *reading) step(change func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.abandoned {
		return false
	}
	r.steps++
	change()
	return true
}

// abandon returns the answer as far as it has come, and remembers what hangs.
func (s *server) abandon(r *reading) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid := r.ask.PIDs[r.at]
	message := slices.Clone(r.out)
	if !r.begun {
		message = procfs.AppendProcess(message, pid, syscall.ETIMEDOUT)
	} else {
		for f := range r.ask.Files.All() {
			if f >= r.file {
				message = procfs.AppendContent(message, procfs.Content{Err: syscall.ETIMEDOUT})
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging[pid] |= procfs.Set(r.file)
	s.hangs++
	return message
}

// returned takes note that what was abandoned hangs no more.
func (s *server) returned(r *reading) {
	r.local.End()
	_ = r.local.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := r.ask.PIDs[r.at]
	s.hangs--
	if s.hanging[pid] &^= procfs.Set(r.file); s.hanging[pid] == 0 {
		delete(s.hanging, pid)
	}
}

// hangsAt returns which files of a process are not to be read now.
func (s *server) hangsAt(pid int32) (set procfs.FileSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs < maxHanging {
		return s.hanging[pid]
	}
	for _, files := range s.hanging {
		set |= files
	}
	return set
}

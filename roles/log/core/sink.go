package core

import (
	"io"
	"os"
	"sync"
	"time"
)

const (
	// patience is how long a line waits for a reader that reads again.
	patience = 200 * time.Millisecond
	// chunk is how much can be written to a pipe that poll(2) calls writable
	// without waiting: PIPE_BUF, pipe(7).
	chunk = 4096
)

// sink writes lines to w. When w is a pipe or a terminal that nobody reads,
// the first line waits for patience, the following ones not at all, and all
// of them are dropped and counted until w can be written again; the line
// before the next one says how many.
type sink struct {
	mu      sync.Mutex
	w       io.Writer
	lost    func(lines int64) []byte // the line that says how many were dropped
	file    *os.File                 // w, if it is one
	stuck   bool
	cut     bool // the last line was written in part
	dropped int64
}

func newSink(w io.Writer, lost func(int64) []byte) *sink {
	file, _ := w.(*os.File)
	return &sink{w: w, file: file, lost: lost}
}

// Write takes one line.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped > 0 {
		if !s.ready() {
			s.dropped++
			return len(line), nil
		}
		lost := s.lost(s.dropped)
		if s.cut {
			lost = append([]byte("\n"), lost...)
		}
		if _, err := s.w.Write(lost); err != nil {
			return 0, err
		}
		s.dropped, s.cut = 0, false
	}
	for rest := line; len(rest) > 0; {
		if !s.ready() {
			s.dropped++
			s.cut = s.cut || len(rest) < len(line)
			return len(line), nil
		}
		n, err := s.w.Write(rest[:min(chunk, len(rest))])
		if err != nil {
			return len(line) - len(rest) + n, err
		}
		rest = rest[n:]
	}
	return len(line), nil
}

// ready says whether a chunk can be written without waiting.
func (s *sink) ready() bool {
	if s.file == nil {
		return true
	}
	wait := patience
	if s.stuck {
		wait = 0
	}
	s.stuck = !writable(s.file, wait)
	return !s.stuck
}

// Sync does nothing: lines are not kept here, and fsync fails on pipes and
// terminals.
func (s *sink) Sync() error { return nil }

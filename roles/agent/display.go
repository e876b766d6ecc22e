package agent

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// display writes to standard output for a person without ever depending on who
// reads it: when that is gone it writes no more, and when it does not read,
// such as a terminal that was stopped with Ctrl-S, the end does not wait for it.
type display struct {
	log    *zap.Logger
	work   chan []byte
	result chan error
	ending chan struct{} // closed by end
	gaveUp chan struct{} // closed when no write is waited for any more

	one sync.Mutex // one Write at a time

	mu    sync.Mutex
	since time.Time // when the write under way began; zero: none is
	gone  time.Time // when the reader went away; zero: it has not
	err   error     // why
}

// displayPatience is how long a write may take before health mentions it.
const displayPatience = 5 * time.Second

// displayEnd is how long a write may take when the agent ends.
const displayEnd = 500 * time.Millisecond

var (
	errUnread = errors.New("nobody reads standard output")
	errClosed = errors.New("standard output is not written any more")
)

// newDisplay starts the goroutine that writes to w. A write can not be
// interrupted, so that goroutine outlives close when it hangs in one.
func newDisplay(w io.Writer, log *zap.Logger) *display {
	s := &display{log: log, work: make(chan []byte), result: make(chan error), ending: make(chan struct{}), gaveUp: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-s.work:
				_, err := w.Write(p)
				select {
				case s.result <- err:
				case <-s.gaveUp:
					return
				}
			case <-s.gaveUp:
				return
			}
		}
	}()
	return s
}

// Write waits until all of p is written.
func (s *display) Write(p []byte) (int, error) {
	s.one.Lock()
	defer s.one.Unlock()
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return 0, errUnread
	}
	s.since = time.Now()
	s.mu.Unlock()
	err := s.write(slices.Clone(p))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
	if err == nil {
		return len(p), nil
	}
	if !errors.Is(err, errClosed) {
		s.err, s.gone = err, time.Now()
		s.log.Warn("standard output can not be written, so alerts are printed no more; all else goes on", zap.Error(err))
	}
	return 0, err
}

// write gives p to the goroutine and waits for it, after end not for long.
func (s *display) write(p []byte) error {
	select {
	case <-s.gaveUp:
		return errClosed
	case s.work <- p:
	}
	select {
	case err := <-s.result:
		return err
	case <-s.ending:
	}
	timer := time.NewTimer(displayEnd)
	defer timer.Stop()
	select {
	case err := <-s.result:
		return err
	case <-timer.C:
		close(s.gaveUp) // s.one is held
		return errClosed
	}
}

// end says that writes are not to be waited for long any more.
func (s *display) end() { close(s.ending) }

// close ends the goroutine. What is written later is lost.
func (s *display) close() {
	s.one.Lock()
	defer s.one.Unlock()
	select {
	case <-s.gaveUp:
	default:
		close(s.gaveUp)
	}
}

// problem says what is wrong with standard output, "" when nothing is. shed
// is how many alerts had no room in its queue so far.
func (s *display) problem(shed uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return fmt.Sprintf("alerts are not printed since %s, because standard output can not be written: %v", s.gone.Format(time.TimeOnly), s.err)
	case !s.since.IsZero() && time.Since(s.since) > displayPatience:
		return fmt.Sprintf("alerts are not printed since %s, because nobody reads standard output; %d had no room to wait for that", s.since.Format(time.TimeOnly), shed)
	case shed > 0:
		return fmt.Sprintf("%d alerts were not printed, because they came faster than standard output took them", shed)
	}
	return ""
}

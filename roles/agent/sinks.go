package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"daemoneye/bus/event"
)

// jsonlSink appends alerts to a file, one JSON object a line. The file is
// opened again on Reopen, so that it can be rotated by renaming it.
type jsonlSink struct {
	path string

	mu   sync.Mutex
	file *os.File
	err  error // of the last write or open; nil after a good one
	lost int64 // alerts that could not be written
}

// nonBlocking makes the open of a pipe without a reader fail instead of wait.
const nonBlocking = syscall.O_NONBLOCK

// newJSONLSink opens path for appending; its directory must exist.
func newJSONLSink(path string) (*jsonlSink, error) {
	s := &jsonlSink{path: path}
	if err := s.reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *jsonlSink) reopen() error {
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|nonBlocking, 0o640)
	if err != nil {
		return fmt.Errorf("open alert file: %w; the agent's user must be able to write to %q", err, filepath.Dir(s.path))
	}
	// A pipe that nobody reads would hold up the rules.
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() && info.Mode()&os.ModeCharDevice == 0 {
		return errors.Join(fmt.Errorf("alert file %q is not a regular file", s.path), err, file.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file, s.err = file, nil
	return nil
}

// Reopen opens the file anew. On an error the old one stays in use.
func (s *jsonlSink) Reopen() error {
	err := s.reopen()
	if err != nil {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return err
}

// write appends one line in one write, so that lines of several writers do
// not mix.
func (s *jsonlSink) write(a *event.Alert) (err error) {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false) // it would make <, > and & six times as long
	if err := e.Encode(a); err != nil {
		return fmt.Errorf("encode alert %s: %w", a.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err = s.file.Write(line.Bytes()); err != nil {
		err = fmt.Errorf("write alert file: %w", err)
		s.lost++
	}
	s.err = err
	return err
}

// problem says what is wrong with the file, "" when nothing is.
func (s *jsonlSink) problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.lost == 0 {
		return ""
	}
	text := fmt.Sprintf("%d alerts could not be written to %s", s.lost, s.path)
	if s.err != nil {
		text += ": " + s.err.Error()
	}
	return text
}

func (s *jsonlSink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}

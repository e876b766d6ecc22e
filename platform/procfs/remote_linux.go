package procfs

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// remote reads through a Reader.
type remote struct {
	reader Reader
	ctx    context.Context // of the scan
	ask    Ask             // PIDs: those that were not read yet
	answer Answer
	next   int // of answer
	at     *Contents
}

func newRemote(r Reader, config Config) *remote {
	s := &remote{reader: r, ask: config.limits()}
	s.ask.Files = 1<<files - 1
	if !config.Environment {
		s.ask.Files &^= Set(FileEnviron)
	}
	return s
}

func (s *remote) prepare(ctx context.Context, pids []int32) {
	s.ctx, s.ask.PIDs, s.next, s.answer.Contents = ctx, pids, 0, s.answer.Contents[:0]
}

// begin reads many processes at once, the first of which has the pid.
func (s *remote) begin(int32) error {
	if s.next == len(s.answer.Contents) {
		if err := s.reader.Read(s.ctx, &s.ask, &s.answer); err != nil {
			s.answer = Answer{}
			return fmt.Errorf("%w: %w", errSource, err)
		}
		s.next, s.ask.PIDs = 0, s.ask.PIDs[len(s.answer.Contents):]
	}
	s.at = &s.answer.Contents[s.next]
	s.next++
	return asError(s.at.Err)
}

func (s *remote) End() {}

func (s *remote) read(f File) (b []byte, more bool, err error) {
	c := &s.at.Files[f]
	return c.Data, c.More, asError(c.Err)
}

func (s *remote) named(string, uint64, bool) (fileInfo, error) {
	c := &s.at.Files[FileNamed]
	return parseFileInfo(c.Data), asError(c.Err)
}

// asError returns nil for 0, which is an error by its type.
func asError(err syscall.Errno) error {
	if err == 0 {
		return nil
	}
	return err
}

// ReadThrough lets the Enumerator read nothing of /proc by itself any more.
func (e *Enumerator) ReadThrough(r Reader) {
	e.reader = r
	for _, w := range e.workers {
		w.source = newRemote(r, e.config)
	}
	unix.Close(e.proc)
	e.proc = -1
}

// Identify finds out which files the processes run of which the kernel has told
// and does not know the device by itself. Where that fails the process has none.
// It is to be called before Complete, of all that are at hand: each call may be
// a question to another process.
func (e *Enumerator) Identify(ctx context.Context, list []*Process) error {
	var unknown []*Process
	for _, p := range list {
		if p.ExecutableID.Inode != 0 && p.ExecutableID.Device == 0 {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	var from source = e.local
	if e.reader != nil {
		from = &remote{reader: e.reader, ask: Ask{Files: Set(FileExeInfo)}}
	}
	pids := make([]int32, len(unknown))
	for i, p := range unknown {
		pids[i] = p.PID
	}
	from.prepare(ctx, pids)
	var err error
	for _, p := range unknown {
		id := FileID{}
		if err == nil {
			id, err = runs(from, p.PID)
		}
		if id.Inode != p.ExecutableID.Inode {
			id = FileID{}
		}
		p.ExecutableID = id
	}
	return err
}

// runs returns what the process runs. The error is of the source.
func runs(from source, pid int32) (FileID, error) {
	if err := from.begin(pid); errors.Is(err, errSource) {
		return FileID{}, err
	} else if err != nil {
		return FileID{}, nil
	}
	defer from.End()
	b, _, err := from.read(FileExeInfo)
	if err != nil {
		return FileID{}, nil
	}
	return parseFileInfo(b).id, nil
}

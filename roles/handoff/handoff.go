// Package handoff is what the supervisor gives to the roles that it starts,
// over one inherited pipe: first a Start, then, to the agent, a Token for each
// collector that is started later. The pipe stays open as long as the
// supervisor lives; its end is the order to stop.
//
// Each message is one line of JSON. Only the parent writes.
package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// FD is the number of the pipe's descriptor in the child.
const FD = 3

// MaxMessage bounds one message; a configuration is far smaller.
const MaxMessage = 4 << 20

// Token lets one start of a collector prove itself to the agent.
type Token struct {
	Key []byte `json:"key"` // 32 bytes
	PID int    `json:"pid"` // the collector's; 0 in the collector's own Start
}

// Start is the first message.
type Start struct {
	Config      []byte         `json:"config"`      // the merged configuration, config.Marshal's form
	Correlation string         `json:"correlation"` // the same for all roles of one start of the supervisor
	Token       Token          `json:"token"`
	Dirs        map[string]int `json:"dirs,omitempty"`   // directory → inherited descriptor that is open on it
	Reason      int            `json:"reason"`           // descriptor for the Reason of the role's end; 0: none
	Restarts    int            `json:"restarts"`         // of this role, 0 at its first start
	Killed      *Killed        `json:"killed,omitempty"` // how the role's last process ended; nil: not by a signal
	Supervisor  int            `json:"supervisor"`       // pid
	Print       bool           `json:"print"`            // print the opening lines and alerts for a person
	Verbose     bool           `json:"verbose"`          // and each new process
	Invocation  string         `json:"invocation"`       // how a person runs the client for this instance
}

// Killed is a process that a signal has ended.
type Killed struct {
	PID    int `json:"pid"`
	Signal int `json:"signal"`
}

type message struct {
	Start *Start `json:"start,omitempty"`
	Token *Token `json:"token,omitempty"`
}

// Parent is the supervisor's end of the pipe to one child.
type Parent struct {
	mu sync.Mutex
	w  *os.File
}

// Pipe returns both ends. The child's is to be inherited as descriptor FD and
// then closed in the parent.
func Pipe() (*Parent, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make hand-off pipe: %w", err)
	}
	return &Parent{w: w}, r, nil
}

// Start sends the first message.
func (p *Parent) Start(s Start) error { return p.send(message{Start: &s}) }

// Token tells the agent of a new collector.
func (p *Parent) Token(t Token) error { return p.send(message{Token: &t}) }

func (p *Parent) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode hand-off: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("send hand-off: %w", err)
	}
	return nil
}

// Close ends the pipe, which stops the child if it still runs.
func (p *Parent) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.w.Close()
}

// Child is the receiving end.
type Child struct {
	file    *os.File
	decoder *json.Decoder
	limit   *io.LimitedReader
}

// Inherited opens the pipe that the supervisor left at descriptor FD and reads
// the first message.
func Inherited() (*Child, Start, error) {
	f, err := inherit()
	if err != nil {
		return nil, Start{}, err
	}
	c, start, err := receive(f)
	if start.Reason > FD { // it ends with this process, not with one that this one starts
		closeOnExec(start.Reason)
	}
	return c, start, err
}

func receive(f *os.File) (*Child, Start, error) {
	limit := &io.LimitedReader{R: f}
	c := &Child{file: f, limit: limit, decoder: json.NewDecoder(limit)}
	m, err := c.next()
	if err == nil && m.Start == nil {
		err = errors.New("the first message is not a start")
	}
	if err != nil {
		return nil, Start{}, fmt.Errorf("read hand-off pipe at descriptor %d: %w", FD, err)
	}
	return c, *m.Start, nil
}

func (c *Child) next() (message, error) {
	c.limit.N = MaxMessage
	var m message
	err := c.decoder.Decode(&m)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return m, err
}

// Follow calls onToken for each further token until the supervisor is gone or
// ctx ends; it returns nil in both cases. It closes the pipe.
func (c *Child) Follow(ctx context.Context, onToken func(Token)) error {
	stop := context.AfterFunc(ctx, func() { _ = c.file.Close() })
	defer stop()
	defer func() { _ = c.file.Close() }()
	for {
		m, err := c.next()
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read hand-off pipe: %w", err)
		case m.Token != nil && onToken != nil:
			onToken(*m.Token)
		}
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Error is a refusal or failure that one side told the other.
type Error struct {
	Code    string // one of the Code constants, or a handler's own
	Message string // for people
	Detail  []byte // as the handler and the requester agreed; nil for the bus's own errors
}

// Codes of the bus's own errors.
const (
	CodeRefused   = "refused"   // not admitted: credentials, token
	CodeDenied    = "denied"    // not in the access table
	CodeLimit     = "limit"     // too many connections, subscriptions or requests
	CodeProtocol  = "protocol"  // a malformed or unexpected frame
	CodeNotServed = "notserved" // listed, but this agent has no handler for it
	CodeCanceled  = "canceled"  // the handler stopped because its context ended
	CodeFailed    = "failed"    // a handler's error that is not an *Error
	CodeClosing   = "closing"   // the agent ends
)

func (e *Error) Error() string { return e.Message }

var (
	// ErrClosed: the connection, subscription, publisher or broker was closed on this side.
	ErrClosed = errors.New("bus closed")
	// ErrLost: the connection ended from the other side.
	ErrLost = errors.New("connection lost")
	// ErrFull: a Publisher holds as many unacknowledged frames as it may.
	ErrFull = errors.New("publisher is full")
	// ErrTooLarge: messages do not fit into one frame.
	ErrTooLarge = errors.New("messages exceed the frame limit")
	// ErrNotSupported: this platform has no such socket.
	ErrNotSupported = errors.New("not supported on this platform")
)

// withoutAddress is err without the addresses of a socket in its text: they are
// the names by which it was bound and reached, not the one that people know.
func withoutAddress(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	return &socketError{err, strings.Replace(err.Error(), op.Error(), op.Err.Error(), 1)}
}

type socketError struct {
	err  error
	text string
}

func (e *socketError) Error() string { return e.text }
func (e *socketError) Unwrap() error { return e.err }

// asWireError turns a handler's error into what goes over the wire.
func asWireError(err error) *wireError {
	var e *Error
	switch {
	case errors.As(err, &e):
		return &wireError{Code: e.Code, Message: e.Message, Detail: e.Detail}
	case errors.Is(err, context.Canceled):
		return &wireError{Code: CodeCanceled, Message: err.Error()}
	}
	return &wireError{Code: CodeFailed, Message: err.Error()}
}

func parseError(p *payload) error {
	var w wireError
	if err := parseControl(p, &w); err != nil {
		return err
	}
	return &Error{Code: w.Code, Message: w.Message, Detail: w.Detail}
}

func denied(role Role, verb Verb, name string) *Error {
	return &Error{Code: CodeDenied, Message: fmt.Sprintf("%s may not %s %q", role, verb, name)}
}

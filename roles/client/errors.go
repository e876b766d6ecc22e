package client

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"daemoneye/roles/term"
)

// Error is something that could not be done, with what people can do about it.
type Error struct {
	Err   error
	Caret string // source line and, below it, a caret; "" when there is no place
	Hint  string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// HintText says what can be done about it.
func (e *Error) HintText() string { return e.Hint }

// ErrNo is the answer "no", which was printed already: exit status 1 and
// nothing more to say.
var ErrNo = errors.New("the answer is no")

func usage(hint, format string, args ...any) error {
	return &term.UsageError{Message: fmt.Sprintf(format, args...), Hint: hint}
}

// PrintError writes err for a person, nothing for ErrNo:
//
//	daemoneye: line 1, column 8: column "cmdline" does not exist in processes
//	SELECT cmdline FROM processes
//	       ^
//	hint: did you mean "command_line"?
func PrintError(w io.Writer, err error) {
	if err == nil || errors.Is(err, ErrNo) {
		return
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		if i == 0 {
			b.WriteString("daemoneye: ")
		}
		b.WriteString(term.Escape(line) + "\n")
	}
	var placed *Error
	if errors.As(err, &placed) && placed.Caret != "" {
		writeCaret(&b, "", placed.Caret)
	}
	var hinted interface{ HintText() string }
	if errors.As(err, &hinted) && hinted.HintText() != "" {
		b.WriteString("hint: " + term.Escape(hinted.HintText()) + "\n")
	}
	_, _ = io.WriteString(w, b.String()) // there is nowhere left to say that it failed
}

// writeCaret writes a source line and its caret. Tabs become one space in
// both, so that the caret stays below its place.
func writeCaret(b *strings.Builder, indent, caret string) {
	for _, line := range strings.Split(caret, "\n") {
		b.WriteString(indent + term.Escape(strings.ReplaceAll(line, "\t", " ")) + "\n")
	}
}

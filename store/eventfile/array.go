package eventfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// array reads one JSON array of objects, an object at a time.
type array struct {
	in      *limited
	decoder *json.Decoder
	begun   bool
}

// limited is a reader that gives up after left bytes.
type limited struct {
	r    io.Reader
	left int
}

var errLongObject = fmt.Errorf("an object longer than %d bytes", maxLine)

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongObject
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// openArray returns an array when the first character that is not blank opens
// one, else nil with nothing read but blanks of the first buffer.
func openArray(r *bufio.Reader) *array {
	for i := range r.Size() {
		head, err := r.Peek(i + 1) // no more than is needed: a pipe may give the rest later
		if err != nil {
			return nil
		}
		switch c := head[i]; c {
		case ' ', '\t', '\r', '\n':
			continue
		case 0xef, 0xbb, 0xbf: // a byte order mark; anything else of them is no JSON anyway
			if i < 3 {
				continue
			}
		case '[':
			_, _ = r.Discard(i) // it is in the buffer
			in := &limited{r: r}
			return &array{in: in, decoder: json.NewDecoder(in)}
		}
		return nil
	}
	return nil
}

// next returns the next object, io.EOF after the array's end.
func (a *array) next() (map[string]json.RawMessage, error) {
	a.in.left = maxLine
	if !a.begun {
		a.begun = true
		if _, err := a.decoder.Token(); err != nil {
			return nil, unexpected(err)
		}
	}
	if !a.decoder.More() {
		if _, err := a.decoder.Token(); err != nil {
			return nil, unexpected(err)
		}
		if _, err := a.decoder.Token(); err != io.EOF {
			return nil, errors.New("more follows the array")
		}
		return nil, io.EOF
	}
	var row map[string]json.RawMessage
	if err := a.decoder.Decode(&row); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", unexpected(err))
	}
	if row == nil {
		return nil, errors.New("want a JSON object, not null")
	}
	return row, nil
}

// unexpected is err, which is not the end of the file where one may be.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

package fact

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth bounds how deep a payload nests.
const maxDepth = 32

// JSON returns a payload as JSON. Binary strings, and what is not UTF-8, become
// hex. The error is for what is no msgpack, or nests too deep; no length in it is
// believed before the bytes are there.
func JSON(payload []byte) ([]byte, error) {
	r := bytes.NewReader(payload)
	w := writer{d: msgpack.NewDecoder(r)}
	if len(payload) == 0 {
		return []byte("{}"), nil
	}
	if err := w.value(0); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("payload: %w", err)
	}
	if r.Len() > 0 {
		return nil, errors.New("payload: bytes follow the value")
	}
	return w.out, nil
}

type writer struct {
	d   *msgpack.Decoder
	out []byte
}

func (w *writer) value(depth int) error {
	if depth > maxDepth {
		return errors.New("nests too deep")
	}
	code, err := w.d.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return w.object(depth)
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return w.array(depth)
	case msgpcode.IsExt(code):
		return errors.New("has an extension")
	}
	v, err := w.d.DecodeInterface() // a scalar
	if err != nil {
		return err
	}
	return w.scalar(v)
}

func (w *writer) scalar(v any) error {
	switch text := v.(type) {
	case []byte:
		v = hex.EncodeToString(text)
	case string:
		if !utf8.ValidString(text) {
			v = hex.EncodeToString([]byte(text))
		}
	}
	b, err := json.Marshal(v)
	w.out = append(w.out, b...)
	return err
}

func (w *writer) object(depth int) error {
	n, err := w.d.DecodeMapLen()
	if err != nil {
		return err
	}
	w.out = append(w.out, '{')
	for i := range n {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		name, err := w.d.DecodeString()
		if err != nil {
			return err
		}
		if err := w.scalar(name); err != nil {
			return err
		}
		w.out = append(w.out, ':')
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *writer) array(depth int) error {
	n, err := w.d.DecodeArrayLen()
	if err != nil {
		return err
	}
	w.out = append(w.out, '[')
	for i := range n {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

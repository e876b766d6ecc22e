//go:build linux && (amd64 || arm64)

package bpf

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// However a list is cut into reads, its records come whole and in order.
func TestReadParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, got []byte
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 60), 0, 50).Draw(t, "sizes") {
			all = binary.LittleEndian.AppendUint32(all, uint32(n))
			all = append(all, bytes.Repeat([]byte{byte(len(all))}, n)...)
		}
		var r io.Reader = bytes.NewReader(all)
		if rapid.Bool().Draw(t, "half") {
			r = iotest.HalfReader(r)
		}
		free, pieces := make(chan []byte, 2), make(chan piece)
		free <- make([]byte, 64)
		free <- make([]byte, 64)
		go func() {
			defer close(pieces)
			readPieces(r, free, pieces)
		}()
		for p := range pieces {
			if n, err := wholeRecords(p.records, 60); n != len(p.records) || err != nil {
				t.Fatalf("%d of %d bytes are whole records, %v", n, len(p.records), err)
			}
			got = append(got, p.records...)
			if p.err == nil {
				free <- p.buf
			} else if p.err != io.EOF {
				t.Fatal(p.err)
			}
		}
		if !bytes.Equal(got, all) {
			t.Fatalf("%d bytes, want %d", len(got), len(all))
		}
	})
	if _, err := wholeRecords([]byte{61, 0, 0, 0}, 60); err == nil {
		t.Error("a record that is too large is accepted")
	}
}

package sql

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"math"
	"os"
	"unsafe"
)

// spill is rows in a temporary file, in parts by the hash of some columns: what
// a join or window takes that would not fit into memory, to be worked off part
// by part. Rows of a part keep their order.
type spill struct {
	operator string // whose rows these are
	types    []Type
	file     *os.File
	size     int64
	parts    [spillParts]spillPart
	lists    [spillParts][]int32 // of rows, by part, of the chunk at hand
}

// spillPart is what a part has in the file, and what is not written yet.
type spillPart struct {
	blocks []spillBlock
	rows   *rowStore
}

type spillBlock struct {
	offset   int64
	size     int
	checksum uint32
}

const (
	spillParts = 64
	spillBytes = 64 << 10 // of a part in memory, of a query that may use 64 MiB or more
)

// spills reports whether an operator that holds so many bytes, and will need
// some more for these, should spill now: before there is no room for others.
func (x *env) spills(held, more int) bool {
	return x.tempDir != "" && int64(held) > x.limit/8 && x.used.Load()+int64(more) > x.limit/8*5
}

// newSpill makes the file. Nobody else can open it, and it goes with the
// process, where a file that is open can be removed.
func (x *env) newSpill(operator string, types []Type) (*spill, error) {
	f, err := os.CreateTemp(x.tempDir, "query-*.tmp")
	if err != nil {
		return nil, spillError(operator, err)
	}
	_ = os.Remove(f.Name()) // elsewhere close does it
	s := &spill{operator: operator, types: types, file: f}
	for i := range s.parts {
		s.parts[i].rows = newRowStore(types)
	}
	return s, nil
}

func spillError(operator string, err error) error {
	return fail(codeTemporary, "temporary file of the %s: %v", operator, err)
}

func (s *spill) close(x *env) {
	x.tempUsed.Add(-s.size)
	for i := range s.parts {
		x.used.Add(-int64(s.parts[i].rows.size))
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// add takes the rows of c, whose keys are these columns.
func (s *spill) add(x *env, c *chunk, keys []*vector) error {
	if err := c.settle(); err != nil {
		return err
	}
	sel := c.rows()
	for i := range s.lists {
		s.lists[i] = s.lists[i][:0]
	}
	for k, h := range hashRows(keys, sel) {
		p := h >> 58 // the low bits choose slots of tables
		s.lists[p] = append(s.lists[p], sel[k])
	}
	for p, list := range s.lists {
		if len(list) == 0 {
			continue
		}
		rows := s.parts[p].rows
		if err := rows.add(x, s.operator, &chunk{n: c.n, sel: list, cols: c.cols}); err != nil {
			return err
		}
		if int64(rows.size) >= min(spillBytes, x.limit>>10) {
			if err := s.write(x, p); err != nil {
				return err
			}
		}
	}
	return x.ctx.Err()
}

// write moves what is in memory of part p to the file.
func (s *spill) write(x *env, p int) error {
	part := &s.parts[p]
	data := appendRows(nil, part.rows)
	if used := x.tempUsed.Add(int64(len(data))); used > x.tempLimit {
		x.tempUsed.Add(-int64(len(data)))
		return fail(codeOutOfMemory, "the %s needs more than %d MiB of temporary files", s.operator, x.tempLimit>>20).
			hint("narrow the time range, or join, group and sort fewer rows; agent.temp_file_limit in the configuration allows more")
	}
	if _, err := s.file.WriteAt(data, s.size); err != nil {
		x.tempUsed.Add(-int64(len(data)))
		return spillError(s.operator, err)
	}
	part.blocks = append(part.blocks, spillBlock{s.size, len(data), crc32.ChecksumIEEE(data)})
	s.size += int64(len(data))
	x.spilled.Add(int64(len(data)))
	x.used.Add(-int64(part.rows.size))
	part.rows = newRowStore(s.types)
	return nil
}

// each yields the rows of part p, any number of goroutines those of theirs.
func (s *spill) each(x *env, p int, yield func(*chunk) error) error {
	part := &s.parts[p]
	for _, b := range part.blocks {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		data := make([]byte, b.size)
		if _, err := s.file.ReadAt(data, b.offset); err != nil {
			return spillError(s.operator, err)
		}
		if crc32.ChecksumIEEE(data) != b.checksum {
			return spillError(s.operator, fmt.Errorf("%d bytes at %d are not what was written", b.size, b.offset))
		}
		c, err := (&rowReader{data}).rows(s.types)
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return part.rows.emit(x, yield)
}

// hashRows hashes rows sel of some columns; rows that are not distinct have
// the same hash.
func hashRows(cols []*vector, sel []int32) []uint64 {
	out := make([]uint64, len(sel))
	var key []byte
	for _, v := range cols {
		phys := v.typ.phys()
		for k, i := range sel {
			var h uint64
			switch x := v.at(int(i)); {
			case x.null:
				h = 1
			case phys == physText:
				h = maphash.String(textSeed, x.s)
			case phys == physObj || phys == physFloat:
				key = appendKey(key[:0], v.typ, x)
				h = maphash.Bytes(textSeed, key)
			default:
				h = uint64(x.i)
			}
			out[k] = mix(out[k] ^ h)
		}
	}
	return out
}

// appendRows appends the rows of a store: their number, then by column a
// bitmap of the NULLs, with its length, and the values: 8 bytes for a number,
// one for a boolean, a dictionary and codes for texts, everything else as text.
func appendRows(dst []byte, s *rowStore) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n))
	for k, c := range s.cols {
		dst = binary.AppendUvarint(dst, uint64(len(c.nulls)))
		for _, word := range c.nulls {
			dst = binary.LittleEndian.AppendUint64(dst, word)
		}
		switch c.typ.phys() {
		case physBool:
			for _, b := range c.bools {
				dst = append(dst, byte(truthOf(boolValue(b))))
			}
		case physInt:
			for _, n := range c.ints {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
			}
		case physFloat:
			for _, f := range c.floats {
				dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
			}
		case physText:
			dst = binary.AppendUvarint(dst, uint64(len(c.texts.list)))
			for _, text := range c.texts.list {
				dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
			}
			for _, code := range c.codes {
				dst = binary.LittleEndian.AppendUint32(dst, code)
			}
		default:
			for i := range s.n {
				var text []byte
				if v := s.value(k, i); !v.null {
					text = appendOutput(nil, c.typ, v)
				}
				dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
			}
		}
	}
	return dst
}

// rowReader reads what appendRows made. A checksum vouched for it.
type rowReader struct{ data []byte }

func (r *rowReader) number() int {
	n, size := binary.Uvarint(r.data)
	r.data = r.data[size:]
	return int(n)
}

func (r *rowReader) take(n int) []byte {
	part := r.data[:n]
	r.data = r.data[n:]
	return part
}

func (r *rowReader) word() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// text returns a text, which is a part of the data.
func (r *rowReader) text() string {
	part := r.take(r.number())
	return unsafe.String(unsafe.SliceData(part), len(part))
}

func (r *rowReader) rows(types []Type) (*chunk, error) {
	c := &chunk{n: r.number()}
	for _, t := range types {
		v, err := r.column(t, c.n)
		if err != nil {
			return nil, err
		}
		c.cols = append(c.cols, v)
	}
	return c, nil
}

func (r *rowReader) column(t Type, n int) (*vector, error) {
	v := &vector{typ: t}
	for range r.number() {
		v.nulls = append(v.nulls, r.word())
	}
	switch t.phys() {
	case physBool:
		v.bools = make([]bool, n)
		for i, b := range r.take(n) {
			v.bools[i] = truth(b) == truthTrue
		}
	case physInt:
		v.ints = make([]int64, n)
		for i := range v.ints {
			v.ints[i] = int64(r.word())
		}
	case physFloat:
		v.floats = make([]float64, n)
		for i := range v.floats {
			v.floats[i] = math.Float64frombits(r.word())
		}
	case physText:
		for range r.number() {
			v.dict = append(v.dict, r.text())
		}
		if v.dict == nil {
			v.dict = []string{""}
		}
		v.codes = make([]uint32, n)
		for i := range v.codes {
			v.codes[i] = binary.LittleEndian.Uint32(r.take(4))
		}
	default:
		v.objs = make([]any, n)
		for i := range v.objs {
			text := r.text()
			if v.nulls.Has(i) {
				continue
			}
			x, err := input(t, text)
			if err != nil {
				return nil, err
			}
			v.objs[i] = x.o
		}
	}
	return v, nil
}

package sql

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"math"
	"os"
	"slices"
	"unsafe"

	"daemoneye/bus/event"
)

// spill is rows in a temporary file, in parts by the hash of some columns: what
// a join or window takes that would not fit into memory, to be worked off part
// by part. Rows of a part keep their order.
type spill struct {
	operator string // whose rows these are
	tally    *tally
	types    []Type
	file     *os.File
	size     int64
	parts    [spillParts]spillPart
	lists    [spillParts][]int32 // of rows, by part, of the chunk at hand
	block    []byte              // that was written last
}

// spillPart is what a part has in the file, and what is not written yet.
type spillPart struct {
	blocks []spillBlock
	n      int // rows not written
	cols   []spillColumn
}

// spillColumn is a column of rows that are not written yet: 8 bytes for a
// number, one for a boolean, and everything else as text after its length.
type spillColumn struct {
	nulls event.Bitmap
	data  []byte
}

type spillBlock struct {
	offset   int64
	size     int
	checksum uint32
}

const (
	spillParts = 1 << spillBits
	spillBits  = 8
	spillBytes = 8 << 10 // of a part in memory, of a query that may use 64 MiB or more
)

// spills reports whether an operator that holds so many bytes, and will need
// some more for these, should spill now: before there is no room for others.
func (x *env) spills(held, more int) bool {
	return x.tempDir != "" && int64(held) > x.limit/8 && x.used.Load()+int64(more) > x.limit/2
}

// newSpill makes the file. Nobody else can open it, and it goes with the
// process, where a file that is open can be removed.
func (x *env) newSpill(op operator, operator string, types []Type) (*spill, error) {
	f, err := os.CreateTemp(x.tempDir, "query-*.tmp")
	if err != nil {
		return nil, spillError(operator, err)
	}
	_ = os.Remove(f.Name()) // elsewhere close does it
	s := &spill{operator: operator, tally: x.tally(op), types: types, file: f}
	for i := range s.parts {
		s.parts[i].cols = make([]spillColumn, len(types))
	}
	return s, nil
}

func spillError(operator string, err error) error {
	return fail(codeTemporary, "temporary file of the %s: %v", operator, err).
		hint("a query that needs more than its memory limit needs room there; where no agent answers, TMPDIR names another directory")
}

func (s *spill) close(x *env) {
	x.tempUsed.Add(-s.size)
	for i := range s.parts {
		x.used.Add(-int64(s.parts[i].size()))
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
		p := h >> (64 - spillBits) // the low bits choose slots of tables
		s.lists[p] = append(s.lists[p], sel[k])
	}
	for p, list := range s.lists {
		if len(list) == 0 {
			continue
		}
		part := &s.parts[p]
		before := part.size()
		part.add(c, list)
		if err := x.grow(s.operator, part.size()-before); err != nil {
			return err
		}
		if int64(part.size()) >= min(spillBytes, x.limit>>10) {
			if err := s.write(x, part); err != nil {
				return err
			}
		}
	}
	return x.ctx.Err()
}

func (p *spillPart) size() int {
	n := 0
	for i := range p.cols {
		n += len(p.cols[i].data) + 8*len(p.cols[i].nulls)
	}
	return n
}

// add appends rows of c.
func (p *spillPart) add(c *chunk, rows []int32) {
	for k := range p.cols {
		col, v := &p.cols[k], c.cols[k]
		data := col.data
		for i, r := range rows {
			null := v.nulls != nil && v.isNull(int(r))
			if null {
				setBit(&col.nulls, p.n+i)
			}
			if v.constant {
				r = 0
			}
			switch v.typ.phys() {
			case physBool:
				data = append(data, byte(truthOf(boolValue(v.bools[r]))))
			case physInt:
				data = binary.LittleEndian.AppendUint64(data, uint64(v.ints[r]))
			case physFloat:
				data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v.floats[r]))
			case physText:
				text := ""
				if !null {
					text = v.text(int(r))
				}
				data = append(binary.AppendUvarint(data, uint64(len(text))), text...)
			default:
				var text []byte
				if !null {
					text = appendOutput(nil, v.typ, v.at(int(r)))
				}
				data = append(binary.AppendUvarint(data, uint64(len(text))), text...)
			}
		}
		col.data = data
	}
	p.n += len(rows)
}

// appendBlock appends the rows: their number, then by column a bitmap of the
// NULLs, after its length, and the values.
func (p *spillPart) appendBlock(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.n))
	for i := range p.cols {
		c := &p.cols[i]
		dst = binary.AppendUvarint(dst, uint64(len(c.nulls)))
		for _, word := range c.nulls {
			dst = binary.LittleEndian.AppendUint64(dst, word)
		}
		dst = append(dst, c.data...)
	}
	return dst
}

// write moves what is in memory of a part to the file.
func (s *spill) write(x *env, p *spillPart) error {
	s.block = p.appendBlock(s.block[:0])
	n := int64(len(s.block))
	if used := x.tempUsed.Add(n); used > x.tempLimit {
		x.tempUsed.Add(-n)
		return fail(codeOutOfMemory, "the %s needs more than %d MiB of temporary files", s.operator, x.tempLimit>>20).
			hint("narrow the time range, or join, group and sort fewer rows; agent.temp_file_limit in the configuration allows more")
	}
	if x.tempRoom != nil && (s.size == 0 || (s.size+n)>>20 != s.size>>20) && x.tempRoom() < max(n, 1<<20) {
		x.tempUsed.Add(-n)
		return fail(codeOutOfMemory, "the %s needs more temporary files than the disk has room for", s.operator).
			hint("free some, narrow the time range, or join, group and sort fewer rows; new events need what is left")
	}
	if _, err := s.file.WriteAt(s.block, s.size); err != nil {
		x.tempUsed.Add(-n)
		return spillError(s.operator, err)
	}
	p.blocks = append(p.blocks, spillBlock{s.size, len(s.block), crc32.ChecksumIEEE(s.block)})
	s.size += n
	s.tally.spilled.Add(n)
	x.used.Add(-int64(p.size()))
	p.n = 0
	for i := range p.cols {
		c := &p.cols[i]
		c.nulls, c.data = nil, c.data[:0]
	}
	return nil
}

// finish writes what is left, when all rows were added; each comes after it.
func (s *spill) finish(x *env) error {
	for i := range s.parts {
		part := &s.parts[i]
		if part.n > 0 {
			if err := s.write(x, part); err != nil {
				return err
			}
		}
		part.cols = nil
	}
	s.block = nil
	return nil
}

// each yields the rows of part p, any number of goroutines those of theirs. Once
// yield has returned only the texts stay as they are.
func (s *spill) each(x *env, p int, yield func(*chunk) error) error {
	part := &s.parts[p]
	r := &rowReader{lists: make([][]string, len(s.types))}
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
		r.data = data
		c, err := r.rows(s.types)
		if err == nil {
			err = yield(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hashRows hashes rows sel of some columns; rows that are not distinct have
// the same hash.
func hashRows(cols []*vector, sel []int32) []uint64 {
	out := make([]uint64, len(sel))
	var key []byte
	for _, v := range cols {
		phys := v.typ.phys()
		for k, i := range sel {
			h := uint64(1) // of NULL
			if v.nulls == nil || !v.isNull(int(i)) {
				switch phys {
				case physText:
					h = maphash.String(textSeed, v.text(int(i)))
				case physObj, physFloat:
					key = appendKey(key[:0], v.typ, v.at(int(i)))
					h = maphash.Bytes(textSeed, key)
				default:
					h = uint64(v.at(int(i)).i)
				}
			}
			out[k] = mix(out[k] ^ h)
		}
	}
	return out
}

// rowReader reads a block. A checksum vouched for it.
type rowReader struct {
	data  []byte
	lists [][]string // memory for texts, by column
}

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
	for k, t := range types {
		v, err := r.column(k, t, c.n)
		if err != nil {
			return nil, err
		}
		c.cols = append(c.cols, v)
	}
	return c, nil
}

func (r *rowReader) column(k int, t Type, n int) (*vector, error) {
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
		r.lists[k] = slices.Grow(r.lists[k][:0], n)[:n]
		v.dict = r.lists[k]
		for i := range v.dict {
			v.dict[i] = r.text()
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

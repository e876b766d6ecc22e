package eventfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"daemoneye/bus/event"
)

// tableMember names the table of a row of JSON Lines.
const tableMember = "table"

type jsonl struct {
	r        *bufio.Reader
	file     string
	table    *event.Table
	builders map[string]*event.Builder
	unknown  map[string]int64
	line     []byte
	lines    int64
	rows     int64
	held     map[string]json.RawMessage // a row of another table than the batch's
	end      error
	array    *array // the file is one array of objects
}

func newJSONL(r io.Reader, file string, table *event.Table, unknown map[string]int64) *jsonl {
	return &jsonl{r: bufio.NewReaderSize(r, 64<<10), file: file, table: table, unknown: unknown, builders: map[string]*event.Builder{}}
}

// next reads rows until the batch is full or the table changes.
func (j *jsonl) next() (*event.Batch, error) {
	var b *event.Builder
	for {
		row := j.held
		if j.held = nil; row == nil {
			if j.end == nil {
				row, j.end = j.read()
			}
			if j.end != nil {
				if j.end == io.EOF && b != nil {
					return b.Batch(), nil
				}
				return nil, j.end
			}
		}
		builder, err := j.builder(row)
		if err != nil {
			return nil, j.fail("", err)
		}
		if b != nil && builder != b {
			j.held = row
			return b.Batch(), nil
		}
		b = builder
		if err := j.add(b, row); err != nil {
			return nil, err
		}
		if b.Rows() == maxRows || b.Size() >= maxBytes {
			return b.Batch(), nil
		}
	}
}

func (j *jsonl) fail(column string, err error) error {
	return &Error{File: j.file, Line: j.lines, Row: j.rows, Column: column, Err: err}
}

// read returns the next object.
func (j *jsonl) read() (map[string]json.RawMessage, error) {
	if j.rows == 0 && j.lines == 0 {
		j.array = openArray(j.r)
	}
	if j.array != nil {
		row, err := j.array.next()
		if err == io.EOF {
			return nil, err
		}
		j.rows++
		if err != nil {
			return nil, j.fail("", err)
		}
		return row, nil
	}
	for {
		line, err := j.readLine()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		j.rows++
		var row map[string]json.RawMessage
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, j.fail("", fmt.Errorf("want a JSON object: %w", err))
		}
		if row == nil {
			return nil, j.fail("", errors.New("want a JSON object, not null"))
		}
		return row, nil
	}
}

func (j *jsonl) readLine() ([]byte, error) {
	j.line = j.line[:0]
	j.lines++
	for {
		part, err := j.r.ReadSlice('\n')
		j.line = append(j.line, part...)
		switch {
		case len(j.line) > maxLine:
			return nil, j.fail("", fmt.Errorf("a line longer than %d bytes", maxLine))
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(j.line) > 0:
		default:
			return nil, err
		}
		if j.lines == 1 {
			return bytes.TrimPrefix(j.line, []byte("\ufeff")), nil
		}
		return j.line, nil
	}
}

// builder returns the builder of the row's table.
func (j *jsonl) builder(row map[string]json.RawMessage) (*event.Builder, error) {
	table := j.table
	if raw, ok := row[tableMember]; ok {
		var name string
		if json.Unmarshal(raw, &name) != nil || event.Lookup(name) == nil {
			return nil, fmt.Errorf("unknown table %.80s", raw)
		}
		table = event.Lookup(name)
	}
	if table == nil {
		return nil, fmt.Errorf("no member %q, and no table was named", tableMember)
	}
	b := j.builders[table.Name]
	if b == nil {
		b = event.NewBuilder(table)
		j.builders[table.Name] = b
	}
	return b, nil
}

func (j *jsonl) add(b *event.Builder, row map[string]json.RawMessage) error {
	known := 0
	for _, c := range b.Table().Columns {
		raw, ok := row[c.Name]
		if !ok {
			continue
		}
		known++
		if err := b.Column(c.Name).ParseJSON(raw); err != nil {
			return j.fail(c.Name, err)
		}
	}
	if _, ok := row[tableMember]; ok {
		known++
	}
	if known < len(row) {
		for name := range row {
			if name != tableMember && b.Table().Index(name) < 0 {
				countUnknown(j.unknown, name)
			}
		}
	}
	b.EndRow()
	return nil
}

// WriteJSONL writes the rows of b as JSON Lines, each with its table, in one
// call of w.Write. Open reads them back as they were.
func WriteJSONL(w io.Writer, b *event.Batch) error {
	var buf, row []byte
	for i := range b.Rows {
		row = event.AppendJSONRow(row[:0], b, i)
		buf = append(buf, `{"`+tableMember+`":"`+b.Table.Name+`"`...)
		if len(row) > len("{}") {
			buf = append(buf, ',')
		}
		buf = append(buf, row[1:]...)
		buf = append(buf, '\n')
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := w.Write(buf)
	return err
}

package eventfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"daemoneye/bus/event"
)

// csvFile reads RFC 4180 as psql --csv writes it. Unlike encoding/csv it tells
// an empty field, which is NULL, from a quoted one, which is the empty string.
type csvFile struct {
	r       *bufio.Reader
	file    string
	b       *event.Builder
	unknown map[string]int64
	columns []*event.ColumnBuilder // by position in the file; nil: unknown
	names   []string
	fields  []csvField
	line    int64 // the one being read
	begin   int64 // of the record
	row     int64
	size    int
}

type csvField struct {
	text   string
	quoted bool
}

func newCSV(r io.Reader, file string, table *event.Table, unknown map[string]int64) *csvFile {
	return &csvFile{r: bufio.NewReaderSize(r, 64<<10), file: file, b: event.NewBuilder(table), unknown: unknown, line: 1}
}

func (c *csvFile) fail(column string, err error) error {
	return &Error{File: c.file, Line: c.begin, Row: c.row, Column: column, Err: err}
}

// columnNames reads the header, unless it was.
func (c *csvFile) columnNames() ([]string, error) {
	if c.columns == nil {
		if err := c.header(); err != nil {
			return nil, err
		}
	}
	return c.names, nil
}

func (c *csvFile) next() (*event.Batch, error) {
	if _, err := c.columnNames(); err != nil {
		return nil, err
	}
	for c.b.Rows() < maxRows && c.b.Size() < maxBytes {
		err := c.record()
		if err == io.EOF && c.b.Rows() > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		c.row++
		if err := c.add(); err != nil {
			return nil, err
		}
	}
	return c.b.Batch(), nil
}

func (c *csvFile) header() error {
	if bom, err := c.r.Peek(3); err == nil && string(bom) == "\ufeff" {
		_, _ = c.r.Discard(3) // they were peeked at
	}
	if err := c.record(); err != nil {
		if err == io.EOF {
			return c.fail("", errors.New("no header line"))
		}
		return err
	}
	seen, known := map[string]bool{}, false
	c.columns = make([]*event.ColumnBuilder, len(c.fields))
	for i, f := range c.fields {
		if seen[f.text] {
			return c.fail(f.text, errors.New("it is twice in the header"))
		}
		seen[f.text] = true
		c.names = append(c.names, f.text)
		if c.b.Table().Index(f.text) >= 0 {
			c.columns[i] = c.b.Column(f.text)
			known = true
		}
	}
	if !known { // rows of nothing but NULL would be an answer, and a wrong one
		return c.fail("", fmt.Errorf("the header %.80q names no column of %s; it wants commas between", strings.Join(c.names, ","), c.b.Table().Name))
	}
	return nil
}

func (c *csvFile) add() error {
	if len(c.fields) != len(c.columns) {
		return c.fail("", fmt.Errorf("%d fields, the header has %d", len(c.fields), len(c.columns)))
	}
	for i, f := range c.fields {
		if f.text == "" && !f.quoted {
			continue
		}
		if c.columns[i] == nil {
			countUnknown(c.unknown, c.names[i])
			continue
		}
		if err := c.columns[i].ParseText(f.text); err != nil {
			return c.fail(c.names[i], err)
		}
	}
	c.b.EndRow()
	return nil
}

// record reads the fields of the next record; io.EOF when there is none.
// Blank lines between records are skipped.
func (c *csvFile) record() error {
	for {
		if _, err := c.r.Peek(1); err != nil {
			return err
		}
		c.fields, c.begin, c.size = c.fields[:0], c.line, 0
		for {
			f, end, err := c.field()
			if err != nil {
				return err
			}
			if len(c.fields) == maxCells {
				return c.fail("", fmt.Errorf("a record of more than %d fields", maxCells))
			}
			c.fields = append(c.fields, f)
			if end {
				break
			}
		}
		if len(c.columns) != 1 && len(c.fields) == 1 && c.fields[0] == (csvField{}) {
			continue
		}
		return nil
	}
}

// field reads one field and what ends it; end is true at the record's end.
func (c *csvFile) field() (f csvField, end bool, err error) {
	var b strings.Builder
	for {
		ch, err := c.byte()
		if err == io.EOF {
			return c.done(&b, f.quoted, true)
		}
		switch {
		case err != nil:
			return f, false, err
		case ch == ',':
			return c.done(&b, f.quoted, false)
		case ch == '\n':
			return c.done(&b, f.quoted, true)
		case ch == '\r':
			if next, err := c.r.Peek(1); err == nil && next[0] == '\n' {
				continue
			}
			fallthrough
		default:
			if f.quoted {
				return f, false, c.fail("", errors.New("text after a closing quote"))
			}
			if ch != '"' {
				b.WriteByte(ch)
				continue
			}
			if b.Len() > 0 {
				return f, false, c.fail("", errors.New("a quote within an unquoted field"))
			}
			f.quoted = true
			if err := c.quoted(&b); err != nil {
				return f, false, err
			}
		}
	}
}

func (c *csvFile) done(b *strings.Builder, quoted, end bool) (csvField, bool, error) {
	if !utf8.ValidString(b.String()) {
		return csvField{}, false, c.fail("", errors.New("text is not valid UTF-8"))
	}
	return csvField{b.String(), quoted}, end, nil
}

// quoted reads up to the closing quote.
func (c *csvFile) quoted(b *strings.Builder) error {
	for {
		ch, err := c.byte()
		switch {
		case err == io.EOF:
			return c.fail("", errors.New("a closing quote is missing"))
		case err != nil:
			return err
		case ch != '"':
			b.WriteByte(ch)
			continue
		}
		next, err := c.r.Peek(1)
		if err != nil || next[0] != '"' {
			return nil // an error comes again at the next byte
		}
		if _, err := c.byte(); err != nil {
			return err
		}
		b.WriteByte('"')
	}
}

func (c *csvFile) byte() (byte, error) {
	ch, err := c.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if ch == '\n' {
		c.line++
	}
	if c.size++; c.size > maxLine {
		return 0, c.fail("", fmt.Errorf("a record longer than %d bytes", maxLine))
	}
	return ch, nil
}

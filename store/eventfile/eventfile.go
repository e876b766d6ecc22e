// Package eventfile reads files of events as batches, and writes recordings.
//
// JSON Lines (.jsonl, .ndjson, .json) has one object a line, column → value;
// a member "table" names the row's table. One array of such objects is read as
// well. CSV is what psql --csv prints, with a
// header line. Parquet is what DuckDB, Spark or pandas write. The first two may
// be compressed (.gz). A column that is not in the file is NULL, one that the
// table does not have is counted, and a value of the wrong type is an error.
package eventfile

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// Bounds of a batch, and of a line or record in the file.
const (
	maxRows  = 4096
	maxBytes = 8 << 20
	maxLine  = 16 << 20
	maxCells = 1 << 14 // of a record of CSV
)

// ErrFormat is the error for a file name whose extension is not known.
var ErrFormat = errors.New("unknown file type, want .jsonl, .ndjson, .json, .csv (each also with .gz) or .parquet")

// Error says where in a file a value is wrong.
type Error struct {
	File   string // "" of one that is written
	Line   int64  // of the record's begin, from 1; 0 in Parquet
	Row    int64  // from 1, the header of CSV not counted
	Column string // "" when it is not one column's fault
	Err    error
}

func (e *Error) Error() string {
	where := fmt.Sprintf("%s: row %d", e.File, e.Row)
	switch {
	case e.Line > 0:
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	case e.File == "":
		where = fmt.Sprintf("row %d", e.Row)
	}
	if e.Column != "" {
		where += ": column " + e.Column
	}
	return where + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Reader reads one file of events.
type Reader struct {
	source  source
	closers []io.Closer
	unknown map[string]int64
	file    string
	err     error
}

// source is one format. next returns io.EOF after the last batch.
type source interface {
	next() (*event.Batch, error)
}

// Open opens the file at path; "-" is standard input as JSON Lines. Its rows
// are of table, unless they name another themselves; with a nil table every
// row must name one, so that only JSON Lines can be read. When ctx ends, so does
// the reading.
func Open(ctx context.Context, path string, table *event.Table) (*Reader, error) {
	if path == "-" {
		return newReader(ctx, "standard input", ".jsonl", os.Stdin, table)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(ctx, path, strings.ToLower(filepath.Ext(path)), f, table)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closers = append(r.closers, f)
	return r, nil
}

func newReader(ctx context.Context, path, ext string, f *os.File, table *event.Table) (*Reader, error) {
	r := &Reader{file: path, unknown: map[string]int64{}}
	var in io.Reader = f
	if ext == ".gz" {
		zip, err := gzip.NewReader(bufio.NewReader(f))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r.closers = append(r.closers, zip)
		in, ext = zip, strings.ToLower(filepath.Ext(strings.TrimSuffix(path, filepath.Ext(path))))
	}
	text := &cancellable{ctx, in}
	switch {
	case ext == ".jsonl" || ext == ".ndjson" || ext == ".json":
		r.source = newJSONL(text, path, table, r.unknown)
	case table == nil:
		return nil, fmt.Errorf("%s: only JSON can name the table of each row; name the table", path)
	case ext == ".csv":
		r.source = newCSV(text, path, table, r.unknown)
	case ext == ".parquet" && in == f:
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		p, err := newParquet(ctx, f, info.Size(), path, table, r.unknown)
		if err != nil {
			return nil, err
		}
		r.source = p
	default:
		return nil, fmt.Errorf("%s: %w", path, ErrFormat)
	}
	return r, nil
}

// cancellable is a reader that ends with a context: any number of blank lines
// may stand before the next row.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Next returns the next batch, of 1 to 4,096 rows, or io.EOF. An error ends
// the reading: a *Error for a wrong value. Rows come in the file's order.
func (r *Reader) Next() (*event.Batch, error) {
	if r.err != nil {
		return nil, r.err
	}
	b, err := r.source.next()
	if err != nil {
		r.err = err
		var at *Error
		if err != io.EOF && !errors.As(err, &at) {
			r.err = fmt.Errorf("%s: %w", r.file, err)
		}
		return nil, r.err
	}
	return b, nil
}

// Columns returns the names of the file's columns, in its order; nil when each
// row has its own, as in JSON. It comes before Next.
func (r *Reader) Columns() ([]string, error) {
	switch s := r.source.(type) {
	case *csvFile:
		names, err := s.columnNames()
		return slices.Clone(names), err
	case *parquetFile:
		var names []string
		for _, l := range s.leaves {
			names = append(names, l.name)
		}
		return slices.Compact(names), nil // a group of columns is one
	}
	return nil, nil
}

// Unknown returns the columns that the tables do not have, with how many rows
// had a value in them, as far as the file was read.
func (r *Reader) Unknown() map[string]int64 { return r.unknown }

// Close closes the file.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// maxUnknown bounds the names that Unknown returns; the rest are one entry.
const maxUnknown = 1000

func countUnknown(unknown map[string]int64, column string) {
	if _, ok := unknown[column]; !ok && len(unknown) >= maxUnknown {
		column = "…"
	}
	unknown[column]++
}

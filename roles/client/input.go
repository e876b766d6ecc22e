package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
	"daemoneye/rules/sql"
	"daemoneye/store/eventfile"
)

// fileTypes says which files of events are read, for help texts.
const fileTypes = "JSON Lines or an array (.jsonl, .ndjson, .json), CSV with a header (.csv), each also with .gz, Parquet (.parquet), or - for JSON from standard input"

// fileSource is a file of events as the source of a query.
type fileSource struct {
	path     string
	table    *event.Table // of rows that name none; nil: each names one
	progress *term.Progress
	unknown  map[string]int64 // columns that no table has → rows
	found    map[string]int64 // table → rows
	scans    int
}

// fileEngine runs queries over a file instead of the history.
func (c *call) fileEngine(path, table string, progress *term.Progress) (engine, error) {
	s := &fileSource{path: path, progress: progress, found: map[string]int64{}}
	if table != "" {
		t, err := lookupTable(table)
		if err != nil {
			return nil, err
		}
		s.table = t
	}
	if path != "-" { // also for a statement that reads no table
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	return &localEngine{
		source: s, limits: history.Limits(cfg), matcher: history.MatcherConfig(cfg, history.Resources(cfg, os.TempDir())), resources: history.Resources(cfg, os.TempDir()),
		incomplete: func(_ context.Context, q *sql.Query, _ time.Time) []string { return s.otherTables(q.Tables()) },
		release:    func() error { s.report(c); return nil },
	}, nil
}

// Scan implements sql.Source. Standard input can be read but once.
func (s *fileSource) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	if s.scans++; s.scans > 1 && s.path == "-" {
		return &Error{Err: errors.New("the statement reads the events more than once, which standard input can not give"), Hint: "put them into a file"}
	}
	s.found = map[string]int64{}
	for b, err := range s.batches() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		s.found[b.Table.Name] += int64(b.Rows)
		s.progress.Add(int64(b.Rows))
		if b.Table != r.Table {
			continue
		}
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// batches yields what the file holds.
func (s *fileSource) batches() iter.Seq2[*event.Batch, error] {
	return func(yield func(*event.Batch, error) bool) {
		r, err := eventfile.Open(s.path, s.table)
		if err != nil {
			yield(nil, fileError(err))
			return
		}
		defer r.Close() // it was only read
		defer func() { s.unknown = maps.Clone(r.Unknown()) }()
		for {
			b, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fileError(err)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// fileError makes wrong use of rows whose table nobody names. eventfile has no
// sentinel for that: its two messages end so.
func fileError(err error) error {
	text := err.Error()
	if !strings.HasSuffix(text, "no table was named") && !strings.HasSuffix(text, "name the table") {
		return err
	}
	return &term.UsageError{
		Message: text,
		Hint:    "name the table of the rows with --table; in JSON each row may do so itself: {\"table\": \"process_events\", ...}",
	}
}

// report warns of what was in the file and not in the answer.
func (s *fileSource) report(c *call) {
	if len(s.unknown) > 0 {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(s.unknown)) {
			list = append(list, fmt.Sprintf("%s (%s)", name, term.Plural(s.unknown[name], "row", "rows")))
		}
		c.warn("unknown columns in %s were ignored: %s", s.path, strings.Join(list, ", "))
	}
}

// otherTables says that a file has rows, but none of the table asked for.
func (s *fileSource) otherTables(tables []string) []string {
	if s.scans == 0 || len(s.found) == 0 {
		return nil
	}
	var list []string
	for _, table := range tables {
		if s.found[table] == 0 {
			list = append(list, fmt.Sprintf("%s has no row of %s, only of %s", s.path, table, strings.Join(slices.Sorted(maps.Keys(s.found)), ", ")))
		}
	}
	return list
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/roles/history"
	"daemoneye/roles/term"
	"daemoneye/rules"
	"daemoneye/rules/sql"
	"daemoneye/store/eventfile"
)

// fileTypes says which files of events are read, for help texts.
const fileTypes = "JSON Lines or an array (.jsonl, .ndjson, .json), CSV with a header (.csv), each also with .gz, Parquet (.parquet), or - for JSON from standard input"

// fileSource is files of events, one after the other, as the source of a query.
type fileSource struct {
	paths    []string
	table    *event.Table // of rows that name none; nil: each names one
	progress *term.Progress
	unknown  unknownColumns
	found    map[string]int64 // table → rows
	scans    int
}

// unknownColumns are those of the files that no table has.
type unknownColumns struct {
	files []string
	rows  map[string]int64 // by column
}

// inputs returns the files that --input names, once or more. A name that is no
// file may be a pattern, which stands for the files that it matches.
func (c *call) inputs() ([]string, error) {
	var paths []string
	for _, name := range c.repeated("input") {
		if name == "" {
			return nil, usage("", "--input names no file")
		}
		found := []string{name}
		if _, err := os.Lstat(name); err != nil && strings.ContainsAny(name, "*?[") {
			if found, err = filepath.Glob(name); err != nil {
				return nil, usage("", "--input = %q: %v", name, err)
			}
			if len(found) == 0 {
				return nil, fmt.Errorf("input: no file matches %q", name)
			}
		}
		paths = append(paths, found...)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		clean := filepath.Clean(path)
		if seen[clean] {
			return nil, usage("its rows would count twice", "--input names %s twice", path)
		}
		seen[clean] = true
	}
	return paths, nil
}

// fileEngine runs queries over files instead of the history.
func (c *call) fileEngine(paths []string, table string, progress *term.Progress) (engine, error) {
	s := &fileSource{paths: paths, progress: progress, found: map[string]int64{}}
	if table != "" {
		t, err := lookupTable(table)
		if err != nil {
			return nil, err
		}
		s.table = t
	}
	var files []string           // that can be read twice
	for _, path := range paths { // also for a statement that reads no table
		if path == "-" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		if info.Mode().IsRegular() {
			files = append(files, path)
		}
	}
	if err := alike(c.ctx, files, s.table); err != nil {
		return nil, err
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	return &localEngine{
		rules:  func() *rules.Set { return loadRules(cfg) },
		source: s, limits: history.Limits(cfg), lists: sqlConfig(cfg).Lists, matcher: history.MatcherConfig(cfg, history.Resources(cfg, os.TempDir())), resources: history.Resources(cfg, os.TempDir()),
		incomplete: func(_ context.Context, q *sql.Query, _ time.Time) []string { return s.otherTables(q.Tables()) },
		release:    func() error { s.report(c); return nil },
	}, nil
}

// alike refuses files with different columns, where columns are of the file:
// what one lacks would be NULL in a part of the answer only.
func alike(ctx context.Context, paths []string, table *event.Table) error {
	if len(paths) < 2 {
		return nil
	}
	first, want := "", []string(nil)
	for _, path := range paths {
		r, err := eventfile.Open(ctx, path, table)
		if err != nil {
			return fileError(err)
		}
		columns, err := r.Columns()
		_ = r.Close() // it was only read
		if err != nil {
			return fileError(err)
		}
		slices.Sort(columns)
		switch {
		case columns == nil: // each row has its own
		case want == nil:
			first, want = path, columns
		case !slices.Equal(columns, want):
			return &Error{
				Err:  fmt.Errorf("%s and %s have different columns: %s", first, path, columnsOfOne(first, want, path, columns)),
				Hint: "query files of the same columns together, or each by itself",
			}
		}
	}
	return nil
}

// columnsOfOne names the columns that only one of two files has.
func columnsOfOne(first string, a []string, second string, b []string) string {
	var list []string
	for _, x := range []struct {
		file      string
		has, less []string
	}{{first, a, b}, {second, b, a}} {
		only := slices.DeleteFunc(slices.Clone(x.has), func(name string) bool { return slices.Contains(x.less, name) })
		if n := len(only); n > 0 {
			text := strings.Join(only[:min(n, 5)], ", ")
			if n > 5 {
				text += fmt.Sprintf(" and %d more", n-5)
			}
			list = append(list, "only "+x.file+" has "+text)
		}
	}
	return strings.Join(list, "; ")
}

// Scan implements sql.Source. Standard input can be read but once.
func (s *fileSource) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	if s.scans++; s.scans > 1 && slices.Contains(s.paths, "-") {
		return &Error{Err: errors.New("the statement reads the events more than once, which standard input can not give"), Hint: "put them into a file"}
	}
	s.found = map[string]int64{}
	for b, err := range s.batches(ctx) {
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

// batches yields what the files hold.
func (s *fileSource) batches(ctx context.Context) iter.Seq2[*event.Batch, error] {
	return func(yield func(*event.Batch, error) bool) {
		s.unknown = unknownColumns{rows: map[string]int64{}}
		for _, path := range s.paths {
			if !s.file(ctx, path, yield) {
				return
			}
		}
	}
}

// file yields what one file holds; false ends the reading.
func (s *fileSource) file(ctx context.Context, path string, yield func(*event.Batch, error) bool) bool {
	r, err := eventfile.Open(ctx, path, s.table)
	if err != nil {
		yield(nil, fileError(err))
		return false
	}
	defer r.Close() // it was only read
	defer func() { s.unknown.add(path, r.Unknown()) }()
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			err = fileError(err)
		}
		if !yield(b, err) || err != nil {
			return false
		}
	}
}

func (u *unknownColumns) add(file string, rows map[string]int64) {
	if len(rows) == 0 {
		return
	}
	u.files = append(u.files, file)
	for name, n := range rows {
		u.rows[name] += n
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

// report warns of what was in the files and not in the answer.
func (s *fileSource) report(c *call) {
	if u := &s.unknown; len(u.files) > 0 {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(u.rows)) {
			list = append(list, fmt.Sprintf("%s (%s)", name, term.Plural(u.rows[name], "row", "rows")))
		}
		c.warn("unknown columns in %s were ignored: %s", someFiles(u.files), strings.Join(list, ", "))
	}
}

// otherTables says that the files have rows, but none of the table asked for.
func (s *fileSource) otherTables(tables []string) []string {
	if s.scans == 0 || len(s.found) == 0 {
		return nil
	}
	var list []string
	for _, table := range tables {
		if s.found[table] == 0 {
			list = append(list, fmt.Sprintf("there is no row of %s in %s, only of %s", table, someFiles(s.paths), strings.Join(slices.Sorted(maps.Keys(s.found)), ", ")))
		}
	}
	return list
}

// someFiles names one file, and how many there are besides.
func someFiles(paths []string) string {
	if len(paths) == 1 {
		return paths[0]
	}
	return fmt.Sprintf("%s and %s", paths[0], term.Plural(int64(len(paths)-1), "other file", "other files"))
}

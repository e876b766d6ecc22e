package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// sqlite is the sqlite3 program, which is told statements and writes rows as
// lines of cells.
type sqlite struct {
	dir     string
	cmd     *exec.Cmd
	in      io.WriteCloser
	results *os.File // read by out
	out     *bufio.Reader
	dead    bool
}

const (
	unit, record = '\x1f', '\x1e' // what .mode ascii separates with
	endOfAnswer  = "end of the answer"
)

// loadSQLite gives SQLite the rows with times as µs and lists as JSON. NULLs
// are empty texts, as large as they: no query of the comparison tells.
func loadSQLite(_ *testing.T, dir string, rows int) (got loaded, err error) {
	version, err := exec.Command("sqlite3", "--version").Output()
	if err != nil {
		return got, err
	}
	table := event.Lookup("process_events")
	var columns []string
	for _, c := range table.Columns {
		affinity := "TEXT"
		switch c.Type {
		case event.Bool, event.Int4, event.Int8, event.Timestamptz:
			affinity = "INTEGER"
		case event.Float8:
			affinity = "REAL"
		}
		columns = append(columns, c.Name+" "+affinity)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return got, err
	}
	cmd := exec.Command("sqlite3", "-bail", "data.db")
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{r}
	cmd.Stdin = strings.NewReader("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA threads = " + strconv.Itoa(runtime.NumCPU()) + ";\n" +
		"CREATE TABLE process_events (" + strings.Join(columns, ", ") + ");\n" +
		".import --ascii /dev/fd/3 process_events\n" + createIndexes() + "ANALYZE;\n")
	begun := time.Now()
	written := make(chan error, 1)
	go func() { written <- writeRows(w, rows, sqliteCell, unit, record) }()
	out, err := cmd.CombinedOutput()
	_ = r.Close()
	if err != nil {
		err = fmt.Errorf("sqlite3: %w: %s", err, out)
	}
	if err := errors.Join(err, <-written); err != nil {
		return got, err
	}
	got.Seconds, got.Version = time.Since(begun).Seconds(), "SQLite "+strings.Fields(string(version))[0]
	info, err := os.Stat(filepath.Join(dir, "data.db"))
	if err == nil {
		got.Bytes = info.Size()
	}
	return got, err
}

func sqliteCell(dst []byte, v *event.Vector, i int) []byte {
	if v.IsNull(i) {
		return dst
	}
	switch v.Type {
	case event.Text:
		return append(dst, v.Dict[v.Codes[i]]...)
	case event.Bool:
		return append(dst, "01"[btoi(v.Bools[i])])
	case event.Timestamptz:
		return strconv.AppendInt(dst, v.Ints[i], 10)
	}
	return v.AppendJSON(dst, i)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func openSQLite(_ *testing.T, dir string, _ int) (peer, error) {
	s := &sqlite{dir: dir}
	return s, s.start()
}

func (s *sqlite) start() (err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	s.cmd = exec.Command("sqlite3", "data.db")
	s.cmd.Dir, s.cmd.Stderr, s.cmd.ExtraFiles, s.dead = s.dir, os.Stderr, []*os.File{w}, false
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	s.results, s.out = r, bufio.NewReaderSize(r, 1<<20)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.in, "PRAGMA cache_size = -2000000;\nPRAGMA mmap_size = %d;\nPRAGMA threads = %d;\nPRAGMA case_sensitive_like = ON;\nPRAGMA temp_store = MEMORY;\n.mode ascii\n.nullvalue \\\\N\n", 64<<30, runtime.NumCPU())
	return err
}

func (s *sqlite) ask(ctx context.Context, q *peerQuery) (reply peerReply, err error) {
	if s.dead {
		if err := s.start(); err != nil {
			return reply, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })
	defer stop()
	begun := time.Now()
	// It writes what it has when it is told another place for it.
	_, err = fmt.Fprintf(s.in, ".output /dev/fd/3\n%s;\n.print '%s%c'\n.output\n", q.forSQLite(), endOfAnswer, record)
	for err == nil {
		var line string
		if line, err = s.out.ReadString(record); err != nil {
			break
		}
		line = strings.TrimPrefix(strings.TrimSuffix(line, string(record)), "\n") // .print ends with one
		if line == endOfAnswer {
			reply.Millis = time.Since(begun).Seconds() * 1000
			return reply, nil
		}
		var row []*string
		for cell := range strings.SplitSeq(line, string(unit)) {
			if row = append(row, &cell); cell == `\N` {
				row[len(row)-1] = nil
			}
		}
		reply.Rows = append(reply.Rows, row)
	}
	s.end()
	return reply, fmt.Errorf("sqlite3: %w", errors.Join(context.Cause(ctx), err))
}

func (s *sqlite) close() {
	if !s.dead {
		s.end()
	}
}

func (s *sqlite) end() {
	s.dead = true
	_ = s.in.Close()
	_ = s.cmd.Wait()
	_ = s.results.Close()
}

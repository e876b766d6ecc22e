package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// sample has every kind of cell, hostile ones among them.
func sample() *listing {
	l := newListing("id integer", "name text", "ok boolean", "load double precision", "tags text[]", "seen timestamptz")
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
	l.add(1, "plain", true, 0.5, []string{"a", "b c", `d"e`, "", "NULL"}, at)
	l.add(22, "comma, \"quote\"", false, 12.0, []string{}, at.Truncate(time.Second))
	l.add(333, nil, nil, nil, nil, nil)
	l.add(4, "", true, -1e-7, []string{"x,y"}, at.Add(time.Microsecond))
	l.add(5, `\.`, true, 1e20, []string{`\`}, at)
	l.add(6, "漢字", true, 1.0, []string{"ä"}, at)
	return l
}

func printed(t *testing.T, l *listing, out term.Output, format string) string {
	t.Helper()
	var b bytes.Buffer
	out.Writer = &b
	if err := l.print(newPrinter(&out, format)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"table", `
 id  |      name      | ok | load  |          tags           |             seen              
-----+----------------+----+-------+-------------------------+-------------------------------
   1 | plain          | t  |   0.5 | {a,"b c","d\"e","NULL"} | 2026-01-02 03:04:05.678+00
(1 row)
`},
		{"csv", `
id,name,ok,load,tags,seen
1,plain,t,0.5,"{a,""b c"",""d\""e"",""NULL""}",2026-01-02 03:04:05.678+00
`},
		{"jsonl", `
{"id": 1, "name": "plain", "ok": true, "load": 0.5, "tags": ["a","b c","d\"e","NULL"], "seen": "2026-01-02T03:04:05.678000Z"}
`},
		{"json", `
[
  {"id": 1, "name": "plain", "ok": true, "load": 0.5, "tags": ["a","b c","d\"e","NULL"], "seen": "2026-01-02T03:04:05.678000Z"}
]
`},
	} {
		l := newListing("id integer", "name text", "ok boolean", "load double precision", "tags text[]", "seen timestamptz")
		l.add(1, "plain", true, 0.5, []string{"a", "b c", `d"e`, "NULL"}, time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC))
		got := "\n" + printed(t, l, term.Output{}, c.format)
		if c.format == "table" {
			got, c.want = squeeze(got), squeeze(c.want)
		}
		if got != c.want {
			t.Errorf("%s:%s\nwant:%s", c.format, got, c.want)
		}
	}
}

// squeeze makes runs of blanks and dashes one: the exact widths are compared
// with psql's own in TestPostgreSQL.
func squeeze(s string) string {
	for _, pair := range []string{"  ", "--"} {
		for strings.Contains(s, pair) {
			s = strings.ReplaceAll(s, pair, pair[:1])
		}
	}
	return s
}

func TestEmptyResult(t *testing.T) {
	for format, want := range map[string]string{
		"table": " a | b \n---+---\n(0 rows)\n",
		"csv":   "a,b\n",
		"jsonl": "",
		"json":  "[]\n",
	} {
		if got := printed(t, newListing("a text", "b text"), term.Output{}, format); got != want {
			t.Errorf("%s of no rows = %q, want %q", format, got, want)
		}
	}
}

func TestJSONIsJSON(t *testing.T) {
	l := sample()
	var list []map[string]any
	if err := json.Unmarshal([]byte(printed(t, l, term.Output{}, "json")), &list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(printed(t, l, term.Output{}, "jsonl")), "\n")
	if len(list) != 6 || len(lines) != 6 {
		t.Fatalf("json has %d rows, jsonl %d, want 6", len(list), len(lines))
	}
	for i, line := range lines {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		if fmt.Sprint(one) != fmt.Sprint(list[i]) {
			t.Errorf("row %d: jsonl has %v, json %v", i, one, list[i])
		}
	}
}

func TestUniqueNames(t *testing.T) {
	var columns []api.QueryColumn
	for _, name := range []string{"a", "a", "a_2", "b", "a"} {
		columns = append(columns, api.QueryColumn{Name: name})
	}
	got, want := strings.Join(uniqueNames(columns), " "), "a a_3 a_2 b a_4"
	if got != want {
		t.Errorf("uniqueNames = %q, want %q", got, want)
	}
}

func TestTableFitsTerminal(t *testing.T) {
	l := newListing("pid integer", "user text", "command text")
	l.add(4711, "www-data", strings.Repeat("very long ", 20))
	l.add(1, "root", "init\x1b[2J\r\n")
	for _, width := range []int{20, 30, 40, 80, 300} {
		got := printed(t, l, term.Output{Terminal: true, Width: width}, "table")
		if strings.ContainsAny(got, "\x1b\r") {
			t.Errorf("width %d: control characters in %q", width, got)
		}
		for _, line := range strings.Split(got, "\n") {
			if width >= 30 && term.Width(line) > width {
				t.Errorf("width %d: line of %d cells: %q", width, term.Width(line), line)
			}
		}
		if expanded := strings.HasPrefix(got, "-[ RECORD 1 ]"); expanded != (width < 30) {
			t.Errorf("width %d: expanded %v:\n%s", width, expanded, got)
		}
		if !strings.Contains(got, "4711") {
			t.Errorf("width %d cut a number:\n%s", width, got)
		}
	}
	pipe := printed(t, l, term.Output{}, "table")
	if !strings.Contains(pipe, strings.Repeat("very long ", 20)) || strings.Contains(pipe, "…") {
		t.Errorf("a pipe got cut cells:\n%s", pipe)
	}
}

// Long results are written as they come, with a bounded number of rows held.
func TestTableStreams(t *testing.T) {
	var b bytes.Buffer
	p := newPrinter(&term.Output{Writer: &b, Terminal: true, Width: 80}, "table")
	if err := p.header([]api.QueryColumn{{Name: "n", Type: "integer"}}); err != nil {
		t.Fatal(err)
	}
	for i := range sampleRows {
		if b.Len() > 0 {
			t.Fatalf("written after %d rows, want %d held to size columns", i, sampleRows)
		}
		if err := p.rows([][]byte{fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasSuffix(b.String(), " 999\n") {
		t.Errorf("after %d rows it ends in %q", sampleRows, b.String()[max(0, b.Len()-10):])
	}
	if err := p.rows([][]byte{[]byte("1000000")}); err != nil {
		t.Fatal(err)
	}
	if err := p.close(sampleRows + 1); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "\n 1000000\n(1001 rows)\n") {
		t.Errorf("ends in %q", b.String()[max(0, b.Len()-40):])
	}
}

// Cells of no columns do not say how many rows there are.
func TestNoColumns(t *testing.T) {
	for format, want := range map[string]string{
		"table": "--\n(2 rows)\n",
		"csv":   "\n",
		"jsonl": "{}\n{}\n",
		"json":  "[\n  {},\n  {}\n]\n",
	} {
		var b bytes.Buffer
		p := newPrinter(&term.Output{Writer: &b}, format)
		if err := errors.Join(p.header(nil), p.rows(nil), p.close(2)); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != want {
			t.Errorf("%s of two rows = %q, want %q", format, got, want)
		}
	}
}

// A table breaks its lines where cells of a result do; nothing else that
// could move the cursor gets through, and each line has its room.
func TestLineBreaks(t *testing.T) {
	l := newListing("pid integer", "command text")
	l.add(1, "first\x1b[2J\r\n"+strings.Repeat("x", 100)+"\n")
	var b bytes.Buffer
	if err := l.print(newResultPrinter(&term.Output{Writer: &b, Terminal: true, Width: 40}, "table")); err != nil {
		t.Fatal(err)
	}
	want := " pid | command \n-----+---\n   1 | first\\x1b[2J\\r +\n     | " + strings.Repeat("x", 31) + "…+\n     | \n(1 row)\n"
	if got := squeeze(b.String()); got != squeeze(want) {
		t.Errorf("wrote\n%s\nwant\n%s", got, squeeze(want))
	}
	b.Reset()
	if err := l.print(newResultPrinter(&term.Output{Writer: &b, Terminal: true, Width: 12}, "table")); err != nil {
		t.Fatal(err)
	}
	want = "-[ RECORD 1 ]\npid     | 1\ncommand | first\\x1b[2J\\r+\n        | " + strings.Repeat("x", 100) + "+\n        |\n(1 row)\n"
	if got := b.String(); got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
	if got := printed(t, l, term.Output{}, "table"); strings.Count(got, "\n") != 4 {
		t.Errorf("a list of ours is broken into lines:\n%s", got)
	}
}

func TestExpandedColoursNothingElse(t *testing.T) {
	l := newListing("first text", "b text")
	l.add(strings.Repeat("x", 30), nil)
	got := printed(t, l, term.Output{Terminal: true, Width: 12}, "table")
	want := "-[ RECORD 1 ]\nfirst | " + strings.Repeat("x", 30) + "\nb     |\n(1 row)\n"
	if got != want {
		t.Errorf("expanded = %q, want %q", got, want)
	}
}

func TestPrintError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "daemoneye: plain\n"},
		{ErrNo, ""},
		{nil, ""},
		{
			fmt.Errorf("query: %w", &Error{Err: errors.New("line 1, column 9: bad \x1b[2J"), Caret: "SELECT\tx\n      \t^", Hint: "try y"}),
			"daemoneye: query: line 1, column 9: bad \\x1b[2J\nSELECT x\n       ^\nhint: try y\n",
		},
		{&term.UsageError{Message: "wrong", Hint: "right"}, "daemoneye: wrong\nhint: right\n"},
		{errors.New("one\ntwo"), "daemoneye: one\ntwo\n"},
	} {
		var b bytes.Buffer
		PrintError(&b, c.err)
		if got := b.String(); got != c.want {
			t.Errorf("PrintError(%v) wrote %q, want %q", c.err, got, c.want)
		}
	}
}

func BenchmarkFormats(b *testing.B) {
	cells := make([][]byte, 0, 4000)
	for i := range 1000 {
		cells = append(cells, fmt.Append(nil, i), []byte("2026-01-02 03:04:05.678+00"), []byte("/usr/bin/python3"), []byte("python3 -m http.server --bind 127.0.0.1 8000"))
	}
	columns := []api.QueryColumn{{Name: "pid", Type: "integer"}, {Name: "time", Type: "timestamp with time zone"}, {Name: "executable_path", Type: "text"}, {Name: "command_line", Type: "text"}}
	for _, format := range []string{"table", "csv", "jsonl"} {
		b.Run(format, func(b *testing.B) {
			p := newPrinter(&term.Output{Writer: io.Discard}, format)
			if err := p.header(columns); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := p.rows(cells); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// Of a list for people the last column may be much longer than its header.
func TestLooseLastColumn(t *testing.T) {
	l := newListing("pid integer", "command text")
	l.add(1, strings.Repeat("x", 200))
	var b bytes.Buffer
	out := &term.Output{Writer: &b}
	if err := l.print(&tablePrinter{out: out, w: bufio.NewWriter(out), loose: true}); err != nil {
		t.Fatal(err)
	}
	if want := " pid | command \n-----+---------\n   1 | " + strings.Repeat("x", 200) + "\n(1 row)\n"; b.String() != want {
		t.Errorf("wrote %q, want %q", b.String(), want)
	}
}

package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// formats are what everything that lists can be printed as.
func formats() []string { return []string{"table", "json", "jsonl", "csv"} }

func formatFlag(more ...string) cli.Flag {
	return &cli.StringFlag{
		Name: "format", Value: "table",
		Usage: "`FORMAT` of the output: " + strings.Join(append(formats(), more...), ", "),
	}
}

// format returns the value of --format; more are what the command can
// beside formats.
func format(c *cli.Context, more ...string) (string, error) {
	name := c.String("format")
	if allowed := append(formats(), more...); !slices.Contains(allowed, name) {
		return "", usage("it can be "+strings.Join(allowed, ", "), "there is no format %q", name)
	}
	return name, nil
}

// A printer writes one result. Cells come row by row, as in api.QueryRows: in
// JSON where json() says so, else as psql's text; nil is NULL.
type printer interface {
	json() bool
	header(columns []api.QueryColumn) error
	rows(cells [][]byte) error
	// close comes after the last row, not after an error. It is told how many
	// there were: cells of no columns do not say it.
	close(rows int64) error
}

// newPrinter returns the printer of one of formats. It buffers: close flushes.
func newPrinter(out *term.Output, format string) printer {
	return newLivePrinter(out, format, out.Terminal)
}

// newResultPrinter is newPrinter for the result of a statement of the user's:
// a table breaks lines where cells do, as psql does.
func newResultPrinter(out *term.Output, format string) printer {
	p := newPrinter(out, format)
	if t, ok := p.(*tablePrinter); ok {
		t.breaks = true
	}
	return p
}

// newLivePrinter returns a printer that, when it is live, holds back nothing
// but what a table needs to choose its widths.
func newLivePrinter(out *term.Output, format string, live bool) printer {
	w := bufio.NewWriterSize(out, 64<<10)
	switch format {
	case "json":
		return &jsonPrinter{out: out, w: w, array: true, live: live}
	case "jsonl":
		return &jsonPrinter{out: out, w: w, live: live}
	case "csv":
		return &csvPrinter{out: out, w: w, live: live}
	}
	return &tablePrinter{out: out, w: w}
}

// csvPrinter writes what psql --csv does: a header line, NULL and the empty
// string empty, fields quoted only where they must be. On a terminal cells are
// escaped as in a table.
type csvPrinter struct {
	out     *term.Output
	w       *bufio.Writer
	live    bool // someone watches: flush after each part
	columns int
}

func (p *csvPrinter) json() bool { return false }

func (p *csvPrinter) header(columns []api.QueryColumn) error {
	p.columns = len(columns)
	for i, c := range columns {
		p.field(i, []byte(c.Name))
	}
	return p.w.WriteByte('\n')
}

func (p *csvPrinter) rows(cells [][]byte) error {
	for i, cell := range cells {
		column := i % p.columns
		p.field(column, cell)
		if column == p.columns-1 {
			if err := p.w.WriteByte('\n'); err != nil {
				return err
			}
		}
	}
	return flushIf(p.w, p.live)
}

// field follows csv_print_field of psql's print.c.
func (p *csvPrinter) field(column int, cell []byte) {
	if column > 0 {
		_ = p.w.WriteByte(',') // an error stays in the writer
	}
	if p.out.Terminal {
		cell = []byte(p.out.Text(string(cell)))
	}
	if !bytes.ContainsAny(cell, ",\"\r\n") && string(cell) != `\.` {
		_, _ = p.w.Write(cell)
		return
	}
	_ = p.w.WriteByte('"')
	_, _ = p.w.Write(bytes.ReplaceAll(cell, []byte{'"'}, []byte{'"', '"'}))
	_ = p.w.WriteByte('"')
}

func (p *csvPrinter) close(int64) error { return p.w.Flush() }

func flushIf(w *bufio.Writer, live bool) error {
	if live {
		return w.Flush()
	}
	return nil
}

// jsonPrinter writes one object a row, on one line, keys in the order of the
// columns: JSON Lines, or an array of them. Of columns with the same name the
// second is called name_2, the third name_3. On a terminal what must not reach
// it is escaped, which changes no value.
type jsonPrinter struct {
	out    *term.Output
	w      *bufio.Writer
	array  bool
	live   bool
	sparse bool     // NULL is left out, but in the first column, as JSON Lines are read
	table  string   // a first member "table" that eventfile reads; "": none
	keys   [][]byte // "name": with what stands before it
	any    bool
}

func (p *jsonPrinter) json() bool { return true }

func (p *jsonPrinter) header(columns []api.QueryColumn) error {
	for i, name := range uniqueNames(columns) {
		key := []byte(", ")
		if i == 0 {
			key = []byte("{")
			if p.table != "" {
				key = append(event.AppendJSONString([]byte(`{"table": `), p.table), ", "...)
			}
		}
		p.keys = append(p.keys, p.out.JSON(append(event.AppendJSONString(key, name), ": "...)))
	}
	if p.array {
		return p.w.WriteByte('[')
	}
	return nil
}

func (p *jsonPrinter) rows(cells [][]byte) error {
	for i, cell := range cells {
		column := i % len(p.keys)
		if column == 0 {
			p.begin()
		}
		if cell != nil || column == 0 || !p.sparse {
			_, _ = p.w.Write(p.keys[column])
			if cell == nil {
				cell = []byte("null")
			}
			_, _ = p.w.Write(p.out.JSON(cell))
		}
		if column < len(p.keys)-1 {
			continue
		}
		if err := p.end(); err != nil {
			return err
		}
	}
	return flushIf(p.w, p.live)
}

// begin writes what separates a row from the one before.
func (p *jsonPrinter) begin() {
	if p.array {
		if p.any {
			_ = p.w.WriteByte(',')
		}
		_, _ = p.w.WriteString("\n  ")
	}
	p.any = true
}

func (p *jsonPrinter) end() error {
	text := "}\n"
	if p.array {
		text = "}"
	}
	_, err := p.w.WriteString(text)
	return err
}

func (p *jsonPrinter) close(rows int64) error {
	for ; len(p.keys) == 0 && rows > 0; rows-- {
		p.begin()
		_ = p.w.WriteByte('{')
		if err := p.end(); err != nil {
			return err
		}
	}
	if p.array {
		if p.any {
			_ = p.w.WriteByte('\n')
		}
		_, _ = p.w.WriteString("]\n")
	}
	return p.w.Flush()
}

// uniqueNames returns the columns' names, repeated ones with a number.
func uniqueNames(columns []api.QueryColumn) []string {
	names := make([]string, len(columns))
	taken := map[string]bool{}
	for _, c := range columns {
		taken[c.Name] = true
	}
	used := map[string]bool{}
	for i, c := range columns {
		name := c.Name
		for n := 2; used[name] || name != c.Name && taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", c.Name, n)
		}
		used[name] = true
		names[i] = name
	}
	return names
}

// listing is a result that is made here, not by a query.
type listing struct {
	columns []api.QueryColumn
	values  []any // nil, bool, int, int64, float64, string, []string, time.Time; row by row
}

// newListing takes "name type" for each column.
func newListing(columns ...string) *listing {
	l := &listing{}
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		l.columns = append(l.columns, api.QueryColumn{Name: name, Type: kind})
	}
	return l
}

func (l *listing) add(row ...any) { l.values = append(l.values, row...) }

func (l *listing) print(p printer) error {
	if err := p.header(l.columns); err != nil {
		return err
	}
	cells := make([][]byte, len(l.values))
	for i, v := range l.values {
		if p.json() {
			cells[i] = jsonCell(v)
		} else {
			cells[i] = textCell(v)
		}
	}
	if err := p.rows(cells); err != nil {
		return err
	}
	return p.close(int64(len(cells) / len(l.columns)))
}

// textCell writes a value as psql shows it.
func textCell(value any) []byte {
	switch v := value.(type) {
	case nil:
		return nil
	case bool:
		if v {
			return []byte("t")
		}
		return []byte("f")
	case time.Time:
		text := v.UTC().Format("2006-01-02 15:04:05.000000")
		return []byte(strings.TrimRight(strings.TrimRight(text, "0"), ".") + "+00")
	case float64:
		return strconv.AppendFloat(nil, v, 'g', -1, 64)
	case []string:
		return textArray(v)
	}
	return fmt.Append([]byte{}, value)
}

// textArray writes a list as array_out of PostgreSQL does.
func textArray(list []string) []byte {
	dst := []byte{'{'}
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if s != "" && !strings.EqualFold(s, "null") && !strings.ContainsAny(s, "\"\\{}, \t\n\r\v\f") {
			dst = append(dst, s...)
			continue
		}
		dst = append(dst, '"')
		dst = append(dst, strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s)...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func jsonCell(value any) []byte {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return event.AppendJSONString(nil, v)
	case time.Time:
		return event.AppendJSONString(nil, v.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	case []string:
		if v == nil {
			return nil
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("client: value %v (%T) of a listing: %v", value, value, err)) // ours
	}
	return text
}

// writeJSON prints one value of ours as indented JSON.
func writeJSON(out *term.Output, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := out.Write(out.JSON(b.Bytes()))
	return err
}

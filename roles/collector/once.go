package collector

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/procfs"
	"daemoneye/roles/log/core"
	"daemoneye/roles/term"
)

// onceHashTime bounds how long Once waits for digests.
const onceHashTime = time.Minute

// OnceConfig says how Once shows what it found.
type OnceConfig struct {
	Format  string       // table or json: a line per process
	Verbose bool         // more columns, and a summary on Err
	Out     *term.Output // the rows
	Err     *term.Output // progress and summary
}

// Once makes one scan, with digests, without an agent, and prints it.
func Once(ctx context.Context, cfg Config, show OnceConfig) error {
	cfg.Hash.Rate = 1 << 40 // somebody waits for it
	c, err := open(cfg)
	if err != nil {
		return err
	}
	defer c.close()
	progress := term.StartProgress(show.Err, "reading processes", "processes", 0)
	defer progress.Stop()
	snap, err := c.enumerator.Scan(ctx)
	if err != nil {
		return err
	}
	progress.Add(int64(len(snap.Processes)))
	if c.hasher != nil {
		if err := c.digests(ctx, snap); err != nil {
			return err
		}
	}
	batch := c.rows.build(snap.Processes, newState())
	progress.Stop()
	out := bufio.NewWriterSize(show.Out, 64<<10)
	if show.Format == "json" {
		err = writeJSON(out, batch)
	} else {
		err = writeTable(out, show, batch)
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("write processes: %w", err)
	}
	if show.Verbose {
		return c.summary(show.Err, snap)
	}
	return nil
}

// digests waits until every executable has been read, up to onceHashTime.
func (c *collector) digests(ctx context.Context, snap *procfs.Snapshot) error {
	wait, cancel := context.WithTimeout(ctx, onceHashTime)
	defer cancel()
	for _, p := range snap.Processes {
		c.hasher.Request(p)
	}
	if err := c.hasher.Wait(wait); err != nil && ctx.Err() == nil {
		c.log.Warn("not all executables were hashed in time", core.Int("left", c.hasher.Stats().Queued))
	}
	return ctx.Err()
}

func (c *collector) summary(w io.Writer, snap *procfs.Snapshot) error {
	line := fmt.Sprintf("%d processes in %v: %d not fully accessible, %d ended meanwhile",
		len(snap.Processes), snap.Duration.Round(time.Microsecond), snap.Inaccessible, snap.Vanished)
	if c.hasher != nil {
		s := c.hasher.Stats()
		line += fmt.Sprintf("; %d executables hashed (%d MB), %d could not be", s.Hashed, s.Bytes>>20, s.Failed+s.Skipped+s.Stalled+s.Dropped)
	}
	if snap.Err != nil {
		line += fmt.Sprintf("; %d errors, the first: %v", snap.Errors, term.Escape(snap.Err.Error()))
	}
	for _, l := range limits() {
		line += "\n" + l
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// writeJSON writes each row as one line: an object with every column.
func writeJSON(w *bufio.Writer, b *event.Batch) error {
	for i := range b.Rows {
		sep := byte('{')
		for k, c := range b.Table.Columns {
			_ = w.WriteByte(sep)
			sep = ','
			_, _ = w.WriteString(strconv.Quote(c.Name) + ":")
			value := b.Columns[k].Value(i)
			if at, ok := value.(time.Time); ok {
				value = at.Format("2006-01-02T15:04:05.000000Z07:00")
			}
			if err := writeValue(w, value); err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
		}
		if _, err := w.WriteString("}\n"); err != nil {
			return err
		}
	}
	return nil
}

func writeValue(w *bufio.Writer, value any) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := w.WriteString(strings.TrimSuffix(text.String(), "\n"))
	return err
}

// tableColumn is one column of the table for people.
type tableColumn struct {
	title string
	right bool
	most  int // cells; 0: as wide as needed
	cell  func(b *event.Batch, i int) string
}

func tableColumns(verbose bool) []tableColumn {
	text := func(name string) func(*event.Batch, int) string {
		return func(b *event.Batch, i int) string { return b.Column(name).Text(i) }
	}
	number := func(name string) func(*event.Batch, int) string {
		return func(b *event.Batch, i int) string {
			if v := b.Column(name); !v.IsNull(i) {
				return strconv.FormatInt(v.Int(i), 10)
			}
			return "-"
		}
	}
	list := []tableColumn{
		{title: "PID", right: true, cell: number("pid")},
		{title: "PPID", right: true, cell: number("ppid")},
		{title: "USER", most: 16, cell: userCell},
		{title: "STATUS", cell: text("status")},
		{title: "MEMORY", right: true, cell: func(b *event.Batch, i int) string { return term.Bytes(b.Column("memory_usage").Int(i)) }},
	}
	if verbose {
		list = append(list,
			tableColumn{title: "THREADS", right: true, cell: number("threads")},
			tableColumn{title: "STARTED", cell: func(b *event.Batch, i int) string {
				if v := b.Column("start_time"); !v.IsNull(i) {
					return time.UnixMicro(v.Int(i)).UTC().Format("2006-01-02 15:04:05")
				}
				return "-"
			}},
			tableColumn{title: "SHA256", most: 16, cell: func(b *event.Batch, i int) string {
				return orDash(b.Column("executable_hash").Text(i)[:min(16, len(b.Column("executable_hash").Text(i)))])
			}},
			tableColumn{title: "EXECUTABLE", most: 40, cell: executableCell},
		)
	}
	return append(list, tableColumn{title: "COMMAND", cell: commandCell})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func userCell(b *event.Batch, i int) string {
	if name := b.Column("user_name").Text(i); name != "" {
		return name
	}
	if v := b.Column("user_id"); !v.IsNull(i) {
		return strconv.FormatInt(v.Int(i), 10)
	}
	return "?"
}

func executableCell(b *event.Batch, i int) string {
	s := orDash(b.Column("executable_path").Text(i))
	if v := b.Column("file_exists"); !v.IsNull(i) && !v.Bools[i] {
		s += " (gone)"
	}
	return s
}

// commandCell shows kernel threads in brackets, as ps does.
func commandCell(b *event.Batch, i int) string {
	if s := b.Column("command_line").Text(i); s != "" {
		return s
	}
	return "[" + b.Column("name").Text(i) + "]"
}

// writeTable writes a table that fits the terminal: the last column, the
// command, gets what is left of the width. Every cell is escaped.
func writeTable(w *bufio.Writer, show OnceConfig, b *event.Batch) error {
	columns := tableColumns(show.Verbose)
	cells := make([][]string, b.Rows)
	widths := make([]int, len(columns))
	for k, c := range columns {
		widths[k] = len(c.title)
	}
	for i := range cells {
		cells[i] = make([]string, len(columns))
		for k, c := range columns {
			s := show.Out.Text(c.cell(b, i))
			if c.most > 0 && show.Out.Terminal {
				s = term.Truncate(s, c.most, "…")
			}
			cells[i][k] = s
			widths[k] = max(widths[k], term.Width(s))
		}
	}
	line := func(row []string) {
		var text strings.Builder
		for k, c := range columns {
			switch {
			case k == len(columns)-1:
				text.WriteString(row[k])
			case c.right:
				text.WriteString(term.PadLeft(row[k], widths[k]) + "  ")
			default:
				text.WriteString(term.Pad(row[k], widths[k]) + "  ")
			}
		}
		s := text.String()
		if show.Out.Width > 0 {
			s = term.Truncate(s, show.Out.Width, "…")
		}
		_, _ = w.WriteString(strings.TrimRight(s, " ") + "\n")
	}
	titles := make([]string, len(columns))
	for k, c := range columns {
		titles[k] = c.title
	}
	line(titles)
	for _, row := range cells {
		line(row)
	}
	return w.Flush()
}

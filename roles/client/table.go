package client

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// Bounds of what is looked at before the width of the columns is settled.
const (
	sampleRows  = 1000
	sampleBytes = 4 << 20
)

// minColumn is the width below which a column of text is not cut.
const minColumn = 8

// tablePrinter writes what psql's aligned format does, with every cell
// escaped. The columns' widths come from the first rows, which are held back;
// a later cell that is wider is cut on a terminal and shifts its row in a pipe.
// A row that has no room on a terminal is written with a line for each column.
type tablePrinter struct {
	out      *term.Output
	w        *bufio.Writer
	names    []string
	numeric  []bool
	rigid    []bool   // never cut
	breaks   bool     // a line break in a cell is one; else it is shown as \n
	held     []string // escaped cells, row by row
	bytes    int
	widths   []int // nil until they are settled
	expanded bool
	rowsOnly bool // never a line for each column: what has no room is cut
	loose    bool // in a pipe, the header of the last column is not as wide as its cells
	count    int64
}

func (p *tablePrinter) json() bool { return false }

func (p *tablePrinter) header(columns []api.QueryColumn) error {
	for _, c := range columns {
		p.names = append(p.names, p.out.Text(c.Name))
		p.numeric = append(p.numeric, numericType(c.Type))
		p.rigid = append(p.rigid, numericType(c.Type) || rigidType(c.Type))
	}
	return nil
}

// numericType reports whether psql writes the type to the right.
func numericType(name string) bool {
	switch name {
	case "smallint", "integer", "bigint", "real", "double precision", "numeric", "oid", "money", "xid", "cid":
		return true
	}
	return strings.HasPrefix(name, "numeric(")
}

// rigidText is a type of our own listings: text that must be seen whole, such
// as an id that the next command takes.
const rigidText = "rigid text"

// rigidType reports whether a part of a value would say something else.
func rigidType(name string) bool {
	return name == rigidText || name == "boolean" || name == "date" || name == "interval" || strings.HasPrefix(name, "timestamp")
}

func (p *tablePrinter) rows(cells [][]byte) error {
	for _, cell := range cells {
		text := p.text(string(cell))
		p.held = append(p.held, text)
		p.bytes += len(text)
	}
	if p.widths == nil && len(p.held) < sampleRows*len(p.names) && p.bytes < sampleBytes {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	return flushIf(p.w, p.out.Terminal)
}

// text escapes a cell; line breaks are left if the printer breaks lines.
func (p *tablePrinter) text(cell string) string {
	if !p.breaks || !strings.Contains(cell, "\n") {
		return p.out.Text(cell)
	}
	lines := strings.Split(cell, "\n")
	for i, line := range lines {
		lines[i] = p.out.Text(line)
	}
	return strings.Join(lines, "\n")
}

func (p *tablePrinter) close(rows int64) error {
	if err := p.flush(); err != nil {
		return err
	}
	if len(p.names) == 0 {
		p.count = rows
	}
	plural := "s"
	if p.count == 1 {
		plural = ""
	}
	fmt.Fprintf(p.w, "(%d row%s)\n", p.count, plural)
	return p.w.Flush()
}

// flush writes what is held back; the first time the header too.
func (p *tablePrinter) flush() error {
	if p.widths == nil {
		p.settle()
		if !p.expanded {
			p.writeHeader()
		}
	}
	for row := range slices.Chunk(p.held, max(len(p.names), 1)) {
		p.count++
		if p.expanded {
			p.writeRecord(row)
		} else {
			p.writeRow(row)
		}
	}
	p.held, p.bytes = p.held[:0], 0
	_, err := p.w.Write(nil) // an earlier error stays in the writer
	return err
}

// settle chooses the columns' widths: what they need, and on a terminal that
// is too narrow an equal cap for those that can be cut.
func (p *tablePrinter) settle() {
	n := len(p.names)
	p.widths = make([]int, n)
	for i, name := range p.names {
		p.widths[i] = term.Width(name)
	}
	for i, cell := range p.held {
		for line := range strings.SplitSeq(cell, "\n") {
			p.widths[i%n] = max(p.widths[i%n], term.Width(line))
		}
	}
	if !p.out.Terminal || p.out.Width <= 0 {
		if p.loose && n > 0 {
			p.widths[n-1] = term.Width(p.names[n-1])
		}
		return
	}
	room := p.out.Width - 3*(n-1) - 2
	total := func(limit int) int {
		sum := 0
		for i, w := range p.widths {
			if !p.rigid[i] {
				w = min(w, limit)
			}
			sum += w
		}
		return sum
	}
	limit := min(slices.Max(append(p.widths, 0)), max(room, minColumn))
	for limit > minColumn && total(limit) > room {
		limit--
	}
	switch {
	case total(limit) <= room:
	case p.rowsOnly:
		for limit > 1 && total(limit) > room {
			limit--
		}
	default:
		p.expanded = n > 1
		return
	}
	for i := range p.widths {
		if !p.rigid[i] {
			p.widths[i] = min(p.widths[i], limit)
		}
	}
}

func (p *tablePrinter) fit(cell string, column int) string {
	if p.out.Terminal && !p.rigid[column] {
		return p.out.Fit(cell, p.widths[column])
	}
	return cell
}

func (p *tablePrinter) writeHeader() {
	if len(p.names) == 0 { // as psql does
		_, _ = p.w.WriteString("--\n")
		return
	}
	for i, name := range p.names {
		if i > 0 {
			_ = p.w.WriteByte('|')
		}
		name = p.fit(name, i)
		left := (p.widths[i] - term.Width(name)) / 2
		_, _ = p.w.WriteString(" " + strings.Repeat(" ", left) + p.out.Paint(term.Bold, name))
		_, _ = p.w.WriteString(strings.Repeat(" ", p.widths[i]-left-term.Width(name)) + " ")
	}
	_ = p.w.WriteByte('\n')
	for i, width := range p.widths {
		if i > 0 {
			_ = p.w.WriteByte('+')
		}
		_, _ = p.w.WriteString(strings.Repeat("-", width+2))
	}
	_ = p.w.WriteByte('\n')
}

// writeRow writes a row, and a line more for each line break in its longest
// cell; a "+" after a cell says that it goes on.
func (p *tablePrinter) writeRow(row []string) {
	for more := true; more; {
		more = false
		for i, cell := range row {
			line, rest, broken := strings.Cut(cell, "\n")
			row[i], more = rest, more || broken
			line = p.fit(line, i)
			last := i == len(row)-1
			switch {
			case p.numeric[i]:
				line = term.PadLeft(line, p.widths[i])
			case !last || broken:
				line = term.Pad(line, p.widths[i])
			}
			_, _ = p.w.WriteString(" " + line)
			switch {
			case broken:
				_ = p.w.WriteByte('+')
			case !last:
				_ = p.w.WriteByte(' ')
			}
			if !last {
				_ = p.w.WriteByte('|')
			}
		}
		_ = p.w.WriteByte('\n')
	}
}

// writeRecord writes a row with a line for each column.
func (p *tablePrinter) writeRecord(row []string) {
	names := 0
	for _, name := range p.names {
		names = max(names, term.Width(name))
	}
	head := fmt.Sprintf("-[ RECORD %d ]", p.count)
	_, _ = p.w.WriteString(head + strings.Repeat("-", max(names+2-len(head), 0)) + "\n")
	for i, cell := range row {
		name := p.out.Paint(term.Bold, term.Pad(p.names[i], names))
		for more := true; more; name = strings.Repeat(" ", names) {
			var line string
			if line, cell, more = strings.Cut(cell, "\n"); more {
				line += "+"
			}
			_, _ = p.w.WriteString(strings.TrimRight(name+" | "+line, " ") + "\n")
		}
	}
}

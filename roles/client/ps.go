package client

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

func psCommand() *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Usage:     "list the present processes, or show one in full",
		ArgsUsage: "[PID]",
		Description: `   daemoneye ps
   daemoneye ps --tree
   daemoneye ps 4711
   daemoneye ps --format jsonl | jq 'select(.cpu_usage > 50)'

With PID and no --tree: everything that is known of that process, its ancestors and children.
With both: the tree below it. A terminal too narrow for all columns gets fewer of them, and cut commands.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "tree", Usage: "show parents above their children"},
			formatFlag(),
		},
		Action: run(ps),
	}
}

const psQuery = `SELECT pid, ppid, coalesce(user_name, user_id::text) AS user_name, start_time, cpu_usage, memory_usage, status, name, command_line
FROM processes ORDER BY pid`

// psRow is a row of psQuery.
type psRow struct {
	PID     int64      `json:"pid"`
	PPID    int64      `json:"ppid"`
	User    string     `json:"user_name"`
	Start   *time.Time `json:"start_time"`
	CPU     *float64   `json:"cpu_usage"`
	Memory  *int64     `json:"memory_usage"`
	Name    string     `json:"name"`
	Command string     `json:"command_line"`
}

func (r *psRow) command() string {
	if r.Command != "" {
		return r.Command
	}
	return "[" + r.Name + "]"
}

func ps(c *call) error {
	name, err := format(c.Context)
	if err != nil {
		return err
	}
	pid := int64(0)
	switch c.NArg() {
	case 0:
	case 1:
		if pid, err = strconv.ParseInt(c.Args().First(), 10, 32); err != nil || pid < 1 {
			return usage("give a process id", "%q is not a process id", c.Args().First())
		}
	default:
		return usage("give one process id or none", "ps takes at most one argument")
	}
	tree := c.Bool("tree")
	if tree && name != "table" {
		return usage("leave out --tree: every row has ppid", "a tree can not be printed as %s", name)
	}
	e, err := c.engine()
	if err != nil {
		return err
	}
	defer c.closing(e)
	if name != "table" {
		text := psQuery
		if pid != 0 {
			text = fmt.Sprintf("SELECT * FROM processes WHERE pid = %d", pid)
		}
		done, err := printQuery(c.ctx, e, api.QueryRequest{SQL: text}, newPrinter(c.out, name))
		if err != nil {
			return err
		}
		c.incomplete(done)
		if pid != 0 && done.Rows == 0 {
			return noProcess(pid)
		}
		return nil
	}
	list, done, err := fetch[psRow](c.ctx, e, psQuery, nil)
	if err != nil {
		return err
	}
	c.incomplete(done)
	if pid != 0 && !slices.ContainsFunc(list, func(r psRow) bool { return r.PID == pid }) {
		return noProcess(pid)
	}
	switch f := newForest(list); {
	case tree:
		return printProcesses(c.out, f.order(pid, c.out.ASCII))
	case pid != 0:
		return showProcess(c, e, f, pid)
	}
	lines := make([]psLine, len(list))
	for i := range list {
		lines[i].psRow = &list[i]
	}
	return printProcesses(c.out, lines)
}

func noProcess(pid int64) error {
	return &Error{Err: fmt.Errorf("no process %d was there at the last scan", pid), Hint: fmt.Sprintf(`its history: daemoneye query "SELECT * FROM process_events WHERE pid = %d"`, pid)}
}

// psLine is a process with what stands before its command in a tree.
type psLine struct {
	*psRow
	prefix string
}

// psColumns are what is shown of each process, in order. Sizes and percentages
// are text here, but belong to the right.
func psColumns() []string {
	return []string{"pid integer", "ppid integer", "user text", "start text", "cpu% numeric", "memory numeric", "command text"}
}

// psDispensable are the columns that a narrow terminal does without, the first
// of them first.
func psDispensable() []int { return []int{1, 4, 3, 5, 2} }

// commandRoom is how many cells the command should have at least.
const commandRoom = 24

func printProcesses(out *term.Output, lines []psLine) error {
	now := time.Now()
	var rows [][]any
	for _, l := range lines {
		var start, cpu, memory any
		if l.Start != nil {
			start = term.Started(*l.Start, now)
		}
		if l.CPU != nil {
			cpu = strconv.FormatFloat(*l.CPU, 'f', 1, 64)
		}
		if l.Memory != nil {
			memory = term.Bytes(*l.Memory)
		}
		rows = append(rows, []any{l.PID, l.PPID, l.User, start, cpu, memory, l.prefix + l.command()})
	}
	columns := psColumns()
	shown := psFit(out, columns, rows)
	var kept []string
	for _, i := range shown {
		kept = append(kept, columns[i])
	}
	list := newListing(kept...)
	for i := range len(kept) - 1 {
		if list.columns[i].Type == "text" {
			list.columns[i].Type = rigidText // only the command is cut
		}
	}
	for _, row := range rows {
		for _, i := range shown {
			list.add(row[i])
		}
	}
	return list.print(&tablePrinter{out: out, w: bufio.NewWriter(out), loose: true, rowsOnly: true})
}

// psFit returns the columns to show, so that the command keeps some room on a
// terminal.
func psFit(out *term.Output, columns []string, rows [][]any) []int {
	shown := make([]int, len(columns))
	widths := make([]int, len(columns))
	for i, column := range columns {
		name, _, _ := strings.Cut(column, " ")
		shown[i], widths[i] = i, term.Width(name)
		for _, row := range rows {
			if row[i] != nil {
				widths[i] = max(widths[i], term.Width(out.Text(fmt.Sprint(row[i]))))
			}
		}
	}
	if !out.Terminal || out.Width <= 0 {
		return shown
	}
	last := len(columns) - 1
	need := min(widths[last], commandRoom)
	for _, drop := range psDispensable() {
		used := 3*(len(shown)-1) + 2 + need
		for _, i := range shown[:len(shown)-1] {
			used += widths[i]
		}
		if used <= out.Width {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == drop })
	}
	return shown
}

// forest is the processes by parent.
type forest struct {
	list     []psRow
	byPID    map[int64]*psRow
	children map[int64][]*psRow
}

func newForest(list []psRow) *forest {
	f := &forest{list: list, byPID: map[int64]*psRow{}, children: map[int64][]*psRow{}}
	for i := range list {
		r := &list[i]
		f.byPID[r.PID] = r
		f.children[r.PPID] = append(f.children[r.PPID], r)
	}
	return f
}

// order returns the processes below root (0: all) as a tree. Parents that are
// their own descendants, which only a scan of changing processes can give,
// are cut at the second visit.
func (f *forest) order(root int64, ascii bool) []psLine {
	marks := [...]string{"├─ ", "└─ ", "│  ", "   "}
	if ascii {
		marks = [...]string{"|- ", "`- ", "|  ", "   "}
	}
	var lines []psLine
	seen := map[int64]bool{}
	var walk func(r *psRow, own, below string)
	walk = func(r *psRow, own, below string) {
		if seen[r.PID] {
			return
		}
		seen[r.PID] = true
		lines = append(lines, psLine{r, own})
		children := f.children[r.PID]
		for i, child := range children {
			if i < len(children)-1 {
				walk(child, below+marks[0], below+marks[2])
			} else {
				walk(child, below+marks[1], below+marks[3])
			}
		}
	}
	if root != 0 {
		walk(f.byPID[root], "", "")
		return lines
	}
	for i := range f.list {
		if r := &f.list[i]; f.byPID[r.PPID] == nil {
			walk(r, "", "")
		}
	}
	for i := range f.list {
		walk(&f.list[i], "", "")
	}
	return lines
}

// ancestors returns the parent of pid, its parent and so on.
func (f *forest) ancestors(pid int64) []*psRow {
	var list []*psRow
	for r := f.byPID[f.byPID[pid].PPID]; r != nil && !slices.Contains(list, r) && r.PID != pid; r = f.byPID[r.PPID] {
		list = append(list, r)
	}
	return list
}

func showProcess(c *call, e engine, f *forest, pid int64) error {
	rows, _, err := fetch[json.RawMessage](c.ctx, e, fmt.Sprintf("SELECT * FROM processes WHERE pid = %d", pid), nil)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return noProcess(pid)
	}
	b := newSheet(c.out)
	for _, field := range term.Fields(rows[0]) {
		switch value := field.Value; field.Column {
		case "memory_usage", "virtual_memory":
			n, _ := strconv.ParseInt(value, 10, 64)
			b.line(field.Column, "%s", term.Bytes(n))
		case "cpu_usage":
			b.line(field.Column, "%s%% of one core", value)
		case "parent_name", "parent_executable_path", "parent_command_line", "ancestors":
			// shown below, with pids
		default:
			b.line(field.Column, "%s", value)
		}
	}
	b.title("ancestors")
	for _, r := range f.ancestors(pid) {
		b.item("%7d  %-8s  %s", r.PID, r.User, r.command())
	}
	b.title("children")
	for _, r := range f.children[pid] {
		if r.PID != pid {
			b.item("%7d  %-8s  %s", r.PID, r.User, r.command())
		}
	}
	return b.flush()
}

// sheet is text with labels, for one thing shown in full.
type sheet struct {
	out *term.Output
	b   strings.Builder
}

const sheetLabel = 24

func newSheet(out *term.Output) *sheet { return &sheet{out: out} }

// line writes a label and its value; the terminal wraps long ones.
func (s *sheet) line(label, format string, args ...any) {
	s.b.WriteString(s.out.Paint(term.Dim, term.Pad(s.out.Text(label), sheetLabel)))
	s.b.WriteString(" " + s.out.Text(fmt.Sprintf(format, args...)) + "\n")
}

func (s *sheet) title(text string) {
	s.b.WriteString("\n" + s.out.Paint(term.Bold, s.out.Text(text)) + "\n")
}

func (s *sheet) item(format string, args ...any) {
	s.b.WriteString("  " + s.out.Text(fmt.Sprintf(format, args...)) + "\n")
}

// block writes text of several lines, indented.
func (s *sheet) block(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		s.item("%s", strings.ReplaceAll(line, "\t", "    "))
	}
}

func (s *sheet) flush() error {
	_, err := fmt.Fprint(s.out, s.b.String())
	return err
}

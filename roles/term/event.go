package term

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemoneye/bus/event"
)

// Event writes row i of b on one line:
//
//	12:04:31Z  exec     4711  www-data  nginx → php-fpm → sh -c id
//	12:04:31Z  connect  4711  www-data  curl remote_address=192.0.2.1 remote_port=443
//
// Rows of tables that do not tell of a process are shown as their table and
// name=value pairs.
func Event(o *Output, b *event.Batch, i int) error {
	clock := o.Clock(rowTime(b, i))
	head := Width(clock) + 2
	var line string
	switch b.Table.Name {
	case "process_events", "processes":
		line = processLine(o, b, i, head)
	default:
		if b.Table.Index("entity_id") > 0 && b.Table.Index("event") >= 0 {
			line = actionLine(o, b, i, head)
		} else {
			line = genericLine(o, b, i, head)
		}
	}
	_, err := fmt.Fprintf(o, "%s  %s\n", o.Paint(Dim, clock), line)
	return err
}

func (o *Output) room(used int) int {
	if o.Width == 0 {
		return 1 << 20
	}
	return max(o.Width-used, 0)
}

// lead is what comes first in the line of a row that tells of a process.
func lead(o *Output, b *event.Batch, i int, kind string) string {
	user := b.Column("user_name").Text(i)
	if user == "" {
		if v := b.Column("user_id"); !v.IsNull(i) {
			user = strconv.FormatInt(v.Int(i), 10)
		}
	}
	return fmt.Sprintf("%s %7d  %s  ", Pad(o.Text(kind), 7), b.Column("pid").Int(i), Pad(o.Text(user), 8))
}

func processLine(o *Output, b *event.Batch, i, head int) string {
	kind := b.Column("event").Text(i)
	if kind == "" {
		kind = "process"
	}
	lead := lead(o, b, i, kind)
	room := o.room(head + Width(lead))
	what := commandOf(b, i)
	if changed := b.Column("changed_columns").Texts(i); kind == "changed" && len(changed) > 0 {
		what += "  [" + strings.Join(changed, ", ") + "]"
	}
	what = o.Text(what)
	// The command comes first where room is short: ancestors get what it leaves.
	chain := Lineage(o, b.Column("ancestors").Texts(i), max(room-Width(what), room/3))
	return o.Paint(eventColor(kind), lead) + o.Paint(Dim, chain) + o.Fit(what, room-Width(chain))
}

func eventColor(kind string) Color {
	switch kind {
	case "exec":
		return Green
	case "changed":
		return Yellow
	case "exit":
		return Dim
	}
	return ""
}

// commandOf returns what runs: the command line with the program's base name,
// else its path, else its name as the kernel writes kernel threads, [name].
func commandOf(b *event.Batch, i int) string {
	name := b.Column("name").Text(i)
	command := b.Column("command_line").Text(i)
	file := b.Column("executable_path").Text(i)
	switch {
	case command != "":
		program, rest, _ := strings.Cut(command, " ")
		if strings.HasPrefix(program, "/") {
			program = path.Base(program)
		}
		return strings.TrimSpace(program + " " + rest)
	case file != "":
		return path.Base(file)
	}
	return "[" + name + "]"
}

// actionLine says what a process did: the columns before those that describe
// the process.
func actionLine(o *Output, b *event.Batch, i, head int) string {
	lead := lead(o, b, i, b.Column("event").Text(i))
	name := path.Base(cmp.Or(b.Column("executable_path").Text(i), b.Column("name").Text(i), "?"))
	said := name + pairs(b, i, b.Table.Columns[:b.Table.Index("entity_id")], b.Table.Time, "event", "source")
	return lead + o.Fit(said, o.room(head+Width(lead)))
}

func genericLine(o *Output, b *event.Batch, i, head int) string {
	said := pairs(b, i, b.Table.Columns, b.Table.Time)
	return o.Paint(Bold, b.Table.Name) + o.Fit(said, o.room(head+len(b.Table.Name)))
}

// pairs returns " name=value" of the first columns, but for those that are NULL
// or left out.
func pairs(b *event.Batch, i int, columns []event.Column, without ...string) string {
	var list strings.Builder
	for j, column := range columns {
		if v := b.Columns[j]; !v.IsNull(i) && !slices.Contains(without, column.Name) {
			fmt.Fprintf(&list, " %s=%s", column.Name, plain(v.Value(i)))
		}
	}
	return list.String()
}

// plain returns a value on one line, quoted when it holds spaces.
func plain(value any) string {
	switch v := value.(type) {
	case string:
		if v == "" || strings.ContainsAny(v, " \"") {
			return strconv.Quote(v)
		}
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case json.RawMessage:
		return string(v)
	case []string:
		return "[" + strings.Join(v, ",") + "]"
	}
	return fmt.Sprint(value)
}

package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"daemoneye/bus/event"
)

// Alert writes a as it is read in one glance, without a blank line:
//
//	12:04:31Z  HIGH  Shell started by a web server
//	           nginx → php-fpm → sh (pid 4711, www-data)
//	           command_line: sh -c id
//
// Further lines say that it was counted more than once and what may be
// missing. Everything that was observed is escaped and cut to the terminal.
func Alert(o *Output, a *event.Alert) error {
	clock := o.Clock(a.Time)
	severity := strings.ToUpper(a.Severity)
	indent := strings.Repeat(" ", len(clock)+2)
	room := o.Width - len(indent)
	if o.Width == 0 || room < 20 {
		room = 1 << 20
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s  %s\n", o.Paint(Dim, clock), o.Paint(SeverityColor(a.Severity), o.Text(severity)),
		o.Paint(Bold, o.Fit(a.Title, room-len(severity)-2)))
	if process := newSubject(a); process.known() {
		fmt.Fprintf(&b, "%s%s\n", indent, process.line(o, room))
	}
	for _, reason := range Reasons(a) {
		label := reason.Column + ": "
		fmt.Fprintf(&b, "%s%s%s\n", indent, o.Paint(Dim, o.Text(label)), o.Fit(reason.Value, room-Width(label)))
	}
	if a.Count > 1 {
		fmt.Fprintf(&b, "%s%s\n", indent, o.Fit(fmt.Sprintf("%s since %s", Plural(a.Count, "match", "matches"), o.Clock(a.FirstSeen)), room))
	}
	if !a.Complete {
		text := "incomplete: events were lost"
		if len(a.IncompleteReasons) > 0 {
			text = "incomplete: " + strings.Join(a.IncompleteReasons, "; ")
		}
		fmt.Fprintf(&b, "%s%s\n", indent, o.Paint(Yellow, o.Fit(text, room)))
	}
	_, err := o.Write(b.Bytes())
	return err
}

// subject is the process that an alert is about.
type subject struct {
	PID       int64    `json:"pid"`
	Name      string   `json:"name"`
	Path      string   `json:"executable_path"`
	User      string   `json:"user_name"`
	Ancestors []string `json:"ancestors"`
}

// newSubject reads the alert's process, or what its row says of one. Both are
// objects of ours; where one is not, that says less but never fails.
func newSubject(a *event.Alert) subject {
	var s subject
	if a.Process == nil || json.Unmarshal(a.Process, &s) != nil {
		s = subject{}
		_ = json.Unmarshal(a.Row, &s)
	}
	if s.PID == 0 {
		s.PID = a.PID
	}
	return s
}

func (s *subject) known() bool { return s.PID != 0 || s.Name != "" || s.Path != "" }

// line shows the ancestors from the oldest to the process itself. Where it is
// too long the oldest are left out: the nearest say most.
func (s *subject) line(o *Output, room int) string {
	name := path.Base(s.Path)
	if s.Path == "" {
		name = s.Name
	}
	details := ""
	switch {
	case s.PID != 0 && s.User != "":
		details = fmt.Sprintf(" (pid %d, %s)", s.PID, s.User)
	case s.PID != 0:
		details = fmt.Sprintf(" (pid %d)", s.PID)
	case s.User != "":
		details = fmt.Sprintf(" (%s)", s.User)
	}
	name, details = o.Text(name), o.Text(details)
	chain := Lineage(o, s.Ancestors, room-Width(name)-Width(details))
	if chain == "" && Width(name)+Width(details) > room {
		return o.Fit(name+details, room)
	}
	return chain + o.Paint(Bold, name) + details
}

// Lineage returns the base names of ancestors (the parent first), the oldest
// first, each followed by an arrow, in at most room cells; "" when there is
// none or no room.
func Lineage(o *Output, ancestors []string, room int) string {
	arrow := o.arrow()
	chain, short := "", o.ellipsis()+arrow
	for i, ancestor := range ancestors {
		last := i == len(ancestors)-1
		if i > 0 && ancestor == ancestors[i-1] && !last {
			continue // a shell that started itself again says nothing new
		}
		next := o.Text(path.Base(ancestor)) + arrow + chain
		left := room - Width(next)
		if left >= 0 && (last || left >= Width(short)) {
			chain = next
			continue
		}
		if Width(chain)+Width(short) > room {
			return ""
		}
		return short + chain
	}
	return chain
}

// Reason is a column of an alert's matched row that is worth a look.
type Reason struct {
	Column, Value string
}

// told are the columns that an alert's other lines or its identity show.
var told = []string{
	"pid", "ppid", "name", "entity_id", "parent_entity_id", "user_id", "user_name", "time", "collection_time",
	"ancestors", "start_time", "start_time_ns", "source", "accessible", "host",
}

// telling are the columns to show of a row that has many.
var telling = []string{
	"event", "command_line", "executable_path", "invoked_path", "changed_columns", "file_exists", "cwd",
	"effective_user_id", "capabilities",
}

// Reasons returns why the alert's rule matched: what its SELECT chose, in its
// order, without what Alert shows anyway; of a long row (SELECT *) the columns
// that say most. Long values are not cut.
func Reasons(a *event.Alert) []Reason {
	const most = 4
	fields := Fields(a.Row)
	fields = slices.DeleteFunc(fields, func(r Reason) bool { return slices.Contains(told, r.Column) })
	if len(fields) <= most {
		return fields
	}
	var chosen []Reason
	for _, column := range telling {
		i := slices.IndexFunc(fields, func(r Reason) bool { return r.Column == column })
		if i >= 0 && len(chosen) < most {
			chosen = append(chosen, fields[i])
		}
	}
	if len(chosen) == 0 {
		return fields[:most]
	}
	return chosen
}

// Fields returns the members of a JSON object in their order, strings
// without quotes; null and empty ones are left out.
func Fields(object []byte) []Reason {
	var list []Reason
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return list
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return list
		}
		value := string(raw)
		var s string
		if json.Unmarshal(raw, &s) == nil {
			value = s
		}
		if value != "" && value != "null" && value != "[]" && value != "{}" {
			name, _ := key.(string)
			list = append(list, Reason{name, value})
		}
	}
	return list
}

// Time of a row, zero when it has none.
func rowTime(b *event.Batch, row int) time.Time {
	v := b.Column(b.Table.Time)
	if v.IsNull(row) {
		return time.Time{}
	}
	return time.UnixMicro(v.Int(row))
}

// ProcessLine returns the process of an alert with its ancestors on one line,
// "" when it is of none.
func ProcessLine(o *Output, a *event.Alert) string {
	s := newSubject(a)
	if !s.known() {
		return ""
	}
	room := o.Width
	if room == 0 {
		room = 1 << 20
	}
	return s.line(o, room)
}

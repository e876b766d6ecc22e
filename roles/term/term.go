// Package term writes for people: it knows what a terminal can show, keeps
// control characters of observed data away from it, and renders alerts and
// events so that one glance is enough.
package term

import (
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"
)

// Output is a stream for people and what it can show. The zero value of
// everything but the Writer is a plain pipe.
type Output struct {
	io.Writer
	Terminal bool             // someone looks at it now
	Width    int              // in character cells; 0: unlimited
	Color    bool             // may be coloured
	ASCII    bool             // nothing but ASCII can be shown
	Now      func() time.Time // whose day is today; nil: time.Now
}

// New returns w with what it can show. NO_COLOR, CLICOLOR=0 and TERM=dumb switch
// colours off (no-color.org, bixense.com/clicolors); nothing switches them on
// in a pipe. A terminal whose locale (LC_ALL, LC_CTYPE, LANG) is not UTF-8
// gets ASCII only.
func New(w io.Writer, getenv func(string) string) *Output {
	o := &Output{Writer: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return o
	}
	o.Terminal = true
	o.Width = 80
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		o.Width = width
	}
	o.Color = colors(getenv)
	o.ASCII = runtime.GOOS != "windows" && !utf8Locale(getenv)
	return o
}

func colors(getenv func(string) string) bool {
	kind := getenv("TERM")
	if runtime.GOOS != "windows" && kind == "" {
		return false
	}
	return kind != "dumb" && getenv("NO_COLOR") == "" && getenv("CLICOLOR") != "0"
}

func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := getenv(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// A Color is what SGR (ECMA-48, 8.3.117) selects.
type Color string

const (
	Bold    Color = "1"
	Dim     Color = "2"
	Red     Color = "31"
	Green   Color = "32"
	Yellow  Color = "33"
	Cyan    Color = "36"
	BoldRed Color = "1;31"
	Alarm   Color = "1;37;41" // white on red
)

// Paint returns s in color where o may be coloured, else s. It does not
// escape s.
func (o *Output) Paint(color Color, s string) string {
	if !o.Color || color == "" || s == "" {
		return s
	}
	return "\x1b[" + string(color) + "m" + s + "\x1b[0m"
}

// SeverityColor is the colour of an alert's severity.
func SeverityColor(severity string) Color {
	switch severity {
	case "critical":
		return Alarm
	case "high":
		return BoldRed
	case "medium":
		return Yellow
	default:
		return Cyan
	}
}

// Text returns s without anything that o can not show or must not receive;
// see Escape.
func (o *Output) Text(s string) string {
	if o.ASCII {
		return EscapeASCII(s)
	}
	return Escape(s)
}

// JSON returns the JSON text without anything that o can not show or must not
// receive, where o is a terminal; see EscapeJSON. In a pipe it is text itself.
func (o *Output) JSON(text []byte) []byte {
	if !o.Terminal {
		return text
	}
	return EscapeJSON(text, o.ASCII)
}

// Fit returns the escaped s, cut to width cells where o is a terminal.
func (o *Output) Fit(s string, width int) string {
	s = o.Text(s)
	if !o.Terminal {
		return s
	}
	return Truncate(s, width, o.ellipsis())
}

func (o *Output) ellipsis() string {
	if o.ASCII {
		return "..."
	}
	return "…"
}

// arrow stands between a process and its child.
func (o *Output) arrow() string {
	if o.ASCII {
		return " > "
	}
	return " → "
}

// Times are in UTC everywhere, and say so: what is read here is compared with
// the logs of other hosts.
const (
	timeOnly = "15:04:05Z"
	dateTime = "2006-01-02 15:04:05Z"
)

// Clock returns t as people read it now: the time of day on a terminal if that
// day is today, the date too on another day and in a pipe, which may be a file
// that is read next month.
func (o *Output) Clock(t time.Time) string {
	t, today := o.utc(t)
	if o.Terminal && today {
		return t.Format(timeOnly)
	}
	return t.Format(dateTime)
}

// Moment is Clock where room is short: "15:04:05Z" today, "Jan 02 15:04Z"
// within a year, else the date.
func (o *Output) Moment(t time.Time) string {
	t, today := o.utc(t)
	switch {
	case today:
		return t.Format(timeOnly)
	case o.now().Sub(t).Abs() < 365*24*time.Hour:
		return t.Format("Jan 02 15:04Z")
	}
	return t.Format(time.DateOnly)
}

func (o *Output) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// utc returns t in UTC, and whether it is of the present day there.
func (o *Output) utc(t time.Time) (utc time.Time, today bool) {
	utc = t.UTC()
	return utc, utc.Format(time.DateOnly) == o.now().UTC().Format(time.DateOnly)
}

// Wrap breaks text between words into lines of at most width cells; a longer
// word has a line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && Width(line)+1+Width(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

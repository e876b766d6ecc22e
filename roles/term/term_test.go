package term

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"daemoneye/bus/event"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestColors(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{[]string{"TERM", "xterm"}, true},
		{[]string{"TERM", "dumb"}, false},
		{[]string{}, false},
		{[]string{"TERM", "xterm", "NO_COLOR", "1"}, false},
		{[]string{"TERM", "xterm", "CLICOLOR", "0"}, false},
		{[]string{"TERM", "xterm", "CLICOLOR", "1"}, true},
	} {
		if got := colors(env(c.env...)); got != c.want {
			t.Errorf("colors(%v) = %v, want %v", c.env, got, c.want)
		}
	}
}

func TestLocale(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{[]string{"LANG", "de_DE.UTF-8"}, true},
		{[]string{"LANG", "C.utf8"}, true},
		{[]string{"LANG", "C.UTF-8", "LC_ALL", "C"}, false},
		{[]string{"LANG", "C", "LC_CTYPE", "C.UTF-8"}, true},
		{nil, false},
	} {
		if got := utf8Locale(env(c.env...)); got != c.want {
			t.Errorf("utf8Locale(%v) = %v, want %v", c.env, got, c.want)
		}
	}
}

func TestNewOnPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	o := New(w, env("TERM", "xterm", "LANG", "C.UTF-8"))
	if o.Terminal || o.Color || o.Width != 0 || o.ASCII {
		t.Errorf("New(pipe) = %+v, want a plain output", o)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, want, ascii string }{
		{"plain", "plain", "plain"},
		{"", "", ""},
		{"a\x1b[31mb", `a\x1b[31mb`, `a\x1b[31mb`},
		{"a\nb\tc\rd", `a\nb\tc\rd`, `a\nb\tc\rd`},
		{"\x00\x07\x7f", `\x00\x07\x7f`, `\x00\x07\x7f`},
		{"\u009b31m", `\u{009b}31m`, `\u{009b}31m`},
		{"\xff\xfe", `\xff\xfe`, `\xff\xfe`},
		{"gnp\u202egpj.exe", `gnp\u{202e}gpj.exe`, `gnp\u{202e}gpj.exe`},
		{"a\u2066b\u2069", `a\u{2066}b\u{2069}`, `a\u{2066}b\u{2069}`},
		{"a\u200bb\ufeff", `a\u{200b}b\u{feff}`, `a\u{200b}b\u{feff}`},
		{"a\u2028b", `a\u{2028}b`, `a\u{2028}b`},
		{"Größe 漢字", "Größe 漢字", `Gr\u{00f6}\u{00df}e \u{6f22}\u{5b57}`},
		{`C:\x00`, `C:\x00`, `C:\x00`},
	} {
		if got := Escape(c.in); got != c.want {
			t.Errorf("Escape(%q) = %q, want %q", c.in, got, c.want)
		}
		if got := EscapeASCII(c.in); got != c.ascii {
			t.Errorf("EscapeASCII(%q) = %q, want %q", c.in, got, c.ascii)
		}
	}
}

// Whatever bytes go in, nothing that moves a cursor, changes a mode or turns
// the direction of writing comes out.
func TestEscapeIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := Escape(in)
		if !utf8.ValidString(got) {
			t.Fatalf("Escape(%q) = %q, not UTF-8", in, got)
		}
		for _, r := range got {
			if !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("Escape(%q) = %q has %U", in, got, r)
			}
		}
		for _, b := range []byte(EscapeASCII(in)) {
			if b < ' ' || b >= 0x7f {
				t.Fatalf("EscapeASCII(%q) has byte %#x", in, b)
			}
		}
	})
}

func TestWidth(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
	}{
		{"abc", 3}, {"漢字", 4}, {"ｆ", 2}, {"e\u0301", 1}, {"한국", 4}, {"\u1112\u1161\u11ab", 2}, {"😀", 2}, {"→ …", 3}, {"Größe", 5},
	} {
		if got := Width(c.in); got != c.want {
			t.Errorf("Width(%q) = %d, want %d", c.in, got, c.want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in    string
		cells int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"漢字", 4, "漢字"}, {"漢字", 3, "漢…"}, {"漢字", 2, "…"}, {"abc", 0, ""}, {"abc", 1, "…"},
	} {
		if got := Truncate(c.in, c.cells, "…"); got != c.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", c.in, c.cells, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s, cells := Escape(rapid.String().Draw(t, "s")), rapid.IntRange(0, 40).Draw(t, "cells")
		if got := Truncate(s, cells, "..."); Width(got) > cells {
			t.Fatalf("Truncate(%q, %d) = %q of width %d", s, cells, got, Width(got))
		}
	})
}

func TestHuman(t *testing.T) {
	for _, c := range []struct {
		in   int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {10 << 20, "10 MiB"}, {1<<20 - 1, "1.0 MiB"}, {-2048, "-2.0 KiB"}, {1 << 62, "4.0 EiB"},
	} {
		if got := Bytes(c.in); got != c.want {
			t.Errorf("Bytes(%d) = %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0 s"},
		{1500 * time.Nanosecond, "1.5 µs"},
		{12300 * time.Microsecond, "12.3 ms"},
		{2 * time.Second, "2 s"},
		{65 * time.Second, "1m 5s"},
		{3*time.Hour + 4*time.Minute, "3h 4m"},
		{76 * time.Hour, "3d 4h"},
		{-time.Second, "-1 s"},
	} {
		if got := Duration(c.in); got != c.want {
			t.Errorf("Duration(%d) = %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct {
		in   int64
		want string
	}{{0, "0"}, {999, "999"}, {1000, "1,000"}, {-1234567, "-1,234,567"}} {
		if got := Count(c.in); got != c.want {
			t.Errorf("Count(%d) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestStarted(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ago  time.Duration
		want string
	}{{time.Hour, "11:00:00Z"}, {48 * time.Hour, "Mar 02"}, {800 * 24 * time.Hour, "2023-12-25"}} {
		if got := Started(now.Add(-c.ago), now); got != c.want {
			t.Errorf("Started(%v ago) = %q, want %q", c.ago, got, c.want)
		}
	}
}

func hostileAlert() *event.Alert {
	return &event.Alert{
		ID: "a1", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), RuleID: "r", Severity: "high",
		Title: "Web server started a shell\x1b[2J", Count: 1, Complete: true,
		Row:     json.RawMessage(`{"pid": 4711, "name": "sh", "command_line": "sh -c \u001b]0;owned\u0007 id", "user_name": null}`),
		Process: json.RawMessage(`{"pid": 4711, "name": "sh", "executable_path": "/usr/bin/dash", "user_name": "www-data", "ancestors": ["/usr/sbin/php-fpm", "/usr/sbin/nginx\u202e"]}`),
	}
}

func TestAlert(t *testing.T) {
	many := hostileAlert()
	many.Count, many.FirstSeen, many.Complete = 1200, many.Time.Add(-time.Hour), false
	many.IncompleteReasons = []string{"process_events lost"}
	bare := &event.Alert{Time: many.Time, Severity: "low", Title: "No process", Count: 1, Complete: true, Row: json.RawMessage(`{"n": 3}`)}
	for _, c := range []struct {
		name  string
		out   Output
		alert *event.Alert
		want  string
	}{
		{"pipe", Output{}, hostileAlert(), `
2026-01-02 03:04:05Z  HIGH  Web server started a shell\x1b[2J
                      nginx\u{202e} → php-fpm → dash (pid 4711, www-data)
                      command_line: sh -c \x1b]0;owned\x07 id
`},
		{"narrow terminal", Output{Terminal: true, Width: 50}, hostileAlert(), `
03:04:05Z  HIGH  Web server started a shell\x1b[2J
           … → php-fpm → dash (pid 4711, www-data)
           command_line: sh -c \x1b]0;owned\x07 id
`},
		{"very narrow ASCII", Output{Terminal: true, Width: 34, ASCII: true}, hostileAlert(), `
03:04:05Z  HIGH  Web server sta...
           dash (pid 4711, www-...
           command_line: sh -c ...
`},
		{"counted and incomplete", Output{}, many, `
2026-01-02 03:04:05Z  HIGH  Web server started a shell\x1b[2J
                      nginx\u{202e} → php-fpm → dash (pid 4711, www-data)
                      command_line: sh -c \x1b]0;owned\x07 id
                      1,200 matches since 2026-01-02 02:04:05Z
                      incomplete: process_events lost
`},
		{"no process", Output{}, bare, `
2026-01-02 03:04:05Z  LOW  No process
                      n: 3
`},
		{
			"colours",
			Output{Terminal: true, Width: 80, Color: true},
			bare,
			"\n\x1b[2m03:04:05Z\x1b[0m  \x1b[36mLOW\x1b[0m  \x1b[1mNo process\x1b[0m\n           \x1b[2mn: \x1b[0m3\n",
		},
	} {
		var b bytes.Buffer
		c.out.Writer = &b
		c.out.Now = func() time.Time { return many.Time }
		if err := Alert(&c.out, c.alert); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + b.String(); got != c.want {
			t.Errorf("%s: Alert wrote%s\nwant%s", c.name, got, c.want)
		}
	}
}

func TestReasonsOfWideRow(t *testing.T) {
	row := `{"time": "2026-01-02T03:04:05Z", "a": 1, "b": 2, "c": 3, "cwd": "/", "command_line": "id", "d": null, "e": ""}`
	got := Reasons(&event.Alert{Row: json.RawMessage(row)})
	if len(got) != 2 || got[0] != (Reason{"command_line", "id"}) || got[1] != (Reason{"cwd", "/"}) {
		t.Errorf("Reasons(%s) = %v, want command_line and cwd", row, got)
	}
	if got := Reasons(&event.Alert{Row: json.RawMessage(`[1`)}); len(got) != 0 {
		t.Errorf("Reasons of no object = %v, want none", got)
	}
}

func TestEvent(t *testing.T) {
	b := event.NewBuilder(event.Lookup("process_events"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	row := func(kind, command string, pid int64, changed []string) {
		b.Column("time").Time(at)
		b.Column("event").Text(kind)
		b.Column("pid").Int(pid)
		b.Column("name").Text("kworker/0:1")
		b.Column("command_line").TextOrNull(command)
		b.Column("user_name").Text("www-data")
		b.Column("ancestors").Texts([]string{"/usr/bin/bash", "/usr/bin/bash", "/usr/sbin/sshd"})
		b.Column("changed_columns").Texts(changed)
		b.EndRow()
	}
	row("exec", "/usr/bin/id \x1b[1m", 4711, nil)
	row("changed", "", 2, []string{"user_id"})
	batch := b.Batch()
	for i, want := range []string{
		"2026-01-02 03:04:05Z  exec       4711  www-data  sshd → bash → id \\x1b[1m\n",
		"2026-01-02 03:04:05Z  changed       2  www-data  sshd → bash → [kworker/0:1]  [user_id]\n",
	} {
		var out bytes.Buffer
		if err := Event(&Output{Writer: &out}, batch, i); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want {
			t.Errorf("Event row %d = %q, want %q", i, got, want)
		}
	}
	var out bytes.Buffer
	today := func() time.Time { return at }
	if err := Event(&Output{Writer: &out, Terminal: true, Width: 50, Now: today}, batch, 0); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(out.String(), "\n"); Width(got) > 50 || !strings.Contains(got, "id ") {
		t.Errorf("Event on 50 columns = %q (%d)", got, Width(got))
	}
}

func TestEventOfAction(t *testing.T) {
	b := event.NewBuilder(event.Lookup("network_events"))
	b.Column("time").Micro(0)
	b.Column("event").Text("connect")
	b.Column("source").Text("kernel")
	b.Column("remote_address").Text("192.0.2.1")
	b.Column("remote_port").Int(443)
	b.Column("pid").Int(4711)
	b.Column("user_name").Text("www-data")
	b.Column("executable_path").Text("/tmp/a\x1b[1m b")
	b.EndRow()
	var out bytes.Buffer
	if err := Event(&Output{Writer: &out}, b.Batch(), 0); err != nil {
		t.Fatal(err)
	}
	want := "1970-01-01 00:00:00Z  connect    4711  www-data  a\\x1b[1m b remote_address=192.0.2.1 remote_port=443\n"
	if got := out.String(); got != want {
		t.Errorf("Event = %q, want %q", got, want)
	}
}

func TestEventOfOtherTable(t *testing.T) {
	b := event.NewBuilder(event.Lookup("scans"))
	b.Column("time").Micro(0)
	b.Column("source").Text("procfs")
	b.Column("processes").Int(7)
	b.Column("error").Text("a \"b\"\n")
	b.EndRow()
	var out bytes.Buffer
	if err := Event(&Output{Writer: &out}, b.Batch(), 0); err != nil {
		t.Fatal(err)
	}
	want := "1970-01-01 00:00:00Z  scans source=procfs processes=7 error=\"a \\\"b\\\"\\n\"\n"
	if got := out.String(); got != want {
		t.Errorf("Event = %q, want %q", got, want)
	}
}

func TestProgressSaysNothingInPipe(t *testing.T) {
	var b bytes.Buffer
	p := StartProgress(&Output{Writer: &b}, "work", "rows", 0)
	p.Add(1000)
	p.Stop()
	p.Stop()
	if b.Len() > 0 {
		t.Errorf("progress in a pipe wrote %q", b.String())
	}
}

func TestProgressLine(t *testing.T) {
	p := &Progress{label: "import", unit: "rows", total: 4000}
	p.Add(1000)
	if got, want := p.line(65*time.Second), "import: 25% of 4,000 rows, 1m 5s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	p.total = 0
	if got, want := p.line(2*time.Second), "import: 1,000 rows, 2 s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

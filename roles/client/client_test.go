package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"daemoneye/bus/event"
	"daemoneye/roles/term"
)

// app runs a command line in a real App, with a data directory of its own.
func app(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return appIn(t, t.TempDir(), args...)
}

func appIn(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &cli.App{
		Name: "daemoneye", Writer: &out, ErrWriter: &errOut, Commands: Commands(),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data-dir"}, &cli.StringFlag{Name: "config"}, &cli.StringFlag{Name: "log-level"},
		},
		ExitErrHandler: func(*cli.Context, error) {},
	}
	err = a.RunContext(context.Background(), append([]string{"daemoneye", "--data-dir", dir}, args...))
	PrintError(&errOut, err)
	return out.String(), errOut.String(), err
}

// status is the exit status that main makes of err.
func status(err error) int {
	var wrong *term.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return 2
	}
	return 1
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // in stderr
	}{
		{[]string{"query"}, "query takes one statement"},
		{[]string{"query", "--format", "xml", "SELECT 1"}, "table, json, jsonl, csv"},
		{[]string{"query", "--param", "x", "SELECT 1"}, "name=value"},
		{[]string{"query", "--table", "processes", "SELECT 1"}, "--input"},
		{[]string{"query", "  "}, "empty"},
		{[]string{"query", "--max-rows", "-1", "SELECT 1"}, "negative"},
		{[]string{"query", "--input", "x.jsonl", "--table", "process", "SELECT 1"}, "there are processes, process_events"},
		{[]string{"ps", "x"}, "not a process id"},
		{[]string{"ps", "1", "2"}, "at most one"},
		{[]string{"ps", "--tree", "--format", "csv"}, "tree"},
		{[]string{"watch", "everything"}, "watch events"},
		{[]string{"watch", "--table", "nothing"}, "there are processes"},
		{[]string{"alerts", "list", "--severity", "urgent"}, "low, medium, high, critical"},
		{[]string{"alerts", "list", "--since", "yesterday"}, "not a duration"},
		{[]string{"alerts", "show"}, "ID of an alert"},
		{[]string{"rules", "validate"}, "name the files"},
		{[]string{"replay", "events.jsonl"}, "--builtin"},
		{[]string{"schema", "nothing"}, "there is no table"},
		{[]string{"health", "--format", "csv"}, "table or json"},
		{[]string{"version", "x"}, "takes no argument"},
	} {
		_, stderr, err := app(t, c.args...)
		if status(err) != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: status %d, %q; want 2 and %q", c.args, status(err), stderr, c.want)
		}
	}
}

// Without an agent or store there is an answer that says what to do.
func TestNothingThere(t *testing.T) {
	for _, args := range [][]string{
		{"query", "SELECT * FROM processes"}, {"ps"}, {"alerts", "list"}, {"alerts", "show", "a"}, {"health"}, {"rules", "reload"}, {"watch"},
	} {
		stdout, stderr, err := app(t, args...)
		if status(err) != 1 || stdout != "" || !strings.Contains(stderr, "no agent answers at ") || !strings.Contains(stderr, `hint: start`) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want 1 and a hint", args, status(err), stdout, stderr)
		}
	}
}

func TestEveryCommandHasExamples(t *testing.T) {
	var walk func(prefix string, list []*cli.Command)
	walk = func(prefix string, list []*cli.Command) {
		for _, c := range list {
			name := prefix + " " + c.Name
			if len(c.Subcommands) > 0 {
				walk(name, c.Subcommands)
				continue
			}
			if n := strings.Count(c.Description, name); n < 2 {
				t.Errorf("the help of%s shows %d examples, want 2 at least", name, n)
			}
			if c.Usage == "" {
				t.Errorf("%s has no usage line", name)
			}
		}
	}
	walk("daemoneye", Commands())
}

func TestSchema(t *testing.T) {
	stdout, _, err := app(t, "schema", "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	var columns []struct{ Table, Column, Type string }
	if err := json.Unmarshal([]byte(stdout), &columns); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, table := range event.Tables() {
		want += len(table.Columns)
	}
	if len(columns) != want {
		t.Errorf("schema has %d columns, want %d", len(columns), want)
	}
	stdout, _, err = app(t, "schema", "scans")
	if err != nil || !strings.Contains(stdout, " collector_id ") || strings.Contains(stdout, "command_line") {
		t.Errorf("schema scans: %v\n%s", err, stdout)
	}
	var screen bytes.Buffer
	if err := columnsOf(&term.Output{Writer: &screen, Terminal: true, Width: 80}, event.Lookup("network_events")); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(screen.String(), "\n") {
		if strings.Contains(line, "…") || strings.Contains(line, " | ") && term.Width(line) > 80 {
			t.Errorf("a line of a schema is cut, or wider than the terminal: %q", line)
		}
	}
	stdout, _, err = app(t, "schema")
	if err != nil || strings.Count(stdout, "\n") != len(event.Tables())+3 {
		t.Errorf("schema: %v\n%s", err, stdout)
	}
}

func TestConfig(t *testing.T) {
	t.Setenv("DAEMONEYE_COLLECTOR__INTERVAL", "5s")
	stdout, _, err := app(t, "config", "show", "--format", "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"key": "collector.interval", "value": "5s", "source": "env:DAEMONEYE_COLLECTOR__INTERVAL"`; !strings.Contains(stdout, want) {
		t.Errorf("config show lacks %s:\n%s", want, stdout)
	}
	if want := `"source": "flag:--data-dir"`; !strings.Contains(stdout, want) {
		t.Errorf("config show lacks %s:\n%s", want, stdout)
	}
	bad := write(t, "config.yaml", "collector:\n  intervall: 3s\nlog:\n  level: loud\n")
	stdout, _, err = app(t, "config", "check", bad)
	if !errors.Is(err, ErrNo) || !strings.Contains(stdout, "intervall") || !strings.Contains(stdout, "loud") {
		t.Errorf("config check: %v, want ErrNo and both problems:\n%s", err, stdout)
	}
	good := write(t, "config.yaml", "log:\n  level: warn\n")
	if stdout, _, err = app(t, "config", "check", good); err != nil || stdout != "the configuration is good\n" {
		t.Errorf("config check of a good file: %v, %q", err, stdout)
	}
	example, _, err := app(t, "config", "show", "--example")
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _, err = app(t, "config", "check", write(t, "config.yaml", example)); err != nil {
		t.Errorf("the example is refused: %v\n%s", err, stdout)
	}
}

func TestVersion(t *testing.T) {
	stdout, _, err := app(t, "version", "--format", "jsonl")
	var v struct{ Version, Go, Platform string }
	if err != nil || json.Unmarshal([]byte(stdout), &v) != nil || v.Go == "" || v.Platform == "" {
		t.Errorf("version: %v, %q", err, stdout)
	}
	if stdout, _, err = app(t, "version"); err != nil || !strings.HasPrefix(stdout, "daemoneye ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("version: %v, %q", err, stdout)
	}
}

func TestRepeatedFlagsKeepCommas(t *testing.T) {
	var got []string
	a := &cli.App{
		Name: "x", Flags: []cli.Flag{repeatedFlag("param", "")},
		Action: run(func(c *call) error { got = c.repeated("param"); return nil }),
	}
	if err := a.Run([]string{"x", "--param", "a=1,2", "--param", "b=3"}); err != nil || !slices.Equal(got, []string{"a=1,2", "b=3"}) {
		t.Errorf("repeated = %q, %v; want both with their commas", got, err)
	}
}

func TestForest(t *testing.T) {
	list := []psRow{
		{PID: 1, Name: "init"},
		{PID: 2, PPID: 1, Name: "a"},
		{PID: 3, PPID: 2, Name: "b"},
		{PID: 4, PPID: 1, Name: "c"},
		{PID: 8, PPID: 9, Name: "x"},
		{PID: 9, PPID: 8, Name: "y"}, // a circle
		{PID: 5, PPID: 77, Name: "orphan"},
	}
	var got []string
	for _, l := range newForest(list).order(0, true) {
		got = append(got, l.prefix+l.Name)
	}
	want := []string{"init", "|- a", "|  `- b", "`- c", "orphan", "x", "`- y"}
	if !slices.Equal(got, want) {
		t.Errorf("tree = %q, want %q", got, want)
	}
	if got := newForest(list).ancestors(3); len(got) != 2 || got[0].PID != 2 || got[1].PID != 1 {
		t.Errorf("ancestors(3) = %v, want 2, 1", got)
	}
	if got := newForest(list).ancestors(8); len(got) != 1 || got[0].PID != 9 {
		t.Errorf("ancestors in a circle = %v, want 9", got)
	}
	if got := newForest(list).order(2, false); len(got) != 2 || got[1].prefix != "└─ " {
		t.Errorf("tree of 2 = %v", got)
	}
}

func TestIDLength(t *testing.T) {
	for _, c := range []struct {
		ids  []string
		want int
	}{
		{nil, 8}, {[]string{"0123456789"}, 8}, {[]string{"0123456789a", "0123456789b", "1"}, 11}, {[]string{"a", "ab"}, 8},
	} {
		var alerts []event.Alert
		for _, id := range c.ids {
			alerts = append(alerts, event.Alert{ID: id})
		}
		if got := idLength(alerts); got != c.want {
			t.Errorf("idLength(%q) = %d, want %d", c.ids, got, c.want)
		}
	}
}

// What the agent would refuse is refused: a built-in rule's id is taken.
func TestValidateKnowsBuiltinIDs(t *testing.T) {
	dir := t.TempDir()
	text := "-- id: crypto-miner\n-- title: Mine\n-- severity: low\nSELECT pid FROM process_events WHERE name = 'x'\n"
	if err := os.WriteFile(filepath.Join(dir, "mine.sql"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := app(t, "rules", "validate", dir)
	if !errors.Is(err, ErrNo) || !strings.Contains(stdout, "crypto-miner") || strings.Contains(stdout, "reverse_shell") {
		t.Errorf("validate: %v, %q; want a refusal that names the id, and nothing of other rules", err, stdout)
	}
}

func TestRefusedArguments(t *testing.T) {
	for _, args := range [][]string{
		{"watch", "events", "--table", "processes"},
		{"query", "SELECT 1", "--timeout", "5"},
		{"query", "SELECT 1", "--param", "z=1"},
		{"query", "SELECT :z", "--param", "z=1", "--param", "z=2"},
	} {
		_, _, err := app(t, args...)
		var wrong *term.UsageError
		if !errors.As(err, &wrong) || wrong.Message == "" {
			t.Errorf("%q: %v, want wrong use", args, err)
		}
	}
}

func TestHealthWithoutAgentIsJSON(t *testing.T) {
	stdout, _, err := app(t, "health", "--format", "json")
	var h struct {
		Healthy  bool     `json:"healthy"`
		Problems []string `json:"problems"`
	}
	if decodeErr := json.Unmarshal([]byte(stdout), &h); decodeErr != nil || h.Healthy || len(h.Problems) != 1 || err == nil {
		t.Errorf("health: %v, %q (%v), want an object with one problem and an error", err, stdout, decodeErr)
	}
}

// A narrow terminal keeps a line for each process, with its tree.
func TestTreeOnNarrowTerminal(t *testing.T) {
	start, cpu, memory := time.Now(), 12.5, int64(20<<20)
	list := []psRow{
		{PID: 1, User: "root", Name: "init", Command: "/sbin/init", Start: &start, CPU: &cpu, Memory: &memory},
		{PID: 23456, PPID: 1, User: "www-data", Name: "nginx", Command: "nginx: worker process with a long command line", Start: &start, CPU: &cpu, Memory: &memory},
		{PID: 23457, PPID: 23456, User: "www-data", Name: "sh", Command: "sh -c id " + strings.Repeat("x", 200), Start: &start, CPU: &cpu, Memory: &memory},
	}
	for _, width := range []int{30, 40, 60, 80, 100} {
		var b bytes.Buffer
		out := &term.Output{Writer: &b, Terminal: true, Width: width}
		if err := printProcesses(out, newForest(list).order(0, false)); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) != 2+len(list)+1 || !strings.Contains(text, "└─ nginx:") || !strings.Contains(text, "   └─ sh -c id") {
			t.Errorf("width %d: no line for each process with its tree:\n%s", width, text)
		}
		for _, line := range lines {
			if term.Width(line) > width {
				t.Errorf("width %d: %q has %d cells", width, line, term.Width(line))
			}
		}
		if got := strings.Contains(text, "ppid"); got != (width >= 100) {
			t.Errorf("width %d: ppid is shown: %t", width, got)
		}
	}
}

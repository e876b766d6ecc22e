//go:build unix

package core

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

func newLogger(t *testing.T, cfg Config) *zap.Logger {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return zap.New(c)
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	l := newLogger(t, Config{Role: "procmond", Correlation: "c0ffee", Writer: &b})
	l.Debug("hidden")
	l.Info("scan done", zap.Duration("took", 1500*time.Millisecond), zap.Int("processes", 7))
	l.Warn("odd\nname\x1b[31m", zap.String("name", "a\x07b"), zap.Error(errors.New("no such process")))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2: %s", len(lines), b.String())
	}
	want := []map[string]any{
		{"level": "info", "role": "procmond", "correlation": "c0ffee", "message": "scan done", "took": "1.5s", "processes": 7.0},
		{"level": "warn", "role": "procmond", "correlation": "c0ffee", "message": "odd\nname\x1b[31m", "name": "a\x07b", "error": "no such process"},
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		stamp, _ := got["time"].(string)
		if when, err := time.Parse(time.RFC3339Nano, stamp); err != nil || when.Location() != time.UTC {
			t.Errorf("time = %q, want RFC 3339 in UTC", stamp)
		}
		delete(got, "time")
		for k, v := range want[i] {
			if got[k] != v {
				t.Errorf("line %d: %s = %v, want %v", i, k, got[k], v)
			}
		}
		if len(got) != len(want[i]) {
			t.Errorf("line %d = %v, want only %v", i, got, want[i])
		}
	}
}

func TestConsole(t *testing.T) {
	cases := []struct {
		name string
		log  func(*zap.Logger)
		want string // after the time
	}{
		{
			"plain", func(l *zap.Logger) { l.Info("source chosen", zap.String("source", "procfs")) },
			"info  procmond  source chosen  source=procfs correlation=c0ffee\n",
		},
		{"order and types", func(l *zap.Logger) {
			l.With(zap.Int("z", 1)).Warn("m", zap.Bool("a", true), zap.Strings("list", []string{"x", "y"}), zap.Duration("d", time.Second))
		}, `warn  procmond  m  z=1 a=true list="[x y]" d=1s correlation=c0ffee` + "\n"},
		{
			"quoted", func(l *zap.Logger) {
				l.Error("m", zap.String("a", "two words"), zap.String("b", ""), zap.String("c", `q"=`))
			},
			`error procmond  m  a="two words" b="" c="q\"=" correlation=c0ffee` + "\n",
		},
		{"control characters", func(l *zap.Logger) {
			l.Info("bad \x1b]0;t\x07 \"name\"\nnext", zap.String("k\x1b", "\x1b[2J\u009b31m\u202egpj\xff"), zap.ByteString("b", []byte("x\r")))
		}, `info  procmond  bad \x1b]0;t\a "name"\nnext  "k\x1b"="\x1b[2J\u009b31m\u202egpj\xff" b="x\r" correlation=c0ffee` + "\n"},
		{"error and namespace", func(l *zap.Logger) {
			l.Named("bus").Info("m", zap.Error(errors.New("no")), zap.Namespace("peer"), zap.Int("pid", 1))
		}, "info  procmond.bus  m  error=no peer.pid=1 correlation=c0ffee\n"},
	}
	for _, c := range cases {
		var b bytes.Buffer
		c.log(newLogger(t, Config{Role: "procmond", Correlation: "c0ffee", Terminal: true, Writer: &b}))
		got := b.String()
		if !regexp.MustCompile(`^\d\d:\d\d:\d\dZ `).MatchString(got) {
			t.Errorf("%s: %q does not begin with a time", c.name, got)
			continue
		}
		if got = got[len("15:04:05Z "):]; got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// Logger must write what zap's does.
func TestLogger(t *testing.T) {
	var ours, zaps bytes.Buffer
	cfg := Config{Role: "procmond", Correlation: "c0ffee", Format: "console", Level: "debug", Writer: &ours}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := NewLogger(c).With(String("s", "a b"))
	l.Debug("one", Int64("n", -7), Bool("b", true), Float64("f", 1.5))
	l.Info("two", Duration("d", 90*time.Second), Err(errors.New("no")))
	l.Warn("three", Strings("list", []string{"x", "y"}), Err(nil))
	l.Error("four")

	cfg.Writer = &zaps
	z := newLogger(t, cfg).With(zap.String("s", "a b"))
	z.Debug("one", zap.Int64("n", -7), zap.Bool("b", true), zap.Float64("f", 1.5))
	z.Info("two", zap.Duration("d", 90*time.Second), zap.Error(errors.New("no")))
	z.Warn("three", zap.Strings("list", []string{"x", "y"}), zap.Error(nil))
	z.Error("four")

	clock := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`)
	if got, want := clock.ReplaceAllString(ours.String(), ""), clock.ReplaceAllString(zaps.String(), ""); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	ours.Reset()
	cfg.Format, cfg.Level, cfg.Writer = "json", "warn", &ours
	if c, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l = NewLogger(c)
	l.Info("hidden")
	l.Warn("m", Strings("list", []string{"x"}))
	var got map[string]any
	if err := json.Unmarshal(ours.Bytes(), &got); err != nil || got["message"] != "m" || len(got["list"].([]any)) != 1 {
		t.Errorf("JSON %s: %v, %v", ours.String(), got, err)
	}
}

// The collector must not link net/http.
func TestNoHTTP(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if deps := strings.Fields(string(out)); slices.Contains(deps, "net/http") || !slices.Contains(deps, "go.uber.org/zap/zapcore") {
		t.Errorf("the package reaches net/http, or not zapcore: %q", deps)
	}
}

func TestColor(t *testing.T) {
	var b bytes.Buffer
	newLogger(t, Config{Format: "console", Color: true, Writer: &b}).Error("m")
	if want := "\x1b[31merror\x1b[0m"; !strings.Contains(b.String(), want) {
		t.Errorf("%q has no %q", b.String(), want)
	}
}

func TestFormatAndLevel(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		json bool
	}{
		{Config{}, true},
		{Config{Format: "auto"}, true},
		{Config{Format: "auto", Terminal: true}, false},
		{Config{Format: "json", Terminal: true}, true},
		{Config{Format: "console"}, false},
	} {
		var b bytes.Buffer
		c.cfg.Writer = &b
		newLogger(t, c.cfg).Info("m")
		if got := json.Valid(b.Bytes()); got != c.json {
			t.Errorf("New(%+v) writes JSON: %v, want %v", c.cfg, got, c.json)
		}
		if !regexp.MustCompile(`[0-9a-f]{16}`).Match(b.Bytes()) {
			t.Errorf("New(%+v) writes no correlation id: %s", c.cfg, b.String())
		}
	}
	for _, level := range []string{"debug", "info", "warn", "error"} {
		var b bytes.Buffer
		l := newLogger(t, Config{Level: level, Writer: &b})
		l.Debug("m")
		l.Info("m")
		l.Warn("m")
		l.Error("m")
		if got, want := strings.Count(b.String(), "\n"), map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1}[level]; got != want {
			t.Errorf("level %s: %d lines, want %d", level, got, want)
		}
	}
	if _, err := New(Config{Level: "loud"}); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("New with level loud: %v", err)
	}
	if _, err := New(Config{Format: "xml"}); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("New with format xml: %v", err)
	}
}

// A pipe that nobody reads must cost lines, not block, and say so afterwards.
func TestStuckReader(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil { // blocking, as an inherited stderr is
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
		l := newLogger(t, Config{Role: "procmond", Correlation: "c0ffee", Format: format, Writer: w})
		const lines = 200
		long := strings.Repeat("x", 3000)
		for range lines {
			l.Info("m", zap.String("long", long))
		}
		full, dropped := 0, ""
		done := make(chan struct{})
		go func() {
			defer close(done)
			in := bufio.NewReader(r)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if strings.Contains(line, long) {
					full++
				}
				if strings.Contains(line, "dropped") {
					dropped = line
				}
				if strings.Contains(line, "reader is back") {
					return
				}
			}
		}()
		// The reader empties the pipe at its own pace: ask until it did.
		for running := true; running; {
			l.Info("reader is back")
			select {
			case <-done:
				running = false
			default:
			}
		}
		w.Close()
		<-done
		r.Close()
		if full == 0 || full >= lines {
			t.Errorf("%s: %d of %d lines came through a full pipe", format, full, lines)
		}
		if !strings.Contains(dropped, "procmond") || !strings.Contains(dropped, "c0ffee") {
			t.Errorf("%s: drops are reported as %q", format, dropped)
		}
	}
}

func TestClosedReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	l := newLogger(t, Config{Writer: w})
	l.Info("m")
	l.Info("m")
}

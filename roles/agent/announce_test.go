package agent

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/roles/api"
	"daemoneye/roles/handoff"
	"daemoneye/roles/term"
)

// screen is what a person sees; changed is closed and replaced at each write.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(p)
}

// wait returns the text once it holds what is wanted.
func (s *screen) wait(t *testing.T, want string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		text, changed := s.text.String(), s.changed
		s.mu.Unlock()
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q did not appear:\n%s", want, text)
		}
	}
}

// Whatever comes while the first scan runs stands below the opening lines, and
// a terminal shows that the scan goes on.
func TestOpeningLinesComeFirst(t *testing.T) {
	r := newRunning(t)
	r.stop()
	s := &screen{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel, r.done = cancel, make(chan error, 1)
	go func() {
		r.done <- Run(ctx, Config{
			Config: r.config, Log: zap.NewNop(), Version: "test", Token: handoff.Token{Key: r.token[:]},
			Out: &term.Output{Writer: s, Terminal: true, Width: 80}, Verbose: true,
		})
	}()
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	r.send(p, canaryAt(time.Now(), 1))
	for {
		if cells, _, err := r.query("SELECT 1 FROM alerts"); err != nil {
			t.Fatal(err)
		} else if len(cells) == 1 {
			break
		}
	}
	text := s.wait(t, "first scan of all processes, ")
	if strings.Contains(text, "anary") {
		t.Errorf("something came before the opening lines:\n%s", text)
	}

	conn := r.collect("test", "procfs", time.Second)
	beat, err := msgpack.Marshal(api.Heartbeat{CollectorID: "test", Scans: 1, Processes: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Publish(t.Context(), api.HeartbeatTopic, beat); err != nil {
		t.Fatal(err)
	}
	text = s.wait(t, "HIGH  Canary")
	visible := regexp.MustCompile(`\r[^\r]*\x1b\[K`).ReplaceAllString(text, "")
	visible = strings.TrimPrefix(visible, "\r\x1b[K")
	if !strings.HasPrefix(visible, "DaemonEye test watches ") || strings.Index(visible, "Alerts appear below") > strings.Index(visible, "canary") {
		t.Errorf("the opening lines are not first:\n%q", visible)
	}
}

func TestCurtainIsBounded(t *testing.T) {
	var out bytes.Buffer
	c := &curtain{w: &out}
	line := strings.Repeat("x", 1023) + "\n"
	for range 1000 {
		if n, err := c.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(c.held) > maxHeld || out.Len() != 0 {
		t.Errorf("%d bytes are held, %d written", len(c.held), out.Len())
	}
	err := c.rise(func() error { _, err := out.WriteString("first\n"); return err })
	if _, err2 := c.Write([]byte("later\n")); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if want := "first\n" + strings.Repeat(line, 256) + "744 more came before the start was complete\nlater\n"; out.String() != want {
		t.Errorf("%d bytes written, want %d", out.Len(), len(want))
	}
}

//go:build unix

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// serve makes a broker with handlers on the socket of an instance, and
// returns it with the instance's directory.
func serve(t *testing.T, handlers map[string]bus.Handler) (*bus.Broker, string) {
	t.Helper()
	dir := t.TempDir()
	access := []bus.Access{
		{Role: bus.Operator, Verb: bus.Subscribe, Name: api.EventsTopic + "+"},
		{Role: bus.Operator, Verb: bus.Subscribe, Name: api.AlertsTopic + "+"},
	}
	for name := range handlers {
		access = append(access, bus.Access{Role: bus.Operator, Verb: bus.Request, Name: name})
	}
	broker, err := bus.NewBroker(bus.Config{Access: access})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		if err := broker.HandleRequest(name, h); err != nil {
			t.Fatal(err)
		}
	}
	l, err := bus.Listen(filepath.Join(dir, "run", "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- broker.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(broker.Close(), <-served); err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	return broker, dir
}

func pack(t *testing.T, v any) []byte {
	t.Helper()
	data, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// answer replies with messages, one after the other.
func answer(t *testing.T, messages ...any) bus.Handler {
	return func(ctx context.Context, c *bus.Call) error {
		for _, m := range messages[:len(messages)-1] {
			if err := c.Reply(ctx, pack(t, m)); err != nil {
				return err
			}
		}
		return c.Finish(ctx, pack(t, messages[len(messages)-1]))
	}
}

func TestQueryAgent(t *testing.T) {
	requests := make(chan api.QueryRequest, 10)
	_, dir := serve(t, map[string]bus.Handler{api.Query: func(ctx context.Context, c *bus.Call) error {
		var r api.QueryRequest
		if err := msgpack.Unmarshal(c.Body, &r); err != nil {
			return err
		}
		requests <- r
		cell := func(text, json string) []byte {
			if r.JSON {
				return []byte(json)
			}
			return []byte(text)
		}
		return answer(t,
			api.QueryHeader{Columns: []api.QueryColumn{{Name: "pid", Type: "integer"}, {Name: "name", Type: "text"}}},
			api.QueryRows{Cells: [][]byte{cell("1", "1"), cell("in\x1bit", `"in\u001bit"`)}},
			api.QueryRows{Cells: [][]byte{cell("2", "2"), nil}},
			api.QueryDone{Rows: 2, Incomplete: []string{"process_events lost\x1b[1m"}},
		)(ctx, c)
	}})
	for format, want := range map[string]string{
		"table": " pid |   name   \n-----+----------\n   1 | in\\x1bit\n   2 | \n(2 rows)\n",
		"csv":   "pid,name\n1,in\x1bit\n2,\n",
		"jsonl": `{"pid": 1, "name": "in\u001bit"}` + "\n" + `{"pid": 2, "name": null}` + "\n",
	} {
		stdout, stderr, err := appIn(t, dir, "query", "--format", format, "--param", "a=b,c", "--timeout", "3s", "--max-rows", "7", "SELECT :'a'")
		if err != nil || stdout != want {
			t.Errorf("query as %s: %v, %q, want %q", format, err, stdout, want)
		}
		if want := "incomplete: process_events lost\\x1b[1m\n"; stderr != want {
			t.Errorf("query as %s: stderr %q, want %q", format, stderr, want)
		}
		r := <-requests
		if r.SQL != "SELECT :'a'" || r.Params["a"] != "b,c" || r.Timeout != 3*time.Second || r.MaxRows != 7 || r.JSON != (format == "jsonl") {
			t.Errorf("the agent got %+v", r)
		}
	}
}

func TestQueryAgentRefuses(t *testing.T) {
	detail := pack(t, api.QueryError{Message: `line 1, column 8: column "x" does not exist`, Caret: "SELECT x\n       ^"})
	_, dir := serve(t, map[string]bus.Handler{
		api.Query: func(context.Context, *bus.Call) error {
			return &bus.Error{Code: "query", Message: "refused", Detail: detail}
		},
	})
	stdout, stderr, err := appIn(t, dir, "query", "--format", "json", "SELECT x")
	want := "daemoneye: line 1, column 8: column \"x\" does not exist\nSELECT x\n       ^\n"
	if status(err) != 1 || stdout != "" || stderr != want {
		t.Errorf("query: status %d, stdout %q, stderr %q, want %q", status(err), stdout, stderr, want)
	}
	// What the agent does not serve is said, not hung upon.
	_, stderr, err = appIn(t, dir, "health")
	if status(err) != 1 || !strings.Contains(stderr, "another version") {
		t.Errorf("health that is not served: status %d, %q", status(err), stderr)
	}
}

// A handler that dies in the middle must not look like a complete answer.
func TestQueryAgentEndsEarly(t *testing.T) {
	_, dir := serve(t, map[string]bus.Handler{api.Query: func(ctx context.Context, c *bus.Call) error {
		header := api.QueryHeader{Columns: []api.QueryColumn{{Name: "a", Type: "text"}}}
		return errors.Join(c.Reply(ctx, pack(t, header)), c.Reply(ctx, pack(t, api.QueryRows{Cells: [][]byte{[]byte("x")}})), errors.New("out of memory"))
	}})
	_, stderr, err := appIn(t, dir, "query", "SELECT a")
	if status(err) != 1 || !strings.Contains(stderr, "out of memory") {
		t.Errorf("query: status %d, %q; want 1 and the reason", status(err), stderr)
	}
}

func TestHealth(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := api.HealthReply{
		Version: "1", Time: now, Started: now.Add(-90 * time.Minute), Healthy: true,
		Roles: []api.RoleStatus{
			{Role: "procmond", PID: 12, UID: 65534, User: "nobody", Capabilities: []string{"cap_sys_ptrace"}, NoNewPrivs: true, Memory: 12 << 20, Started: now},
			{Role: "daemoneye-agent", PID: 13, Error: "gone"},
		},
		Collector: &api.CollectorStatus{Connected: true, Source: "procfs", Interval: 30 * time.Second, Limits: []string{"short lives are missed"}},
		Store:     api.StoreStatus{Dir: "/x/store", Bytes: 1 << 20, Rows: 1234},
		Rules:     api.RulesStatus{Loaded: 10, Refused: 1},
		Alerts:    map[string]int64{"high": 2, "low": 1},
	}
	watched := good
	watched.Collector = &api.CollectorStatus{Connected: true, Source: api.SourceKernel, Interval: 30 * time.Second, Processes: 7, Found: 1002}
	watched.Collector.Held = api.Held{Rows: 1005, First: now.Add(-time.Hour), Last: now, By: "/tmp/x (pid 9): kernel_events ptrace"}
	heard := good
	heard.Collector = &api.CollectorStatus{Connected: true, Source: api.SourceNetlink, Interval: 30 * time.Second, Processes: 7, Found: 2, Late: 1003}
	heard.Collector.Unread = api.Unread{Late: 1, Refused: 1004, Dropped: 3, Stalled: 2, Large: 4, First: now.Add(-time.Hour), Last: now}
	bad := good
	bad.Healthy, bad.Problems = false, []string{"the store can not write: disk full"}
	for _, c := range []struct {
		reply  api.HealthReply
		status int
		want   []string // in this order
	}{
		{good, 0, []string{
			"healthy\n", "up 1h 30m", "connected; source procfs, a scan every 30 s", "short lives are missed", "1.0 MiB, 1,234 rows",
			"10 loaded, 1 refused", "2 high, 1 low", "procmond", "nobody (65534)", "cap_sys_ptrace | none", "gone",
		}},
		{watched, 0, []string{
			"source ebpf", "7 processes, 1,002 found by scans only",
			"held back: 1,005 events of who made too many; first 2026-01-02 02:04:05Z, last 2026-01-02 03:04:05Z; last by /tmp/x (pid 9): kernel_events ptrace",
		}},
		{heard, 0, []string{
			"source netlink", "7 processes, 2 found by scans only, 1,003 events looked up too late",
			"1 request late, 1,004 not made; 3 hashes not queued, 2 stalled, 4 too large; first 2026-01-02 02:04:05Z, last 2026-01-02 03:04:05Z",
		}},
		{bad, 1, []string{"not healthy\n  the store can not write: disk full\n", "agent"}},
	} {
		_, dir := serve(t, map[string]bus.Handler{api.Health: answer(t, c.reply)})
		stdout, stderr, err := appIn(t, dir, "health")
		if status(err) != c.status || stderr != "" {
			t.Errorf("health: status %d, stderr %q, want %d and nothing", status(err), stderr, c.status)
		}
		rest := stdout
		for _, want := range c.want {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("health lacks %q in its place:\n%s", want, stdout)
				break
			}
			rest = after
		}
		stdout, _, err = appIn(t, dir, "health", "--format", "json")
		var h api.HealthReply
		if e := json.Unmarshal([]byte(stdout), &h); e != nil || h.Healthy != c.reply.Healthy || status(err) != c.status {
			t.Errorf("health as json: %v, status %d:\n%s", e, status(err), stdout)
		}
	}
}

func TestRulesReload(t *testing.T) {
	refused := []api.Refusal{{File: "r/a.sql", Message: "r/a.sql:3:8: no such column", Caret: "SELECT x\n       ^"}}
	_, dir := serve(t, map[string]bus.Handler{api.RulesReload: answer(t, api.ReloadReply{Loaded: 2, Disabled: 1, Failed: 1, Refused: append(refused, refused...), From: []string{"builtin", "/r"}})})
	stdout, _, err := appIn(t, dir, "rules", "reload")
	want := "r/a.sql:3:8: no such column\n    SELECT x\n           ^\n"
	want += want + "2 rules loaded, 1 disabled, 1 refused; read from builtin, /r\n"
	if !errors.Is(err, ErrNo) || stdout != want {
		t.Errorf("rules reload: %v, %q, want ErrNo and %q", err, stdout, want)
	}
}

// lines gathers what is written and wakes who waits for it.
type lines struct {
	mu     sync.Mutex
	text   bytes.Buffer
	change chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.change <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		l.mu.Lock()
		got := l.text.String()
		l.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-l.change:
		case <-deadline:
			t.Fatalf("no %q in %q", text, got)
		}
	}
}

// watching runs a watch until stop, which returns what it printed.
func watching(t *testing.T, broker *bus.Broker, dir string, args ...string) (out *lines, stop func() error) {
	t.Helper()
	out = &lines{change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	a := &cli.App{
		Name: "daemoneye", Writer: out, ErrWriter: out, Commands: Commands(),
		Flags: []cli.Flag{&cli.StringFlag{Name: "data-dir"}}, ExitErrHandler: func(*cli.Context, error) {},
	}
	go func() { done <- a.RunContext(ctx, append([]string{"daemoneye", "--data-dir", dir, "watch"}, args...)) }()
	for len(broker.Stats().Subscriptions) == 0 {
		select {
		case err := <-done:
			t.Fatalf("watch %v ended: %v", args, err)
		case <-time.After(time.Millisecond):
		}
	}
	return out, func() error {
		cancel()
		return <-done
	}
}

func TestWatchEvents(t *testing.T) {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i, name := range []string{"skipped", "shown\x1b[2J"} {
		b.Column("time").Time(time.Unix(int64(i), 0))
		b.Column("event").Text("exec")
		b.Column("pid").Int(int64(100 + i))
		b.Column("command_line").Text(name)
		b.EndRow()
	}
	data := event.Encode(nil, b.Batch())
	for format, want := range map[string]string{
		"table": "exec        101            shown\\x1b[2J\n",
		"jsonl": `"pid": 101, `,
		"csv":   ",101,",
	} {
		broker, dir := serve(t, nil)
		out, stop := watching(t, broker, dir, "--format", format, "--where", "pid > 100", "events")
		if err := broker.Publish(context.Background(), api.EventsTopic+"process_events", data); err != nil {
			t.Fatal(err)
		}
		out.waitFor(t, want)
		if err := stop(); err != nil {
			t.Errorf("watch as %s ended with %v, want nil after Ctrl-C", format, err)
		}
		if strings.Contains(out.text.String(), "skipped") {
			t.Errorf("watch as %s printed a row for which the condition is false:\n%s", format, out.text.String())
		}
	}
}

func TestWatchAlerts(t *testing.T) {
	broker, dir := serve(t, nil)
	out, stop := watching(t, broker, dir, "--where", "severity = 'high'", "alerts")
	for _, severity := range []string{"low", "high"} {
		a := event.Alert{
			ID: severity, Time: time.Unix(1, 0), Severity: severity, Title: "Title of " + severity, Count: 1, Complete: true,
			Row: json.RawMessage(`{"pid": 5}`), Tags: []string{},
		}
		if err := broker.Publish(context.Background(), api.AlertsTopic+severity, pack(t, &a)); err != nil {
			t.Fatal(err)
		}
	}
	out.waitFor(t, "HIGH  Title of high")
	if err := stop(); err != nil {
		t.Errorf("watch ended with %v, want nil after Ctrl-C", err)
	}
	if strings.Contains(out.text.String(), "Title of low") {
		t.Errorf("watch printed an alert for which the condition is false:\n%s", out.text.String())
	}
}

func TestWatchMissed(t *testing.T) {
	for format, want := range map[string][2]string{
		"table": {"... 3 batches of events missed: more came than could be shown\n", ""},
		"jsonl": {"{\"missed\": 3}\n", ""},
		"csv":   {"", "... 3 batches of events missed: more came than could be shown\n"},
	} {
		var out, errOut bytes.Buffer
		w := &watcher{format: format, out: &term.Output{Writer: &out}, err: &term.Output{Writer: &errOut}}
		if err := w.missed(3); err != nil {
			t.Fatal(err)
		}
		if out.String() != want[0] || errOut.String() != want[1] {
			t.Errorf("missed as %s wrote %q and %q, want %q", format, out.String(), errOut.String(), want)
		}
	}
}

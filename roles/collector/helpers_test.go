//go:build linux

package collector

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// TestMain lets the test binary play the processes that are watched.
func TestMain(m *testing.M) {
	if role := os.Getenv("COLLECTOR_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// testAgent is the agent's side of the bus: a real broker, with the batches
// kept in memory.
type testAgent struct {
	t      *testing.T
	dir    string
	token  bus.Token
	broker *bus.Broker
	served chan error
	needs  chan api.Needs // what the collector is told

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something arrives
	stored  map[string]uint64
	batches []*event.Batch
	state   map[string]*event.Batch // entity → one row of processes
	beats   []api.Heartbeat
	regs    []api.Registration
	hold    bool // do not acknowledge
	held    []*bus.Ingest
}

func newTestAgent(t *testing.T) *testAgent {
	a := &testAgent{
		t: t, dir: t.TempDir(), token: bus.NewToken(), changed: make(chan struct{}), needs: make(chan api.Needs),
		stored: map[string]uint64{}, state: map[string]*event.Batch{},
	}
	a.start()
	t.Cleanup(func() { a.stop() })
	return a
}

// tellNeeds answers api.CollectorNeeds with what comes over needs.
func (a *testAgent) tellNeeds(ctx context.Context, c *bus.Call) error {
	for {
		select {
		case n := <-a.needs:
			body, err := msgpack.Marshal(n)
			if err != nil {
				return err
			}
			if err := c.Reply(ctx, body); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *testAgent) start() {
	a.t.Helper()
	b, err := bus.NewBroker(bus.Config{Access: []bus.Access{
		{Role: bus.Collector, Verb: bus.Request, Name: api.Register},
		{Role: bus.Collector, Verb: bus.Request, Name: api.CollectorNeeds},
		{Role: bus.Collector, Verb: bus.Request, Name: api.CollectorQuestions},
		{Role: bus.Collector, Verb: bus.Request, Name: api.LedgerAppend},
		{Role: bus.Collector, Verb: bus.Publish, Name: api.EventsTopic + "+"},
		{Role: bus.Collector, Verb: bus.Publish, Name: api.HeartbeatTopic},
	}})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := b.HandleRequest(api.Register, a.register); err != nil {
		a.t.Fatal(err)
	}
	if err := b.HandleRequest(api.CollectorNeeds, a.tellNeeds); err != nil {
		a.t.Fatal(err)
	}
	silent := func(ctx context.Context, _ *bus.Call) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, name := range []string{api.CollectorQuestions, api.LedgerAppend} {
		if err := b.HandleRequest(name, silent); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := b.HandleIngest(api.EventsTopic+"+", a); err != nil {
		a.t.Fatal(err)
	}
	sub, err := b.Subscribe(api.HeartbeatTopic, bus.Shed)
	if err != nil {
		a.t.Fatal(err)
	}
	b.AllowToken(a.token, os.Getpid())
	l, err := bus.Listen(a.socket())
	if err != nil {
		a.t.Fatal(err)
	}
	a.broker, a.served = b, make(chan error, 1)
	go func() { a.served <- b.Serve(l) }()
	go a.heartbeats(sub)
}

func (a *testAgent) stop() {
	if a.broker != nil {
		_ = a.broker.Close()
		<-a.served
		a.broker = nil
	}
}

func (a *testAgent) socket() string { return filepath.Join(a.dir, "agent.sock") }

func (a *testAgent) dial(ctx context.Context) (*bus.Conn, error) {
	return bus.Dial(ctx, a.socket(), bus.DialConfig{Token: &a.token})
}

// note must be called with a.mu held.
func (a *testAgent) note() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *testAgent) heartbeats(sub *bus.Subscription) {
	for {
		d, err := sub.Next(context.Background())
		if err != nil {
			return
		}
		for body := range d.Messages() {
			var beat api.Heartbeat
			if err := msgpack.Unmarshal(body, &beat); err != nil {
				a.t.Errorf("heartbeat: %v", err)
			}
			a.mu.Lock()
			a.beats = append(a.beats, beat)
			a.note()
			a.mu.Unlock()
		}
	}
}

func (a *testAgent) register(ctx context.Context, c *bus.Call) error {
	var reg api.Registration
	if err := msgpack.Unmarshal(c.Body, &reg); err != nil {
		return err
	}
	a.mu.Lock()
	a.regs = append(a.regs, reg)
	first, err := msgpack.Marshal(api.Registered{Sequence: a.stored[reg.CollectorID], Rows: int64(len(a.state))})
	rows := slices.Collect(maps.Values(a.state))
	a.note()
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.Reply(ctx, first); err != nil {
		return err
	}
	for _, b := range rows {
		if err := c.Reply(ctx, event.Encode(nil, b)); err != nil {
			return err
		}
	}
	return nil
}

func (a *testAgent) Resume(_ context.Context, _ bus.Peer, collector string) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stored[collector], nil
}

func (a *testAgent) Ingest(_ context.Context, m *bus.Ingest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hold {
		a.held = append(a.held, m)
		a.note()
		return nil
	}
	return a.take(m)
}

func (a *testAgent) take(m *bus.Ingest) error {
	defer m.Ack()
	if m.Sequence <= a.stored[m.Collector] {
		return nil
	}
	a.stored[m.Collector] = m.Sequence
	for data := range m.Messages() {
		b, err := event.Decode(slices.Clone(data), nil)
		if err != nil {
			return err
		}
		if "events."+b.Table.Name != m.Topic || b.Rows == 0 || b.Rows > maxBatchRows {
			return fmt.Errorf("batch of %d rows of %s on %s", b.Rows, b.Table.Name, m.Topic)
		}
		a.batches = append(a.batches, b)
		a.apply(b)
	}
	a.note()
	return nil
}

// apply keeps the present state, as the store does.
func (a *testAgent) apply(b *event.Batch) {
	if b.Table.Name != "process_events" {
		return
	}
	for i := range b.Rows {
		id := b.Column("entity_id").Text(i)
		if b.Column("event").Text(i) == eventExit {
			delete(a.state, id)
			continue
		}
		one := event.NewBuilder(event.Lookup("processes"))
		one.AddRow(b, i)
		a.state[id] = one.Batch()
	}
}

// release acknowledges what was held back, and what comes from now on.
func (a *testAgent) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hold = false
	for _, m := range a.held {
		if err := a.take(m); err != nil {
			a.t.Error(err)
		}
	}
	a.held = nil
}

// await waits until ok is true. It is called with the lock held.
func (a *testAgent) await(what string, ok func() bool) {
	a.t.Helper()
	timeout := time.After(time.Minute)
	for {
		a.mu.Lock()
		done, changed := ok(), a.changed
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			a.t.Fatalf("%s did not come", what)
		}
	}
}

// row is a row of process_events as values by column.
type row map[string]any

func (a *testAgent) find(match func(row) bool) []row { return a.rows("process_events", 0, match) }

// rows returns rows of a table; with a pid, only of that process.
func (a *testAgent) rows(table string, pid int, match func(row) bool) []row {
	var list []row
	for _, b := range a.batches {
		if b.Table.Name != table {
			continue
		}
		pids := b.Column("pid")
		for i := range b.Rows {
			if pid != 0 && pids.Int(i) != int64(pid) {
				continue
			}
			if r := rowOf(b, i); match(r) {
				list = append(list, r)
			}
		}
	}
	return list
}

func rowOf(b *event.Batch, i int) row {
	r := row{}
	for k, c := range b.Table.Columns {
		r[c.Name] = b.Columns[k].Value(i)
	}
	return r
}

// ours reports whether a row is of a descendant of this process with this pid.
// Storms of other tests make the kernel use pids again.
func ours(r row, pid int) bool {
	self, err := os.Executable()
	ancestors, _ := r["ancestors"].([]string)
	return err == nil && r["pid"] == int64(pid) && slices.Contains(ancestors, self)
}

// event waits for an event of the process and returns it. A scan may find a
// process between fork and exec, when it still is a copy of this one: then what
// the test calls seen is an exec.
func (a *testAgent) event(kind string, pid int, more func(row) bool) row {
	a.t.Helper()
	own := strings.Join(os.Args, " ")
	is := func(r row) bool {
		return r["event"] == kind || kind == eventSeen && r["event"] == eventExec && (more != nil || a.copied(pid, own))
	}
	var found []row
	defer func() {
		if len(found) > 0 {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, r := range a.rows("process_events", pid, func(row) bool { return true }) {
			a.t.Logf("there is %v of it, changed %v", r["event"], r["changed_columns"])
		}
	}()
	a.await(fmt.Sprintf("%s of process %d", kind, pid), func() bool {
		found = a.rows("process_events", pid, func(r row) bool {
			return ours(r, pid) && r["command_line"] != own && r["command_line"] != nil && is(r) && (more == nil || more(r)) // no command line: a scan fell into the exec
		})
		return len(found) > 0
	})
	return found[0]
}

// copied reports whether the process was first seen before its exec.
func (a *testAgent) copied(pid int, own string) bool {
	return len(a.rows("process_events", pid, func(r row) bool {
		return r["event"] == eventSeen && r["command_line"] == own
	})) > 0
}

// scan waits until n more scans have been stored.
func (a *testAgent) scan(n int) {
	a.t.Helper()
	count := func() (c int) {
		for _, b := range a.batches {
			if b.Table.Name == "scans" {
				c += b.Rows
			}
		}
		return c
	}
	a.mu.Lock()
	before := count()
	a.mu.Unlock()
	a.await("the next scan", func() bool { return count() >= before+n })
}

// collect runs a collector that only scans until the test, or stop, ends it.
func (a *testAgent) collect(cfg Config) (stop func()) {
	a.t.Helper()
	cfg.NoKernel = true
	return a.run(cfg)
}

func (a *testAgent) run(cfg Config) (stop func()) {
	a.t.Helper()
	cfg.Dial = a.dial
	if cfg.Interval == 0 {
		cfg.Interval = MinInterval
	}
	if cfg.SampleInterval == 0 {
		cfg.SampleInterval = MinInterval
	}
	cfg.Log = core.NewLogger(zaptest.NewLogger(a.t, zaptest.Level(zap.WarnLevel)).Core())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				a.t.Errorf("Run = %v", err)
			}
		})
	}
	a.t.Cleanup(stop)
	return stop
}

// process is one that the test has started.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a command and waits for its first line, if it prints one.
func start(t *testing.T, cmd *exec.Cmd, ready bool) *process {
	t.Helper()
	p := &process{Cmd: cmd}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if ready {
		p.line(t)
	}
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", p.Args, err)
	}
	return strings.TrimSpace(s)
}

// tell lets the process go on, and waits for its answer if it gives one.
func (p *process) tell(t *testing.T, ready bool) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
	if ready {
		if s := p.line(t); s != "ready" && s != "" {
			t.Fatalf("%v: %s", p.Args, s)
		}
	}
}

// self is this test binary in a role of play.
func self(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "COLLECTOR_TEST_ROLE="+role)
	return cmd
}

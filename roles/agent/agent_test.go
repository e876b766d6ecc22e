package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/handoff"
	"daemoneye/store"
)

// testRule matches the rows that canary makes.
const testRule = `-- id: canary
-- title: Canary
-- severity: high
-- window: 1h
SELECT pid, command_line FROM process_events WHERE name = 'canary'
`

// running is an agent of a test, which can be stopped and started again over
// the same directory.
type running struct {
	t      *testing.T
	config *config.Config
	token  bus.Token
	cancel context.CancelFunc
	done   chan error

	readPatience time.Duration // of Config
}

func newRunning(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "canary.sql"), []byte(testRule), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Flags: map[string]string{
		"data_dir": filepath.Join(dir, "data"), "rules.builtin": "false", "rules.dirs": dir,
		"alerts.jsonl.path": filepath.Join(dir, "alerts.jsonl"), "agent.query_timeout": "10m",
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, config: cfg, token: bus.NewToken()}
	r.start()
	t.Cleanup(func() {
		if r.cancel != nil {
			r.stop()
		}
	})
	return r
}

func (r *running) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	done := r.done
	go func() {
		done <- Run(ctx, Config{Config: r.config, Log: zap.NewNop(), Version: "test", Token: handoff.Token{Key: r.token[:]}, readPatience: r.readPatience})
	}()
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		r.t.Errorf("agent: %v", err)
	}
}

// dial connects as an operator, waiting until the agent listens.
func (r *running) dial() *bus.Conn {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := bus.Dial(r.t.Context(), r.config.Paths.Socket, bus.DialConfig{})
		if err == nil {
			r.t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// query returns the result's cells, as JSON, and what may be missing.
func (r *running) query(sql string) (cells []string, incomplete []string, err error) {
	r.t.Helper()
	conn := r.dial()
	defer func() { _ = conn.Close() }()
	body, err := msgpack.Marshal(api.QueryRequest{SQL: sql, JSON: true})
	if err != nil {
		r.t.Fatal(err)
	}
	replies, err := conn.Request(r.t.Context(), api.Query, body)
	if err != nil {
		return nil, nil, err
	}
	defer replies.Close()
	var last []byte
	for n := 0; ; n++ {
		reply, err := replies.Next(r.t.Context())
		if err != nil {
			if n > 1 && last != nil {
				break
			}
			return nil, nil, err
		}
		last = reply
		var rows api.QueryRows
		if n > 0 && msgpack.Unmarshal(reply, &rows) == nil {
			for _, c := range rows.Cells {
				cells = append(cells, string(c))
			}
		}
	}
	var done api.QueryDone
	if err := msgpack.Unmarshal(last, &done); err != nil {
		r.t.Fatal(err)
	}
	return cells, done.Incomplete, nil
}

// canaries makes a batch of n rows that the rule matches, of n processes.
func canaries(n int) []byte {
	b := event.NewBuilder(event.Lookup("process_events"))
	for i := range n {
		b.Column("time").Time(time.Now())
		b.Column("event").Text("seen")
		b.Column("source").Text("procfs")
		b.Column("entity_id").Text(strings.Repeat("c", 31) + string(rune('a'+i)))
		b.Column("pid").Int(int64(100 + i))
		b.Column("name").Text("canary")
		b.Column("command_line").Text("canary --now")
		b.Column("kernel_thread").Bool(false)
		b.Column("accessible").Bool(true)
		b.Column("collection_time").Time(time.Now())
		b.EndRow()
	}
	return event.Encode(nil, b.Batch())
}

func TestIngestToAlertOverRestart(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	send := func(data []byte) {
		t.Helper()
		if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", data); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(canaries(3))
	r.stop()
	r.start()
	send(canaries(3)) // the same processes: counted into the open alerts
	r.stop()          // everything acknowledged is matched before it ends
	r.start()

	cells, incomplete, err := r.query("SELECT count(*), sum(count), bool_and(complete) FROM alerts")
	if err != nil || !reflect.DeepEqual(cells, []string{"3", "6", "true"}) || len(incomplete) != 0 {
		t.Errorf("alerts, their counts, complete = %v, %v, %v, want 3, 6, true", cells, incomplete, err)
	}
	cells, _, err = r.query("SELECT count(*) FROM process_events")
	if err != nil || !reflect.DeepEqual(cells, []string{"6"}) {
		t.Errorf("rows = %v, %v, want 6", cells, err)
	}
	raw, err := os.ReadFile(r.config.Alerts.JSONL.Path)
	if err != nil || strings.Count(string(raw), "\n") != 3 {
		t.Errorf("alert file has %d lines (%v), want 3: one for each alert", strings.Count(string(raw), "\n"), err)
	}
	var alert event.Alert
	if err := json.Unmarshal([]byte(strings.SplitN(string(raw), "\n", 2)[0]), &alert); err != nil || alert.RuleID != "canary" || alert.PID != 100 {
		t.Errorf("first line: %+v, %v", alert, err)
	}
}

// A batch that can not be decoded must not come again for ever, nor be lost
// without a word: it becomes a gap, which marks alerts and answers.
func TestUndecodableBatchBecomesGap(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	for _, data := range [][]byte{[]byte("nonsense"), canaries(1)} {
		if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", data); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	r.start()
	cells, _, err := r.query("SELECT table_name, hop FROM event_gaps")
	if err != nil || !reflect.DeepEqual(cells, []string{`"process_events"`, `"store"`}) {
		t.Errorf("gaps = %v, %v, want one of process_events in the store", cells, err)
	}
	_, incomplete, err := r.query("SELECT pid FROM process_events")
	if err != nil || len(incomplete) != 1 || !strings.Contains(incomplete[0], "could not be decoded") {
		t.Errorf("a query over that time is marked %q, %v, want one reason", incomplete, err)
	}
}

// collect registers a collector, whose connection ends with the test at the
// latest.
func (r *running) collect(id, source string, interval time.Duration) *bus.Conn {
	r.t.Helper()
	conn, err := bus.Dial(r.t.Context(), r.config.Paths.Socket, bus.DialConfig{Token: &r.token})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	body, err := msgpack.Marshal(api.Registration{CollectorID: id, Source: source, Interval: interval})
	if err != nil {
		r.t.Fatal(err)
	}
	replies, err := conn.Request(r.t.Context(), api.Register, body)
	if err != nil {
		r.t.Fatal(err)
	}
	defer replies.Close()
	if _, err := replies.Next(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// The time between two collectors is a gap for one that sees each event, and for
// one that scans when it is longer than an interval.
func TestDowntimeIsGap(t *testing.T) {
	for source, want := range map[string]int{api.SourceKernel: 4, api.SourceProc: 0} {
		t.Run(source, func(t *testing.T) {
			r := newRunning(t)
			r.dial()
			for _, id := range []string{"first", "second"} {
				_ = r.collect(id, source, time.Hour).Close()
			}
			r.stop()
			r.start()
			cells, _, err := r.query("SELECT reason FROM event_gaps")
			if err != nil || len(cells) != want {
				t.Errorf("gaps %v, %v, want %d", cells, err, want)
			}
		})
	}
}

// An answer from a table of which nobody tells now is no whole one.
func TestUntoldTables(t *testing.T) {
	for source, want := range map[string]int{api.SourceKernel: 0, api.SourceNetlink: 1, api.SourceProc: 1} {
		t.Run(source, func(t *testing.T) {
			r := newRunning(t)
			r.dial()
			r.collect("one", source, time.Hour)
			for text, want := range map[string]int{
				"SELECT count(*) FROM file_events": want, "SELECT count(*) FROM kernel_events NATURAL JOIN network_events": 2 * want,
				"SELECT count(*) FROM process_events": 0,
			} {
				if _, incomplete, err := r.query(text); err != nil || len(incomplete) != want {
					t.Errorf("%s: incomplete %q, %v, want %d reasons", text, incomplete, err, want)
				}
			}
		})
	}
}

// What a collector had not sent when it ended lies before it was last heard of:
// the gap begins with the newest event there is.
func TestDowntimeBeginsWithTheLastEvent(t *testing.T) {
	r := newRunning(t)
	r.dial()
	last := time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	r.send(newPublisher(t, r.config.Paths.Socket, r.token), canaryAt(last, 1))
	r.collect("second", api.SourceKernel, time.Hour)
	r.stop()
	r.start()
	cells, _, err := r.query("SELECT count(*) FROM event_gaps WHERE table_name = 'process_events' AND start_time = '" + last.Format(time.RFC3339Nano) + "'")
	if err != nil || len(cells) != 1 || cells[0] != "1" {
		t.Errorf("gaps that begin at %v: %v, %v, want 1", last, cells, err)
	}
}

// Sealed events that can not be read any more become a gap, be the damage found
// when the agent starts or by a query, and the rest is still answered.
func TestDamagedSegmentBecomesGap(t *testing.T) {
	for name, damage := range map[string]func(path string, data []byte) error{
		"at start":   func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) },
		"by a query": func(path string, data []byte) error { return os.WriteFile(path, make([]byte, len(data)), 0o640) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunning(t)
			r.dial()
			p := newPublisher(t, r.config.Paths.Socket, r.token)
			send := func(n int) {
				if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", canaries(n)); err != nil {
					t.Fatal(err)
				}
				if err := p.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			send(3)
			r.stop()
			s, err := store.Open(r.config.Paths.Store, store.Config{})
			if err != nil {
				t.Fatal(err)
			}
			// The agent has said up to where rules have run.
			if done, err := s.SealAll(t.Context()); err != nil || done.Rows != 3 {
				t.Fatalf("SealAll() = %+v, %v", done, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			files, _ := filepath.Glob(filepath.Join(r.config.Paths.Store, "segments", "process_events", "*.parquet"))
			if len(files) != 1 {
				t.Fatalf("segment files %v", files)
			}
			data, err := os.ReadFile(files[0])
			if err == nil {
				err = damage(files[0], data)
			}
			if err != nil {
				t.Fatal(err)
			}
			r.start()
			send(1)
			cells, incomplete, err := r.query("SELECT name FROM process_events")
			if err != nil || !reflect.DeepEqual(cells, []string{`"canary"`}) {
				t.Errorf("rows = %v, %v, want that of the last batch", cells, err)
			}
			if name == "by a query" && len(incomplete) == 0 {
				t.Error("the query that met the damage is marked complete")
			}
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				cells, _, err = r.query("SELECT table_name, hop, lost FROM event_gaps")
				if err != nil || len(cells) > 0 || time.Now().After(deadline) {
					break
				}
			}
			if err != nil || !reflect.DeepEqual(cells, []string{`"process_events"`, `"store"`, "3"}) {
				t.Errorf("gaps = %v, %v, want one of three process_events in the store", cells, err)
			}
			if _, incomplete, err = r.query("SELECT name FROM process_events"); err != nil || len(incomplete) != 1 {
				t.Errorf("a query over that time is marked %q, %v, want one reason", incomplete, err)
			}
			h := r.health()
			if h.Store.Quarantined != 1 || h.Store.Segments != 0 {
				t.Errorf("health says %+v of the store", h.Store)
			}
		})
	}
}

// health asks the agent.
func (r *running) health() (h api.HealthReply) {
	r.t.Helper()
	replies, err := r.dial().Request(r.t.Context(), api.Health, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer replies.Close()
	body, err := replies.Next(r.t.Context())
	if err == nil {
		err = msgpack.Unmarshal(body, &h)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func TestQueryErrorsHavePlaces(t *testing.T) {
	r := newRunning(t)
	_, _, err := r.query("SELECT cmdline FROM process_events")
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != queryCode {
		t.Fatalf("error = %#v, want a bus.Error of code %q", err, queryCode)
	}
	var told api.QueryError
	if err := msgpack.Unmarshal(e.Detail, &told); err != nil || !strings.Contains(told.Message, "command_line") || !strings.Contains(told.Caret, "^") {
		t.Errorf("detail = %+v, %v, want a suggestion and a caret", told, err)
	}
}

// Clients that do not read must not keep others from asking, and what they
// left ends.
func TestSlowReadersLetOthersAsk(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	for range 20 { // more rows than fit into the windows of connection and request
		if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", event.Encode(nil, busyHost(1000, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.readPatience = 100 * time.Millisecond
	r.start()
	unread := func(timeout time.Duration) *bus.Replies {
		t.Helper()
		body, err := msgpack.Marshal(api.QueryRequest{SQL: "SELECT * FROM process_events", Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		replies, err := r.dial().Request(t.Context(), api.Query, body)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(replies.Close)
		if _, err := replies.Next(t.Context()); err != nil { // it has begun
			t.Fatal(err)
		}
		return replies
	}
	check := func() {
		t.Helper()
		if cells, _, err := r.query("SELECT count(*) FROM process_events"); err != nil || !reflect.DeepEqual(cells, []string{"20000"}) {
			t.Errorf("count = %v, %v, want 20000", cells, err)
		}
	}
	var asked []*bus.Replies
	for range openQueries {
		asked = append(asked, unread(maxTimeout))
	}
	check()
	ended := 0
	for _, replies := range asked {
		if err := readAll(t, replies); err != nil && strings.Contains(err.Error(), "not read") {
			ended++
		} else if err != nil {
			t.Error(err)
		}
	}
	if ended == 0 {
		t.Error("another query had a place though none of those unread ended")
	}
	if err := readAll(t, unread(50*time.Millisecond)); err == nil || !strings.Contains(err.Error(), "ran longer than 50ms") {
		t.Errorf("the unread answer ends with %v, want a timeout", err)
	}
}

// readAll reads an answer to its end, nil or an error.
func readAll(t *testing.T, replies *bus.Replies) error {
	t.Helper()
	for {
		if _, err := replies.Next(t.Context()); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A row that is too large for a frame is cut, and said to be; it does not keep
// the others from being told.
func TestLargeValues(t *testing.T) {
	r := newRunning(t)
	for sql, want := range map[string]string{
		"SELECT repeat('x', 500000), repeat('y', 300000), 7":                           "",
		"SELECT repeat('x', 500000) AS a, repeat('y', 600000) AS b, 7":                 `"a", "b"`,
		"SELECT repeat('x', 5000) AS a, repeat('\"', 2000000) AS b, 7":                 `in "b"`,
		"SELECT ARRAY[repeat('x', 1000000)] AS a, 'b', n FROM (VALUES (6), (7)) t (n)": "2 of the rows",
	} {
		cells, incomplete, err := r.query(sql)
		if err != nil || cells[len(cells)-1] != "7" {
			t.Errorf("%s: %d cells, %v, want all rows", sql, len(cells), err)
		}
		for _, cell := range cells {
			if !json.Valid([]byte(cell)) || len(cell) > maxRow {
				t.Errorf("%s: a cell of %d bytes is no JSON", sql, len(cell))
			}
		}
		if told := strings.Join(incomplete, "\n"); (told == "") != (want == "") || !strings.Contains(told, want) {
			t.Errorf("%s: incomplete %q, want %q", sql, told, want)
		}
	}
}

// What a process is called, and what a rule makes of it, must not keep its
// alert from anyone: not from the bus, the alert file or the store.
func TestLargeAlerts(t *testing.T) {
	r := newRunning(t)
	r.dial()
	watcher := r.dial()
	sub, err := watcher.Subscribe(t.Context(), api.AlertsTopic+"+", bus.Shed)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	long := strings.Repeat("\x01", 200<<10)
	b := event.NewBuilder(event.Lookup("process_events"))
	b.Column("time").Time(time.Now())
	b.Column("event").Text("seen")
	b.Column("source").Text("procfs")
	b.Column("entity_id").Text("c1")
	b.Column("pid").Int(4711)
	b.Column("name").Text("canary")
	b.Column("command_line").Text(long)
	b.Column("ancestors").Texts(slices.Repeat([]string{long[:4000], "/usr/bin/bash"}, 16))
	b.Column("kernel_thread").Bool(false)
	b.Column("accessible").Bool(true)
	b.Column("collection_time").Time(time.Now())
	b.EndRow()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", event.Encode(nil, b.Batch())); err != nil {
		t.Fatal(err)
	}
	d, err := sub.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for body := range d.Messages() {
		var alert event.Alert
		if err := msgpack.Unmarshal(body, &alert); err != nil || len(body) > 256<<10 || alert.PID != 4711 {
			t.Errorf("alert of %d bytes of pid %d (%v), want less than 256 KiB", len(body), alert.PID, err)
		}
		if !strings.Contains(string(alert.Process), `"pid": 4711`) || !strings.Contains(string(alert.Process), `"/usr/bin/bash"`) {
			t.Error("the process in the alert can not be identified")
		}
	}
	r.stop()
	raw, err := os.ReadFile(r.config.Alerts.JSONL.Path)
	if err != nil || !json.Valid(raw) || len(raw) > 256<<10 {
		t.Errorf("alert file of %d bytes, %v", len(raw), err)
	}
	r.start()
	if cells, _, err := r.query("SELECT * FROM alerts"); err != nil || len(cells) == 0 {
		t.Errorf("alerts = %d cells, %v", len(cells), err)
	}
}

// A client that reads the store at rest does not keep the agent from coming
// up; it waits for it.
func TestAgentWaitsForReaders(t *testing.T) {
	r := newRunning(t)
	r.dial()
	r.stop()
	reader, err := store.OpenReadOnly(r.config.Paths.Store, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	if _, err := store.Open(r.config.Paths.Store, store.Config{}); !errors.Is(err, store.ErrReaders) {
		t.Errorf("open beside a reader = %v, want %v", err, store.ErrReaders)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.query("SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestRemovedStoreIsNoticed(t *testing.T) {
	r := newRunning(t)
	conn := r.dial()
	if err := os.RemoveAll(r.config.Paths.Store); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.Call(t.Context(), api.Health, nil)
	if err != nil {
		t.Fatal(err)
	}
	var h api.HealthReply
	if err := msgpack.Unmarshal(reply, &h); err != nil || h.Healthy || !strings.Contains(strings.Join(h.Problems, "\n"), "removed") {
		t.Errorf("health = %t, %q, %v, want the removed store among the problems", h.Healthy, h.Problems, err)
	}
	r.cancel()
	r.cancel = nil
	<-r.done // it may end with an error: there is nothing to write to
}

func TestGapLog(t *testing.T) {
	b := event.NewBuilder(event.Lookup("event_gaps"))
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for _, g := range []struct {
		table    string
		from, to int64
	}{{"process_events", 100, 200}, {"scans", 100, 200}, {"process_events", 300, 301}} {
		b.Column("time").Time(at(g.to))
		b.Column("table_name").Text(g.table)
		b.Column("start_time").Time(at(g.from))
		b.Column("end_time").Time(at(g.to))
		b.Column("hop").Text("bus")
		b.Column("reason").Text("test")
		b.EndRow()
	}
	var g gapLog
	g.add(b.Batch())
	for _, c := range []struct {
		from, to int64
		want     int
	}{{0, 100, 0}, {0, 101, 1}, {199, 200, 1}, {200, 300, 0}, {150, 301, 2}, {301, 400, 0}} {
		if got := g.reasons("process_events", at(c.from).UnixMicro(), at(c.to).UnixMicro()); len(got) != c.want {
			t.Errorf("gaps in [%d, %d) = %q, want %d", c.from, c.to, got, c.want)
		}
	}
	if got := g.since(at(250)); got != 1 {
		t.Errorf("gaps that end after 250 = %d, want 1", got)
	}
	g.list[0].Reported = at(400).UnixMicro()
	if got := g.since(at(350)); got != 1 {
		t.Errorf("gaps that became known after 350 = %d, want 1", got)
	}
}

// When there are more gaps than are remembered, marks become too wide, never
// too few.
func TestGapLogOverflow(t *testing.T) {
	var g gapLog
	for i := range 2 * maxGaps {
		b := event.NewBuilder(event.Lookup("event_gaps"))
		b.Column("table_name").Text("process_events")
		b.Column("start_time").Micro(int64(10 * i))
		b.Column("end_time").Micro(int64(10*i + 5))
		b.Column("reason").Text("test")
		b.EndRow()
		g.add(b.Batch())
	}
	if len(g.list) > maxGaps {
		t.Errorf("%d gaps are remembered, the bound is %d", len(g.list), maxGaps)
	}
	for i := range 2 * maxGaps {
		if len(g.reasons("process_events", int64(10*i), int64(10*i+5))) == 0 {
			t.Fatalf("gap %d is forgotten", i)
		}
	}
}

func TestAlertFileCountsWhatItLoses(t *testing.T) {
	s, err := newJSONLSink("/dev/full")
	if err != nil {
		t.Skip("no /dev/full here:", err)
	}
	defer func() { _ = s.close() }()
	if err := s.write(&event.Alert{ID: "1", Row: []byte("{}")}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write = %v, want %v", err, syscall.ENOSPC)
	}
	if p := s.problem(); !strings.Contains(p, "1 alerts could not be written to /dev/full") {
		t.Errorf("problem = %q", p)
	}
}

func TestDirsThroughDescriptor(t *testing.T) {
	d := dirs{"/no/such/dir": 7}
	for path, want := range map[string]string{
		"/no/such/dir":          "/proc/self/fd/7",
		"/no/such/dir/a/b.sock": "/proc/self/fd/7/a/b.sock",
		"/no/such/director":     "/no/such/director",
		"/elsewhere":            "/elsewhere",
	} {
		if got := d.path(path); got != want {
			t.Errorf("path(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestUnpublishedAlertIsCounted(t *testing.T) {
	broker, err := bus.NewBroker(bus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	a := &agent{broker: broker, log: zap.NewNop()}
	a.publishAlert(&event.Alert{Severity: "high", Row: []byte(`"` + strings.Repeat("x", 2<<20) + `"`)})
	if got := a.unpublished.Load(); got != 1 {
		t.Errorf("unpublished = %d, want 1", got)
	}
}

// A rule that takes long over history holds up neither ingest nor the alerts
// of others.
func TestSlowRuleHoldsUpNobody(t *testing.T) {
	r := newRunning(t)
	r.dial()
	r.stop()
	slow := `-- id: slow
-- title: Slow
-- severity: low
-- window: 1h
SELECT count(*) AS n, max(e.pid) AS pid FROM generate_series(1, 1000000000) g LEFT JOIN process_events e ON e.pid = g
`
	if err := os.WriteFile(filepath.Join(r.config.Rules.Dirs[0], "slow.sql"), []byte(slow), 0o644); err != nil {
		t.Fatal(err)
	}
	r.start()
	sub, err := r.dial().Subscribe(t.Context(), api.AlertsTopic+"high", bus.Shed)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", canaries(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	cells, _, err := r.query("SELECT mode, failed, error IS NULL FROM rules WHERE rule_id = 'slow'")
	if err != nil || !reflect.DeepEqual(cells, []string{`"history"`, "0", "true"}) {
		t.Errorf("the slow rule: %v, %v, want it to run still when the alert of the other has come", cells, err)
	}
}

// A query that asks for more time than there is for one is told so before it runs.
func TestTimeoutBeyondTheMost(t *testing.T) {
	r := newRunning(t)
	for timeout, want := range map[time.Duration]string{maxTimeout: "", maxTimeout + 1: "no more than 1h0m0s"} {
		body, err := msgpack.Marshal(api.QueryRequest{SQL: "SELECT 1", Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.dial().Call(t.Context(), api.Query, body)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("a query with a timeout of %v: %v, want %q", timeout, err, want)
		}
	}
}

// One connection that reads no replies leaves room for others.
func TestUnreadRepliesOfOneConnection(t *testing.T) {
	r := newRunning(t)
	r.dial()
	p := newPublisher(t, r.config.Paths.Socket, r.token)
	for range 20 { // more rows than fit into the windows of connection and request
		if _, err := p.Publish(t.Context(), api.EventsTopic+"process_events", event.Encode(nil, busyHost(1000, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	body, err := msgpack.Marshal(api.QueryRequest{SQL: "SELECT * FROM process_events", Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	greedy := r.dial()
	for range connQueries {
		replies, err := greedy.Request(t.Context(), api.Query, body)
		if err != nil {
			t.Fatal(err)
		}
		defer replies.Close()
		if _, err := replies.Next(t.Context()); err != nil { // it has begun
			t.Fatal(err)
		}
	}
	for range openQueries {
		_, err := greedy.Call(t.Context(), api.Query, body)
		var e *bus.Error
		if !errors.As(err, &e) || e.Code != bus.CodeLimit {
			t.Fatalf("one query too many: %v, want code %q", err, bus.CodeLimit)
		}
	}
	if cells, _, err := r.query("SELECT 1"); err != nil || !reflect.DeepEqual(cells, []string{"1"}) {
		t.Errorf("another connection: %v, %v, want an answer", cells, err)
	}
}

func TestRefusalsAreLoggedSeldom(t *testing.T) {
	var r seldom
	now := time.Unix(1_800_000_000, 0)
	logged := 0
	for i := range 1000 {
		if _, ok := r.allow(bus.EventRefused, now.Add(time.Duration(i)*time.Millisecond)); ok {
			logged++
		}
	}
	if more, ok := r.allow(bus.EventRefused, now.Add(2*time.Second)); logged != 1 || !ok || more != 999 {
		t.Errorf("%d of 1000 logged, then %t with %d more, want 1, then true with 999", logged, ok, more)
	}
	if _, ok := r.allow(bus.EventDenied, now); !ok {
		t.Error("another kind of event was held back")
	}
}

func TestStoreErrorsNameItsDirectory(t *testing.T) {
	cfg := &config.Config{}
	cfg.Paths.Store = "/no/such/data/store"
	cfg.Paths.Run = "/no/such/data/run"
	a := &agent{cfg: Config{Config: cfg}, dirs: dirs{"/no/such/data/store": 7, "/no/such/data/run": 71}}
	err := a.named(&os.PathError{Op: "open", Path: "/proc/self/fd/7/LOCK", Err: os.ErrPermission})
	if got := err.Error(); got != "open /no/such/data/store/LOCK: permission denied" || !errors.Is(err, os.ErrPermission) {
		t.Errorf("error = %q", got)
	}
	if got := a.named(errors.New("listen unix /proc/self/fd/71/agent.sock: x")).Error(); got != "listen unix /no/such/data/run/agent.sock: x" {
		t.Errorf("error = %q", got)
	}
}

//go:build linux

package collector

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// openFor returns a collector that watches with eBPF and does not run yet, or
// skips the test.
func (a *testAgent) openFor(cfg Config) *collector {
	a.t.Helper()
	cfg.Dial, cfg.Interval, cfg.NoHash, cfg.Log = a.dial, time.Hour, true, core.NewLogger(zaptest.NewLogger(a.t).Core())
	c, err := open(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.close)
	c.connect()
	a.t.Cleanup(c.agent.close)
	if c.source() != api.SourceKernel {
		a.t.Skip("eBPF can not be used here")
	}
	return c
}

// TestFlood: of a process that is held back there is a row that names it and a
// gap with the number of what it did besides, and the heartbeats say both.
func TestFlood(t *testing.T) {
	const calls = 20_000 // of play
	a := newTestAgent(t)
	c := a.openFor(Config{})
	if err := c.kernel.source.(*bpf.Source).Behind(true); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.before, err = c.agent.baseline(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	a.scan(1)
	p := start(t, self(t, "flood", strconv.Itoa(os.Getpid())), true)
	p.tell(t, false)
	p.tell(t, false)
	a.event(eventExit, p.Process.Pid, nil)
	of := func(what string) []row {
		return a.rows("kernel_events", p.Process.Pid, func(r row) bool { return r["event"] == what })
	}
	a.await("the flood", func() bool { return len(of("flood")) > 0 })
	a.await("the gap", func() bool {
		told, lost := int64(len(of("process_vm_read"))), int64(0)
		for _, r := range a.rows("event_gaps", 0, func(r row) bool { return r["reason"] == heldBack && r["table_name"] == "kernel_events" }) {
			lost += r["lost"].(int64)
		}
		return told > 0 && told < calls && told+lost >= calls
	})
	a.await("a heartbeat", func() bool {
		h := a.beats[len(a.beats)-1].Held
		return h.Rows > 0 && !h.First.IsZero() && !h.Last.Before(h.First) && h.By != "" // others may flood meanwhile
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	flood := of("flood")[0]
	if path, _ := os.Executable(); flood["executable_path"] != path || flood["object_name"] != "kernel_events" || flood["operation"] != "process_vm_read" ||
		!strings.Contains(fmt.Sprintf("%s", flood["arguments"]), `"held_back"`) {
		t.Errorf("flood: %v", flood)
	}
}

func TestFloodText(t *testing.T) {
	flood := func(kind bpf.Kind, what uint32, ofUser uint64) *bpf.Event {
		return &bpf.Event{Kind: bpf.System, What: bpf.Flood, System: &bpf.Call{Args: [6]uint64{uint64(kind), uint64(what), 7, ofUser}}}
	}
	p := &procfs.Process{PID: 12, Name: "x", UID: [4]uint32{1000}}
	named := &procfs.Process{PID: 12, Name: "x", Executable: "/tmp/a\xff"}
	for _, c := range []struct {
		event *bpf.Event
		by    *procfs.Process
		want  string
	}{
		{flood(bpf.System, bpf.ProcessVMRead, 0), p, "x (pid 12): kernel_events process_vm_read"},
		{flood(bpf.Network, bpf.Connect, 1), p, "x (pid 12): network_events connect, of user 1000"},
		{flood(bpf.Changed, bpf.ChangedName, 0), named, `/tmp/a\xff (pid 12): process_events changed`},
		{flood(200, 200, 0), p, "x (pid 12): process_events changed"},
		{flood(bpf.Files, 200, 0), p, "x (pid 12): file_events "},
	} {
		if got := floodText(c.event, c.by); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestQueueIsKeptForProcesses: while the agent takes nothing, the programs in the
// kernel are told so, and what room is left is for process_events.
func TestQueueIsKeptForProcesses(t *testing.T) {
	a := newTestAgent(t)
	c := a.openFor(Config{QueueFrames: 40})
	a.mu.Lock()
	a.hold = true
	a.mu.Unlock()
	publish := func(o *outbox) (kept bool) {
		before := c.losses.count()
		o.builder.Column("event").Text(eventExit)
		o.builder.Column("entity_id").Text("it")
		o.builder.EndRow()
		if err := o.flush(); err != nil {
			t.Fatal(err)
		}
		return c.losses.count() == before
	}
	kernel := c.actions[bpf.System].outbox
	fill := func(until float64) {
		for c.agent.publisher.Filled() <= until {
			if !publish(kernel) {
				t.Fatalf("a row of kernel_events is lost at %v", c.agent.publisher.Filled())
			}
		}
		c.sayBehind()
	}
	c.sayBehind()
	if c.kernel.behind {
		t.Error("behind from the start")
	}
	fill(behindAbove)
	if !c.kernel.behind {
		t.Error("not behind though the queue is half full")
	}
	fill(eventsOfProcesses)
	if publish(kernel) || !publish(c.events) {
		t.Error("the last quarter of the queue is not that of process_events")
	}
	a.release()
	if err := c.agent.publisher.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.sayBehind()
	if c.kernel.behind || !publish(kernel) {
		t.Error("still behind though the queue is empty")
	}
}

package collector

import (
	"cmp"
	"fmt"
	"time"

	"daemoneye/bus/event"
	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/log/core"
)

// Shares of what the publisher may keep. Beyond behindAbove the programs in the
// kernel hold back who makes many events, until it is below behindBelow. What is
// beyond eventsOfProcesses is kept for process_events.
const (
	behindAbove       = 0.5
	behindBelow       = 0.25
	eventsOfProcesses = 0.75
)

// sayBehind tells the programs in the kernel when the agent begins or ends to
// take less than they tell.
func (c *collector) sayBehind() {
	s, ok := c.kernel.source.(interface{ Behind(is bool) error })
	if !ok {
		return
	}
	limit := behindAbove
	if c.kernel.behind {
		limit = behindBelow
	}
	behind := c.agent.publisher.Filled() > limit
	if behind == c.kernel.behind {
		return
	}
	if err := s.Behind(behind); err != nil {
		c.log.Warn("tell the kernel whether the agent keeps up", core.Err(err))
		return
	}
	c.kernel.behind = behind
}

// sortOf returns the table and the event of which a process makes too many.
func sortOf(call *bpf.Call) (table, what string) {
	kind, n := bpf.Kind(call.Args[0]), call.Args[1]
	t, ok := actionTables[kind]
	if !ok {
		return "process_events", eventChanged
	}
	if n < uint64(len(t.events)) {
		what = t.events[n]
	}
	return t.name, what
}

// floodText says, for people, who is held back.
func floodText(e *bpf.Event, p *procfs.Process) string {
	table, what := sortOf(e.System)
	who := event.Clean(cutPath(cmp.Or(p.Executable, p.Name), maxAncestor))
	text := fmt.Sprintf("%s (pid %d): %s %s", who, p.PID, table, what)
	if e.System.Args[3] != 0 {
		text += fmt.Sprintf(", of user %d", p.UID[0])
	}
	return text
}

// heldBack counts events that the programs in the kernel held back.
func (a *agentLink) heldBack(rows uint64, from, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &a.held
	if h.Rows == 0 {
		h.First = from
	}
	h.Rows, h.Last = h.Rows+rows, now
}

// flooded notes who is held back.
func (a *agentLink) flooded(by string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held.By = by
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/term"
)

// health answers api.Health.
func (a *agent) health(ctx context.Context, c *bus.Call) error {
	h, err := a.state(ctx)
	if err != nil {
		return err
	}
	return finish(ctx, c, h)
}

// finish sends the only reply.
func finish(ctx context.Context, c *bus.Call, message any) error {
	body, err := encode(message)
	if err != nil {
		return err
	}
	return c.Finish(ctx, body)
}

func encode(message any) ([]byte, error) {
	body, err := msgpack.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode reply: %w", err)
	}
	return body, nil
}

// state looks at everything.
func (a *agent) state(ctx context.Context) (*api.HealthReply, error) {
	now := time.Now()
	h := &api.HealthReply{
		Version: a.cfg.Version, Time: now, Started: a.started,
		Store: a.storeStatus(), Rules: a.rulesState(), Bus: busStatus(a.broker.Stats()),
		Alerts: map[string]int64{}, Gaps: a.gaps.since(now.Add(-24 * time.Hour)), Roles: a.roles(),
	}
	h.Collector, _ = a.registry.get()
	h.Ledger = a.ledgerStatus()
	err := a.store.Alerts(ctx, now.Add(-24*time.Hour).UnixMicro(), now.Add(time.Hour).UnixMicro(), func(alert event.Alert) error {
		if alert.Excluded == "" {
			h.Alerts[alert.Severity]++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count alerts: %w", err)
	}
	h.Problems = a.problems(h, now)
	h.Healthy = len(h.Problems) == 0
	return h, nil
}

// problems says, for people, what keeps h from being healthy.
func (a *agent) problems(h *api.HealthReply, now time.Time) []string {
	list := []string{}
	switch c := h.Collector; {
	case c == nil:
		list = append(list, "no collector has registered: nothing is observed")
	case c != nil && !c.Connected:
		list = append(list, fmt.Sprintf("the collector is not connected since %s: nothing is observed", clock(c.LastSeen)))
	case now.Sub(c.LastSeen) > silence:
		list = append(list, fmt.Sprintf("the collector has said nothing since %s: it may have been stopped", clock(c.LastSeen)))
	case now.Sub(later(c.LastScanAt, c.Registered)) > scansLate(c.Interval):
		list = append(list, fmt.Sprintf("the collector has not finished a scan since %s", clock(later(c.LastScanAt, c.Registered))))
	}
	if c := h.Collector; c != nil && c.Dropped > 0 {
		list = append(list, fmt.Sprintf("the collector had to drop %d rows; event_gaps says when", c.Dropped))
	}
	if c := h.Collector; c != nil && c.Tampered.Count > 0 {
		list = append(list, fmt.Sprintf("the collector was tampered with, %s from %s to %s, at last: %s",
			term.Plural(int64(c.Tampered.Count), "time", "times"), clock(c.Tampered.First), clock(c.Tampered.Last), c.Tampered.What))
	}
	if h.Store.Error != "" {
		list = append(list, "store: "+h.Store.Error)
	}
	list = append(list, a.ingest.problems()...)
	list = append(list, a.detect.problems()...)
	if n := a.unpublished.Load(); n > 0 {
		list = append(list, fmt.Sprintf("%d alerts could not be sent to the terminal, the alert file and watchers; they are in %s alerts list", n, a.invocation()))
	}
	if a.jsonl != nil {
		if p := a.jsonl.problem(); p != "" {
			list = append(list, p)
		}
	}
	if a.metrics != nil {
		if p := a.metrics.problem(); p != "" {
			list = append(list, p)
		}
	}
	if a.display != nil {
		if p := a.display.problem(a.unprinted()); p != "" {
			list = append(list, p)
		}
	}
	if c := h.Collector; h.Ledger.Error != "" && c != nil && c.Connected && now.Sub(c.Registered) > silence {
		list = append(list, fmt.Sprintf("ledger: %s; %d entries wait", h.Ledger.Error, h.Ledger.Waiting))
	}
	if n := h.Ledger.Lost; n > 0 {
		list = append(list, fmt.Sprintf("%d entries of the ledger were lost while it could not be written", n))
	}
	if h.Rules.Refused > 0 {
		list = append(list, term.Plural(int64(h.Rules.Refused), "rule was", "rules were")+" refused; see daemoneye rules list")
	}
	if a.switchesLost != "" {
		list = append(list, "rules run as their files say, since what was switched with daemoneye rules enable and disable is lost: "+a.switchesLost)
	}
	if lost := a.past.lost.Load(); lost != nil {
		list = append(list, "the rules of the files are in force, since those that were rolled back to are lost: "+*lost)
	}
	if unkept := a.past.unkept.Load(); unkept != nil {
		list = append(list, "the rules in force can not be rolled back to: "+*unkept)
	}
	if h.Rules.Kept {
		list = append(list, "the changed rules are not in force, because a file is refused: those read at "+clock(h.Rules.LoadedAt)+" stay")
	}
	for _, failing := range h.Rules.Failing {
		list = append(list, "rule "+failing)
	}
	return list
}

// clock is a time of day for people, in UTC as all times are.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// silence is for how long no heartbeat may come, of which there is one in five
// seconds, before something is wrong.
const silence = 20 * time.Second

// scansLate is for how long scans may fail to come before something is wrong:
// three intervals and the time of a heartbeat.
func scansLate(interval time.Duration) time.Duration { return 3*interval + 5*time.Second }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (a *agent) storeStatus() api.StoreStatus {
	s := api.StoreStatus{Dir: a.cfg.Config.Paths.Store}
	stats, err := a.store.Stats()
	if err == nil {
		err = a.store.Present()
	}
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Bytes, s.Batches, s.Processes = stats.Bytes, stats.Batches, stats.Processes
	s.Oldest, s.Newest, s.Deleted = stats.Oldest, stats.Newest, stats.Deleted.Batches
	for _, n := range stats.Rows {
		s.Rows += n
	}
	for _, x := range stats.Segments {
		s.Segments += x.Segments
		s.SegmentRows += x.Rows
		s.SegmentBytes += x.Bytes
	}
	s.Sealed, s.Quarantined = stats.Sealed.Rows, stats.Quarantined
	full := a.store.Space()
	switch {
	case full != nil:
		s.Error = a.named(full).Error()
	case stats.LastSyncFail != "":
		s.Error = stats.LastSyncFail
	case stats.SealError != "":
		s.Error = stats.SealError
	case stats.Damaged > 0:
		s.Error = fmt.Sprintf("%s found damaged since the start; event_gaps says what was lost. The first: %s", term.Plural(stats.Damaged, "batch was", "batches were"), stats.FirstDamage)
	case stats.Excess > 0:
		s.Error = fmt.Sprintf("%d processes did not fit into the process table", stats.Excess)
	}
	return s
}

func (a *agent) rulesState() api.RulesStatus {
	s := a.rulesStatus(a.present())
	s.Failing = []string{}
	for _, st := range a.matcher.Stats() {
		s.Evaluated += st.Evaluated
		s.Matched += st.Matched
		if st.Error != nil && time.Since(st.Error.Time) < time.Hour {
			s.Failing = append(s.Failing, fmt.Sprintf("%s: %s", st.Rule.ID, st.Error.Message))
		}
		if st.Slow != nil && time.Since(st.Slow.Time) < time.Hour {
			s.Failing = append(s.Failing, fmt.Sprintf("%s is slow: %s", st.Rule.ID, st.Slow.Message))
		}
	}
	return s
}

func busStatus(s bus.Stats) api.BusStatus {
	return api.BusStatus{
		Connections: s.Connections, Refused: int64(s.Refused), Malformed: int64(s.Malformed),
		In: int64(s.In.Messages), Out: int64(s.Out.Messages), Dropped: int64(s.Dropped),
	}
}

// roles looks at our processes: this one, the collector that is connected, the
// hasher that it has, and the supervisor.
func (a *agent) roles() []api.RoleStatus {
	var list []api.RoleStatus
	if a.cfg.Supervisor > 0 {
		list = append(list, a.roleStatus("supervisor", a.cfg.Supervisor))
	}
	if status, peer := a.registry.get(); status != nil && status.Connected {
		r := a.roleStatus("procmond", peer.PID)
		r.Confinement = a.registry.confinement(r.Role)
		list = append(list, r)
		if status.Hasher > 0 {
			list = append(list, a.hasherStatus(status.Hasher, peer.PID))
		}
	}
	r := a.roleStatus("daemoneye-agent", os.Getpid())
	r.Confinement = a.confinement()
	return append(list, r)
}

// hasherStatus believes the collector that a process is its hasher if that is
// its child.
func (a *agent) hasherStatus(pid, collector int) api.RoleStatus {
	r := a.roleStatus("hasher", pid)
	if s, err := platform.ReadStatus(pid); r.Error == "" && err == nil && s.Parent != collector {
		return api.RoleStatus{Role: r.Role, PID: pid, Capabilities: []string{}, Effective: []string{}, Bounding: []string{}, Error: "is not the collector's child"}
	}
	return r
}

func (a *agent) roleStatus(role string, pid int) api.RoleStatus {
	r := api.RoleStatus{Role: role, PID: pid, Capabilities: []string{}, Effective: []string{}, Bounding: []string{}}
	// In a pid namespace without a /proc of its own the numbers are others'.
	if self, err := os.Readlink("/proc/self"); err == nil && self != strconv.Itoa(os.Getpid()) {
		r.Error = "can not tell: /proc belongs to another pid namespace"
		return r
	}
	s, err := platform.ReadStatus(pid)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("there is no such process")
		}
		r.Error = err.Error()
		return r
	}
	r.UID, r.GID, r.NoNewPrivs, r.Memory, r.Started = s.UID, s.GID, s.NoNewPrivs, s.Memory, s.Started
	r.Seccomp, r.User = s.Seccomp, a.cfg.Users[s.UID]
	r.Capabilities, r.Effective, r.Bounding = slices.Clip(s.Permitted), slices.Clip(s.Effective), slices.Clip(s.Bounding)
	return r
}

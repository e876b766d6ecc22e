package agent

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/roles/history"
	"daemoneye/rules"
	"daemoneye/store"
)

// recordStart has it entered that this role, and with its first start the
// supervisor, have started. The hash of the executable takes a moment.
func (a *agent) recordStart() {
	configuration := ""
	if encoded, err := a.cfg.Config.Marshal(); err == nil {
		configuration = fact.Hash(encoded)
	}
	own := fact.Process(os.Getpid())
	own["version"], own["configuration"], own["restarts"] = a.cfg.Version, configuration, a.cfg.Restarts
	if w := a.cfg.Walls; w != nil {
		own["filter"], own["landlock"], own["missing"] = w.Seccomp, w.Landlock, w.Missing
	}
	if killed := a.cfg.Killed; killed != nil {
		own["killed"] = map[string]int{"pid": killed.PID, "signal": killed.Signal}
	}
	program := ""
	if a.cfg.Program != nil {
		program = a.cfg.Program.Hash()
	}
	own["program"] = program
	if pid := a.cfg.Supervisor; pid != 0 && a.cfg.Restarts == 0 {
		s := fact.Process(pid)
		// The roles are started from its own executable, with its configuration.
		s["version"], s["configuration"], s["program"] = a.cfg.Version, configuration, program
		uid, _ := s["uid"].(int)
		a.recorder.recordOf(api.LedgerEntry{Role: "supervisor", PID: uint32(pid), UID: uint32(uid)}, fact.RoleStart, "supervisor", "", s)
	}
	a.recorder.record(fact.RoleStart, Name, "", own)
}

// ruleState is what the ledger says of a rule: its id, the SHA-256 of its file,
// and whether it is enabled.
type ruleState struct {
	ID      string `msgpack:"id"`
	Hash    string `msgpack:"hash"`
	Enabled bool   `msgpack:"enabled"`
	Before  string `msgpack:"before,omitempty"`  // hash
	Removed bool   `msgpack:"removed,omitempty"` //
}

// rulesInEntry is how many rules one entry lists: they have at most 64 KiB.
const rulesInEntry = 200

func ruleStates(set *rules.Set) (list []ruleState, hash string) {
	list = make([]ruleState, 0, len(set.Rules))
	for _, r := range set.Rules {
		list = append(list, ruleState{ID: event.CutText(r.ID, 128), Hash: r.Hash, Enabled: r.Enabled})
	}
	slices.SortStableFunc(list, func(x, y ruleState) int { return strings.Compare(x.ID, y.ID) })
	h := blake3.New()
	for _, r := range list {
		_, _ = fmt.Fprintf(h, "%q %s %t\n", r.ID, r.Hash, r.Enabled)
	}
	return list, hex.EncodeToString(h.Sum(nil))
}

// recordRules has it entered which rules are in force at the start.
func (a *agent) recordRules(set *rules.Set) {
	list, hash := ruleStates(set)
	a.recordList(fact.RulesLoaded, hash, list, fact.Fields{"refused": len(set.Refused)})
	a.recordBeside(set, &rules.Set{})
}

// recordChange has it entered which rules are in force after others, and who or
// what has brought it about.
func (a *agent) recordChange(before, after *rules.Set, by string) {
	old, was := ruleStates(before)
	now, hash := ruleStates(after)
	var changes []ruleState
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].ID < now[0].ID:
			changes = append(changes, ruleState{ID: old[0].ID, Before: old[0].Hash, Removed: true})
			old = old[1:]
		case len(old) == 0 || now[0].ID < old[0].ID:
			changes = append(changes, now[0])
			now = now[1:]
		default:
			if now[0] != old[0] {
				c := now[0]
				c.Before = old[0].Hash
				changes = append(changes, c)
			}
			old, now = old[1:], now[1:]
		}
	}
	a.recordList(fact.RulesChanged, hash, changes, fact.Fields{"before": was, "by": by})
	a.recordBeside(after, before)
}

// recordBeside enters what a set has beside its rules and the one before had not.
func (a *agent) recordBeside(after, before *rules.Set) {
	for _, p := range after.Packs {
		if !slices.ContainsFunc(before.Packs, func(q *rules.Pack) bool { return q.File == p.File && q.Version == p.Version }) {
			a.recorder.record(fact.PackLoaded, p.File, "", fact.Fields{"name": p.Name, "version": p.Version, "signer": p.Signer, "rules": p.Rules})
		}
	}
	a.recordSilences(after, before)
	a.recordRefused(after, before)
}

// recordSilences enters which exceptions and lists have come, changed or gone:
// they decide what raises no alert.
func (a *agent) recordSilences(after, before *rules.Set) {
	old := exceptionsOf(before)
	for _, x := range exceptionsOf(after) {
		if i := slices.Index(old, x); i >= 0 {
			old = slices.Delete(old, i, i+1)
		} else {
			a.recorder.record(fact.ExceptionLoaded, x.Rule, "", exceptionFields(x))
		}
	}
	for _, x := range old {
		a.recorder.record(fact.ExceptionRemoved, x.Rule, "", exceptionFields(x))
	}
	for _, l := range after.Lists {
		hash := listHash(l)
		if was := before.List(l.Name); was == nil || listHash(was) != hash {
			a.recorder.record(fact.ListLoaded, l.Name, "", fact.Fields{"file": l.File, "values": len(l.Values), "hash": hash})
		}
	}
	for _, l := range before.Lists {
		if after.List(l.Name) == nil {
			a.recorder.record(fact.ListRemoved, l.Name, "", fact.Fields{"file": l.File})
		}
	}
}

func exceptionFields(x rules.Exception) fact.Fields {
	return fact.Fields{"when": x.When, "reason": x.Reason, "author": x.Author, "file": x.File, "expires": x.Expires}
}

// exceptionsOf returns those of a set, to be compared: their lines do not count.
func exceptionsOf(set *rules.Set) (list []rules.Exception) {
	for _, r := range set.Rules {
		for _, e := range r.Exceptions() {
			x := *e
			x.Line, x.Expires = 0, x.Expires.UTC()
			list = append(list, x)
		}
	}
	return list
}

// listHash is over the values and until when they count.
func listHash(l *rules.List) string {
	h := blake3.New()
	for _, v := range l.Values {
		_, _ = fmt.Fprintf(h, "%q %s\n", v.Text, v.Expires.UTC().Format(time.RFC3339Nano))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recordList enters a list in as many entries as it takes, at least one.
func (a *agent) recordList(action, set string, list []ruleState, more fact.Fields) {
	parts := max(1, (len(list)+rulesInEntry-1)/rulesInEntry)
	for i := range parts {
		part := list[i*rulesInEntry : min(len(list), (i+1)*rulesInEntry)]
		fields := fact.Fields{"rules": part, "part": i + 1, "parts": parts, "all": len(list)}
		for name, value := range more {
			fields[name] = value
		}
		a.recorder.record(action, set, "", fields)
	}
}

// recordRefused enters what is refused of a set and was not before.
func (a *agent) recordRefused(set, before *rules.Set) {
	for _, r := range set.Refused {
		if before != nil && slices.ContainsFunc(before.Refused, func(old *rules.Refusal) bool { return old.File == r.File && old.Error() == r.Error() }) {
			continue
		}
		a.recorder.record(fact.RulesRefused, r.File, "", fact.Fields{"reason": event.CutText(event.Clean(r.Error()), 1024), "hash": a.fileHash(r.File)})
	}
}

// maxRefusedFile bounds what is read of a refused file for its hash.
const maxRefusedFile = 4 << 20

// fileHash returns the SHA-256 of a rule's file in hex, as Rule.Hash; "" when it
// can not be read.
func (a *agent) fileHash(name string) string {
	f, err := platform.OpenRegular(a.dirs.path(name))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRefusedFile))
	if err != nil {
		return ""
	}
	return fact.SHA256(data)
}

// recordSwitch enters that an operator has switched a rule.
func (a *agent) recordSwitch(peer bus.Peer, id string, enabled bool) {
	action := fact.RuleDisabled
	if enabled {
		action = fact.RuleEnabled
	}
	a.recorder.operator(peer, action, id, nil)
}

const (
	// failuresEvery is how often it is looked at which rules fail.
	failuresEvery = 10 * time.Second
	// failuresApart is between two entries of one rule and kind; those between
	// are counted in the next.
	failuresApart = time.Hour
)

// failure is what the ledger was told of a rule last.
type failure struct {
	hash  string
	count int64
	at    time.Time
}

// recordFailures has it entered, until ctx ends, when rules fail or are paused,
// and what retention deletes.
func (a *agent) recordFailures(ctx context.Context) {
	timer := time.NewTicker(failuresEvery)
	defer timer.Stop()
	var failed, paused map[string]failure
	var deleted store.Deleted
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		deleted = a.recordDeleted(deleted)
		stats, now := a.matcher.Stats(), time.Now()
		failed = a.recordCounts(fact.RuleFailed, failed, stats, now, func(s *rules.Stats) (int64, *rules.RunError) { return s.Failed, s.Error })
		paused = a.recordCounts(fact.RulePaused, paused, stats, now, func(s *rules.Stats) (int64, *rules.RunError) { return s.Skipped, s.Slow })
	}
}

// recordCounts enters of each rule whose count has risen how much, and why. It
// returns what was told.
func (a *agent) recordCounts(action string, told map[string]failure, stats []rules.Stats, now time.Time, look func(*rules.Stats) (int64, *rules.RunError)) map[string]failure {
	next := map[string]failure{}
	for i := range stats {
		rule := stats[i].Rule
		count, why := look(&stats[i])
		last := told[rule.ID]
		if last.hash != rule.Hash {
			last = failure{hash: rule.Hash}
		}
		if count > last.count && now.Sub(last.at) >= failuresApart {
			fields := fact.Fields{"count": count - last.count, "hash": rule.Hash}
			if why != nil {
				fields["reason"] = event.CutText(event.Clean(why.Message), 1024)
			}
			a.recorder.record(action, rule.ID, "", fields)
			last.count, last.at = count, now
		}
		next[rule.ID] = last
	}
	return next
}

// recordAlert enters an alert with a pointer to the row of which it was raised.
func (d *detector) recordAlert(alert *event.Alert, m *rules.Match) {
	fields := fact.Fields{
		"severity": alert.Severity, "table": alert.Table, "time": fact.Time(alert.Time), "complete": alert.Complete, "rule_hash": m.Rule.Hash,
		"matched_row": history.HashRow(alert.Row),
	}
	if b, row := m.Source(); b != nil {
		source := fact.Fields{"table": b.Table.Name, "position": m.Position, "row": row, "hash": history.HashRow(event.AppendJSONRow(nil, b, row))}
		if t := b.Column(b.Table.Time); !t.IsNull(row) {
			source["time"] = fact.Time(time.UnixMicro(t.Int(row)))
		}
		fields["source"] = source
	}
	d.record(fact.AlertRaised, alert.RuleID, alert.ID, fields)
}

// recordGaps enters the rows of an event_gaps batch.
func (d *detector) recordGaps(b *event.Batch) {
	for i := range b.Rows {
		fields := fact.Fields{
			"from": fact.Time(time.UnixMicro(b.Column("start_time").Int(i))), "to": fact.Time(time.UnixMicro(b.Column("end_time").Int(i))),
			"collector": b.Column("collector_id").Text(i), "hop": b.Column("hop").Text(i), "reason": event.CutText(b.Column("reason").Text(i), 1024),
		}
		if lost := b.Column("lost"); !lost.IsNull(i) {
			fields["lost"] = lost.Int(i)
		}
		d.record(fact.EventGap, b.Column("table_name").Text(i), "", fields)
	}
}

const (
	// queryApart is between two entries of one query by one user; those between
	// are counted in the next.
	queryApart = time.Minute
	// maxQueries bounds how many queries are remembered for it.
	maxQueries = 1024
)

// queryLog knows which queries were entered lately.
type queryLog struct {
	mu     sync.Mutex
	recent map[string]*repeated
}

// recordQuery enters that an operator has a query run: who, and the hash of its
// text, which may hold secrets.
func (a *agent) recordQuery(peer bus.Peer, req *api.QueryRequest) {
	kind := "query"
	switch {
	case req.Backtest != nil:
		kind = "backtest"
	case req.Explain != "":
		kind = "explain"
	}
	hash, now := fact.Hash([]byte(req.SQL)), time.Now()
	key := fmt.Sprint(peer.UID, kind, hash)
	l := &a.queries
	l.mu.Lock()
	if l.recent == nil || len(l.recent) >= maxQueries {
		l.recent = map[string]*repeated{}
	}
	x := l.recent[key]
	if x != nil && now.Sub(x.last) < queryApart {
		x.more++
		l.mu.Unlock()
		return
	}
	more := 0
	if x != nil {
		more = x.more
	}
	l.recent[key] = &repeated{last: now}
	l.mu.Unlock()
	a.recorder.operator(peer, fact.QueryRun, hash, fact.Fields{"kind": kind, "bytes": len(req.SQL), "more": more})
}

// recordSealed enters a segment of the history, with the hash of its file.
func (a *agent) recordSealed(f store.Segment) {
	a.recorder.record(fact.SegmentSealed, f.Table+"/"+f.Name, "", fact.Fields{"hash": fact.Hex(f.Sum), "rows": f.Rows, "bytes": f.Bytes})
}

// recordDeleted enters what retention has deleted since it deleted last.
func (a *agent) recordDeleted(last store.Deleted) store.Deleted {
	stats, err := a.store.Stats()
	if err != nil || stats.Deleted == last {
		return last
	}
	d := stats.Deleted
	a.recorder.record(fact.RetentionDeleted, "", "", fact.Fields{
		"batches": d.Batches - last.Batches, "rows": d.Rows - last.Rows, "segments": d.Segments - last.Segments, "alerts": d.Alerts - last.Alerts,
	})
	return d
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/roles/ruleset"
	"daemoneye/rules"
)

// pastRules is which of the sets of rules that were in force is in force now,
// and what is wrong with them. agent.reloading guards it, but for reading the
// pointers.
type pastRules struct {
	newest *ruleset.Set // that was read from the directories and is kept; nil: none is
	set    uint64       // in force; 0: it is not kept

	rolledBack atomic.Pointer[api.RolledBack] // nil: the directories' rules are in force
	lost       atomic.Pointer[string]         // why it is not known to what was rolled back; nil: it is
	unkept     atomic.Pointer[string]         // why the set in force is not kept; nil: it is
}

// refused reports whether a file was refused in the newest set, and was so when
// the rules were rolled back.
func (p *pastRules) refused(file string) bool {
	return p.rolledBack.Load() != nil && p.newest != nil && slices.Contains(p.newest.Refused, file)
}

// firstRules loads the rules at the start: the set that was rolled back to, else
// those of the directories.
func (a *agent) firstRules() *rules.Set {
	p := &a.past
	list, err := ruleset.List(a.stateDir())
	if err != nil {
		a.log.Error("list the sets of rules", zap.String("error", a.named(err).Error()))
	}
	for i := range list {
		if list[i].Error == "" {
			p.newest = &list[i]
		}
	}
	set, err := a.rolledBackRules()
	if err != nil {
		text := a.named(err).Error()
		p.lost.Store(&text) // the directories' rules are run
		a.log.Error("roll the rules back as they were", zap.String("error", text))
	}
	if set == nil {
		var files *ruleset.Recorder
		set, files = a.loadRules()
		a.keep(set, files, "start")
	}
	return set
}

// rolledBackRules returns the set that was rolled back to before the start, nil:
// none was.
func (a *agent) rolledBackRules() (*rules.Set, error) {
	rolled, err := ruleset.ReadRollback(a.stateDir())
	if err != nil || rolled == nil {
		return nil, err
	}
	past, sources, err := ruleset.Read(a.stateDir(), rolled.Set)
	if err != nil {
		return nil, err
	}
	a.past.set = past.Number
	a.past.rolledBack.Store(rolledBackTo(past, rolled))
	a.log.Warn("rules are rolled back", zap.Uint64("set", past.Number))
	return a.load(sources, nil), nil
}

func rolledBackTo(past *ruleset.Set, r *ruleset.Rollback) *api.RolledBack {
	return &api.RolledBack{Set: past.Number, Loaded: past.Time, Since: r.Time, UID: r.UID}
}

// keep writes a set that was put in force, if it is another than the newest, so
// that it can be rolled back to.
func (a *agent) keep(set *rules.Set, files *ruleset.Recorder, by string) {
	p := &a.past
	s := ruleset.Describe(set, files, by)
	if p.newest != nil && p.newest.Digest == s.Digest {
		p.set = p.newest.Number
		p.unkept.Store(nil)
		return
	}
	s.Changes = s.Against(p.newest)
	if err := ruleset.Keep(a.stateDir(), s, files); err != nil {
		text := a.named(err).Error()
		p.set = 0
		p.unkept.Store(&text)
		a.log.Error("keep the set of rules", zap.String("error", text))
		return
	}
	p.newest, p.set = s, s.Number
	p.unkept.Store(nil)
}

// endRollback is called before the directories' rules are put in force.
func (a *agent) endRollback() error {
	if err := ruleset.EndRollback(a.stateDir()); err != nil {
		return fmt.Errorf("end the rollback: %w", a.named(err))
	}
	if a.past.rolledBack.Swap(nil) != nil {
		a.log.Warn("rollback of the rules ended")
	}
	a.past.lost.Store(nil)
	return nil
}

// rulesHistory answers api.RulesHistory.
func (a *agent) rulesHistory(ctx context.Context, c *bus.Call) error {
	a.reloading.Lock()
	list, err := ruleset.List(a.stateDir())
	reply := api.RuleHistory{Sets: []api.RuleSet{}, InForce: a.past.set, RolledBack: a.past.rolledBack.Load()}
	a.reloading.Unlock()
	if err != nil {
		return a.named(err)
	}
	for i := range list {
		reply.Sets = append(reply.Sets, list[i].Reply())
	}
	return finish(ctx, c, reply)
}

// rulesRollback answers api.RulesRollback.
func (a *agent) rulesRollback(ctx context.Context, c *bus.Call) error {
	var r api.Rollback
	if err := msgpack.Unmarshal(c.Body, &r); err != nil {
		return fmt.Errorf("decode the request: %w", err)
	}
	reply, err := a.rollBack(r.Set, int(c.Peer.UID))
	if err != nil {
		return a.named(err)
	}
	return finish(ctx, c, reply)
}

// rollBack puts an earlier set in force, 0: the one before that in force; for the
// restarts to come, too. All of it or nothing: a set of which a file is refused
// that was not refused then changes nothing.
func (a *agent) rollBack(number uint64, uid int) (*api.RollbackReply, error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	list, err := ruleset.List(a.stateDir())
	if err != nil {
		return nil, err
	}
	if number == 0 {
		if number = before(list, a.past.set); number == 0 {
			return nil, errors.New("no set of rules before the one in force is kept")
		}
	}
	past, sources, err := ruleset.Read(a.stateDir(), number)
	if err != nil {
		return nil, err
	}
	reply := &api.RollbackReply{Set: past.Reply(), Changed: number != a.past.set}
	if !reply.Changed {
		return reply, nil
	}
	set := a.load(sources, nil)
	for _, r := range set.Refused {
		if r.File != rules.DisabledSetting && !slices.Contains(past.Refused, r.File) {
			return nil, fmt.Errorf("set %d can not be put in force whole: %w", number, r)
		}
	}
	if i := slices.IndexFunc(list, func(s ruleset.Set) bool { return s.Number == a.past.set }); i >= 0 {
		changes := past.Against(&list[i])
		reply.Changes = &changes
	}
	rolled := &ruleset.Rollback{Set: number, Time: time.Now().UTC(), UID: uid}
	if err := rolled.Write(a.stateDir()); err != nil {
		return nil, fmt.Errorf("keep what is rolled back: %w", err)
	}
	a.past.set = number
	a.past.rolledBack.Store(rolledBackTo(past, rolled))
	a.past.lost.Store(nil)
	a.rejected.Store(nil)
	a.recordChange(a.matcher.Set(), set, fmt.Sprintf("rollback to set %d by uid %d", number, uid))
	a.matcher.Reload(set)
	a.log.Warn("rules rolled back", zap.Uint64("set", number), zap.Int("uid", uid), zap.Int("rules", len(set.Rules)))
	return reply, nil
}

// before returns the number of the last readable set before one, or of all for
// 0; 0: there is none.
func before(list []ruleset.Set, number uint64) (last uint64) {
	for i := range list {
		if s := &list[i]; s.Error == "" && (number == 0 || s.Number < number) {
			last = s.Number
		}
	}
	return last
}

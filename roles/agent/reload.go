package agent

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"daemoneye/roles/fact"
	"daemoneye/rules"
)

// reload puts the rules in force that the directories hold now: all of them, or
// none when a file is refused that was not refused before, so that a mistake
// in a file takes no rule away. It ends a rollback.
func (a *agent) reload(by string) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	set, files := a.loadRules()
	before := a.matcher.Set()
	for _, r := range set.Refused {
		if !slices.ContainsFunc(before.Refused, func(old *rules.Refusal) bool { return old.File == r.File }) && !a.past.refused(r.File) {
			a.log.Warn("rules not put in force", zap.String("refused", r.File))
			_, hash := ruleStates(before)
			a.recorder.record(fact.RulesKept, hash, "", fact.Fields{"refused": r.File, "by": by})
			a.recordRefused(set, a.rejected.Swap(set))
			return nil
		}
	}
	if err := a.endRollback(); err != nil {
		return err
	}
	a.rejected.Store(nil)
	a.matcher.Reload(set)
	a.recordChange(before, set, by)
	a.keep(set, files, by)
	return nil
}

// followed is reload for what does not end a rollback.
func (a *agent) followed(by string) {
	if a.past.rolledBack.Load() != nil {
		a.log.Info("rules stay rolled back", zap.String("not_read_for", by))
		return
	}
	if err := a.reload(by); err != nil {
		a.log.Error("reload the rules", zap.Error(err))
	}
}

// present is the Set in force, with what is refused of the files as they are now.
func (a *agent) present() *rules.Set {
	set := a.matcher.Set()
	if rejected := a.rejected.Load(); rejected != nil {
		shown := *set
		shown.Refused, shown.Absent = rejected.Refused, rejected.Absent
		return &shown
	}
	return set
}

// lookShare bounds the share of the time that looking for changes takes: one
// in so many.
const lookShare = 200

// followRules reloads when files of the rules have changed and do not change
// any more. It looks instead of being told: the kernel tells of directories one
// by one, not of what links lead to nor of file systems of other machines, and
// takes system calls that the cage does without.
func (a *agent) followRules(ctx context.Context) {
	every := a.cfg.Config.Rules.Reload
	if every == 0 {
		return
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	var last uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		now := rules.Fingerprint(a.ruleSources()...)
		took := time.Since(begun)
		a.reloading.Lock()
		changed := now != a.onDisk && a.past.rolledBack.Load() == nil
		a.reloading.Unlock()
		if changed && now == last {
			a.log.Info("rule files changed")
			a.followed("changed files")
		}
		last = now
		timer.Reset(max(every, lookShare*took))
	}
}

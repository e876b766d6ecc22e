package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/roles/api"
	"daemoneye/roles/ruleset"
)

// stateDir is where the files of ruleset are: beside the store.
func (a *agent) stateDir() string { return a.dirs.path(a.cfg.Config.Paths.Store) }

// ruleSwitch answers api.RulesSwitch.
func (a *agent) ruleSwitch(ctx context.Context, c *bus.Call) error {
	var r api.RuleSwitch
	if err := msgpack.Unmarshal(c.Body, &r); err != nil {
		return fmt.Errorf("decode the request: %w", err)
	}
	changed, err := a.switchRule(r.ID, r.Enabled, int(c.Peer.UID))
	if err != nil {
		return err
	}
	if changed {
		a.recordSwitch(c.Peer, r.ID, r.Enabled)
	}
	return finish(ctx, c, api.RuleSwitched{Changed: changed})
}

// switchRule switches a rule on or off, now and for the restarts to come.
func (a *agent) switchRule(id string, enabled bool, uid int) (changed bool, err error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	set := a.matcher.Set()
	rule := set.Rule(id)
	switch {
	case rule == nil:
		return false, fmt.Errorf("there is no rule %q in force", id)
	case enabled && slices.Contains(a.cfg.Config.Rules.Disabled, id):
		return false, fmt.Errorf("rules.disabled in the configuration switches %s off: take it out there", id)
	case rule.Enabled == enabled:
		return false, nil
	}
	next := maps.Clone(a.switched)
	next[id] = ruleset.Switch{Enabled: enabled, Time: time.Now().UTC(), UID: uid}
	if len(next) > ruleset.MaxSwitches {
		return false, fmt.Errorf("%d rules are switched, the limit is %d: use rules.disabled in the configuration", len(next), ruleset.MaxSwitches)
	}
	if err := next.Write(a.stateDir()); err != nil {
		return false, fmt.Errorf("keep what is switched: %w", err)
	}
	a.switched = next
	a.matcher.Reload(set.Switch(id, enabled))
	a.log.Warn("rule switched", zap.String("rule", id), zap.Bool("enabled", enabled), zap.Int("uid", uid))
	return true, nil
}

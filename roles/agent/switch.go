package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/roles/api"
)

// switches are the rules that operators have switched on and off, by id, which
// outlast a restart in a file beside the store.
type switches map[string]ruleSwitch

type ruleSwitch struct {
	Enabled bool      `json:"enabled"`
	Time    time.Time `json:"time"`
	UID     int       `json:"uid"` // of who did it
}

// maxSwitches bounds the file.
const maxSwitches = 10_000

func (a *agent) switchFile() string {
	return filepath.Join(a.dirs.path(a.cfg.Config.Paths.Store), "rules.json")
}

// readSwitches reads the file; one that is not there is empty, as is the answer
// with an error.
func readSwitches(path string) (switches, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return switches{}, nil
	}
	s := switches{}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return switches{}, fmt.Errorf("read %s: %w", path, err)
	}
	if s == nil { // the file has null
		s = switches{}
	}
	return s, nil
}

// write replaces the file, which after a crash is the old or the new one.
func (s switches) write(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'), 0o640, true)
}

// enabled is what rules.LoadConfig wants to know.
func (s switches) enabled() map[string]bool {
	list := make(map[string]bool, len(s))
	for id, state := range s {
		list[id] = state.Enabled
	}
	return list
}

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
	next[id] = ruleSwitch{Enabled: enabled, Time: time.Now().UTC(), UID: uid}
	if len(next) > maxSwitches {
		return false, fmt.Errorf("%d rules are switched, the limit is %d: use rules.disabled in the configuration", len(next), maxSwitches)
	}
	if err := next.write(a.switchFile()); err != nil {
		return false, fmt.Errorf("keep what is switched: %w", err)
	}
	a.switched = next
	a.matcher.Reload(set.Switch(id, enabled))
	a.log.Warn("rule switched", zap.String("rule", id), zap.Bool("enabled", enabled), zap.Int("uid", uid))
	return true, nil
}

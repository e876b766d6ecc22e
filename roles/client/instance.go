package client

import (
	"errors"
	"fmt"

	"daemoneye/roles/api"
	"daemoneye/roles/config"
	"daemoneye/roles/history"
	"daemoneye/roles/ruleset"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// instanceRules loads the rules as an agent that starts now would run them:
// those of the configuration, or those that were rolled back to, with what operators have switched. The error says
// what of that is not known; the set is good nevertheless.
func instanceRules(cfg *config.Config) (_ *rules.Set, rolled *ruleset.Rollback, _ error) {
	switched, err := ruleset.ReadSwitches(cfg.Paths.Store)
	if err != nil {
		err = fmt.Errorf("which rules are switched off is not known: %w", err)
	}
	dirs := ruleDirs(cfg)
	rolled, lost := ruleset.ReadRollback(cfg.Paths.Store)
	if rolled != nil {
		if _, past, failed := ruleset.Read(cfg.Paths.Store, rolled.Set); failed != nil {
			lost = failed
		} else {
			dirs = past
		}
	}
	if lost != nil {
		err = errors.Join(err, fmt.Errorf("the rules that were rolled back to are not known: %w", lost))
	}
	return loadFrom(cfg, dirs, switched.Enabled()), rolled, err
}

// instanceRules is instanceRules with warnings in place of the error, and of a
// rollback.
func (c *call) instanceRules(cfg *config.Config) *rules.Set {
	set, rolled, err := instanceRules(cfg)
	if rolled != nil {
		c.warnRolledBack(&api.RolledBack{Set: rolled.Set, Since: rolled.Time, UID: rolled.UID})
	}
	if err != nil {
		c.warn("%v", err)
	}
	return set
}

// loadRules loads the rules that the configuration names.
func loadRules(cfg *config.Config) *rules.Set { return loadFrom(cfg, ruleDirs(cfg), nil) }

func loadFrom(cfg *config.Config, sources []rules.Source, switched map[string]bool) *rules.Set {
	if cfg.Rules.Builtin {
		sources = append([]rules.Source{rules.Builtin()}, sources...)
	}
	return rules.Load(rules.LoadConfig{
		SQL: sql.Config{Limits: history.Limits(cfg)}, Disabled: cfg.Rules.Disabled, Switched: switched, Packs: packTrust(cfg),
	}, sources...)
}

package client

import (
	"fmt"

	"daemoneye/roles/config"
	"daemoneye/roles/history"
	"daemoneye/roles/ruleset"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// instanceRules loads the rules as an agent that starts now would run them:
// those of the configuration, with what operators have switched. The error says
// what of that is not known; the set is good nevertheless.
func instanceRules(cfg *config.Config) (*rules.Set, error) {
	switched, err := ruleset.ReadSwitches(cfg.Paths.Store)
	if err != nil {
		err = fmt.Errorf("which rules are switched off is not known: %w", err)
	}
	return loadSwitched(cfg, switched.Enabled()), err
}

// instanceRules is instanceRules with a warning in place of the error.
func (c *call) instanceRules(cfg *config.Config) *rules.Set {
	set, err := instanceRules(cfg)
	if err != nil {
		c.warn("%v", err)
	}
	return set
}

// loadRules loads the rules that the configuration names.
func loadRules(cfg *config.Config) *rules.Set { return loadSwitched(cfg, nil) }

func loadSwitched(cfg *config.Config, switched map[string]bool) *rules.Set {
	sources := ruleDirs(cfg)
	if cfg.Rules.Builtin {
		sources = append([]rules.Source{rules.Builtin()}, sources...)
	}
	return rules.Load(rules.LoadConfig{
		SQL: sql.Config{Limits: history.Limits(cfg)}, Disabled: cfg.Rules.Disabled, Switched: switched, Packs: packTrust(cfg),
	}, sources...)
}

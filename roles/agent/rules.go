package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"daemoneye/bus"
	"daemoneye/bus/event"
	"daemoneye/roles/api"
	"daemoneye/roles/fact"
	"daemoneye/roles/history"
	"daemoneye/roles/ruleset"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// ruleSources are the built-in rules and those of the directories.
func (a *agent) ruleSources() []rules.Source { return a.withBuiltin(a.ruleDirs()) }

func (a *agent) withBuiltin(dirs []rules.Source) []rules.Source {
	if a.cfg.Config.Rules.Builtin {
		return append([]rules.Source{rules.Builtin()}, dirs...)
	}
	return dirs
}

func (a *agent) ruleDirs() (sources []rules.Source) {
	c := a.cfg.Config
	for _, dir := range c.Paths.RulesDirs {
		source := rules.Dir(dir)
		if usable := a.dirs.path(dir); usable != dir {
			source.FS = rules.DirFS(usable)
		}
		source.Optional = c.Paths.RulesDefault
		sources = append(sources, source)
	}
	return sources
}

// loadRules reads the directories as they are now, and returns their files, too.
func (a *agent) loadRules() (*rules.Set, *ruleset.Recorder) {
	a.onDisk = rules.Fingerprint(a.ruleSources()...)
	dirs := a.ruleDirs()
	files := ruleset.NewRecorder(dirs)
	return a.load(dirs, files.Read), files
}

// load loads the rules of directories, beside those that come with the program.
// A file that is not good is logged and left out.
func (a *agent) load(dirs []rules.Source, read func(source, path string, data []byte)) *rules.Set {
	c := a.cfg.Config
	set := rules.Load(rules.LoadConfig{
		Read: read,
		SQL:  sql.Config{Limits: history.Limits(c)}, Disabled: c.Rules.Disabled, Switched: a.switched.Enabled(), Unreadable: a.unreadable(),
		Packs: rules.PackTrust{Keys: c.Rules.TrustedKeys, Unsigned: c.Rules.AllowUnsigned, Version: a.cfg.Version},
	}, a.withBuiltin(dirs)...)
	refused := a.log.Warn
	if a.matcher == nil && a.cfg.Out != nil && a.cfg.Restarts == 0 {
		refused = a.log.Info // the opening lines say it to a person
	}
	for _, r := range set.Refused {
		refused("rule refused", zap.String("file", r.File), zap.String("reason", r.Error()))
	}
	a.log.Info("rules loaded", zap.Int("loaded", len(set.Rules)), zap.Int("refused", len(set.Refused)))
	return set
}

// unreadable is what to do about a file that this role may not read.
func (a *agent) unreadable() string {
	hint := fmt.Sprintf("the agent runs as %v, who must be able to read it", a.cfg.Users.self())
	if w := a.cfg.Walls; w != nil && w.Landlock > 0 {
		hint += "; a directory that was replaced, or that a new link leads to, is read after a restart"
	}
	return hint
}

// rulesReload answers api.RulesReload.
func (a *agent) rulesReload(ctx context.Context, c *bus.Call) error {
	a.recorder.operator(c.Peer, fact.RulesReload, "", nil)
	if err := a.reload(fmt.Sprintf("reload by uid %d", c.Peer.UID)); err != nil {
		return err
	}
	set := a.present()
	status := a.rulesStatus(set)
	return finish(ctx, c, api.ReloadReply{
		Kept: status.Kept, Loaded: status.Loaded, Disabled: status.Disabled, Failed: status.Refused, Refused: refusals(set), From: status.From,
	})
}

// maxExpired bounds what health lists.
const maxExpired = 20

func (a *agent) rulesStatus(set *rules.Set) api.RulesStatus {
	s := api.RulesStatus{Refused: len(set.Refused), LoadedAt: set.Loaded, Kept: a.rejected.Load() != nil, RolledBack: a.past.rolledBack.Load(), From: []string{}, Expired: []string{}}
	c := a.cfg.Config
	for i, e := range set.Expired(time.Now()) {
		if i == maxExpired {
			s.Expired = append(s.Expired, "and more")
			break
		}
		s.Expired = append(s.Expired, e.String())
	}
	if c.Rules.Builtin {
		s.From = append(s.From, "builtin")
	}
	for _, dir := range c.Paths.RulesDirs {
		if slices.ContainsFunc(set.Absent, func(name string) bool { return filepath.Clean(name) == filepath.Clean(dir) }) {
			dir += " (not there)"
		}
		s.From = append(s.From, dir)
	}
	for _, r := range set.Rules {
		if r.Enabled {
			s.Loaded++
		} else {
			s.Disabled++
		}
	}
	return s
}

func refusals(set *rules.Set) []api.Refusal {
	list := make([]api.Refusal, 0, len(set.Refused))
	for _, r := range set.Refused {
		for _, p := range r.Problems {
			list = append(list, api.Refusal{File: r.File, Message: p.Error(), Caret: p.Caret()})
		}
	}
	return list
}

// ruleRows returns the rules table.
func (a *agent) ruleRows() *event.Batch {
	b := event.NewBuilder(event.Lookup("rules"))
	a.present().AppendTo(b, a.matcher.Stats())
	return b.Batch()
}

// connected names the collectors that are connected now.
func (a *agent) connected() map[string]bool {
	status, _ := a.registry.get()
	if status == nil || !status.Connected {
		return nil
	}
	return map[string]bool{status.CollectorID: true}
}

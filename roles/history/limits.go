package history

import (
	"daemoneye/roles/config"
	"daemoneye/rules"
	"daemoneye/rules/sql"
	"daemoneye/store"
)

// Limits are the configured limits of statements.
func Limits(c *config.Config) sql.Limits {
	l := &c.SQL.Limits
	return sql.Limits{
		Text: int(l.Text), Depth: int(l.Depth), Nodes: int(l.Expressions), List: int(l.List),
		Tables: int(l.Tables), CTEs: int(l.CTEs), Operators: int(l.Operators), Constants: l.Constants,
	}
}

// Stored are the Resources of queries whose temporary files are beside the store.
func Stored(c *config.Config, s *store.Store) sql.Options {
	opt := Resources(c, s.TempDir())
	opt.TempRoom = s.TempRoom
	return opt
}

// Resources are what a query may use by the configuration, with its temporary
// files in dir, "" if there is no place for them.
func Resources(c *config.Config, dir string) sql.Options {
	if c.Agent.TempFileLimit == 0 {
		dir = ""
	}
	return sql.Options{MemoryLimit: c.Agent.QueryMemory, TempDir: dir, TempLimit: c.Agent.TempFileLimit}
}

// MatcherConfig is how rules are run by the configuration, with these resources.
func MatcherConfig(c *config.Config, resources sql.Options) rules.MatcherConfig {
	return rules.MatcherConfig{Every: c.Rules.Every, Timeout: c.Rules.Timeout, MaxRows: c.Rules.MaxMatches, Share: c.Rules.Share, Resources: resources}
}

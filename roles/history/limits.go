package history

import (
	"daemoneye/roles/config"
	"daemoneye/rules"
	"daemoneye/rules/sql"
)

// Limits are the configured limits of statements.
func Limits(c *config.Config) sql.Limits {
	l := &c.SQL.Limits
	return sql.Limits{
		Text: int(l.Text), Depth: int(l.Depth), Nodes: int(l.Expressions), List: int(l.List),
		Tables: int(l.Tables), CTEs: int(l.CTEs), Operators: int(l.Operators), Constants: l.Constants,
	}
}

// Resources are what a query may use by the configuration, with its temporary
// files in dir, "" if there is no place for them.
func Resources(c *config.Config, dir string) sql.Options {
	if c.Agent.TempFileLimit == 0 {
		dir = ""
	}
	return sql.Options{MemoryLimit: c.Agent.QueryMemory, TempDir: dir, TempLimit: c.Agent.TempFileLimit}
}

// MatcherConfig is how rules are run by the configuration.
func MatcherConfig(c *config.Config, dir string) rules.MatcherConfig {
	return rules.MatcherConfig{Every: c.Rules.Every, Timeout: c.Rules.Timeout, MaxRows: c.Rules.MaxMatches, Resources: Resources(c, dir)}
}

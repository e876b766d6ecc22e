package config

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Setting is one key that may be set.
type Setting struct {
	Key     string // such as store.retention.age
	Flag    string // without the dashes; "" when there is none
	Type    Type
	Default string // as text, "" for an empty list
	Doc     string // one or two sentences

	choices  []string // of a Choice
	min, max int64    // of a Duration (ns), a Size (bytes) or a Count; max 0: no upper bound
	zero     bool     // 0 is good, too, although it is below min
	expected string   // what check wants
	check    func(string) bool
	field    func(*Config) any // *bool, *int64, *time.Duration, *string or *[]string
}

// Type says how the value of a Setting is written.
type Type int

// The types.
const (
	Text     Type = iota // string
	Path                 // string, made absolute
	Choice               // string, one of a few
	Bool                 // bool
	Duration             // time.Duration: 500ms, 30s, 1h30m, 30d
	Size                 // int64, bytes: 64MiB, 1GB, 4096
	Count                // int64
	List                 // []string; commas between them in environment variables and flags
	PathList             // []string, made absolute
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
	day = 24 * time.Hour
)

// Settings lists all settings in the order in which they are shown: keys that
// share a prefix are neighbours.
func Settings() []Setting {
	s := []Setting{
		{
			Key: "data_dir", Flag: "data-dir", Type: Path,
			Doc:   "Directory of everything that one instance keeps: store, socket and token. Empty: /var/lib/daemoneye and /run/daemoneye for root, the XDG directories for others.",
			field: func(c *Config) any { return &c.DataDir },
		},
		{
			Key: "log.level", Flag: "log-level", Type: Choice, Default: "info",
			choices: []string{"debug", "info", "warn", "error"},
			Doc:     "Least important messages that are logged to stderr.",
			field:   func(c *Config) any { return &c.Log.Level },
		},
		{
			Key: "log.format", Flag: "log-format", Type: Choice, Default: "auto",
			choices: []string{"auto", "json", "console"},
			Doc:     "Format of log messages. auto: console on a terminal, json elsewhere.",
			field:   func(c *Config) any { return &c.Log.Format },
		},
	}
	s = append(s, collectorSettings()...)
	s = append(s, agentSettings()...)
	s = append(s, sqlSettings()...)
	s = append(s, storeSettings()...)
	s = append(s, []Setting{
		{
			Key: "ledger.witnesses", Type: List,
			Doc:   "Public keys of witnesses whose cosignatures of checkpoints are kept (daemoneye ledger checkpoint --add-cosignature).",
			field: func(c *Config) any { return &c.Ledger.Witnesses },
		},
		{
			Key: "security.seccomp", Type: Choice, Default: "errno",
			choices: []string{"errno", "kill", "off"},
			Doc:     "What becomes of a system call that collector and agent have no need of (Linux). errno: it fails. kill: it ends the role, which is started again. off: nothing.",
			field:   func(c *Config) any { return &c.Security.Seccomp },
		},
		{
			Key: "security.landlock", Type: Bool, Default: "true",
			Doc:   "Let the agent open its own directories and those of the rules only (Linux 5.19 or later).",
			field: func(c *Config) any { return &c.Security.Landlock },
		},
		{
			Key: "supervisor.stop_timeout", Type: Duration, Default: "10s", min: int64(100 * time.Millisecond), max: int64(10 * time.Minute),
			Doc:   "Time that a role has to close cleanly before it is killed.",
			field: func(c *Config) any { return &c.Supervisor.StopTimeout },
		},
	}...)
	return s
}

func collectorSettings() []Setting {
	return []Setting{
		{
			Key: "collector.interval", Flag: "interval", Type: Duration, Default: "30s", min: int64(100 * time.Millisecond), max: int64(day),
			Doc:   "Time between two scans of all processes.",
			field: func(c *Config) any { return &c.Collector.Interval },
		},
		{
			Key: "collector.sample_interval", Type: Duration, Default: "30s", min: int64(100 * time.Millisecond), max: int64(day),
			Doc:   "Time between two rows of process_samples of a process; at most one is made a scan.",
			field: func(c *Config) any { return &c.Collector.SampleInterval },
		},
		{
			Key: "collector.source", Type: Choice, Default: "auto",
			choices: []string{"auto", "ebpf", "netlink", "procfs"},
			Doc:     "What tells of processes. auto: the best that works of eBPF and netlink, as it happens, and scans. ebpf: that and scans, and no collector without it. netlink: the kernel's process events and scans. procfs: scans of /proc only.",
			field:   func(c *Config) any { return &c.Collector.Source },
		},
		{
			Key: "collector.user", Type: Text, expected: "a user name or number", check: isUser,
			Doc:   "User that the collector becomes when it was started by root. Empty: daemoneye if there is one, else nobody.",
			field: func(c *Config) any { return &c.Collector.User },
		},
		{
			Key: "collector.environment", Type: Bool, Default: "false",
			Doc:   "Collect the environment variables of processes. They often hold secrets.",
			field: func(c *Config) any { return &c.Collector.Environment },
		},
		{
			Key: "collector.command_line_limit", Type: Size, Default: "32KiB", min: 256, max: 2 * mib,
			Doc:   "Longest command line that is kept; the rest is cut off.",
			field: func(c *Config) any { return &c.Collector.CommandLineLimit },
		},
		{
			Key: "collector.unix_sockets", Type: Bool, Default: "false",
			Doc:   "List Unix sockets in network_connections as well. There are many.",
			field: func(c *Config) any { return &c.Collector.UnixSockets },
		},
		{
			Key: "collector.files.paths", Type: PathList,
			expected: "a list of absolute paths; * stands for a whole name", check: isWatchable,
			Doc:   "Further paths whose changes, with all below, become rows of file_events. * stands for any one name. Always watched: " + strings.Join(watchedPaths(), ", ") + ".",
			field: func(c *Config) any { return &c.Collector.Files.Paths },
		},
		{
			Key: "collector.files.reads", Type: PathList,
			expected: "a list of absolute paths; * stands for a whole name, but for the last one", check: isWatchableRead,
			Doc:   "Further files of which each opening for reading becomes a row of file_events; of a directory those directly in it. Always watched: " + strings.Join(watchedReads(), ", ") + ".",
			field: func(c *Config) any { return &c.Collector.Files.Reads },
		},
		{
			Key: "collector.redact.enabled", Flag: "no-redact", Type: Bool, Default: "true",
			Doc:   "Replace secrets in arguments before anything is stored.",
			field: func(c *Config) any { return &c.Collector.Redact.Enabled },
		},
		{
			Key: "collector.redact.options", Type: List, expected: "a list of option names, such as --api-key", check: isOption,
			Doc:   "Further options whose value is a secret, such as --api-key.",
			field: func(c *Config) any { return &c.Collector.Redact.Options },
		},
		{
			Key: "collector.redact.patterns", Type: List, expected: "a list of regular expressions (RE2)", check: isPattern,
			Doc:   "Further secrets as regular expressions (RE2). What the groups match is replaced, or all of it when there is no group.",
			field: func(c *Config) any { return &c.Collector.Redact.Patterns },
		},
		{
			Key: "collector.hash.enabled", Type: Bool, Default: "true",
			Doc:   "Hash the executables of processes (SHA-256 and BLAKE3).",
			field: func(c *Config) any { return &c.Collector.Hash.Enabled },
		},
		{
			Key: "collector.hash.rate", Type: Size, Default: "64MiB", min: 64 * kib, max: tib,
			Doc:   "Bytes that are read for hashes per second, on average.",
			field: func(c *Config) any { return &c.Collector.Hash.Rate },
		},
		{
			Key: "collector.hash.max_file", Type: Size, Default: "1GiB", min: 1, max: math.MaxInt64,
			Doc:   "Largest executable that is hashed.",
			field: func(c *Config) any { return &c.Collector.Hash.MaxFile },
		},
		{
			Key: "collector.hash.cache", Type: Count, Default: "16384", min: 16, max: 1 << 22,
			Doc:   "Number of executables whose hashes are remembered.",
			field: func(c *Config) any { return &c.Collector.Hash.Cache },
		},
	}
}

func agentSettings() []Setting {
	return []Setting{
		{
			Key: "agent.user", Type: Text, expected: "a user name or number", check: isUser,
			Doc:   "User that the agent becomes when it was started by root. Empty: daemoneye if there is one, else nobody.",
			field: func(c *Config) any { return &c.Agent.User },
		},
		{
			Key: "agent.query_timeout", Type: Duration, Default: "30s", min: int64(time.Millisecond), max: int64(day),
			Doc:   "Time that a query may take, unless it asks for another.",
			field: func(c *Config) any { return &c.Agent.QueryTimeout },
		},
		{
			Key: "agent.query_memory", Type: Size, Default: "64MiB", min: mib, max: tib,
			Doc:   "Memory that one query may use.",
			field: func(c *Config) any { return &c.Agent.QueryMemory },
		},
		{
			Key: "agent.temp_file_limit", Type: Size, Default: "1GiB", min: mib, max: tib, zero: true,
			Doc:   "Size of the temporary files, beside the store, that one query may use when it needs more memory. 0: none.",
			field: func(c *Config) any { return &c.Agent.TempFileLimit },
		},
		{
			Key: "agent.memory", Type: Size, Default: "0", min: 16 * mib, max: tib, zero: true,
			Doc:   "Soft limit of the agent's memory: near it, memory is given back more eagerly, at the cost of CPU. 0: none.",
			field: func(c *Config) any { return &c.Agent.Memory },
		},
		{
			Key: "rules.dirs", Flag: "rules", Type: PathList,
			Doc:   "Directories of rules. Empty: /etc/daemoneye/rules for root, ~/.config/daemoneye/rules for others, once it exists.",
			field: func(c *Config) any { return &c.Rules.Dirs },
		},
		{
			Key: "rules.builtin", Type: Bool, Default: "true",
			Doc:   "Use the rules that come with DaemonEye.",
			field: func(c *Config) any { return &c.Rules.Builtin },
		},
		{
			Key: "rules.disabled", Type: List, expected: "a list of ids of rules", check: isRuleID,
			Doc:   "Rules, by id, that are loaded and not run, built-in ones among them.",
			field: func(c *Config) any { return &c.Rules.Disabled },
		},
		{
			Key: "rules.reload", Type: Duration, Default: "2s", max: int64(day),
			Doc:   "How often to look for rule files that changed, which are then put in force if none is refused; 0: only when daemoneye rules reload says so.",
			field: func(c *Config) any { return &c.Rules.Reload },
		},
		{
			Key: "rules.trusted_keys", Type: List, expected: "a list of public keys, as daemoneye rules pack keygen prints them", check: isPackKey,
			Doc:   "Public keys of those whose packs of rules are loaded.",
			field: func(c *Config) any { return &c.Rules.TrustedKeys },
		},
		{
			Key: "rules.allow_unsigned_packs", Type: Bool, Default: "false",
			Doc:   "Load packs of rules that are not signed, or by none of the trusted keys.",
			field: func(c *Config) any { return &c.Rules.AllowUnsigned },
		},
		{
			Key: "rules.every", Type: Duration, Default: "5s", min: int64(100 * time.Millisecond), max: int64(day),
			Doc:   "Least time between two runs of a rule over history.",
			field: func(c *Config) any { return &c.Rules.Every },
		},
		{
			Key: "rules.timeout", Type: Duration, Default: "30s", min: int64(10 * time.Millisecond), max: int64(time.Hour),
			Doc:   "Time that one run of a rule over history or after a scan may take. Its memory is bounded by agent.query_memory.",
			field: func(c *Config) any { return &c.Rules.Timeout },
		},
		{
			Key: "rules.max_matches", Type: Count, Default: "10000", min: 1, max: 1_000_000,
			Doc:   "Matches that one such run may have; the rest is not looked at, and the rule is reported as failing.",
			field: func(c *Config) any { return &c.Rules.MaxMatches },
		},
		{
			Key: "rules.share", Type: Duration, Default: "100ms", min: int64(time.Millisecond), max: int64(time.Minute),
			Doc:   "Time that a rule over the stream may take for one batch. One that takes longer twice in a row is paused for a minute, then longer, and reported.",
			field: func(c *Config) any { return &c.Rules.Share },
		},
	}
}

// sqlSettings are the limits of statements. The defaults and the highest values
// are those of package rules/sql.
func sqlSettings() []Setting {
	const doc = " A statement of a rule or a query beyond it is refused."
	return []Setting{
		{
			Key: "sql.limits.text", Type: Size, Default: "64KiB", min: kib, max: 512 * kib,
			Doc:   "Length of a statement." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Text },
		},
		{
			Key: "sql.limits.depth", Type: Count, Default: "200", min: 10, max: 1000,
			Doc:   "Nesting of expressions and subqueries." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Depth },
		},
		{
			Key: "sql.limits.expressions", Type: Count, Default: "20000", min: 100, max: 500_000,
			Doc:   "Expressions in a statement." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Expressions },
		},
		{
			Key: "sql.limits.list", Type: Count, Default: "5000", min: 100, max: 100_000,
			Doc:   "Elements of one list, such as IN (...), or columns of a result." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.List },
		},
		{
			Key: "sql.limits.tables", Type: Count, Default: "64", min: 1, max: 1000,
			Doc:   "Tables, subqueries and functions in FROM, in all of a statement." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Tables },
		},
		{
			Key: "sql.limits.ctes", Type: Count, Default: "32", min: 1, max: 1000,
			Doc:   "Queries of one WITH." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.CTEs },
		},
		{
			Key: "sql.limits.operators", Type: Count, Default: "5000", min: 100, max: 5000,
			Doc:   "Operators and keywords such as OR in one expression. It can only be lowered: PostgreSQL's parser recurses over them." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Operators },
		},
		{
			Key: "sql.limits.constants", Type: Duration, Default: "2s", min: int64(10 * time.Millisecond), max: int64(30 * time.Second),
			Doc:   "Time to compute what is constant in a statement, before it is run." + doc,
			field: func(c *Config) any { return &c.SQL.Limits.Constants },
		},
	}
}

func storeSettings() []Setting {
	return []Setting{
		{
			Key: "store.retention.age", Type: Duration, Default: "30d", min: int64(time.Minute), zero: true,
			Doc:   "Events older than this are deleted. 0: no limit.",
			field: func(c *Config) any { return &c.Store.Retention.Age },
		},
		{
			Key: "store.retention.bytes", Type: Size, Default: "4GiB", min: mib, zero: true,
			Doc:   "The oldest events are deleted when the store is larger than this. 0: no limit.",
			field: func(c *Config) any { return &c.Store.Retention.Bytes },
		},
		{
			Key: "alerts.jsonl.path", Type: Path,
			Doc:   "File to which each alert is appended as one line of JSON. Empty: none.",
			field: func(c *Config) any { return &c.Alerts.JSONL.Path },
		},
		{
			Key: "metrics.file.interval", Type: Duration, Default: "0", min: int64(time.Second), max: int64(day), zero: true,
			Doc:   "How often the counts of health are written to a file for node_exporter's textfile collector. 0: never.",
			field: func(c *Config) any { return &c.Metrics.File.Interval },
		},
		{
			Key: "metrics.file.path", Type: Path,
			Doc:   "That file, in whose directory the agent's user must be able to write. Empty: daemoneye.prom in the directory of the socket.",
			field: func(c *Config) any { return &c.Metrics.File.Path },
		},
	}
}

// Env is the environment variable of the setting.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "__"))
}

// Expected says in words which values are good: "a size of at least 1MiB, such
// as 64MiB, 1GB or 4096".
func (s Setting) Expected() string {
	switch s.Type {
	case Choice:
		return orList(s.choices)
	case Bool:
		return "true or false"
	case Duration:
		return "a duration" + s.bounds() + ", such as 500ms, 30s, 1h30m or 30d"
	case Size:
		return "a size" + s.bounds() + ", such as 4096, 64MiB or 1GB"
	case Count:
		return "a whole number" + s.bounds()
	case Path:
		return "a path"
	case PathList:
		if s.expected == "" {
			return "a list of paths"
		}
	}
	if s.expected != "" {
		return s.expected
	}
	return "text"
}

func (s Setting) bounds() string {
	low := s.format(s.min)
	if s.max == 0 {
		return s.orZero(" of at least " + low)
	}
	if s.max == math.MaxInt64 {
		return s.orZero(" of at least " + low)
	}
	return s.orZero(fmt.Sprintf(" from %s to %s", low, s.format(s.max)))
}

func (s Setting) orZero(text string) string {
	if s.zero {
		return text + " or 0"
	}
	return text
}

// orList is "a, b or c".
func orList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " or " + items[len(items)-1]
}

func isUser(s string) bool {
	// useradd(8), plus what macOS and directory services have.
	return s == "" || regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?$`).MatchString(s)
}

func isRuleID(s string) bool { return regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`).MatchString(s) }

func isPackKey(s string) bool {
	_, err := note.NewVerifier(s)
	return err == nil
}

// isWatchable is what bpf.Source.Watch takes of one path.
func isWatchable(s string) bool {
	for _, name := range strings.Split(s, "/") {
		if len(name) > 255 || name != "*" && strings.Contains(name, "*") {
			return false
		}
	}
	return strings.HasPrefix(s, "/") && strings.Count(s, "/") <= 14
}

func isWatchableRead(s string) bool {
	s = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(s, "/"), "/*"), "/")
	return isWatchable(s) && !strings.HasSuffix(s, "/*")
}

func isOption(s string) bool {
	return s != "" && !strings.ContainsAny(s, "= \t\r\n\x00")
}

func isPattern(s string) bool {
	_, err := regexp.Compile(s)
	return s != "" && err == nil
}

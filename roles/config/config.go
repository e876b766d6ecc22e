// Package config is what an operator may set, and where it came from.
//
// Later ones win: built-in defaults, the system's file
// (/etc/daemoneye/config.yaml, .yml, .toml or .json), the user's file
// ($XDG_CONFIG_HOME/daemoneye/config.*, not read by root), DAEMONEYE_…
// environment variables ("__" between levels, DAEMONEYE_STORE__RETENTION__AGE,
// an empty one is as good as none), flags. A file named with --config is read
// instead of the two. One table, Settings, says which keys there are; every
// other key is an error.
package config

import "time"

// Config is the merged configuration. Default and Load make it; all its values
// have passed the checks of Settings.
type Config struct {
	DataDir    string // absolute; "": the system's or the user's directories
	Log        Log
	Collector  Collector
	Agent      Agent
	Rules      Rules
	SQL        SQL
	Store      Store
	Alerts     Alerts
	Metrics    Metrics
	Ledger     Ledger
	Security   Security
	Supervisor Supervisor

	// Paths follow from the above and from who runs it. The supervisor's are
	// passed to the other roles, which run as somebody else.
	Paths Paths

	sources map[string]string // key → Entry.Source, for keys that are not at their default
}

// Log is about what the roles write to stderr.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // auto, json or console
}

// Collector is about what is watched.
type Collector struct {
	Interval         time.Duration // between scans
	SampleInterval   time.Duration // between rows of process_samples of one process
	Source           string        // auto, ebpf, netlink or procfs
	User             string        // name or number; "": daemoneye if there is one, else nobody
	Environment      bool          // collect environment variables
	CommandLineLimit int64         // bytes
	UnixSockets      bool          // in network_connections
	Files            Files
	Redact           Redact
	Hash             Hash
}

// Files is about the files of which file_events tells, beside those that are
// always watched. A name * in a path stands for any one.
type Files struct {
	Paths []string // whose changes are told, with all below
	Reads []string // files, or directories of files, whose reads are
}

// Redact is about secrets in arguments.
type Redact struct {
	Enabled  bool
	Options  []string // names of further options with a secret value
	Patterns []string // regular expressions of further secrets (RE2)
}

// Hash is about the hashes of executables.
type Hash struct {
	Enabled bool
	Rate    int64 // bytes per second
	MaxFile int64 // bytes; larger files are not hashed
	Cache   int64 // entries
}

// Agent is about the unprivileged role.
type Agent struct {
	User          string        // as Collector.User
	QueryTimeout  time.Duration // unless the query says otherwise
	QueryMemory   int64         // bytes for one query
	TempFileLimit int64         // bytes of temporary files for one query; 0: none
	Memory        int64         // bytes, soft limit of the Go heap; 0: none
}

// Rules is about where rules come from.
type Rules struct {
	Dirs     []string // absolute; empty: Paths.RulesDirs has the default one
	Builtin  bool
	Disabled []string      // ids
	Reload   time.Duration // between two looks for files that changed; 0: none

	TrustedKeys   []string // public keys whose packs are loaded
	AllowUnsigned bool     // packs that are signed by none of them are loaded, too

	Every      time.Duration // least time between two runs of one rule over history
	Timeout    time.Duration // of one run of a rule that is not over the stream
	MaxMatches int64         // of one such run
	Share      time.Duration // of a rule over the stream, for one batch
}

// SQL is about the statements of rules and queries.
type SQL struct {
	Limits SQLLimits
}

// SQLLimits are sql.Limits; 0 is no value of theirs.
type SQLLimits struct {
	Text, Depth, Expressions, List, Tables, CTEs, Operators int64
	Constants                                               time.Duration
}

// Store is about the history.
type Store struct {
	Retention Retention
}

// Retention is how much history is kept; whichever is reached first.
type Retention struct {
	Age   time.Duration // 0: no limit
	Bytes int64         // 0: no limit
}

// Alerts is about where alerts go.
type Alerts struct {
	JSONL JSONL
}

// JSONL is the JSON Lines file of alerts.
type JSONL struct {
	Path string // absolute; "": none
}

// Metrics is about the counts of health.
type Metrics struct {
	File MetricsFile
}

// MetricsFile is a file of metrics for node_exporter's textfile collector.
type MetricsFile struct {
	Interval time.Duration // between two writes; 0: none
	Path     string        // absolute; "": daemoneye.prom in the directory of the socket
}

// Ledger is about the log of what was decided.
type Ledger struct {
	Witnesses []string // public keys
}

// Security is about what confines the roles that the supervisor starts.
type Security struct {
	Seccomp  string // errno, kill or off
	Landlock bool
}

// Supervisor is about the role that starts the others.
type Supervisor struct {
	StopTimeout time.Duration // for a role to close before it is killed
}

// Paths is where one instance keeps its things.
type Paths struct {
	Config    string   // directory of the configuration file; "" when there is none (no HOME)
	State     string   // directory
	Store     string   // directory, in State
	Ledger    string   // directory, in State
	Run       string   // directory of Socket
	Socket    string   // of the agent
	System    string   // socket of root's instance, which serves its group's members; "" when it is not to be asked: for root, and when a data directory is named
	Token     string   // file
	Metrics   string   // file; "": none
	RulesDirs []string // Rules.Dirs, or the default one

	RulesDefault bool // RulesDirs is the default one, which need not exist
}

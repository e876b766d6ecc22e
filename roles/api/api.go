// Package api is what is said over the agent's socket: the names of its
// requests and topics and the messages that they carry, in msgpack. The agent
// serves it, the client and the collector use it.
package api

import "time"

// Requests of operators.
const (
	Health      = "health"       // nil → HealthReply
	Query       = "query"        // QueryRequest → QueryHeader, QueryRows…, QueryDone
	RulesReload = "rules.reload" // nil → ReloadReply
	RulesSwitch = "rules.switch" // RuleSwitch → RuleSwitched
)

// Requests of collectors.
const (
	// Register must come before the first batch. Registration → Registered,
	// then the present state as encoded batches of processes.
	Register = "collector.register"
)

// Topics. Batches are published on events.<table>, alerts on alerts.<severity>.
const (
	EventsTopic    = "events."
	AlertsTopic    = "alerts."
	HeartbeatTopic = "control.heartbeat"
)

// What a collector observes with.
const (
	SourceKernel  = "ebpf"    // events as they happen, and scans
	SourceNetlink = "netlink" // events as they happen, looked up in /proc, and scans of it
	SourceProc    = "procfs"  // scans of /proc
)

// Registration is what a collector says of itself.
type Registration struct {
	CollectorID string        `msgpack:"collector_id"` // unique for one start of one collector
	Version     string        `msgpack:"version"`
	Source      string        `msgpack:"source"` // SourceKernel, SourceNetlink or SourceProc
	Limits      []string      `msgpack:"limits"` // sentences for people: what it can not see, and how to change that
	Interval    time.Duration `msgpack:"interval"`
	Hasher      int           `msgpack:"hasher,omitempty"` // pid of the process that reads for it; 0: none
}

// Registered is the agent's first answer to a Registration.
type Registered struct {
	Sequence uint64 `msgpack:"sequence"` // of this collector's last stored batch; 0: none
	Rows     int64  `msgpack:"rows"`     // rows of processes that follow
}

// Heartbeat is a collector's sign of life.
type Heartbeat struct {
	CollectorID string        `msgpack:"collector_id"`
	Time        time.Time     `msgpack:"time"`
	Sequence    uint64        `msgpack:"sequence"` // last assigned
	Queued      int           `msgpack:"queued"`   // batches not yet acknowledged
	Dropped     uint64        `msgpack:"dropped"`  // rows that it could not keep
	Scans       uint64        `msgpack:"scans"`
	LastScan    time.Duration `msgpack:"last_scan"` // how long it took
	Processes   int           `msgpack:"processes"`
	HashQueue   int           `msgpack:"hash_queue"`
	Found       uint64        `msgpack:"found"` // processes that the kernel's events had not told of, found by scans after the first
	Told        []string      `msgpack:"told"`  // tables beside process_events, and which of their events the kernel tells now
	Roles       []RoleReport  `msgpack:"roles"` // of itself
	Late        uint64        `msgpack:"late"`  // events that could not be looked up any more; of SourceNetlink
	Unread      Unread        `msgpack:"unread"`
	Held        Held          `msgpack:"held"`
	Tampered    Tampered      `msgpack:"tampered"`
	Ledger      *LedgerStatus `msgpack:"ledger"`
}

// Held counts, since the collector's start, events that the programs in the
// kernel held back, because a process or a user made so many.
type Held struct {
	Rows  uint64    `msgpack:"rows" json:"rows"`
	First time.Time `msgpack:"first" json:"first"` // zero: none
	Last  time.Time `msgpack:"last" json:"last"`
	By    string    `msgpack:"by" json:"by"` // who was, last, and of which table and event
}

// Tampered counts, since the collector's start, what another process has changed
// of what the programs in the kernel and their reader use.
type Tampered struct {
	Count uint64    `msgpack:"count" json:"count"`
	First time.Time `msgpack:"first" json:"first"` // zero: none
	Last  time.Time `msgpack:"last" json:"last"`
	What  string    `msgpack:"what" json:"what"` // the last one, a sentence for people
}

// Unread counts, since the collector's start, what it wanted to read of
// processes, or have hashed, and could not in time. It is tried again.
type Unread struct {
	Late    uint64    `msgpack:"late" json:"late"`       // requests that the hasher did not answer in time
	Refused uint64    `msgpack:"refused" json:"refused"` // requests that were not made, since the hasher was late or busy
	Dropped uint64    `msgpack:"dropped" json:"dropped"` // executables for which the queue of those to hash had no room
	Stalled uint64    `msgpack:"stalled" json:"stalled"` // executables of which a read did not come back
	Large   uint64    `msgpack:"large" json:"large"`     // executables above collector.hash.max_file, which are not tried again
	First   time.Time `msgpack:"first" json:"first"`     // zero: none
	Last    time.Time `msgpack:"last" json:"last"`
}

// Total is how many there were.
func (u Unread) Total() uint64 { return u.Late + u.Refused + u.Dropped + u.Stalled + u.Large }

// RoleReport is what one of our processes says of itself and the kernel tells
// nobody else.
type RoleReport struct {
	Role        string      `msgpack:"role"`
	PID         int         `msgpack:"pid"`
	Confinement Confinement `msgpack:"confinement"`
}

// Confinement is a role's own word about its cage, platform.Walls, and about
// its descriptors.
type Confinement struct {
	Seccomp     string         `msgpack:"seccomp" json:"seccomp"`   // what becomes of other system calls: errno, kill; off: they are made
	Calls       int            `msgpack:"calls" json:"calls"`       // system calls that are allowed
	Landlock    int            `msgpack:"landlock" json:"landlock"` // version in force, 0: none
	Missing     []string       `msgpack:"missing" json:"missing"`   // sentences for people: a wall that was asked for and is not there
	Limits      []string       `msgpack:"limits" json:"limits"`     // sentences for people: what the kernel's Landlock leaves open
	Descriptors map[string]int `msgpack:"descriptors" json:"descriptors"`
}

// RoleStatus is one of our processes as the kernel reports it.
type RoleStatus struct {
	Role         string    `msgpack:"role" json:"role"` // supervisor, procmond, hasher or daemoneye-agent
	PID          int       `msgpack:"pid" json:"pid"`
	UID          int       `msgpack:"uid" json:"uid"`
	GID          int       `msgpack:"gid" json:"gid"`
	User         string    `msgpack:"user" json:"user"`
	Capabilities []string  `msgpack:"capabilities" json:"capabilities"` // permitted
	Effective    []string  `msgpack:"effective" json:"effective"`
	Bounding     []string  `msgpack:"bounding" json:"bounding"`
	NoNewPrivs   bool      `msgpack:"no_new_privs" json:"no_new_privs"`
	Seccomp      int       `msgpack:"seccomp" json:"seccomp"` // mode: 0 off, 1 strict, 2 filter
	Memory       int64     `msgpack:"memory" json:"memory"`   // resident set size, bytes
	Started      time.Time `msgpack:"started" json:"started"`
	Error        string    `msgpack:"error,omitempty" json:"error,omitempty"` // why the rest is not known

	Confinement *Confinement `msgpack:"confinement,omitempty" json:"confinement,omitempty"` // nil: it has not said
}

// CollectorStatus is what the agent knows of the collector.
type CollectorStatus struct {
	CollectorID string        `msgpack:"collector_id" json:"collector_id"`
	Connected   bool          `msgpack:"connected" json:"connected"`
	Source      string        `msgpack:"source" json:"source"`
	Limits      []string      `msgpack:"limits" json:"limits"`
	Interval    time.Duration `msgpack:"interval" json:"interval_ns"`
	Registered  time.Time     `msgpack:"registered" json:"registered"`
	LastSeen    time.Time     `msgpack:"last_seen" json:"last_seen"`
	LastScan    time.Duration `msgpack:"last_scan" json:"last_scan_ns"`
	LastScanAt  time.Time     `msgpack:"last_scan_at" json:"last_scan_at"` // when the agent heard of it; zero: none yet
	Scans       uint64        `msgpack:"scans" json:"scans"`
	Processes   int           `msgpack:"processes" json:"processes"`
	Sequence    uint64        `msgpack:"sequence" json:"sequence"`
	Queued      int           `msgpack:"queued" json:"queued"`
	Dropped     uint64        `msgpack:"dropped" json:"dropped"`
	Told        []string      `msgpack:"told" json:"told"`     // tables beside process_events, and which of their events the kernel tells now
	Hasher      int           `msgpack:"hasher" json:"hasher"` // pid; 0: none
	Found       uint64        `msgpack:"found" json:"found"`   // by scans after the first, which no event had told of; not of SourceProc
	Late        uint64        `msgpack:"late" json:"late"`     // events that could not be looked up any more; of SourceNetlink
	HashQueue   int           `msgpack:"hash_queue" json:"hash_queue"`
	Unread      Unread        `msgpack:"unread" json:"unread"`
	Held        Held          `msgpack:"held" json:"held"`
	Tampered    Tampered      `msgpack:"tampered" json:"tampered"`
}

// StoreStatus is the state of the store.
type StoreStatus struct {
	Dir       string    `msgpack:"dir" json:"dir"`
	Bytes     int64     `msgpack:"bytes" json:"bytes"`
	Batches   int64     `msgpack:"batches" json:"batches"`
	Rows      int64     `msgpack:"rows" json:"rows"`
	Oldest    time.Time `msgpack:"oldest" json:"oldest"`
	Newest    time.Time `msgpack:"newest" json:"newest"`
	Processes int       `msgpack:"processes" json:"processes"`
	Deleted   int64     `msgpack:"deleted" json:"deleted_batches"`
	// Of the rows, those in segment files.
	Segments     int64  `msgpack:"segments" json:"segments"`
	SegmentRows  int64  `msgpack:"segment_rows" json:"segment_rows"`
	SegmentBytes int64  `msgpack:"segment_bytes" json:"segment_bytes"`
	Sealed       int64  `msgpack:"sealed" json:"sealed_rows"`              // since the agent started
	Quarantined  int64  `msgpack:"quarantined" json:"quarantined"`         // segment files that could not be read
	Error        string `msgpack:"error,omitempty" json:"error,omitempty"` // the last failed write, "" after a good one
}

// RulesStatus is the state of the rules.
type RulesStatus struct {
	Loaded     int         `msgpack:"loaded" json:"loaded"`
	Disabled   int         `msgpack:"disabled" json:"disabled"`
	Refused    int         `msgpack:"refused" json:"refused"`
	Failing    []string    `msgpack:"failing" json:"failing"` // rule id: error
	LoadedAt   time.Time   `msgpack:"loaded_at" json:"loaded_at"`
	RolledBack *RolledBack `msgpack:"rolled_back" json:"rolled_back"` // nil: what the files held at LoadedAt is in force
	Kept       bool        `msgpack:"kept" json:"kept"`               // what the files hold now is not in force: one is refused that was not
	From       []string    `msgpack:"from" json:"from"`               // what was read: "builtin", directories; sentences for people
	Evaluated  int64       `msgpack:"evaluated" json:"evaluated"`     // rows × rules
	Matched    int64       `msgpack:"matched" json:"matched"`
	Expired    []string    `msgpack:"expired" json:"expired"` // values of lists and exceptions that do not count any more, the latest; sentences for people
}

// BusStatus counts what went over the socket.
type BusStatus struct {
	Connections int   `msgpack:"connections" json:"connections"`
	Refused     int64 `msgpack:"refused" json:"refused"`
	Malformed   int64 `msgpack:"malformed" json:"malformed"`
	In          int64 `msgpack:"in" json:"messages_in"`
	Out         int64 `msgpack:"out" json:"messages_out"`
	Dropped     int64 `msgpack:"dropped" json:"messages_dropped"` // shed by slow watchers
}

// HealthReply answers Health.
type HealthReply struct {
	Version   string           `msgpack:"version" json:"version"`
	Time      time.Time        `msgpack:"time" json:"time"`
	Started   time.Time        `msgpack:"started" json:"started"`
	Healthy   bool             `msgpack:"healthy" json:"healthy"`
	Problems  []string         `msgpack:"problems" json:"problems"` // sentences for people; empty when healthy
	Roles     []RoleStatus     `msgpack:"roles" json:"roles"`
	Collector *CollectorStatus `msgpack:"collector" json:"collector"` // nil: none has registered
	Store     StoreStatus      `msgpack:"store" json:"store"`
	Rules     RulesStatus      `msgpack:"rules" json:"rules"`
	Bus       BusStatus        `msgpack:"bus" json:"bus"`
	Ledger    LedgerStatus     `msgpack:"ledger" json:"ledger"`
	Alerts    map[string]int64 `msgpack:"alerts" json:"alerts"` // by severity, of the last 24 hours
	Gaps      int64            `msgpack:"gaps" json:"gaps"`     // event gaps that end or became known in the last 24 hours
}

// QueryRequest asks for the result of one SELECT.
type QueryRequest struct {
	SQL     string            `msgpack:"sql"`
	Params  map[string]string `msgpack:"params"`
	Timeout time.Duration     `msgpack:"timeout"`  // 0: the agent's
	MaxRows int64             `msgpack:"max_rows"` // 0: the agent's limit; beyond it the query fails
	JSON    bool              `msgpack:"json"`     // cells as JSON instead of psql's text

	// Explain asks for the plan instead: one column PlanColumn, a row a line.
	Explain string `msgpack:"explain,omitempty"` // "", ExplainPlan or ExplainAnalyze
	Tree    bool   `msgpack:"tree,omitempty"`    // the plan as one row of JSON
	Rule    bool   `msgpack:"rule,omitempty"`    // SQL is the text of a rule file, to be explained

	// Backtest runs the rule whose text SQL is over the history instead: one
	// column BacktestColumn, one row of JSON.
	Backtest *Backtest `msgpack:"backtest,omitempty"`
}

// Backtest says over which part of the history a rule is run.
type Backtest struct {
	From    time.Time     `msgpack:"from"`    // From ≤ time < To; zero: no bound
	To      time.Time     `msgpack:"to"`      //
	Step    time.Duration `msgpack:"step"`    // between two runs of a rule over history; 0: half of its window
	Against string        `msgpack:"against"` // text of the rule with which it is compared; "": none

	NoExceptions bool `msgpack:"no_exceptions,omitempty"` // as if the rules in force had none
}

// BacktestColumn is the name of the column of a backtest.
const BacktestColumn = "BACKTEST"

// Values of QueryRequest.Explain.
const (
	ExplainPlan    = "plan"
	ExplainAnalyze = "analyze" // the query is run, and the plan says what each step gave
)

// PlanColumn is the name of the column of an explanation.
const PlanColumn = "QUERY PLAN"

// QueryHeader comes first.
type QueryHeader struct {
	Columns []QueryColumn `msgpack:"columns"`
}

// QueryColumn is one column of the result.
type QueryColumn struct {
	Name string `msgpack:"name"`
	Type string `msgpack:"type"` // PostgreSQL's name
}

// QueryRows is a part of the result, row by row: row r, column c is
// Cells[r*columns+c]. A NULL is a nil cell, also in JSON.
type QueryRows struct {
	Cells [][]byte `msgpack:"cells"`
}

// QueryDone comes last.
type QueryDone struct {
	Rows       int64    `msgpack:"rows"`
	Incomplete []string `msgpack:"incomplete"` // losses that touch what was read; empty: complete
}

// QueryError is the message of a refused query: the request fails with it as
// its error text, encoded, so that the client can show the place.
type QueryError struct {
	Message string `msgpack:"message"` // one line
	Caret   string `msgpack:"caret"`   // source line and caret, "" when there is no place
}

// Refusal is a rule file that was not loaded.
type Refusal struct {
	File    string `msgpack:"file" json:"file"`
	Message string `msgpack:"message" json:"message"` // one line, with line and column
	Caret   string `msgpack:"caret" json:"caret"`
}

// RuleSwitch switches a rule on or off, until it is switched again.
type RuleSwitch struct {
	ID      string `msgpack:"id"`
	Enabled bool   `msgpack:"enabled"`
}

// RuleSwitched answers RulesSwitch.
type RuleSwitched struct {
	Changed bool `msgpack:"changed" json:"changed"` // else it was so already
}

// ReloadReply answers RulesReload.
type ReloadReply struct {
	Kept     bool      `msgpack:"kept" json:"kept"`     // the rules from before stay in force, since a file is refused that was not
	Loaded   int       `msgpack:"loaded" json:"loaded"` // in force
	Disabled int       `msgpack:"disabled" json:"disabled"`
	Failed   int       `msgpack:"refused_rules" json:"refused_rules"` // files; one may have several problems
	Refused  []Refusal `msgpack:"refused" json:"refused"`             // problems
	From     []string  `msgpack:"from" json:"from"`                   // as in RulesStatus
}

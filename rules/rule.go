// Package rules reads detection rules and evaluates them.
//
// A rule is one .sql file: a header of comment lines and one SELECT, which
// package rules/sql checks and runs.
//
//	-- id: shell-from-web-server
//	-- title: Web server started a shell
//	-- description: A shell whose parent is a web server is how a web shell
//	--   usually shows itself.
//	-- severity: high
//	-- tags: attack.persistence, attack.t1505.003
//	-- dedup: parent_executable_path, user_id
//	-- window: 1h
//	SELECT time, pid, command_line FROM process_events WHERE …
//
// The header is the unbroken run of lines that begin with "--" at the top of
// the file; comments after it are the author's own. A header line with two or
// more blanks after "--" continues the value above. Lists are separated by
// commas. A rule is never changed once loaded: Load makes a Set, a Matcher
// evaluates it, and a Grouper turns its matches into alerts.
package rules

import (
	"io/fs"
	"math"
	"strings"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// Limits of a rule file.
const (
	// MaxRuleBytes bounds a rule file; a longer one is refused unparsed. A
	// higher limit of sql.Limits.Text raises it as much.
	MaxRuleBytes = 64 << 10

	maxTitle     = 200  // characters
	maxText      = 4096 // characters of any other header value
	maxItems     = 64   // items of a list in the header
	minWindow    = time.Second
	maxWindow    = 90 * 24 * time.Hour
	maxEvery     = 24 * time.Hour
	defaultRange = time.Hour // a rule's window when its header names none
)

// Mode says when a rule is evaluated.
type Mode uint8

const (
	// Stream: on each batch as it arrives. The rule filters and projects one
	// table whose rows are only ever appended.
	Stream Mode = iota + 1
	// History: over the stored rows that Rule.Lookback leaves, after new rows
	// came. The rule groups, sorts, joins or limits tables whose rows are
	// appended.
	History
	// Scan: over the present state, after each scan. The rule reads a table
	// whose rows are replaced, such as processes; of others it sees what
	// Rule.Lookback leaves.
	Scan
)

func (m Mode) String() string {
	switch m {
	case Stream:
		return "stream"
	case History:
		return "history"
	default:
		return "scan"
	}
}

// Header is what the comment lines at the top of a rule file say.
type Header struct {
	ID             string
	Title          string
	Description    string
	Author         string
	Date           string // YYYY-MM-DD, "" when not given
	Version        string
	Status         string // experimental, test, stable or deprecated
	Severity       string // low, medium, high or critical
	Tags           []string
	References     []string
	FalsePositives []string
	Dedup          []string      // columns; empty: see Grouper
	Window         time.Duration // how long one alert counts matches of the same key; see also Rule.Lookback
	WindowSet      bool          // the header names it; else it is the default
	Every          time.Duration // least time between two runs; 0: the Matcher's
	Enabled        bool
}

// Rule is one loaded rule. It is shared and must not be changed.
type Rule struct {
	Header
	File   string // as shown to people, "builtin:" before a file of the shipped pack
	SQL    string // the SELECT, without the header
	Hash   string // SHA-256 of the file, in hex
	Mode   Mode
	Tables []string // event tables read; the first one is the alert's table_name

	exceptions []*Exception
	active     []exception // those in force
	marked     *sql.Query  // of a rule that does not stream and has exceptions in force: with a column for each

	query   *sql.Query
	output  []string // names of the result's columns, made unique
	keys    []keyPart
	source  Source
	path    string // within source.FS
	fixture string // NAME.test.yaml within source.FS, whether it exists or not
	made    string // the text that was made of a Sigma rule
}

// Query returns the compiled SELECT.
func (r *Rule) Query() *sql.Query { return r.query }

// Text reads the rule's file again: header and SELECT. Of a Sigma rule it is
// what was made of it.
func (r *Rule) Text() (string, error) {
	if r.made != "" {
		return r.made, nil
	}
	text, err := fs.ReadFile(r.source.FS, r.path)
	return string(text), err
}

// Lookback returns the time (µs since the Unix epoch) from which on the rule
// sees rows of a stream table: the begin of the window that its header names.
// Without one it is what the SELECT bounds itself, math.MinInt64, or, for a
// table that the SELECT does not bound, the begin of the default window.
func (r *Rule) Lookback(table string, now time.Time) int64 {
	if t := event.Lookup(table); t == nil || t.Kind != event.Stream || r.Mode == Stream {
		return math.MinInt64
	}
	if from, _ := r.query.TimeRange(table, now); !r.WindowSet && from != math.MinInt64 {
		return math.MinInt64
	}
	return now.Add(-r.Window).UnixMicro()
}

// Table returns the name of the table whose rows the rule judges.
func (r *Rule) Table() string { return r.Tables[0] }

// Source is a tree of rule files.
type Source struct {
	Name string // stands before each path where a file is shown: "builtin:", "/etc/daemoneye/rules/"
	FS   fs.FS
	Root string // directory or file within FS; "" is "."

	Optional  bool // that it is not there is no refusal; Set.Absent names it
	SigmaOnly bool // other rule files of it are passed over
}

func (s Source) root() string {
	if s.Root == "" {
		return "."
	}
	return s.Root
}

func (s Source) display(path string) string {
	if path == "." {
		return strings.TrimRight(s.Name, "/:")
	}
	return s.Name + path
}

package api

import "time"

// Requests of operators about sets of rules that were in force.
const (
	RulesHistory  = "rules.history"  // nil → RuleHistory
	RulesRollback = "rules.rollback" // Rollback → RollbackReply
)

// RuleHistory answers RulesHistory.
type RuleHistory struct {
	Sets       []RuleSet   `msgpack:"sets" json:"sets"`               // oldest first
	InForce    uint64      `msgpack:"in_force" json:"in_force"`       // number of a set; 0: it is not kept
	RolledBack *RolledBack `msgpack:"rolled_back" json:"rolled_back"` // nil: the rules of the directories are in force
}

// RuleSet is a set of rules that was put in force, without those that come with
// the program.
type RuleSet struct {
	Number  uint64      `msgpack:"number" json:"number"`
	Time    time.Time   `msgpack:"time" json:"time"` // when it was put in force
	By      string      `msgpack:"by" json:"by"`     // what did that, for people
	Rules   int         `msgpack:"rules" json:"rules"`
	Changes RuleChanges `msgpack:"changes" json:"changes"`                 // against the set before it
	Error   string      `msgpack:"error,omitempty" json:"error,omitempty"` // why nothing but the number is known
}

// RuleChanges are what distinguishes a set from another.
type RuleChanges struct {
	Added   RuleChange `msgpack:"added" json:"added"`
	Removed RuleChange `msgpack:"removed" json:"removed"`
	Changed RuleChange `msgpack:"changed" json:"changed"`
	Files   RuleChange `msgpack:"files" json:"files"` // of lists and exceptions
}

// RuleChange is one kind of changes: how many there are, and the first of them.
type RuleChange struct {
	Count int          `msgpack:"count" json:"count"`
	First []EditedRule `msgpack:"first" json:"first"`
}

// EditedRule is a rule, or a file, of which two sets have different texts. A
// hash, SHA-256 in hex, is "" where there is none.
type EditedRule struct {
	ID   string `msgpack:"id" json:"id"`
	Was  string `msgpack:"was" json:"was"`
	Hash string `msgpack:"hash" json:"hash"`
}

// Rollback puts an earlier set in force, until RulesReload.
type Rollback struct {
	Set uint64 `msgpack:"set"` // its number; 0: the one before that in force
}

// RollbackReply answers RulesRollback.
type RollbackReply struct {
	Set     RuleSet      `msgpack:"set" json:"set"`
	Changed bool         `msgpack:"changed" json:"changed"` // else it was in force already
	Changes *RuleChanges `msgpack:"changes" json:"changes"` // against what was in force; nil: that was not kept
}

// RolledBack says that an earlier set is in force.
type RolledBack struct {
	Set    uint64    `msgpack:"set" json:"set"`
	Loaded time.Time `msgpack:"loaded" json:"loaded"` // when it was first put in force
	Since  time.Time `msgpack:"since" json:"since"`
	UID    int       `msgpack:"uid" json:"uid"` // of who did it
}

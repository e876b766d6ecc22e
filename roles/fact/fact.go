// Package fact is what our roles enter in the ledger: the names of actions,
// and payloads, which are msgpack maps with sorted keys.
package fact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/zeebo/blake3"

	"daemoneye/platform"
)

// The actions. Those that begin with "ledger.key." are the ledger's own.
const (
	RoleStart           = "role.start"           // subject: the role
	RoleStop            = "role.stop"            // likewise
	RulesLoaded         = "rules.loaded"         // subject: the hash of the whole set; as many entries as its list takes
	RulesChanged        = "rules.changed"        // subject: the hash of the new set
	RulesRefused        = "rules.refused"        // subject: the file
	RulesKept           = "rules.kept"           // subject: the hash of the set that stays in force
	RulesReload         = "rules.reload"         // an operator asked for it
	RuleEnabled         = "rule.enabled"         // subject: the rule
	RuleDisabled        = "rule.disabled"        // likewise
	RuleFailed          = "rule.failed"          // likewise; an error when it ran
	RulePaused          = "rule.paused"          // likewise; it took too long and passes over rows
	PackLoaded          = "pack.loaded"          // subject: the pack
	ExceptionLoaded     = "exception.loaded"     // subject: the rule of which matches are excluded
	ExceptionRemoved    = "exception.removed"    // likewise
	ListLoaded          = "list.loaded"          // subject: the name; its values are new or others than before
	ListRemoved         = "list.removed"         // likewise
	AlertRaised         = "alert.raised"         // subject: the rule; correlation: the alert
	EventGap            = "event.gap"            // subject: the table
	SegmentSealed       = "segment.sealed"       // subject: the file
	RetentionDeleted    = "retention.deleted"    //
	CollectorRegistered = "collector.registered" // subject: the collector's id
	PeerRefused         = "peer.refused"         // subject: the kind of refusal
	QueryRun            = "query.run"            // subject: the hash of the text
	LedgerMended        = "ledger.mended"        // after a crash
	LedgerGap           = "ledger.gap"           // facts that could not be entered
)

// Fields are the payload of an entry.
type Fields map[string]any

// Encode returns the payload, with the time at which it happened.
func (f Fields) Encode(at time.Time) ([]byte, error) {
	all := make(map[string]any, len(f)+1)
	for name, value := range f {
		all[name] = value
	}
	all["at"] = Time(at)
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(all); err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return b.Bytes(), nil
}

// Time is how payloads hold a time.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// Program is the executable that this process runs, held open for Hash.
type Program struct{ file *os.File }

// OpenProgram opens the executable, which a cage may prevent later.
func OpenProgram() *Program {
	name := "/proc/self/exe"
	if _, err := os.Stat(name); err != nil {
		name, _ = os.Executable()
	}
	f, err := os.Open(name)
	if err != nil {
		return &Program{}
	}
	return &Program{f}
}

// Hash returns the BLAKE3-256 of the executable in hex, "" when it can not be
// read, and closes it.
func (p *Program) Hash() string {
	if p.file == nil {
		return ""
	}
	defer func() { _ = p.file.Close() }()
	h := blake3.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{p.file}, make([]byte, 64<<10)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Hash is a BLAKE3-256 in hex, as payloads and subjects hold it.
func Hash(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// SHA256 is the hash of a rule's file in hex.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Hex is a hash of the ledger as payloads and subjects hold hashes.
func Hex(hash [32]byte) string { return hex.EncodeToString(hash[:]) }

// Process describes a process of ours for a RoleStart, as the kernel does.
func Process(pid int) Fields {
	s, err := platform.ReadStatus(pid)
	if err != nil {
		return Fields{"pid": pid, "error": err.Error()}
	}
	return Fields{
		"pid": pid, "uid": s.UID, "gid": s.GID, "kept": s.Permitted, "dropped": s.Dropped(), "bounding": s.Bounding,
		"no_new_privs": s.NoNewPrivs, "seccomp": s.Seccomp,
	}
}

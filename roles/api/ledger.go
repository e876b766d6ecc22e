package api

import "time"

// Requests of the collector, which alone writes the ledger, about what the
// agent wants done with it.
const (
	// LedgerAppend: nil → LedgerRequest…, until the connection ends. They come
	// one at a time.
	LedgerAppend = "ledger.append"
	// LedgerAppended: LedgerAnswer → nil.
	LedgerAppended = "ledger.appended"
)

// Requests of operators, which the agent passes on to the collector.
const (
	LedgerCheckpoint = "ledger.checkpoint" // nil → LedgerAnswer with a signed checkpoint of all entries
	LedgerCosign     = "ledger.cosign"     // a cosigned checkpoint, as it is → LedgerAnswer
	LedgerRotate     = "ledger.rotate"     // nil → LedgerAnswer with the new public key
)

// What one LedgerRequest holds at most.
const (
	MaxLedgerEntries = 256
	MaxLedgerBytes   = 512 << 10 // of payloads and subjects
)

// LedgerRequest asks the collector to append entries, or for what Do says.
type LedgerRequest struct {
	Run     string        `msgpack:"run"` // of the agent's start
	ID      uint64        `msgpack:"id"`  // rises within the run; the same again when no answer came
	Do      string        `msgpack:"do"`  // LedgerAppend, LedgerCheckpoint, LedgerCosign or LedgerRotate
	Entries []LedgerEntry `msgpack:"entries,omitempty"`
	Signed  []byte        `msgpack:"signed,omitempty"` // of LedgerCosign
}

// LedgerEntry is a fact for the ledger, which gives it its sequence and time.
type LedgerEntry struct {
	Role        string `msgpack:"role"` // who did it: daemoneye-agent, supervisor, operator
	PID         uint32 `msgpack:"pid"`  // of the agent the kernel says it
	UID         uint32 `msgpack:"uid"`
	Action      string `msgpack:"action"`
	Subject     string `msgpack:"subject"`
	Correlation string `msgpack:"correlation"`
	Payload     []byte `msgpack:"payload"` // msgpack
}

// LedgerAnswer answers a LedgerRequest.
type LedgerAnswer struct {
	ID        uint64 `msgpack:"id" json:"-"`
	First     uint64 `msgpack:"first" json:"-"`      // sequence of the first entry
	Refused   int    `msgpack:"refused" json:"-"`    // entries that the ledger can not hold and that are left out
	Signed    []byte `msgpack:"signed" json:"-"`     // checkpoint
	PublicKey string `msgpack:"public_key" json:"-"` //
	Error     string `msgpack:"error" json:"-"`      // why nothing was done; "": it was, and is on disk
}

// LedgerStatus is the state of the ledger.
type LedgerStatus struct {
	Dir        string    `msgpack:"dir" json:"dir"`
	Size       uint64    `msgpack:"size" json:"size"`             // entries on disk
	Checkpoint uint64    `msgpack:"checkpoint" json:"checkpoint"` // of them under the newest checkpoint
	SignedAt   time.Time `msgpack:"signed_at" json:"signed_at"`   // when that was signed; zero: not since the collector started
	PublicKey  string    `msgpack:"public_key" json:"public_key"`
	Error      string    `msgpack:"error" json:"error"` // why the collector can not write it, "" when it can

	// What the agent wants recorded.
	Recorded uint64 `msgpack:"recorded" json:"recorded"` // acknowledged since it started
	Waiting  int    `msgpack:"waiting" json:"waiting"`
	Lost     uint64 `msgpack:"lost" json:"lost"` // that found the queue full, or that the ledger can not hold
}

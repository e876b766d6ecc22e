package handoff

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// maxReason bounds what a role may say of its end.
const maxReason = 4096

// Reason is why a role ended, in words for the person who started the
// supervisor. The role writes it into a pipe of its own before it exits.
type Reason struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what can be done about it
}

func (r *Reason) Error() string { return r.Message }

// HintText says what can be done about it.
func (r *Reason) HintText() string { return r.Hint }

// Tell writes err as the Reason of this role's end to the descriptor that
// Start.Reason names; it reports whether the supervisor will know.
func Tell(descriptor int, err error) bool {
	if descriptor <= FD || err == nil {
		return false
	}
	f := os.NewFile(uintptr(descriptor), "reason")
	if f == nil {
		return false
	}
	r := Reason{Message: err.Error()}
	var hinted interface{ HintText() string }
	if errors.As(err, &hinted) {
		r.Hint = hinted.HintText()
	}
	line, encodeErr := json.Marshal(r)
	if encodeErr != nil || len(line) > maxReason {
		return false
	}
	_, writeErr := f.Write(line)
	return errors.Join(writeErr, f.Close()) == nil
}

// ReadReason reads what a role that has ended wrote; nil when it said nothing.
func ReadReason(f *os.File) *Reason {
	// Only the role had the other end, which is closed by its end.
	_ = f.SetReadDeadline(time.Now().Add(time.Second))
	text, err := io.ReadAll(io.LimitReader(f, maxReason))
	var r Reason
	if err != nil || json.Unmarshal(text, &r) != nil || r.Message == "" {
		return nil
	}
	return &r
}

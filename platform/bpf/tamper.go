package bpf

import (
	"errors"
	"slices"
	"time"
)

// ErrDetached is the error of Check when a program was taken out of the kernel.
var ErrDetached = errors.New("a program was taken out of the kernel")

// Tampering is a change that another process has made to what the programs and
// their reader use.
type Tampering struct {
	What  string // a sentence for people
	Kinds []Kind // of which not all may have been told since; nil: all
	Since time.Time
}

// Concerns reports whether events of a kind may be missing.
func (t *Tampering) Concerns(k Kind) bool { return t.Kinds == nil || slices.Contains(t.Kinds, k) }

//go:build !unix

package core

import (
	"os"
	"time"
)

// writable cannot be asked here: a write waits for its reader.
func writable(*os.File, time.Duration) bool { return true }

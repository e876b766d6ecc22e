//go:build unix

package agent

import (
	"os/signal"
	"syscall"
)

func ignoreBackgroundWrites() { signal.Ignore(syscall.SIGTTOU) }

//go:build !unix

package handoff

import (
	"errors"
	"os"
)

func inherit() (*os.File, error) {
	return nil, errors.New("starting roles by \"daemoneye run\" is not supported on this platform")
}

func closeOnExec(int) {}

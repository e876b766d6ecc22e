//go:build linux && (amd64 || arm64)

package bpf

import (
	"runtime"

	"github.com/cilium/ebpf"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types touched touched.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

// setTouched tells the programs which system calls have a path and leave no
// open file that is to be looked at.
func setTouched(spec *ebpf.CollectionSpec) error {
	var calls, compat [maxCalls]uint8
	for _, c := range fileCalls {
		if c.Path == 0 || c.Opens != 0 {
			continue
		}
		native, narrow := c.compatible(runtime.GOARCH)
		calls[native], compat[narrow] = 1, 1
	}
	calls[0], compat[0] = 0, 0 // stands for none
	return setVariables(spec, map[string]any{"calls": calls, "compat_calls": compat})
}

//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types system system.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

// setSystem says what each system call is to the programs of system.bpf.c.
func setSystem(spec *ebpf.CollectionSpec) error {
	var forms [maxForms]form
	calls := map[string]uint8{}
	for i, f := range callForms {
		forms[i+1], calls[f.call] = f.form, uint8(i+1)
	}
	if err := setVariables(spec, map[string]any{"forms": forms}); err != nil {
		return err
	}
	return setCalls(spec, calls)
}

// Protect says of which processes all signals are told: MaxProtected at most.
func (s *Source) Protect(pids []int32) error {
	if s.protected == nil {
		return nil // Limits says that no signals are told
	}
	if len(pids) > MaxProtected {
		return errors.New("eBPF: too many processes to protect")
	}
	var raw [4 * MaxProtected]byte
	for i, pid := range pids {
		binary.LittleEndian.PutUint32(raw[4*i:], uint32(pid))
	}
	if _, err := s.protected.WriteAt(raw[:], 0); err != nil {
		return fmt.Errorf("eBPF: write what is protected: %w", err)
	}
	s.control.protected = raw
	return nil
}

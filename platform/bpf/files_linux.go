//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -tags linux -no-global-types files files.bpf.c -- -O2 -mcpu=v3 -Wall -Werror

const maxFileCalls = 256 // MAX_CALLS of files.bpf.c

// setFileCalls tells the programs which system calls there are.
func setFileCalls(spec *ebpf.CollectionSpec) error {
	var shapes [maxFileCalls]shape
	var calls, compat [maxCalls]uint8
	for i, c := range fileCalls {
		shapes[i] = c.shape
		native, narrow := c.compatible(runtime.GOARCH)
		calls[native], compat[narrow] = uint8(i), uint8(i)
	}
	calls[0], compat[0] = 0, 0 // stands for none
	return setVariables(spec, map[string]any{"shapes": shapes, "calls": calls, "compat_calls": compat})
}

// Watch says of which paths Files are told from now on: changes of paths and of
// all below, and reads of files that are named in reads, or stand directly in
// directories that are. A name * in a path stands for any one. It takes no
// capability, is for one goroutine, and changes nothing when it returns an error.
func (s *Source) Watch(paths, reads []string) error {
	mounts, err := s.readMounts()
	if err != nil {
		return err
	}
	return s.watch(paths, reads, mounts)
}

// Remount takes up which file systems have been mounted where since Watch. It
// is for the goroutine that calls that.
func (s *Source) Remount() error {
	mounts, err := s.readMounts()
	if err != nil || slices.Equal(mounts, s.mounts) {
		return err
	}
	return s.watch(s.paths, s.reads, mounts)
}

// maxMountBytes bounds what is read of mountinfo: more than ten thousand mounts.
const maxMountBytes = 4 << 20

func (s *Source) readMounts() ([]mount, error) {
	raw, err := io.ReadAll(io.NewSectionReader(s.mountinfo, 0, maxMountBytes))
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return parseMounts(raw), nil
}

func (s *Source) watch(paths, reads []string, mounts []mount) error {
	s.mounts = mounts
	w, err := watchTables(paths, reads, mounts)
	if err != nil {
		return err
	}
	s.paths, s.reads = paths, reads
	for _, c := range s.parts {
		if c.Maps["watched"] == nil {
			continue
		}
		watched, err := c.Maps["watched"].Memory()
		if err != nil {
			return fmt.Errorf("eBPF: map the watched paths: %w", err)
		}
		watching, err := c.Maps["watching"].Memory()
		if err != nil {
			return fmt.Errorf("eBPF: map which paths are watched: %w", err)
		}
		next := make([]byte, 8)
		if _, err := watching.ReadAt(next, 0); err != nil {
			return fmt.Errorf("eBPF: read which paths are watched: %w", err)
		}
		// The programs use the other tables until these are whole.
		next[0] ^= 1
		if _, err := watched.WriteAt(w.raw, int64(next[0])*watchedSize); err != nil {
			return fmt.Errorf("eBPF: write the watched paths: %w", err)
		}
		s.fence.Add(1) // a full memory barrier
		if _, err := watching.WriteAt(next, 0); err != nil {
			return fmt.Errorf("eBPF: write which paths are watched: %w", err)
		}
		w.raw = nil
		s.watcher.Store(w)
		return nil
	}
	return fmt.Errorf("eBPF: watch files: %w", errors.ErrUnsupported)
}

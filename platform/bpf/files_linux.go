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
	if err := s.writeTables(w.raw); err != nil {
		return err
	}
	s.control.tables, w.raw = w.raw, nil
	s.watcher.Store(w)
	return nil
}

// watchMaps returns the two tables, and which of them counts.
func (s *Source) watchMaps() (watched, watching *ebpf.Memory, err error) {
	for _, c := range s.parts {
		if c.Maps["watched"] == nil {
			continue
		}
		if watched, err = c.Maps["watched"].Memory(); err != nil {
			return nil, nil, fmt.Errorf("eBPF: map the watched paths: %w", err)
		}
		if watching, err = c.Maps["watching"].Memory(); err != nil {
			return nil, nil, fmt.Errorf("eBPF: map which paths are watched: %w", err)
		}
		return watched, watching, nil
	}
	return nil, nil, fmt.Errorf("eBPF: watch files: %w", errors.ErrUnsupported)
}

// writeTables lets the programs use other tables.
func (s *Source) writeTables(tables []byte) error {
	watched, watching, err := s.watchMaps()
	if err != nil {
		return err
	}
	// The programs use those before until these are whole.
	next := s.control.watching ^ 1
	if _, err := watched.WriteAt(tables, int64(next)*watchedSize); err != nil {
		return fmt.Errorf("eBPF: write the watched paths: %w", err)
	}
	s.fence.Add(1) // a full memory barrier
	if _, err := watching.WriteAt([]byte{next, 0, 0, 0, 0, 0, 0, 0}, 0); err != nil {
		return fmt.Errorf("eBPF: write which paths are watched: %w", err)
	}
	s.control.watching = next
	return nil
}

// sameTables reports whether the programs use what was written last.
func (s *Source) sameTables() (bool, error) {
	watched, watching, err := s.watchMaps()
	if err != nil {
		return false, err
	}
	at := s.control.watching
	same, err := equals(watching, 0, []byte{at, 0, 0, 0, 0, 0, 0, 0})
	if same && err == nil {
		same, err = equals(watched, int64(at)*watchedSize, s.control.tables)
	}
	if err != nil {
		return false, fmt.Errorf("eBPF: check the watched paths: %w", err)
	}
	return same, nil
}

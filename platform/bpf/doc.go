// Package bpf sees every fork, exec and exit of a process as it happens, and
// lists the processes, by programs that run in the kernel of Linux (eBPF).
//
// process.bpf.c is compiled once, for any kernel from 5.8 on that describes its
// types (BTF): the loader looks up where a field of a kernel's struct is. The
// programs hang on three raw tracepoints and write records into one ring
// buffer. A record that finds no room is counted, and each has a number, per
// CPU and without gaps, so that what was received and what was lost add up to
// what was sent.
//
// The reader is woken when it waits; while records keep coming it looks every
// millisecond, which costs the processes it watches nothing.
//
// Other objects, which a kernel may refuse, write into the same ring buffer.
// system.bpf.c looks at the end of system calls by which a process changes
// itself or the kernel, or reaches into another process. Texts that a call
// points to are read then: a process can have changed them since the kernel did.
package bpf

import "errors"

// ErrSynced says that a Source has told all that happened before its Sync.
var ErrSynced = errors.New("eBPF: synced")

// ErrNotSupported is returned where there are no programs for the system.
var ErrNotSupported = errors.New("eBPF: not supported on this system")

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"time"

	"daemoneye/platform/procfs"
)

// Kind says what a record tells.
type Kind uint8

const (
	Fork    Kind = 1 + iota // a process was made; it is its parent's copy
	Exec                    // a process runs a new image
	Exit                    // the last thread of a process ended
	Task                    // a process was listed
	Changed                 // a process has other credentials, another name, root or namespaces
	Network                 // a socket was used
	Files                   // a file was used
	System                  // the kernel, or another process, was
	kinds
)

func (k Kind) String() string {
	names := [kinds]string{Fork: "fork", Exec: "exec", Exit: "exit", Task: "task", Changed: "changed", Network: "network", Files: "files", System: "system"}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Flags say what a record lacks, enum flags of process.bpf.c.
type Flags uint8

const (
	ArgsCut Flags = 1 << iota
	ArgsUnread
	EnvironCut
	EnvironUnread
	ExecutableCut
	CWDCut
	unlinked
	NoPaths // neither paths nor environment: the kernel is older than 5.17
)

// Dead is What of a Task none of whose threads lives any more: its Exit was told.
const Dead = 1

// Event is one record. What is about the process stands in Process.
type Event struct {
	Kind     Kind
	Flags    Flags
	CPU      uint16
	Sequence uint64        // of its CPU, from 1; 0 in a list
	Time     time.Duration // since boot, sleep included

	PID, PPID          int32
	Start, ParentStart time.Duration // since boot; of the process and its parent
	Name               string        // comm
	What               uint32        // has happened, by Kind

	Process *procfs.Process // of Fork, Exec, Task and Changed; of Fork and Changed without any text
	System  *Call           // of System
	File    *File           // of Files

	Filename string // of Exec: the path that was asked for; of a script, its own
	Interp   string // of Exec of a script: its interpreter

	Network *Connection // of Network

	Status  uint32        // of Exit, as wait(2) gives it
	CPUTime time.Duration // of Exit: all threads'
	PeakRSS int64         // of Exit: bytes
}

// Sizes of struct record of record.h, and of process and ended of process.bpf.c.
const (
	recordSize  = 64
	processSize = 320
	endedSize   = 96
)

// reader walks over the fields of a record, whose size was checked before.
type reader struct{ rest []byte }

func (r *reader) bytes(n int) []byte {
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.bytes(2)) }
func (r *reader) u8() uint8   { return r.bytes(1)[0] }

func (r *reader) u32s(to *[4]uint32) {
	for i := range to {
		to[i] = r.u32()
	}
}

// Decode reads one record. Nothing of the event aliases b.
func Decode(b []byte) (Event, error) {
	var e Event
	if len(b) < recordSize {
		return e, fmt.Errorf("record of %d bytes, want %d at least", len(b), recordSize)
	}
	r := reader{b}
	e.Sequence, e.Time, e.Start = r.u64(), time.Duration(r.u64()), time.Duration(r.u64())
	e.PID, e.CPU, e.Kind, e.Flags = int32(r.u32()), r.u16(), Kind(r.u8()), Flags(r.u8())
	e.ParentStart, e.PPID = time.Duration(r.u64()), int32(r.u32())
	e.What = r.u32()
	e.Name = text(r.bytes(16))
	if e.PID < 0 || e.PPID < 0 || e.Time < 0 || e.Start < 0 || e.ParentStart < 0 {
		return e, fmt.Errorf("record of pid %d at %d: a negative number", e.PID, e.Time)
	}
	switch e.Kind {
	case Fork, Exec, Task, Changed:
		return e, e.process(r, len(b))
	case System:
		return e, e.call(r, len(b))
	case Files:
		return e, e.file(r, len(b))
	case Exit:
		if len(b) < endedSize {
			return e, fmt.Errorf("exit record of %d bytes, want %d", len(b), endedSize)
		}
		e.CPUTime, e.PeakRSS, e.Status = time.Duration(r.u64()), int64(r.u64())*int64(os.Getpagesize()), r.u32()
		return e, nil
	case Network:
		return e, e.network(r, len(b))
	}
	return e, fmt.Errorf("record of kind %d", e.Kind)
}

// process reads struct process and the texts behind it.
func (e *Event) process(r reader, size int) error {
	if size < processSize {
		return fmt.Errorf("%v record of %d bytes, want %d at least", e.Kind, size, processSize)
	}
	p := &procfs.Process{
		PID: e.PID, PPID: e.PPID, Name: e.Name, HasStat: true, HasStatus: true, Accessible: true,
		StartTime: e.Start, StartTicks: procfs.Ticks(e.Start),
	}
	e.Process = p
	p.CapInheritable, p.CapPermitted, p.CapEffective, p.CapBounding, p.CapAmbient = r.u64(), r.u64(), r.u64(), r.u64(), r.u64()
	p.CgroupID = r.u64()
	p.ExecutableID.Inode, p.ExecutableID.Size = r.u64(), int64(r.u64())
	p.ExecutableID.Mtime, p.ExecutableID.Ctime = int64(r.u64()), int64(r.u64())
	p.StartStack = r.u64()
	p.CPUTicks = procfs.Ticks(time.Duration(r.u64()))
	r.u64() // switches
	page := int64(os.Getpagesize())
	p.RSS, p.VirtualSize = int64(r.u64())*page, int64(r.u64())*page
	r.u32s(&p.UID)
	r.u32s(&p.GID)
	ns := &p.Namespaces
	for _, n := range []*uint64{&ns.Cgroup, &ns.IPC, &ns.Mnt, &ns.Net, &ns.PID, &ns.Time, &ns.User, &ns.UTS} {
		*n = uint64(r.u32())
	}
	p.ExecutableID.Device = device(r.u32())
	p.ExecutableMode, p.ExecutableOwner, p.ExecutableGroup = r.u32(), r.u32(), r.u32()
	links := r.u32()
	p.PGID, p.SID, p.InnerPID = int32(r.u32()), int32(r.u32()), int32(r.u32())
	p.TTY = procfs.TTYName(int32(r.u32()))
	p.LoginUID = r.u32()
	p.KernelThread = procfs.KernelThread(r.u32())
	p.Threads, p.State = int32(r.u32()), state(r.u32())
	argsSize, environSize := int(r.u32()), int(r.u32())
	exe, cwd, cgroup, filename, interp := int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16())
	p.Seccomp, p.NoNewPrivs = r.u8(), r.u8() != 0
	if have := len(r.rest); argsSize < 0 || argsSize > have || environSize < 0 || environSize > have ||
		exe+cwd+cgroup+filename+interp+argsSize+environSize > have {
		return fmt.Errorf("%v record: texts of more than %d bytes", e.Kind, have)
	}
	p.Executable = path(r.bytes(exe), e.Flags&ExecutableCut != 0)
	p.CWD = path(r.bytes(cwd), e.Flags&CWDCut != 0)
	p.Cgroup = path(r.bytes(cgroup), false)
	p.ContainerID = procfs.ContainerID(p.Cgroup)
	e.Filename, e.Interp = text(r.bytes(filename)), text(r.bytes(interp))
	args := r.bytes(argsSize)
	p.CmdlineTruncated = e.Flags&ArgsCut != 0
	if !p.CmdlineTruncated {
		// What does not end with NUL is a title, which may go on after the arguments.
		if e.Kind == Task && len(args) > 0 && args[len(args)-1] != 0 {
			e.Flags |= ArgsUnread
		}
		args = bytes.TrimRight(args, "\x00")
	}
	p.Cmdline = string(args)
	if e.Kind == Exec && e.Flags&NoPaths == 0 {
		p.Environ, p.EnvironKnown = string(bytes.TrimRight(r.bytes(environSize), "\x00")), true
		p.EnvironTruncated = e.Flags&(EnvironCut|EnvironUnread) != 0
	}
	if p.KernelThread { // what a scan of /proc does not tell of one either
		p.CWD, p.Namespaces = "", procfs.Namespaces{}
	}
	if p.ExecutableID.Inode != 0 {
		p.FileExists = procfs.Exists
		if e.Flags&unlinked != 0 || links == 0 {
			p.FileExists = procfs.Gone
		}
	}
	return nil
}

// text returns what stands before the first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// path joins the names of a path, each of which ends with NUL, the last one
// first. The root has an empty name. A mark stands in the place of the first
// names when these are missing.
func path(b []byte, cut bool) string {
	if len(b) == 0 {
		return ""
	}
	const mark = "…"
	to := make([]byte, 0, len(mark)+len(b))
	if cut {
		to = append(to, mark...)
	}
	b = bytes.TrimSuffix(b, []byte{0})
	for len(b) > 0 {
		i := bytes.LastIndexByte(b, 0)
		if name := b[i+1:]; len(name) > 0 {
			to = append(append(to, '/'), name...)
		}
		b = b[:max(i, 0)]
	}
	if len(to) == 0 {
		return "/"
	}
	return string(to)
}

// device returns a device number of the kernel as stat(2) gives it; on file
// systems that have several devices, 0.
func device(kernel uint32) uint64 {
	major, minor := uint64(kernel>>20), uint64(kernel&(1<<20-1))
	return major<<8 | minor&0xff | (minor&^0xff)<<12
}

// state returns the letter of a task's state, get_task_state of fs/proc/array.c.
func state(s uint32) byte {
	const uninterruptible, noLoad, reported = 2, 0x400, 0x7f
	if s&(uninterruptible|noLoad) == uninterruptible|noLoad {
		return 'I'
	}
	return "RSDTtXZP"[bits.Len32(s&reported)]
}

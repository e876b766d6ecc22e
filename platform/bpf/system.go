package bpf

import (
	"fmt"
	"time"
)

// What of Changed, enum change of system.bpf.c.
const (
	ChangedCredentials = 1 + iota // user, group, capabilities
	ChangedNamespaces             // setns(2), unshare(2)
	ChangedSession                // setsid(2), setpgid(2)
	ChangedConfinement            // no_new_privs, seccomp
	ChangedName                   // comm
)

// What of System, enum action of system.bpf.c.
const (
	ModuleLoad = 1 + iota
	ModuleUnload
	BPF
	Ptrace
	ProcessVMRead
	ProcessVMWrite
	MemoryOpen // /proc/PID/mem for writing
	MemfdCreate
	MemoryExecutable
	Mount
	Unmount
	Kexec
	IOPorts
	Key
	Prctl
	IOURing
	Userfaultfd
	PerfEvent
	OpenByHandle
	Swap
	Reboot
	HostName
	SetTime
	Signal      // of another user's process, or a protected one
	SignalOther // of another process of the same user
	Chroot
	Namespace
	Flood // a process, or its user, sends so much that it is held back
	PidfdGetfd
	MemoryRead   // /proc/PID/mem of a protected process for reading
	SetLimits    // of a protected process: of resources, or how it is scheduled
	CgroupMove   // of a protected process
	CgroupFreeze // of that of a protected process
	actionsEnd
)

// Call is what Event.System tells: a system call at its end, or a signal.
type Call struct {
	Name   string // of the system call; "": a signal was sent, or a control group changed
	Compat bool   // by its number for 32 bits
	Args   [6]uint64
	Result int64 // below 0: minus the error's number
	Target Target
	Texts  [6]string // that Args point to; "": not one, or not read
	Bytes  []byte    // that one of Args points to
	Path   string    // of the file that the call is about, where it is known
}

// Target is the process that a call is about.
type Target struct {
	PID   int32 // 0: it is not known
	Start time.Duration
	UID   uint32
	Name  string // comm
}

// Flags of a Call, enum call_flags of system.bpf.c.
const (
	CallTextCut    Flags = 1 << iota // one of Texts goes on
	CallTextUnread                   // a page was not there
	CallPathCut
)

// form says what of a system call is told, struct form of system.bpf.c.
// Arguments are numbered from 1; 0: none.
type form struct {
	What, Changed uint8
	Texts         uint8 // a bit for each argument that is a path or another text, from 1<<0 on
	Bytes, Size   uint8 // an argument that points to memory, and how much of it is told
	Target        uint8 // a pid
	File          uint8 // a descriptor
	Number        uint8 // what decides whether the call is told
	Bit           uint8 // of Number, without which it is not: of MemoryExecutable
	Flags         uint8
}

// Flags of a form, enum form_flags.
const (
	formAlways = 1 << iota
	formSized
	formBlock
	formWrites
	formPeek
	formIPC
)

// Bits of what makes memory executable.
const (
	protExec        = 2
	shmExec         = 15
	readImpliesExec = 22
)

const maxForms = 112

// namedForm is the form of one system call.
type namedForm struct {
	call string
	form
}

// Of Texts.
const (
	first = 1 << iota
	second
	third
	fourth
)

// callForms are the system calls that system.bpf.c looks at; the form of the
// first is number 1. It is never changed.
var callForms = []namedForm{
	{"setuid", form{Changed: ChangedCredentials}},
	{"setgid", form{Changed: ChangedCredentials}},
	{"setreuid", form{Changed: ChangedCredentials}},
	{"setregid", form{Changed: ChangedCredentials}},
	{"setresuid", form{Changed: ChangedCredentials}},
	{"setresgid", form{Changed: ChangedCredentials}},
	{"setfsuid", form{Changed: ChangedCredentials}},
	{"setfsgid", form{Changed: ChangedCredentials}},
	{"setgroups", form{Changed: ChangedCredentials}},
	{"setuid32", form{Changed: ChangedCredentials}},
	{"setgid32", form{Changed: ChangedCredentials}},
	{"setreuid32", form{Changed: ChangedCredentials}},
	{"setregid32", form{Changed: ChangedCredentials}},
	{"setresuid32", form{Changed: ChangedCredentials}},
	{"setresgid32", form{Changed: ChangedCredentials}},
	{"setfsuid32", form{Changed: ChangedCredentials}},
	{"setfsgid32", form{Changed: ChangedCredentials}},
	{"setgroups32", form{Changed: ChangedCredentials}},
	{"capset", form{Changed: ChangedCredentials}},
	{"prctl", form{What: Prctl, Changed: ChangedConfinement, Number: 1, Target: 2}},
	{"seccomp", form{Changed: ChangedConfinement}},
	{"setsid", form{Changed: ChangedSession}},
	{"setpgid", form{Changed: ChangedSession, Number: 1}},
	{"setns", form{What: Namespace, Changed: ChangedNamespaces}},
	{"unshare", form{What: Namespace, Changed: ChangedNamespaces, Number: 1}},
	{"chroot", form{What: Chroot, Texts: first}},
	{"pivot_root", form{What: Chroot, Texts: first | second}},
	{"init_module", form{What: ModuleLoad, Texts: third, Flags: formAlways}},
	{"finit_module", form{What: ModuleLoad, Texts: second, File: 1, Flags: formAlways}},
	{"delete_module", form{What: ModuleUnload, Texts: first, Flags: formAlways}},
	{"bpf", form{What: BPF, Bytes: 2, Size: 128, Number: 1, Flags: formSized}},
	{"ptrace", form{What: Ptrace, Target: 2, Number: 1}},
	{"process_vm_readv", form{What: ProcessVMRead, Target: 1}},
	{"process_vm_writev", form{What: ProcessVMWrite, Target: 1}},
	{"open", form{What: MemoryOpen, Texts: first, Number: 2}},
	{"openat", form{What: MemoryOpen, Texts: second, Number: 3}},
	{"openat2", form{What: MemoryOpen, Texts: second, Number: 3, Flags: formPeek}},
	{"creat", form{What: MemoryOpen, Texts: first, Flags: formWrites}},
	{"memfd_create", form{What: MemfdCreate, Texts: first}},
	{"memfd_secret", form{What: MemfdCreate}},
	{"mmap", form{What: MemoryExecutable, File: 5, Number: 3, Bit: protExec, Flags: formBlock}},
	{"mmap2", form{What: MemoryExecutable, File: 5, Number: 3, Bit: protExec}},
	{"mprotect", form{What: MemoryExecutable, Number: 3, Bit: protExec}},
	{"pkey_mprotect", form{What: MemoryExecutable, Number: 3, Bit: protExec}},
	{"shmat", form{What: MemoryExecutable, Number: 3, Bit: shmExec}},
	{"ipc", form{What: MemoryExecutable, Number: 3, Bit: shmExec, Flags: formIPC}},
	{"personality", form{What: MemoryExecutable, Number: 1, Bit: readImpliesExec}},
	{"mount", form{What: Mount, Texts: first | second | third}},
	{"fsopen", form{What: Mount, Texts: first}},
	{"fspick", form{What: Mount, Texts: second}},
	{"fsmount", form{What: Mount}},
	{"move_mount", form{What: Mount, Texts: second | fourth}},
	{"mount_setattr", form{What: Mount, Texts: second, Bytes: 4, Size: 32, Flags: formSized}},
	{"open_tree", form{What: Mount, Texts: second, Number: 3}},
	{"open_tree_attr", form{What: Mount, Texts: second, Number: 3}},
	{"umount", form{What: Unmount, Texts: first}},
	{"umount2", form{What: Unmount, Texts: first}},
	{"kexec_load", form{What: Kexec, Flags: formAlways}},
	{"kexec_file_load", form{What: Kexec, Texts: fourth, File: 1, Flags: formAlways}},
	{"ioperm", form{What: IOPorts}},
	{"iopl", form{What: IOPorts}},
	{"add_key", form{What: Key, Texts: first | second}},
	{"request_key", form{What: Key, Texts: first | second}},
	{"keyctl", form{What: Key, Number: 1}},
	{"io_uring_setup", form{What: IOURing, Bytes: 2, Size: 16}},
	{"userfaultfd", form{What: Userfaultfd}},
	{"perf_event_open", form{What: PerfEvent, Bytes: 1, Size: 16, Target: 2}},
	{"open_by_handle_at", form{What: OpenByHandle, Bytes: 2, Size: 8}},
	{"swapon", form{What: Swap, Texts: first}},
	{"swapoff", form{What: Swap, Texts: first}},
	{"reboot", form{What: Reboot}},
	{"sethostname", form{What: HostName, Bytes: 1, Size: 64, Flags: formSized}},
	{"setdomainname", form{What: HostName, Bytes: 1, Size: 64, Flags: formSized}},
	{"stime", form{What: SetTime, Bytes: 1, Size: 4}},
	{"settimeofday", form{What: SetTime, Bytes: 1, Size: 16}},
	{"clock_settime", form{What: SetTime, Bytes: 2, Size: 16}},
	{"clock_settime64", form{What: SetTime, Bytes: 2, Size: 16}},
	{"adjtimex", form{What: SetTime, Number: 1, Flags: formPeek}},
	{"clock_adjtime", form{What: SetTime, Number: 2, Flags: formPeek}},
	{"clock_adjtime64", form{What: SetTime, Number: 2, Flags: formPeek}},
	{"kill", form{What: Signal, Target: 1}},
	{"tkill", form{What: Signal, Target: 1}},
	{"tgkill", form{What: Signal, Target: 1}},
	{"rt_sigqueueinfo", form{What: Signal, Target: 1, Bytes: 3, Size: 16}},
	{"rt_tgsigqueueinfo", form{What: Signal, Target: 1, Bytes: 4, Size: 16}},
	{"pidfd_send_signal", form{What: Signal, Bytes: 3, Size: 16, File: 1}},
	{"pidfd_getfd", form{What: PidfdGetfd, File: 1}},
	{"prlimit64", form{What: SetLimits, Target: 1, Bytes: 3, Size: 16, Number: 3}},
	{"setpriority", form{What: SetLimits, Target: 2, Number: 1}},
	{"sched_setparam", form{What: SetLimits, Target: 1}},
	{"sched_setscheduler", form{What: SetLimits, Target: 1}},
	{"sched_setattr", form{What: SetLimits, Target: 1}},
	{"sched_setaffinity", form{What: SetLimits, Target: 1}},
}

// MaxProtected is how many processes can be protected at once, MAX_PROTECTED.
const MaxProtected = 16

// callSize is that of struct call of system.bpf.c.
const callSize = 176

// call reads struct call and what stands behind it.
func (e *Event) call(r reader, size int) error {
	if size < callSize {
		return fmt.Errorf("%v record of %d bytes, want %d at least", e.Kind, size, callSize)
	}
	c := &Call{}
	e.System = c
	for i := range c.Args {
		c.Args[i] = r.u64()
	}
	c.Result = int64(r.u64())
	c.Target.Start = time.Duration(r.u64())
	c.Target.PID, c.Target.UID = int32(r.u32()), r.u32()
	c.Target.Name = text(r.bytes(16))
	var sizes [6]int
	total := 0
	for i := range sizes {
		sizes[i] = int(r.u16())
		total += sizes[i]
	}
	pathSize, bytesSize := int(r.u16()), int(r.u16())
	total += pathSize + bytesSize
	r.u16() // the call's number
	c.Compat = r.u8() != 0
	form := int(r.u8())
	r.bytes(4)
	if form > len(callForms) || e.What == 0 || e.What >= actionsEnd || c.Target.PID < 0 || c.Target.Start < 0 {
		return fmt.Errorf("%v record %d of form %d, target %d at %d", e.Kind, e.What, form, c.Target.PID, c.Target.Start)
	}
	if total > len(r.rest) {
		return fmt.Errorf("%v record: texts of %d bytes, want %d at most", e.Kind, total, len(r.rest))
	}
	if form > 0 {
		c.Name = callForms[form-1].call
	}
	for i, n := range sizes {
		if i == 1 && c.Name == "bpf" { // comes with what its argument points to
			continue
		}
		c.Texts[i] = text(r.bytes(n))
	}
	if bytesSize > 0 {
		c.Bytes = append([]byte{}, r.bytes(bytesSize)...)
	}
	if c.Name == "bpf" {
		c.Texts[1] = text(r.bytes(sizes[1]))
	}
	c.Path = path(r.bytes(pathSize), e.Flags&CallPathCut != 0)
	return nil
}

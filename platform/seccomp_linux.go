//go:build amd64 || arm64

package platform

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filter returns the program that the kernel runs for each system call,
// seccomp(2), bpf(4): allowed with rules, else refused. It is written here and not
// by a library since go-seccomp-bpf takes it for success when the kernel names
// a thread that could not be synchronized.
func filter(rules []call, refused uint32) []unix.SockFilter {
	// struct seccomp_data: nr, arch, instruction_pointer, args. Both
	// architectures are little-endian.
	const number, arch, arguments = 0, 4, 16
	load := func(offset int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)}
	}
	// jump goes on with the next instruction, or leaves out as many as said.
	jump := func(kind uint16, value uint32, ifTrue, ifFalse int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | kind | unix.BPF_K, K: value, Jt: uint8(ifTrue), Jf: uint8(ifFalse)}
	}
	equal := func(value uint32, ifTrue, ifFalse int) unix.SockFilter {
		return jump(unix.BPF_JEQ, value, ifTrue, ifFalse)
	}
	give := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	program := []unix.SockFilter{load(arch), equal(auditArch, 1, 0), give(refused), load(number)}
	if firstForeign != 0 {
		program = append(program, jump(unix.BPF_JGE, firstForeign, 0, 1), give(refused))
	}
	for _, rule := range rules {
		var body []unix.SockFilter
		for _, c := range rule.conditions {
			offset := arguments + 8*c.argument
			if c.high {
				offset += 4
			}
			body = append(body, load(offset))
			if c.mask != 0 {
				body = append(body, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
			}
			for i, value := range c.values {
				body = append(body, equal(value, len(c.values)-i, 0)) // past the others and the refusal
			}
			body = append(body, give(refused))
		}
		body = append(body, give(unix.SECCOMP_RET_ALLOW))
		program = append(program, equal(rule.number, 0, len(body)))
		program = append(program, body...)
	}
	const missing = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	return append(program, equal(unix.SYS_CLONE3, 0, 1), give(missing), give(refused))
}

func (c Cage) closeSeccomp(rules []call) error {
	refused := unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	if c.Seccomp == SeccompKill {
		refused = unix.SECCOMP_RET_KILL_PROCESS
	}
	program := filter(rules, refused)
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// Who has no CAP_SYS_ADMIN needs no_new_privs, which TSYNC gives to the other
	// threads, too.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	// Without SECCOMP_FILTER_FLAG_LOG, or each new thread would be in the
	// kernel's audit log, for clone3.
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("seccomp: thread %d has another filter", thread)
	}
	return nil
}

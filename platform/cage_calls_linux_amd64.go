package platform

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// firstForeign is the least number of the x32 ABI, which shares its audit
// architecture with x86_64: __X32_SYSCALL_BIT of asm/unistd.h.
const firstForeign = 0x40000000

func archCalls() []call {
	return anyhow(unix.SYS_NEWFSTATAT, unix.SYS_EPOLL_WAIT, unix.SYS_POLL)
}

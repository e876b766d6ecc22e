package platform

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// firstForeign would be the least number of another ABI that shares the audit
// architecture; there is none.
const firstForeign = 0

func archCalls() []call { return anyhow(unix.SYS_FSTATAT) }

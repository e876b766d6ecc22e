package collector

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of numbers in the calls of kernel_events, from the kernel's headers
// for programs (include/uapi). What they do not have is told by its number.

// nameOf returns the name of a number, or the number.
func nameOf(names map[uint64]string, n uint64) string {
	if name, ok := names[n]; ok {
		return name
	}
	return strconv.FormatUint(n, 10)
}

// flagsOf returns the names of the bits that are set, the rest as one number;
// never nil.
func flagsOf(names map[uint64]string, set uint64) []string {
	list := []string{}
	for bit := uint64(1); bit != 0; bit <<= 1 {
		if name, ok := names[bit]; ok && set&bit != 0 {
			list, set = append(list, name), set&^bit
		}
	}
	if set != 0 {
		list = append(list, fmt.Sprintf("%#x", set))
	}
	return list
}

// signalName returns the name of a signal of signal(7), as most architectures
// number them.
func signalName(signal uint64) string {
	names := []string{
		1: "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM",
		"SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF",
		"SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
	}
	if signal > 0 && signal < uint64(len(names)) {
		return names[signal]
	}
	return strconv.FormatUint(signal, 10)
}

// signalCause says what let the kernel send a signal, by si_code; 1 << 16 is
// SI_NOINFO of system.bpf.c.
func signalCause(code int32) string {
	switch {
	case code == -1 || code == -6: // SI_QUEUE, SI_TKILL: it has sent it
		return ""
	case code == 1<<16:
		return "the kernel, for the process"
	case code == -5 || code >= 1 && code <= 6: // SI_SIGIO, POLL_IN to POLL_HUP
		return "a file whose owner gets it (F_SETSIG)"
	}
	return strconv.Itoa(int(code))
}

// limitName is that of a resource, getrlimit(2).
func limitName(resource uint64) string {
	names := []string{
		"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK",
		"RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
	}
	if resource < uint64(len(names)) {
		return names[resource]
	}
	return strconv.FormatUint(resource, 10)
}

func limitText(n uint64) string {
	if n == 1<<64-1 {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// memoryOf returns the pid of which a path is /proc/PID/mem, 0: of none.
func memoryOf(path string) int32 {
	names := strings.Split(path, "/")
	if len(names) < 4 || names[0] != "" || names[1] != "proc" || names[len(names)-1] != "mem" || len(names) != 4 && (len(names) != 6 || names[3] != "task") {
		return 0
	}
	pid, err := strconv.ParseUint(names[2], 10, 31)
	if err != nil {
		return 0
	}
	return int32(pid)
}

func ptraceName(request uint64) string {
	return nameOf(map[uint64]string{
		0: "PTRACE_TRACEME", 4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA", 6: "PTRACE_POKEUSER", 13: "PTRACE_SETREGS", 15: "PTRACE_SETFPREGS",
		16: "PTRACE_ATTACH", 0x4205: "PTRACE_SETREGSET", 0x4206: "PTRACE_SEIZE",
	}, request)
}

func bpfCommandName(command uint64) string {
	return nameOf(map[uint64]string{
		5: "BPF_PROG_LOAD", 6: "BPF_OBJ_PIN", 8: "BPF_PROG_ATTACH", 9: "BPF_PROG_DETACH", 13: "BPF_PROG_GET_FD_BY_ID", 14: "BPF_MAP_GET_FD_BY_ID",
		17: "BPF_RAW_TRACEPOINT_OPEN", 28: "BPF_LINK_CREATE", 29: "BPF_LINK_UPDATE", 30: "BPF_LINK_GET_FD_BY_ID", 34: "BPF_LINK_DETACH",
	}, command)
}

// bpfProgramType is that of enum bpf_prog_type, as bpftool(8) writes it.
func bpfProgramType(n uint32) string {
	names := []string{
		"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out",
		"lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport",
		"flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
	}
	if n < uint32(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

func keyctlName(operation uint64) string {
	return nameOf(map[uint64]string{
		2: "KEYCTL_UPDATE", 3: "KEYCTL_REVOKE", 4: "KEYCTL_CHOWN", 5: "KEYCTL_SETPERM", 7: "KEYCTL_CLEAR", 9: "KEYCTL_UNLINK", 11: "KEYCTL_READ",
		12: "KEYCTL_INSTANTIATE", 20: "KEYCTL_INSTANTIATE_IOV", 21: "KEYCTL_INVALIDATE", 29: "KEYCTL_RESTRICT_KEYRING",
	}, operation)
}

func prctlName(option uint64) string {
	return nameOf(map[uint64]string{
		4: "PR_SET_DUMPABLE", 28: "PR_SET_SECUREBITS", 35: "PR_SET_MM", 47: "PR_CAP_AMBIENT", 59: "PR_SET_SYSCALL_USER_DISPATCH", 0x59616d61: "PR_SET_PTRACER",
	}, option)
}

func rebootName(command uint64) string {
	return nameOf(map[uint64]string{
		0: "LINUX_REBOOT_CMD_CAD_OFF", 0x89abcdef: "LINUX_REBOOT_CMD_CAD_ON", 0x01234567: "LINUX_REBOOT_CMD_RESTART", 0xcdef0123: "LINUX_REBOOT_CMD_HALT",
		0x4321fedc: "LINUX_REBOOT_CMD_POWER_OFF", 0xa1b2c3d4: "LINUX_REBOOT_CMD_RESTART2", 0x45584543: "LINUX_REBOOT_CMD_KEXEC", 0xd000fce2: "LINUX_REBOOT_CMD_SW_SUSPEND",
	}, command&0xffffffff)
}

func perfTypeName(n uint32) string {
	names := []string{"hardware", "software", "tracepoint", "hw_cache", "raw", "breakpoint"}
	if n < uint32(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

// protections returns those of mmap(2).
func protections(set uint64) []string {
	return flagsOf(map[uint64]string{1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC", 8: "PROT_SEM", 1 << 24: "PROT_GROWSDOWN", 1 << 25: "PROT_GROWSUP"}, set)
}

// segmentFlags returns those of shmat(2).
func segmentFlags(set uint64) []string {
	return flagsOf(map[uint64]string{0o10000: "SHM_RDONLY", 0o20000: "SHM_RND", 0o40000: "SHM_REMAP", 0o100000: "SHM_EXEC"}, set&0xffffffff)
}

// personalityFlags returns those of personality(2).
func personalityFlags(set uint64) []string {
	return flagsOf(map[uint64]string{
		0x20000: "UNAME26", 0x40000: "ADDR_NO_RANDOMIZE", 0x80000: "FDPIC_FUNCPTRS", 0x100000: "MMAP_PAGE_ZERO", 0x200000: "ADDR_COMPAT_LAYOUT",
		0x400000: "READ_IMPLIES_EXEC", 0x800000: "ADDR_LIMIT_32BIT", 0x1000000: "SHORT_INODE", 0x2000000: "WHOLE_SECONDS", 0x4000000: "STICKY_TIMEOUTS",
		0x8000000: "ADDR_LIMIT_3GB",
	}, set&0xffffffff)
}

// namespaceFlags returns those of unshare(2) and setns(2).
func namespaceFlags(set uint64) []string {
	return flagsOf(map[uint64]string{
		0x80: "CLONE_NEWTIME", 0x100: "CLONE_VM", 0x200: "CLONE_FS", 0x400: "CLONE_FILES", 0x800: "CLONE_SIGHAND", 0x10000: "CLONE_THREAD", 0x20000: "CLONE_NEWNS",
		0x40000: "CLONE_SYSVSEM", 0x2000000: "CLONE_NEWCGROUP", 0x4000000: "CLONE_NEWUTS", 0x8000000: "CLONE_NEWIPC", 0x10000000: "CLONE_NEWUSER",
		0x20000000: "CLONE_NEWPID", 0x40000000: "CLONE_NEWNET",
	}, set)
}

// mountFlags returns those of mount(2).
func mountFlags(set uint64) []string {
	if set&0xffff0000 == 0xc0ed0000 { // MS_MGC_VAL, which old programs add
		set &= 0xffff
	}
	return flagsOf(map[uint64]string{
		1: "MS_RDONLY", 2: "MS_NOSUID", 4: "MS_NODEV", 8: "MS_NOEXEC", 16: "MS_SYNCHRONOUS", 32: "MS_REMOUNT", 64: "MS_MANDLOCK", 128: "MS_DIRSYNC",
		256: "MS_NOSYMFOLLOW", 1024: "MS_NOATIME", 2048: "MS_NODIRATIME", 4096: "MS_BIND", 8192: "MS_MOVE", 16384: "MS_REC", 32768: "MS_SILENT",
		1 << 17: "MS_UNBINDABLE", 1 << 18: "MS_PRIVATE", 1 << 19: "MS_SLAVE", 1 << 20: "MS_SHARED", 1 << 21: "MS_RELATIME", 1 << 23: "MS_I_VERSION",
		1 << 24: "MS_STRICTATIME", 1 << 25: "MS_LAZYTIME",
	}, set)
}

func mountAttributes(set uint64) []string {
	return flagsOf(map[uint64]string{
		1: "MOUNT_ATTR_RDONLY", 2: "MOUNT_ATTR_NOSUID", 4: "MOUNT_ATTR_NODEV", 8: "MOUNT_ATTR_NOEXEC", 0x10: "MOUNT_ATTR_NOATIME", 0x20: "MOUNT_ATTR_STRICTATIME",
		0x80: "MOUNT_ATTR_NODIRATIME", 0x100000: "MOUNT_ATTR_IDMAP", 0x200000: "MOUNT_ATTR_NOSYMFOLLOW",
	}, set)
}

func unmountFlags(set uint64) []string {
	return flagsOf(map[uint64]string{1: "MNT_FORCE", 2: "MNT_DETACH", 4: "MNT_EXPIRE", 8: "UMOUNT_NOFOLLOW"}, set)
}

func memfdFlags(set uint64) []string {
	return flagsOf(map[uint64]string{1: "MFD_CLOEXEC", 2: "MFD_ALLOW_SEALING", 4: "MFD_HUGETLB", 8: "MFD_NOEXEC_SEAL", 16: "MFD_EXEC"}, set)
}

func moduleFlags(set uint64) []string {
	return flagsOf(map[uint64]string{1: "MODULE_INIT_IGNORE_MODVERSIONS", 2: "MODULE_INIT_IGNORE_VERMAGIC", 4: "MODULE_INIT_COMPRESSED_FILE"}, set)
}

//go:build amd64 || arm64

package platform

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// call is a system call that may be made, with any arguments or with those
// that fit all conditions.
type call struct {
	number     uint32
	conditions []condition
}

// condition is that the argument, under mask, is one of values. Only the low
// 32 bits of an argument are looked at, unless high is set: the kernel looks at
// no others either of what is an int to it.
type condition struct {
	argument int // 0 to 5
	high     bool
	mask     uint32 // 0: all bits
	values   []uint32
}

// calls are the system calls of the role, the frequent ones first.
func (c Cage) calls() []call {
	list := always()
	if c.Writes {
		list = append(list, writing()...)
	} else {
		list = append(list, reading()...)
	}
	if c.Dials || c.Listens {
		unixOnly := condition{values: []uint32{unix.AF_UNIX}}
		list = append(list, call{unix.SYS_SOCKET, []condition{unixOnly}})
	}
	if c.Dials {
		list = append(list, anyhow(unix.SYS_CONNECT)...)
	}
	if c.Listens {
		list = append(list, anyhow(unix.SYS_BIND, unix.SYS_LISTEN)...)
		// When it listens, a role may close a tighter cage.
		list = append(list, call{unix.SYS_SECCOMP, []condition{
			{values: []uint32{unix.SECCOMP_SET_MODE_FILTER}}, {argument: 1, values: []uint32{unix.SECCOMP_FILTER_FLAG_TSYNC}},
		}})
	}
	if c.Lists {
		// Since 5.19 it takes no capability; before that, the kernel refuses it.
		list = append(list, call{unix.SYS_BPF, []condition{{values: []uint32{unix.BPF_ITER_CREATE}}}})
	}
	return list
}

func anyhow(numbers ...uint32) []call {
	list := make([]call, len(numbers))
	for i, n := range numbers {
		list[i].number = n
	}
	return list
}

// always is what Go's runtime and libraries, the C library below them and
// descriptors that are open need. What this process does rarely, such as ending
// in a panic, is here as well.
func always() []call {
	self := condition{values: []uint32{uint32(os.Getpid())}}
	list := anyhow(
		unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_CLOSE,
		unix.SYS_FSTAT, unix.SYS_PREAD64, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_LSEEK,
		unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_RECVMMSG, unix.SYS_SHUTDOWN,
		unix.SYS_ACCEPT4, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,

		// Threads and the scheduler.
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_SET_ROBUST_LIST,
		unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_SETPRIORITY, unix.SYS_GETPRIORITY,

		// Memory; see also mmap below.
		unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK,

		// Signals.
		unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,

		// Time, and waiting.
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL,
		unix.SYS_DUP, unix.SYS_DUP3,

		// What the process is and where it runs.
		unix.SYS_GETRANDOM, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_CAPGET,
		unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRUSAGE, unix.SYS_GETCWD,

		// The file system, as far as it is only looked at; Landlock does not restrict these.
		unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
		unix.SYS_STATFS, unix.SYS_FSTATFS,
	)
	notExecutable := condition{argument: 2, mask: unix.PROT_EXEC, values: []uint32{0}}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET
	return slices.Concat(list, archCalls(), []call{
		{unix.SYS_MMAP, []condition{notExecutable}},
		{unix.SYS_MPROTECT, []condition{notExecutable}},
		// Threads only. clone3 has its flags in memory, where no filter sees them:
		// see filter, which makes the C library fall back to clone.
		{unix.SYS_CLONE, []condition{{mask: unix.CLONE_THREAD | namespaces, values: []uint32{unix.CLONE_THREAD}}}},
		{unix.SYS_TGKILL, []condition{self}},
		// Signal 0: whether a process is there, such as the one that has the store.
		{unix.SYS_KILL, []condition{{argument: 1, values: []uint32{0}}}},
		{unix.SYS_FCNTL, []condition{{argument: 1, values: []uint32{
			unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC,
		}}}},
		{unix.SYS_IOCTL, []condition{{argument: 1, values: []uint32{unix.TCGETS, unix.TIOCGWINSZ}}}},
		// Names of memory, which Go and the C library give when told to; and what
		// Close begins with.
		{unix.SYS_PRCTL, []condition{{values: []uint32{unix.PR_SET_VMA, unix.PR_SET_NO_NEW_PRIVS}}}},
		// Read limits, not set them.
		{unix.SYS_PRLIMIT64, []condition{{argument: 2, values: []uint32{0}}, {argument: 2, high: true, values: []uint32{0}}}},
	})
}

// reading opens files for nothing else.
func reading() []call {
	const changes = unix.O_ACCMODE | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND | unix.O_TMPFILE&^unix.O_DIRECTORY
	return []call{{unix.SYS_OPENAT, []condition{{argument: 2, mask: changes, values: []uint32{0}}}}}
}

// writing changes files and directories.
func writing() []call {
	return anyhow(
		unix.SYS_OPENAT, unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
		unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_FLOCK, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2,
		unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_MSYNC,
	)
}

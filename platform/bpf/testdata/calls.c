//go:build ignore

// calls NAME [PID] [ARGUMENT]: makes one system call, or a few, that a test wants to see.
// The name old-NAME makes it as a program of 32 bits does.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

// segment makes one of shared memory that goes with the process.
static int segment(void)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
	shmat(id, 0, 0);
	shmctl(id, IPC_RMID, 0);
	return id;
}

static char buffer[4096] __attribute__((aligned(4096))), path[8192];
static unsigned block[6];

#define old(number, a, b, c) old5(number, a, b, c, 0, 0)

// old5 makes a system call by its number for 32 bits.
static long old5(long number, long a, long b, long c, long d, long e)
{
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "r8", "r9", "r10", "r11");
	return result;
#else
	return -ENOSYS;
#endif
}

// take returns a descriptor of another process.
static int take(long pid, long fd)
{
	return syscall(438 /* pidfd_getfd */, (int)syscall(434 /* pidfd_open */, pid, 0), fd, 0);
}

#define is(text) (strcmp(name, text) == 0)

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	long pid = argc > 2 ? atol(argv[2]) : 0, argument = argc > 3 ? atol(argv[3]) : 0;
	if (is("module"))
		return syscall(SYS_finit_module, open("/etc/hostname", O_RDONLY), "a=1 b=\xff", 0), 0;
	if (is("unload"))
		return syscall(SYS_delete_module, "no\xffmodule", 0), 0;
	if (is("bpf")) {
		struct { unsigned type, count; unsigned long instructions, license; unsigned level, size; unsigned long log; unsigned version, flags; char name[16]; } attr = {1, 0, 0, 0, 0, 0, 0, 0, 0, "mine"};
		return setuid(1234), syscall(SYS_bpf, 5, &attr, sizeof(attr)), 0;
	}
	if (is("attach"))
		return ptrace(PTRACE_SEIZE, pid, 0, 0) ? errno : 0;
	if (is("traceme"))
		return ptrace(PTRACE_TRACEME, 0, 0, 0) ? errno : 0;
	if (is("cont"))
		return ptrace(PTRACE_CONT, pid, 0, 0), ptrace(PTRACE_ATTACH, pid, 0, 0), 0;
	if (is("readv") || is("writev")) {
		struct iovec own = {buffer, 8}, other = {buffer, 8};
		syscall(SYS_process_vm_readv, getpid(), &own, 1, &other, 1, 0); // of itself
		return syscall(is("readv") ? SYS_process_vm_readv : SYS_process_vm_writev, pid, &own, 1, &other, 1, 0), 0;
	}
	if (is("memory")) {
		snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
		close(open(path, O_RDONLY));
		return close(open(path, O_RDWR)), 0;
	}
	if (is("memory-read")) {
		snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
		return open(path, O_RDONLY) < 0;
	}
	if (is("limit")) {
		struct rlimit limit;
		prlimit(pid, RLIMIT_LOCKS, NULL, &limit);
		limit.rlim_cur = 7;
		return prlimit(pid, RLIMIT_LOCKS, &limit, NULL);
	}
	if (is("nice"))
		return setpriority(PRIO_PROCESS, pid, getpriority(PRIO_PROCESS, pid));
	if (is("affinity")) {
		cpu_set_t set;
		return sched_getaffinity(pid, sizeof(set), &set) || sched_setaffinity(pid, sizeof(set), &set);
	}
	if (is("getfd"))
		return take(pid, argument) < 0;
	if (is("sigio")) {
		int pair[2];
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fcntl(pair[0], F_SETOWN, pid) || fcntl(pair[0], F_SETSIG, SIGUSR1) ||
		       fcntl(pair[0], F_SETFL, O_ASYNC) || write(pair[1], "", 1) != 1;
	}
	if (is("map-open")) {
		struct { unsigned id, next, flags; } attr = {argument};
		return syscall(SYS_bpf, 14 /* BPF_MAP_GET_FD_BY_ID */, &attr, sizeof(attr)) < 0;
	}
	if (is("map-write")) { // to all elements, of 8 bytes
		struct { unsigned fd; unsigned long key, value, flags; } attr = {take(pid, argument), (long)buffer, (long)(buffer + 8)};
		for (*(unsigned *)buffer = 0; !syscall(SYS_bpf, 2 /* BPF_MAP_UPDATE_ELEM */, &attr, sizeof(attr)); ++*(unsigned *)buffer)
			;
		return *(unsigned *)buffer == 0;
	}
	if (is("ring-read") || is("ring-move")) { // in the place of its reader
		int fd = take(pid, argument);
		volatile unsigned long *consumer = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		volatile unsigned long *producer = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 4096);
		if (consumer == MAP_FAILED || producer == MAP_FAILED)
			return 1;
		if (is("ring-move"))
			return *consumer = *producer + (1 << 20), 0;
		for (puts("ready"), fflush(stdout);;)
			*consumer = *producer;
	}
	if (is("memory-relative")) {
		snprintf(path, sizeof(path), "/proc/%ld/task/%ld", pid, pid);
		struct { unsigned long flags, mode, resolve; } how = {O_WRONLY};
		return chdir(path), syscall(437, AT_FDCWD, "mem", &how, sizeof(how)), 0;
	}
	if (is("memory-refused")) {
		snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
		return setuid(1234), open(path, O_RDWR), 0;
	}
	if (is("memfd"))
		return memfd_create("na\n\xffme", MFD_CLOEXEC), 0;
	if (is("wx")) {
		for (int i = 0; i < 3; i++)
			mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return 0;
	}
	if (is("wx-file"))
		return mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, open("/etc/hostname", O_RDONLY), 0), 0;
	if (is("plain")) {
		mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *file = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
		mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
		mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		return segment(), mprotect(file, 4096, PROT_READ | PROT_EXEC), 0;
	}
	if (is("protect"))
		return buffer[0] = 1, mprotect(buffer, 4096, PROT_READ | PROT_EXEC), 0;
	if (is("shared"))
		return mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, open("/proc/self/exe", O_RDONLY), 0), 0;
	if (is("memfd-shared") || is("memfd-private") || is("memfd-protect")) {
		int fd = memfd_create("code", 0), flags = is("memfd-shared") ? MAP_SHARED : MAP_PRIVATE;
		ftruncate(fd, 4096);
		mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (!is("memfd-protect"))
			return mmap(0, 4096, PROT_READ | PROT_EXEC, flags, fd, 0), 0;
		return mprotect(mmap(0, 4096, PROT_READ, flags, fd, 0), 4096, PROT_READ | PROT_EXEC);
	}
	if (is("segment"))
		return shmat(segment(), 0, SHM_EXEC | SHM_RDONLY) == (void *)-1;
	if (is("old-segment"))
		return old(397, segment(), 0, SHM_EXEC) < 0;
	if (is("old-ipc"))
		return old5(117, 21, segment(), SHM_EXEC, (long)buffer, 0) < 0;
	if (is("personality")) {
		personality(0xffffffff);
		personality(ADDR_NO_RANDOMIZE);
		return personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) < 0;
	}
	if (is("old-wx")) { // old_mmap
		unsigned args[6] = {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
		memcpy(block, args, sizeof(block));
		return old(90, (long)block, 0, 0) < 0;
	}
	if (is("old-memfd"))
		return strcpy(buffer, "old"), old(356, (long)buffer, 1, 0) < 0;
	if (is("old-setuid"))
		return old(213, 1234, 0, 0) < 0;
	if (is("mount")) {
		if (unshare(CLONE_NEWNS) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0))
			return 1;
		return mount("what\xff", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "size=4096") || umount2("/mnt", MNT_DETACH);
	}
	if (is("mount-refused"))
		return setuid(1234) || mount("what", "/mnt", "tmpfs", 0, 0) == 0;
	if (is("long"))
		return memset(path, 'x', sizeof(path) - 1), syscall(SYS_finit_module, -1, path, 0), 0;
	if (is("unreadable"))
		return syscall(SYS_finit_module, -1, 16, 0), 0;
	if (is("kexec"))
		return syscall(SYS_kexec_load, 0, 0, 0, 0), 0;
	if (is("key"))
		return syscall(SYS_add_key, "user", "mine", "secret", 6, -3), 0;
	if (is("uring")) {
		return syscall(425, 8, buffer), 0;
	}
	if (is("perf")) {
		memset(buffer, 0, 128);
		buffer[0] = 1; // PERF_TYPE_SOFTWARE
		buffer[4] = 64;
		return syscall(SYS_perf_event_open, buffer, pid, -1, -1, 0), 0;
	}
	if (is("handle")) {
		*(unsigned *)buffer = 8;
		return setuid(1234), syscall(SYS_open_by_handle_at, AT_FDCWD, buffer, O_RDONLY), 0;
	}
	if (is("hostname"))
		return unshare(CLONE_NEWUTS) || sethostname("other\xff", 6);
	if (is("time")) {
		struct { long seconds, rest; } time = {1234567890, 5};
		return setuid(1234), syscall(SYS_clock_settime, 0, &time), 0;
	}
	if (is("adjust")) {
		memset(buffer, 0, sizeof(buffer));
		setuid(1234);
		syscall(SYS_adjtimex, buffer);
		*(unsigned *)buffer = 0x100; // ADJ_SETOFFSET
		return syscall(SYS_adjtimex, buffer), 0;
	}
	if (is("dumpable"))
		return prctl(PR_SET_DUMPABLE, 0);
	if (is("ptracer"))
		return prctl(PR_SET_PTRACER, pid), 0;
	if (is("quit"))
		return kill(pid, SIGUSR2);
	if (is("quit-as"))
		return kill(pid, 0), setreuid(1234, 1234), kill(pid, SIGUSR2), 0;
	if (is("queue")) {
		siginfo_t info = {.si_code = -2};
		return syscall(SYS_rt_sigqueueinfo, pid, SIGUSR2, &info), 0;
	}
	if (is("chroot"))
		return chroot("/usr/../usr");
	if (is("unshare"))
		return unshare(CLONE_FILES), unshare(CLONE_NEWUTS);
	if (is("setuid"))
		return setresgid(5, 6, 7) || setresuid(1, 2, 3);
	if (is("setsid"))
		return fork() ? wait(0), 0 : setsid() < 0;
	if (is("rename"))
		return prctl(PR_SET_NAME, "re\xffnamed") || prctl(PR_SET_NAME, "twice") || execl("/bin/true", "true", NULL);
	if (is("privileges"))
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (is("flood")) { // PID COUNT USER: reads memory of PID as USER so often, then makes a memfd
		struct iovec own = {buffer, 8}, other = {buffer, 8};
		if (setresuid(atoi(argv[4]), atoi(argv[4]), atoi(argv[4])))
			return 1;
		for (long i = atol(argv[3]); i > 0; i--)
			syscall(SYS_process_vm_readv, pid, &own, 1, &other, 1, 0);
		return syscall(SYS_memfd_create, "after", 0) < 0;
	}
	if (is("wait"))
		return puts("ready"), fflush(stdout), signal(SIGUSR1, SIG_IGN), signal(SIGUSR2, SIG_IGN), pause(), 0;
	return 99;
}

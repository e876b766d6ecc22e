//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What processes do to the kernel, to each other, and to their own credentials,
// at the end of system calls; signals; and new names. What is read of a call is
// told by its form, which the loader makes; system.go reads the records.

#include "process.h"
#include "syscall.h"

char LICENSE[] SEC("license") = "GPL";

enum {
	MAX_FORMS = 112,
	MAX_BYTES = 128, // of memory that an argument points to
	MAX_PROTECTED = 16,
	PROC_MAGIC = 0x9fa0,
	TMPFS_MAGIC = 0x01021994,
	HUGETLBFS_MAGIC = 0x958458f6,
	PIDFS_MAGIC = 0x50494446, // of pidfds, from 6.9
	O_PATH = 010000000,
	PR_SET_PTRACER = 0x59616d61,
	EPERM = 1,
	EACCES = 13,
};

// What of CHANGED, as in system.go.
enum change {
	CREDENTIALS = 1,
	NAMESPACES,
	SESSION,
	CONFINEMENT, // no_new_privs, seccomp
	NAME,
};

// What of SYSTEM, as in system.go.
enum action {
	MODULE_LOAD = 1,
	MODULE_UNLOAD,
	BPF,
	PTRACE,
	VM_READ,
	VM_WRITE,
	MEMORY_OPEN, // /proc/PID/mem for writing
	MEMFD_CREATE,
	MEMORY_EXECUTABLE,
	MOUNT,
	UNMOUNT,
	KEXEC,
	IO_PORTS,
	KEY,
	PRCTL,
	IO_URING,
	USERFAULTFD,
	PERF_EVENT,
	OPEN_BY_HANDLE,
	SWAP,
	REBOOT,
	HOST_NAME,
	TIME,
	SIGNAL,       // of another user's process, or a protected one
	SIGNAL_OTHER, // of another process of the same user
	CHROOT,
	NAMESPACE, // and FLOOD of record.h
	GETFD = NAMESPACE + 2,
	// From here on of protected processes only.
	MEMORY_READ, // /proc/PID/mem for reading
	SET_LIMITS,  // of resources, or how it is scheduled
	CGROUP_MOVE,
	CGROUP_FREEZE,
};

// form is what of a system call is told. Arguments are numbered from 1, 0: none.
struct form {
	__u8 what;
	__u8 changed;
	__u8 texts;   // a bit for each argument that is a path or another text
	__u8 bytes;   // points to memory
	__u8 size;    // of it
	__u8 target;  // a pid
	__u8 file;    // a descriptor
	__u8 number;  // what decides whether it is told: a request, flags, a protection
	__u8 bit;     // of number, without which it is not: of MEMORY_EXECUTABLE
	__u8 flags;
};

enum form_flags {
	ALWAYS = 1, // told whatever the error is
	SIZED = 2,  // the argument after bytes says how large it is
	PEEK = 16,  // number points to it
	BLOCK = 4,  // of a 32-bit process of x86: the arguments are in memory, as of old_mmap
	WRITES = 8, // an open without flags
	IPC = 32,   // ipc(2), which is shmat(2) by its first argument
};

// Bits of what makes memory executable.
enum {
	PROT_EXEC = 2,
	SHM_EXEC = 15,
	READ_IMPLIES_EXEC = 22,
};

struct call {
	struct record r;
	__u64 args[6];
	__s64 result;
	__u64 target_start; // boot clock, ns
	__u32 target_pid;   // 0: not found
	__u32 target_uid;
	char target_name[16];
	__u16 text_size[6]; // by argument
	__u16 path_size, bytes_size;
	__u16 number; // of the system call
	__u8 compat;
	__u8 form; // 0: of no system call
	__u8 reserved[4];
};

enum call_flags {
	TEXT_CUT = 1,
	TEXT_UNREAD = 2, // a page was not there
	PATH_CUT = 4,
};

enum { CALL_AT = HEAD - sizeof(struct call) }; // in a scratch

_Static_assert(sizeof(struct call) == 176, "as in system.go");

volatile const struct form forms[MAX_FORMS] = {};

// The processes of which each signal is told.
struct protected {
	__u32 pids[MAX_PROTECTED];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct protected);
} protected SEC(".maps");

// Images that have made memory executable: this is told once of each, and by
// each kind of call, since a compiler at run time does it all the time.
struct image {
	__u64 start, stack;
	__u32 pid, call;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct image);
	__type(value, __u8);
} images SEC(".maps");

inlined void tell_change(struct task_struct *t, __u32 what, const void *name)
{
	if (!wants(CHANGED, what))
		return;
	struct counters *c;
	struct process *p = reserve(sizeof(*p), CHANGED, what, t, &c);
	if (!p)
		return;
	fill(p, t);
	if (name)
		bpf_probe_read_kernel_str(p->r.comm, sizeof(p->r.comm), name);
	submit(p, c);
}

// file_of returns an open file, whose fields are read by copy.
inlined struct file *file_of(struct task_struct *t, __u32 fd)
{
	struct fdtable *table = plain(task_struct, t)->files->fdt;
	struct file *file = NULL;
	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

inlined void set_target(struct call *c, struct task_struct *t)
{
	struct task_struct *leader = plain(task_struct, t)->group_leader;
	c->target_pid = leader->tgid;
	c->target_start = leader->start_boottime;
	c->target_uid = leader->real_cred->uid.val;
	copy(c->target_name, leader->comm);
}

// find_target looks up what a pid names for the process.
inlined void find_target(struct call *c, struct task_struct *t, int pid)
{
	if (pid == 0) {
		set_target(c, t);
		return;
	}
	struct task_struct *target = NULL;
	if (bpf_task_from_vpid)
		target = bpf_task_from_vpid(pid);
	else if (bpf_task_from_pid && t->thread_pid->level == 0)
		target = bpf_task_from_pid(pid);
	else
		return;
	if (target) {
		set_target(c, target);
		bpf_task_release(target);
	}
}

// in_memory reports whether a file is of memory alone and has no name: one of
// memfd_create(2), or deleted. Who has it open can change what is mapped.
inlined bool in_memory(struct file *file)
{
	struct inode *inode;
	struct super_block *sb;
	unsigned long magic;
	__u32 links;
	return !copy(inode, file->f_inode) && !copy(links, inode->i_nlink) && links == 0 && !copy(sb, inode->i_sb) &&
		!copy(magic, sb->s_magic) && (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC);
}

struct region {
	struct file *file;
	bool found, private_pages, shared;
};

static long region_found(struct task_struct *t, struct vm_area_struct *vma, struct region *r)
{
	r->found = 1;
	r->file = vma->vm_file;
	r->private_pages = vma->anon_vma != NULL;
	r->shared = vma->vm_flags & 8; // VM_SHARED
	return 0;
}

inlined bool is_protected(__u32 pid)
{
	__u32 key = 0;
	struct protected *p = bpf_map_lookup_elem(&protected, &key);
	if (!p)
		return 0;
#pragma unroll
	for (int i = 0; i < MAX_PROTECTED; i++)
		if (p->pids[i] == pid)
			return 1;
	return 0;
}

// is_of_protected reports whether a pid, as it is numbered at the outermost, is
// that of a protected process or of a thread of one.
inlined bool is_of_protected(int pid)
{
	if (pid <= 0)
		return 0;
	if (is_protected(pid))
		return 1;
	if (!bpf_task_from_pid)
		return 0;
	struct task_struct *t = bpf_task_from_pid(pid);
	if (!t)
		return 0;
	__u32 tgid = t->tgid;
	bpf_task_release(t);
	return is_protected(tgid);
}

// first reports whether the image makes memory executable by this call for the
// first time.
inlined bool first(struct task_struct *t, __u32 call)
{
	struct task_struct *leader = t->group_leader;
	struct image key = {.start = leader->start_boottime, .pid = leader->tgid, .call = call};
	struct mm_struct *mm = t->mm;
	if (mm)
		key.stack = mm->start_stack;
	__u8 value = 1;
	return bpf_map_update_elem(&images, &key, &value, BPF_NOEXIST) == 0;
}

inlined int outermost(struct pid *pid)
{
	int number;
	return bpf_probe_read_kernel(&number, 4, address(pid->numbers[0].nr)) ? 0 : number;
}

// memory_of returns the process whose /proc/PID/mem the file is, as it is
// numbered at the outermost; 0: it is another file.
inlined int memory_of(struct file *file)
{
	struct inode *inode;
	struct super_block *sb;
	struct dentry *dentry;
	const unsigned char *name;
	unsigned long magic;
	__u32 text;
	if (copy(inode, file->f_inode) || copy(sb, inode->i_sb) || copy(magic, sb->s_magic) || magic != PROC_MAGIC ||
	    copy(dentry, file->f_path.dentry) || copy(name, dentry->d_name.name) || bpf_probe_read_kernel(&text, 4, name) ||
	    text != 0x006d656d /* "mem" */)
		return 0;
	struct proc_inode *proc = (void *)inode - __builtin_preserve_field_info(((struct proc_inode *)0)->vfs_inode, 0);
	struct pid *pid;
	return copy(pid, proc->pid) ? 0 : outermost(pid);
}

// may_be_memory reports at little cost whether an open file may be
// /proc/PID/mem: nearly none is.
inlined bool may_be_memory(struct file *file)
{
	struct dentry *dentry;
	__u32 length;
	return file && !copy(dentry, file->f_path.dentry) && !copy(length, dentry->d_name.len) && length == 3;
}

// process_of returns the process that a pidfd stands for, as it is numbered at
// the outermost; 0: it is not known. The kernel has found that it is a pidfd.
inlined int process_of(struct file *file)
{
	struct inode *inode;
	struct super_block *sb;
	unsigned long magic;
	struct pid *pid;
	if (!file || copy(inode, file->f_inode) || copy(sb, inode->i_sb) || copy(magic, sb->s_magic))
		return 0;
	bool failed = magic == PIDFS_MAGIC ? copy(pid, ((struct inode___private *)inode)->i_private) : copy(pid, ((struct file___private *)file)->private_data);
	return failed ? 0 : outermost(pid);
}

// names_memory reports whether a path may be that of /proc/PID/mem.
inlined bool names_memory(const void *path)
{
	char text[40] = {};
	long n = bpf_probe_read_user_str(text, sizeof(text), path);
	if (n < 10 || n > 32 || *(__u32 *)text != 0x6f72702f /* "/pro" */)
		return 0;
	__u32 end = n - 5;
	return text[end & 31] == '/' && text[(end + 1) & 31] == 'm' && text[(end + 2) & 31] == 'e' && text[(end + 3) & 31] == 'm';
}

// changes reports whether a call may have changed the process that made it.
inlined bool changes(struct task_struct *t, struct form *f, const __u64 *args)
{
	if (f->what == PRCTL)
		return args[0] == 22 /* PR_SET_SECCOMP */ || args[0] == 38 /* PR_SET_NO_NEW_PRIVS */;
	if (f->changed == SESSION) // setpgid(2) of another process is followed by its own, or an exec
		return f->number == 0 || args[0] == 0 || args[0] == t->tgid;
	return 1;
}

inlined bool has(__u64 set, __u64 bit) { return bit < 64 && set >> bit & 1; }

// Commands of bpf(2) that load, attach, detach or pin, or open what others have.
#define BPF_COMMANDS (1ULL << 5 | 1ULL << 6 | 1ULL << 8 | 1ULL << 9 | 1ULL << 13 | 1ULL << 14 | 1ULL << 17 | 1ULL << 28 | 1ULL << 29 | 1ULL << 30 | 1ULL << 34)
// Operations of keyctl(2) that change keys, or read their payload.
#define KEY_OPERATIONS (1ULL << 2 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 7 | 1ULL << 9 | 1ULL << 11 | 1ULL << 12 | 1ULL << 20 | 1ULL << 21 | 1ULL << 29)

inlined bool notable_prctl(__u64 option, __u64 value)
{
	switch (option) {
	case 4:          // PR_SET_DUMPABLE
	case 28:         // PR_SET_SECUREBITS
	case 35:         // PR_SET_MM
	case 59:         // PR_SET_SYSCALL_USER_DISPATCH
	case PR_SET_PTRACER:
		return 1;
	case 47: // PR_CAP_AMBIENT
		return value == 2; // PR_CAP_AMBIENT_RAISE
	}
	return 0;
}

inlined bool notable_ptrace(__u64 request)
{
	// TRACEME, POKETEXT, POKEDATA, POKEUSR, SETREGS, SETFPREGS, ATTACH; SETREGSET, SEIZE
	return has(1 << 0 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 13 | 1 << 15 | 1 << 16, request) || request == 0x4205 || request == 0x4206;
}

// seen is a system call that may be told: how it was made, and what of it was
// looked up before it is told.
struct seen {
	__u64 args[8];
	__u64 number; // of its form
	__s64 result;
	struct file *file;
	int pid;   // of the target, as the process names it
	int owner; // of the target, as it is numbered at the outermost
	__u32 index; // of its form
	__u32 call;
	__u32 compat;
	struct form form;
};

// notable reports whether a call is to be told, of those whose arguments decide.
separate int notable(struct seen *s)
{
	if (!s)
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	struct form *f = &s->form;
	const __u64 *args = s->args;
	__u64 number = s->number;
	__s64 result = s->result;
	__u32 index = s->index;
	switch (f->what) {
	case MEMORY_EXECUTABLE: {
		if (!has(number, f->bit))
			return 0;
		if (f->bit == SHM_EXEC)
			return (!(f->flags & IPC) || (args[0] & 0xffff) == 21) && first(t, index);
		if (f->bit == READ_IMPLIES_EXEC)
			return (__u32)number != 0xffffffff /* a question */ && first(t, index);
		bool written = number & 2; // PROT_WRITE
		if (f->file) { // mmap
			if (!(args[3] & 0x20 /* MAP_ANONYMOUS */))
				s->file = file_of(t, args[4]);
			if (!written && !(s->file && (args[3] & 1 /* MAP_SHARED */ || in_memory(s->file))))
				return 0;
		} else {
			struct region r = {};
			bpf_find_vma(t, args[0], region_found, &r, 0);
			if (r.found && r.file && !r.private_pages && !r.shared && !in_memory(r.file))
				return 0;
			s->file = r.file;
		}
		return first(t, written ? index : index + MAX_FORMS);
	}
	case MEMORY_OPEN:
		if (!(f->flags & WRITES) && !(number & 3 /* O_ACCMODE */)) {
			if (result < 0 || number & O_PATH || !wants(SYSTEM, MEMORY_READ))
				return 0;
			s->file = file_of(t, result);
			s->owner = may_be_memory(s->file) ? memory_of(s->file) : 0;
			f->what = MEMORY_READ;
			return s->owner != t->tgid && is_of_protected(s->owner);
		}
		if (result < 0)
			return names_memory((void *)args[f->texts > 1]);
		s->file = file_of(t, result);
		s->owner = s->file ? memory_of(s->file) : 0;
		return s->owner != 0;
	case OPEN_BY_HANDLE:
		if (result >= 0)
			s->file = file_of(t, result);
		return 1;
	case MODULE_LOAD:
	case KEXEC:
		if (f->file)
			s->file = file_of(t, args[0]);
		return 1;
	case PTRACE:
		return notable_ptrace(number);
	case VM_READ:
	case VM_WRITE:
		return args[0] != t->tgid;
	case BPF:
		return has(BPF_COMMANDS, number);
	case KEY:
		return !f->number || has(KEY_OPERATIONS, number);
	case PRCTL:
		return notable_prctl(number, args[1]);
	case TIME:
		return !f->number || (number & 0x100 /* ADJ_SETOFFSET */);
	case MOUNT:
		return !f->number || (number & 1 /* OPEN_TREE_CLONE */);
	case NAMESPACE: // any, of unshare(2)
		return !f->number || (number & 0x7e020080);
	case GETFD:
		s->owner = process_of(file_of(t, args[0]));
		return s->owner != t->tgid;
	case SET_LIMITS: // a process in a pid namespace of its own can name no protected one
		return (__u32)s->pid != t->tgid && !t->thread_pid->level && is_of_protected(s->pid);
	case SIGNAL: {
		if (f->file)
			s->owner = process_of(file_of(t, args[0]));
		if (result < 0)
			return 1;
		int code = 0; // signal_generate tells of the usual ones
		if (!f->bytes || bpf_probe_read_user(&code, 4, (void *)args[(f->bytes - 1) & 3] + 8))
			return 0;
		return code < 0 && code != -1 && code != -6;
	}
	}
	return 1;
}

inlined void text(struct scratch *s, struct call *c, int i, const void *from)
{
	char *to = room(s, MAX_PATH);
	if (!to || !from)
		return;
	long n = bpf_probe_read_user_str(to, MAX_PATH, from);
	if (n <= 0) {
		c->r.flags |= TEXT_UNREAD;
		return;
	}
	if (n == MAX_PATH)
		c->r.flags |= TEXT_CUT;
	s->used += n;
	c->text_size[i] = n;
}

// texts appends what the arguments point to.
inlined void texts(struct scratch *s, struct call *c, struct form *f)
{
#pragma unroll
	for (int i = 0; i < 6; i++) {
		if (f->texts >> i & 1)
			text(s, c, i, (void *)c->args[i]);
	}
	if (!f->bytes || f->bytes > 6 || !c->args[f->bytes - 1])
		return;
	__u64 size = f->size;
	if (f->flags & SIZED && f->bytes < 6 && c->args[f->bytes] < size)
		size = c->args[f->bytes];
	char *to = room(s, MAX_BYTES);
	if (!to || size > MAX_BYTES)
		return;
	if (bpf_probe_read_user(to, size, (void *)c->args[f->bytes - 1])) {
		c->r.flags |= TEXT_UNREAD;
		return;
	}
	s->used += size;
	c->bytes_size = size;
	if (f->what == BPF && size >= 8 && (c->args[0] == 6 /* BPF_OBJ_PIN */ || c->args[0] == 17 /* BPF_RAW_TRACEPOINT_OPEN */))
		text(s, c, 1, *(void **)to);
}

inlined void path_of(struct scratch *s, __u32 slot, struct call *c, struct file *file)
{
	struct walk w = {.slot = slot};
	if (copy(w.mnt, file->f_path.mnt) || copy(w.dentry, file->f_path.dentry))
		return;
	c->path_size = loop(s, &w, path_step, MAX_PATH);
	if (w.cut)
		c->r.flags |= PATH_CUT;
}

separate int tell_call(struct seen *seen)
{
	if (!seen)
		return 0;
	struct task_struct *t = current();
	struct form *f = &seen->form;
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);
	if (!s)
		return 0;
	struct call *c = (void *)s->head + CALL_AT;
	__builtin_memset(c, 0, sizeof(*c));
	s->used = 0;
	struct counters *counters = begin(&c->r, SYSTEM, f->what, cpu, t->group_leader);
	if (!counters)
		return 0;
	__builtin_memcpy(c->args, seen->args, sizeof(c->args));
	c->result = seen->result;
	c->number = seen->call;
	c->compat = seen->compat;
	c->form = seen->index;
	if (seen->owner) {
		c->target_pid = seen->owner;
		if (bpf_task_from_pid) {
			struct task_struct *target = bpf_task_from_pid(seen->owner);
			if (target) {
				set_target(c, target);
				bpf_task_release(target);
			}
		}
	} else if (f->what == PTRACE && seen->args[0] == 0 /* PTRACE_TRACEME */) {
		set_target(c, t->real_parent);
	} else if (seen->pid >= 0 && f->target) {
		find_target(c, t, seen->pid);
	}
	texts(s, c, f);
	if (seen->file)
		path_of(s, cpu, c, seen->file);
	__u64 size = sizeof(*c) + s->used;
	if (size > sizeof(*c) + DATA)
		size = sizeof(*c) + DATA;
	output(&c->r, size, SYSTEM, counters);
	return 0;
}

// frequent reports whether it is one of the calls that processes make all the
// time, by one argument.
inlined bool frequent(struct task_struct *t, struct pt_regs *regs, bool compat, struct form *f, __s64 result)
{
	if (f->what == MEMORY_EXECUTABLE)
		return f->number == 3 && !(compat && f->flags & BLOCK) && !has(argument(regs, compat, 2), f->bit);
	if (f->what == MEMORY_OPEN && !(f->flags & (WRITES | PEEK))) {
		__u64 flags = f->number == 2 ? argument(regs, compat, 1) : argument(regs, compat, 2);
		return !(flags & 3 /* O_ACCMODE */) && (result < 0 || !may_be_memory(file_of(t, result)));
	}
	if (f->what == SET_LIMITS) // prlimit64(2) that reads them; setpriority(2) of a group
		return f->number == 3 ? !argument(regs, compat, 2) : f->number == 1 && argument(regs, compat, 0);
	return 0;
}

SEC("tp_btf/sys_exit")
int system_call(__u64 *context)
{
	struct pt_regs *regs = (void *)context[0];
	__s64 result = context[1];
	__u64 nr = call_number(regs);
	if (nr >= MAX_SYSCALLS || !(calls[nr] | compat_calls[nr]))
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	bool compat = is_compat(regs, t);
	__u32 index = compat ? compat_calls[nr] : calls[nr];
	if (!index || index >= MAX_FORMS)
		return 0;
	struct form part = {.what = forms[index].what, .number = forms[index].number, .bit = forms[index].bit, .flags = forms[index].flags};
	if (frequent(t, regs, compat, &part, result))
		return 0;
	struct seen seen = {.index = index, .call = nr, .compat = compat, .result = result, .pid = -1, .form = part};
	struct form *f = &seen.form;
	__u64 *args = seen.args;
	if (compat && f->flags & BLOCK) {
		__u32 block[6] = {};
		bpf_probe_read_user(block, sizeof(block), (void *)argument(regs, compat, 0));
#pragma unroll
		for (int i = 0; i < 6; i++)
			args[i] = block[i];
	} else {
#pragma unroll
		for (int i = 0; i < 6; i++)
			args[i] = argument(regs, compat, i);
	}
	__u64 number = f->number ? args[(f->number - 1) & 7] : 0;
	if (f->flags & PEEK) {
		__u32 value = 0;
		bpf_probe_read_user(&value, sizeof(value), (void *)number);
		number = value;
	}
	seen.number = number;
	f->changed = forms[index].changed;
	if (f->changed && result >= 0 && t == t->group_leader && changes(t, f, args))
		tell_change(t, f->changed, NULL);
	if (!f->what || !wants(SYSTEM, f->what))
		return 0;
	if (result < 0 && result != -EPERM && result != -EACCES && !(f->flags & ALWAYS))
		return 0;
	f->texts = forms[index].texts;
	f->bytes = forms[index].bytes;
	f->size = forms[index].size;
	f->target = forms[index].target;
	f->file = forms[index].file;
	if (f->target && (f->what != PRCTL || number == PR_SET_PTRACER))
		seen.pid = args[(f->target - 1) & 7];
	if (notable(&seen))
		tell_call(&seen);
	return 0;
}

enum { SI_NOINFO = 1 << 16 }; // no code of the kernel: a signal that has no more than its number

// is_caused reports whether a process has the kernel send a signal, of those that
// it does not send as its own: by a file whose owner it has set (F_SETSIG), by
// cgroup.kill. Other codes below 0 are a program's, told at the end of its call,
// and timers are of the process itself; SIGBUS is of memory that fails.
inlined bool is_caused(__u64 signal, int code)
{
	return code == SI_NOINFO || code == -5 /* SI_SIGIO */ || (code > 0 && signal != 7 /* SIGBUS */);
}

SEC("tp_btf/signal_generate")
int signal_sent(__u64 *context)
{
	__u64 signal = context[0], info = context[1];
	if (signal == 17 /* SIGCHLD */ || info == 1 /* SEND_SIG_PRIV */ || info == 2)
		return 0; // the kernel's
	struct task_struct *target = plain(task_struct, context[2]), *leader = target->group_leader;
	struct task_struct *t = current();
	if (leader->tgid == t->tgid)
		return 0;
	int code = info ? ((struct kernel_siginfo *)context[1])->si_code : SI_NOINFO;
	bool protects = is_protected(leader->tgid);
	if (code != 0 /* SI_USER */ && code != -1 /* SI_QUEUE */ && code != -6 /* SI_TKILL */ && !(protects && is_caused(signal, code)))
		return 0;
	bool other = t->real_cred->euid.val != leader->real_cred->uid.val;
	__u32 what = other || protects ? SIGNAL : SIGNAL_OTHER;
	if (!wants(SYSTEM, what))
		return 0;
	struct counters *counters;
	struct call *c = reserve(sizeof(*c), SYSTEM, what, t->group_leader, &counters);
	if (!c)
		return 0;
	c->args[1] = signal;
	c->args[2] = code;
	set_target(c, target);
	submit(c, counters);
	return 0;
}

// A program that is about to run has no arguments yet: that it has another name
// then is told by its exec.
SEC("tp_btf/task_rename")
int renamed(__u64 *context)
{
	struct task_struct *t = (void *)context[0];
	struct mm_struct *mm = t->mm;
	if (t->pid != t->tgid || !mm || !mm->arg_end)
		return 0;
	tell_change(t, NAME, (void *)context[1]);
	return 0;
}

// tell_cgroup tells what happens to a process by way of a control group.
inlined void tell_cgroup(__u32 what, const void *path, struct task_struct *target)
{
	struct task_struct *t = current();
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);
	if (!s || !wants(SYSTEM, what))
		return;
	struct call *c = (void *)s->head + CALL_AT;
	__builtin_memset(c, 0, sizeof(*c));
	s->used = 0;
	struct counters *counters = begin(&c->r, SYSTEM, what, cpu, t->group_leader);
	if (!counters)
		return;
	set_target(c, target);
	__u32 n = append_string(s, path);
	c->text_size[0] = n;
	output(&c->r, sizeof(*c) + (n & (2 * MAX_PATH - 1)), SYSTEM, counters);
}

SEC("tp_btf/cgroup_attach_task")
int cgroup_move(__u64 *context)
{
	struct task_struct *target = (void *)context[2];
	if (is_protected(target->tgid))
		tell_cgroup(CGROUP_MOVE, (void *)context[1], target);
	return 0;
}

SEC("tp_btf/cgroup_freeze")
int cgroup_freeze(__u64 *context)
{
	struct cgroup *group = (void *)context[0];
	__u32 key = 0;
	struct protected *p = bpf_map_lookup_elem(&protected, &key);
	if (!p || !bpf_task_from_pid)
		return 0;
	for (int i = 0; i < MAX_PROTECTED && p->pids[i]; i++) {
		struct task_struct *target = bpf_task_from_pid(p->pids[i]);
		if (!target)
			continue;
		if (target->cgroups->dfl_cgrp == group)
			tell_cgroup(CGROUP_FREEZE, (void *)context[1], target);
		bpf_task_release(target);
	}
	return 0;
}

//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Every fork, exec and exit of a process, as records in one ring buffer, and
// the processes there are, as the same records from an iterator. decode.go
// reads them; the layout of struct record, process and ended is told there too.

#include "process.h"

char LICENSE[] SEC("license") = "GPL";

enum {
	MAX_TASK_ARGS = 8 << 10, // of the arguments of a listed process: a record must fit into 32 KiB
	// More than execve(2) takes: 6 MiB of strings and of pointers to them.
	MAX_VARIABLES = 1 << 20,
	MAX_NAMES = 32, // of variables that are always kept
	// How far those of a rank fill what there is for the environment, so that none
	// crowds out those that matter more.
	ROOM_REQUESTED = 16 << 10,
	ROOM_ALWAYS = 24 << 10,
	ROOM_LOADER = MAX_ENV,
	// In a flood: bytes of arguments, and by how many bits there is less room for
	// the environment.
	BRIEF_ARGS = 1024,
	BRIEF_SHIFT = 3,
};

struct ended {
	struct record r;
	__u64 cpu_time;  // ns
	__u64 peak_rss;  // pages
	__u32 status;    // as wait(2) gives it
	__u32 uid, euid;
	__u32 reserved;
};

_Static_assert(sizeof(struct ended) == 96, "as in decode.go");

struct name {
	__u64 value, mask; // of the first eight bytes of a variable
};

volatile const __u32 cpus = MAX_CPUS - 1; // the key of the iterator's scratch
volatile const bool exit_says_group = 0;  // sched_process_exit has the argument group_dead
volatile const bool all_variables = 0;
volatile const struct name names[MAX_NAMES] = {};

inlined __u64 nanoseconds(__s64 seconds, __u32 rest)
{
	// The highest bit says in newer kernels that the time was asked for.
	return seconds * 1000000000ULL + (rest & 0x7fffffff);
}

inlined void fill_executable(struct process *p, struct file *exe)
{
	struct inode *inode = exe->f_inode;
	if (!inode)
		return;
	p->inode = inode->i_ino;
	p->size = inode->i_size;
	p->mode = inode->i_mode;
	p->owner = inode->i_uid.val;
	p->group = inode->i_gid.val;
	p->nlink = inode->i_nlink;
	struct super_block *sb = inode->i_sb;
	if (!has_subvolumes(sb->s_magic))
		p->dev = sb->s_dev;
	struct inode___6_7 *m7 = (void *)inode;
	struct inode___6_6 *c6 = (void *)inode;
	struct inode___5 *old = (void *)inode;
	if (exists(inode->i_mtime_sec))
		p->mtime = nanoseconds(inode->i_mtime_sec, inode->i_mtime_nsec);
	else if (exists(m7->__i_mtime))
		p->mtime = nanoseconds(m7->__i_mtime.tv_sec, m7->__i_mtime.tv_nsec);
	else
		p->mtime = nanoseconds(old->i_mtime.tv_sec, old->i_mtime.tv_nsec);
	if (exists(inode->i_ctime_sec))
		p->ctime = nanoseconds(inode->i_ctime_sec, inode->i_ctime_nsec);
	else if (exists(c6->__i_ctime))
		p->ctime = nanoseconds(c6->__i_ctime.tv_sec, c6->__i_ctime.tv_nsec);
	else
		p->ctime = nanoseconds(old->i_ctime.tv_sec, old->i_ctime.tv_nsec);
	if (!exe->f_path.dentry->d_hash.pprev)
		p->r.flags |= EXE_UNLINKED;
}

inlined struct kernfs_node *above(struct kernfs_node *node)
{
	struct kernfs_node___5 *old = (void *)node;
	return exists(node->__parent) ? node->__parent : old->parent;
}

// group_of returns the control group in the unified hierarchy or, where that is
// its root, the first in one of version 1 that is not a root.
inlined struct kernfs_node *group_of(struct task_struct *t)
{
	struct css_set *set = t->cgroups;
	struct kernfs_node *unified = set->dfl_cgrp->kn, *node = unified;
#define try(i) \
	if (!above(node) && exists(set->subsys[i])) \
		node = set->subsys[i]->cgroup->kn;
	try(0) try(1) try(2) try(3) try(4) try(5) try(6) try(7)
	try(8) try(9) try(10) try(11) try(12) try(13) try(14)
#undef try
	return above(node) ? node : unified;
}

static long cgroup_step(__u32 i, struct walk *w)
{
	struct kernfs_node *node = w->node, *parent = NULL;
	struct kernfs_node___5 *old = (void *)node;
	const char *name;
	if (exists(node->__parent))
		copy(parent, node->__parent);
	else
		copy(parent, old->parent);
	if (!parent || copy(name, node->name) || append(w, name))
		return 1;
	w->node = parent;
	return 0;
}

// paths appends the names of the executable's, the working directory's and the
// control group's path.
inlined void paths(struct scratch *s, __u32 slot, struct task_struct *t, struct file *exe)
{
	struct process *p = (void *)s->head;
	struct walk w = {.slot = slot};
	if (exe) {
		w.mnt = exe->f_path.mnt;
		w.dentry = exe->f_path.dentry;
		p->exe_size = loop(s, &w, path_step, MAX_PATH);
		if (w.cut)
			p->r.flags |= EXE_CUT;
	}
	struct fs_struct *fs = t->fs;
	if (fs) {
		w.mnt = fs->pwd.mnt;
		w.dentry = fs->pwd.dentry;
		p->cwd_size = loop(s, &w, path_step, MAX_PATH);
		if (w.cut)
			p->r.flags |= CWD_CUT;
	}
	if (exists(t->cgroups)) {
		w.node = group_of(t);
		p->cgroup_size = loop(s, &w, cgroup_step, MAX_PATH);
	}
}

struct environment {
	__u64 at, end; // in the process
	__u32 slot;
	__u32 from; // of used
	__u32 room; // for the variable: 0, it is not kept
	bool inside; // of one that is longer than MAX_VARIABLE
	__u8 flags;
	__u8 shift; // of room
};

inlined bool begins(__u64 start, const char *text)
{
	__u64 value;
	__builtin_memcpy(&value, text, 8);
	return start == value;
}

// room_of returns how much of the environment there may be with a variable, by
// its first eight bytes.
inlined __u32 room_of(__u64 start)
{
	if (begins(start, "LD_PRELO") || begins(start, "LD_AUDIT"))
		return ROOM_LOADER;
#pragma unroll
	for (int i = 0; i < MAX_NAMES; i++)
		if (names[i].mask && (start & names[i].mask) == names[i].value)
			return ROOM_ALWAYS;
	return all_variables ? ROOM_REQUESTED : 0;
}

static long variable_step(__u32 i, struct environment *e)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &e->slot);
	if (!s || e->at >= e->end)
		return 1;
	__u32 used = s->used;
	if (used > DATA - MAX_VARIABLE) {
		e->flags |= ENV_CUT;
		return 1;
	}
	char *to = s->data + used;
	long n = bpf_probe_read_user_str(to, MAX_VARIABLE, (void *)e->at);
	if (n <= 0) {
		e->flags |= ENV_UNREAD;
		return 1;
	}
	bool more = n == MAX_VARIABLE;
	if (!e->inside)
		e->room = room_of(*(__u64 *)to) >> (e->shift & 31);
	if (e->room && used + n > e->from + e->room) {
		e->flags |= ENV_CUT;
		e->room = 0;
		if (e->inside) { // what was kept of it ends here
			*to = 0;
			s->used = used + 1;
		}
	}
	e->inside = more;
	e->at += n - more;
	if (e->room)
		s->used = used + n - more;
	return 0;
}

inlined void environment(struct scratch *s, __u32 slot, struct mm_struct *mm, __u8 shift)
{
	__u32 from = s->used;
	struct environment e = {.at = mm->env_start, .end = mm->env_end, .slot = slot, .from = from, .shift = shift};
	bpf_loop(MAX_VARIABLES, variable_step, &e, 0);
	if (e.at < e.end && !e.flags)
		e.flags = ENV_CUT;
	struct process *p = (void *)s->head;
	p->r.flags |= e.flags;
	p->env_size = s->used - from;
}

inlined int exec(__u64 *context, bool loops)
{
	struct task_struct *t = plain(task_struct, context[0]);
	struct linux_binprm *b = plain(linux_binprm, context[2]);
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);
	if (!s)
		return 0;
	struct process *p = (void *)s->head;
	__builtin_memset(p, 0, sizeof(*p));
	s->used = 0;
	struct counters *c = begin(&p->r, EXEC, 0, cpu, t->group_leader);
	if (!c)
		return 0;
	fill(p, t);
	struct mm_struct *mm = t->mm;
	struct file *exe = mm ? mm->exe_file : NULL;
	if (exe)
		fill_executable(p, exe);
	if (loops)
		paths(s, cpu, t, exe);
	else
		p->r.flags |= NO_PATHS;
	p->filename_size = append_string(s, b->filename);
	if (b->interp != b->filename)
		p->interp_size = append_string(s, b->interp);
	if (mm) {
		__u64 start = mm->arg_start, size = mm->arg_end - start;
		char *to = room(s, MAX_ARGS);
		bool brief = is_brief(p->r.ppid);
		if (size > MAX_ARGS) {
			size = MAX_ARGS;
			p->r.flags |= ARGS_CUT;
		}
		if (brief && size > BRIEF_ARGS) {
			size = BRIEF_ARGS;
			p->r.flags |= ARGS_CUT;
		}
		if (to && bpf_probe_read_user(to, size, (void *)start) == 0) {
			s->used += size;
			p->args_size = size;
		} else {
			p->r.flags |= ARGS_UNREAD;
		}
		if (loops)
			environment(s, cpu, mm, brief ? BRIEF_SHIFT : 0);
	}
	__u64 size = offset_of(struct scratch, data) + s->used;
	if (size > sizeof(*s))
		size = sizeof(*s);
	output(&p->r, size, EXEC, c);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int process_exec(__u64 *context)
{
	return exec(context, 1);
}

// For kernels before 5.17, which have no bpf_loop.
SEC("tp_btf/sched_process_exec")
int process_exec_bare(__u64 *context)
{
	return exec(context, 0);
}

SEC("tp_btf/sched_process_fork")
int process_fork(__u64 *context)
{
	struct task_struct *t = (void *)context[1];
	if (t->pid != t->tgid)
		return 0; // a thread
	struct counters *c;
	struct process *p = reserve(sizeof(*p), FORK, 0, t, &c);
	if (!p)
		return 0;
	fill(p, t);
	submit(p, c);
	return 0;
}

// add_pages adds one of the counters of resident pages.
#define add_pages(sum, mm, kind) \
	({ \
		__s64 n = 0; \
		struct mm_struct___5 *old = (void *)(mm); \
		if (exists((mm)->rss_stat[kind].count)) \
			copy(n, (mm)->rss_stat[kind].count); \
		else \
			copy(n, old->rss_stat.count[kind].counter); \
		sum += n; \
	})

// add_resident adds the resident pages of files, anonymous and shared memory.
#define add_resident(sum, mm) \
	({ \
		add_pages(sum, mm, 0); \
		add_pages(sum, mm, 1); \
		add_pages(sum, mm, 3); \
	})

// peak returns the most pages that the present image had. Before 6.16 it is
// gone by then, and what is left counts images before an exec too.
inlined __u64 peak(struct task_struct *t, struct signal_struct *signal)
{
	struct mm_struct *mm = t->mm;
	if (!mm)
		return signal->maxrss;
	__s64 now = 0;
	add_resident(now, mm);
	__u64 before = mm->hiwater_rss;
	return now > 0 && now > before ? now : before;
}

SEC("tp_btf/sched_process_exit")
int process_exit(__u64 *context)
{
	struct task_struct *t = plain(task_struct, context[0]);
	struct signal_struct *signal = t->signal;
	// Before the argument came, two threads that end at once may both see
	// themselves as the last.
	if (exit_says_group ? !(context[1] & 1) : signal->live.counter != 0)
		return 0;
	struct task_struct *leader = t->group_leader;
	struct counters *c;
	struct ended *e = reserve(sizeof(*e), EXIT, 0, leader, &c);
	if (!e)
		return 0;
	e->cpu_time = signal->sum_sched_runtime + leader->se.sum_exec_runtime;
	if (t != leader) // whose time is added when it has been waited for
		e->cpu_time += t->se.sum_exec_runtime;
	e->peak_rss = peak(t, signal);
	e->status = signal->flags & 4 /* SIGNAL_GROUP_EXIT */ ? signal->group_exit_code : leader->exit_code;
	e->uid = t->real_cred->uid.val;
	e->euid = t->real_cred->euid.val;
	submit(e, c);
	return 0;
}

// process_list lists the processes: for each thread group one record, its size first.
SEC("iter.s/task")
int process_list(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct seq_file *seq = context->meta->seq;
	if (!task)
		return 0;
	struct task_struct *t = plain(task_struct, task);
	if (t->pid != t->tgid)
		return 0;
	__u32 slot = cpus;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return 0;
	struct process *p = (void *)s->head;
	__builtin_memset(p, 0, sizeof(*p));
	s->used = 0;
	fill_record(&p->r, 0, TASK, t->signal->live.counter == 0, 0, t);
	fill(p, t);
	struct task_struct___5 *old = (void *)t;
	p->state = (exists(t->__state) ? t->__state : old->state) | t->exit_state;
	p->switches = t->nvcsw + t->nivcsw;
	p->cpu_time = t->signal->sum_sched_runtime + t->se.sum_exec_runtime;
	struct mm_struct *mm = t->mm;
	struct file *exe = mm ? mm->exe_file : NULL;
	if (exe)
		fill_executable(p, exe);
	if (mm)
		add_resident(p->rss, mm);
	if (bpf_rcu_read_lock) {
		bpf_rcu_read_lock();
		paths(s, slot, t, exe);
		bpf_rcu_read_unlock();
	} else {
		p->r.flags |= NO_PATHS;
	}
	if (mm) {
		__u64 start = mm->arg_start, size = mm->arg_end - start;
		char *to = room(s, MAX_TASK_ARGS);
		if (size > MAX_TASK_ARGS) {
			size = MAX_TASK_ARGS;
			p->r.flags |= ARGS_CUT;
		}
		if (to && bpf_copy_from_user_task(to, size, (void *)start, task, 0) == 0) {
			s->used += size;
			p->args_size = size;
		} else {
			p->r.flags |= ARGS_UNREAD;
		}
	}
	__u32 size = offset_of(struct scratch, data) + s->used;
	if (size > sizeof(*s))
		size = sizeof(*s);
	// When the buffer is full it is emptied, and this process read again.
	bpf_seq_write(seq, &size, sizeof(size));
	bpf_seq_write(seq, s, size);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What a record tells of a process; decode.go reads it.

#ifndef PROCESS_H
#define PROCESS_H

#include "path.h"

enum flags {
	ARGS_CUT = 1,
	ARGS_UNREAD = 2, // a page was not there
	ENV_CUT = 4,
	ENV_UNREAD = 8,
	EXE_CUT = 16,
	CWD_CUT = 32,
	EXE_UNLINKED = 64,
	NO_PATHS = 128, // the kernel has no loop to find them, nor the environment
};

struct process {
	struct record r;
	__u64 cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	__u64 cgroup_id;
	__u64 inode, size, mtime, ctime; // of the executable; times in ns since the Unix epoch
	__u64 start_stack;
	__u64 cpu_time; // ns
	__u64 switches; // of its first thread
	__s64 rss;      // pages
	__u64 total_vm; // pages
	__u32 uid[4], gid[4]; // real, effective, saved, file system
	__u32 ns[8]; // cgroup, ipc, mnt, net, pid, time, user, uts
	__u32 dev, mode, owner, group, nlink; // of the executable
	__u32 pgid, sid, inner_pid, tty, login_uid;
	__u32 task_flags, threads, state;
	__u32 args_size, env_size;
	__u16 exe_size, cwd_size, cgroup_size, filename_size, interp_size;
	__u8 seccomp, no_new_privs;
};

_Static_assert(sizeof(struct process) == HEAD, "as in decode.go");

inlined void fill_namespaces(struct process *p, struct task_struct *t)
{
	struct nsproxy *n = t->nsproxy;
	if (n) { // none once it exits
		if (exists(n->cgroup_ns))
			p->ns[0] = n->cgroup_ns->ns.inum;
		p->ns[1] = n->ipc_ns->ns.inum;
		p->ns[2] = n->mnt_ns->ns.inum;
		p->ns[3] = n->net_ns->ns.inum;
		if (exists(n->time_ns))
			p->ns[5] = n->time_ns->ns.inum;
		p->ns[7] = n->uts_ns->ns.inum;
	}
	p->ns[6] = t->real_cred->user_ns->ns.inum;
	struct pid *pid = t->thread_pid;
	if (!pid)
		return;
	struct upid inner = {};
	__u32 level = pid->level; // how deep its own pid namespace is
	if (level > 32)
		return;
	bpf_probe_read_kernel(&inner, sizeof(inner), (void *)address(pid->numbers) + level * sizeof(inner));
	p->inner_pid = inner.nr;
	struct pid_namespace *space = inner.ns;
	copy(p->ns[4], space->ns.inum);
}

inlined __u32 group_number(struct signal_struct *signal, int kind)
{
	struct pid *pid = signal->pids[kind];
	return pid ? pid->numbers[0].nr : 0;
}

// fill reads what is fixed in size; p holds zeros.
inlined void fill(struct process *p, struct task_struct *t)
{
	t = plain(task_struct, t);
	const struct cred *c = t->real_cred;
	p->uid[0] = c->uid.val;
	p->uid[1] = c->euid.val;
	p->uid[2] = c->suid.val;
	p->uid[3] = c->fsuid.val;
	p->gid[0] = c->gid.val;
	p->gid[1] = c->egid.val;
	p->gid[2] = c->sgid.val;
	p->gid[3] = c->fsgid.val;
	copy(p->cap_inheritable, c->cap_inheritable);
	copy(p->cap_permitted, c->cap_permitted);
	copy(p->cap_effective, c->cap_effective);
	copy(p->cap_bounding, c->cap_bset);
	copy(p->cap_ambient, c->cap_ambient);
	fill_namespaces(p, t);
	if (exists(t->cgroups))
		p->cgroup_id = t->cgroups->dfl_cgrp->kn->id;
	struct signal_struct *signal = t->signal;
	p->pgid = group_number(signal, 2);
	p->sid = group_number(signal, 3);
	p->threads = signal->nr_threads;
	struct tty_struct *tty = signal->tty;
	if (tty) {
		struct tty_driver *driver = tty->driver;
		__u32 minor = driver->minor_start + tty->index;
		p->tty = (minor & 0xff) | driver->major << 8 | (minor & ~0xff) << 12; // new_encode_dev of kdev_t.h
	}
	p->login_uid = -1;
	if (exists(t->loginuid))
		p->login_uid = t->loginuid.val;
	p->task_flags = t->flags;
	p->no_new_privs = t->atomic_flags & 1;
	if (exists(t->seccomp.mode))
		p->seccomp = t->seccomp.mode;
	struct mm_struct *mm = t->mm;
	if (mm) {
		p->start_stack = mm->start_stack;
		p->total_vm = mm->total_vm;
	}
}

#endif

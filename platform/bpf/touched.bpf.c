//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// A path that is passed to a system call can lead through symbolic links and
// mounts, which files.bpf.c does not follow. What the call has changed got
// another ctime, and of that the kernel tells, from 6.13 on.

#include "syscall.h"
#include "touched.h"

char LICENSE[] SEC("license") = "GPL";

static struct pt_regs *(*bpf_task_pt_regs)(struct task_struct *t) = (void *)175; // from 5.15

enum { PF_KTHREAD = 0x200000 };

struct hlist_node {
	struct hlist_node *next;
} relocated;

struct hlist_head {
	struct hlist_node *first;
} relocated;

struct inode___touched {
	struct hlist_head i_dentry;
} relocated;

union dentry_u {
	struct hlist_node d_alias;
};

struct dentry___touched {
	union dentry_u d_u;
} relocated;

inlined int touch(struct inode *inode)
{
	struct task_struct *t = bpf_get_current_task_btf();
	if (t->flags & PF_KTHREAD)
		return 0;
	struct pt_regs *regs = bpf_task_pt_regs(t);
	if (!call_of(regs, is_compat(regs, t)))
		return 0;
	struct hlist_node *first = NULL;
	if (copy(first, ((struct inode___touched *)inode)->i_dentry.first) || !first) // a new one has none yet
		return 0;
	__u64 dentry = (__u64)first - __builtin_preserve_field_info(((struct dentry___touched *)0)->d_u, 0);
	struct touched *touched = bpf_task_storage_get(&touches, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!touched)
		return 0;
	for (int i = 0; i < MAX_TOUCHED; i++) {
		if (i == touched->count) {
			touched->dentries[i] = dentry;
			touched->count = i + 1;
			return 0;
		}
		if (touched->dentries[i] == dentry)
			return 0;
	}
	return 0;
}

SEC("tp_btf/inode_set_ctime_to_ts")
int touched_set(__u64 *context)
{
	return touch((void *)context[0]);
}

SEC("tp_btf/ctime_xchg_skip")
int touched_same(__u64 *context)
{
	return touch((void *)context[0]);
}

SEC("tp_btf/ctime_ns_xchg")
int touched_changed(__u64 *context)
{
	return touch((void *)context[0]);
}

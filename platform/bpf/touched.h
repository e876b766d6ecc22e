// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What a system call with a path has changed, found by its inode.

#ifndef TOUCHED_H
#define TOUCHED_H

#include "kernel.h"

enum {
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	MAX_TOUCHED = 4,
};

static void *(*bpf_task_storage_get)(void *map, struct task_struct *t, void *value, __u64 flags) = (void *)156;

struct touched {
	__u64 count;
	__u64 dentries[MAX_TOUCHED]; // the first of the inode's
};

// What the present call has touched, emptied at its end.
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct touched);
} touches SEC(".maps");

#endif

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Records with texts: where they are made, and paths.

#ifndef PATH_H
#define PATH_H

#include "record.h"

enum {
	MAX_NAME = 256,  // of one path component, NAME_MAX and its NUL
	MAX_PATH = 4096, // of one path
	HEAD = 320,      // of a record before its texts
	// Two paths, the control group's, filename, interpreter, arguments,
	// environment, and room for one more of whatever comes last.
	MAX_ARGS = 32 << 10,  // of the arguments of an exec
	MAX_ENV = 32 << 10,   // of the environment
	MAX_VARIABLE = 4096,  // of one variable, at a time
	DATA = 6 * MAX_PATH + MAX_ARGS + MAX_ENV + MAX_VARIABLE,
};

// has_subvolumes reports whether stat(2) tells a device for each subvolume of a
// file system, by its number of magic.h.
inlined bool has_subvolumes(unsigned long magic)
{
	return magic == 0x9123683e /* btrfs */ || magic == 0xca451a4e /* bcachefs */;
}

// scratch is where a record is made that is sent by output: a struct of the
// kind, and behind it the texts.
struct scratch {
	char head[HEAD];
	char data[DATA];
	__u32 used; // of data
};

// One for each CPU and the last for the iterator. Not a per-CPU map: their
// values end at 32 KiB. A tracepoint's program is not preempted.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

// walk is where a loop stands that writes names into a scratch, the last one
// of a path first. Its offset stands in the scratch, in memory that the
// verifier does not follow from turn to turn.
struct walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct kernfs_node *node; // of a control group
	__u32 slot;  // the key of the scratch
	__u32 limit; // of used
	bool cut;
};

// append copies a name of the kernel and its NUL.
inlined long append(struct walk *w, const void *name)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &w->slot);
	if (!s)
		return 1;
	__u32 used = s->used;
	if (used > DATA - MAX_NAME || used + MAX_NAME > w->limit) {
		w->cut = 1;
		return 1;
	}
	long n = bpf_probe_read_kernel_str(s->data + used, MAX_NAME, name);
	if (n < 0) {
		w->cut = 1;
		return 1;
	}
	s->used = used + n;
	return 0;
}

static long path_step(__u32 i, struct walk *w)
{
	struct dentry *d = w->dentry, *root, *parent;
	struct vfsmount *mnt = w->mnt;
	const unsigned char *name;
	if (copy(root, mnt->mnt_root) || copy(parent, d->d_parent)) {
		w->cut = 1;
		return 1;
	}
	if (d == root) { // on to where it is mounted
		struct mount *m = (void *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0), *above;
		if (copy(above, m->mnt_parent) || above == m)
			return 1;
		copy(w->dentry, m->mnt_mountpoint);
		w->mnt = (void *)above + ((void *)mnt - (void *)m);
		return 0;
	}
	if (copy(name, d->d_name.name) || append(w, name))
		return 1;
	w->dentry = parent;
	return d == parent; // of no file system that is mounted
}

// loop runs a step and returns how many bytes of names it has written.
inlined __u32 loop(struct scratch *s, struct walk *w, void *step, __u32 limit)
{
	__u32 from = s->used;
	w->limit = from + limit;
	w->cut = 0;
	if (bpf_loop(MAX_PATH / 2, step, w, 0) < 0)
		w->cut = 1;
	__u32 used = s->used;
	if (used == from && !w->cut && used < DATA) { // the root
		s->data[used] = 0;
		s->used = used + 1;
	}
	return s->used - from;
}

// room returns where n bytes may be appended, or NULL.
inlined char *room(struct scratch *s, __u32 n)
{
	__u32 used = s->used;
	if (used > DATA - n)
		return NULL;
	return s->data + used;
}

inlined __u32 append_string(struct scratch *s, const void *text)
{
	char *to = room(s, MAX_PATH);
	if (!to)
		return 0;
	long n = bpf_probe_read_kernel_str(to, MAX_PATH, text);
	if (n <= 0)
		return 0;
	s->used += n;
	return n;
}

#endif

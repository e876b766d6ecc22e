// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What all programs share: the head of a record, the ring buffer into which
// they write, what they count, and what of it is wanted. Each .bpf.c is one
// object; the loader gives all the same maps. decode.go reads the records.

#ifndef RECORD_H
#define RECORD_H

#include "kernel.h"

enum {
	MAX_CPUS = 4096,
};

enum kind {
	FORK = 1,
	EXEC,
	EXIT,
	TASK, // a process that an iterator has found
	CHANGED, // of a process: its credentials, name, root or namespaces
	NETWORK,
	FILES,
	SYSTEM,
	KINDS,
};

struct record {
	__u64 sequence; // of this CPU, from 1; 0 from an iterator
	__u64 time;     // boot clock, ns
	__u64 start;    // of the process, boot clock, ns
	__u32 pid;
	__u16 cpu;
	__u8 kind;
	__u8 flags;
	__u64 parent_start;
	__u32 ppid;
	__u32 what; // has happened, by the kind; of TASK: it has no living thread, its end was told
	char comm[16];
};

_Static_assert(sizeof(struct record) == 64, "as in decode.go");

// What one CPU has sent; sequence is the sum of sent.
struct counters {
	__u64 sequence;
	__u64 sent[KINDS];
	__u64 lost[KINDS]; // of sent: there was no room
	__u64 held[KINDS]; // of sent: held back, so that others have room
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CPUS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

// What the reader says of itself.
struct reading {
	__u64 waits; // it is about to wait for a wake-up
	__u64 behind; // it can not keep up
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct reading);
} readings SEC(".maps");

// What is wanted, by kind: a bit for each of what can happen. The reader writes it.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KINDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} wanted SEC(".maps");

volatile const bool has_fetch = 1; // atomic operations that return a value, from 5.12

enum {
	FLOOD = 28, // What of SYSTEM: a process is held back
	USUAL_EXEC = 4096, // bytes
};

// sort_of is what there is a budget for.
inlined __u16 sort_of(__u8 kind, __u32 what) { return kind << 8 | (what & 0xff); }

// wants reports whether what happens is wanted.
inlined bool wants(__u32 kind, __u32 what)
{
	__u64 *mask = bpf_map_lookup_elem(&wanted, &kind);
	return mask && *mask >> (what & 63) & 1;
}

inlined struct counters *counters_of(__u32 cpu)
{
	return bpf_map_lookup_elem(&counters, &cpu);
}

// number counts a record as sent and returns its number. An interrupt may send
// one while this runs.
inlined __u64 number(struct counters *c, __u8 kind)
{
	__sync_fetch_and_add(&c->sent[kind], 1);
	if (has_fetch)
		return __sync_fetch_and_add(&c->sequence, 1) + 1;
	return ++c->sequence;
}

inlined void fill_record(struct record *r, __u64 sequence, __u8 kind, __u32 what, __u32 cpu, struct task_struct *leader)
{
	leader = plain(task_struct, leader);
	struct task_struct *parent = leader->real_parent;
	struct task_struct *father = parent->group_leader;
	r->sequence = sequence;
	r->time = bpf_ktime_get_boot_ns();
	r->start = leader->start_boottime;
	r->pid = leader->tgid;
	r->cpu = cpu;
	r->kind = kind;
	r->flags = 0;
	r->parent_start = father->start_boottime;
	r->ppid = father->tgid;
	r->what = what;
	copy(r->comm, leader->comm);
}

// wake wakes the reader if it waits. It looks after the record is in the ring;
// the reader says that it waits before it looks into the ring, so that one of
// the two sees the other.
inlined void wake(struct counters *c)
{
	__u32 key = 0;
	struct reading *reading = bpf_map_lookup_elem(&readings, &key);
	if (!reading)
		return;
	__sync_fetch_and_add(&c->lost[0], 0); // a memory barrier
	if (!reading->waits)
		return;
	void *nothing = bpf_ringbuf_reserve(&ring, 8, 0);
	if (!nothing)
		return; // the next one tries
	reading->waits = 0;
	bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

// take returns a record of size bytes, a constant, that is sent by submit; NULL
// when the ring is full. Only its head is set.
inlined void *take(__u64 size, __u8 kind, __u32 what, __u32 cpu, struct task_struct *leader, struct counters *c)
{
	__u64 sequence = number(c, kind);
	void *r = bpf_ringbuf_reserve(&ring, size, 0);
	if (r)
		fill_record(r, sequence, kind, what, cpu, leader);
	else
		__sync_fetch_and_add(&c->lost[kind], 1);
	return r;
}

inlined void submit(void *r, struct counters *c)
{
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	wake(c);
}

#include "flood.h"

// begin makes the head of a record that is sent by output; NULL: it is not to be
// sent.
inlined struct counters *begin(struct record *r, __u8 kind, __u32 what, __u32 cpu, struct task_struct *leader)
{
	struct counters *c = counters_of(cpu);
	if (!c || (kind > TASK && is_held(sort_of(kind, what), leader->tgid, 0)))
		return NULL;
	fill_record(r, number(c, kind), kind, what, cpu, leader);
	return c;
}

// output sends size bytes from r on.
inlined void output(struct record *r, __u64 size, __u8 kind, struct counters *c)
{
	if (bpf_ringbuf_output(&ring, r, size, BPF_RB_NO_WAKEUP) < 0)
		__sync_fetch_and_add(&c->lost[kind], 1);
	else if (kind > TASK)
		charge(sort_of(kind, r->what), r->pid, size);
	else if (kind == EXEC && size > USUAL_EXEC)
		charge(sort_of(EXEC, 0), r->ppid, size - USUAL_EXEC);
	wake(c);
}

// reserve_head returns a record, see take, for which the process pid is held
// back when that is due.
inlined void *reserve_head(__u64 size, __u8 kind, __u32 what, __u32 pid, struct task_struct *leader, struct counters **counters)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct counters *c = counters_of(cpu);
	if (!c || (kind > TASK && is_held(sort_of(kind, what), pid, size)))
		return NULL;
	*counters = c;
	return take(size, kind, what, cpu, leader, c);
}

// reserve_of is reserve_head, with zeros behind the head.
inlined void *reserve_of(__u64 size, __u8 kind, __u32 what, __u32 pid, struct task_struct *leader, struct counters **counters)
{
	void *r = reserve_head(size, kind, what, pid, leader, counters);
	if (r)
		__builtin_memset(r + sizeof(struct record), 0, size - sizeof(struct record));
	return r;
}

// reserve is reserve_of for what the process itself does.
inlined void *reserve(__u64 size, __u8 kind, __u32 what, struct task_struct *leader, struct counters **counters)
{
	return reserve_of(size, kind, what, leader->tgid, leader, counters);
}

#endif

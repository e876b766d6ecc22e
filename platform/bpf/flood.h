// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Who may fill the ring buffer. Forks, execs and exits always may; the last
// quarter is theirs alone. What else happens is told whoever makes it as long as
// less than half of the ring buffer is used and the reader keeps up. Beyond that
// a process, and all processes of a user but root, have a budget of bytes per
// second for each sort of event. So who makes many of one sort is held back, and
// hides neither what others do nor what it does itself of other sorts. In the
// same way there is a budget for long texts of execs, by the process that made
// the one that executes; without it the texts are cut.

#ifndef FLOOD_H
#define FLOOD_H

enum {
	MAX_BUDGETS = 4096, // of which the least recently used goes, and begins anew
	PROCESS_SHARE = 128, // of the ring buffer, each second
	USER_SHARE = 32,
	SECOND = 1000000000,
};

struct sender {
	__u32 id; // of a process; of a user
	__u16 sort;
	__u16 is_user;
};

struct budget {
	__u64 until; // boot clock, ns: when what was sent will be paid for
	__u64 held;  // records that were not sent
	__u64 told;  // boot clock, ns: when that was
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_BUDGETS);
	__type(key, struct sender);
	__type(value, struct budget);
} budgets SEC(".maps");

// A flood is told as a struct call of system.bpf.c, of which these are the first
// arguments.
struct flood {
	struct record r;
	__u64 kind, what;
	__u64 held;
	__u64 is_user; // the budget was
	char zeros[80];
};

_Static_assert(sizeof(struct flood) == 176, "as struct call of system.bpf.c");

enum verdict {
	NO_ROOM,
	ADMITTED,
	WITHHELD,
	WITHHELD_PROCESS, // and it is time to tell
	WITHHELD_USER,
};

inlined __u64 ring_size(void) { return bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE); }
inlined __u64 ring_used(void) { return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA); }

// is_rationed reports whether budgets count.
inlined bool is_rationed(__u64 size, __u64 used)
{
	__u32 key = 0;
	struct reading *reading = bpf_map_lookup_elem(&readings, &key);
	return used > size / 2 || (reading && reading->behind);
}

// pay takes bytes from a budget.
inlined void pay(struct budget *b, __u64 now, __u64 bytes, __u64 per_second)
{
	__u64 from = b->until > now ? b->until : now;
	b->until = from + bytes * SECOND / per_second;
}

inlined struct budget *budget_of(struct sender *s)
{
	struct budget *b = bpf_map_lookup_elem(&budgets, s), whole = {};
	if (b)
		return b;
	bpf_map_update_elem(&budgets, s, &whole, BPF_NOEXIST);
	return bpf_map_lookup_elem(&budgets, s);
}

// is_spent reports whether a budget has nothing left, and counts what is held back then.
inlined bool is_spent(struct budget *b, __u64 now)
{
	if (b->until <= now + SECOND)
		return 0;
	__sync_fetch_and_add(&b->held, 1);
	return 1;
}

inlined bool is_to_be_told(struct budget *b, __u64 now)
{
	if (b->told && now - b->told < SECOND)
		return 0;
	b->told = now;
	return 1;
}

// payers are whose budgets a record of a process is paid from.
struct payers {
	struct sender process, user;
};

// payers_of returns false if the user has no budget: it is root, or not known
// since the current process is neither this one nor made by it.
inlined bool payers_of(struct payers *p, __u32 sort, __u32 pid)
{
	struct task_struct *t = current();
	__u32 uid = t->real_cred->uid.val;
	p->process = (struct sender){.id = pid, .sort = sort};
	p->user = (struct sender){.id = uid, .sort = sort, .is_user = 1};
	return uid && (t->tgid == pid || sort >> 8 == EXEC);
}

// decide says what becomes of a record of so many bytes, as far as these are
// known; charge takes the others.
inlined enum verdict decide(struct payers *p, bool with_user, __u32 bytes)
{
	__u64 size = ring_size(), used = ring_used();
	if (used > size / 4 * 3)
		return NO_ROOM;
	if (!is_rationed(size, used))
		return ADMITTED;
	__u64 now = bpf_ktime_get_boot_ns();
	struct budget *process = budget_of(&p->process), *user = with_user ? budget_of(&p->user) : NULL;
	if (process && is_spent(process, now))
		return is_to_be_told(process, now) ? WITHHELD_PROCESS : WITHHELD;
	if (user && is_spent(user, now))
		return is_to_be_told(user, now) ? WITHHELD_USER : WITHHELD;
	if (process)
		pay(process, now, bytes, size / PROCESS_SHARE);
	if (user)
		pay(user, now, bytes, size / USER_SHARE);
	return ADMITTED;
}

// tell_flood tells of the current process that it, or its user, is held back.
inlined void tell_flood(struct sender *s, struct counters *c, __u32 cpu)
{
	if (!wants(SYSTEM, FLOOD))
		return;
	struct flood *f = take(sizeof(*f), SYSTEM, FLOOD, cpu, current()->group_leader, c);
	if (!f)
		return;
	__builtin_memset((void *)f + sizeof(struct record), 0, sizeof(*f) - sizeof(struct record));
	f->kind = s->sort >> 8;
	f->what = s->sort & 0xff;
	f->is_user = s->is_user;
	struct budget *b = bpf_map_lookup_elem(&budgets, s);
	if (b)
		f->held = b->held;
	submit(f, c);
}

// is_held reports whether a record is not to be sent, and counts it then.
separate int is_held(__u32 sort, __u32 pid, __u32 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id(), kind = sort >> 8;
	struct counters *c = counters_of(cpu);
	struct payers p;
	bool with_user = payers_of(&p, sort, pid);
	enum verdict v = decide(&p, with_user, bytes);
	if (v == ADMITTED || !c || kind >= KINDS)
		return 0;
	number(c, kind);
	__sync_fetch_and_add(v == NO_ROOM ? &c->lost[kind] : &c->held[kind], 1);
	if (v > WITHHELD && current()->tgid == pid)
		tell_flood(v == WITHHELD_USER ? &p.user : &p.process, c, cpu);
	return 1;
}

// is_brief reports whether the texts of an exec are to be cut.
separate int is_brief(__u32 maker)
{
	struct payers p;
	bool with_user = payers_of(&p, sort_of(EXEC, 0), maker);
	return decide(&p, with_user, 0) != ADMITTED;
}

separate int charge(__u32 sort, __u32 pid, __u32 bytes)
{
	__u64 size = ring_size();
	if (!is_rationed(size, ring_used()))
		return 0;
	struct payers p;
	bool with_user = payers_of(&p, sort, pid);
	__u64 now = bpf_ktime_get_boot_ns();
	struct budget *b = bpf_map_lookup_elem(&budgets, &p.process);
	if (b)
		pay(b, now, bytes, size / PROCESS_SHARE);
	b = with_user ? bpf_map_lookup_elem(&budgets, &p.user) : NULL;
	if (b)
		pay(b, now, bytes, size / USER_SHARE);
	return 0;
}

#endif

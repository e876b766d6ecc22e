// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// System calls at their end, when their result is known: the arguments stand
// in the registers as they were passed. A program hangs on tp_btf/sys_exit,
// whose context is the registers and the result.

#ifndef SYSCALL_H
#define SYSCALL_H

#include "record.h"

enum {
	MAX_SYSCALLS = 576, // those of x32 alone end at 547
	TS_COMPAT = 2, // of thread_info.status of x86
};

// What a call is to the program, by its number: 0, nothing. The loader fills
// it; a process of 32 bits has other numbers.
volatile const __u8 calls[MAX_SYSCALLS] = {};
volatile const __u8 compat_calls[MAX_SYSCALLS] = {};

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	unsigned long r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	unsigned long bp, bx;
} relocated;

// call_number is that of x86-64 for the calls of x32, which have a bit more.
inlined __u64 call_number(struct pt_regs *regs) { return regs->orig_ax & ~0x40000000ULL; }

inlined bool is_compat(struct pt_regs *regs, struct task_struct *t)
{
	return t->thread_info.status & TS_COMPAT;
}

inlined __u64 argument(struct pt_regs *regs, bool compat, int i)
{
	switch (i) {
	case 0:
		return compat ? (__u32)regs->bx : regs->di;
	case 1:
		return compat ? (__u32)regs->cx : regs->si;
	case 2:
		return compat ? (__u32)regs->dx : regs->dx;
	case 3:
		return compat ? (__u32)regs->si : regs->r10;
	case 4:
		return compat ? (__u32)regs->di : regs->r8;
	}
	return compat ? (__u32)regs->bp : regs->r9;
}

#elif defined(__TARGET_ARCH_arm64)

struct user_pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
} relocated;

struct pt_regs {
	struct user_pt_regs user_regs;
	__u64 orig_x0;
	int syscallno;
} relocated;

inlined __u64 call_number(struct pt_regs *regs) { return (__u32)regs->syscallno; }

inlined bool is_compat(struct pt_regs *regs, struct task_struct *t)
{
	return regs->user_regs.pstate & 0x10; // PSR_MODE32_BIT
}

inlined __u64 argument(struct pt_regs *regs, bool compat, int i)
{
	__u64 value = i ? regs->user_regs.regs[i] : regs->orig_x0;
	return compat ? (__u32)value : value;
}

#endif

// call_of returns what the call is to the program, 0: nothing.
inlined __u8 call_of(struct pt_regs *regs, bool compat)
{
	__u64 number = call_number(regs);
	if (number >= MAX_SYSCALLS)
		return 0;
	return compat ? compat_calls[number] : calls[number];
}

#endif

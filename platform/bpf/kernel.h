// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What the programs need of the kernel: the fields that it reads, of which the
// loader takes the offsets from the BTF of the running kernel (CO-RE), and the
// helpers by their numbers, bpf-helpers(7). A struct with ___ in its name is
// that of other kernel versions.

#ifndef KERNEL_H
#define KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef _Bool bool;

#define NULL ((void *)0)
#define SEC(name) __attribute__((section(name), used))
#define inlined static inline __attribute__((always_inline))
#define separate __attribute__((noinline)) // a function that is verified once, not at each call
#define __ksym __attribute__((section(".ksyms")))
#define __weak __attribute__((weak))
#define offset_of(type, member) __builtin_offsetof(type, member)

// A map as the loader reads it from the object's BTF.
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_NOEXIST = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

struct task_struct;

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_probe_read_user)(void *to, __u32 size, const void *from) = (void *)112;
static long (*bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*bpf_probe_read_user_str)(void *to, __u32 size, const void *from) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *to, __u32 size, const void *from) = (void *)115;
static __u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*bpf_seq_write)(void *seq, const void *data, __u32 size) = (void *)127;
static long (*bpf_ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*bpf_ringbuf_query)(void *ring, __u64 what) = (void *)134;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158; // from 5.11
static long (*bpf_find_vma)(struct task_struct *t, __u64 at, void *callback, void *context, __u64 flags) = (void *)180; // from 5.17
static long (*bpf_loop)(__u32 times, void *callback, void *context, __u64 flags) = (void *)181;
static long (*bpf_copy_from_user_task)(void *to, __u32 size, const void *from, void *task, __u64 flags) = (void *)191;

extern void bpf_rcu_read_lock(void) __weak __ksym;
extern void bpf_rcu_read_unlock(void) __weak __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __weak __ksym;   // from 6.2
extern struct task_struct *bpf_task_from_vpid(int pid) __weak __ksym; // from 6.14
extern void bpf_task_release(struct task_struct *t) __weak __ksym;

extern void *bpf_rdonly_cast(const void *object, __u32 type) __weak __ksym; // from 6.2

// plain returns a pointer as one that is only read through, where the kernel can
// tell: of each field of one that is good for more the verifier looks up in all
// types, by name, whether it is too. Helpers that take a task refuse it.
#define plain(type, pointer) \
	((struct type *)(bpf_rdonly_cast ? bpf_rdonly_cast((void *)(pointer), __builtin_btf_type_id(*(struct type *)0, 1)) : (void *)(pointer)))

#define current() plain(task_struct, bpf_get_current_task_btf())

// exists: whether the running kernel's struct has the field.
#define exists(field) __builtin_preserve_field_info(field, 2)
// size_of: of a struct of the running kernel.
#define size_of(type) __builtin_preserve_type_info(*(type *)0, 1)
#define address(field) __builtin_preserve_access_index(&(field))
// copy reads a field through a pointer that the verifier does not know.
#define copy(to, field) bpf_probe_read_kernel(&(to), sizeof(to), address(field))

#define relocated __attribute__((preserve_access_index))

typedef struct {
	__u32 val;
} kuid_t, kgid_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic_long_t;

struct qstr {
	__u32 len;
	const unsigned char *name;
} relocated;

struct hlist_bl_node {
	void **pprev;
} relocated;

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
} relocated;

struct vfsmount {
	struct dentry *mnt_root;
} relocated;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} relocated;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} relocated;

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
} relocated;

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
} relocated;

struct inode {
	__u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	__u32 i_nlink;
	__s64 i_size;
	__s64 i_mtime_sec; // from 6.11
	__s64 i_ctime_sec;
	__u32 i_mtime_nsec;
	__u32 i_ctime_nsec;
} relocated;

struct inode___6_7 {
	struct timespec64 __i_mtime;
} relocated;

struct inode___6_6 {
	struct timespec64 __i_ctime;
} relocated;

struct inode___5 {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
} relocated;

struct file {
	__u32 f_mode;
	struct inode *f_inode;
	struct path f_path;
} relocated;

struct file___private {
	void *private_data;
} relocated;

struct inode___private {
	void *i_private;
} relocated;

struct fdtable {
	__u32 max_fds;
	struct file **fd;
} relocated;

struct files_struct {
	struct fdtable *fdt;
} relocated;

struct percpu_counter {
	__s64 count;
} relocated;

struct mm_struct {
	unsigned long hiwater_rss;
	unsigned long total_vm;
	unsigned long start_stack;
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct percpu_counter rss_stat[4]; // from 6.2
	struct file *exe_file;
} relocated;

struct mm_rss_stat {
	atomic_long_t count[4];
} relocated;

struct mm_struct___5 {
	struct mm_rss_stat rss_stat;
} relocated;

struct ns_common {
	__u32 inum;
} relocated;

struct uts_namespace {
	struct ns_common ns;
} relocated;
struct ipc_namespace {
	struct ns_common ns;
} relocated;
struct mnt_namespace {
	struct ns_common ns;
} relocated;
struct pid_namespace {
	struct ns_common ns;
} relocated;
struct net {
	struct ns_common ns;
} relocated;
struct time_namespace {
	struct ns_common ns;
} relocated;
struct cgroup_namespace {
	struct ns_common ns;
} relocated;
struct user_namespace {
	struct ns_common ns;
} relocated;

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
} relocated;

struct upid {
	int nr;
	struct pid_namespace *ns;
} relocated;

struct pid {
	__u32 level;
	struct upid numbers[1];
} relocated;

struct kernfs_node {
	struct kernfs_node *__parent; // from 6.15
	const char *name;
	__u64 id;
} relocated;

struct kernfs_node___5 {
	struct kernfs_node *parent;
} relocated;

struct cgroup {
	struct kernfs_node *kn;
} relocated;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
} relocated;

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
} relocated;

struct tty_driver {
	int major;
	int minor_start;
} relocated;

struct tty_struct {
	int index;
	struct tty_driver *driver;
} relocated;

typedef struct {
	__u64 value; // one word since 6.3, two of 32 bits before, low one first
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	kernel_cap_t cap_inheritable;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	kernel_cap_t cap_bset;
	kernel_cap_t cap_ambient;
	struct user_namespace *user_ns;
} relocated;

struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	__u32 flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	__u64 utime;
	__u64 stime;
	unsigned long maxrss;
	__u64 sum_sched_runtime;
} relocated;

struct fs_struct {
	struct path root;
	struct path pwd;
} relocated;

struct seccomp {
	int mode;
} relocated;

struct sched_entity {
	__u64 sum_exec_runtime;
} relocated;

struct thread_info {
	__u64 flags;
	__u32 status; // x86
} relocated;

struct task_struct {
	struct thread_info thread_info;
	__u32 __state; // from 5.14
	__u32 flags;
	struct sched_entity se;
	struct mm_struct *mm;
	int exit_state;
	int exit_code;
	unsigned long atomic_flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 utime;
	__u64 stime;
	unsigned long nvcsw;
	unsigned long nivcsw;
	__u64 start_boottime;
	const struct cred *real_cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid;
	struct seccomp seccomp;
	struct css_set *cgroups;
} relocated;

struct task_struct___5 {
	long state;
} relocated;

struct proc_inode {
	struct pid *pid;
	struct inode vfs_inode;
} relocated;

struct anon_vma;

struct vm_area_struct {
	unsigned long vm_flags;
	struct anon_vma *anon_vma;
	struct file *vm_file;
} relocated;

struct kernel_siginfo {
	int si_code;
} relocated;

struct linux_binprm {
	const char *filename;
	const char *interp;
} relocated;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} relocated;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} relocated;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} relocated;

#endif

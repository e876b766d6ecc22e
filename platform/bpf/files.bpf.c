//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What is done to files whose paths are watched. A system call is looked at
// when it ends. Of an open file the path is the one that the kernel has; of a
// path that was passed it is the text as it stands in the process by then,
// behind the directory from which it counts. files.go reads the records and
// says where a call has its arguments; watch.go makes the tables.

#include "path.h"
#include "syscall.h"
#include "touched.h"

char LICENSE[] SEC("license") = "GPL";

enum {
	MAX_CALLS = 256, // as many as a number in calls can say
	MAX_DEPTH = 16, // beyond, nothing but the end of a watched directory's path is left to be found
	STATES = 4096,
	EDGES = 8192,
	MAX_PROBES = 64,
	KEYS = 256,
	MAX_KEY_PROBES = 16,
	BEGINS = 1024,
	MAX_BEGIN_PROBES = 16,
};

// What was done; record.what.
enum file_event {
	WRITE, // opened for writing
	CREATE,
	READ, // opened for reading
	TRUNCATE,
	RENAME,
	LINK,
	SYMLINK,
	DELETE,
	MKDIR,
	MKNOD,
	CHMOD,
	CHOWN,
	SETXATTR,
	REMOVEXATTR,
};

enum file_flags {
	RESOLVED = 1, // the path is that of an open file
	CUT = 2, // first names of the path are missing
	TARGET_CUT = 4,
	UNREAD = 8, // the text could not be read
	TARGET_UNREAD = 16,
	TOUCHED = 32, // the paths within file systems are of what the call has touched, and stand behind the target's
};

// uapi/asm-generic/fcntl.h and fs.h
enum {
	O_ACCMODE = 03,
	O_CREAT = 0100,
	O_TRUNC = 01000,
	O_PATH = 010000000,
	O_TMPFILE_BIT = 020000000,
	FMODE_CREATED = 0x100000,
	S_IFMT = 0170000,
	S_IFREG = 0100000,
	S_IFDIR = 0040000,
	S_ISUID = 04000,
	S_ISGID_AND_X = 02010,
	EPERM = 1,
	EACCES = 13,
	AT_FDCWD = -100,
};

struct file_record {
	struct record r;
	__u64 inode;
	__u64 call_flags;
	__u32 dev, mode, owner, group; // of an open file; dev 0: it has none, or several
	__u32 new_mode, new_owner, new_group; // that were asked for
	__u32 error;
	// Of the texts, in their order: the path passed, the directory's names, these
	// within its file system, the same of the target, and the attribute's name.
	__u16 text_size, base_size, target_size, target_base_size, name_size;
	__u8 call;
	__u8 reserved;
	__u16 inner_size, target_inner_size;
	__u32 inner_dev, target_inner_dev;
	// The first bytes of the path passed, for which the directory stands.
	__u16 skip, target_skip, inner_skip, target_inner_skip;
};

_Static_assert(sizeof(struct file_record) == 144, "as in files.go");

// shape says what a system call does, and with which arguments: the first is 1,
// and 0 none.
struct shape {
	__u32 flags; // that it has without an argument
	__u8 event;
	__u8 opens;
	__u8 fd, dir, path, target_dir, target;
	__u8 flags_at, how, mode, owner, group, name;
	__u8 reserved[3];
};

_Static_assert(sizeof(struct shape) == 20, "as in files.go");

enum { WORKING_DIRECTORY = 7 }; // as an argument

volatile const struct shape shapes[MAX_CALLS] = {};

// The tables of which paths are watched: a finite automaton that takes a path
// name by name, from the root on. State 0 is none.
struct state {
	__u16 others; // the state after a name that no edge has
	__u16 watched; // WATCH_*
};

struct edge {
	__u64 hash; // of the name
	__u32 from, to;
};

enum {
	WATCH_CHANGES = 1,
	WATCH_READS = 2,
	WATCH_LEADS = 4, // what is below may be watched
	// Of /proc: it stands for the process's working directory, for a file that it
	// has open, or for those of another process.
	WATCH_OWN_DIRECTORY = 8,
	WATCH_OWN_FILE = 16,
	WATCH_FOREIGN = 32,
	WATCH_OF_THREAD = 64, // the process's are those of its first thread
	ROOT = 1,
};

struct dentry___inside {
	struct inode *d_inode;
	struct super_block *d_sb;
} relocated;

// begin is the state from which a path within a file system goes on.
struct begin {
	__u32 dev; // of the kernel's super_block
	__u32 state; // 0: there is none
};

struct tables {
	struct state states[STATES];
	struct edge edges[EDGES]; // by hash and state, with open addressing
	__u64 keys[KEYS];         // of the names that a file may have, or its directory, whose reads are watched
	__u64 lengths;            // of these names, modulo 64
	struct begin begins[BEGINS]; // by dev, with open addressing
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tables);
} watched SEC(".maps");

// Which of the two counts.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} watching SEC(".maps");

// passed is a path of a call.
struct passed {
	__u16 text_size, base_size, inner_size, skip, inner_skip;
	__u16 last; // where the last name is in the text
	__u64 hash; // of that
	__u32 dev; // of the file system that inner_size is about
	bool cut, unread;
	bool resolved; // it is the path of an open file
	bool foreign;
	__u8 watched; // WATCH_*
};

// match is where a path stands in the automaton.
struct match {
	struct passed path, target;
	__u64 arguments[8];
	__u64 hashes[MAX_DEPTH]; // of the names nearest to the root; the last one last
	__u32 names;
	__u32 inside;       // how many names there are within the first mount
	struct dentry *top; // of which this is the root
	__u32 depth;
	__u32 floor; // no .. leads above
	bool left;   // one would have
	bool foreign; // the text goes by way of another process
	__u16 jump;   // WATCH_OWN_*: what follows in the text counts from there
	__u32 number; // of the open file
	__u32 last;   // where the last name is, in the scratch's data
	__u64 hash;   // of that
	__u64 touched[MAX_TOUCHED]; // dentries of what the call has changed
	__u32 at;    // in the scratch's data
	__u32 length; // of the last name
	__u32 table;
	__u32 states[MAX_DEPTH + 1]; // by depth
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct match);
} matches SEC(".maps");

inlined struct match *match_of(void)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&matches, &key);
}

// hash_name returns FNV-1a of the name at an offset of a scratch's data, which
// ends with NUL or a slash, and leaves its length in the match.
separate __u64 hash_name(__u32 slot, __u32 at)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!m || !s || at > DATA - MAX_NAME)
		return 0;
	const char *name = s->data + at;
	__u64 hash = 0xcbf29ce484222325;
	__u32 i;
	for (i = 0; i < MAX_NAME - 1; i++) {
		__u8 c = name[i];
		if (!c || c == '/')
			break;
		hash = (hash ^ c) * 0x100000001b3;
	}
	m->length = i;
	return hash;
}

// step returns the state to which a name leads.
separate __u32 step(__u32 table, __u32 from, __u64 hash)
{
	struct tables *tables = bpf_map_lookup_elem(&watched, &table);
	if (!tables)
		return 0;
	__u32 slot = hash ^ hash >> 32 ^ from * 0x9e3779b1;
	for (int i = 0; i < MAX_PROBES; i++) {
		struct edge *e = &tables->edges[slot++ & (EDGES - 1)];
		if (!e->to)
			break;
		if (e->hash == hash && e->from == from)
			return e->to;
	}
	return tables->states[from & (STATES - 1)].others;
}

inlined __u32 bounded(__u32 depth)
{
	return depth < MAX_DEPTH ? depth : MAX_DEPTH;
}

// enter goes on by a name.
inlined void enter(struct match *m, __u64 hash)
{
	__u32 state = m->states[bounded(m->depth)];
	if (state)
		state = step(m->table, state, hash);
	m->depth++;
	m->states[bounded(m->depth)] = state;
}

// file_step is path_step, and takes the hash of the name.
static long file_step(__u32 i, struct walk *w)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &w->slot);
	if (!m || !s)
		return 1;
	struct dentry *d = w->dentry;
	__u32 before = s->used;
	long end = path_step(i, w);
	if (s->used != before) {
		m->hashes[m->names++ & (MAX_DEPTH - 1)] = hash_name(w->slot, before);
	} else if (!m->top) { // the root of a mount
		m->top = d;
		m->inside = m->names;
	}
	return end;
}

// inner_step is file_step, and takes no notice of mounts.
static long inner_step(__u32 i, struct walk *w)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &w->slot);
	struct dentry *d = w->dentry, *parent;
	const unsigned char *name;
	if (!m || !s)
		return 1;
	if (copy(parent, d->d_parent) || copy(name, d->d_name.name)) {
		w->cut = 1;
		return 1;
	}
	__u32 before = s->used;
	if (d == parent || append(w, name))
		return 1;
	m->hashes[m->names++ & (MAX_DEPTH - 1)] = hash_name(w->slot, before);
	w->dentry = parent;
	return 0;
}

// number_at returns the number for which a name stands, at an offset of a
// scratch's data.
separate __u32 number_at(__u32 slot, __u32 at)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s || at > DATA - MAX_NAME)
		return 0;
	__u32 number = 0;
	for (__u32 i = 0; i < 10; i++) {
		__u8 c = s->data[at + i];
		if (c < '0' || c > '9')
			break;
		number = number * 10 + c - '0';
	}
	return number;
}

// text_step takes one name of the text that was passed.
static long text_step(__u32 i, __u32 *slot)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, slot);
	if (!m || !s)
		return 1;
	__u32 at = m->at;
	if (at > DATA - MAX_NAME)
		return 1;
	__u64 hash = hash_name(*slot, at);
	__u32 length = m->length & (MAX_NAME - 1);
	const char *name = s->data + at;
	if (length == 2 && name[0] == '.' && name[1] == '.') {
		if (m->depth > m->floor)
			m->depth--;
		else
			m->left = 1;
	} else if (length && !(length == 1 && name[0] == '.')) {
		enter(m, hash);
		m->last = at;
		m->hash = hash;
		struct tables *tables = bpf_map_lookup_elem(&watched, &m->table);
		__u32 flags = tables ? tables->states[m->states[bounded(m->depth)] & (STATES - 1)].watched : 0;
		if (flags & (WATCH_OWN_DIRECTORY | WATCH_OWN_FILE))
			m->jump = flags;
		else if (flags & WATCH_FOREIGN)
			m->foreign = 1;
		if (flags & WATCH_OWN_FILE)
			m->number = number_at(*slot, at);
	}
	m->at = at + length + (name[length] == '/');
	return m->jump || !name[length];
}

// descend takes the names that a walk has found.
separate int descend(__u32 state)
{
	struct match *m = match_of();
	if (!m)
		return 0;
	__u32 names = m->names, kept = bounded(names);
	m->depth = 0;
	m->states[0] = state;
	for (__u32 i = 0; i < MAX_DEPTH; i++) {
		if (i >= kept)
			break;
		enter(m, m->hashes[(names - 1 - i) & (MAX_DEPTH - 1)]);
	}
	m->depth = names;
	return 0;
}

inlined struct file *file_of(struct task_struct *t, __u32 fd)
{
	struct files_struct *files = t->files;
	if (!files)
		return NULL;
	struct fdtable *table = files->fdt;
	struct file *f = NULL;
	if (fd < table->max_fds)
		bpf_probe_read_kernel(&f, sizeof(f), table->fd + fd);
	return f;
}

inlined void path_of(struct file *f, struct walk *w)
{
	copy(w->mnt, f->f_path.mnt);
	copy(w->dentry, f->f_path.dentry);
}

// walk_up writes the names of a directory's or file's path.
inlined void walk_up(struct scratch *s, struct match *m, struct walk *w, struct passed *p)
{
	m->names = 0;
	m->top = NULL;
	p->base_size = loop(s, w, file_step, MAX_PATH);
	p->cut = w->cut;
	descend(ROOT);
}

// begin_of returns the state from which a path within a file system goes on; 0:
// nothing there is watched.
separate __u32 begin_of(__u32 table, __u32 dev)
{
	struct tables *tables = bpf_map_lookup_elem(&watched, &table);
	if (!tables)
		return 0;
	__u32 slot = dev * 0x9e3779b1 >> 22;
	for (int i = 0; i < MAX_BEGIN_PROBES; i++) {
		struct begin *b = &tables->begins[slot++ & (BEGINS - 1)];
		if (!b->state || b->dev == dev)
			return b->state;
	}
	return 0;
}

inlined void forget_inside(struct scratch *s, struct passed *p)
{
	s->used -= p->inner_size;
	p->inner_size = 0;
}

// walk_inside writes the names of the path within its file system, unless they
// can say no more than those that walk_up has taken: the file was reached by
// the mount by which the watched paths lead there.
inlined bool walk_inside(struct scratch *s, struct match *m, struct walk *w, struct passed *p)
{
	struct dentry *top = m->top, *parent = NULL;
	struct super_block *sb = NULL;
	if (!top || copy(sb, ((struct dentry___inside *)top)->d_sb) || copy(p->dev, sb->s_dev) || copy(parent, top->d_parent))
		return 0;
	__u32 begin = begin_of(m->table, p->dev);
	__u32 above = m->names - m->inside;
	if (!begin || (parent == top && above < MAX_DEPTH && m->states[above & (MAX_DEPTH - 1)] == begin))
		return 0;
	__u32 inside = m->inside;
	m->names = 0;
	m->left = 0;
	p->inner_size = loop(s, w, inner_step, MAX_PATH);
	p->inner_skip = p->skip;
	if (w->cut) {
		forget_inside(s, p);
		return 0;
	}
	descend(begin);
	m->floor = m->names - inside;
	return 1;
}

// judge_inside says whether the path within the file system is watched. If not,
// its names, which stand last, are forgotten.
inlined void judge_inside(struct scratch *s, struct match *m, struct passed *p)
{
	struct tables *tables = bpf_map_lookup_elem(&watched, &m->table);
	__u32 state = m->states[bounded(m->depth)];
	if (tables && state && !m->left)
		p->watched |= tables->states[state & (STATES - 1)].watched | WATCH_LEADS;
	else
		forget_inside(s, p);
}

// judge says whether the path is watched. One that is not known whole may be.
inlined void judge(struct match *m, struct passed *p)
{
	struct tables *tables = bpf_map_lookup_elem(&watched, &m->table);
	__u32 state = m->states[bounded(m->depth)];
	if (p->cut || p->unread)
		p->watched = WATCH_CHANGES | WATCH_READS;
	else if (tables && state)
		p->watched = tables->states[state & (STATES - 1)].watched | WATCH_LEADS;
}

// tells says what of a path must be watched for an event to be told. A
// directory that is moved, or a link in its place, takes what is below along.
inlined __u8 tells(__u32 event)
{
	switch (event) {
	case READ:
		return WATCH_READS;
	case RENAME:
	case SYMLINK:
		return WATCH_CHANGES | WATCH_LEADS;
	}
	return WATCH_CHANGES;
}

// gives_id reports whether a file gets a mode by which whoever starts it
// becomes its owner, or one of its group. Such a file is told wherever it is.
inlined bool gives_id(__u32 event, __u32 mode, bool may_create)
{
	if (event != CHMOD && event != CREATE && event != MKNOD && !may_create)
		return 0;
	return mode & S_ISUID || (mode & S_ISGID_AND_X) == S_ISGID_AND_X;
}

// take_file writes the path of an open file.
separate int take_file(__u32 slot, __u64 file)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!m || !s)
		return 0;
	struct walk w = {.slot = slot}, inner = {.slot = slot};
	path_of((void *)file, &w);
	inner.dentry = w.dentry;
	walk_up(s, m, &w, &m->path);
	m->path.resolved = 1;
	judge(m, &m->path);
	if (walk_inside(s, m, &inner, &m->path))
		judge_inside(s, m, &m->path);
	return 0;
}

// take_text goes on by the text that was passed.
inlined void take_text(struct match *m, __u32 slot, __u32 at)
{
	m->at = at;
	bpf_loop(MAX_PATH / 2 + 1, text_step, &slot, 0);
}

// take_path writes a path that was passed, behind the path of its directory.
inlined void take_path(__u32 slot, __u32 dir, __u64 text, bool of_link, struct match *m, struct passed *p)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	struct task_struct *t = current();
	struct fs_struct *fs = t->fs;
	if (!s || !fs)
		return;
	struct walk w = {.slot = slot}, inner = {.slot = slot};
	__u32 at = s->used;
	char *to = room(s, MAX_PATH);
	long n = to ? bpf_probe_read_user_str(to, MAX_PATH, (void *)text) : 0;
	if (n <= 0) {
		p->unread = 1;
		judge(m, p);
		return;
	}
	s->used += n;
	p->text_size = n;
	m->foreign = 0;
	m->jump = 0;
	m->last = at;
	__u32 from = at;
	bool absolute = to[0] == '/';
	if (!absolute && of_link) {
		if (m->depth)
			m->depth--;
		take_text(m, slot, at);
		judge(m, p);
		return;
	}
	if (absolute) {
		w.mnt = fs->root.mnt;
		w.dentry = fs->root.dentry;
	} else if (dir == AT_FDCWD) {
		w.mnt = fs->pwd.mnt;
		w.dentry = fs->pwd.dentry;
	} else {
		struct file *f = file_of(t, dir);
		if (!f) { // closed meanwhile
			p->cut = 1;
			judge(m, p);
			return;
		}
		path_of(f, &w);
	}
	inner.dentry = w.dentry;
	walk_up(s, m, &w, p);
	m->floor = absolute ? m->depth : 0;
	p->resolved = n == 1;
	take_text(m, slot, at);
	if (m->jump) {
		struct task_struct *who = m->jump & WATCH_OF_THREAD ? t : t->group_leader;
		struct fs_struct *own = who->fs;
		struct file *f = m->jump & WATCH_OWN_FILE ? file_of(who, m->number) : NULL;
		if (f) {
			path_of(f, &w);
		} else if (m->jump & WATCH_OWN_DIRECTORY && own) {
			copy(w.mnt, own->pwd.mnt);
			copy(w.dentry, own->pwd.dentry);
		} else { // closed meanwhile
			p->cut = 1;
			judge(m, p);
			return;
		}
		inner.dentry = w.dentry;
		p->skip = m->at - at;
		p->resolved = p->skip == n - 1;
		at = m->at;
		absolute = 0;
		s->used -= p->base_size;
		walk_up(s, m, &w, p);
		m->floor = 0;
		m->jump = 0;
		take_text(m, slot, at);
	}
	p->foreign = m->foreign || m->jump; // by one's own once is enough
	judge(m, p);
	p->last = m->last - from;
	p->hash = m->hash;
	if (p->foreign)
		p->watched |= WATCH_CHANGES;
	if (walk_inside(s, m, &inner, p)) {
		if (absolute)
			m->floor = m->depth;
		take_text(m, slot, at);
		if (absolute) // .. does not leave a root
			m->left = 0;
		judge_inside(s, m, p);
	}
}

separate int take_passed(__u32 slot, __u32 dir, __u64 text)
{
	struct match *m = match_of();
	if (!m)
		return 0;
	take_path(slot, dir, text, 0, m, &m->path);
	return 0;
}

// take_target does the same for the second path. That of a symbolic link counts
// from the link's directory.
separate int take_target(__u32 slot, __u32 dir, __u64 text, __u32 of_link)
{
	struct match *m = match_of();
	if (!m)
		return 0;
	take_path(slot, dir, text, of_link, m, &m->target);
	return 0;
}

// take_touched takes the path of a dentry in the place of the one that was
// passed, with the last name of that behind it unless it is that of the file
// itself. It reports whether that is watched.
separate int take_touched(__u32 slot, __u64 dentry, __u32 of_target, __u32 itself, __u32 event)
{
	struct match *m = match_of();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!m || !s || !dentry)
		return 0;
	struct tables *tables = bpf_map_lookup_elem(&watched, &m->table);
	struct passed *p = of_target ? &m->target : &m->path;
	struct walk w = {.slot = slot, .dentry = (void *)dentry};
	struct super_block *sb = NULL;
	if (!tables || copy(sb, ((struct dentry___inside *)dentry)->d_sb) || copy(p->dev, sb->s_dev))
		return 0;
	__u32 begin = begin_of(m->table, p->dev);
	if (!begin)
		return 0;
	m->names = 0;
	p->inner_size = loop(s, &w, inner_step, MAX_PATH);
	p->inner_skip = itself ? p->text_size - 1 : p->last;
	descend(begin);
	if (!itself)
		enter(m, p->hash);
	__u32 state = m->states[bounded(m->depth)];
	__u8 watched = tables->states[state & (STATES - 1)].watched | WATCH_LEADS;
	if (!w.cut && state && watched & tells(event)) {
		p->watched |= watched;
		return 1;
	}
	forget_inside(s, p);
	return 0;
}

// name_hash returns the hash of a dentry's name.
separate __u64 name_hash(__u32 slot, __u64 dentry)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	struct walk w = {.slot = slot, .limit = DATA};
	const unsigned char *name;
	if (!s || !dentry || copy(name, ((struct dentry *)dentry)->d_name.name))
		return 0;
	__u32 at = s->used;
	if (append(&w, name))
		return 0;
	s->used = at;
	return hash_name(slot, at);
}

inlined bool is_directory(__u64 dentry)
{
	struct inode *inode = NULL;
	__u16 mode = 0;
	if (!dentry || copy(inode, ((struct dentry___inside *)dentry)->d_inode) || !inode)
		return 0; // it was deleted
	copy(mode, inode->i_mode);
	return (mode & S_IFMT) == S_IFDIR;
}

// resolve looks for what was passed among what the call has touched: the file
// itself, or the directory that has its name.
separate int resolve(__u32 slot, __u32 event)
{
	struct match *m = match_of();
	if (!m)
		return 0;
	bool of_names = event == RENAME || event == LINK || event == SYMLINK || event == DELETE || event == MKDIR || event == MKNOD;
	__u64 moved = 0, to = 0, from = 0;
	for (int i = 0; i < MAX_TOUCHED && event == RENAME; i++) {
		if (m->touched[i] && name_hash(slot, m->touched[i]) == m->target.hash)
			moved = m->touched[i];
	}
	if (moved)
		copy(to, ((struct dentry *)moved)->d_parent);
	for (int i = 0; i < MAX_TOUCHED; i++) {
		__u64 d = m->touched[i];
		if (!of_names && take_touched(slot, d, 0, 1, event))
			return 1;
		if (!of_names || d == moved || !is_directory(d))
			continue;
		if (event == RENAME) { // from this one, unless another is left for that
			if (!from || from == to)
				from = d;
		} else if (take_touched(slot, d, 0, 0, event)) {
			return 1;
		}
	}
	if (event != RENAME)
		return 0;
	int told = take_touched(slot, from, 0, 0, event);
	if (!told && from == to && !m->states[bounded(m->names)]) // nothing in the directory is watched
		return 0;
	return take_touched(slot, moved, 1, 1, event) || told;
}

// Where a dentry has a field, from d_parent on; d_name comes behind that.
#define from_parent(field) \
	(__builtin_preserve_field_info(((struct dentry *)0)->field, 0) - __builtin_preserve_field_info(((struct dentry *)0)->d_parent, 0))

// is_key reports whether a dentry, of which raw is what from_parent counts, has
// a name that is watched for reads, of a file or of a directory.
inlined bool is_key(struct tables *tables, char *raw)
{
	__u32 length = *(__u32 *)(raw + from_parent(d_name.len));
	if (!(tables->lengths >> (length & 63) & 1))
		return 0;
	__u64 start = 0;
	bpf_probe_read_kernel(&start, length < 8 ? length & 7 : 8, *(void **)(raw + from_parent(d_name.name)));
	__u64 key = (start + length) * 0x9e3779b97f4a7c15 | 1;
	__u32 slot = key >> 56;
	for (int i = 0; i < MAX_KEY_PROBES; i++) {
		__u64 k = tables->keys[slot++ & (KEYS - 1)];
		if (!k)
			return 0;
		if (k == key)
			return 1;
	}
	return 0;
}

// may_be_read reports whether an open file may be one that is watched for reads.
// Nearly none is; the others are told from them at little cost.
separate int may_be_read(__u32 table, __u64 file)
{
	struct tables *tables = bpf_map_lookup_elem(&watched, &table);
	struct file *f = (void *)file;
	struct dentry *d = NULL;
	char raw[32];
	if (!tables || copy(d, f->f_path.dentry) || bpf_probe_read_kernel(raw, sizeof(raw), address(d->d_parent)))
		return 0;
	if (is_key(tables, raw))
		return 1;
	d = *(struct dentry **)raw;
	return !bpf_probe_read_kernel(raw, sizeof(raw), address(d->d_parent)) && is_key(tables, raw);
}

inlined void fill_file(struct file_record *r, struct file *f)
{
	struct inode *inode = NULL;
	struct super_block *sb = NULL;
	copy(inode, f->f_inode);
	copy(r->inode, inode->i_ino);
	__u16 mode = 0;
	copy(mode, inode->i_mode);
	r->mode = mode;
	copy(r->owner, inode->i_uid.val);
	copy(r->group, inode->i_gid.val);
	copy(sb, inode->i_sb);
	unsigned long magic = 0;
	copy(magic, sb->s_magic);
	if (!has_subvolumes(magic))
		copy(r->dev, sb->s_dev);
}

inlined __u64 argument_of(struct match *m, __u8 i)
{
	return m->arguments[i & 7];
}

// opened returns what an open amounts to.
inlined __u32 opened(__u64 flags, struct file *f)
{
	if (f && flags & O_CREAT) {
		__u32 mode = 0;
		copy(mode, f->f_mode);
		if (mode & FMODE_CREATED)
			return CREATE;
	}
	if (flags & O_TMPFILE_BIT)
		return CREATE;
	return flags & (O_ACCMODE | O_TRUNC) ? WRITE : READ;
}

SEC("tp_btf/sys_exit")
int file_call(__u64 *context)
{
	struct pt_regs *regs = (void *)context[0];
	struct task_struct *t = bpf_get_current_task_btf();
	bool compat = is_compat(regs, t);
	__u8 call = call_of(regs, compat);
	if (!call)
		return 0;
	const volatile struct shape *shape = &shapes[call];
	struct match *m = match_of();
	if (!m)
		return 0;
	m->touched[0] = 0;
	if (shape->path && !shape->opens) {
		struct touched *touched = bpf_task_storage_get(&touches, t, NULL, 0);
		for (int i = 0; i < MAX_TOUCHED && touched; i++)
			m->touched[i] = i < touched->count ? touched->dentries[i] : 0;
		if (touched)
			touched->count = 0;
	}
	int result = context[1];
	if (result < 0 && result != -EACCES && result != -EPERM)
		return 0;
	__u32 event = shape->event;
	if (!shape->opens && !wants(FILES, event))
		return 0;
	__u32 key = 0;
	__u64 *current = bpf_map_lookup_elem(&watching, &key);
	if (!current)
		return 0;
	m->table = *current & 1;
	__u64 flags = shape->flags;
	if (shape->flags_at)
		flags |= argument(regs, compat, shape->flags_at - 1);
	struct file *f = NULL;
	m->arguments[0] = 0;
	if (shape->opens) {
		if (shape->how) {
			__u64 how[2] = {}; // struct open_how of openat2(2): flags and mode
			bpf_probe_read_user(how, sizeof(how), (void *)argument(regs, compat, shape->how - 1));
			flags = how[0];
			m->arguments[0] = how[1];
		}
		if (flags & O_PATH)
			return 0;
		if (result >= 0)
			f = file_of(t, result);
		event = opened(flags, f);
		if (!wants(FILES, event))
			return 0;
		if (event == READ && f && !may_be_read(m->table, (__u64)f))
			return 0;
	}
	m->arguments[1] = argument(regs, compat, 0);
	m->arguments[2] = argument(regs, compat, 1);
	m->arguments[3] = argument(regs, compat, 2);
	m->arguments[4] = argument(regs, compat, 3);
	m->arguments[5] = argument(regs, compat, 4);
	m->arguments[6] = argument(regs, compat, 5);
	m->arguments[WORKING_DIRECTORY] = AT_FDCWD;
	if (shape->fd) {
		f = file_of(t, argument_of(m, shape->fd));
		if (!f) // closed meanwhile
			return 0;
	}

	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &cpu);
	if (!s)
		return 0;
	s->used = 0;
	__builtin_memset(&m->path, 0, sizeof(m->path));
	__builtin_memset(&m->target, 0, sizeof(m->target));
	if (f)
		take_file(cpu, (__u64)f);
	else
		take_passed(cpu, argument_of(m, shape->dir), argument_of(m, shape->path));
	if (shape->target)
		take_target(cpu, argument_of(m, shape->target_dir), argument_of(m, shape->target), event == SYMLINK);
	bool may_create = shape->opens && flags & O_CREAT && !f; // refused, or closed meanwhile
	bool told = (m->path.watched | m->target.watched) & tells(event), touched = 0;
	if (!told || m->path.foreign || m->target.foreign)
		touched = m->touched[0] && !m->path.inner_size && !m->target.inner_size && resolve(cpu, event);
	if (!told && !touched && !gives_id(event, argument_of(m, shape->mode), may_create))
		return 0;

	struct file_record *r = (void *)s->head;
	__builtin_memset(r, 0, sizeof(*r));
	if (f) {
		fill_file(r, f);
		if (event == READ && (r->mode & S_IFMT) != S_IFREG)
			return 0;
	}
	struct counters *c = begin(&r->r, FILES, event, cpu, t->group_leader);
	if (!c)
		return 0;
	r->r.flags = m->path.resolved * RESOLVED | m->path.cut * CUT | m->target.cut * TARGET_CUT | m->path.unread * UNREAD |
		     m->target.unread * TARGET_UNREAD | touched * TOUCHED;
	r->call = call;
	r->call_flags = flags;
	r->error = result < 0 ? -result : 0;
	r->new_mode = argument_of(m, shape->mode);
	r->new_owner = argument_of(m, shape->owner);
	r->new_group = argument_of(m, shape->group);
	r->text_size = m->path.text_size;
	r->base_size = m->path.base_size;
	r->target_size = m->target.text_size;
	r->target_base_size = m->target.base_size;
	r->inner_size = m->path.inner_size;
	r->target_inner_size = m->target.inner_size;
	r->skip = m->path.skip;
	r->target_skip = m->target.skip;
	r->inner_skip = m->path.inner_skip;
	r->target_inner_skip = m->target.inner_skip;
	r->inner_dev = m->path.dev;
	r->target_inner_dev = m->target.dev;
	if (shape->name) {
		char *to = room(s, MAX_NAME);
		long n = to ? bpf_probe_read_user_str(to, MAX_NAME, (void *)argument_of(m, shape->name)) : 0;
		if (n > 0) {
			r->name_size = n;
			s->used += n;
		}
	}
	__u64 size = offset_of(struct scratch, data) + s->used;
	if (size > sizeof(*s))
		size = sizeof(*s);
	output(&r->r, size, FILES, c);
	return 0;
}

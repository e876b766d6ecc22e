package collector

import (
	"daemoneye/bus/event"
	"daemoneye/platform/procfs"
)

// state is the processes as they were last known: rows of the processes table,
// of the last scan or as the agent has them.
type state struct {
	batches []*event.Batch
	at      map[string]position // by entity_id
	images  images              // none for rows that came from the agent
}

// images is where the stack of an image begins, by entity_id.
type images map[string]uint64

func (m images) add(list []*procfs.Process) {
	for _, p := range list {
		if p.StartStack != 0 {
			m[p.EntityID] = p.StartStack
		}
	}
}

type position struct {
	batch *event.Batch
	row   int
}

func newState(batches ...*event.Batch) *state {
	s := &state{at: map[string]position{}, images: images{}}
	for _, b := range batches {
		s.add(b)
	}
	return s
}

// add takes up a batch of processes; of an entity that is there twice the
// later row counts.
func (s *state) add(b *event.Batch) {
	s.batches = append(s.batches, b)
	ids := b.Column("entity_id")
	for i := range b.Rows {
		if id := ids.Text(i); id != "" {
			s.at[id] = position{b, i}
		}
	}
}

// remove forgets a process.
func (s *state) remove(id string) {
	delete(s.at, id)
	delete(s.images, id)
}

// digest returns the known digest of what p runs, if it is the same file.
func (s *state) digest(p *procfs.Process) (d procfs.Digest, ok bool) {
	at, found := s.at[p.EntityID]
	if !found {
		return d, false
	}
	b, i := at.batch, at.row
	hash, device, inode := b.Column("executable_hash"), b.Column("executable_device"), b.Column("executable_inode")
	if hash.IsNull(i) || device.IsNull(i) || inode.IsNull(i) ||
		uint64(device.Int(i)) != p.ExecutableID.Device || uint64(inode.Int(i)) != p.ExecutableID.Inode {
		return d, false
	}
	return procfs.Digest{SHA256: hash.Text(i), BLAKE3: b.Column("executable_blake3").Text(i)}, true
}

// Kinds of process_events.
const (
	eventFork    = "fork"
	eventSeen    = "seen"
	eventExec    = "exec"
	eventChanged = "changed"
	eventExit    = "exit"
)

// compared are the columns of a process whose change is an event. What changes
// all the time (CPU, memory, status) goes into samples; what follows from
// other columns or from another process (names of users and parents) is left
// out.
func compared() []string {
	return []string{
		"ppid", "name", "executable_path", "invoked_path", "command_line", "command_line_truncated", "cwd",
		"user_id", "effective_user_id", "group_id", "effective_group_id", "session_id", "process_group_id", "tty",
		"cgroup", "container_id", "namespaces", "capabilities", "permitted_capabilities", "inheritable_capabilities",
		"ambient_capabilities", "bounding_capabilities", "login_user_id", "executable_hash", "executable_blake3",
		"executable_inode", "executable_device", "executable_mode", "executable_user_id", "executable_group_id", "file_exists", "accessible", "environment_vars", "environment_truncated", "platform_data",
	}
}

// comparison finds the events between two states.
type comparison struct {
	columns []string
	index   []int // in the processes table
	device  int
	inode   int
	name    int
	kernel  int
	parent  int
}

func newComparison() *comparison {
	t := event.Lookup("processes")
	c := &comparison{
		columns: compared(), device: t.Index("executable_device"), inode: t.Index("executable_inode"),
		name: t.Index("name"), kernel: t.Index("kernel_thread"), parent: t.Index("parent_entity_id"),
	}
	for _, name := range c.columns {
		c.index = append(c.index, t.Index(name))
	}
	return c
}

// between calls yield for each event that leads from before to after: exits
// first, so that a pid is free before it is taken again. changed is valid
// during the call.
func (c *comparison) between(before, after *state, yield func(kind string, at position, changed []string)) {
	for _, b := range before.batches {
		ids := b.Column("entity_id")
		for i := range b.Rows {
			id := ids.Text(i)
			if before.at[id] != (position{b, i}) {
				continue
			}
			if now, alive := after.at[id]; !alive || c.replaced(before, after, id, now) {
				yield(eventExit, position{b, i}, nil)
			}
		}
	}
	var changed []string
	for _, b := range after.batches {
		ids := b.Column("entity_id")
		for i := range b.Rows {
			id := ids.Text(i)
			old, known := before.at[id]
			if !known || c.replaced(before, after, id, position{b, i}) {
				yield(eventSeen, position{b, i}, nil)
				continue
			}
			changed = c.changes(changed[:0], old, position{b, i})
			switch {
			case c.executed(before.images[id], after.images[id], old, position{b, i}):
				yield(eventExec, position{b, i}, changed)
			case len(changed) > 0:
				yield(eventChanged, position{b, i}, changed)
			}
		}
	}
}

func (c *comparison) changes(list []string, old, now position) []string {
	kernel := now.batch.Columns[c.kernel]
	renames := !kernel.IsNull(now.row) && kernel.Bools[now.row] // a worker is called after its work
	for k, i := range c.index {
		if renames && i == c.name {
			continue
		}
		if !equalCell(old.batch.Columns[i], old.row, now.batch.Columns[i], now.row) {
			list = append(list, c.columns[k])
		}
	}
	return list
}

// replaced reports whether a process that runs another image than before can
// only be another one, to which the kernel gave the pid again within one tick
// of its clock, so that both have one entity_id: its parent is another one, and
// none of those to which a process that has lost its parent is given, which are
// the ancestors of that parent. Where these are not all known it is taken for
// the same. (A process that entered a pid namespace from outside may be given
// to the namespace's init; if it has executed something since the last scan,
// too, it is taken for another one.)
func (c *comparison) replaced(before, after *state, id string, now position) bool {
	old := before.at[id]
	a, b := old.batch.Columns[c.parent], now.batch.Columns[c.parent]
	if a.IsNull(old.row) || b.IsNull(now.row) || a.Text(old.row) == b.Text(now.row) ||
		!c.executed(before.images[id], after.images[id], old, now) {
		return false
	}
	for range maxLineage {
		parents := old.batch.Columns[c.parent]
		if parents.IsNull(old.row) {
			return true // the first of all processes
		}
		parent := parents.Text(old.row)
		at, known := before.at[parent]
		if parent == b.Text(now.row) || !known {
			return false
		}
		old = at
	}
	return false
}

// maxLineage bounds the ancestors that are looked at.
const maxLineage = 1024

// executed reports whether the process runs another image: the place of its
// stack changed, which is chosen anew by each exec, or it runs another file. A
// process whose image can not be seen any more has not executed one.
func (c *comparison) executed(oldStack, newStack uint64, old, now position) bool {
	if oldStack != 0 && newStack != 0 && oldStack != newStack {
		return true
	}
	for _, i := range []int{c.device, c.inode} {
		a, b := old.batch.Columns[i], now.batch.Columns[i]
		if !a.IsNull(old.row) && !b.IsNull(now.row) && a.Int(old.row) != b.Int(now.row) {
			return true
		}
	}
	return false
}

// equalCell compares row i of a with row j of b, two vectors of one type.
func equalCell(a *event.Vector, i int, b *event.Vector, j int) bool {
	if a.IsNull(i) || b.IsNull(j) {
		return a.IsNull(i) == b.IsNull(j)
	}
	switch a.Type {
	case event.Bool:
		return a.Bools[i] == b.Bools[j]
	case event.Float8:
		return a.Floats[i] == b.Floats[j]
	case event.Int4, event.Int8, event.Timestamptz:
		return a.Ints[i] == b.Ints[j]
	case event.TextArray:
		x, y := a.Codes[a.Offsets[i]:a.Offsets[i+1]], b.Codes[b.Offsets[j]:b.Offsets[j+1]]
		if len(x) != len(y) {
			return false
		}
		for k := range x {
			if a.Dict[x[k]] != b.Dict[y[k]] {
				return false
			}
		}
		return true
	}
	return a.Dict[a.Codes[i]] == b.Dict[b.Codes[j]]
}

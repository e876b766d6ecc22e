package collector

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
)

// happening is a row of process_events that the kernel's source tells of.
type happening struct {
	kind    string
	at      time.Time
	process *procfs.Process
	changed []string   // of eventExec and eventChanged
	event   *bpf.Event // of it
}

// live is the processes that run, as scans and events have told.
type live struct {
	enumerator *procfs.Enumerator
	rows       *rows
	environ    bool // whole environments are collected

	processes map[int32]*procfs.Process
	fresh     map[string]*procfs.Process // by entity: made or executed since state was taken
	told      map[string]procfs.Digest   // by entity, of fresh: the digest in the last row; the zero value: none
	touched   map[string]*procfs.Process // by entity: told while a scan was made, nil of what ended; nil when there is none
	suspects  map[string]uint64          // by entity: the image that the last scan alone has found; 0: its end
	found     int                        // processes that the last scan alone has told of
	youngest  time.Duration              // since boot: when the last of these began, at the earliest
	guard     *guard
	sensor    sensor           // nil: nobody can tamper with it
	looked    time.Time        // when it was last checked
	missed    map[bpf.Kind]int // execs and exits that the last two scans have found and no event told

	gone    [256]*procfs.Process // the last that have ended, whose connections may not have
	goneNow int                  // index of the next one
}

func newLive(e *procfs.Enumerator, r *rows, environ bool) *live {
	return &live{
		enumerator: e, rows: r, environ: environ,
		processes: map[int32]*procfs.Process{}, fresh: map[string]*procfs.Process{}, told: map[string]procfs.Digest{}, guard: newGuard(),
	}
}

// settled forgets what is fresh.
func (l *live) settled() {
	clear(l.fresh)
	clear(l.told)
}

// list returns all processes by pid.
func (l *live) list() []*procfs.Process {
	return slices.SortedFunc(maps.Values(l.processes), func(a, b *procfs.Process) int { return cmp.Compare(a.PID, b.PID) })
}

// find returns the process that has the pid, if it started then.
func (l *live) find(pid int32, start time.Duration) *procfs.Process {
	p := l.processes[pid]
	if p == nil || p.StartTime != 0 && p.StartTime != start ||
		p.StartTicks != procfs.Ticks(start) {
		return nil
	}
	return p
}

// apply takes up an event and returns what happened; no process: nothing new.
func (l *live) apply(e *bpf.Event) happening {
	h := happening{at: l.enumerator.Wall(e.Time), event: e}
	old := l.find(e.PID, e.Start)
	switch {
	case e.Kind == bpf.Exit:
		h.kind, h.process = eventExit, l.ended(e, old)
		return h
	case e.Kind == bpf.Changed && !l.change(e, old, &h):
		return h
	case e.Kind == bpf.Changed:
		l.update(h.process)
		return h
	}
	p := e.Process
	l.enumerator.Complete(p)
	p.EnvironKnown = p.EnvironKnown && (l.environ || p.Environ != "" || p.EnvironTruncated)
	parent := l.find(e.PPID, e.ParentStart)
	p.Parent = bounded(parent)
	if e.Kind == bpf.Fork {
		h.kind = eventFork
		if parent != nil {
			p.CopyImage(parent) // the kernel does not tell it again
			p.Cgroup, p.ContainerID = parent.Cgroup, parent.ContainerID
			l.rows.inherit(p.EntityID, parent.EntityID)
			if !p.HasStatus {
				p.CopyTask(parent)
			}
		}
	} else {
		h.kind = eventExec
		if parent == nil && old != nil {
			p.Parent = old.Parent
		}
		if old != nil {
			h.changed = differences(old, p)
		}
	}
	h.process = p
	l.update(p)
	return h
}

// update takes up what is told of a process.
func (l *live) update(p *procfs.Process) {
	l.processes[p.PID] = p
	l.fresh[p.EntityID] = p
	l.touch(p.EntityID, p)
}

// change makes a row of what a process has changed of itself, and reports
// whether that is anything. One that is not known yet is left to a scan.
func (l *live) change(e *bpf.Event, old *procfs.Process, h *happening) bool {
	if old == nil {
		return false
	}
	p := e.Process
	l.enumerator.Complete(p)
	p.Parent = old.Parent
	p.Name = cmp.Or(e.Name, old.Name)
	p.CopyImage(old) // an exec tells of another one
	p.StartStack = old.StartStack
	if p.Cgroup == "" {
		p.Cgroup, p.ContainerID = old.Cgroup, old.ContainerID
	}
	if p.RSS == 0 { // eBPF does not tell it again
		p.State, p.CPUTicks, p.CPUUsage, p.RSS = old.State, old.CPUTicks, old.CPUUsage, old.RSS
	}
	changed := differences(old, p)
	if len(changed) == 0 {
		return false
	}
	h.kind, h.process, h.changed = eventChanged, p, changed
	return true
}

// actor returns the process that an event tells of: when its begin was lost,
// with no more than the event says.
func (l *live) actor(e *bpf.Event) *procfs.Process {
	if p := l.find(e.PID, e.Start); p != nil {
		return p
	}
	for _, p := range l.gone {
		if p != nil && p.PID == e.PID && p.StartTime == e.Start {
			return p
		}
	}
	p := &procfs.Process{
		PID: e.PID, PPID: e.PPID, Name: e.Name, HasStat: true, LoginUID: procfs.NoUser,
		StartTime: e.Start, StartTicks: procfs.Ticks(e.Start),
	}
	l.enumerator.Complete(p)
	p.Parent = bounded(l.find(e.PPID, e.ParentStart))
	return p
}

// ended returns a process as it was at its end.
func (l *live) ended(e *bpf.Event, old *procfs.Process) *procfs.Process {
	p := *l.actor(e)
	p.Collected = time.Now()
	p.State, p.Threads = 'X', 0
	if p.CPUUnknown = e.CPUTime < 0; !p.CPUUnknown {
		p.CPUTicks = procfs.Ticks(e.CPUTime)
	}
	if lived := e.Time - e.Start; lived > 0 {
		p.CPUUsage = 100 * e.CPUTime.Seconds() / lived.Seconds()
	}
	if l.processes[p.PID] == old {
		delete(l.processes, p.PID)
	}
	delete(l.fresh, p.EntityID)
	l.touch(p.EntityID, nil)
	l.gone[l.goneNow] = &p
	l.goneNow = (l.goneNow + 1) % len(l.gone)
	return &p
}

func (l *live) touch(id string, p *procfs.Process) {
	if l.touched != nil {
		l.touched[id] = p
	}
}

// bounded returns the parent of a new process. Parents that have ended stay in
// memory with their children, up to maxAncestors of them.
func bounded(parent *procfs.Process) *procfs.Process {
	if parent == nil {
		return nil
	}
	depth := 0
	for a := parent.Parent; a != nil && depth < 2*maxAncestors; a = a.Parent {
		depth++
	}
	if depth < 2*maxAncestors {
		return parent
	}
	alone := *parent
	alone.Parent = nil
	return &alone
}

// differences returns the compared columns in which two images of a process
// differ, in the order of compared.
func differences(a, b *procfs.Process) (list []string) {
	for _, c := range []struct {
		column string
		differ bool
	}{
		{"name", a.Name != b.Name},
		{"executable_path", a.Executable != b.Executable},
		{"invoked_path", invoked(a) != invoked(b)},
		{"command_line", a.Cmdline != b.Cmdline},
		{"command_line_truncated", a.CmdlineTruncated != b.CmdlineTruncated},
		{"cwd", a.CWD != b.CWD},
		{"user_id", a.UID[0] != b.UID[0]},
		{"effective_user_id", a.UID[1] != b.UID[1]},
		{"group_id", a.GID[0] != b.GID[0]},
		{"effective_group_id", a.GID[1] != b.GID[1]},
		{"session_id", a.SID != b.SID},
		{"process_group_id", a.PGID != b.PGID},
		{"tty", a.TTY != b.TTY},
		{"cgroup", a.Cgroup != b.Cgroup},
		{"container_id", a.ContainerID != b.ContainerID},
		{"namespaces", a.Namespaces != b.Namespaces},
		{"capabilities", a.CapEffective != b.CapEffective},
		{"permitted_capabilities", a.CapPermitted != b.CapPermitted},
		{"inheritable_capabilities", a.CapInheritable != b.CapInheritable},
		{"ambient_capabilities", a.CapAmbient != b.CapAmbient},
		{"bounding_capabilities", a.CapBounding != b.CapBounding},
		{"login_user_id", a.LoginUID != b.LoginUID},
		{"executable_inode", a.ExecutableID.Inode != b.ExecutableID.Inode},
		{"executable_device", a.ExecutableID.Device != b.ExecutableID.Device},
		{"executable_mode", a.ExecutableMode != b.ExecutableMode},
		{"executable_user_id", a.ExecutableOwner != b.ExecutableOwner},
		{"executable_group_id", a.ExecutableGroup != b.ExecutableGroup},
		{"file_exists", a.FileExists != b.FileExists},
		{"environment_vars", a.Environ != b.Environ},
		{"environment_truncated", a.EnvironTruncated != b.EnvironTruncated},
		{"platform_data", !bytes.Equal(appendPlatformData(nil, a), appendPlatformData(nil, b))},
	} {
		if c.differ {
			list = append(list, c.column)
		}
	}
	return list
}

func invoked(p *procfs.Process) string {
	if args := procfs.SplitArgs(p.Cmdline); len(args) > 0 {
		return args[0]
	}
	return ""
}

// settling is how long ago a process must have begun for a scan to tell of it
// before the event does: the kernel lists it a little earlier than it tells.
const settling = time.Second

// merge takes up a scan. What events have told while it was made stands against
// it, and what ended is left out. A scan may fall into the middle of an exec, or
// of an end; what it finds and no event has told counts only when the next one
// finds it again.
func (l *live) merge(snap *procfs.Snapshot, boot time.Duration) {
	l.found, l.youngest, l.missed = 0, 0, map[bpf.Kind]int{}
	suspects := map[string]uint64{}
	again := func(id string, image uint64) bool {
		suspects[id] = image
		before, found := l.suspects[id]
		return found && before == image
	}
	list := make([]*procfs.Process, 0, len(snap.Processes))
	found := make(map[string]bool, len(snap.Processes))
	for _, p := range snap.Processes {
		if _, told := l.touched[p.EntityID]; told || over(p) {
			continue
		}
		old := l.processes[p.PID]
		switch {
		case old == nil || old.EntityID != p.EntityID:
			began := procfs.TicksTime(p.StartTicks)
			if boot-began < settling {
				continue
			}
			l.found++
			l.youngest = max(l.youngest, began)
		case old.StartStack != p.StartStack:
			if again(p.EntityID, p.StartStack) {
				l.missed[bpf.Exec]++
			} else {
				p = old
			}
		case !p.EnvironKnown:
			p.Environ, p.EnvironKnown, p.EnvironTruncated = old.Environ, old.EnvironKnown, old.EnvironTruncated
		}
		found[p.EntityID] = true
		list = append(list, p)
	}
	for _, p := range l.processes {
		if _, told := l.touched[p.EntityID]; told || found[p.EntityID] {
			continue
		}
		if again(p.EntityID, 0) {
			l.missed[bpf.Exit]++
		} else {
			list = append(list, p)
		}
	}
	for _, p := range l.touched {
		if p != nil {
			list = append(list, p)
		}
	}
	clear(l.processes)
	for _, p := range list {
		l.processes[p.PID] = p
	}
	l.suspects = suspects
	snap.Processes = l.list()
}

// over reports whether no thread of a process runs any more, which its exit tells
// even when nobody has waited for it.
func over(p *procfs.Process) bool { return p.State == 'X' || p.State == 'Z' && p.Threads <= 1 }

// seed takes up the first scan, before any event.
func (l *live) seed(snap *procfs.Snapshot) {
	for _, p := range snap.Processes {
		if !over(p) {
			l.processes[p.PID] = p
		}
	}
}

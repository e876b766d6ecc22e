package connector

import (
	"time"

	"daemoneye/platform/procfs"
)

// known is what identifies a process, and its parent.
type known struct {
	start       time.Duration // since boot
	parent      int32
	parentStart time.Duration // 0: not known
	era         int           // of the table, when that was known
	threads     bool          // it had more than one
}

// table is the processes by pid.
type table struct {
	processes map[int32]known
	era       int // one more after each loss of messages
}

func newTable() table { return table{processes: map[int32]known{}} }

// doubt is called when messages were lost: each process may have ended, and
// another one may have its pid.
func (t *table) doubt() { t.era++ }

// get returns what is known of a pid, and whether it is so still.
func (t *table) get(pid int32) (k known, sure bool) {
	k, ok := t.processes[pid]
	return k, ok && k.era == t.era
}

// put replaces what is known of a pid.
func (t *table) put(pid int32, k known) {
	k.era = t.era
	t.processes[pid] = k
}

// is reports whether it is the process that has the pid and began at the tick.
func (k *known) is(startTicks uint64) bool { return procfs.Ticks(k.start) == startTicks }

// found takes up a process that /proc has now.
func (t *table) found(s *procfs.Stat) known {
	k, ok := t.processes[s.PID]
	if !ok || !k.is(s.StartTicks) {
		k = known{start: procfs.TicksTime(s.StartTicks), parent: s.PPID}
	}
	k.threads = k.threads || s.Threads > 1
	t.put(s.PID, k)
	return k
}

// keepSure drops what may not be so any more.
func (t *table) keepSure() {
	for pid, k := range t.processes {
		if k.era != t.era {
			delete(t.processes, pid)
		}
	}
}

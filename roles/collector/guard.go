package collector

import (
	"errors"
	"os"
	"slices"

	"daemoneye/platform/bpf"
	"daemoneye/platform/procfs"
	"daemoneye/roles/log/core"
)

// guard knows which processes are ours: this one, the supervisor that has
// started it, and what either of the two has started, as long as they run the
// same executable as this process. A client that someone runs is none.
type guard struct {
	self int32
	pids []int32 // in order
}

func newGuard() *guard { return &guard{self: int32(os.Getpid())} }

// has reports whether p is one of ours.
func (g *guard) has(p *procfs.Process) bool { return slices.Contains(g.pids, p.PID) }

// concerns reports whether what happened to p may change which are ours.
func (g *guard) concerns(p *procfs.Process) bool {
	return g.has(p) || slices.Contains(g.pids, p.PPID)
}

// find returns the pids of all of ours.
func (g *guard) find(processes map[int32]*procfs.Process) []int32 {
	self := processes[g.self]
	if self == nil || self.ExecutableID.Inode == 0 {
		return []int32{g.self}
	}
	same := func(p *procfs.Process) bool {
		return p != nil && p.ExecutableID.Device == self.ExecutableID.Device && p.ExecutableID.Inode == self.ExecutableID.Inode
	}
	supervisor := self.Parent
	if !same(supervisor) {
		supervisor = nil
	}
	is := func(p, of *procfs.Process) bool { return p != nil && of != nil && p.EntityID == of.EntityID }
	var pids []int32
	for _, p := range processes {
		if same(p) && (p == self || is(p, supervisor) || is(p.Parent, self) || is(p.Parent, supervisor)) {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// watchOver tells the kernel which processes are ours when this has changed.
func (c *collector) watchOver() {
	g := c.live.guard
	pids := g.find(c.live.processes)
	if len(pids) > bpf.MaxProtected {
		pids = pids[:bpf.MaxProtected]
	}
	if slices.Equal(pids, g.pids) {
		return
	}
	g.pids = pids
	if err := c.kernel.source.Protect(pids); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		c.log.Warn("tell the kernel which processes are ours", core.Err(err))
	}
}

package collector

import (
	"daemoneye/platform"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// confinement is what the collector reports of its own.
type confinement struct {
	walls       platform.Walls
	descriptors *platform.Descriptors // nil where they can not be listed
}

// confine closes the cage, and says what is missing.
func (c *collector) confine() {
	if c.cfg.Cage == nil {
		return
	}
	cage := *c.cfg.Cage
	cage.Dials = true // an agent that was started again
	cage.Writes = c.cfg.Ledger.Dir != ""
	cage.Lists = c.source() == api.SourceKernel
	// With it, /proc of other users can not be read: the hasher does.
	cage.Landlock = cage.Landlock && c.source() == api.SourceKernel && c.cfg.Hasher != nil
	own, err := platform.OpenDescriptors(0)
	if err != nil {
		c.log.Warn("list own descriptors", core.Err(err))
	}
	walls := cage.Close()
	for _, missing := range walls.Missing {
		c.log.Warn("confine", core.String("missing", missing))
	}
	c.log.Info("confined", core.String("seccomp", walls.Seccomp), core.Int("calls", walls.Calls), core.Int("landlock", walls.Landlock))
	c.agent.mu.Lock()
	c.agent.confined = &confinement{walls, own}
	c.agent.mu.Unlock()
}

func (c *confinement) close() {
	if c.descriptors != nil {
		_ = c.descriptors.Close()
	}
}

func (c *confinement) report() api.Confinement {
	w := &c.walls
	r := api.Confinement{Seccomp: w.Seccomp, Calls: w.Calls, Landlock: w.Landlock, Missing: w.Missing, Limits: w.Limits}
	if c.descriptors != nil {
		r.Descriptors, _ = c.descriptors.Kinds() // else not known
	}
	return r
}

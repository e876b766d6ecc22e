package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// takeNeeds keeps what the agent needs for the collector's loop.
func (a *agentLink) takeNeeds(ctx context.Context, n api.Needs) {
	select {
	case <-a.needs: // which this one replaces
	default:
	}
	select {
	case a.needs <- n:
	case <-ctx.Done():
	}
}

// lease is what the agent needs beyond what is always told, until it ends.
type lease struct {
	ends  *time.Timer
	masks map[bpf.Kind]uint64 // what the kernel tells, by kind
	// The files that are watched.
	paths, reads []string
}

func newLease() *lease {
	l := &lease{ends: time.NewTimer(time.Hour), masks: map[bpf.Kind]uint64{}}
	l.ends.Stop()
	return l
}

// grant lets the kernel tell what the agent needs, for as long as a lease.
func (c *collector) grant(n api.Needs) {
	c.lease.ends.Reset(c.cfg.leaseTime)
	c.tell(n)
}

// allChanges are of bpf.Changed: each is the row of a process.
const allChanges = 1<<64 - 1

// tell lets the kernel tell what is needed and what always is.
func (c *collector) tell(n api.Needs) {
	if c.source() != api.SourceKernel {
		c.agent.tells(nil)
		return
	}
	if err := c.kernel.source.Want(bpf.Changed, allChanges); err != nil {
		c.log.Warn("choose what the kernel tells", core.String("table", "process_events"), core.Err(err))
	}
	var told []string
	for kind, t := range actionTables {
		mask := t.wanted
		var need api.Need
		if i := slices.IndexFunc(n.Tables, func(x api.Need) bool { return x.Table == t.name }); i >= 0 {
			need = n.Tables[i]
			mask |= t.mask(need.Events)
		}
		if kind == bpf.Files {
			c.watchFiles(need)
		}
		if names := t.names(mask); len(names) > 0 {
			told = append(told, fmt.Sprintf("%s: %s", t.name, strings.Join(names, ", ")))
		}
		if before, ok := c.lease.masks[kind]; ok && before == mask {
			continue
		}
		if err := c.kernel.source.Want(kind, mask); err != nil {
			c.log.Warn("choose what the kernel tells", core.String("table", t.name), core.Err(err))
			continue
		}
		c.lease.masks[kind] = mask
	}
	slices.Sort(told)
	c.agent.tells(told)
}

// watchFiles chooses the files of which is told: those of the configuration, and
// those that are needed, if there is room for them.
func (c *collector) watchFiles(n api.Need) {
	paths, reads := slices.Concat(c.cfg.WatchedPaths, n.Paths), slices.Concat(c.cfg.WatchedReads, n.Reads)
	if slices.Equal(paths, c.lease.paths) && slices.Equal(reads, c.lease.reads) {
		return
	}
	c.lease.paths, c.lease.reads = paths, reads
	err := c.kernel.source.Watch(paths, reads)
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		return
	}
	c.log.Warn("watch the files that rules name", core.Err(err))
	if err := c.kernel.source.Watch(c.cfg.WatchedPaths, c.cfg.WatchedReads); err != nil {
		c.log.Warn("watch the files of the configuration", core.Err(err))
	}
}

// remount takes up where file systems were mounted since the last scan.
func (c *collector) remount() {
	if c.kernel == nil {
		return
	}
	if err := c.kernel.source.Remount(); err != nil {
		c.log.Warn("take up the mounts that watched files are below", core.Err(err))
	}
}

// mask has a bit for each of the events; none named means all.
func (t actionTable) mask(events []string) (mask uint64) {
	for what, name := range t.events {
		if name != "" && (len(events) == 0 || slices.Contains(events, name)) {
			mask |= 1 << what
		}
	}
	return mask
}

// names is the reverse of mask.
func (t actionTable) names(mask uint64) (list []string) {
	for what, name := range t.events {
		if mask>>what&1 != 0 && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

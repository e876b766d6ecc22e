package collector

import (
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"daemoneye/platform/bpf"
	"daemoneye/platform/connector"
	"daemoneye/platform/procfs"
	"daemoneye/roles/api"
	"daemoneye/roles/log/core"
)

// source tells of processes as it happens.
type source interface {
	Read([]bpf.Event) ([]bpf.Event, error)
	Sync() error
	Want(bpf.Kind, uint64) error
	Watch(paths, reads []string) error
	Remount() error
	Protect(pids []int32) error
	Processes(yield func(p *procfs.Process, whole bool) bool) error
	Connections(yield func(*bpf.Event) bool) error
	Limits() []string
	Stats() (bpf.Stats, error)
	Close() error
}

// rescanAfter is how long after the begin of the last scan one is made out of
// turn.
const rescanAfter = time.Second

// lateInterval is between two gaps for what came too late: on a busy machine that
// may be some of each second.
const lateInterval = 10 * time.Second

// opener opens a source.
type opener struct {
	name string // api.Source…
	open func() (source, error)
}

// openers are those of the kernel's sources that may be used, best first.
func (c *collector) openers() (list []opener) {
	if c.cfg.NoKernel {
		return nil
	}
	if !c.cfg.NoEBPF {
		list = append(list, opener{api.SourceKernel, func() (source, error) {
			return bpf.Open(bpf.Config{RingBytes: c.cfg.RingBytes, Environment: c.cfg.Scan.Environment, UnixSockets: c.cfg.UnixSockets})
		}})
	}
	if c.cfg.OnlyEBPF {
		return list
	}
	return append(list, opener{api.SourceNetlink, func() (source, error) {
		return connector.Open(connector.Config{
			BufferBytes: c.cfg.SocketBytes, MaxCommandLine: c.cfg.Scan.MaxCommandLine, Environment: c.cfg.Scan.Environment,
		})
	}})
}

// openKernel opens the best of the kernel's sources, and gives up what only that
// takes. It returns why better ones are not used, and what can not be told, as
// sentences for people.
func (c *collector) openKernel() []string {
	defer c.giveUp()
	if c.cfg.NoKernel {
		return nil
	}
	defer debug.FreeOSMemory() // the kernel's types are some megabytes
	reasons := c.firstOf(c.openers(), nil)
	if c.kernel != nil {
		c.live = newLive(c.enumerator, c.rows, c.cfg.Scan.Environment)
		c.live.sensor, _ = c.kernel.source.(sensor)
		c.live.looked = c.kernel.checked
	}
	return reasons
}

// firstOf opens the first source that can be. reasons are why better ones are not
// used.
func (c *collector) firstOf(list []opener, reasons []string) []string {
	for _, o := range list {
		s, err := o.open()
		if err != nil {
			c.log.Info("a source can not be used", core.String("source", o.name), core.Err(err))
			reasons = append(reasons, err.Error())
			continue
		}
		c.kernel = newKernel(o.name, s)
		for i := range reasons {
			reasons[i] = "a better source is not used: " + reasons[i]
		}
		reasons = append(reasons, s.Limits()...)
		if err := s.Watch(c.cfg.WatchedPaths, c.cfg.WatchedReads); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			c.log.Warn("choose the files that are watched", core.Err(err))
			reasons = append(reasons, "no files are watched: "+err.Error())
		}
		return reasons
	}
	return []string{unseen + strings.Join(reasons, "; ")}
}

// replaceKernel opens the next best source after one that has failed. A scan then
// finds what happened in between.
func (c *collector) replaceKernel(failure error) []string {
	rest := c.openers()
	if c.cfg.Cage != nil { // which lets no other be opened
		rest = nil
	}
	for len(rest) > 0 && rest[0].name != c.kernel.name {
		rest = rest[1:]
	}
	live := c.live
	c.closeKernel()
	reasons := c.firstOf(rest[min(1, len(rest)):], []string{failure.Error()})
	if c.kernel != nil {
		live.touched, live.sensor = nil, nil
		c.live, c.rescan = live, true
	}
	return reasons
}

// limitsNow says, for people, what can not be told now; reasons are the source's.
func (c *collector) limitsNow(reasons []string) []string {
	list := append(slices.Clip(c.can), reasons...)
	if c.source() != api.SourceKernel {
		list = append(list, unlistedConnections)
	}
	return list
}

// source is what observes now.
func (c *collector) source() string {
	if c.kernel != nil {
		return c.kernel.name
	}
	return api.SourceProc
}

// scanSource is what scans read.
func (c *collector) scanSource() string {
	if c.source() == api.SourceKernel {
		return api.SourceKernel
	}
	return api.SourceProc
}

// lookedUp notes what netlink could not look up any more: rows lack what was
// run. After a loss, a scan finds who is there.
func (c *collector) lookedUp(lost bool, from, now time.Time) {
	s, ok := c.kernel.source.(interface{ Late() uint64 })
	if !ok {
		return
	}
	c.rescan = c.rescan || lost
	k, late := c.kernel, s.Late()
	c.agent.tooLate(late)
	if late == k.late || !k.noted.IsZero() && now.Sub(k.noted) < lateInterval {
		return
	}
	if k.late > 0 {
		from = k.noted
	}
	k.late, k.noted = late, now
	c.losses.blind("process_events", "a process ended before /proc could tell what it ran", from, now.Add(time.Microsecond))
}

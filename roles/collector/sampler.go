package collector

import (
	"time"

	"daemoneye/platform/procfs"
)

// sampler writes rows of process_samples: at most one per process and
// interval, and only when something changed since its last one.
type sampler struct {
	out      *outbox
	interval time.Duration
	last     time.Time // of the last round
	known    map[string]sample
}

type sample struct {
	at      time.Time
	ticks   uint64
	rss     int64
	size    int64
	threads int32
	state   byte
}

func newSampler(out *outbox, interval time.Duration) *sampler {
	return &sampler{out: out, interval: interval, known: map[string]sample{}}
}

// sample writes what changed since the last round, if that is long enough ago.
func (s *sampler) sample(snap *procfs.Snapshot) error {
	// Scans do not begin at exact multiples: one that is a little early counts.
	if !s.last.IsZero() && snap.Began.Sub(s.last) < s.interval-s.interval/20 {
		return nil
	}
	s.last = snap.Began
	known := make(map[string]sample, len(snap.Processes))
	b := s.out.builder
	when, id, pid, name, status, usage, cpu, rss, size, threads := b.Column("time"), b.Column("entity_id"), b.Column("pid"),
		b.Column("name"), b.Column("status"), b.Column("cpu_usage"), b.Column("cpu_time"), b.Column("memory_usage"),
		b.Column("virtual_memory"), b.Column("threads")
	for _, p := range snap.Processes {
		if !p.HasStat {
			continue
		}
		now := sample{at: p.Collected, ticks: p.CPUTicks, rss: p.RSS, size: p.VirtualSize, threads: p.Threads, state: p.State}
		old, seen := s.known[p.EntityID]
		same := now
		same.at = old.at
		if seen && same == old {
			known[p.EntityID] = old
			continue
		}
		known[p.EntityID] = now
		when.Time(p.Collected)
		id.Text(p.EntityID)
		pid.Int(int64(p.PID))
		name.Text(p.Name)
		status.TextOrNull(procfs.StateName(p.State))
		percent := p.CPUUsage
		if span := now.at.Sub(old.at).Seconds(); seen && span > 0 && now.ticks >= old.ticks {
			percent = 100 * float64(now.ticks-old.ticks) / procfs.TicksPerSecond / span
		}
		usage.Float(round(percent))
		cpu.Float(p.CPUTime())
		rss.Int(p.RSS)
		size.Int(p.VirtualSize)
		threads.Int(int64(p.Threads))
		b.EndRow()
		if err := s.out.added(); err != nil {
			return err
		}
	}
	s.known = known
	return s.out.flush()
}

package collector

import (
	"fmt"
	"sync"
	"time"
)

// stall is a time in which this process did not run.
type stall struct{ from, to time.Time }

func (s stall) String() string {
	return fmt.Sprintf("the collector did not run for %v, from %s", s.to.Sub(s.from).Round(time.Millisecond), s.from.UTC().Format(time.RFC3339Nano))
}

// watchdog notices that this process did not run: it was stopped or frozen, or
// got no time. While the machine sleeps, no time passes.
type watchdog struct {
	stalls chan stall
	stop   chan struct{}
	done   sync.WaitGroup
}

func newWatchdog(limit time.Duration) *watchdog {
	w := &watchdog{stalls: make(chan stall), stop: make(chan struct{})}
	w.done.Go(func() { w.run(limit) })
	return w
}

func (w *watchdog) run(limit time.Duration) {
	ticker := time.NewTicker(limit / 4)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		now := time.Now()
		if now.Sub(last) > limit {
			select {
			case w.stalls <- stall{last, now}:
			case <-w.stop:
				return
			}
			now = time.Now()
		}
		last = now
	}
}

func (w *watchdog) close() {
	close(w.stop)
	w.done.Wait()
}

package term

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Progress shows that long work goes on: one line on a terminal, rewritten
// a few times a second after half a second; nothing in a pipe.
type Progress struct {
	out   *Output
	label string
	unit  string
	total int64
	done  atomic.Int64
	stop  chan struct{}
	ended chan struct{}
}

// StartProgress begins a line such as "reading events.jsonl: 12,000 rows, 3 s".
// With a total, which may be 0 when it is not known, a percentage is shown.
// Stop must be called, and before anything else is written to the terminal.
func StartProgress(out *Output, label, unit string, total int64) *Progress {
	p := &Progress{out: out, label: label, unit: unit, total: total}
	if !out.Terminal {
		return p
	}
	p.stop, p.ended = make(chan struct{}), make(chan struct{})
	go p.run(time.Now())
	return p
}

// Add counts n more units of work.
func (p *Progress) Add(n int64) { p.done.Add(n) }

// Stop clears the line. It may be called more than once, by one goroutine.
func (p *Progress) Stop() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	<-p.ended
	p.stop = nil
}

func (p *Progress) run(start time.Time) {
	defer close(p.ended)
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	shown := false
	for {
		select {
		case <-p.stop:
			if shown {
				fmt.Fprint(p.out, "\r\x1b[K")
			}
			return
		case now := <-ticker.C:
			if elapsed := now.Sub(start); elapsed >= 500*time.Millisecond {
				fmt.Fprintf(p.out, "\r%s\x1b[K", p.out.Fit(p.line(elapsed), p.out.Width-1))
				shown = true
			}
		}
	}
}

func (p *Progress) line(elapsed time.Duration) string {
	done := p.done.Load()
	s := p.label
	switch {
	case p.total > 0:
		s += fmt.Sprintf(": %d%% of %s %s", min(100, done*100/p.total), Count(p.total), p.unit)
	case done > 0:
		s += ": " + Count(done) + " " + p.unit
	}
	unit := time.Second
	if elapsed < unit {
		unit = 100 * time.Millisecond
	}
	return s + ", " + Duration(elapsed.Truncate(unit))
}

package rules

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// evaluation is what the Stream rules find in one batch.
type evaluation struct {
	cfg      *MatcherConfig
	batch    *event.Batch
	now      time.Time
	matching *sql.Matching
	found    []Match
}

// match evaluates a rule for some rows of the batch, nil: all.
func (e *evaluation) match(c *compiled, rows []int32) {
	n := e.batch.Rows
	if rows != nil {
		n = len(rows)
	}
	c.candidates.Add(int64(n))
	if c.pause.holds(e.now) {
		c.skipped.Add(int64(n))
		c.evaluated.Add(-int64(n))
		return
	}
	cpu := startWatch(e.cfg.Share > 0 && c.pause.suspected())
	start := time.Now()
	timeout := e.cfg.BatchTimeout
	p := pass{rule: c.rule, whole: e.batch, now: e.now, found: e.found, fail: c.fail}
	if timeout > 0 {
		p.deadline = start.Add(timeout)
	}
	p.confirm(e.matching, rows)
	spent := time.Since(start)
	if p.skipped > 0 {
		why := errors.New("its rows are large")
		if p.err != nil {
			why = p.err
		}
		c.fail(fmt.Errorf("it was stopped after %v in one batch, and %d of %d rows were not looked at: %w", timeout, p.skipped, e.batch.Rows, why), int64(p.skipped), e.now)
	}
	if timeout > 0 && spent > timeout {
		c.lastSlow.Store(&RunError{Time: e.now, Message: fmt.Sprintf("it took %v for a batch of %d rows", spent.Round(time.Millisecond), e.batch.Rows)})
	}
	e.share(c.state, cpu, spent, "it took %v for a batch of %d rows and is paused for %v")
	c.evaluated.Add(-int64(p.skipped))
	c.count(p.found[len(e.found):])
	c.cut.Add(p.room.cut)
	c.took(spent)
	e.found = p.found
}

// wake makes a History rule due if one of these rows of the batch, nil: all,
// passes its trigger. While a trigger is paused each row does.
func (e *evaluation) wake(h triggered, rows []int32) {
	if h.dirty.Load() {
		return
	}
	if h.pause.holds(e.now) {
		h.dirty.Store(true)
		return
	}
	cpu := startWatch(e.cfg.Share > 0 && h.pause.suspected())
	start := time.Now()
	if h.trigger.Passes(e.matching, rows) {
		h.dirty.Store(true)
	}
	spent := time.Since(start)
	e.share(h.state, cpu, spent, "its trigger took %v for a batch of %d rows; for %v it runs without one")
	h.spent.Add(int64(spent))
}

// share pauses what has taken more than its share of the time, and says so; said
// has verbs for the time, the rows of the batch and the pause.
func (e *evaluation) share(s *state, cpu watch, spent time.Duration, said string) {
	share := e.cfg.Share
	if share <= 0 {
		return
	}
	if d := s.pause.after(cpu.stop(spent) > share, e.now); d > 0 {
		s.lastSlow.Store(&RunError{Time: e.now, Message: fmt.Sprintf(
			said+": a narrower condition needs less, rules.share in the configuration allows more", spent, e.batch.Rows, d)})
	}
}

// watch measures CPU time, so that a rule does not seem slow when the machine is busy.
type watch struct {
	began time.Duration
	on    bool
}

// startWatch returns a watch that measures if on is set and the CPU time of a
// thread is known; until it is stopped the goroutine stays on its thread.
func startWatch(on bool) (w watch) {
	if !on {
		return w
	}
	runtime.LockOSThread()
	if w.began, w.on = threadTime(); !w.on {
		runtime.UnlockOSThread()
	}
	return w
}

// stop returns what was measured, else the time that has passed.
func (w watch) stop(passed time.Duration) time.Duration {
	if !w.on {
		return passed
	}
	defer runtime.UnlockOSThread()
	if now, ok := threadTime(); ok {
		return now - w.began
	}
	return passed
}

// took counts the time of a batch or a run.
func (s *state) took(d time.Duration) {
	s.spent.Add(int64(d))
	for {
		most := s.slowest.Load()
		if int64(d) <= most || s.slowest.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

const (
	firstPause  = time.Minute
	maxDoubling = 6
)

// pause is whether a rule that takes too long is passed over.
type pause struct {
	until   atomic.Int64 // µs since the Unix epoch; 0: it is not
	slow    atomic.Int32 // batches in a row that took too long
	doubled atomic.Int32 // pauses in a row
}

// holds reports whether the rule is passed over. A clock that was set back
// does not make a pause longer than it can be.
func (p *pause) holds(now time.Time) bool {
	until := p.until.Load()
	if until == 0 {
		return false
	}
	left := time.UnixMicro(until).Sub(now)
	if left > 0 && left <= firstPause<<maxDoubling {
		return true
	}
	p.until.Store(0)
	return false
}

// suspected reports whether one more batch that takes too long pauses the rule.
func (p *pause) suspected() bool { return p.slow.Load() > 0 }

// after notes whether a batch took too long, and returns for how long the rule
// is paused then.
func (p *pause) after(slow bool, now time.Time) time.Duration {
	if !slow {
		p.slow.Store(0)
		p.doubled.Store(0)
		return 0
	}
	if p.slow.Add(1) < 2 {
		return 0
	}
	p.slow.Store(1) // after the pause one batch is enough
	d := firstPause << min(p.doubled.Add(1)-1, maxDoubling)
	p.until.Store(now.Add(d).UnixMicro())
	return d
}

func (p *pause) end() time.Time {
	if until := p.until.Load(); until != 0 {
		return time.UnixMicro(until).UTC()
	}
	return time.Time{}
}

// pass is one evaluation of a rule on a batch, row by row where it fails.
type pass struct {
	rule     *Rule
	whole    *event.Batch
	now      time.Time
	deadline time.Time // zero: none
	fail     func(err error, rows int64, now time.Time)

	found   []Match
	room    room
	skipped int   // rows that were not looked at
	err     error // of the last part that failed
}

func (p *pass) late() bool { return !p.deadline.IsZero() && time.Now().After(p.deadline) }

// confirm evaluates some rows of the batch, nil: all. A row on which the rule
// fails (such as a division by zero) must not hide the other rows: they are
// halved until the failing row stands alone.
func (p *pass) confirm(m *sql.Matching, rows []int32) {
	matched, out, err := p.rule.query.MatchRows(m, rows)
	if err == nil {
		p.take(matched, out)
		return
	}
	if rows == nil {
		rows = make([]int32, p.whole.Rows)
		for i := range rows {
			rows[i] = int32(i)
		}
	}
	p.halve(rows, err)
}

// halve evaluates the halves of rows, on which the rule failed.
func (p *pass) halve(rows []int32, err error) {
	p.err = err
	if len(rows) == 1 {
		p.fail(err, 1, p.now)
		return
	}
	half := len(rows) / 2
	for _, part := range [][]int32{rows[:half], rows[half:]} {
		if p.late() {
			p.skipped += len(part)
			continue
		}
		matched, out, err := p.rule.query.Match(pick(p.whole, part), p.now)
		if err != nil {
			p.halve(part, err)
			continue
		}
		for k, row := range matched {
			matched[k] = int(part[row])
		}
		p.take(matched, out)
	}
}

// take appends the rows that match.
func (p *pass) take(rows []int, out *sql.Rows) {
	excluded := p.excluded(rows)
	for at, row := range rows {
		if at > 0 && p.room.cut > 0 && p.late() { // to make them is what takes long
			p.skipped += len(rows) - at
			return
		}
		p.found = append(p.found, p.rule.newMatch(out, at, p.whole, row, p.now, &p.room))
		if excluded != nil && excluded[at] != nil {
			p.found[len(p.found)-1].exclude(excluded[at])
		}
	}
}

// pick copies some rows.
func pick(b *event.Batch, rows []int32) *event.Batch {
	builder := event.NewBuilder(b.Table)
	for _, i := range rows {
		builder.AddRow(b, int(i))
	}
	return builder.Batch()
}

func (c *compiled) fail(err error, rows int64, now time.Time) {
	c.failed.Add(rows)
	c.lastError.Store(&RunError{Time: now, Message: err.Error()})
}

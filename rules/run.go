package rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// scheduledEvery is the least time between two runs of a rule that no row has
// made due, when its header names none.
const scheduledEvery = time.Minute

// Due returns how long it is until a History rule should be run, 0 when one
// should be run now; ok is false when none waits.
func (m *Matcher) Due(now time.Time) (wait time.Duration, ok bool) {
	for _, c := range m.plan.Load().history {
		if w, due := c.due(now, m.cfg.Every); due && (!ok || w < wait) {
			wait, ok = w, true
		}
	}
	return wait, ok
}

// due is Due of one rule. One that may match without a new row is due by its
// schedule, too.
func (c *compiled) due(now time.Time, every time.Duration) (wait time.Duration, ok bool) {
	switch {
	case c.dirty.Load():
		return c.wait(now, cmp.Or(c.rule.Every, every)), true
	case c.scheduled:
		return c.wait(now, cmp.Or(c.rule.Every, scheduledEvery)), true
	}
	return 0, false
}

// restFactor bounds the share of the time that one rule takes: after each run
// it waits so many times as long as that took, so that the others have room.
const restFactor = 9

// wait returns how long the rule's rate limit holds it back. A clock that was
// set back does not hold it longer than the limit.
func (s *state) wait(now time.Time, every time.Duration) time.Duration {
	last := s.lastRun.Load()
	if last == math.MinInt64 {
		return 0
	}
	every = max(every, restFactor*time.Duration(s.lastTook.Load()))
	return min(every, max(0, every-now.Sub(time.UnixMicro(last))))
}

// RunHistory runs the History rules that are due, each over the rows of src
// that its Lookback from now leaves. A row that the rule's run before
// returned as well is not a match again. The error is that of ctx; one of a
// rule is counted and kept in its Stats.
func (m *Matcher) RunHistory(ctx context.Context, src sql.Source, now time.Time) ([]Match, error) {
	m.runs.Lock()
	defer m.runs.Unlock()
	m.expire(now)
	var found []Match
	for _, c := range m.plan.Load().history {
		if wait, due := c.due(now, m.cfg.Every); !due || wait > 0 {
			continue
		}
		c.dirty.Store(false)
		list := m.run(ctx, c, c.rule.Windowed(src, now), now)
		if err := ctx.Err(); err != nil {
			c.dirty.Store(true)
			return found, err
		}
		found = append(found, c.fresh(list)...)
	}
	return found, nil
}

// slowRun is how long a run of a Scan rule may take without being held back.
const slowRun = time.Second

// RunScan runs the Scan rules over src. Every row that they return is a
// match, at every scan. A rule that takes longer than a second is passed over
// at some scans and told to be slow. The error is that of ctx.
func (m *Matcher) RunScan(ctx context.Context, src sql.Source, now time.Time) ([]Match, error) {
	m.runs.Lock()
	defer m.runs.Unlock()
	m.expire(now)
	var found []Match
	for _, c := range m.plan.Load().scan {
		if every := c.rule.Every; every > 0 && c.wait(now, every) > 0 {
			continue
		}
		if took := time.Duration(c.lastTook.Load()); took > slowRun && c.wait(now, 0) > 0 {
			c.lastSlow.Store(&RunError{Time: now, Message: fmt.Sprintf("it took %v after a scan, so some scans are passed over", took.Round(time.Millisecond))})
			continue
		}
		list := m.run(ctx, c, c.rule.Windowed(src, now), now)
		if err := ctx.Err(); err != nil {
			return found, err
		}
		c.count(list)
		found = append(found, list...)
	}
	return found, nil
}

var seed = maphash.MakeSeed()

// fresh returns the matches whose rows were not in the rule's last answer,
// and remembers this answer.
func (c *compiled) fresh(list []Match) []Match {
	answer := make(map[uint64]struct{}, len(list))
	var found []Match
	for _, m := range list {
		parts := [3]string{string(m.output), m.digest}
		if m.Excluded != nil { // it is fresh when the exception ends
			parts[2] = m.Excluded.key()
		}
		h := maphash.Comparable(seed, parts)
		if _, ok := c.answer[h]; !ok {
			found = append(found, m)
		}
		answer[h] = struct{}{}
	}
	c.answer = answer
	c.count(found)
	return found
}

var errTooMany = errors.New("too many matches")

// run evaluates one rule over src. What it returned before it failed is kept.
func (m *Matcher) run(ctx context.Context, c *compiled, src sql.Source, now time.Time) []Match {
	start := time.Now()
	c.lastRun.Store(now.UnixMicro())
	expired := fmt.Errorf("the run took longer than %v and was stopped: a narrower window or a stricter condition needs less, rules.timeout in the configuration allows more", m.cfg.Timeout)
	limited, cancel := context.WithTimeoutCause(ctx, m.cfg.Timeout, expired)
	defer cancel()
	counted := &counting{src: src}
	opt := m.cfg.Resources
	opt.Now = now
	list, cut, err := c.rule.run(limited, counted, opt, m.cfg.MaxRows, c.fail)
	c.cut.Add(cut)
	if err != nil && ctx.Err() == nil && context.Cause(limited) == expired {
		err = expired
	}
	c.evaluated.Add(counted.rows)
	took := time.Since(start)
	c.lastTook.Store(int64(took))
	c.took(took)
	switch {
	case errors.Is(err, errTooMany):
		c.fail(fmt.Errorf("more than %d matches in one run, and the rest was not looked at: add a condition, or rules.max_matches in the configuration allows more", m.cfg.MaxRows), 1, now)
	case err != nil:
		c.fail(err, 1, now)
	}
	return list
}

// run returns what the rule finds in src. A rule that filters and projects is
// matched batch by batch, so that the whole event row is known; rows on which
// it fails are told to fail and passed over.
func (r *Rule) run(ctx context.Context, src sql.Source, opt sql.Options, limit int64, fail func(error, int64, time.Time)) (list []Match, cut int64, err error) {
	now := opt.Now
	if r.query.Streams() {
		t := event.Lookup(r.Table())
		req := sql.ScanRequest{Table: t}
		req.From, req.To = r.query.TimeRange(t.Name, now)
		for _, col := range t.Columns {
			req.Columns = append(req.Columns, col.Name)
		}
		p := pass{rule: r, now: now, fail: fail}
		p.deadline, _ = ctx.Deadline()
		err := src.Scan(ctx, req, func(b *event.Batch) error {
			if b.Rows > 0 {
				p.whole, p.err = b, nil
				p.confirm(sql.NewMatching(b, now), nil)
			}
			if int64(len(p.found)) > limit {
				p.found = p.found[:limit]
				return errTooMany
			}
			return ctx.Err()
		})
		return p.found, p.room.cut, err
	}
	if r.marked != nil {
		list, cut, err = r.collect(ctx, r.marked, src, opt, limit)
		if err == nil || errors.Is(err, errTooMany) || ctx.Err() != nil {
			return list, cut, err
		}
		fail(fmt.Errorf("with its exceptions: %w", err), 0, now) // none of them counts then
	}
	return r.collect(ctx, r.query, src, opt, limit)
}

// collect runs the rule as q, which may have columns behind its own that tell
// which exceptions a row meets.
func (r *Rule) collect(ctx context.Context, q *sql.Query, src sql.Source, opt sql.Options, limit int64) (list []Match, cut int64, err error) {
	var room room
	err = q.Run(ctx, src, opt, func(rows *sql.Rows) error {
		for at := range rows.Len() {
			if int64(len(list)) == limit {
				return errTooMany
			}
			m := r.newMatch(rows, at, nil, 0, opt.Now, &room)
			for i := range len(rows.Columns()) - len(r.output) {
				if text, _ := rows.AppendText(nil, at, len(r.output)+i); string(text) == "t" && m.Excluded == nil {
					m.exclude(r.active[i].Exception)
				}
			}
			list = append(list, m)
		}
		return nil
	})
	return list, room.cut, err
}

// counting counts the rows that a Source yields.
type counting struct {
	src  sql.Source
	rows int64
}

func (s *counting) Scan(ctx context.Context, r sql.ScanRequest, yield func(*event.Batch) error) error {
	return s.src.Scan(ctx, r, func(b *event.Batch) error {
		s.rows += int64(b.Rows)
		return yield(b)
	})
}

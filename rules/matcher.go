package rules

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// MatcherConfig adjusts a Matcher; its zero value is the default.
type MatcherConfig struct {
	Every   time.Duration // least time between two runs of one History rule; 5 s
	Timeout time.Duration // of one run of a History or Scan rule; 30 s
	MaxRows int64         // matches of one run of a History or Scan rule; 10,000
	// Resources are what one run may use; its time and rows are above.
	Resources sql.Options
	// BatchTimeout is how long a Stream rule may take for one batch: 1 s,
	// negative: no bound. A rule that failed on the whole batch and is tried
	// on parts of it, or whose rows are larger than an alert, passes over the
	// rest then. The rule is called slow.
	BatchTimeout time.Duration
}

func (c MatcherConfig) withDefaults() MatcherConfig {
	if c.Every == 0 {
		c.Every = 5 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.BatchTimeout == 0 {
		c.BatchTimeout = time.Second
	}
	if c.MaxRows == 0 {
		c.MaxRows = 10_000
	}
	return c
}

// Matcher evaluates the rules of a Set. Its methods may be called by several
// goroutines at once.
//
// Reload puts another Set in force between two batches: each call of Match
// uses one Set from its first row to its last, so that no event is skipped and
// none is matched twice.
type Matcher struct {
	cfg  MatcherConfig
	plan atomic.Pointer[plan]

	reload sync.Mutex // one Reload at a time
	runs   sync.Mutex // one RunHistory or RunScan at a time
}

// plan is a Set made ready to be evaluated. It does not change.
type plan struct {
	set     *Set
	all     []*compiled // in the order of the Set, disabled ones too
	stream  map[*event.Table][]*compiled
	history []*compiled
	scan    []*compiled
}

// compiled is a rule with what has come of it.
type compiled struct {
	rule *Rule
	*state
}

// state is kept over a Reload while the rule's file does not change.
type state struct {
	loaded    time.Time
	evaluated atomic.Int64
	matched   atomic.Int64
	failed    atomic.Int64
	cut       atomic.Int64 // matched rows
	spent     atomic.Int64 // ns
	lastError atomic.Pointer[RunError]
	lastSlow  atomic.Pointer[RunError]

	// Of History and Scan rules:
	lastRun  atomic.Int64 // µs, math.MinInt64 before the first
	lastTook atomic.Int64 // ns

	// Of History rules:
	dirty  atomic.Bool         // rows came since the last run
	answer map[uint64]struct{} // digests of the rows of the last run; guarded by Matcher.runs
}

// RunError is an evaluation that failed.
type RunError struct {
	Time    time.Time
	Message string
}

// NewMatcher returns a Matcher for the enabled rules of set.
func NewMatcher(set *Set, cfg MatcherConfig) *Matcher {
	m := &Matcher{cfg: cfg.withDefaults()}
	m.plan.Store(newPlan(set, nil))
	return m
}

// Reload puts set in force. A rule whose file has not changed keeps its
// counters and what a History rule remembers. A batch that is being matched
// is finished with the rules with which it was begun.
func (m *Matcher) Reload(set *Set) {
	m.reload.Lock()
	defer m.reload.Unlock()
	m.plan.Store(newPlan(set, m.plan.Load()))
}

// Set returns the rules in force.
func (m *Matcher) Set() *Set { return m.plan.Load().set }

func newPlan(set *Set, before *plan) *plan {
	type identity struct{ id, hash, file string }
	kept := map[identity]*state{}
	if before != nil {
		for _, c := range before.all {
			kept[identity{c.rule.ID, c.rule.Hash, c.rule.File}] = c.state
		}
	}
	p := &plan{set: set, stream: map[*event.Table][]*compiled{}}
	for _, r := range set.Rules {
		c := &compiled{rule: r, state: kept[identity{r.ID, r.Hash, r.File}]}
		if c.state == nil {
			c.state = &state{loaded: set.Loaded}
			c.lastRun.Store(math.MinInt64)
			c.dirty.Store(true) // stored rows may match already
		}
		p.all = append(p.all, c)
		switch {
		case !r.Enabled:
		case r.Mode == Stream:
			t := event.Lookup(r.Table())
			p.stream[t] = append(p.stream[t], c)
		case r.Mode == History:
			p.history = append(p.history, c)
		default:
			p.scan = append(p.scan, c)
		}
	}
	return p
}

// Match evaluates all Stream rules on a batch and notes which History rules
// it makes due. The matches refer to the batch, which must not change while
// they are in use; they come by rule, then by row.
func (m *Matcher) Match(b *event.Batch, now time.Time) []Match {
	p := m.plan.Load()
	var found []Match
	if b.Rows == 0 {
		return nil
	}
	for _, c := range p.candidates(b) {
		found = c.match(found, b, now, m.cfg.BatchTimeout)
	}
	for _, c := range p.history {
		for _, name := range c.rule.Tables {
			if name == b.Table.Name {
				c.dirty.Store(true)
			}
		}
	}
	return found
}

// candidates returns the rules that some row of the batch may satisfy; each
// is then confirmed by its own compiled expressions. A rule is a candidate
// when it reads the batch's table.
func (p *plan) candidates(b *event.Batch) []*compiled { return p.stream[b.Table] }

// match appends the rows of b that satisfy the rule.
func (c *compiled) match(found []Match, b *event.Batch, now time.Time, timeout time.Duration) []Match {
	start := time.Now()
	p := pass{rule: c.rule, whole: b, now: now, found: found, fail: c.fail}
	if timeout > 0 {
		p.deadline = start.Add(timeout)
	}
	p.confirm(b, 0)
	spent := time.Since(start)
	if p.skipped > 0 {
		why := errors.New("its rows are large")
		if p.err != nil {
			why = p.err
		}
		c.fail(fmt.Errorf("it was stopped after %v in one batch, and %d of %d rows were not looked at: %w", timeout, p.skipped, b.Rows, why), int64(p.skipped), now)
	}
	if timeout > 0 && spent > timeout {
		c.lastSlow.Store(&RunError{Time: now, Message: fmt.Sprintf("it took %v for a batch of %d rows", spent.Round(time.Millisecond), b.Rows)})
	}
	c.evaluated.Add(int64(b.Rows - p.skipped))
	c.matched.Add(int64(len(p.found) - len(found)))
	c.cut.Add(p.room.cut)
	c.spent.Add(int64(spent))
	return p.found
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

// confirm evaluates part, which is the rows of whole from first on. A row on
// which the rule fails (such as a division by zero) must not hide the other
// rows: the part is halved until the failing row stands alone.
func (p *pass) confirm(part *event.Batch, first int) {
	if p.err != nil && p.late() {
		p.skipped += part.Rows
		return
	}
	rows, out, err := p.rule.query.Match(part, p.now)
	if err == nil {
		for at, row := range rows {
			if at > 0 && p.room.cut > 0 && p.late() { // to make them is what takes long
				p.skipped += len(rows) - at
				return
			}
			p.found = append(p.found, p.rule.newMatch(out, at, p.whole, first+row, p.now, &p.room))
		}
		return
	}
	p.err = err
	if part.Rows == 1 {
		p.fail(err, 1, p.now)
		return
	}
	half := part.Rows / 2
	p.confirm(slice(part, 0, half), first)
	p.confirm(slice(part, half, part.Rows), first+half)
}

// slice copies the rows from ≤ i < to.
func slice(b *event.Batch, from, to int) *event.Batch {
	builder := event.NewBuilder(b.Table)
	for i := from; i < to; i++ {
		builder.AddRow(b, i)
	}
	return builder.Batch()
}

func (c *compiled) fail(err error, rows int64, now time.Time) {
	c.failed.Add(rows)
	c.lastError.Store(&RunError{Time: now, Message: err.Error()})
}

// Stats is what has come of one rule since its file was loaded or changed.
type Stats struct {
	Rule      *Rule
	Loaded    time.Time
	Evaluated int64 // rows; for a History or Scan rule, rows read
	Matched   int64 // rows
	Failed    int64 // rows of a Stream rule, runs of another, that ended in an error
	Cut       int64 // matched rows that were too long for an alert
	Spent     time.Duration
	Error     *RunError // the last one, or nil
	Slow      *RunError // when it last took too long for a batch, or nil
}

// Stats returns the figures of each rule, in the order of the Set.
func (m *Matcher) Stats() []Stats {
	p := m.plan.Load()
	list := make([]Stats, len(p.all))
	for i, c := range p.all {
		list[i] = Stats{
			Rule: c.rule, Loaded: c.loaded,
			Evaluated: c.evaluated.Load(), Matched: c.matched.Load(), Failed: c.failed.Load(),
			Cut:   c.cut.Load(),
			Spent: time.Duration(c.spent.Load()), Error: c.lastError.Load(), Slow: c.lastSlow.Load(),
		}
	}
	return list
}

// AppendTo adds the set's rules, loaded and refused, as rows of b, a Builder
// for the rules table. With stats (of Matcher.Stats) the counters are theirs,
// else zero.
func (s *Set) AppendTo(b *event.Builder, stats []Stats) {
	byRule := make(map[*Rule]Stats, len(stats))
	for _, st := range stats {
		byRule[st.Rule] = st
	}
	for _, r := range s.Rules {
		st, ok := byRule[r]
		if !ok {
			st.Loaded = s.Loaded
		}
		r.Header.appendTo(b)
		b.Column("file").Text(r.File)
		b.Column("enabled").Bool(r.Enabled)
		b.Column("mode").Text(r.Mode.String())
		b.Column("table_name").Text(r.Table())
		if st.Error != nil {
			b.Column("error").Text(st.Error.Message)
		}
		b.Column("loaded_at").Time(st.Loaded)
		b.Column("evaluated").Int(st.Evaluated)
		b.Column("matched").Int(st.Matched)
		b.Column("failed").Int(st.Failed)
		b.Column("cut").Int(st.Cut)
		b.Column("sql").Text(r.SQL)
		b.EndRow()
	}
	for _, r := range s.Refused {
		r.Header.appendTo(b)
		b.Column("file").Text(r.File)
		b.Column("enabled").Bool(false)
		b.Column("error").Text(r.Error())
		b.Column("loaded_at").Time(s.Loaded)
		b.Column("evaluated").Int(0)
		b.Column("matched").Int(0)
		b.Column("failed").Int(0)
		b.Column("cut").Int(0)
		b.EndRow()
	}
}

func (h *Header) appendTo(b *event.Builder) {
	b.Column("rule_id").TextOrNull(h.ID)
	b.Column("title").TextOrNull(h.Title)
	b.Column("description").TextOrNull(h.Description)
	b.Column("severity").TextOrNull(h.Severity)
	b.Column("tags").Texts(h.Tags)
	b.Column("author").TextOrNull(h.Author)
	b.Column("version").TextOrNull(h.Version)
	b.Column("status").TextOrNull(h.Status)
}

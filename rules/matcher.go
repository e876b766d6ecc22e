package rules

import (
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
	// Share is the time that a Stream rule may take for a batch: 100 ms,
	// negative: no bound. One that takes longer twice in a row, the second time
	// by CPU time where that is known, is paused for a minute, then for twice as
	// long each time when it does so again; at most about an hour.
	Share time.Duration
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
	if c.Share == 0 {
		c.Share = 100 * time.Millisecond
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

// plan is a Set made ready to be evaluated. Its rules do not change.
type plan struct {
	set     *Set
	all     []*compiled // in the order of the Set, disabled ones too
	tables  map[*event.Table]*tableRules
	history []*compiled
	scan    []*compiled

	matching sync.RWMutex // held to read while a batch is matched
}

// tableRules are the enabled rules that new rows of a table concern.
type tableRules struct {
	stream  []*compiled
	history []triggered
	index   *index       // of stream, then history
	rows    atomic.Int64 // that the stream rules were evaluated for; not yet in their evaluated
}

// triggered is a History rule with what makes a row of one table of concern to it.
type triggered struct {
	*compiled
	trigger *sql.Trigger
}

// compiled is a rule with what has come of it.
type compiled struct {
	rule      *Rule
	scheduled bool // a History rule that may match without a new row
	*state
}

// state is kept over a Reload while the rule's file does not change.
type state struct {
	loaded    time.Time
	evaluated atomic.Int64 // of a Stream rule without tableRules.rows
	matched   atomic.Int64
	excluded  atomic.Int64
	failed    atomic.Int64
	cut       atomic.Int64 // matched rows
	spent     atomic.Int64 // ns
	lastError atomic.Pointer[RunError]
	lastSlow  atomic.Pointer[RunError]
	slowest   atomic.Int64 // ns of one batch or run

	// Of Stream rules:
	candidates atomic.Int64 // rows
	skipped    atomic.Int64 // rows, while it was paused

	// Of Stream rules, and of the triggers of History rules:
	pause pause

	// Of History and Scan rules:
	lastRun  atomic.Int64 // µs, math.MinInt64 before the first
	lastTook atomic.Int64 // ns

	// Of History rules:
	dirty  atomic.Bool         // rows that passed its triggers came since the last run
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
	m.put(set)
}

// put is Reload with the lock held.
func (m *Matcher) put(set *Set) {
	before := m.plan.Load()
	m.plan.Store(newPlan(set, before))
	before.matching.Lock()
	defer before.matching.Unlock()
	for _, t := range before.tables {
		rows := t.rows.Swap(0)
		for _, c := range t.stream {
			c.evaluated.Add(rows)
		}
	}
}

// hold returns the plan in force, with its lock held to read.
func (m *Matcher) hold() *plan {
	for {
		p := m.plan.Load()
		p.matching.RLock()
		if p == m.plan.Load() {
			return p
		}
		p.matching.RUnlock() // Reload has counted its rows
	}
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
	p := &plan{set: set, tables: map[*event.Table]*tableRules{}}
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
			t := p.table(r.Table())
			t.stream = append(t.stream, c)
		case r.Mode == History:
			c.scheduled = r.query.ByTime()
			p.history = append(p.history, c)
			for _, name := range r.Tables {
				t := p.table(name)
				t.history = append(t.history, triggered{c, r.query.Trigger(name)})
			}
		default:
			p.scan = append(p.scan, c)
		}
	}
	for table, t := range p.tables {
		var required []*sql.Requirement
		for _, c := range t.stream {
			required = append(required, c.rule.query.Requires(table.Name))
		}
		for _, h := range t.history {
			required = append(required, h.trigger.Requires())
		}
		t.index = newIndex(required)
	}
	return p
}

func (p *plan) table(name string) *tableRules {
	table := event.Lookup(name)
	t := p.tables[table]
	if t == nil {
		t = &tableRules{}
		p.tables[table] = t
	}
	return t
}

// Match evaluates all Stream rules on a batch and notes which History rules
// it makes due. The matches refer to the batch, which must not change while
// they are in use; they come by rule, then by row.
func (m *Matcher) Match(b *event.Batch, now time.Time) []Match {
	if b.Rows == 0 {
		return nil
	}
	m.expire(now)
	p := m.hold()
	defer p.matching.RUnlock()
	t := p.tables[b.Table]
	if t == nil {
		return nil
	}
	t.rows.Add(int64(b.Rows))
	e := evaluation{cfg: &m.cfg, batch: b, now: now, matching: sql.NewMatching(b, now)}
	t.candidates(b, func(position int, rows []int32) {
		if position < len(t.stream) {
			e.match(t.stream[position], rows)
		} else {
			e.wake(t.history[position-len(t.stream)], rows)
		}
	})
	return e.found
}

// candidates calls visit for each rule, in order, that rows of the batch may
// satisfy, and these rows; nil: all.
func (t *tableRules) candidates(b *event.Batch, visit func(position int, rows []int32)) {
	found, all := t.index.candidates(b), t.index.all
	for len(found) > 0 || len(all) > 0 {
		position := math.MaxInt
		if len(found) > 0 {
			position = int(found[0] >> 32)
		}
		if len(all) > 0 && int(all[0]) < position {
			visit(int(all[0]), nil)
			all = all[1:]
			continue
		}
		n := 1
		for n < len(found) && int(found[n]>>32) == position {
			n++
		}
		rows := make([]int32, n)
		for k := range rows {
			rows[k] = int32(found[k])
		}
		visit(position, rows)
		found = found[n:]
	}
}

// Stats is what has come of one rule since its file was loaded or changed.
type Stats struct {
	Rule       *Rule
	Loaded     time.Time
	Evaluated  int64 // rows; for a History or Scan rule, rows read
	Candidates int64 // of these, rows of a Stream rule that its texts did not rule out
	Matched    int64 // rows
	Excluded   int64 // rows that met an exception; not in Matched
	Failed     int64 // rows of a Stream rule, runs of another, that ended in an error
	Skipped    int64 // rows that a Stream rule might have matched while it was paused
	Cut        int64 // matched rows that were too long for an alert
	Spent      time.Duration
	Slowest    time.Duration // of a batch or run
	Paused     time.Time     // until when a Stream rule is paused, as far as is known; zero: it is not
	Error      *RunError     // the last one, or nil
	Slow       *RunError     // when it last took too long for a batch, or nil
}

// Stats returns the figures of each rule, in the order of the Set.
func (m *Matcher) Stats() []Stats {
	m.reload.Lock()
	defer m.reload.Unlock()
	p := m.plan.Load()
	list := make([]Stats, len(p.all))
	for i, c := range p.all {
		list[i] = Stats{
			Rule: c.rule, Loaded: c.loaded,
			Evaluated: c.evaluated.Load(), Candidates: c.candidates.Load(), Matched: c.matched.Load(), Excluded: c.excluded.Load(), Failed: c.failed.Load(),
			Skipped: c.skipped.Load(), Cut: c.cut.Load(),
			Spent: time.Duration(c.spent.Load()), Slowest: time.Duration(c.slowest.Load()), Error: c.lastError.Load(), Slow: c.lastSlow.Load(),
		}
		if c.rule.Mode == Stream {
			list[i].Paused = c.pause.end()
		}
		if c.rule.Enabled && c.rule.Mode == Stream {
			list[i].Evaluated += p.tables[event.Lookup(c.rule.Table())].rows.Load()
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
		b.Column("candidates").Int(st.Candidates)
		b.Column("matched").Int(st.Matched)
		b.Column("excluded").Int(st.Excluded)
		if expired := r.expired(s); len(expired) > 0 {
			b.Column("expired").Texts(expired)
		}
		b.Column("failed").Int(st.Failed)
		b.Column("skipped").Int(st.Skipped)
		b.Column("cut").Int(st.Cut)
		b.Column("time_spent").Float(st.Spent.Seconds())
		b.Column("slowest").Float(st.Slowest.Seconds())
		if !st.Paused.IsZero() {
			b.Column("paused_until").Time(st.Paused)
		}
		b.Column("sql").Text(r.SQL)
		b.EndRow()
	}
	for _, r := range s.Refused {
		r.Header.appendTo(b)
		b.Column("file").Text(r.File)
		b.Column("enabled").Bool(false)
		b.Column("error").Text(r.Error())
		b.Column("loaded_at").Time(s.Loaded)
		for _, counter := range []string{"evaluated", "candidates", "matched", "excluded", "failed", "skipped", "cut"} {
			b.Column(counter).Int(0)
		}
		b.Column("time_spent").Float(0)
		b.Column("slowest").Float(0)
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

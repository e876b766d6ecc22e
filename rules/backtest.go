package rules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"daemoneye/bus/event"
	"daemoneye/rules/sql"
)

// BacktestConfig says over which part of the history a rule is run; its zero
// value is all of it.
type BacktestConfig struct {
	From, To time.Time     // From ≤ time < To
	Step     time.Duration // between two runs of a History rule; 0: half of the window, at least a second
	Matcher  MatcherConfig
}

// Bounds of what a Backtest remembers.
const (
	backtestSamples = 10
	backtestTop     = 5
	backtestValues  = 4096    // counted of a column; the others are counted together
	backtestValue   = 256     // bytes of a value that is shown
	backtestRow     = 4 << 10 // bytes of the row of an alert that is shown
	backtestMatches = 1 << 20 // that can be compared
	backtestRuns    = 100_000 // of a History rule
	backtestOpen    = 65_536  // alerts, and bytes of them
	backtestBytes   = 64 << 20
)

// Backtest is what a rule would have found in the history.
type Backtest struct {
	RuleID   string           `json:"rule_id"`
	Mode     string           `json:"mode"`
	From     time.Time        `json:"from"`             // the first row's in the time asked for
	To       time.Time        `json:"to"`               // the last row's
	Step     float64          `json:"step_s,omitempty"` // s between two runs of a History rule
	Runs     int64            `json:"runs,omitempty"`
	Rows     int64            `json:"rows"`     // of its tables in that time
	Matches  int64            `json:"matches"`  // rows that the rule returned
	Alerts   int64            `json:"alerts"`   // that they make
	Excluded int64            `json:"excluded"` // rows that the rule returned and an exception met; in no other count
	Forced   int64            `json:"forced"`   // alerts that were ended early, to bound memory; each may have made another one
	Failed   int64            `json:"failed"`   // rows, or runs, on which the rule failed
	Error    string           `json:"error,omitempty"`
	Days     []BacktestDay    `json:"days"` // in UTC, those with matches
	Top      []BacktestColumn `json:"top"`  // columns of the result, and the dedup columns, in which values repeat
	Sample   []event.Alert    `json:"sample"`

	Unfit []string `json:"unfit_exceptions,omitempty"` // sentences for people: exceptions that could not be applied

	Against *BacktestChange `json:"against,omitempty"`
}

// BacktestDay counts what belongs to a day.
type BacktestDay struct {
	Day     string `json:"day"` // YYYY-MM-DD
	Alerts  int64  `json:"alerts"`
	Matches int64  `json:"matches"`
}

// BacktestColumn is which values a column has most.
type BacktestColumn struct {
	Column string          `json:"column"`
	Values []BacktestValue `json:"values"`
	Others int64           `json:"others"` // matches with other values
}

// BacktestValue is a value and its matches.
type BacktestValue struct {
	Value   string `json:"value"` // as JSON, perhaps cut
	Matches int64  `json:"matches"`
}

// BacktestChange is what another rule, the old one, finds in the same rows.
type BacktestChange struct {
	Old     *Backtest   `json:"old"`
	Added   ChangedPart `json:"added"`   // which the old one does not find
	Removed ChangedPart `json:"removed"` // which only the old one finds
}

// ChangedPart is what one of two rules finds alone.
type ChangedPart struct {
	Matches int64         `json:"matches"`
	Alerts  int64         `json:"alerts"` // that these make by themselves
	Sample  []event.Alert `json:"sample"`
}

// Backtest runs the rule over the history in src as if its rows came now.
// now() of a Stream rule is the greatest time of the rows up to the batch at
// hand; a History rule is run again and again, a step apart. The error is of
// src, of ctx, or that a rule can not be run so: one that reads the present
// state, of which there is no history.
func (r *Rule) Backtest(ctx context.Context, src sql.Source, cfg BacktestConfig) (*Backtest, error) {
	return r.backtest(ctx, src, cfg, func(*Match) error { return nil })
}

// BacktestAgainst is Backtest beside an older version of the rule.
func (r *Rule) BacktestAgainst(ctx context.Context, src sql.Source, cfg BacktestConfig, old *Rule) (*Backtest, error) {
	if cfg.To.IsZero() {
		cfg.To = time.Now() // the same rows for both
	}
	before, after := map[matchDigest]struct{}{}, map[matchDigest]struct{}{}
	collect := func(found map[matchDigest]struct{}, m *Match) error {
		if found[digestOf(m)] = struct{}{}; len(found) > backtestMatches {
			return fmt.Errorf("rule %s matches more than %d rows, which is more than can be compared: ask for a shorter time", m.Rule.ID, backtestMatches)
		}
		return nil
	}
	was, err := old.backtest(ctx, src, cfg, func(m *Match) error { return collect(before, m) })
	if err != nil {
		return nil, err
	}
	added, removed := newTally(r), newTally(old)
	b, err := r.backtest(ctx, src, cfg, func(m *Match) error {
		if _, ok := before[digestOf(m)]; !ok {
			added.add([]Match{*m})
		}
		return collect(after, m)
	})
	if err != nil {
		return nil, err
	}
	if _, err = old.backtest(ctx, src, cfg, func(m *Match) error {
		if _, ok := after[digestOf(m)]; !ok {
			removed.add([]Match{*m})
		}
		return nil
	}); err != nil {
		return nil, err
	}
	b.Against = &BacktestChange{Old: was, Added: added.part(), Removed: removed.part()}
	return b, nil
}

// matchDigest tells matches of two rules apart: of a stream rule by the row
// that it found, else by what alerts are made of.
type matchDigest struct {
	time   int64
	pid    int64
	entity string
	key    string
}

func digestOf(m *Match) matchDigest {
	d := matchDigest{time: m.Time.UnixMicro(), pid: m.PID, entity: m.EntityID}
	if m.Rule.Mode != Stream {
		d.key = m.Key[len(m.Rule.ID):]
	}
	return d
}

func (r *Rule) backtest(ctx context.Context, src sql.Source, cfg BacktestConfig, each func(*Match) error) (*Backtest, error) {
	if r.Mode == Scan {
		return nil, fmt.Errorf("rule %s reads the present state, of which there is no history", r.ID)
	}
	t := newTally(r)
	found := func(list []Match) error {
		all := len(list)
		list = slices.DeleteFunc(list, func(m Match) bool { return m.Excluded != nil })
		t.Excluded += int64(all - len(list))
		for i := range list {
			if err := each(&list[i]); err != nil {
				return err
			}
		}
		t.add(list)
		return nil
	}
	if err := t.reach(ctx, src, cfg); err != nil {
		return nil, err
	}
	find := t.history
	if r.Mode == Stream {
		find = t.stream
	}
	if t.Rows > 0 {
		if err := find(ctx, src, cfg, found); err != nil {
			return nil, err
		}
	}
	return t.result(), nil
}

// tally counts what a rule finds.
type tally struct {
	Backtest
	rule    *Rule
	grouper *Grouper
	days    map[string]*BacktestDay
	columns []*valueCount
	sample  map[string]int // alert id → position
}

func newTally(r *Rule) *tally {
	t := &tally{rule: r, grouper: NewGrouper(GrouperConfig{MaxOpen: backtestOpen, MaxBytes: backtestBytes}), days: map[string]*BacktestDay{}, sample: map[string]int{}}
	t.RuleID, t.Mode = r.ID, r.Mode.String()
	t.Sample = []event.Alert{}
	return t
}

// fail counts rows or runs on which the rule failed.
func (t *tally) fail(err error, rows int64, _ time.Time) {
	t.Failed += rows
	t.Error = err.Error()
}

// stream runs a Stream rule.
func (t *tally) stream(ctx context.Context, src sql.Source, cfg BacktestConfig, found func([]Match) error) error {
	r := t.rule
	table := event.Lookup(r.Table())
	req := sql.ScanRequest{Table: table}
	req.From, req.To = cfg.Bounds()
	req.Columns, req.Where = r.query.Reads()
	names := []string{table.Time, "entity_id", "pid"}
	for _, e := range r.active {
		columns, _ := e.query.Reads()
		names = append(names, columns...)
	}
	for _, k := range r.keys {
		if k.output < 0 {
			names = append(names, k.name)
		}
	}
	for _, name := range names {
		if table.Index(name) >= 0 && !slices.Contains(req.Columns, name) {
			req.Columns = append(req.Columns, name)
		}
	}
	now := t.From
	return src.Scan(ctx, req, func(b *event.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b = between(b, req.From, req.To); b == nil {
			return nil
		}
		_, greatest, _ := b.TimeRange()
		if last := time.UnixMicro(greatest).UTC(); last.After(now) {
			now = last
		}
		p := pass{rule: r, whole: b, now: now, fail: t.fail}
		p.confirm(sql.NewMatching(b, now), nil)
		for i := range p.found {
			p.found[i].batch = nil // it has not all columns
		}
		return found(p.found)
	})
}

// Bounds returns the times in µs since the Unix epoch.
func (c *BacktestConfig) Bounds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !c.From.IsZero() {
		from = c.From.UnixMicro()
	}
	if !c.To.IsZero() {
		to = c.To.UnixMicro()
	}
	return from, to
}

// reach finds the rows of the rule's tables in the time asked for.
func (t *tally) reach(ctx context.Context, src sql.Source, cfg BacktestConfig) error {
	least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, name := range t.rule.Tables {
		table := event.Lookup(name)
		req := sql.ScanRequest{Table: table, Columns: []string{table.Time}}
		req.From, req.To = cfg.Bounds()
		err := src.Scan(ctx, req, func(b *event.Batch) error {
			if b = between(b, req.From, req.To); b != nil {
				first, last, _ := b.TimeRange()
				least, greatest = min(least, first), max(greatest, last)
				t.Rows += int64(b.Rows)
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	if t.Rows > 0 {
		t.From, t.To = time.UnixMicro(least).UTC(), time.UnixMicro(greatest).UTC()
	}
	return nil
}

// history runs a History rule, a step apart.
func (t *tally) history(ctx context.Context, src sql.Source, cfg BacktestConfig, found func([]Match) error) error {
	r := t.rule
	from, to := t.From, t.To.Add(time.Microsecond)
	step := cfg.Step
	if step == 0 {
		step = max(time.Second, r.Window/2)
	}
	if runs := int64(to.Sub(from)/step) + 1; runs > backtestRuns {
		return fmt.Errorf("rule %s would be run %d times, every %v of %v, and the limit is %d: ask for a shorter time or a longer step", r.ID, runs, step, to.Sub(from).Round(time.Second), backtestRuns)
	}
	t.Step = step.Seconds()
	m := NewMatcher(&Set{Rules: []*Rule{r}}, cfg.Matcher)
	c := &compiled{rule: r, state: &state{}}
	for now := from.Add(step); ; now = now.Add(step) {
		w := r.windowed(src, now)
		w.to = min(now.UnixMicro(), to.UnixMicro())
		list := m.run(ctx, c, w, now)
		if err := ctx.Err(); err != nil {
			return err
		}
		t.Runs++
		if err := found(c.fresh(list)); err != nil {
			return err
		}
		if !now.Before(to) {
			break
		}
	}
	t.Failed = c.failed.Load()
	if e := c.lastError.Load(); e != nil {
		t.Error = e.Message
	}
	return nil
}

// add counts matches.
func (t *tally) add(list []Match) {
	for i := range list {
		m := &list[i]
		t.Matches++
		t.day(m.Time).Matches++
		t.count(m)
	}
	for _, c := range t.grouper.Add(list, Completeness{Complete: true}) {
		at, sampled := t.sample[c.Alert.ID]
		if c.New {
			t.Alerts++
			t.day(c.Alert.Time).Alerts++
			if at = len(t.Sample); at < backtestSamples {
				t.sample[c.Alert.ID], sampled = at, true
				t.Sample = append(t.Sample, c.Alert)
			}
		}
		if sampled {
			c.Alert.Row = event.ShrinkJSON(c.Alert.Row, backtestRow)
			t.Sample[at] = c.Alert
		}
	}
}

func (t *tally) day(at time.Time) *BacktestDay {
	name := at.UTC().Format(time.DateOnly)
	d := t.days[name]
	if d == nil {
		d = &BacktestDay{Day: name}
		t.days[name] = d
	}
	return d
}

// valueCount counts the values of a column.
type valueCount struct {
	name   string
	values map[string]int64
	others int64
}

// count notes the values of a row.
func (t *tally) count(m *Match) {
	d := json.NewDecoder(bytes.NewReader(m.output))
	if _, err := d.Token(); err != nil {
		return // our own output begins with a brace
	}
	for i := 0; d.More(); i++ {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return
		}
		if i == len(t.columns) {
			t.columns = append(t.columns, &valueCount{name: fmt.Sprint(name), values: map[string]int64{}})
		}
		t.columns[i].count(string(value))
	}
}

func (c *valueCount) count(value string) {
	value = event.CutText(value, backtestValue)
	if _, ok := c.values[value]; !ok && len(c.values) == backtestValues {
		c.others++
		return
	}
	c.values[value]++
}

// top returns the values that repeat, nil when none does.
func (c *valueCount) top() *BacktestColumn {
	names := slices.SortedFunc(maps.Keys(c.values), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.values[b], c.values[a]), cmp.Compare(a, b))
	})
	if len(names) == 0 || c.values[names[0]] < 2 {
		return nil
	}
	out := &BacktestColumn{Column: c.name, Others: c.others}
	for i, name := range names {
		if i < backtestTop {
			out.Values = append(out.Values, BacktestValue{name, c.values[name]})
		} else {
			out.Others += c.values[name]
		}
	}
	return out
}

// result is what was counted.
func (t *tally) result() *Backtest {
	b := t.Backtest
	_, b.Forced = t.grouper.Open()
	b.Days, b.Top = []BacktestDay{}, []BacktestColumn{}
	for _, name := range slices.Sorted(maps.Keys(t.days)) {
		b.Days = append(b.Days, *t.days[name])
	}
	for _, c := range t.columns {
		if top := c.top(); top != nil {
			b.Top = append(b.Top, *top)
		}
	}
	return &b
}

func (t *tally) part() ChangedPart {
	return ChangedPart{Matches: t.Matches, Alerts: t.Alerts, Sample: t.Sample}
}

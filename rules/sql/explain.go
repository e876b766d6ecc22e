package sql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// PlanNode is one step of a plan, for people.
type PlanNode struct {
	Step     string   // "hash join", "scan process_events"
	Details  []string // "filter: name = 'x'"
	Children []*PlanNode

	Analyzed bool
	Rows     int64         // that it gave
	Time     time.Duration // of it and the steps below, of all goroutines together
}

// MarshalJSON writes the plan as step, details, rows and ms (both null unless
// it was run) and children.
func (n *PlanNode) MarshalJSON() ([]byte, error) {
	out := struct {
		Step     string      `json:"step"`
		Details  []string    `json:"details"`
		Rows     *int64      `json:"rows"`
		MS       *float64    `json:"ms"`
		Children []*PlanNode `json:"children"`
	}{Step: n.Step, Details: append([]string{}, n.Details...), Children: append([]*PlanNode{}, n.Children...)}
	if n.Analyzed {
		ms := float64(n.Time.Microseconds()) / 1000
		out.Rows, out.MS = &n.Rows, &ms
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return b.Bytes(), err
}

// Estimate is what a source knows of a scan before it is made.
type Estimate struct {
	Rows    int64    // that will be read, about; negative: not known
	Details []string // what will be read and what was left out: "3 of 120 segments"
}

// Estimator is a Source that can say what a scan would read.
type Estimator interface {
	Estimate(ctx context.Context, r ScanRequest) (Estimate, error)
}

// Explain describes the plan as it would be run over src. With analyze it is
// run, its rows thrown away, and the description says what each step gave.
func (q *Query) Explain(ctx context.Context, src Source, opt Options, analyze bool) (*PlanNode, error) {
	x := newEnv(ctx, src, opt)
	x.frame = q.frame
	e := &explainer{x: x}
	if !analyze {
		return e.node(q.plan)
	}
	// A plan does not change once it is made, so this one is made anew.
	metered, err := compile(q.text, q.prefix, q.cfg)
	if err != nil {
		return nil, err
	}
	e.meters = make(map[operator]*meterNode)
	metered.plan = e.meter(metered.plan)
	ran := newEnv(ctx, src, opt)
	if err := metered.run(ran, opt.MaxRows, func(*Rows) error { return nil }); err != nil {
		return nil, err
	}
	x.frame, e.tallies = metered.frame, ran.tallies
	return e.node(metered.plan)
}

// Text writes the plan as an indented tree, one line a step.
func (n *PlanNode) Text() []string {
	var out []string
	n.write(&out, "", "")
	return out
}

func (n *PlanNode) write(out *[]string, first, rest string) {
	line := first + n.Step
	if n.Analyzed {
		line += fmt.Sprintf("  (%d rows, %v)", n.Rows, roundTime(n.Time))
	}
	*out = append(*out, line)
	for _, d := range n.Details {
		mark := "     "
		if len(n.Children) > 0 {
			mark = "  │  "
		}
		*out = append(*out, rest+mark+d)
	}
	for i, c := range n.Children {
		if i < len(n.Children)-1 {
			c.write(out, rest+"  ├─ ", rest+"  │  ")
		} else {
			c.write(out, rest+"  └─ ", rest+"     ")
		}
	}
}

func roundTime(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// planned is an operator that can tell what it does.
type planned interface {
	operator
	// describe returns its name, details, and where its inputs stand.
	describe() (step string, details []string, inputs []*operator)
	// exprs are its expressions, of which the subqueries are shown.
	exprList() []expr
}

type explainer struct {
	x       *env
	meters  map[operator]*meterNode
	tallies map[operator]*tally
	shown   map[operator]bool
}

func (e *explainer) node(op operator) (*PlanNode, error) {
	m, metered := op.(*meterNode)
	if metered {
		op = m.input
	}
	if g, ok := op.(*gatherNode); ok {
		return e.node(g.input)
	}
	p := op.(planned)
	step, details, inputs := p.describe()
	n := &PlanNode{Step: step, Details: details}
	if metered {
		n.Analyzed, n.Rows, n.Time = true, m.rows.Load(), time.Duration(m.spent.Load())
	}
	if t := e.tallies[op]; t != nil {
		n.Details = append(n.Details, t.details()...)
	}
	if s, ok := op.(*scanNode); ok {
		if err := e.estimate(n, s); err != nil {
			return nil, err
		}
	}
	if e.shown[op] { // a query of WITH that was shown before
		return n, nil
	}
	if e.shown == nil {
		e.shown = make(map[operator]bool)
	}
	e.shown[op] = true
	for _, in := range inputs {
		c, err := e.node(*in)
		if err != nil {
			return nil, err
		}
		n.Children = append(n.Children, c)
	}
	for _, s := range subqueries(p) {
		c, err := e.node(s.run.op)
		if err != nil {
			return nil, err
		}
		how := "subquery"
		switch {
		case len(s.params) == 0:
			how += ", run once"
		case s.run.lookup != nil:
			how += ", by hash look-up (run itself for the first row only)"
			if c, err = e.node(s.run.lookup.op); err != nil {
				return nil, err
			}
		default:
			how += ", run for each distinct " + exprTexts(s.params)
		}
		n.Children = append(n.Children, &PlanNode{Step: how, Time: c.Time, Children: []*PlanNode{c}})
	}
	// One that waits for others to run the steps below has spent less than they.
	var below time.Duration
	for _, c := range n.Children {
		below += c.Time
	}
	n.Time = max(n.Time, below)
	return n, nil
}

func (t *tally) details() (out []string) {
	if n := t.leftOut.Load(); n > 0 {
		out = append(out, fmt.Sprintf("left out of the second: %d rows, whose keys the first does not have", n))
	}
	if n := t.spilled.Load(); n > 0 {
		out = append(out, fmt.Sprintf("temporary files: %.1f MiB", float64(n)/(1<<20)))
	}
	return out
}

func (e *explainer) estimate(n *PlanNode, s *scanNode) error {
	src, ok := e.x.src.(Estimator)
	if !ok {
		return nil
	}
	est, err := src.Estimate(e.x.ctx, s.request(e.x))
	if err != nil {
		return err
	}
	if est.Rows >= 0 {
		n.Details = append(n.Details, fmt.Sprintf("estimated: %d rows", est.Rows))
	}
	n.Details = append(n.Details, est.Details...)
	return nil
}

func subqueries(p planned) []*subExpr {
	var out []*subExpr
	for _, e := range p.exprList() {
		if e == nil {
			continue
		}
		walk(e, func(e expr) bool {
			if s, ok := e.(*subExpr); ok && !slices.ContainsFunc(out, func(o *subExpr) bool { return o.run == s.run }) {
				out = append(out, s)
			}
			return true
		})
	}
	return out
}

// meter puts a meterNode above op and everything below it.
func (e *explainer) meter(op operator) operator {
	if m := e.meters[op]; m != nil {
		return m
	}
	if g, ok := op.(*gatherNode); ok {
		g.input = e.meter(g.input)
		return g
	}
	m := &meterNode{input: op}
	e.meters[op] = m
	p := op.(planned)
	_, _, inputs := p.describe()
	for _, in := range inputs {
		*in = e.meter(*in)
	}
	for _, s := range subqueries(p) {
		if _, done := s.run.op.(*meterNode); !done {
			s.run.op = e.meter(s.run.op)
			if s.run.lookup != nil {
				s.run.lookup.op = e.meter(s.run.lookup.op)
			}
		}
	}
	return m
}

// meterNode counts what its input gives, and the time that this takes.
type meterNode struct {
	input operator
	rows  atomic.Int64
	spent atomic.Int64 // ns
}

// count wraps yield; done adds the time that was not spent in it.
func (m *meterNode) count(yield func(*chunk) error) (counted func(*chunk) error, done func()) {
	began, outside := time.Now(), time.Duration(0)
	counted = func(c *chunk) error {
		m.rows.Add(int64(c.len()))
		t := time.Now()
		defer func() { outside += time.Since(t) }()
		return yield(c)
	}
	return counted, func() { m.spent.Add(int64(time.Since(began) - outside)) }
}

func (m *meterNode) run(x *env, yield func(*chunk) error) error {
	counted, done := m.count(yield)
	defer done()
	return m.input.run(x, counted)
}

func (m *meterNode) split(x *env, keeps bool) (*split, error) {
	in, ok := m.input.(splitter)
	if !ok {
		return nil, nil
	}
	s, err := in.split(x, keeps)
	if s == nil || err != nil {
		return nil, err
	}
	return &split{parts: s.parts, close: s.close, run: func(x *env, i int, yield func(*chunk) error) error {
		counted, done := m.count(yield)
		defer done()
		return s.run(x, i, counted)
	}}, nil
}

func (oneRow) describe() (string, []string, []*operator) { return "one row", nil, nil }
func (oneRow) exprList() []expr                          { return nil }

func (s *scanNode) describe() (string, []string, []*operator) {
	details := []string{"columns: " + strings.Join(s.columnNames(), ", ")}
	if len(s.columns) == 0 {
		details[0] = "columns: none, rows are counted"
	}
	var pushed []string
	for _, c := range s.conds {
		pushed = append(pushed, c.text(s))
	}
	if pushed != nil {
		details = append(details, "to the source: "+strings.Join(pushed, " AND "))
	}
	return "scan " + s.table.Name, details, nil
}

func (s *scanNode) exprList() []expr { return nil }

func (c *scanCondition) text(s *scanNode) string {
	name := s.table.Columns[c.column].Name
	switch {
	case c.op == OpNull:
		return name + " IS NULL"
	case c.op == OpNotNull:
		return name + " IS NOT NULL"
	case c.values != nil:
		return fmt.Sprintf("%s IN (%d values)", name, len(c.values.list()))
	}
	return name + " " + [...]string{OpEqual: "=", OpLess: "<", OpLessOrEqual: "<=", OpGreater: ">", OpGreaterOrEqual: ">="}[c.op] + " " + exprTexts(c.exprs)
}

func (f *filterNode) describe() (string, []string, []*operator) {
	return "filter", []string{exprText(f.cond)}, []*operator{&f.input}
}
func (f *filterNode) exprList() []expr { return []expr{f.cond} }

func (p *projectNode) describe() (string, []string, []*operator) {
	return "compute", []string{exprTexts(p.exprs)}, []*operator{&p.input}
}
func (p *projectNode) exprList() []expr { return p.exprs }

func (l *limitNode) describe() (string, []string, []*operator) {
	var details []string
	if l.limit != nil {
		details = append(details, "limit: "+exprText(l.limit))
	}
	if l.offset != nil {
		details = append(details, "offset: "+exprText(l.offset))
	}
	return "limit", details, []*operator{&l.input}
}
func (l *limitNode) exprList() []expr { return []expr{l.limit, l.offset} }

func (s *sortNode) describe() (string, []string, []*operator) {
	step := "sort"
	if s.limit != nil && s.limit.limit != nil {
		step = "sort, keeping what the limit wants"
	}
	return step, []string{"by: " + keyTexts(s.keys)}, []*operator{&s.input}
}
func (s *sortNode) exprList() []expr { return nil }

func keyTexts(keys []sortKey) string {
	var out []string
	for _, k := range keys {
		text := fmt.Sprintf("column %d", k.column+1)
		if k.expr != nil {
			text = exprText(k.expr)
		}
		if k.descending {
			text += " DESC"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (a *aggregateNode) describe() (string, []string, []*operator) {
	var details []string
	if len(a.groups) > 0 {
		details = append(details, "by: "+exprTexts(a.groups))
	}
	if a.sets != nil {
		details = append(details, fmt.Sprintf("%d grouping sets", len(a.sets)))
	}
	if len(a.aggs) > 0 {
		details = append(details, "of: "+exprTexts(aggExprs(a.aggs)))
	}
	return "group by hash", details, []*operator{&a.input}
}
func (a *aggregateNode) exprList() []expr { return append(aggExprs(a.aggs), a.groups...) }

func (n *joinNode) describe() (string, []string, []*operator) {
	step := n.name()
	var details []string
	if len(n.leftKeys) > 0 {
		var on []string
		for i := range n.leftKeys {
			on = append(on, exprText(n.leftKeys[i])+" = "+exprText(n.rightKeys[i]))
		}
		details = append(details, "on: "+strings.Join(on, " AND "))
	}
	if n.kind != joinInner {
		step += ", " + strings.ToLower(strings.TrimSuffix(n.kind.String(), " JOIN"))
	}
	if n.cond != nil {
		details = append(details, "and: "+exprText(n.cond))
	}
	return step, details, []*operator{&n.left, &n.right}
}

func (n *joinNode) exprList() []expr {
	return slices.Concat(n.leftKeys, n.rightKeys, []expr{n.cond})
}

func (n *lateralNode) describe() (string, []string, []*operator) {
	return "for each row of the first, the second", []string{"with: " + exprTexts(n.params)}, []*operator{&n.left, &n.right}
}
func (n *lateralNode) exprList() []expr { return append(slices.Clone(n.params), n.cond) }

func (n *rowsNode) describe() (string, []string, []*operator) {
	return "rows of functions", []string{exprTexts(rowExprs(n.calls))}, []*operator{&n.input}
}
func (n *rowsNode) exprList() []expr { return rowExprs(n.calls) }

func (n *frameNode) describe() (string, []string, []*operator) {
	return "subquery", nil, []*operator{&n.input}
}
func (n *frameNode) exprList() []expr { return n.params }

func (n *valuesNode) describe() (string, []string, []*operator) {
	return fmt.Sprintf("%d rows of VALUES", len(n.rows)), nil, nil
}
func (n *valuesNode) exprList() []expr { return slices.Concat(n.rows...) }

func (n *appendNode) describe() (string, []string, []*operator) {
	out := make([]*operator, len(n.inputs))
	for i := range n.inputs {
		out[i] = &n.inputs[i]
	}
	return "one after the other", nil, out
}
func (n *appendNode) exprList() []expr { return nil }

func (n *cutNode) describe() (string, []string, []*operator) {
	return fmt.Sprintf("first %d columns", n.columns), nil, []*operator{&n.input}
}
func (n *cutNode) exprList() []expr { return nil }

func (n *sharedNode) describe() (string, []string, []*operator) {
	return fmt.Sprintf("WITH query %q, computed once", n.cte.name), nil, []*operator{&n.input}
}
func (n *sharedNode) exprList() []expr { return nil }

func (n *workingNode) describe() (string, []string, []*operator) {
	return fmt.Sprintf("new rows of %q", n.cte.name), nil, nil
}
func (n *workingNode) exprList() []expr { return nil }

func (n *recursiveNode) describe() (string, []string, []*operator) {
	return fmt.Sprintf("recursive query %q", n.cte.name), nil, []*operator{&n.first, &n.step}
}
func (n *recursiveNode) exprList() []expr { return nil }

func (u *uniqueNode) describe() (string, []string, []*operator) {
	return "distinct, for " + u.name, nil, []*operator{&u.input}
}
func (u *uniqueNode) exprList() []expr { return nil }

func (n *setNode) describe() (string, []string, []*operator) {
	return strings.ToLower(n.kind.String()), nil, []*operator{&n.left, &n.right}
}
func (n *setNode) exprList() []expr { return nil }

func (n *windowNode) describe() (string, []string, []*operator) {
	var names []string
	for _, c := range n.calls {
		names = append(names, c.fn.name)
	}
	details := []string{"of: " + strings.Join(names, ", ")}
	if len(n.spec.partition) > 0 {
		details = append(details, "partition by: "+exprTexts(n.spec.partition))
	}
	if len(n.order) > 0 {
		details = append(details, "order by: "+keyTexts(n.order))
	}
	return "window", details, []*operator{&n.input}
}

func (n *windowNode) exprList() []expr {
	return append(slices.Clone(n.extra), n.spec.start, n.spec.end)
}

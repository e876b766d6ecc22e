package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// Trigger says which new rows of a table can change what a query answers:
// those that pass what it asks of the rows of one of its scans alone. Any other
// row is left out wherever it is read, so that with it and without it the
// answer at one moment is the same: also under outer joins, NOT EXISTS and
// aggregates.
type Trigger struct {
	table *event.Table
	scans []scanTrigger // of which a row must pass one
	any   bool          // every row passes
}

// scanTrigger is a scan, and the condition on its rows.
type scanTrigger struct {
	scan *scanNode
	cond expr
}

// Trigger returns that of a table. Conditions on now(), on subqueries and on
// several tables are not part of it.
func (q *Query) Trigger(table string) *Trigger {
	b := &triggerBuilder{Trigger: Trigger{table: event.Lookup(table)}, seen: make(map[any]bool), keys: make(map[string]bool)}
	b.visit(q.plan, nil)
	for _, s := range q.scans { // in an unused query of WITH
		if !b.seen[s] && s.where != nil {
			b.scan(s, splitAnd(s.where))
		} else if !b.seen[s] {
			b.scan(s, nil)
		}
	}
	if b.any {
		b.scans = nil
	}
	return &b.Trigger
}

// Requires returns what a row that passes must satisfy, nil when nothing is known.
func (t *Trigger) Requires() *Requirement {
	if t.any {
		return nil
	}
	list := []*Requirement{}
	for _, s := range t.scans {
		list = append(list, requirer{s.scan}.filter(s.cond))
	}
	return anyOf(list)
}

// Passes reports whether one of these rows of a batch passes, nil: of all. A
// row on which the condition fails passes.
func (t *Trigger) Passes(m *Matching, some []int32) bool {
	if t.any || m.batch.Table != t.table {
		return t.any
	}
	for _, s := range t.scans {
		if _, c, err := m.filter(s.scan, s.cond, some); err != nil || c.len() > 0 {
			return true
		}
	}
	return false
}

// String writes the condition for people, "" when every row passes.
func (t *Trigger) String() string {
	if t.any {
		return ""
	}
	var parts []string
	for _, s := range t.scans {
		if text := exprText(s.cond); !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	switch len(parts) {
	case 0:
		return "false"
	case 1:
		return parts[0]
	}
	return "(" + strings.Join(parts, ") OR (") + ")"
}

// triggerBuilder goes down a plan with the conditions on what each step gives.
type triggerBuilder struct {
	Trigger
	seen map[any]bool // scans, shared steps and subqueries
	keys map[string]bool
}

// visit takes conditions on the columns that op gives: a row of which one is
// not true has no part in the answer.
func (b *triggerBuilder) visit(op operator, conds []expr) {
	switch n := op.(type) {
	case *gatherNode:
		b.visit(n.input, conds)
		return
	case *scanNode:
		b.seen[n] = true
		b.scan(n, conds)
		return
	case *sharedNode:
		if b.seen[n] {
			return
		}
		b.seen[n] = true
	}
	p := op.(planned)
	_, _, inputs := p.describe()
	for i, in := range inputs {
		b.visit(*in, below(op, i, conds))
	}
	for _, s := range subqueries(p) {
		if b.seen[s.run] {
			continue
		}
		b.seen[s.run] = true
		b.visit(s.run.op, nil)
		if s.run.lookup != nil {
			b.visit(s.run.lookup.op, nil)
		}
	}
}

func (b *triggerBuilder) scan(s *scanNode, conds []expr) {
	if s.table != b.table {
		return
	}
	conds = slices.DeleteFunc(ofRow(conds), func(e expr) bool {
		c, ok := isConstant(e)
		return ok && !c.v.null && c.v.truth()
	})
	if len(conds) == 0 {
		b.any = true
		return
	}
	// Those that can not fail come first: more is known of them.
	slices.SortStableFunc(conds, func(x, y expr) int { return rank(x) - rank(y) })
	cond := joinAnd(conds)
	if key := fmt.Sprint(exprKey(cond), s.columns); !b.keys[key] {
		b.keys[key] = true
		b.scans = append(b.scans, scanTrigger{s, cond})
	}
}

func rank(e expr) int {
	if safe(e) {
		return 0
	}
	return 1
}

// ofRow returns the conditions that a row alone decides, at any time.
func ofRow(conds []expr) []expr {
	return slices.DeleteFunc(slices.Clone(conds), func(e expr) bool { return !byRow(e) })
}

func byRow(e expr) bool {
	plain := true
	walk(e, func(e expr) bool {
		switch e := e.(type) {
		case *colExpr, *constExpr, *logicExpr, *nullExpr, *boolExpr, *distinctExpr, *caseExpr, *coalesceExpr, *extremeExpr, *arrayExpr, *quantExpr, *relabelExpr:
		case *callExpr:
			plain = plain && !e.fn.readsNow()
		default:
			plain = false
		}
		return plain
	})
	return plain
}

// below turns conditions on what op gives into conditions on what its input i
// gives: those that a row of the input must pass to have a part in what is left.
func below(op operator, i int, conds []expr) []expr {
	switch n := op.(type) {
	case *filterNode:
		return slices.Concat(splitAnd(n.cond), conds)
	case *projectNode:
		return replaceColumns(conds, n.exprs)
	case *sortNode, *cutNode, *appendNode, *frameNode: // a sort with a limit is below that
		return conds
	case *joinNode:
		return ofSide(conds, n.kind, i, n.leftTypes, n.rightTypes)
	case *lateralNode:
		return ofSide(conds, n.kind, i, n.leftTypes, n.rightTypes)
	case *aggregateNode:
		if n.sets == nil {
			return replaceColumns(identical(conds, firstColumns(len(n.groups))), n.groups)
		}
	case *uniqueNode:
		return identical(conds, n.columns)
	case *windowNode: // the rows of one partition stay or go together
		return identical(conds, slices.DeleteFunc(slices.Clone(n.partition), func(c int) bool { return c >= n.width }))
	}
	return nil
}

// replaceColumns puts expressions in the places of columns.
func replaceColumns(conds, by []expr) []expr {
	var replace func(e expr) expr
	replace = func(e expr) expr {
		if c, ok := e.(*colExpr); ok {
			return by[c.index]
		}
		return rewriteChildren(e, replace)
	}
	out := make([]expr, 0, len(conds))
	for _, e := range ofRow(conds) {
		out = append(out, replace(e))
	}
	return out
}

// identical returns the conditions that read these columns only, of types of
// which equal values are the same.
func identical(conds []expr, columns []int) []expr {
	return slices.DeleteFunc(ofRow(conds), func(e expr) bool {
		return slices.ContainsFunc(columnsIn(e), func(c *colExpr) bool {
			return !slices.Contains(columns, c.index) || c.t.phys() != physBool && c.t.phys() != physInt && !c.t.textual()
		})
	})
}

func columnsIn(e expr) []*colExpr {
	var out []*colExpr
	walk(e, func(e expr) bool {
		if c, ok := e.(*colExpr); ok {
			out = append(out, c)
		}
		return true
	})
	return out
}

// ofSide returns the conditions on one side of a join. Where the rows of the
// other side stay without one of this side, they must not be true of NULLs.
func ofSide(conds []expr, kind joinKind, side int, left, right []Type) []expr {
	from, types := 0, left
	if side == 1 {
		from, types = len(left), right
	}
	var out []expr
	for _, e := range ofRow(conds) {
		if slices.ContainsFunc(columnsIn(e), func(c *colExpr) bool { return c.index < from || c.index >= from+len(types) }) {
			continue
		}
		e = countedFrom(e, from)
		if kind == joinInner || kind == joinLeft && side == 0 || notOfNulls(e, types) {
			out = append(out, e)
		}
	}
	return out
}

// countedFrom counts columns from another one on.
func countedFrom(e expr, from int) expr {
	if c, ok := e.(*colExpr); ok {
		d := *c
		d.index -= from
		return &d
	}
	return rewriteChildren(e, func(e expr) expr { return countedFrom(e, from) })
}

// notOfNulls reports whether a condition is not true of a row of NULLs.
func notOfNulls(e expr, types []Type) bool {
	c := &chunk{n: 1}
	for _, t := range types {
		c.cols = append(c.cols, constantVector(t, null))
	}
	left, err := filterChunk(newEnv(context.Background(), nil, Options{}), c, e)
	return err == nil && left.len() == 0
}

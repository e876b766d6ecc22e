package sql

import (
	"context"
	"math"
	"slices"

	"daemoneye/bus/event"
)

// scanNode reads the columns in use of a table.
type scanNode struct {
	table   *event.Table
	columns []int           // positions in table.Columns, those in use
	where   expr            // nil: none; what of it concerns this scan alone
	conds   []scanCondition // proven by it
	passing []int           // of columns: those that only the filter above reads
}

// scanCondition says that a column compares so to expressions without columns.
type scanCondition struct {
	column int // position in table.Columns
	op     ConditionOp
	exprs  []expr    // nil when values are
	values *valueSet // of a long IN list
}

func (s *scanNode) run(x *env, yield func(*chunk) error) error {
	parts, err := s.split(x, false)
	if err != nil {
		return err
	}
	if parts != nil {
		defer parts.close()
		for i := range parts.parts {
			if err := parts.run(x, i, yield); err != nil {
				return err
			}
		}
		return nil
	}
	return x.src.Scan(x.ctx, s.request(x), func(b *event.Batch) error { return s.pass(x, b, yield) })
}

func (s *scanNode) pass(x *env, b *event.Batch, yield func(*chunk) error) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	c, err := s.chunk(b)
	if err != nil || c.n == 0 {
		return err
	}
	return yield(c)
}

// split implements splitter: a part of the source is a part of the scan.
func (s *scanNode) split(x *env, keeps bool) (*split, error) {
	src, ok := x.src.(PartSource)
	if !ok {
		return nil, nil
	}
	r := s.request(x)
	r.Reuse = !keeps
	parts, err := src.Parts(x.ctx, r)
	if err != nil || parts == nil {
		return nil, err
	}
	return &split{
		parts: parts.Len(),
		run: func(x *env, i int, yield func(*chunk) error) error {
			return parts.Read(x.ctx, i, func(b *event.Batch) error { return s.pass(x, b, yield) })
		},
		close: parts.Close,
	}, nil
}

func (s *scanNode) request(x *env) ScanRequest {
	r := ScanRequest{Table: s.table}
	r.From, r.To = s.timeRange(x)
	for _, c := range s.columns {
		r.Columns = append(r.Columns, s.table.Columns[c].Name)
	}
	for _, k := range s.passing {
		r.Passing = append(r.Passing, s.table.Columns[s.columns[k]].Name)
	}
	if _, ok := x.src.(PartSource); !ok && len(r.Columns) == 0 {
		r.Columns = []string{s.table.Time}
	}
	for i := range s.conds {
		if c, ok := s.conds[i].condition(x, s.table); ok {
			r.Where = append(r.Where, c)
		}
	}
	r.Where = append(r.Where, x.joined[s]...)
	return r
}

// Reads returns the columns that a query that streams reads, and conditions
// that hold for what it finds at any time; those of the time column are not
// among them, TimeRange has these.
func (q *Query) Reads() (columns []string, where []Condition) {
	s := q.simple.scan
	for _, c := range s.columns {
		columns = append(columns, s.table.Columns[c].Name)
	}
	x := newEnv(context.Background(), nil, Options{})
	for i := range s.conds {
		c := &s.conds[i]
		if s.table.Columns[c.column].Name == s.table.Time || slices.ContainsFunc(c.exprs, changes) {
			continue
		}
		if c, ok := c.condition(x, s.table); ok {
			where = append(where, c)
		}
	}
	return columns, where
}

// changes reports whether the value of an expression without columns depends
// on the time of execution.
func changes(e expr) bool {
	_, constant := e.(*constExpr)
	return !constant
}

func (s *scanNode) chunk(b *event.Batch) (*chunk, error) {
	c := &chunk{n: b.Rows, cols: make([]*vector, len(s.columns))}
	for k, i := range s.columns {
		t := typeOf(s.table.Columns[i].Type)
		if b.Fetch != nil && b.Columns[i] == nil {
			c.cols[k] = &vector{typ: t, lazy: func() (*vector, error) {
				v, err := b.Load(i)
				if err != nil {
					return nil, err
				}
				w, err := fromEvent(v, t)
				if err == nil && w.dict != nil && slices.Contains(s.passing, k) {
					w.id = v // the same memory may come with other texts
				}
				return w, err
			}}
			continue
		}
		v, err := fromEvent(b.Columns[i], t)
		if err != nil {
			return nil, err
		}
		c.cols[k] = v
	}
	return c, nil
}

// findBounds keeps the conjuncts of cond that compare a column to something
// without columns.
func (s *scanNode) findBounds(cond expr) {
	switch e := cond.(type) {
	case *logicExpr:
		if e.kind == logicAnd {
			for _, a := range e.args {
				s.findBounds(a)
			}
		}
	case *nullExpr:
		if i, ok := s.columnOf(e.arg); ok {
			op := OpNull
			if e.not {
				op = OpNotNull
			}
			s.conds = append(s.conds, scanCondition{column: i, op: op})
		}
	case *quantExpr:
		i, ok := s.columnOf(e.left)
		if ok && !e.all && e.fn.compare == compareEq && e.set != nil && e.set.typ == e.left.typ() && !e.set.hasNull {
			s.conds = append(s.conds, scanCondition{column: i, op: OpEqual, values: e.set})
		}
	case *callExpr:
		if e.fn.compare == 0 || len(e.args) != 2 {
			return
		}
		if !s.compares(e.args[0], e.fn.compare, e.args[1]) {
			s.compares(e.args[1], e.fn.compare.commuted(), e.args[0])
		}
	}
}

// compares notes that column op e, if these are a column and an expression
// without columns of a type that compares alike.
func (s *scanNode) compares(column expr, op comparison, e expr) bool {
	i, ok := s.columnOf(column)
	a, b := column.typ(), e.typ()
	if !ok || hasColumn(e) || hasSubquery(e) || a != b && !(a.integer() && b.integer()) && !(a.textual() && b.textual()) || a.phys() == physObj {
		return false
	}
	ops := map[comparison]ConditionOp{compareEq: OpEqual, compareLt: OpLess, compareLe: OpLessOrEqual, compareGt: OpGreater, compareGe: OpGreaterOrEqual}
	if p, ok := ops[op]; ok {
		s.conds = append(s.conds, scanCondition{column: i, op: p, exprs: []expr{e}})
	}
	return true
}

func hasSubquery(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*subExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// columnOf is the table's column that e is.
func (s *scanNode) columnOf(e expr) (int, bool) {
	c, ok := e.(*colExpr)
	if !ok {
		return 0, false
	}
	return s.columns[c.index], true
}

// condition computes the values. One that can not be computed is no
// condition: the filter will tell.
func (c *scanCondition) condition(x *env, t *event.Table) (Condition, bool) {
	out := Condition{Column: t.Columns[c.column].Name, Op: c.op}
	if c.values != nil {
		out.Values = c.values.list()
		return out, out.Values != nil
	}
	for _, e := range c.exprs {
		v, err := evalOnce(x, e)
		if err != nil || v.null {
			return out, false
		}
		switch e.typ().phys() {
		case physBool:
			out.Values = append(out.Values, v.truth())
		case physInt:
			out.Values = append(out.Values, v.i)
		case physFloat:
			if math.IsNaN(v.f) {
				return out, false
			}
			out.Values = append(out.Values, v.f)
		default:
			out.Values = append(out.Values, v.s)
		}
	}
	return out, true
}

// list gives the values of a set of numbers or texts, nil for another.
func (s *valueSet) list() []any {
	var out []any
	for i := range s.ints {
		out = append(out, i)
	}
	if s.typ.phys() == physText {
		for k := range s.keys {
			out = append(out, k)
		}
	}
	return out
}

// timeRange computes the bounds of the time column at the time of execution,
// half open. A bound that can not be computed is none: the filter will tell.
func (s *scanNode) timeRange(x *env) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	for _, b := range s.conds {
		if s.table.Columns[b.column].Name != s.table.Time || len(b.exprs) != 1 {
			continue
		}
		v, err := evalOnce(x, b.exprs[0])
		if err != nil || v.null || isInfinite(v.i) {
			continue
		}
		switch b.op {
		case OpEqual:
			from, to = max(from, v.i), min(to, v.i+1)
		case OpGreater:
			from = max(from, v.i+1)
		case OpGreaterOrEqual:
			from = max(from, v.i)
		case OpLess:
			to = min(to, v.i)
		case OpLessOrEqual:
			to = min(to, v.i+1)
		}
	}
	return from, max(from, to)
}

// columnNames are the names of the columns that the scan reads, for EXPLAIN.
func (s *scanNode) columnNames() []string {
	var out []string
	for _, c := range s.columns {
		out = append(out, s.table.Columns[c].Name)
	}
	slices.Sort(out)
	return out
}

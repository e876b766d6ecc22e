package sql

import "slices"

// stage is a planned step and the columns of its output.
type stage struct {
	op   operator
	cols []colKey
}

// colKey is one column of a relation.
type colKey struct {
	rel *relation
	i   int
}

// columnsOf lists all columns of a relation, in order.
func columnsOf(r *relation) []colKey {
	out := make([]colKey, len(r.names))
	for i := range out {
		out[i] = colKey{r, i}
	}
	return out
}

// bind returns e with its columns found in the input's output.
func (in *stage) bind(e expr) expr {
	if c, ok := e.(*colExpr); ok {
		d := *c
		i := slices.Index(in.cols, colKey{c.rel, c.index})
		if i < 0 {
			panic("sql: column " + c.name + " is not in the input")
		}
		d.rel, d.index = nil, i
		return &d
	}
	return rewriteChildren(e, in.bind)
}

func (in *stage) bindAll(list []expr) []expr {
	out := make([]expr, len(list))
	for i, e := range list {
		out[i] = in.bind(e)
	}
	return out
}

// use marks the columns in e as needed.
func use(list ...expr) {
	for _, e := range list {
		if e == nil {
			continue
		}
		walk(e, func(e expr) bool {
			if c, ok := e.(*colExpr); ok && c.rel != nil {
				c.rel.reads[c.index]++
			}
			return true
		})
	}
}

// planner plans the queries of one statement.
type planner struct {
	*folder
	scans   []*scanNode // of all tables read
	simple  *simplePlan // of a statement that only filters and projects one table
	shared  map[*cte]*sharedNode
	kept    []*sharedNode // those of shared, in order
	working map[*cte]*workingNode
}

// simplePlan is what Match needs.
type simplePlan struct {
	scan    *scanNode
	filter  expr // nil: all rows
	project []expr
}

// plan plans a checked statement.
func (s *statement) plan(q query) (*Query, error) {
	p := &planner{folder: s.folder, shared: make(map[*cte]*sharedNode), working: make(map[*cte]*workingNode)}
	op, err := q.plan(p, allColumns(q))
	if err != nil {
		return nil, err
	}
	// What only an unused query of WITH refers to is planned all the same, in
	// PostgreSQL too: constants in it may be wrong.
	for _, c := range s.ctes {
		if c.refs > 0 && !c.planned {
			c.planned = true
			if _, err := c.query.plan(p, allColumns(c.query)); err != nil {
				return nil, err
			}
		}
	}
	out := &Query{columns: q.columns(), plan: &gatherNode{op}, frame: s.frame, scans: p.scans, tables: s.tables, simple: p.simple}
	if b, ok := q.(*block); !ok || !b.streams() {
		out.simple = nil
	}
	return out, nil
}

func allColumns(q query) []bool {
	need := make([]bool, len(q.columns()))
	for i := range need {
		need[i] = true
	}
	return need
}

// streams reports whether each row's answer depends on that row alone.
func (b *block) streams() bool {
	r, ok := b.from.(*relation)
	if !ok || b.grouped || b.distinct || len(b.distinctOn) > 0 || len(b.order) > 0 || b.limit != nil || b.offset != nil || len(b.hidden) > 0 {
		return false
	}
	if _, ok := r.source.(*tableSource); !ok {
		return false
	}
	plain := true
	check := func(e expr) {
		walk(e, func(e expr) bool {
			switch e.(type) {
			case *subExpr, *windowExpr, *srfExpr:
				plain = false
			}
			return plain
		})
	}
	if b.where != nil {
		check(b.where)
	}
	for _, t := range b.targets {
		check(t.expr)
	}
	return plain
}

// steps is a block on its way to a plan: its output, rewritten from step to step.
type steps struct {
	b         *block
	list      []expr // targets and hidden columns; NULL for one that is skipped
	skipped   []bool
	aggregate *aggregateNode
	having    expr
	groups    *relation // what the aggregation makes
	windows   []*windowStep
	groupRows rowsStep // of GROUP BY
	rows      rowsStep // of the select list
}

func (b *block) plan(p *planner, need []bool) (operator, error) {
	s := &steps{b: b}
	if err := s.outputs(need); err != nil {
		return nil, err
	}
	if b.grouped {
		if err := s.group(); err != nil {
			return nil, err
		}
		s.groupRows.extractAll(s.aggregate.groups)
	}
	s.extractWindows()
	s.rows.extractAll(s.list)
	where, err := p.foldMaybe(b.where)
	if err != nil {
		return nil, err
	}
	s.markUsed()
	in, err := p.from(b, where)
	if err != nil {
		return nil, err
	}
	if in, err = s.above(p, in); err != nil {
		return nil, err
	}
	return s.finish(p, in, where)
}

func (f *folder) foldMaybe(e expr) (expr, error) {
	if e == nil {
		return nil, nil
	}
	return f.fold(e)
}

// outputs folds the select list. A column that nobody reads becomes NULL,
// unless DISTINCT compares it or it gives rows of its own.
func (s *steps) outputs(need []bool) error {
	b := s.b
	outs := b.outs()
	s.list, s.skipped = make([]expr, len(outs)), make([]bool, len(outs))
	for i, o := range outs {
		t := o.expr.typ()
		if i < len(need) && !need[i] && !b.distinct && !hasRows(o.expr) && !b.sorts(i) {
			s.list[i], s.skipped[i] = &constExpr{v: null, t: t}, true
			continue
		}
		e, err := s.b.k.stmt.fold(o.expr)
		if err != nil {
			return err
		}
		s.list[i] = e
	}
	return nil
}

func (b *block) sorts(i int) bool {
	return slices.Contains(b.distinctOn, i) || slices.ContainsFunc(b.order, func(k sortKey) bool { return k.column == i })
}

// markUsed marks every column that a step reads, outermost first.
func (s *steps) markUsed() {
	use(s.list...)
	for _, r := range slices.Concat(s.rows.calls, s.groupRows.calls) {
		use(r.args...)
	}
	for _, w := range s.windows {
		for _, e := range w.calls {
			use(e)
		}
	}
	if s.aggregate != nil {
		use(s.having)
		use(s.aggregate.groups...)
		for _, a := range s.aggregate.aggs {
			use(a)
		}
	}
}

// above plans the steps between FROM and the select list.
func (s *steps) above(p *planner, in *stage) (*stage, error) {
	if a := s.aggregate; a != nil {
		var err error
		if in, err = s.groupRows.plan(p, in); err != nil {
			return nil, err
		}
		a.input = in.op
		a.groups = in.bindAll(a.groups)
		for i, e := range a.aggs {
			a.aggs[i] = in.bind(e).(*aggExpr)
		}
		if err := p.planSubqueries(append(slices.Clone(a.groups), aggExprs(a.aggs)...)...); err != nil {
			return nil, err
		}
		a.reuseKeys()
		in = &stage{a, columnsOf(s.groups)}
		if s.having != nil {
			cond := in.bind(s.having)
			if err := p.planSubqueries(cond); err != nil {
				return nil, err
			}
			in = &stage{&filterNode{input: in.op, cond: cond}, in.cols}
		}
	}
	for _, w := range s.windows {
		next, err := w.plan(p, in)
		if err != nil {
			return nil, err
		}
		in = next
	}
	return s.rows.plan(p, in)
}

func aggExprs(list []*aggExpr) []expr {
	out := make([]expr, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out
}

// finish plans the select list and what comes after it.
func (s *steps) finish(p *planner, in *stage, where expr) (operator, error) {
	b := s.b
	list := in.bindAll(s.list)
	if err := p.planSubqueries(list...); err != nil {
		return nil, err
	}
	if b.streams() {
		p.simple = simpleOf(in.op, list)
	}
	order := slices.Clone(b.order)
	for i := range order {
		order[i].expr = list[order[i].column]
		order[i].typ = order[i].expr.typ()
	}
	lim := &limitNode{limit: b.limit, offset: b.offset}
	for _, e := range []expr{b.limit, b.offset} {
		if e == nil {
			continue
		}
		if err := p.planSubqueries(e); err != nil {
			return nil, err
		}
	}
	limited := b.limit != nil || b.offset != nil
	blocking := b.grouped || b.distinct || b.distinctOn != nil || len(b.order) > 0 || len(s.windows) > 0 || len(s.rows.calls) > 0
	project := &projectNode{input: in.op, exprs: list}
	if limited && !blocking {
		// Rows beyond the limit must not be computed: they could fail.
		if b.limit == nil {
			lim.input = project
			return lim, nil
		}
		lim.input, project.input = in.op, lim
		return project, nil
	}
	var op operator = project
	if b.distinct {
		op = &uniqueNode{input: op, columns: firstColumns(len(b.targets)), name: "DISTINCT"}
	}
	if len(order) > 0 {
		n := &sortNode{input: op, keys: order}
		if b.distinctOn == nil && !b.withTies {
			n.limit = lim
		}
		op = n
	}
	if b.distinctOn != nil {
		op = &uniqueNode{input: op, columns: b.distinctOn, name: "DISTINCT ON"}
	}
	if limited {
		lim.input = op
		if b.withTies {
			lim.ties = order
		}
		op = lim
	}
	if len(b.hidden) > 0 {
		op = &cutNode{input: op, columns: len(b.targets)}
	}
	return op, nil
}

func firstColumns(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func simpleOf(op operator, list []expr) *simplePlan {
	s := &simplePlan{project: list}
	if f, ok := op.(*filterNode); ok {
		s.filter, op = f.cond, f.input
	}
	s.scan, _ = op.(*scanNode)
	return s
}

package sql

import "slices"

// sortKey is one element of ORDER BY; over a projection it has a column's index.
type sortKey struct {
	expr       expr
	column     int
	typ        Type
	descending bool
	nullsFirst bool
}

// builder makes a plan of a checked SELECT:
//
//	scan → filter → [aggregate → having] → project → [distinct] → [sort] → limit
type builder struct {
	k        *checker
	targets  []outputColumn
	hidden   []outputColumn // computed beside the targets, to sort by
	where    expr
	groups   []expr
	having   expr
	order    []sortKey
	limit    expr
	offset   expr
	grouped  bool
	distinct bool
}

// sort checks ORDER BY against the select list: an ordinal, an output name,
// or an expression of the input.
func (b *builder) sort(s *selectStmt) error {
	for _, item := range s.orderBy {
		key := sortKey{descending: item.descending, nullsFirst: item.nullsFirst}
		i, err := ordinal(item.expr, b.targets, "ORDER BY")
		if err != nil {
			return err
		}
		if ref, ok := item.expr.(columnRef); ok && len(ref.fields) == 1 && !ref.star {
			if i, err = named(ref.fields[0], b.targets, item.pos(), "ORDER BY"); err != nil {
				return err
			}
		}
		if i < 0 {
			e, err := b.k.expr(item.expr)
			if err != nil {
				return err
			}
			if i, err = b.hide(b.k.known(e), item.pos(), s.distinct); err != nil {
				return err
			}
		}
		key.column = i
		b.order = append(b.order, key)
	}
	return nil
}

// hide returns the index of e among targets and hidden columns, adding it.
func (b *builder) hide(e expr, pos int, distinct bool) (int, error) {
	key := exprKey(e)
	for i, t := range slices.Concat(b.targets, b.hidden) {
		if exprKey(t.expr) == key {
			return i, nil
		}
	}
	if distinct {
		return 0, failAt(pos, codeInvalidReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list")
	}
	b.hidden = append(b.hidden, outputColumn{expr: e, at: pos})
	return len(b.targets) + len(b.hidden) - 1, nil
}

func (b *builder) plan() (*Query, error) {
	q := &Query{scan: b.k.scan}
	if b.k.table != nil {
		q.table = b.k.table
	}
	outs := slices.Concat(b.targets, b.hidden)
	list := make([]expr, len(outs))
	for i, o := range outs {
		list[i] = o.expr
	}
	var aggregate *aggregateNode
	if b.grouped {
		var err error
		if aggregate, list, err = b.regroup(list); err != nil {
			return nil, err
		}
	}
	for i := range list {
		var err error
		if list[i], err = fold(list[i]); err != nil {
			return nil, err
		}
	}
	op, err := b.input(q)
	if err != nil {
		return nil, err
	}
	if aggregate != nil {
		aggregate.input = op
		op = aggregate
		if b.having != nil {
			if b.having, err = fold(b.having); err != nil {
				return nil, err
			}
			op = &filterNode{input: op, cond: b.having}
		}
	}
	for i := range b.order {
		b.order[i].typ = list[b.order[i].column].typ()
	}
	lim := &limitNode{limit: b.limit, offset: b.offset}
	limited := b.limit != nil || b.offset != nil
	blocking := b.grouped || b.distinct || len(b.order) > 0
	project := &projectNode{input: op, exprs: list}
	switch {
	case limited && !blocking:
		// Rows beyond the limit must not be computed: they could fail.
		lim.input = op
		project.input = lim
		op = project
		if b.limit == nil {
			lim.input, project.input, op = project, lim.input, lim
		}
		q.plan = op
	default:
		op = project
		if b.distinct {
			op = &uniqueNode{input: op, columns: len(b.targets)}
		}
		if len(b.order) > 0 {
			op = &sortNode{input: op, keys: b.order, limit: lim}
		}
		if limited {
			lim.input = op
			op = lim
		}
		q.plan = op
	}
	for i, t := range b.targets {
		q.columns = append(q.columns, Column{Name: t.name, Type: list[i].typ()})
	}
	q.streams = q.table != nil && !blocking && !limited
	q.project = list[:len(b.targets)]
	return q, nil
}

// input is the scan and filter, or the one row of a SELECT without FROM.
func (b *builder) input(q *Query) (operator, error) {
	var op operator = oneRow{}
	if b.k.scan != nil {
		op = b.k.scan
	}
	if b.where == nil {
		return op, nil
	}
	cond, err := fold(b.where)
	if err != nil {
		return nil, err
	}
	q.filter = cond
	if b.k.scan != nil {
		b.k.scan.findBounds(cond)
	}
	return &filterNode{input: op, cond: cond, split: b.limit != nil}, nil
}

// regroup moves list and HAVING above the aggregation: what equals a GROUP BY
// expression and what is an aggregate become columns of its output.
func (b *builder) regroup(list []expr) (*aggregateNode, []expr, error) {
	r := &regrouper{node: &aggregateNode{}, keys: make(map[string]int), aggs: make(map[string]int)}
	for _, g := range b.groups {
		if key := exprKey(g); !r.has(key) {
			r.keys[key] = len(r.node.groups)
			r.node.groups = append(r.node.groups, g)
		}
	}
	out := make([]expr, len(list))
	for i, e := range list {
		var err error
		if out[i], err = r.rewrite(e); err != nil {
			return nil, nil, err
		}
	}
	if b.having != nil {
		var err error
		if b.having, err = r.rewrite(b.having); err != nil {
			return nil, nil, err
		}
	}
	for i, g := range r.node.groups {
		var err error
		if r.node.groups[i], err = fold(g); err != nil {
			return nil, nil, err
		}
	}
	for i, a := range r.node.aggs {
		folded, err := fold(a)
		if err != nil {
			return nil, nil, err
		}
		r.node.aggs[i] = folded.(*aggExpr)
	}
	return r.node, out, nil
}

type regrouper struct {
	node *aggregateNode
	keys map[string]int // of GROUP BY expressions
	aggs map[string]int
}

func (r *regrouper) has(key string) bool {
	_, ok := r.keys[key]
	return ok
}

func (r *regrouper) rewrite(e expr) (expr, error) {
	key := exprKey(e)
	if i, ok := r.keys[key]; ok {
		if _, constant := e.(*constExpr); !constant {
			return &colExpr{index: i, t: e.typ()}, nil
		}
	}
	switch e := e.(type) {
	case *colExpr:
		return nil, failAt(e.at, codeGrouping, "column %q must appear in the GROUP BY clause or be used in an aggregate function", e.name)
	case *aggExpr:
		i, ok := r.aggs[key]
		if !ok {
			i = len(r.node.aggs)
			r.aggs[key] = i
			r.node.aggs = append(r.node.aggs, e)
		}
		return &colExpr{index: len(r.node.groups) + i, t: e.t}, nil
	}
	out := clone(e)
	for _, c := range children(out) {
		n, err := r.rewrite(*c)
		if err != nil {
			return nil, err
		}
		*c = n
	}
	return out, nil
}

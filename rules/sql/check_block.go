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

// block is a checked SELECT. Its plan is
//
//	FROM → WHERE → [groups → HAVING] → [windows] → [set-returning functions]
//	→ select list → [DISTINCT] → [ORDER BY] → LIMIT
type block struct {
	k          *checker
	from       fromTree // nil: one row
	where      expr
	targets    []outputColumn
	hidden     []outputColumn // computed beside the targets, to sort by for one
	groups     []expr
	sets       [][]int // of GROUPING SETS: positions in groups; nil: one set of all
	having     expr
	grouped    bool
	distinct   bool
	distinctOn []int // positions in targets and hidden
	order      []sortKey
	limit      expr
	offset     expr
	withTies   bool
}

func (b *block) columns() []Column {
	out := make([]Column, len(b.targets))
	for i, t := range b.targets {
		out[i] = Column{t.name, t.expr.typ()}
	}
	return out
}

// outs are the targets and the hidden columns.
func (b *block) outs() []outputColumn { return slices.Concat(b.targets, b.hidden) }

// sort checks ORDER BY against the select list: an ordinal, an output name,
// or an expression of the input.
func (b *block) sort(list []sortItem) error {
	k := b.k
	saved := k.context
	k.context = clause{name: "ORDER BY", srf: saved.srf}
	defer func() { k.context = saved }()
	for _, item := range list {
		key := sortKey{descending: item.descending, nullsFirst: item.nullsFirst}
		i, err := b.target(item.expr, "ORDER BY", false)
		if err != nil {
			return err
		}
		if i < 0 {
			e, err := k.expr(item.expr)
			if err != nil {
				return err
			}
			if i, err = b.hide(k.known(e), item.pos(), b.distinct, "for SELECT DISTINCT, ORDER BY expressions must appear in select list"); err != nil {
				return err
			}
		}
		key.column = i
		if slices.ContainsFunc(b.order, func(o sortKey) bool { return o.column == i }) {
			continue // it can not change the order any more
		}
		if t := b.outs()[i].expr.typ(); !sortable(t) {
			return failAt(item.pos(), codeUndefinedFunction, "could not identify an ordering operator for type %v", t)
		}
		b.order = append(b.order, key)
	}
	return nil
}

// target finds what a bare number or an output name stands for, -1 if it is
// an expression of its own. In GROUP BY a name is one of the input first.
func (b *block) target(n node, clause string, inputFirst bool) (int, error) {
	i, err := ordinal(n, b.targets, clause)
	if err != nil || i >= 0 {
		return i, err
	}
	ref, ok := n.(columnRef)
	if !ok || len(ref.fields) != 1 || ref.star {
		return -1, nil
	}
	if inputFirst && b.k.scope != nil && slices.ContainsFunc(b.k.scope.fields, func(f field) bool { return f.name == ref.fields[0] }) {
		return -1, nil
	}
	return named(ref.fields[0], b.targets, n.pos(), clause)
}

// hide returns the index of e among targets and hidden columns, adding it
// unless that is forbidden.
func (b *block) hide(e expr, pos int, forbidden bool, message string) (int, error) {
	key := exprKey(e)
	for i, t := range b.outs() {
		if exprKey(t.expr) == key {
			return i, nil
		}
	}
	if forbidden {
		return 0, failAt(pos, codeInvalidReference, "%s", message)
	}
	b.hidden = append(b.hidden, outputColumn{expr: e, at: pos})
	return len(b.targets) + len(b.hidden) - 1, nil
}

// uniqueOn checks DISTINCT ON: its expressions, in any order, must be the
// first ones of ORDER BY.
func (b *block) uniqueOn(list []node) error {
	const mismatch = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions"
	b.distinctOn = []int{}
	saved := b.k.context
	b.k.context = clause{name: "DISTINCT ON"}
	defer func() { b.k.context = saved }()
	for _, n := range list {
		i, err := b.target(n, "DISTINCT ON", false)
		if err != nil {
			return err
		}
		if i < 0 {
			e, err := b.k.expr(n)
			if err != nil {
				return err
			}
			if i, err = b.hide(b.k.known(e), n.pos(), false, ""); err != nil {
				return err
			}
		}
		if !slices.Contains(b.distinctOn, i) {
			b.distinctOn = append(b.distinctOn, i)
		}
	}
	skipped := false
	matched := 0
	for _, o := range b.order {
		if slices.Contains(b.distinctOn, o.column) {
			if skipped {
				return failAt(list[0].pos(), codeInvalidReference, mismatch)
			}
			matched++
		} else {
			skipped = true
		}
	}
	if skipped && matched < len(b.distinctOn) {
		return failAt(list[0].pos(), codeInvalidReference, mismatch)
	}
	return nil
}

const maxGroupingSets = 4096

// groupBy checks GROUP BY and multiplies its grouping sets out.
func (b *block) groupBy(s *selectStmt) error {
	defer b.k.clause("GROUP BY")()
	b.k.context.srf = srfTarget
	sets := [][]int{{}}
	grouping := false
	for _, n := range s.groupBy {
		list, err := b.groupingSets(n)
		if err != nil {
			return err
		}
		if _, ok := n.(groupingSet); ok {
			grouping = true
		}
		if len(sets)*len(list) > maxGroupingSets {
			return failAt(n.pos(), codeLimit, "too many grouping sets present (maximum %d)", maxGroupingSets)
		}
		var product [][]int
		for _, left := range sets {
			for _, right := range list {
				product = append(product, mergeSets(left, right))
			}
		}
		sets = product
	}
	if grouping {
		b.sets = sets
		if s.groupUniq {
			b.sets = uniqueSets(sets)
		}
	}
	return nil
}

// mergeSets is the union of two sets of columns.
func mergeSets(a, b []int) []int {
	out := slices.Clone(a)
	for _, i := range b {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

func uniqueSets(sets [][]int) [][]int {
	var out [][]int
	var seen [][]int
	for _, s := range sets {
		sorted := slices.Sorted(slices.Values(s))
		if !slices.ContainsFunc(seen, func(t []int) bool { return slices.Equal(sorted, t) }) {
			seen, out = append(seen, sorted), append(out, s)
		}
	}
	return out
}

// groupingSets are the sets of one item of GROUP BY.
func (b *block) groupingSets(n node) ([][]int, error) {
	g, ok := n.(groupingSet)
	if !ok {
		set, err := b.groupColumns(n)
		return [][]int{set}, err
	}
	switch g.kind {
	case groupingEmpty:
		return [][]int{{}}, nil
	case groupingSets:
		var out [][]int
		for _, item := range g.list {
			list, err := b.groupingSets(item)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
		return out, nil
	}
	var units [][]int
	for _, item := range g.list {
		unit, err := b.groupColumns(item)
		if err != nil {
			return nil, err
		}
		units = append(units, unit)
	}
	if g.kind == groupingCube && len(units) > 12 {
		return nil, failAt(g.pos(), codeLimit, "CUBE is limited to 12 elements")
	}
	var out [][]int
	if g.kind == groupingRollup {
		for n := len(units); n >= 0; n-- {
			out = append(out, mergeSets(nil, slices.Concat(units[:n]...)))
		}
		return out, nil
	}
	for mask := 1<<len(units) - 1; mask >= 0; mask-- {
		var set []int
		for i, u := range units {
			if mask>>(len(units)-1-i)&1 != 0 {
				set = mergeSets(set, u)
			}
		}
		out = append(out, set)
	}
	return out, nil
}

// groupColumns are the columns of an expression, or of several in brackets.
func (b *block) groupColumns(n node) ([]int, error) {
	if row, ok := n.(rowNode); ok {
		var out []int
		for _, f := range row.fields {
			list, err := b.groupColumns(f)
			if err != nil {
				return nil, err
			}
			out = mergeSets(out, list)
		}
		return out, nil
	}
	i, err := b.target(n, "GROUP BY", true)
	if err != nil {
		return nil, err
	}
	var e expr
	if i >= 0 {
		e = b.targets[i].expr
		if hasAggregate(e) {
			return nil, failAt(n.pos(), codeGrouping, "aggregate functions are not allowed in GROUP BY")
		}
		if hasWindow(e) {
			return nil, failAt(n.pos(), codeWindowing, "window functions are not allowed in GROUP BY")
		}
	} else {
		if e, err = b.k.expr(n); err != nil {
			return nil, err
		}
		e = b.k.known(e)
	}
	key := exprKey(e)
	for j, g := range b.groups {
		if exprKey(g) == key {
			return []int{j}, nil
		}
	}
	b.groups = append(b.groups, e)
	return []int{len(b.groups) - 1}, nil
}

// coerce makes target i of a part of a set operation a t.
func (b *block) coerce(k *checker, i int, t Type, context string, pos int) error {
	e, err := k.coerce(b.targets[i].expr, t, implicit, pos)
	if err != nil {
		return err
	}
	b.targets[i].expr = e
	return nil
}

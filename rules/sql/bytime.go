package sql

// ByTime reports whether an answer may come about as time passes, without a
// new row: the query compares with now(), and not only so that rows leave that
// get old. That they leave, too, makes an answer where it is asked that there
// are none: by NOT EXISTS, an outer join or EXCEPT.
func (q *Query) ByTime() bool {
	t := timeSearch{seen: make(map[operator]bool)}
	op := q.plan
	for { // what the answer says of the time is no condition
		switch n := op.(type) {
		case *gatherNode:
			op = n.input
			continue
		case *sortNode:
			op = n.input
			continue
		case *cutNode:
			op = n.input
			continue
		case *projectNode:
			return t.inSubqueries(n) || t.in(n.input, true)
		}
		return t.in(op, true)
	}
}

type timeSearch struct{ seen map[operator]bool }

// in looks at op and what is below it. rows says that there are no more
// answers when it gives fewer rows.
func (t *timeSearch) in(op operator, rows bool) bool {
	if g, ok := op.(*gatherNode); ok {
		return t.in(g.input, rows)
	}
	p := op.(planned)
	if _, shared := op.(*sharedNode); shared {
		if t.seen[op] {
			return false
		}
		t.seen[op] = true
		rows = false // it is not known where else it is read
	}
	for _, e := range conditions(p) {
		if readsNow(e) && !(rows && passesOnce(e)) {
			return true
		}
	}
	_, _, inputs := p.describe()
	for i, in := range inputs {
		if t.in(*in, rows && staysMonotone(op, i)) {
			return true
		}
	}
	return t.inSubqueries(p)
}

func (t *timeSearch) inSubqueries(p planned) bool {
	for _, s := range subqueries(p) {
		if !t.seen[s.run.op] {
			t.seen[s.run.op] = true
			if t.in(s.run.op, false) {
				return true
			}
		}
	}
	return false
}

// conditions are the expressions of a step, those of a filter one by one.
func conditions(p planned) []expr {
	if f, ok := p.(*filterNode); ok {
		return splitAnd(f.cond)
	}
	return p.exprList()
}

// staysMonotone reports whether fewer rows of input i are never more of op.
func staysMonotone(op operator, i int) bool {
	switch n := op.(type) {
	case *joinNode:
		return n.kind == joinInner || n.kind == joinLeft && i == 0
	case *lateralNode:
		return n.kind == joinInner || i == 0
	case *setNode:
		return n.kind != setExcept || i == 0
	}
	return true
}

// readsNow reports whether the value of e depends on the time of execution.
func readsNow(e expr) bool {
	found := false
	if e != nil {
		walk(e, func(e expr) bool {
			c, ok := e.(*callExpr)
			found = found || ok && c.fn.readsNow()
			return !found
		})
	}
	return found
}

func (f *function) readsNow() bool {
	switch f.name {
	case "now", "current_timestamp", "localtimestamp", "current_date", "localtime":
		return true
	case "age":
		return len(f.args) == 1
	}
	return false
}

// passesOnce reports whether a condition that is not true of a row will not
// become so: that the row is later than a moment that moves on, or was not
// before now.
func passesOnce(e expr) bool {
	c, ok := e.(*callExpr)
	if !ok || len(c.args) != 2 || c.fn.compare == 0 {
		return false
	}
	op, a, b := c.fn.compare, c.args[0], c.args[1]
	if readsNow(a) && !readsNow(b) {
		op, a, b = op.commuted(), b, a
	}
	if readsNow(a) {
		return false
	}
	switch op {
	case compareGt, compareGe: // time > now() - interval; interval > now() - time
		return movesOn(b)
	case compareLt, compareLe: // time <= now()
		n, ok := b.(*callExpr)
		return ok && len(n.args) == 0
	}
	return false
}

// movesOn reports whether an expression is now(), or now() with something
// added or taken off that does not change.
func movesOn(e expr) bool {
	c, ok := e.(*callExpr)
	if !ok {
		return false
	}
	switch {
	case len(c.args) == 0:
		return c.fn.readsNow()
	case len(c.args) == 2 && (c.fn.name == "+" || c.fn.name == "-"):
		return movesOn(c.args[0]) && !readsNow(c.args[1])
	}
	return false
}

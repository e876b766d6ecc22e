package sql

import (
	"fmt"
	"slices"
	"strings"
)

// windowSpec is a checked OVER (…).
type windowSpec struct {
	partition []expr
	order     []sortKey // with expr
	frame     windowFrame
	// of the frame, coerced
	start, end expr
	inRange    rangeOffset // of RANGE with an offset
}

func (k *checker) namedWindow(name string, pos int) (windowDef, error) {
	for _, w := range k.named {
		if w.name == name {
			return w, nil
		}
	}
	return windowDef{}, failAt(pos, codeUndefinedObject, "window %q does not exist", name)
}

// namedWindows checks those of the WINDOW clause, also those that nothing
// refers to, and returns their expressions.
func (k *checker) namedWindows() ([]expr, error) {
	var out []expr
	for i, w := range k.named {
		for _, before := range k.named[:i] {
			if before.name == w.name {
				return nil, failAt(w.pos(), codeWindowing, "window %q is already defined", w.name)
			}
		}
		all := k.named
		k.named = all[:i:i] // a window may refer to those before it
		spec, err := k.windowSpec(&w)
		k.named = all
		if err != nil {
			return nil, err
		}
		out = append(out, spec.partition...)
		for _, o := range spec.order {
			out = append(out, o.expr)
		}
	}
	return out, nil
}

// resolveWindow replaces a reference to a named window.
func (k *checker) resolveWindow(w windowDef) (windowDef, error) {
	if w.ref == "" {
		return w, nil
	}
	base, err := k.namedWindow(w.ref, w.pos())
	if err != nil {
		return w, err
	}
	if base, err = k.resolveWindow(base); err != nil {
		return w, err
	}
	if len(w.partition) == 0 && len(w.orderBy) == 0 && !w.frame.written && !w.brackets {
		return base, nil
	}
	switch {
	case len(w.partition) > 0:
		return w, failAt(w.pos(), codeWindowing, "cannot override PARTITION BY clause of window %q", w.ref)
	case len(w.orderBy) > 0 && len(base.orderBy) > 0:
		return w, failAt(w.pos(), codeWindowing, "cannot override ORDER BY clause of window %q", w.ref)
	case base.frame.written:
		return w, failAt(w.pos(), codeWindowing, "cannot copy window %q because it has a frame clause", w.ref)
	}
	w.partition = base.partition
	if len(w.orderBy) == 0 {
		w.orderBy = base.orderBy
	}
	w.ref = ""
	return w, nil
}

func (k *checker) windowSpec(def *windowDef) (*windowSpec, error) {
	w, err := k.resolveWindow(*def)
	if err != nil {
		return nil, err
	}
	saved := k.context
	k.context = clause{name: "window definition", noWindow: true}
	defer func() { k.context = saved }()
	out := &windowSpec{frame: w.frame}
	for _, n := range w.partition {
		e, err := k.expr(n)
		if err != nil {
			return nil, err
		}
		out.partition = append(out.partition, k.known(e))
	}
	for _, item := range w.orderBy {
		e, err := k.expr(item.expr)
		if err != nil {
			return nil, err
		}
		e = k.known(e)
		if !sortable(e.typ()) {
			return nil, failAt(item.pos(), codeUndefinedFunction, "could not identify an ordering operator for type %v", e.typ())
		}
		// An expression that comes again decides nothing, and PostgreSQL does not
		// count it as a key.
		if slices.ContainsFunc(out.order, func(o sortKey) bool { return exprKey(o.expr) == exprKey(e) }) {
			continue
		}
		out.order = append(out.order, sortKey{expr: e, typ: e.typ(), descending: item.descending, nullsFirst: item.nullsFirst})
	}
	return out, k.windowFrame(out, w)
}

func (k *checker) windowFrame(out *windowSpec, w windowDef) error {
	f := &out.frame
	if !f.written {
		*f = windowFrame{mode: frameRange, start: unboundedPreceding, end: currentRow}
		return nil
	}
	hasOffset := f.startValue != nil || f.endValue != nil
	switch {
	case f.mode == frameGroups && len(out.order) == 0:
		return failAt(w.pos(), codeWindowing, "GROUPS mode requires an ORDER BY clause")
	case f.mode == frameRange && hasOffset && len(out.order) != 1:
		return failAt(w.pos(), codeWindowing, "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
	}
	offset := func(n node) (expr, error) {
		if n == nil {
			return nil, nil
		}
		name := map[frameMode]string{frameRange: "RANGE", frameRows: "ROWS", frameGroups: "GROUPS"}[f.mode]
		saved := k.context
		k.context = clause{name: "window " + name, noAggregate: true, noWindow: true}
		defer func() { k.context = saved }()
		e, err := k.expr(n)
		if err != nil {
			return nil, err
		}
		if hasColumn(e) {
			return nil, failAt(n.pos(), codeInvalidReference, "argument of %s must not contain variables", name)
		}
		if f.mode != frameRange {
			if t := e.typ(); t != Unknown && !canCast(t, Int8, implicit) && t.category() != 'N' {
				return nil, failAt(n.pos(), codeDatatypeMismatch, "argument of %s must be type bigint, not type %v", name, t)
			}
			return k.coerce(e, Int8, explicit, n.pos())
		}
		out.inRange, err = rangeOffsetFor(out.order[0].typ, e.typ(), n.pos())
		if err != nil {
			return nil, err
		}
		return k.coerce(e, out.inRange.offset, implicit, n.pos())
	}
	var err error
	if out.start, err = offset(f.startValue); err != nil {
		return err
	}
	out.end, err = offset(f.endValue)
	return err
}

// windowCall checks a call with OVER: of a window function or an aggregate.
func (k *checker) windowCall(e expr, n funcCall) (expr, error) {
	out := &windowExpr{t: e.typ(), at: n.pos()}
	switch e := e.(type) {
	case *aggExpr:
		out.fn, out.args = e.fn, e.args
		switch {
		case n.distinct:
			return nil, refuse(n.pos(), "DISTINCT in a window function")
		case len(n.orderBy) > 0:
			return nil, refuse(n.pos(), "ORDER BY in the arguments of a window function")
		case e.fn.ordered != nil:
			return nil, refuse(n.pos(), "OVER for the ordered-set aggregate "+n.name)
		}
		if n.star {
			out.args = nil
		}
	case *windowExpr:
		out = e
		if n.filter != nil {
			return nil, refuse(n.pos(), "FILTER for a window function that is no aggregate")
		}
	default:
		return nil, failAt(n.pos(), codeWrongObject, "OVER specified, but %s is not a window function nor an aggregate function", n.name)
	}
	for i, a := range out.args {
		out.args[i] = k.known(a)
	}
	if n.filter != nil {
		saved := k.context
		k.context = clause{name: "FILTER", noAggregate: saved.noAggregate, noWindow: true}
		f, err := k.boolean(n.filter, "FILTER")
		k.context = saved
		if err != nil {
			return nil, err
		}
		out.filter = f
	}
	spec, err := k.windowSpec(n.over)
	if err != nil {
		return nil, err
	}
	out.spec = *spec
	return out, nil
}

func hasWindow(e expr) bool {
	found := false
	walk(e, func(e expr) bool {
		if _, ok := e.(*windowExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// key is equal for specifications that are equal as written.
func (w *windowSpec) key() string {
	var b strings.Builder
	for _, p := range w.partition {
		writeKey(&b, p)
	}
	for _, o := range w.order {
		fmt.Fprintf(&b, " %v%v", o.descending, o.nullsFirst)
		writeKey(&b, o.expr)
	}
	fmt.Fprintf(&b, " %d %d %d %d", w.frame.mode, w.frame.start, w.frame.end, w.frame.exclude)
	for _, e := range []expr{w.start, w.end} {
		if e != nil {
			writeKey(&b, e)
		}
		b.WriteByte(';')
	}
	return b.String()
}

package sql

import (
	"slices"
	"strings"

	"daemoneye/bus/event"
)

// Requirement is what a row must satisfy: all or one of Of, or a test of a
// column. One of none is satisfied by no row.
type Requirement struct {
	Kind RequirementKind
	Of   []*Requirement

	// Of RequireText:
	Column int // position in Table.Columns, of a text, or of texts of which one must pass
	Test   TextTest
	Fold   bool     // ASCII letters of either case are alike; Texts are in lower case
	Texts  []string // of which one must be there, or none with Not
	Not    bool
	Null   bool // NULL satisfies it; else it does not, with Not either
}

// RequirementKind says how a Requirement is satisfied.
type RequirementKind uint8

// The kinds.
const (
	RequireAll RequirementKind = iota + 1
	RequireAny
	RequireText
)

// TextTest is how a text is looked for.
type TextTest uint8

// The tests. A text of TextIsPart may be anywhere, and is not empty.
const (
	TextIs TextTest = iota + 1
	TextBegins
	TextEnds
	TextIsPart
)

// Requires returns what a row of the table must satisfy to have a part in the
// query's answer, nil when nothing is known. For any other row WHERE is not
// true; in a query that streams it gives no error either, unless a text of
// more than 64 KiB is too long for a pattern.
func (q *Query) Requires(table string) *Requirement {
	var list []*Requirement
	for _, s := range q.scans {
		if !strings.EqualFold(s.table.Name, table) {
			continue
		}
		where := s.where
		if q.simple != nil {
			where = q.simple.filter
		}
		list = append(list, requirer{s}.filter(where))
	}
	if len(list) == 0 {
		return nil
	}
	return anyOf(list)
}

// Lower is the function lower: ASCII letters only.
func Lower(s string) string { return lowerASCII(s) }

// requirer finds what the conditions over one scan require.
type requirer struct{ *scanNode }

// outcome is what an expression gives.
type outcome uint8

const (
	givesNotTrue outcome = iota // FALSE or NULL
	givesFalse
	givesTrue
)

// filter is unless(cond, givesNotTrue) for a condition of filterChunk, in which a
// conjunct is not computed for rows of which one before is NULL.
func (r requirer) filter(cond expr) *Requirement {
	if cond == nil {
		return nil
	}
	e, ok := cond.(*logicExpr)
	if !ok || e.kind != logicAnd {
		return r.unless(cond, givesNotTrue)
	}
	var list []*Requirement
	for _, arg := range e.args {
		list = append(list, r.unless(arg, givesNotTrue))
		if !safe(arg) {
			break
		}
	}
	return allOf(list)
}

// unless returns what holds of each row for which e does not give o, or may
// fail; nil if that is not known.
func (r requirer) unless(e expr, o outcome) *Requirement {
	switch e := e.(type) {
	case *constExpr:
		gives := givesFalse
		switch {
		case e.v.null:
			gives = givesNotTrue
		case e.v.truth():
			gives = givesTrue
		}
		if gives == o || gives == givesFalse && o == givesNotTrue {
			return never()
		}
	case *logicExpr:
		return r.unlessLogic(e, o)
	case *boolExpr:
		return r.unlessTest(e, o)
	case *coalesceExpr:
		// coalesce(x, constant) is what x is, but for NULL.
		if c, ok := constantOf(e); ok {
			if o == givesNotTrue {
				o = givesFalse
			}
			if o == givesFalse && !c.truth() {
				o = givesNotTrue
			}
			return r.unless(e.args[0], o)
		}
	case *quantExpr:
		return r.unlessQuantified(e, o)
	case *callExpr:
		if len(e.args) != 2 || e.t != Bool {
			return nil
		}
		a, b := e.args[0], e.args[1]
		if _, ok := isConstant(a); ok && (e.fn.compare == compareEq || e.fn.compare == compareNe) {
			a, b = b, a
		}
		if c, ok := isConstant(b); ok {
			return r.unlessText(e.fn, a, c, o)
		}
	}
	return nil
}

// constantOf returns the second argument of coalesce(x, constant).
func constantOf(e *coalesceExpr) (value, bool) {
	if len(e.args) != 2 {
		return null, false
	}
	c, ok := isConstant(e.args[1])
	if !ok || c.v.null {
		return null, false
	}
	return c.v, true
}

func (r requirer) unlessLogic(e *logicExpr, o outcome) *Requirement {
	if e.kind == logicNot {
		return r.unless(e.args[0], negated(o))
	}
	// An operand is computed if none before decided; if it fails, so does the whole.
	decisive := givesFalse
	if e.kind == logicOr {
		decisive = givesTrue
	}
	var list []*Requirement
	if o == givesTrue && e.kind == logicAnd || o != givesTrue && e.kind == logicOr {
		for _, arg := range e.args {
			list = append(list, r.unless(arg, o))
		}
		return anyOf(list)
	}
	rest := 0 // the last operand that may fail, plus one
	for i, arg := range e.args {
		if !safe(arg) {
			rest = i + 1
		}
	}
	for i, arg := range e.args {
		one := decisive
		if i+1 >= rest {
			one = o // nothing behind it fails
		}
		list = append(list, r.unless(arg, one))
		if !safe(arg) {
			break
		}
	}
	return allOf(list)
}

// negated returns what x gives when NOT x gives o, at least.
func negated(o outcome) outcome {
	if o == givesTrue {
		return givesFalse
	}
	return givesTrue
}

// unlessTest is unless for IS [NOT] TRUE and FALSE, which give no NULL.
func (r requirer) unlessTest(e *boolExpr, o outcome) *Requirement {
	yes := o == givesTrue
	switch e.test {
	case isTrue, isNotTrue:
		if yes == (e.test == isTrue) {
			return r.unless(e.arg, givesTrue)
		}
		return r.unless(e.arg, givesNotTrue)
	case isFalse, isNotFalse:
		if yes == (e.test == isFalse) {
			return r.unless(e.arg, givesFalse)
		}
		return r.unless(e.arg, givesTrue)
	}
	return nil
}

// unlessQuantified takes op ANY as OR, and op ALL as AND, of its comparisons.
func (r requirer) unlessQuantified(e *quantExpr, o outcome) *Requirement {
	if c, ok := isConstant(e.left); ok {
		return r.unlessElement(e, c, o)
	}
	c, ok := isConstant(e.array)
	if !ok || c.v.null {
		return nil
	}
	a, ok := c.v.o.(*array)
	if !ok || a.elem.phys() != physText {
		return nil
	}
	if _, ok := r.textOf(e.left); !ok {
		return nil
	}
	var list []*Requirement
	for _, v := range a.vals {
		element := &constExpr{v: v, t: a.elem}
		switch {
		case v.null:
			list = append(list, r.unless(&constExpr{v: null, t: Bool}, o))
		case !safeOperator(e.fn, v.s):
			return nil
		default:
			list = append(list, r.unlessText(e.fn, e.left, element, o))
		}
	}
	if e.all == (o == givesTrue) {
		return anyOf(list)
	}
	return allOf(list)
}

// unlessElement is unless for constant = ANY (column).
func (r requirer) unlessElement(e *quantExpr, c *constExpr, o outcome) *Requirement {
	i, ok := r.columnOf(e.array)
	if !ok || e.all || e.fn.compare != compareEq || c.v.null || r.table.Columns[i].Type != event.TextArray {
		return nil
	}
	return textRequired{column: i}.requirement(TextIs, []string{c.v.s}, o)
}

// unlessText is unless for a comparison of a text with a constant.
func (r requirer) unlessText(fn *function, left expr, c *constExpr, o outcome) *Requirement {
	t, ok := r.textOf(left)
	if !ok || c.v.null || c.t.phys() != physText || !safeOperator(fn, c.v.s) {
		return nil
	}
	if fn.compare == compareNe || fn.negated {
		o = negated(o)
	}
	var parts []literalPart
	exact := true
	switch {
	case fn.compare == compareEq || fn.compare == compareNe:
		parts = []literalPart{{TextIs, []string{c.v.s}}}
	case fn.name == "starts_with" || fn.name == "^@":
		parts = []literalPart{{TextBegins, []string{c.v.s}}}
	case fn.name == "~~" || fn.name == "!~~":
		parts, exact = likeParts(c.v.s)
	case fn.name == "~~*" || fn.name == "!~~*":
		t.fold = foldBoth
		parts, exact = likeParts(lowerASCII(c.v.s))
	case fn.name == "~" || fn.name == "!~" || fn.name == "~*" || fn.name == "!~*":
		var fold bool
		parts, fold, exact = regexpParts(c.v.s, strings.HasSuffix(fn.name, "*"))
		if fold {
			t.fold = foldBoth
		}
	default:
		return nil
	}
	if o == givesTrue && !exact {
		return nil
	}
	list := []*Requirement{}
	for _, p := range parts {
		list = append(list, t.requirement(p.test, p.texts, o))
	}
	if o == givesTrue {
		return anyOf(list)
	}
	return allOf(list)
}

// textRequired is a text that is compared.
type textRequired struct {
	column int
	fold   folding
	ifNull *string // of coalesce
}

// folding is what is made of the letters of a text that is compared.
type folding uint8

const (
	foldNone  folding = iota
	foldLower         // lower(text)
	foldUpper
	foldBoth // either case is alike to the operator
)

// textOf reads a column of texts, within lower, upper and coalesce.
func (r requirer) textOf(e expr) (t textRequired, ok bool) {
	switch e := e.(type) {
	case *colExpr:
		t.column, ok = r.columnOf(e)
		return t, ok && r.table.Columns[t.column].Type == event.Text
	case *callExpr:
		if len(e.args) != 1 || e.t != Text {
			return t, false
		}
		if t, ok = r.textOf(e.args[0]); !ok {
			return t, false
		}
		change := lowerASCII
		switch e.fn.name {
		case "lower":
			t.fold = foldLower
		case "upper":
			t.fold, change = foldUpper, upperASCII
		default:
			return t, false
		}
		if t.ifNull != nil {
			s := change(*t.ifNull)
			t.ifNull = &s
		}
		return t, true
	case *coalesceExpr:
		c, constant := constantOf(e)
		if t, ok = r.textOf(e.args[0]); !ok || !constant {
			return t, false
		}
		if t.fold == foldLower && c.s != lowerASCII(c.s) || t.fold == foldUpper && c.s != upperASCII(c.s) {
			return t, false // it is compared as it is written
		}
		if t.ifNull == nil {
			t.ifNull = &c.s
		}
		return t, true
	}
	return t, false
}

// requirement is what holds unless the test gives o.
func (t textRequired) requirement(test TextTest, texts []string, o outcome) *Requirement {
	r := &Requirement{Kind: RequireText, Column: t.column, Test: test, Texts: texts, Fold: t.fold != foldNone, Not: o == givesTrue}
	if r.Fold {
		r.Texts = nil
		for _, s := range texts {
			lower := lowerASCII(s)
			if r.Not && (t.fold == foldLower && s != lower || t.fold == foldUpper && s != upperASCII(s)) {
				return nil // the text is never there
			}
			r.Texts = append(r.Texts, lower)
		}
	}
	for _, s := range r.Texts {
		if s == "" && test != TextIs {
			return nil
		}
	}
	r.Null = o != givesNotTrue
	if t.ifNull != nil {
		r.Null = r.passes(*t.ifNull) != r.Not
	}
	return r
}

// passes reports whether one of the texts is there.
func (r *Requirement) passes(s string) bool {
	if r.Fold {
		s = lowerASCII(s)
	}
	for _, text := range r.Texts {
		switch {
		case r.Test == TextIs && s == text, r.Test == TextBegins && strings.HasPrefix(s, text),
			r.Test == TextEnds && strings.HasSuffix(s, text), r.Test == TextIsPart && strings.Contains(s, text):
			return true
		}
	}
	return false
}

func never() *Requirement { return &Requirement{Kind: RequireAny} }

// allOf is satisfied when all of list are; those of which nothing is known are left out.
func allOf(list []*Requirement) *Requirement {
	g := gathering{kind: RequireAll}
	for _, r := range list {
		if r != nil {
			g.add(r)
		}
	}
	if len(g.of) == 0 {
		return nil
	}
	return g.requirement()
}

// anyOf is satisfied when one of list is.
func anyOf(list []*Requirement) *Requirement {
	g := gathering{kind: RequireAny}
	for _, r := range list {
		if r == nil {
			return nil
		}
		g.add(r)
	}
	return g.requirement()
}

// gathering is a Requirement in the making.
type gathering struct {
	kind RequirementKind
	of   []*Requirement
	own  []bool // of was made here, and may be changed
}

func (g *gathering) requirement() *Requirement {
	if len(g.of) == 1 {
		return g.of[0]
	}
	return &Requirement{Kind: g.kind, Of: g.of}
}

// add takes the parts of one of the same kind, and makes a test like one that
// is there more texts of that.
func (g *gathering) add(r *Requirement) {
	if r.Kind == g.kind {
		for _, part := range r.Of {
			g.add(part)
		}
		return
	}
	if r.Kind == RequireText && r.Not == (g.kind == RequireAll) {
		for i, o := range g.of {
			if o.Kind != r.Kind || o.Column != r.Column || o.Test != r.Test || o.Fold != r.Fold || o.Not != r.Not || o.Null != r.Null {
				continue
			}
			if !g.own[i] {
				both := *o
				both.Texts = slices.Clone(o.Texts)
				g.of[i], g.own[i] = &both, true
			}
			g.of[i].Texts = append(g.of[i].Texts, r.Texts...)
			return
		}
	}
	g.of, g.own = append(g.of, r), append(g.own, false)
}

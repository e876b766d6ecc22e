package sql

import (
	"fmt"
	"slices"
	"strings"
)

// canCoerce reports whether a value of type from can stand where to is
// wanted, without a written cast (can_coerce_type of parse_coerce.c).
func canCoerce(from, to Type) bool {
	switch to {
	case anyType, anyElement, anyCompatible:
		return true
	case anyNonArray:
		return !from.IsArray()
	case anyArray, anyCompatibleArray:
		return from.IsArray() || from == Unknown
	}
	return canCast(from, to, implicit)
}

func canCoerceAll(from, to []Type) bool {
	for i := range from {
		if !canCoerce(from[i], to[i]) {
			return false
		}
	}
	_, _, ok := polymorphic(from, to, 0)
	return ok
}

// polymorphic replaces the pseudo-types of a signature by what the actual
// types make of them: all of anyelement, anyarray and anynonarray must agree,
// those of anycompatible are brought to their common type.
func polymorphic(actual, declared []Type, ret Type) (args []Type, result Type, ok bool) {
	var element, array Type
	var compatible []Type
	hasCompatible := false
	for i, d := range declared {
		a := actual[i]
		switch d {
		case anyElement, anyNonArray:
			if a == Unknown {
				continue
			}
			if element != 0 && element != a {
				return nil, 0, false
			}
			element = a
		case anyArray:
			if a == Unknown {
				continue
			}
			if array != 0 && array != a || !a.IsArray() {
				return nil, 0, false
			}
			array = a
		case anyCompatible:
			hasCompatible = true
			compatible = append(compatible, a)
		case anyCompatibleArray:
			hasCompatible = true
			if a == Unknown {
				continue
			}
			if !a.IsArray() {
				return nil, 0, false
			}
			compatible = append(compatible, a.Elem())
		}
	}
	if array != 0 {
		if element != 0 && element != array.Elem() {
			return nil, 0, false
		}
		element = array.Elem()
	}
	common := Text
	if hasCompatible {
		if common, ok = commonType(compatible); !ok {
			return nil, 0, false
		}
		if common.IsArray() && (ret == anyCompatibleArray || slices.Contains(declared, anyCompatibleArray)) {
			return nil, 0, false
		}
	}
	actualOf := func(t Type) Type {
		switch t {
		case anyElement, anyNonArray:
			if element == 0 {
				return t
			}
			return element
		case anyArray:
			if element == 0 {
				return anyArray
			}
			return ArrayOf(element)
		case anyCompatible:
			return common
		case anyCompatibleArray:
			return ArrayOf(common)
		}
		return t
	}
	args = make([]Type, len(declared))
	for i, d := range declared {
		args[i] = actualOf(d)
		if args[i] == anyType {
			args[i] = actual[i]
		}
	}
	return args, actualOf(ret), true
}

// commonType is select_common_type: the first type that is not unknown, moved
// to a later one that it converts to without being preferred itself.
func commonType(list []Type) (Type, bool) {
	var t Type = Unknown
	for _, n := range list {
		if n == Unknown || n == t {
			continue
		}
		switch {
		case t == Unknown:
			t = n
		case n.category() != t.category():
			return t, false
		case !t.preferred() && canCoerce(t, n) && !canCoerce(n, t):
			t = n
		}
	}
	if t == Unknown {
		return Text, true
	}
	for _, n := range list {
		if !canCoerce(n, t) {
			return t, false
		}
	}
	return t, true
}

// candidate is a function with its arguments spread out for a call.
type candidate struct {
	fn   *function
	args []Type
}

// candidates are the functions of list that n arguments fit.
func candidates(list []*function, n int) []candidate {
	var out []candidate
	for _, f := range list {
		switch {
		case len(f.args) == n && !f.variadic:
			out = append(out, candidate{f, f.args})
		case f.variadic && n >= len(f.args):
			args := append([]Type{}, f.args...)
			for len(args) < n {
				args = append(args, f.args[len(f.args)-1])
			}
			out = append(out, candidate{f, args})
		}
	}
	return out
}

// choose picks the candidate for the actual types by the rules of chapter 10
// of PostgreSQL's manual (func_select_candidate of parse_func.c); nil with
// ambiguous false when none fits.
func choose(list []candidate, actual []Type) (best *candidate, ambiguous bool) {
	var fit []candidate
	for _, c := range list {
		if equalTypes(c.args, actual) {
			return &c, false
		}
		if canCoerceAll(actual, c.args) {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return nil, false
	}
	unknowns := 0
	for _, t := range actual {
		if t == Unknown {
			unknowns++
		}
	}
	fit = mostMatches(fit, actual, func(a, d Type) bool { return a == d || d == Text && a == Varchar })
	if len(fit) > 1 {
		fit = mostMatches(fit, actual, func(a, d Type) bool {
			return a == d || d.category() == a.category() && d.preferred()
		})
	}
	if len(fit) == 1 {
		return &fit[0], false
	}
	if unknowns == 0 {
		return nil, true
	}
	if fit = byCategory(fit, actual); len(fit) == 1 {
		return &fit[0], false
	}
	if c := bySameType(fit, actual); c != nil {
		return c, false
	}
	return nil, true
}

func equalTypes(a, b []Type) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// mostMatches keeps the candidates with the most known arguments that match.
func mostMatches(list []candidate, actual []Type, match func(a, d Type) bool) []candidate {
	best := -1
	var out []candidate
	for _, c := range list {
		n := 0
		for i, a := range actual {
			if a != Unknown && match(a, c.args[i]) {
				n++
			}
		}
		if n > best {
			best, out = n, nil
		}
		if n == best {
			out = append(out, c)
		}
	}
	return out
}

// byCategory narrows by the category that unknown arguments should have:
// string if any candidate takes one, else the one that all agree on.
func byCategory(list []candidate, actual []Type) []candidate {
	cats := make([]byte, len(actual))
	preferred := make([]bool, len(actual))
	for i, a := range actual {
		if a != Unknown {
			continue
		}
		conflict := false
		for _, c := range list {
			cat, pref := c.args[i].category(), c.args[i].preferred()
			switch {
			case cats[i] == 0:
				cats[i], preferred[i] = cat, pref
			case cats[i] == cat:
				preferred[i] = preferred[i] || pref
			case cat == 'S':
				cats[i], preferred[i] = cat, pref
			default:
				conflict = true
			}
		}
		if conflict && cats[i] != 'S' {
			return list
		}
	}
	var out []candidate
	for _, c := range list {
		keep := true
		for i := range actual {
			if cats[i] == 0 {
				continue
			}
			if c.args[i].category() != cats[i] || preferred[i] && !c.args[i].preferred() {
				keep = false
			}
		}
		if keep {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return list
	}
	return out
}

// bySameType assumes that unknown arguments have the type of the known ones,
// if these agree.
func bySameType(list []candidate, actual []Type) *candidate {
	var known Type
	for _, a := range actual {
		if a == Unknown {
			continue
		}
		if known != 0 && known != a {
			return nil
		}
		known = a
	}
	if known == 0 {
		return nil
	}
	assumed := make([]Type, len(actual))
	for i := range assumed {
		assumed[i] = known
	}
	var found *candidate
	for _, c := range list {
		if canCoerceAll(assumed, c.args) {
			if found != nil {
				return nil
			}
			found = &c
		}
	}
	return found
}

// call resolves and builds a call of one of list.
func (k *checker) call(list []*function, args []expr, pos int, describe func(types []Type) string, operator bool) (expr, error) {
	actual := make([]Type, len(args))
	for i, a := range args {
		actual[i] = a.typ()
	}
	if t, ok := arrayOfArrays(list, actual); ok && !operator {
		return nil, failAt(pos, codeUndefinedObject, "could not find array type for data type %v", t)
	}
	c, several := k.chooseCall(list, actual, operator)
	if several || c != nil && ambiguous(c.fn.name, actual) {
		if operator {
			return nil, failAt(pos, codeAmbiguousFunction, "operator is not unique: %s", describe(actual)).hint("add a cast, such as ::text")
		}
		return nil, failAt(pos, codeAmbiguousFunction, "function %s is not unique", describe(actual)).hint("add a cast, such as ::text")
	}
	if c == nil {
		if operator {
			return nil, noOperator(pos, describe(actual)).hint("%s", operatorHint(list[0].name, actual))
		}
		return nil, noFunction(pos, describe(actual)).hint("%s", wants(list))
	}
	if c.fn.refused != "" {
		return nil, refuse(pos, c.fn.refused)
	}
	declared, ret, ok := polymorphic(actual, c.args, c.fn.ret)
	if !ok {
		return nil, noFunction(pos, describe(actual))
	}
	for i := range args {
		if declared[i] == anyArray || declared[i] == anyElement || declared[i] == anyNonArray {
			return nil, failAt(pos, codeDatatypeMismatch, "could not determine polymorphic type because input has type unknown")
		}
		if c.args[i] == anyType {
			args[i] = k.known(args[i])
			continue
		}
		var err error
		if args[i], err = k.coerce(args[i], declared[i], implicit, pos); err != nil {
			return nil, err
		}
	}
	return k.makeCall(c.fn, args, ret, pos)
}

// chooseCall resolves a call; for operators an untyped literal is first taken
// to have the type of the other side (binary_oper_exact of parse_oper.c).
func (k *checker) chooseCall(list []*function, actual []Type, operator bool) (*candidate, bool) {
	fits := candidates(list, len(actual))
	if operator && len(actual) == 2 && (actual[0] == Unknown) != (actual[1] == Unknown) {
		t := actual[0]
		if t == Unknown {
			t = actual[1]
		}
		for _, c := range fits {
			if c.args[0] == t && c.args[1] == t {
				return &c, false
			}
		}
	}
	return choose(fits, actual)
}

// wants lists the signatures of list for a hint.
func wants(list []*function) string {
	var out []string
	for _, f := range list {
		if len(out) == 4 {
			out = append(out, "…")
			break
		}
		s, _, _ := strings.Cut(f.signature(false), " → ")
		out = append(out, s)
	}
	if len(out) == 0 {
		return ""
	}
	return "allowed: " + strings.Join(out, ", ")
}

// operatorHint says what to write where no operator takes these types.
func operatorHint(name string, types []Type) string {
	if hint := otherOperator(name); hint != "" && slices.Contains(types, Bool) {
		return hint
	}
	isTime := func(t Type) bool { return t == Timestamptz || t == Timestamp || t == Time }
	isNumber := func(t Type) bool { return t == Int2 || t == Int4 || t == Int8 || t == Float8 || t == Numeric }
	for i, t := range types {
		other := types[len(types)-1-i]
		switch {
		case isTime(t) && isNumber(other):
			return "a span of time is an interval, such as interval '1 hour'"
		case t.IsArray() && !other.IsArray():
			return "for its elements write x = ANY (array), or EXISTS (SELECT FROM unnest(array) AS x WHERE …)"
		case t == JSONB && other != JSONB:
			return "take a field's text out of it with ->>"
		}
	}
	return "add a cast, such as ::text"
}

// makeCall builds the call, preparing what depends on constants only.
func (k *checker) makeCall(fn *function, args []expr, t Type, pos int) (expr, error) {
	switch {
	case fn.window != nil:
		return &windowExpr{fn: fn, args: args, t: t, at: pos}, nil
	case fn.rows != nil:
		return k.rowsCall(fn, args, t, pos)
	case fn.typed != nil:
		types := make([]Type, len(args))
		for i, a := range args {
			types[i] = a.typ()
		}
		fn = fn.typed(types)
	}
	if fn.aggregate() {
		return &aggExpr{fn: fn, args: args, t: t, at: pos}, nil
	}
	if fn.ret == anyCompatibleArray {
		fn = withElements(fn, t.Elem())
	}
	return bindCall(&callExpr{fn: fn, args: args, t: t, at: pos, run: fn.eval})
}

func bindCall(e *callExpr) (expr, error) {
	if e.fn.bind == nil {
		return e, nil
	}
	consts := make([]*value, len(e.args))
	for i, a := range e.args {
		c, ok := a.(*constExpr)
		if ok && c.v.null && e.fn.strict {
			return e, nil // NULL, whatever the others are
		}
		if ok && !c.v.null {
			consts[i] = &c.v
		}
	}
	run, err := e.fn.bind(consts)
	if err != nil {
		return nil, positioned(copyError(err), e.at)
	}
	if run != nil {
		e.run = run
	}
	if e.fn.literal != nil && consts[1] != nil {
		e.literal = []byte(e.fn.literal(consts[1].s))
	}
	return e, nil
}

// copyError returns an error of ours that may be changed.
func copyError(err error) error {
	if e, ok := err.(*Error); ok {
		c := *e
		return &c
	}
	return err
}

func describeFunction(name string) func([]Type) string {
	return func(types []Type) string { return name + "(" + typeList(types) + ")" }
}

func describeOperator(name string) func([]Type) string {
	return func(types []Type) string {
		if len(types) == 1 {
			return fmt.Sprintf("%s %v", name, types[0])
		}
		return fmt.Sprintf("%v %s %v", types[0], name, types[1])
	}
}

// noFunction and noOperator word it as PostgreSQL does.
func noFunction(pos int, described string) *Error {
	return failAt(pos, codeUndefinedFunction, "function %s does not exist", described)
}

func noOperator(pos int, described string) *Error {
	return failAt(pos, codeUndefinedFunction, "operator does not exist: %s", described)
}

func typeList(types []Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

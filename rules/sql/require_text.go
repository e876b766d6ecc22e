package sql

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// literalPart is what of a pattern must be in a text: one of the texts.
type literalPart struct {
	test  TextTest
	texts []string
}

// likeParts returns what every text has that a LIKE pattern matches; exact
// when a text that has it matches.
func likeParts(pattern string) (parts []literalPart, exact bool) {
	var pieces []string // between wildcards
	var b strings.Builder
	exact = true
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '%', '_':
			pieces = append(pieces, b.String())
			b.Reset()
			exact = exact && pattern[i] == '%'
			continue
		case '\\':
			if i++; i == len(pattern) {
				return nil, false
			}
		}
		b.WriteByte(pattern[i])
	}
	pieces = append(pieces, b.String())
	if len(pieces) == 1 {
		return []literalPart{{TextIs, pieces}}, true
	}
	for i, piece := range pieces {
		test := TextIsPart
		switch i {
		case 0:
			test = TextBegins
		case len(pieces) - 1:
			test = TextEnds
		}
		if piece != "" {
			parts = append(parts, literalPart{test, []string{piece}})
		}
	}
	return parts, exact && len(parts) == 1
}

// regexpParts is likeParts for a regular expression; fold says that letters of
// either case are to be alike.
func regexpParts(pattern string, foldCase bool) (parts []literalPart, fold, exact bool) {
	re := regexpWithin(pattern, foldCase)
	if re == nil {
		return nil, false, false
	}
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return nil, false, false
	}
	test, middle := anchors(tree)
	var a literalAnalysis
	found := a.analyse(middle)
	texts := found.best()
	if found.exact == nil {
		test = TextIsPart
	} else {
		texts = found.exact
	}
	if len(texts) == 0 || shortest(texts) < minLiteralLen && test != TextIs {
		return nil, false, false
	}
	exact = found.exact != nil && re.exact && !a.fold && !hasConstraint(middle)
	return []literalPart{{test, slices.Clone(texts)}}, a.fold, exact
}

// anchors takes the anchors of the text off a concatenation.
func anchors(tree *syntax.Regexp) (TextTest, *syntax.Regexp) {
	subs := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		subs = tree.Sub
	}
	begin := len(subs) > 0 && subs[0].Op == syntax.OpBeginText
	if begin {
		subs = subs[1:]
	}
	end := len(subs) > 0 && subs[len(subs)-1].Op == syntax.OpEndText
	if end {
		subs = subs[:len(subs)-1]
	}
	middle := &syntax.Regexp{Op: syntax.OpConcat, Sub: subs}
	switch {
	case begin && end:
		return TextIs, middle
	case begin:
		return TextBegins, middle
	case end:
		return TextEnds, middle
	}
	return TextIsPart, middle
}

// hasConstraint reports whether something in the tree stands for no character
// and yet does not match everywhere.
func hasConstraint(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(tree.Sub, hasConstraint)
}

// regexpWithin compiles an expression, nil when matching a text of up to
// maxLiteralText bytes may give an error.
func regexpWithin(pattern string, fold bool) *regex {
	re, err := compileRegexp(pattern, fold)
	if err != nil || re.length > maxLiteralInstructions || !re.exact && re.length > maxLiteralInstructions/8 {
		return nil
	}
	return re
}

// safeOperator reports whether an operator between a text of up to
// maxLiteralText bytes and this constant gives no error.
func safeOperator(fn *function, constant string) bool {
	switch fn.name {
	case "~~", "!~~", "~~*", "!~~*":
		_, simple := splitLike(constant)
		return len(constant) <= maxPattern && (simple || len(constant) <= maxSteps/maxLiteralText && !endsInEscape(constant))
	case "~", "!~":
		return regexpWithin(constant, false) != nil
	case "~*", "!~*":
		return regexpWithin(constant, true) != nil
	case "starts_with", "^@":
		return true
	}
	return fn.compare != 0
}

func endsInEscape(pattern string) bool {
	n := len(pattern) - len(strings.TrimRight(pattern, `\`))
	return n%2 == 1
}

// safe reports whether an expression gives no error, whatever a row has whose
// texts have up to maxLiteralText bytes. It does not know all that do not.
func safe(e expr) bool {
	switch e := e.(type) {
	case *colExpr, *constExpr:
		return true
	case *callExpr:
		switch e.fn.name {
		case "lower", "upper", "length", "char_length", "octet_length":
			if len(e.args) != 1 || e.args[0].typ() != Text {
				return false
			}
		default:
			constant, ok := "", e.fn.compare != 0
			if len(e.args) == 2 && !ok {
				c, isConst := isConstant(e.args[1])
				if isConst {
					constant = c.v.s
				}
				ok = isConst && c.t == Text
			}
			if !ok || !safeOperator(e.fn, constant) {
				return false
			}
		}
	case *quantExpr:
		if !safeQuantified(e) {
			return false
		}
	case *logicExpr, *nullExpr, *boolExpr, *coalesceExpr, *caseExpr, *relabelExpr:
	default:
		return false
	}
	return !slices.ContainsFunc(children(e), func(c *expr) bool { return !safe(*c) })
}

// safeQuantified looks at the elements of a constant array, and at the
// operator over another.
func safeQuantified(e *quantExpr) bool {
	if e.fn.compare != 0 {
		return true
	}
	c, ok := isConstant(e.array)
	if !ok || c.v.null {
		return false
	}
	a, ok := c.v.o.(*array)
	return ok && a.elem == Text && !slices.ContainsFunc(a.vals, func(v value) bool { return !v.null && !safeOperator(e.fn, v.s) })
}

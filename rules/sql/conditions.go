package sql

import "strings"

// Conditions returns, about as they are written, the conditions that decide
// which rows a SELECT returns: the parts that AND, OR and NOT join in WHERE, ON
// and HAVING, those of subqueries, too. They do not hold constants.
func Conditions(text string, cfg Config) ([]string, error) {
	stmt, err := parse(text, cfg.Limits.withDefaults(), cfg.Params)
	if err != nil {
		return nil, err
	}
	w := conditionWalk{replace: -1}
	w.query(stmt)
	list := make([]string, len(w.found))
	for i, n := range w.found {
		list[i] = sourceText(text, n)
	}
	return list, nil
}

// CompileWith compiles a SELECT with a constant in place of one of its
// Conditions, by its position there.
func CompileWith(text string, condition int, value bool, cfg Config) (*Query, error) {
	limits := cfg.Limits.withDefaults()
	stmt, err := parse(text, limits, cfg.Params)
	if err != nil {
		return nil, err
	}
	w := conditionWalk{replace: condition, with: literal{kind: litBool, text: "f"}}
	if value {
		w.with.text = "t"
	}
	w.query(stmt)
	q, err := check(stmt, limits, cfg.Lists)
	if err != nil {
		return nil, err
	}
	q.text, q.cfg = text, cfg
	return q, nil
}

// conditionWalk finds the conditions of a query in their order.
type conditionWalk struct {
	found   []node
	replace int // position of the one that becomes with; -1: none
	with    literal
}

func (w *conditionWalk) query(q *queryExpr) {
	for _, c := range q.with {
		w.query(c.query)
	}
	switch b := q.body.(type) {
	case *setStmt:
		w.query(b.left)
		w.query(b.right)
	case *selectStmt:
		for _, t := range b.targets {
			w.within(t.expr)
		}
		for _, n := range b.from {
			w.from(n)
		}
		b.where = w.condition(b.where)
		b.having = w.condition(b.having)
	}
}

func (w *conditionWalk) from(n node) {
	switch n := n.(type) {
	case *joinRef:
		w.from(n.left)
		w.from(n.right)
		n.on = w.condition(n.on)
	case *subqueryRef:
		w.query(n.query)
	}
}

// condition returns what stands in place of n, which may be nil.
func (w *conditionWalk) condition(n node) node {
	switch n := n.(type) {
	case nil, literal:
		return n
	case logicNode:
		for i, arg := range n.args {
			n.args[i] = w.condition(arg)
		}
		return n
	}
	position := len(w.found)
	w.found = append(w.found, n)
	w.within(n)
	if position == w.replace {
		return w.with
	}
	return n
}

// within looks for queries in an expression.
func (w *conditionWalk) within(n node) {
	if s, ok := n.(sublink); ok {
		w.query(s.query)
	}
	for _, o := range operands(n) {
		w.within(o)
	}
}

// sourceText returns the text of an expression, without comments and with one
// blank for any between words. The syntax tree says where its parts begin; it
// ends before what can not belong to it.
func sourceText(text string, n node) string {
	first, last := span(n)
	if first < 0 {
		return "?"
	}
	var b strings.Builder
	depth, blank := 0, false
	for i := first; i < len(text); {
		end := i + 1
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			blank, i = true, end
			continue
		case strings.HasPrefix(text[i:], "--"):
			blank, i = true, skipLine(text, i)
			continue
		case strings.HasPrefix(text[i:], "/*"):
			blank, i = true, skipComment(text, i)
			continue
		case c == '\'' || c == '"':
			end = skipQuoted(text, i, c, false)
		case (c == 'e' || c == 'E') && strings.HasPrefix(text[end:], "'"):
			end = skipEscaped(text, end)
		case c == '$':
			end = i + max(1, dollarQuoted(text[i:]))
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			if depth--; depth < 0 && i < last {
				// It belongs to a bracket before the first part.
				open := strings.LastIndexByte(text[:first], '(')
				if open < 0 {
					return b.String()
				}
				return sourceText(text, reaching{n, open})
			}
		case isNameByte(c):
			end = i + wordLength(text[i:])
		}
		if depth <= 0 && i > last && endsExpression(text[i:end], depth) {
			break
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text[i:end])
		blank, i = false, end
	}
	return b.String()
}

// reaching is a node whose text begins before its first part.
type reaching struct {
	node
	from int
}

// span returns where the first and the last part of an expression begin.
func span(n node) (first, last int) {
	if r, ok := n.(reaching); ok {
		_, last = span(r.node)
		return r.from, last
	}
	first, last = n.pos(), n.pos()
	for _, o := range operands(n) {
		from, to := span(o)
		if from >= 0 && (first < 0 || from < first) {
			first = from
		}
		last = max(last, to)
	}
	return first, last
}

// endsExpression reports whether an expression ends before a token that stands
// outside of its brackets.
func endsExpression(token string, depth int) bool {
	switch strings.ToUpper(token) {
	case "AND", "OR", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "UNION", "INTERSECT", "EXCEPT",
		"JOIN", "INNER", "CROSS", "LEFT", "RIGHT", "FULL", "NATURAL", ",", ";":
		return true
	}
	return depth < 0
}

package sql

import "strings"

// nesting bounds, before the parser sees a statement, how deep its tree can
// become: by brackets, and without any by chains such as 1+1+1, NOT NOT x or
// SELECT … UNION SELECT …. What a bracket holds counts with what is around
// it, and a comma begins a new chain, so that lists may be long.
type nesting struct {
	limits Limits
	open   []chain // of the statement, and of each open bracket
	dots   int     // of the name at hand
}

// chain counts the operators and keywords between two commas.
type chain struct {
	base    int // UNION and its like, which chain over commas
	n       int // since the last comma, base included
	longest int // up to the last comma
}

func (c chain) max() int { return max(c.n, c.longest) }

// link counts n operators at byte offset pos.
func (t *nesting) link(pos, n int) error {
	top := &t.open[len(t.open)-1]
	top.n += n
	t.dots = 0
	if top.n > t.limits.Operators {
		return overLimit(pos, "operators", t.limits.Operators, "an expression has more than %d operators and keywords", t.limits.Operators)
	}
	return nil
}

// mark handles a byte that is not of a word, operator or string.
func (t *nesting) mark(pos int, c byte) error {
	top := &t.open[len(t.open)-1]
	switch c {
	case '.':
		if t.dots++; t.dots > 1 {
			dots := t.dots
			err := t.link(pos, 1)
			t.dots = dots
			return err
		}
	case '[':
		if err := t.link(pos, 1); err != nil {
			return err
		}
		fallthrough
	case '(':
		if len(t.open) > t.limits.Depth {
			return overLimit(pos, "depth", t.limits.Depth, "the statement is nested more than %d deep", t.limits.Depth)
		}
		t.open = append(t.open, chain{})
		t.dots = 0
	case ')', ']':
		if len(t.open) > 1 {
			inner := top.max()
			t.open = t.open[:len(t.open)-1]
			return t.link(pos, inner)
		}
	case ',', ';':
		top.longest, top.n = top.max(), top.base
		t.dots = 0
	}
	return nil
}

// word counts the keywords that can nest.
func (t *nesting) word(pos int, w string) error {
	if len(w) > len("intersect") {
		return nil
	}
	switch strings.ToLower(w) {
	case "union", "intersect", "except":
		t.open[len(t.open)-1].base++
		return t.link(pos, 1)
	case "at": // AT TIME ZONE is a function call, which takes more of the stack
		return t.link(pos, 4)
	case "and", "or", "not", "is", "isnull", "notnull", "like", "ilike", "similar", "in", "between", "overlaps",
		"collate", "case", "when", "else", "join", "any", "some", "all", "operator", "escape", "distinct",
		"select", "with", "values", "exists", "array", "row", "natural", "cross", "explain", "over", "filter":
		return t.link(pos, 1)
	}
	return nil
}

const operatorBytes = "+-*/<>=~!@#%^&|`?"

// operatorRun returns the length of the operators that s begins with, and at
// most how many they are: without one of ~!@#%^&|`? none may end in + or -,
// so that these are operators of their own.
func operatorRun(s string) (n, count int) {
	for n < len(s) && strings.IndexByte(operatorBytes, s[n]) >= 0 && !strings.HasPrefix(s[n:], "--") && !strings.HasPrefix(s[n:], "/*") {
		n++
	}
	run := s[:n]
	count = 1
	if !strings.ContainsAny(run, "~!@#%^&|`?") {
		count += len(run) - 1 - len(strings.TrimRight(run[1:], "+-"))
	}
	return n, count
}

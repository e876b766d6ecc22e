package generator

import (
	"strings"
)

// node is a piece of a statement. It is printed as its parts, strings and
// nodes, one after the other; in a list, items stand between prefix and suffix
// with sep between them, and nothing at all is printed when none is left.
type node struct {
	parts []any // string or *node
	typ   string

	list   bool
	prefix string
	sep    string
	suffix string
	filled bool // one item at least is to stay

	optional bool // the statement stays well formed without it
	fixed    bool // nothing in it may be changed, since a total order needs it whole
	dropped  bool
	instead  *node

	literals []string // of a column: values it has in the data, as typed literals
	output   *output  // of an item of the outermost select list
}

// output is what a comparison has to know of a column of the result.
type output struct {
	// tolerance is the relative difference that is none, of sums of double
	// precision, whose last digits depend on the order of the rows.
	tolerance float64
}

func seq(parts ...any) *node { return &node{parts: parts} }

func typed(typ string, parts ...any) *node { return &node{typ: typ, parts: parts} }

func optional(parts ...any) *node { return &node{parts: parts, optional: true} }

func listOf(prefix, sep, suffix string, items ...*node) *node {
	n := &node{list: true, prefix: prefix, sep: sep, suffix: suffix}
	for _, item := range items {
		n.parts = append(n.parts, item)
	}
	return n
}

func (n *node) fix() *node {
	n.fixed = true
	return n
}

func (n *node) String() string {
	var b strings.Builder
	n.print(&b)
	return b.String()
}

func (n *node) print(b *strings.Builder) {
	switch {
	case n.dropped:
		return
	case n.instead != nil:
		n.instead.print(b)
		return
	}
	first := true
	for _, p := range n.parts {
		child, ok := p.(*node)
		if !ok {
			b.WriteString(p.(string))
			continue
		}
		if child == nil || child.dropped {
			continue
		}
		if n.list && first {
			b.WriteString(n.prefix)
		} else if n.list {
			b.WriteString(n.sep)
		}
		first = false
		child.print(b)
	}
	if n.list && !first {
		b.WriteString(n.suffix)
	}
}

// walk visits what is printed of n, parents first; visit says whether to go
// into the node.
func (n *node) walk(visit func(*node) bool) {
	if n.dropped {
		return
	}
	if n.instead != nil {
		n.instead.walk(visit)
		return
	}
	if !visit(n) {
		return
	}
	for _, p := range n.parts {
		if child, ok := p.(*node); ok && child != nil {
			child.walk(visit)
		}
	}
}

// remaining counts the items of a list that are printed.
func (n *node) remaining() int {
	count := 0
	for _, p := range n.parts {
		if child, ok := p.(*node); ok && child != nil && !child.dropped {
			count++
		}
	}
	return count
}

// Statement is a generated SELECT.
type Statement struct {
	root   *node
	order  *node // the outermost ORDER BY, nil when there is none
	total  bool  // order leaves no ties, if it is printed
	prefix []int // output columns, from 0, that the order begins with
}

// String returns the statement's text.
func (s *Statement) String() string { return s.root.String() }

// Ordered reports whether the order of the result's rows is determined.
func (s *Statement) Ordered() bool { return s.total && s.order != nil && s.printed(s.order) }

func (s *Statement) printed(n *node) bool {
	found := false
	s.root.walk(func(m *node) bool {
		found = found || m == n
		return !found
	})
	return found
}

// Tolerances returns for each output column the relative difference of two
// numbers that counts as none.
func (s *Statement) Tolerances() []float64 {
	var out []float64
	s.root.walk(func(n *node) bool {
		if n.output != nil {
			out = append(out, n.output.tolerance)
			return false
		}
		return true
	})
	return out
}

// SortedBy returns the output columns, from 0, by which the rows are sorted
// first, as far as it is known; what is reduced has none.
func (s *Statement) SortedBy() []int {
	if s.order == nil || !s.printed(s.order) {
		return nil
	}
	return s.prefix
}

// Reduce makes s smaller as long as keep says that the text still shows what
// is looked for. It asks keep at most budget times.
func (s *Statement) Reduce(budget int, keep func() bool) {
	asked := 0
	try := func(do, undo func()) bool {
		if asked >= budget {
			return false
		}
		before := s.String()
		do()
		if s.String() == before || !s.wellFormed() {
			undo()
			return false
		}
		asked++
		if keep() {
			s.prefix = nil
			return true
		}
		undo()
		return false
	}
	for progress := true; progress && asked < budget; {
		progress = false
		for _, n := range s.nodes() {
			progress = s.reduceNode(n, try) || progress
		}
	}
}

// wellFormed reports whether no list is empty that must not be.
func (s *Statement) wellFormed() bool {
	ok := true
	s.root.walk(func(n *node) bool {
		ok = ok && (!n.filled || n.remaining() > 0)
		return ok
	})
	return ok
}

func (s *Statement) nodes() []*node {
	var list []*node
	s.root.walk(func(n *node) bool {
		list = append(list, n)
		return !n.fixed
	})
	return list
}

// reduceNode drops n, or puts something smaller in its place.
func (s *Statement) reduceNode(n *node, try func(do, undo func()) bool) bool {
	if n.dropped || n.instead != nil || !s.printed(n) {
		return false
	}
	if n.optional && try(func() { n.dropped = true }, func() { n.dropped = false }) {
		return true
	}
	if n.fixed || n.typ == "" {
		return false
	}
	put := func(m *node) bool {
		return try(func() { n.instead = m }, func() { n.instead = nil })
	}
	if len(n.parts) == 1 && len(n.literals) == 0 {
		return false
	}
	if put(typed(n.typ, "NULL::"+n.typ)) {
		return true
	}
	for _, m := range n.inner() {
		if put(m) {
			return true
		}
	}
	for i, text := range n.literals {
		if i == 12 {
			break
		}
		if put(typed(n.typ, text)) {
			return true
		}
	}
	return false
}

// inner are the expressions of n's type within n, nearest first.
func (n *node) inner() []*node {
	var list []*node
	for _, p := range n.parts {
		child, ok := p.(*node)
		if !ok || child == nil {
			continue
		}
		child.walk(func(m *node) bool {
			if m.typ == n.typ {
				list = append(list, m)
				return false
			}
			return len(list) < 8
		})
	}
	return list
}

package sql

import (
	"fmt"
	"reflect"
	"strings"
)

// operands are the nodes directly below n, queries left out.
func operands(n node) []node {
	some := func(list ...node) []node {
		var out []node
		for _, n := range list {
			if n != nil {
				out = append(out, n)
			}
		}
		return out
	}
	switch n := n.(type) {
	case castNode:
		return some(n.arg)
	case collateNode:
		return some(n.arg)
	case funcCall:
		out := append(append([]node{}, n.args...), sortNodes(n.orderBy)...)
		out = append(out, some(n.filter)...)
		if n.over != nil {
			out = append(out, n.over.partition...)
			out = append(out, sortNodes(n.over.orderBy)...)
			out = append(out, some(n.over.frame.startValue, n.over.frame.endValue)...)
		}
		return out
	case opNode:
		return some(n.left, n.right)
	case quantifiedNode:
		return some(n.left, n.right)
	case inNode:
		return append(some(n.left), n.list...)
	case betweenNode:
		return some(n.arg, n.low, n.high)
	case distinctNode:
		return some(n.left, n.right)
	case nullIfNode:
		return some(n.left, n.right)
	case logicNode:
		return n.args
	case nullTest:
		return some(n.arg)
	case boolTest:
		return some(n.arg)
	case caseNode:
		out := some(n.arg, n.other)
		for _, w := range n.whens {
			out = append(out, some(w.cond, w.result)...)
		}
		return out
	case coalesceNode:
		return n.args
	case minMaxNode:
		return n.args
	case arrayNode:
		return n.elements
	case subscriptNode:
		return some(n.arg, n.index, n.upper)
	case fieldNode:
		return some(n.arg)
	case rowNode:
		return n.fields
	case groupingSet:
		return n.list
	case groupingCall:
		return n.args
	case sublink:
		return some(n.test)
	}
	return nil
}

func sortNodes(list []sortItem) []node {
	var out []node
	for _, s := range list {
		out = append(out, s.expr)
	}
	return out
}

// queryNodes are the expressions and FROM items directly in a query, and the
// queries directly in it.
func queryNodes(q *queryExpr) (nodes []node, queries []*queryExpr) {
	add := func(n node) {
		if n != nil {
			nodes = append(nodes, n)
		}
	}
	for _, c := range q.with {
		queries = append(queries, c.query)
	}
	nodes = append(nodes, sortNodes(q.orderBy)...)
	add(q.limit)
	add(q.offset)
	switch b := q.body.(type) {
	case *setStmt:
		queries = append(queries, b.left, b.right)
	case *valuesStmt:
		for _, row := range b.rows {
			nodes = append(nodes, row...)
		}
	case *selectStmt:
		nodes = append(append(nodes, b.distinctOn...), b.groupBy...)
		for _, t := range b.targets {
			nodes = append(nodes, t.expr)
		}
		nodes = append(nodes, b.from...)
		add(b.where)
		add(b.having)
		for _, w := range b.windows {
			nodes = append(append(nodes, w.partition...), sortNodes(w.orderBy)...)
		}
	}
	return nodes, queries
}

// mentions reports whether a table of that name is read anywhere in q.
func mentions(q *queryExpr, name string) bool {
	return eachTable(q, func(n *tableRef) bool { return n.name == name && !n.qualified })
}

// eachTable calls f for the names of tables in q until it returns true.
func eachTable(q *queryExpr, f func(n *tableRef) bool) bool {
	nodes, queries := queryNodes(q)
	for len(nodes) > 0 || len(queries) > 0 {
		if n := len(queries); n > 0 {
			more, inner := queryNodes(queries[n-1])
			queries = append(queries[:n-1], inner...)
			nodes = append(nodes, more...)
			continue
		}
		n := nodes[len(nodes)-1]
		nodes = append(nodes[:len(nodes)-1], operands(n)...)
		switch n := n.(type) {
		case *tableRef:
			if f(n) {
				return true
			}
		case *joinRef:
			nodes = append(nodes, n.left, n.right)
			if n.on != nil {
				nodes = append(nodes, n.on)
			}
		case *subqueryRef:
			queries = append(queries, n.query)
		case *functionRef:
			for _, c := range n.calls {
				nodes = append(nodes, c)
			}
		case sublink:
			queries = append(queries, n.query)
		}
	}
	return false
}

// nodeKey is equal for parts of the syntax tree that are equal as written, but
// for where they stand.
func nodeKey(n any) string {
	var b strings.Builder
	writeNode(&b, reflect.ValueOf(n))
	return b.String()
}

func writeNode(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			b.WriteByte('-')
			return
		}
		writeNode(b, v.Elem())
	case reflect.Struct:
		b.WriteString(v.Type().Name())
		b.WriteByte('{')
		for i := range v.NumField() {
			if v.Type().Field(i).Type != reflect.TypeFor[at]() {
				writeNode(b, v.Field(i))
				b.WriteByte(',')
			}
		}
		b.WriteByte('}')
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			writeNode(b, v.Index(i))
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v)
	}
}

//go:build cgo

package sql

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v5"
	"github.com/pganalyze/pg_query_go/v5/parser"
)

// parseText parses with PostgreSQL's own grammar (libpg_query, that of
// version 16) and converts its tree into ours.
func parseText(s substitution, limits Limits) (*queryExpr, error) {
	tree, err := pg.Parse(s.text)
	if err != nil {
		return nil, s.parseError(err)
	}
	if len(tree.Stmts) == 0 {
		return nil, failAt(0, codeSyntax, "there is no statement")
	}
	if len(tree.Stmts) > 1 {
		return nil, failAt(int(tree.Stmts[1].StmtLocation), codeUnsupported, "more than one statement is not supported").hint("write one SELECT")
	}
	stmt, ok := tree.Stmts[0].Stmt.Node.(*pg.Node_SelectStmt)
	if !ok {
		word, at := firstWord(s.text)
		e := failAt(at, codeUnsupported, "the statement %s is not supported", word).hint("only SELECT is")
		if word == "EXPLAIN" {
			_ = e.hint("daemoneye query --explain shows the plan of a SELECT")
		}
		return nil, e
	}
	c := &converter{s: s, limits: limits, last: -1}
	q := c.query(stmt.SelectStmt)
	return q, c.err
}

// parseError converts an error of the parser, whose position counts characters.
func (s substitution) parseError(err error) error {
	var e *parser.Error
	if !errors.As(err, &e) {
		if strings.Contains(err.Error(), "recursion") {
			return fail(codeLimit, "the statement is nested too deeply")
		}
		return fail(codeSyntax, "%v", err)
	}
	if strings.Contains(e.Message, "stack depth") || strings.Contains(e.Message, "memory exhausted") {
		return fail(codeLimit, "the statement is nested too deeply")
	}
	code := codeSyntax
	switch {
	case strings.HasPrefix(e.Message, "frame "):
		code = codeWindowing
	case e.Message == "invalid Unicode escape" && strings.HasPrefix(strings.ToLower(s.text[charOffset(s.text, e.Cursorpos-1):]), `\u`): // of E'', not of U&''
		code = codeInvalidEscape
	case strings.HasPrefix(e.Message, "invalid byte sequence"):
		code = codeCharacter
	}
	out := failAt(charOffset(s.text, e.Cursorpos-1), code, "%s", e.Message)
	if e.Cursorpos <= 0 {
		out.at = 0
		if strings.HasPrefix(e.Message, "WITH TIES") {
			out.at = 1 + wordAt(s.text, 0, "with", "ties")
			_ = out.hint("add ORDER BY, by which rows are ties")
		}
	}
	if s.missing != "" && strings.Contains(e.Message, `":"`) {
		_ = out.hint("parameter %q has no value; give it with --param %s=VALUE", s.missing, s.missing)
	}
	return out
}

// charOffset returns the byte offset of character n of text.
func charOffset(text string, n int) int {
	i := 0
	for ; n > 0 && i < len(text); n-- {
		_, w := utf8.DecodeRuneInString(text[i:])
		i += w
	}
	return i
}

// nodeKind is the name of a node's type in PostgreSQL's sources: A_Expr.
func nodeKind(n *pg.Node) string {
	if n == nil {
		return "nothing"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", n.Node), "*pg_query.Node_")
}

// converter turns the parser's tree into ours. It stops at the first error
// and then returns what does not matter.
type converter struct {
	s      substitution
	limits Limits
	depth  int
	nodes  int
	tables int   // in FROM, of the whole statement
	last   int32 // the position met last, -1 before there is one
	err    error
}

func (c *converter) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// list converts each of nodes, at most Limits.List of them.
func (c *converter) list(nodes []*pg.Node) []node {
	if len(nodes) > c.limits.List {
		c.fail(overLimit(int(nodeLocation(nodes[0])), "list", c.limits.List, "a list has %d elements, more than the limit of %d", len(nodes), c.limits.List))
		return nil
	}
	out := make([]node, len(nodes))
	for i, n := range nodes {
		out[i] = c.expr(n)
	}
	return out
}

func nodeLocation(n *pg.Node) int32 {
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return n.ColumnRef.Location
	case *pg.Node_AConst:
		return n.AConst.Location
	case *pg.Node_AExpr:
		return n.AExpr.Location
	case *pg.Node_BoolExpr:
		return n.BoolExpr.Location
	case *pg.Node_FuncCall:
		return n.FuncCall.Location
	case *pg.Node_TypeCast:
		return n.TypeCast.Location
	case *pg.Node_CaseExpr:
		return n.CaseExpr.Location
	}
	return locationOf(n.ProtoReflect(), 3)
}

func (c *converter) sort(list []*pg.Node) []sortItem {
	var out []sortItem
	for _, n := range list {
		s := n.GetSortBy()
		item := sortItem{expr: c.expr(s.Node), descending: s.SortbyDir == pg.SortByDir_SORTBY_DESC}
		if s.SortbyDir == pg.SortByDir_SORTBY_USING {
			switch name := s.UseOp[len(s.UseOp)-1].GetString_().GetSval(); name {
			case "<":
			case ">":
				item.descending = true
			default:
				c.fail(failAt(item.expr.pos(), codeWrongObject, "operator %s is not a valid ordering operator", name).hint("write ASC or DESC"))
			}
		}
		item.at = at(item.expr.pos())
		item.nullsFirst = item.descending
		switch s.SortbyNulls {
		case pg.SortByNulls_SORTBY_NULLS_FIRST:
			item.nullsFirst = true
		case pg.SortByNulls_SORTBY_NULLS_LAST:
			item.nullsFirst = false
		}
		out = append(out, item)
	}
	return out
}

func (c *converter) optional(n *pg.Node) node {
	if n == nil {
		return nil
	}
	return c.expr(n)
}

// expr converts an expression, within the limits of depth and size.
func (c *converter) expr(n *pg.Node) node {
	if c.err != nil || n == nil {
		return literal{}
	}
	if pos := nodeLocation(n); pos >= 0 {
		c.last = pos
	}
	if c.depth++; c.depth > c.limits.Depth {
		return c.tooLarge(overLimit(int(c.last), "depth", c.limits.Depth, "an expression is nested more than %d deep", c.limits.Depth))
	}
	if c.nodes++; c.nodes > c.limits.Nodes {
		return c.tooLarge(overLimit(int(c.last), "expressions", c.limits.Nodes, "the statement has more than %d expressions", c.limits.Nodes))
	}
	defer func() { c.depth-- }()
	switch n := n.Node.(type) {
	case *pg.Node_ColumnRef:
		return c.columnRef(n.ColumnRef)
	case *pg.Node_AConst:
		return c.constant(n.AConst)
	case *pg.Node_ParamRef:
		return literal{at(n.ParamRef.Location), litString, c.s.values[int(n.ParamRef.Location)]}
	case *pg.Node_AExpr:
		return c.operator(n.AExpr)
	case *pg.Node_BoolExpr:
		kind := map[pg.BoolExprType]logicKind{pg.BoolExprType_AND_EXPR: logicAnd, pg.BoolExprType_OR_EXPR: logicOr, pg.BoolExprType_NOT_EXPR: logicNot}[n.BoolExpr.Boolop]
		return logicNode{at(n.BoolExpr.Location), kind, c.list(n.BoolExpr.Args)}
	case *pg.Node_NullTest:
		return nullTest{at(n.NullTest.Location), c.expr(n.NullTest.Arg), n.NullTest.Nulltesttype == pg.NullTestType_IS_NOT_NULL}
	case *pg.Node_BooleanTest:
		// PostgreSQL numbers these in the same order, from 1 in protobuf.
		return boolTest{at(n.BooleanTest.Location), c.expr(n.BooleanTest.Arg), boolTestKind(n.BooleanTest.Booltesttype - 1)}
	case *pg.Node_FuncCall:
		return c.funcCall(n.FuncCall)
	case *pg.Node_TypeCast:
		pos := n.TypeCast.Location
		if pos < 0 {
			pos = n.TypeCast.TypeName.Location
		}
		return castNode{at(pos), c.expr(n.TypeCast.Arg), c.typeName(n.TypeCast.TypeName)}
	case *pg.Node_CaseExpr:
		out := caseNode{at: at(n.CaseExpr.Location), arg: c.optional(n.CaseExpr.Arg), other: c.optional(n.CaseExpr.Defresult)}
		for _, w := range n.CaseExpr.Args {
			w := w.GetCaseWhen()
			out.whens = append(out.whens, caseWhen{at(w.Location), c.expr(w.Expr), c.expr(w.Result)})
		}
		return out
	case *pg.Node_CoalesceExpr:
		return coalesceNode{at(n.CoalesceExpr.Location), c.list(n.CoalesceExpr.Args)}
	case *pg.Node_MinMaxExpr:
		return minMaxNode{at(n.MinMaxExpr.Location), n.MinMaxExpr.Op == pg.MinMaxOp_IS_GREATEST, c.list(n.MinMaxExpr.Args)}
	case *pg.Node_AArrayExpr:
		return arrayNode{at(n.AArrayExpr.Location), c.list(n.AArrayExpr.Elements)}
	case *pg.Node_AIndirection:
		return c.indirection(n.AIndirection)
	case *pg.Node_SqlvalueFunction:
		return c.valueFunc(n.SqlvalueFunction)
	case *pg.Node_CollateClause:
		name := n.CollateClause.Collname[len(n.CollateClause.Collname)-1].GetString_().GetSval()
		if name != "C" && name != "POSIX" && name != "default" {
			c.fail(failAt(int(n.CollateClause.Location), codeUnsupported, "collation %q is not supported", name).hint(`text is compared by collation "C"`))
		}
		return collateNode{at(n.CollateClause.Location), c.expr(n.CollateClause.Arg)}
	case *pg.Node_SubLink:
		return c.sublink(n.SubLink)
	case *pg.Node_RowExpr:
		return rowNode{at(n.RowExpr.Location), c.list(n.RowExpr.Args)}
	case *pg.Node_GroupingFunc:
		return groupingCall{at(n.GroupingFunc.Location), c.list(n.GroupingFunc.Args)}
	case *pg.Node_GroupingSet:
		return c.groupingSet(n.GroupingSet)
	case *pg.Node_NamedArgExpr:
		return c.refuse(n.NamedArgExpr.Location, "a named argument")
	}
	return c.refuseNode(n)
}

func (c *converter) tooLarge(err error) node {
	c.fail(err)
	return literal{}
}

func (c *converter) columnRef(r *pg.ColumnRef) node {
	out := columnRef{at: at(r.Location)}
	for _, f := range r.Fields {
		if f.GetAStar() != nil {
			out.star = true
		} else {
			out.fields = append(out.fields, f.GetString_().GetSval())
		}
	}
	return out
}

func (c *converter) constant(k *pg.A_Const) node {
	pos := at(k.Location)
	if k.Isnull {
		return literal{pos, litNull, ""}
	}
	switch v := k.Val.(type) {
	case *pg.A_Const_Boolval:
		if v.Boolval.Boolval {
			return literal{pos, litBool, "t"}
		}
		return literal{pos, litBool, "f"}
	case *pg.A_Const_Sval:
		return literal{pos, litString, v.Sval.Sval}
	case *pg.A_Const_Ival:
		if c.newNumber(k.Location) {
			return literal{}
		}
		return literal{pos, litInteger, fmt.Sprint(v.Ival.Ival)}
	case *pg.A_Const_Fval:
		if c.newNumber(k.Location) {
			return literal{}
		}
		return literal{pos, litNumber, v.Fval.Fval}
	}
	return c.refuse(k.Location, "a bit string")
}

// newNumber refuses number literals that PostgreSQL knows only since version
// 16: 0x1F, 0o17, 0b11 and 1_000.
func (c *converter) newNumber(pos int32) bool {
	if pos < 0 {
		return false
	}
	i := int(pos)
	for i < len(c.s.text) && strings.IndexByte("-( \t\r\n", c.s.text[i]) >= 0 {
		i++
	}
	for j := i; j < len(c.s.text) && (isNameByte(c.s.text[j]) || c.s.text[j] == '.'); j++ {
		if ch := c.s.text[j]; ch == '_' || strings.IndexByte("xXoObB", ch) >= 0 {
			c.fail(failAt(i, codeSyntax, "trailing junk after numeric literal at or near %q", c.s.text[i:j+1]))
			return true
		}
	}
	return false
}

func (c *converter) operator(e *pg.A_Expr) node {
	pos := at(e.Location)
	name := e.Name[len(e.Name)-1].GetString_().GetSval()
	if len(e.Name) > 1 && e.Name[0].GetString_().GetSval() != "pg_catalog" {
		return c.refuse(e.Location, "an operator of another schema")
	}
	pair := func() (node, node) { return c.expr(e.Lexpr), c.expr(e.Rexpr) }
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_OP, pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR:
		return opNode{pos, name, c.optional(e.Lexpr), c.expr(e.Rexpr)}
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		l, r := pair()
		return quantifiedNode{pos, name, l, r, e.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL}
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT:
		l, r := pair()
		return distinctNode{pos, l, r, e.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT}
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		l, r := pair()
		return nullIfNode{pos, l, r}
	case pg.A_Expr_Kind_AEXPR_IN:
		return inNode{pos, c.expr(e.Lexpr), c.list(e.Rexpr.GetList().GetItems()), name == "<>"}
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		bounds := c.list(e.Rexpr.GetList().GetItems())
		if len(bounds) != 2 {
			return literal{}
		}
		out := betweenNode{at: pos, arg: c.expr(e.Lexpr), low: bounds[0], high: bounds[1]}
		out.not = e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM
		out.symmetric = e.Kind == pg.A_Expr_Kind_AEXPR_BETWEEN_SYM || e.Kind == pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM
		return out
	}
	return c.refuse(e.Location, "this kind of expression")
}

func (c *converter) funcCall(f *pg.FuncCall) node {
	name := f.Funcname[len(f.Funcname)-1].GetString_().GetSval()
	if len(f.Funcname) > 1 && f.Funcname[0].GetString_().GetSval() != "pg_catalog" {
		return c.refuse(f.Location, "a function of another schema")
	}
	args, names := argumentNames(f.Args)
	out := funcCall{
		at: at(f.Location), name: name, args: c.list(args), names: names, star: f.AggStar, distinct: f.AggDistinct,
		orderBy: c.sort(f.AggOrder), filter: c.optional(f.AggFilter), variadic: f.FuncVariadic, within: f.AggWithinGroup,
	}
	if f.Over != nil {
		w := c.window(f.Over)
		if w.name != "" { // OVER name
			w.name, w.ref, w.brackets = "", w.name, false
		}
		out.over = &w
	}
	return out
}

// argumentNames takes the names from arguments written name => value.
func argumentNames(list []*pg.Node) (args []*pg.Node, names []string) {
	for i, n := range list {
		if named := n.GetNamedArgExpr(); named != nil {
			if names == nil {
				names = make([]string, len(list))
			}
			names[i], n = named.Name, named.Arg
		}
		args = append(args, n)
	}
	return args, names
}

func (c *converter) typeName(t *pg.TypeName) typeName {
	name := t.Names[len(t.Names)-1].GetString_().GetSval()
	out := typeName{at: at(t.Location), name: name, dims: len(t.ArrayBounds)}
	if t.Setof || t.PctType || len(t.Names) > 1 && t.Names[0].GetString_().GetSval() != "pg_catalog" {
		c.refuse(t.Location, "this type")
	}
	for _, m := range t.Typmods {
		k, ok := m.Node.(*pg.Node_AConst)
		if !ok || k.AConst.GetIval() == nil {
			c.fail(failAt(int(t.Location), codeInvalidParameter, "type modifiers must be simple constants"))
			break
		}
		out.mods = append(out.mods, int(k.AConst.GetIval().Ival))
	}
	return out
}

func (c *converter) indirection(n *pg.A_Indirection) node {
	out := c.expr(n.Arg)
	for k, i := range n.Indirection {
		after := k > 0 && n.Indirection[k-1].GetAIndices() != nil
		x := i.GetAIndices()
		if x == nil {
			out = fieldNode{at(out.pos()), out, i.GetString_().GetSval()}
		} else if x.IsSlice {
			out = subscriptNode{at: at(out.pos()), arg: out, index: c.optional(x.Lidx), upper: c.optional(x.Uidx), slice: true, after: after}
		} else {
			out = subscriptNode{at: at(out.pos()), arg: out, index: c.expr(x.Uidx), after: after}
		}
	}
	return out
}

func (c *converter) valueFunc(f *pg.SQLValueFunction) node {
	switch f.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:
		return valueFunc{at(f.Location), "current_timestamp"}
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:
		return valueFunc{at(f.Location), "localtimestamp"}
	case pg.SQLValueFunctionOp_SVFOP_LOCALTIME:
		return valueFunc{at(f.Location), "localtime"}
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:
		return valueFunc{at(f.Location), "current_date"}
	}
	// With a precision, these are casts.
	for op, name := range map[pg.SQLValueFunctionOp][2]string{
		pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: {"current_timestamp", "timestamptz"},
		pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    {"localtimestamp", "timestamp"},
		pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         {"localtime", "time"},
	} {
		if f.Op == op {
			return castNode{at(f.Location), valueFunc{at(f.Location), name[0]}, typeName{at: at(f.Location), name: name[1], mods: []int{int(f.Typmod)}}}
		}
	}
	return c.refuse(f.Location, strings.ToLower(strings.TrimPrefix(f.Op.String(), "SVFOP_")))
}

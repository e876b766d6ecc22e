//go:build cgo

package sql

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v5"
)

// query converts a SELECT, VALUES or set operation with what surrounds it.
func (c *converter) query(s *pg.SelectStmt) *queryExpr {
	out := &queryExpr{at: -1, body: &selectStmt{at: -1}}
	if s == nil || c.err != nil {
		return out
	}
	if c.depth++; c.depth > c.limits.Depth {
		c.tooLarge(overLimit(int(c.last), "depth", c.limits.Depth, "the statement is nested more than %d deep", c.limits.Depth))
		return out
	}
	defer func() { c.depth-- }()
	if c.nodes++; c.nodes > c.limits.Nodes {
		c.tooLarge(overLimit(int(c.last), "expressions", c.limits.Nodes, "the statement has more than %d expressions", c.limits.Nodes))
		return out
	}
	switch {
	case s.IntoClause != nil:
		c.refuse(s.IntoClause.GetRel().GetLocation(), "SELECT INTO")
	case len(s.LockingClause) > 0:
		c.refuse(int32(wordAt(c.s.text, int(c.last)+1, "for", "update", "share", "no", "key")), "FOR UPDATE or FOR SHARE")
	}
	if s.WithClause != nil {
		c.with(out, s.WithClause)
	}
	switch {
	case s.Op != pg.SetOperation_SETOP_NONE:
		kind := map[pg.SetOperation]setKind{pg.SetOperation_SETOP_UNION: setUnion, pg.SetOperation_SETOP_INTERSECT: setIntersect, pg.SetOperation_SETOP_EXCEPT: setExcept}[s.Op]
		out.body = &setStmt{at: -1, kind: kind, all: s.All, left: c.query(s.Larg), right: c.query(s.Rarg)}
	case len(s.ValuesLists) > 0:
		v := &valuesStmt{at: -1}
		for _, row := range s.ValuesLists {
			list := c.list(row.GetList().GetItems())
			if len(v.rows) == 0 && len(list) > 0 {
				v.at = at(list[0].pos())
			}
			v.rows = append(v.rows, list)
		}
		out.body = v
	default:
		out.body = c.selectStmt(s)
	}
	out.orderBy = c.sort(s.SortClause)
	out.limit, out.offset = c.optional(s.LimitCount), c.optional(s.LimitOffset)
	out.withTies = s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES
	return out
}

func (c *converter) with(q *queryExpr, w *pg.WithClause) {
	q.recursive = w.Recursive
	for _, n := range w.Ctes {
		e := n.GetCommonTableExpr()
		sel := e.Ctequery.GetSelectStmt()
		switch {
		case sel == nil:
			c.refuse(e.Location, "a statement other than SELECT in WITH")
			return
		case e.SearchClause != nil:
			c.refuse(e.SearchClause.Location, "SEARCH")
		case e.CycleClause != nil:
			c.refuse(e.CycleClause.Location, "CYCLE")
		}
		if len(q.with) >= c.limits.CTEs {
			c.tooLarge(overLimit(int(e.Location), "ctes", c.limits.CTEs, "WITH has more than %d queries", c.limits.CTEs))
			return
		}
		q.with = append(q.with, cteDef{
			at: at(e.Location), name: e.Ctename, columns: names(e.Aliascolnames), query: c.query(sel),
			keep: e.Ctematerialized == pg.CTEMaterialize_CTEMaterializeAlways,
		})
	}
}

func names(list []*pg.Node) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.GetString_().GetSval())
	}
	return out
}

func (c *converter) selectStmt(s *pg.SelectStmt) *selectStmt {
	out := &selectStmt{at: -1, groupUniq: s.GroupDistinct}
	if len(s.DistinctClause) > 0 {
		out.distinct = true
		if s.DistinctClause[0].GetNode() != nil {
			out.distinct, out.distinctOn = false, c.list(s.DistinctClause)
		}
	}
	if len(s.TargetList) > c.limits.List {
		c.fail(overLimit(int(nodeLocation(s.TargetList[0])), "list", c.limits.List, "the select list has %d columns, more than the limit of %d", len(s.TargetList), c.limits.List))
		return out
	}
	for _, n := range s.TargetList {
		r := n.GetResTarget()
		out.targets = append(out.targets, target{at: at(r.Location), name: r.Name, expr: c.expr(r.Val)})
	}
	for _, n := range s.FromClause {
		out.from = append(out.from, c.from(n))
	}
	out.where = c.optional(s.WhereClause)
	out.groupBy = c.list(s.GroupClause)
	out.having = c.optional(s.HavingClause)
	for _, n := range s.WindowClause {
		out.windows = append(out.windows, c.window(n.GetWindowDef()))
	}
	return out
}

// from converts one item of FROM.
func (c *converter) from(n *pg.Node) node {
	if c.err != nil {
		return &tableRef{}
	}
	if c.depth++; c.depth > c.limits.Depth {
		return c.tooLarge(overLimit(int(c.last), "depth", c.limits.Depth, "FROM is nested more than %d deep", c.limits.Depth))
	}
	defer func() { c.depth-- }()
	if c.tables++; c.tables > c.limits.Tables {
		return c.tooLarge(overLimit(int(nodeLocation(n)), "tables", c.limits.Tables, "the statement reads more than %d tables", c.limits.Tables))
	}
	switch n := n.GetNode().(type) {
	case *pg.Node_RangeVar:
		return c.rangeVar(n.RangeVar)
	case *pg.Node_JoinExpr:
		c.tables-- // its sides count
		return c.join(n.JoinExpr)
	case *pg.Node_RangeSubselect:
		return c.subselect(n.RangeSubselect)
	case *pg.Node_RangeFunction:
		return c.rangeFunction(n.RangeFunction)
	case *pg.Node_RangeTableSample:
		return c.refuse(n.RangeTableSample.Location, "TABLESAMPLE")
	}
	return c.refuseNode(n)
}

func (c *converter) rangeVar(r *pg.RangeVar) node {
	if r.Catalogname != "" || r.Schemaname != "" && r.Schemaname != "public" {
		return c.refuse(r.Location, fmt.Sprintf("the schema %q", r.Schemaname))
	}
	t := &tableRef{at: at(r.Location), name: r.Relname, qualified: r.Schemaname != "", alias: r.Relname}
	if r.Alias != nil {
		t.alias, t.columns = r.Alias.Aliasname, names(r.Alias.Colnames)
	}
	return t
}

func (c *converter) join(j *pg.JoinExpr) node {
	kind, ok := map[pg.JoinType]joinKind{pg.JoinType_JOIN_INNER: joinInner, pg.JoinType_JOIN_LEFT: joinLeft, pg.JoinType_JOIN_RIGHT: joinRight, pg.JoinType_JOIN_FULL: joinFull}[j.Jointype]
	if !ok {
		return c.refuse(locationOf(j.ProtoReflect(), 3), "this JOIN")
	}
	out := &joinRef{kind: kind, natural: j.IsNatural, left: c.from(j.Larg), right: c.from(j.Rarg), on: c.optional(j.Quals), using: names(j.UsingClause)}
	out.at = at(out.right.pos())
	if j.JoinUsingAlias != nil {
		out.usingAlias = j.JoinUsingAlias.Aliasname
	}
	if j.Alias != nil {
		out.alias, out.columns = j.Alias.Aliasname, names(j.Alias.Colnames)
	}
	return out
}

func (c *converter) subselect(r *pg.RangeSubselect) node {
	out := &subqueryRef{query: c.query(r.Subquery.GetSelectStmt()), lateral: r.Lateral}
	out.at = at(queryPos(out.query))
	if r.Alias == nil { // allowed since PostgreSQL 16 only
		what := "subquery"
		if _, ok := out.query.body.(*valuesStmt); ok {
			what = "VALUES"
		}
		return c.tooLarge(failAt(out.pos(), codeSyntax, "%s in FROM must have an alias", what).hint("for example, FROM (SELECT …) AS s"))
	}
	out.alias, out.columns = r.Alias.Aliasname, names(r.Alias.Colnames)
	return out
}

func (c *converter) rangeFunction(r *pg.RangeFunction) node {
	out := &functionRef{ordinality: r.Ordinality}
	if len(r.Coldeflist) > 0 {
		return c.refuse(locationOf(r.ProtoReflect(), 4), "a list of column definitions")
	}
	for _, f := range r.Functions {
		items := f.GetList().GetItems()
		if len(items) == 2 && len(items[1].GetList().GetItems()) > 0 {
			return c.refuse(nodeLocation(items[0]), "a list of column definitions")
		}
		call, ok := c.expr(items[0]).(funcCall)
		if !ok {
			return c.refuse(nodeLocation(items[0]), "this in FROM")
		}
		out.calls = append(out.calls, call)
	}
	if len(out.calls) > 0 {
		out.at, out.alias = out.calls[0].at, out.calls[0].name
	}
	if r.Alias != nil {
		out.alias, out.columns = r.Alias.Aliasname, names(r.Alias.Colnames)
	}
	return out
}

func (c *converter) sublink(s *pg.SubLink) node {
	sel := s.Subselect.GetSelectStmt()
	out := sublink{at: at(s.Location), query: c.query(sel), test: c.optional(s.Testexpr)}
	if len(s.OperName) > 0 {
		out.op = s.OperName[len(s.OperName)-1].GetString_().GetSval()
	}
	switch s.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		out.kind = sublinkExists
	case pg.SubLinkType_ANY_SUBLINK:
		out.kind = sublinkAny
	case pg.SubLinkType_ALL_SUBLINK:
		out.kind = sublinkAll
	case pg.SubLinkType_EXPR_SUBLINK:
		out.kind = sublinkScalar
	case pg.SubLinkType_ARRAY_SUBLINK:
		out.kind = sublinkArray
	default:
		return c.refuse(s.Location, "this subquery")
	}
	return out
}

func (c *converter) groupingSet(g *pg.GroupingSet) node {
	kind := groupingEmpty
	switch g.Kind {
	case pg.GroupingSetKind_GROUPING_SET_ROLLUP:
		kind = groupingRollup
	case pg.GroupingSetKind_GROUPING_SET_CUBE:
		kind = groupingCube
	case pg.GroupingSetKind_GROUPING_SET_SETS:
		kind = groupingSets
	}
	return groupingSet{at(g.Location), kind, c.list(g.Content)}
}

// Bits of WindowDef.frameOptions (parsenodes.h).
const (
	frameNonDefault              = 0x00001
	frameIsRows                  = 0x00004
	frameIsGroups                = 0x00008
	frameStartUnboundedPreceding = 0x00020
	frameStartCurrentRow         = 0x00200
	frameStartOffsetPreceding    = 0x00800
	frameStartOffsetFollowing    = 0x02000
	frameEndUnboundedFollowing   = 0x00100
	frameEndCurrentRow           = 0x00400
	frameEndOffsetPreceding      = 0x01000
	frameEndOffsetFollowing      = 0x04000
	frameExcludeCurrentRow       = 0x08000
	frameExcludeGroup            = 0x10000
	frameExcludeTies             = 0x20000
)

func (c *converter) window(w *pg.WindowDef) windowDef {
	out := windowDef{at: at(w.Location), name: w.Name, ref: w.Refname, partition: c.list(w.PartitionClause), orderBy: c.sort(w.OrderClause)}
	out.brackets = true
	o := w.FrameOptions
	f := &out.frame
	f.written = o&frameNonDefault != 0
	f.mode = frameOption(o, f.mode, []frameBit[frameMode]{{frameIsRows, frameRows}, {frameIsGroups, frameGroups}})
	f.start = frameOption(o, f.start, []frameBit[boundKind]{
		{frameStartUnboundedPreceding, unboundedPreceding},
		{frameStartOffsetPreceding, offsetPreceding},
		{frameStartCurrentRow, currentRow},
		{frameStartOffsetFollowing, offsetFollowing},
	})
	f.end = frameOption(o, f.end, []frameBit[boundKind]{
		{frameEndUnboundedFollowing, unboundedFollowing},
		{frameEndOffsetPreceding, offsetPreceding},
		{frameEndCurrentRow, currentRow},
		{frameEndOffsetFollowing, offsetFollowing},
	})
	f.exclude = frameOption(o, f.exclude, []frameBit[frameExclusion]{
		{frameExcludeCurrentRow, excludeCurrent}, {frameExcludeGroup, excludeGroup}, {frameExcludeTies, excludeTies},
	})
	f.startValue, f.endValue = c.optional(w.StartOffset), c.optional(w.EndOffset)
	return out
}

type frameBit[T any] struct {
	bit int32
	is  T
}

// frameOption is what the first bit that is set stands for, else otherwise.
func frameOption[T any](options int32, otherwise T, list []frameBit[T]) T {
	for _, b := range list {
		if options&b.bit != 0 {
			return b.is
		}
	}
	return otherwise
}

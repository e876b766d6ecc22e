package sql

// The syntax tree: what the parser returns and the checker reads. It holds
// names and literals as written and, for every node, its byte offset in the
// text. It does not depend on the parser that made it.

type node interface{ pos() int }

// at is the byte offset of a node in the statement, -1 when it has none.
type at int

func (a at) pos() int { return int(a) }

// queryExpr is a SELECT, a VALUES list or a set operation, with what may
// stand around each of them.
type queryExpr struct {
	at
	with      []cteDef
	recursive bool
	body      node // *selectStmt, *valuesStmt or *setStmt
	orderBy   []sortItem
	limit     node // nil or NULL: all
	offset    node
	withTies  bool
}

// cteDef is one query of WITH.
type cteDef struct {
	at
	name    string
	columns []string
	query   *queryExpr
	keep    bool // AS MATERIALIZED
}

// setStmt is UNION, INTERSECT or EXCEPT.
type setStmt struct {
	at
	kind        setKind
	all         bool
	left, right *queryExpr
}

type setKind uint8

const (
	setUnion setKind = iota
	setIntersect
	setExcept
)

func (k setKind) String() string { return [...]string{"UNION", "INTERSECT", "EXCEPT"}[k] }

type valuesStmt struct {
	at
	rows [][]node
}

type selectStmt struct {
	at
	distinct   bool
	distinctOn []node
	targets    []target
	from       []node // *tableRef, *joinRef, *subqueryRef, *functionRef
	where      node
	groupBy    []node // expressions and groupingSet
	groupUniq  bool   // GROUP BY DISTINCT
	having     node
	windows    []windowDef
}

// target is one element of the select list.
type target struct {
	at
	name string // after AS, "" when not given
	expr node
}

type sortItem struct {
	at
	expr       node
	descending bool
	nullsFirst bool // resolved: PostgreSQL's default is last for ASC, first for DESC
}

type tableRef struct {
	at
	name      string
	qualified bool // by the schema public: no query of WITH
	alias     string
	columns   []string // column aliases
}

type joinKind uint8

const (
	joinInner joinKind = iota
	joinLeft
	joinRight
	joinFull
)

func (k joinKind) String() string {
	return [...]string{"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"}[k]
}

// joinRef is left JOIN right; a CROSS JOIN is an inner one without condition.
type joinRef struct {
	at
	kind        joinKind
	left, right node
	on          node
	using       []string
	natural     bool
	alias       string // of the whole, "" when there is none
	usingAlias  string
	columns     []string
}

type subqueryRef struct {
	at
	query   *queryExpr
	lateral bool
	alias   string
	columns []string
}

// functionRef is a function, or several side by side (ROWS FROM), in FROM.
type functionRef struct {
	at
	calls      []funcCall
	ordinality bool
	alias      string
	columns    []string
}

type columnRef struct {
	at
	fields []string
	star   bool // fields.* or *
}

type literalKind uint8

const (
	litNull literalKind = iota
	litInteger
	litNumber
	litString
	litBool
)

type literal struct {
	at
	kind literalKind
	text string // of a boolean: "t" or "f"
}

type typeName struct {
	at
	name string // PostgreSQL's internal name: int4, timestamptz, …
	mods []int  // numeric(10,2): 10, 2
	dims int    // array dimensions; all are one type
}

type castNode struct {
	at  // of the :: or CAST
	arg node
	typ typeName
}

// collateNode is arg COLLATE "C", which changes nothing.
type collateNode struct {
	at
	arg node
}

type funcCall struct {
	at
	name     string
	args     []node
	star     bool // count(*)
	distinct bool
	orderBy  []sortItem
	filter   node
	variadic bool
	within   bool       // WITHIN GROUP (ORDER BY orderBy)
	names    []string   // of the arguments, "" for those without; nil when none has one
	over     *windowDef // of a window function
}

// windowDef is what stands after OVER, or a named one of the WINDOW clause.
type windowDef struct {
	at
	name      string // in the WINDOW clause
	ref       string // OVER name, or (name …)
	brackets  bool   // OVER (…)
	partition []node
	orderBy   []sortItem
	frame     windowFrame
}

type frameMode uint8

const (
	frameRange frameMode = iota
	frameRows
	frameGroups
)

type boundKind uint8

const (
	unboundedPreceding boundKind = iota
	offsetPreceding
	currentRow
	offsetFollowing
	unboundedFollowing
)

type frameExclusion uint8

const (
	excludeNothing frameExclusion = iota
	excludeCurrent
	excludeGroup
	excludeTies
)

type windowFrame struct {
	written    bool // false: the default one
	mode       frameMode
	start, end boundKind
	startValue node
	endValue   node
	exclude    frameExclusion
}

type groupingKind uint8

const (
	groupingSets groupingKind = iota
	groupingRollup
	groupingCube
	groupingEmpty
)

// groupingSet is GROUPING SETS, ROLLUP, CUBE or () in GROUP BY.
type groupingSet struct {
	at
	kind groupingKind
	list []node
}

// groupingCall is GROUPING(…).
type groupingCall struct {
	at
	args []node
}

type sublinkKind uint8

const (
	sublinkExists sublinkKind = iota
	sublinkAny                // test op ANY (query), IN
	sublinkAll
	sublinkScalar
	sublinkRow // test op (query): a row compared with the only row
	sublinkArray
)

// sublink is a subquery in an expression.
type sublink struct {
	at
	kind  sublinkKind
	op    string // of ANY and ALL; "" for IN
	test  node
	query *queryExpr
}

// rowNode is ROW(…) or (a, b).
type rowNode struct {
	at
	fields []node
}

// opNode is an operator; left is nil for a prefix operator.
type opNode struct {
	at
	name        string
	left, right node
}

// quantifiedNode is left op ANY (right) or left op ALL (right).
type quantifiedNode struct {
	at
	name        string
	left, right node
	all         bool
}

type inNode struct {
	at
	left node
	list []node
	not  bool
}

type betweenNode struct {
	at
	arg, low, high node
	not, symmetric bool
}

type distinctNode struct {
	at
	left, right node
	not         bool // IS NOT DISTINCT FROM
}

type nullIfNode struct {
	at
	left, right node
}

type logicKind uint8

const (
	logicAnd logicKind = iota
	logicOr
	logicNot
)

func (k logicKind) String() string { return [...]string{"AND", "OR", "NOT"}[k] }

type logicNode struct {
	at
	kind logicKind
	args []node
}

type nullTest struct {
	at
	arg node
	not bool
}

type boolTest struct {
	at
	arg  node
	test boolTestKind
}

type boolTestKind uint8

const (
	isTrue boolTestKind = iota
	isNotTrue
	isFalse
	isNotFalse
	isUnknown
	isNotUnknown
)

func (k boolTestKind) String() string {
	return [...]string{"IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"}[k]
}

type caseNode struct {
	at
	arg   node // CASE arg WHEN …, or nil
	whens []caseWhen
	other node // nil: NULL
}

type caseWhen struct {
	at
	cond, result node
}

type coalesceNode struct {
	at
	args []node
}

type minMaxNode struct {
	at
	greatest bool
	args     []node
}

type arrayNode struct {
	at
	elements []node
}

// subscriptNode is arg[index], or the slice arg[index:upper].
type subscriptNode struct {
	at
	arg          node
	index, upper node
	slice        bool
	after        bool // another subscript, without brackets around both: x[1][2]
}

// fieldNode is (arg).name, or (arg).*.
type fieldNode struct {
	at
	arg  node
	name string // "" for *
}

// valueFunc is current_timestamp and its like, which have no parentheses.
type valueFunc struct {
	at
	name string
}

// queryPos is where a query begins, about.
func queryPos(q *queryExpr) int {
	switch b := q.body.(type) {
	case *selectStmt:
		if len(b.targets) > 0 {
			return b.targets[0].pos()
		}
	case *setStmt:
		return queryPos(b.left)
	case *valuesStmt:
		return b.pos()
	}
	return -1
}

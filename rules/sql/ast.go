package sql

// The syntax tree: what the parser returns and the checker reads. It holds
// names and literals as written and, for every node, its byte offset in the
// text. It does not depend on the parser that made it.

type node interface{ pos() int }

// at is the byte offset of a node in the statement, -1 when it has none.
type at int

func (a at) pos() int { return int(a) }

type selectStmt struct {
	at
	distinct  bool
	targets   []target
	from      []node // *tableRef
	where     node
	groupBy   []node
	having    node
	orderBy   []sortItem
	limit     node // nil or NULL: all
	offset    node
	hasHaving bool
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
	name    string
	alias   string
	columns []string // column aliases
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

type funcCall struct {
	at
	name     string
	args     []node
	star     bool // count(*)
	distinct bool
	orderBy  []sortItem
	filter   node
	variadic bool
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
}

// valueFunc is current_timestamp and its like, which have no parentheses.
type valueFunc struct {
	at
	name string
}

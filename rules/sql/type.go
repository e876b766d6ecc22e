package sql

// Type is a type of SQL. Arrays of a type have any number of dimensions in
// PostgreSQL; here they have one.
type Type uint8

// The types of values.
const (
	Unknown Type = iota + 1 // an untyped literal
	Bool
	Int2
	Int4
	Int8
	Float8
	Numeric
	Text
	Varchar
	Timestamptz
	Timestamp
	Date
	Time
	Interval
	JSONB
	Bytea
	UUID
	Inet
	Cidr
	lastType

	// pseudo-types, in signatures only
	anyElement
	anyArray
	anyNonArray
	anyCompatible
	anyCompatibleArray
	anyType

	arrayBit Type = 0x80
)

// ArrayOf returns the type of arrays of t.
func ArrayOf(t Type) Type { return t | arrayBit }

// IsArray reports whether t is an array type.
func (t Type) IsArray() bool { return t&arrayBit != 0 }

// Elem returns the type of an array's elements.
func (t Type) Elem() Type { return t &^ arrayBit }

// typeInfo describes one type: its names, and its place in PostgreSQL's rules
// of type resolution (pg_type.typcategory and typispreferred).
type typeInfo struct {
	internal  string // as in pg_type
	name      string // as format_type gives it
	category  byte
	preferred bool
	phys      phys
}

// phys is how a vector holds values of a type.
type phys uint8

const (
	physBool phys = iota
	physInt
	physFloat
	physText
	physObj
)

var typeTable = [...]typeInfo{
	Unknown:            {"unknown", "unknown", 'X', false, physText},
	Bool:               {"bool", "boolean", 'B', true, physBool},
	Int2:               {"int2", "smallint", 'N', false, physInt},
	Int4:               {"int4", "integer", 'N', false, physInt},
	Int8:               {"int8", "bigint", 'N', false, physInt},
	Float8:             {"float8", "double precision", 'N', true, physFloat},
	Numeric:            {"numeric", "numeric", 'N', false, physObj},
	Text:               {"text", "text", 'S', true, physText},
	Varchar:            {"varchar", "character varying", 'S', false, physText},
	Timestamptz:        {"timestamptz", "timestamp with time zone", 'D', true, physInt},
	Timestamp:          {"timestamp", "timestamp without time zone", 'D', false, physInt},
	Date:               {"date", "date", 'D', false, physInt},
	Time:               {"time", "time without time zone", 'D', false, physInt},
	Bytea:              {"bytea", "bytea", 'U', false, physText},
	UUID:               {"uuid", "uuid", 'U', false, physText},
	Inet:               {"inet", "inet", 'I', true, physText},
	Cidr:               {"cidr", "cidr", 'I', false, physText},
	Interval:           {"interval", "interval", 'T', true, physObj},
	JSONB:              {"jsonb", "jsonb", 'U', false, physObj},
	anyElement:         {"anyelement", "anyelement", 'P', false, physObj},
	anyArray:           {"anyarray", "anyarray", 'P', false, physObj},
	anyNonArray:        {"anynonarray", "anynonarray", 'P', false, physObj},
	anyCompatible:      {"anycompatible", "anycompatible", 'P', false, physObj},
	anyCompatibleArray: {"anycompatiblearray", "anycompatiblearray", 'P', false, physObj},
	anyType:            {"any", `"any"`, 'P', false, physObj},
}

// String returns PostgreSQL's name of the type, such as "timestamp with time zone[]".
func (t Type) String() string {
	e := t.Elem()
	if int(e) >= len(typeTable) || typeTable[e].name == "" {
		return "?"
	}
	if t.IsArray() {
		return typeTable[e].name + "[]"
	}
	return typeTable[e].name
}

func (t Type) category() byte {
	if t.IsArray() {
		return 'A'
	}
	return typeTable[t].category
}

func (t Type) preferred() bool { return !t.IsArray() && typeTable[t].preferred }

func (t Type) phys() phys {
	if t.IsArray() {
		return physObj
	}
	return typeTable[t].phys
}

func (t Type) pseudo() bool { return t.category() == 'P' }

func (t Type) integer() bool { return t == Int2 || t == Int4 || t == Int8 }

func (t Type) textual() bool { return t == Text || t == Varchar || t == Unknown }

// typeByName returns the type with PostgreSQL's internal name, 0 when there
// is none here.
func typeByName(name string) Type {
	for t, info := range typeTable {
		if info.internal == name && Type(t) != Unknown {
			return Type(t)
		}
	}
	return 0
}

// castMode says where a cast stands: in an expression, or written out.
type castMode uint8

const (
	implicit castMode = iota
	explicit
)

// implicitCasts are the rows of pg_cast with castcontext 'i' among our types.
var implicitCasts = map[[2]Type]bool{
	{Int2, Int4}: true, {Int2, Int8}: true, {Int2, Float8}: true, {Int2, Numeric}: true,
	{Int4, Int8}: true, {Int4, Float8}: true, {Int4, Numeric}: true,
	{Int8, Float8}: true, {Int8, Numeric}: true, {Numeric, Float8}: true,
	{Varchar, Text}: true, {Text, Varchar}: true, {Cidr, Inet}: true, {Time, Interval}: true,
	{Date, Timestamp}: true, {Date, Timestamptz}: true, {Timestamp, Timestamptz}: true,
}

// binaryCoercible reports whether a value of type from is one of type to as it is.
func binaryCoercible(from, to Type) bool {
	if from == to || from == Varchar && to == Text || from == Text && to == Varchar || from == Cidr && to == Inet {
		return true
	}
	return from == ArrayOf(Varchar) && to == ArrayOf(Text) || from == ArrayOf(Cidr) && to == ArrayOf(Inet)
}

// canCast reports whether PostgreSQL has a cast of that mode.
func canCast(from, to Type, mode castMode) bool {
	switch {
	case from == to || binaryCoercible(from, to) || implicitCasts[[2]Type{from, to}]:
		return true
	case from == Unknown:
		return true
	case from.IsArray() && to.IsArray():
		return canCast(from.Elem(), to.Elem(), mode)
	case mode == implicit:
		return false
	}
	return castFunction(from, to) != nil || to.category() == 'S' || from.category() == 'S'
}

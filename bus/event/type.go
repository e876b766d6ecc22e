package event

import "fmt"

// Type is the SQL type of a column. The set is what events need; the query
// engine knows more types and converts from these.
type Type uint8

const (
	Bool        Type = iota + 1 // boolean
	Int4                        // integer
	Int8                        // bigint
	Float8                      // double precision
	Text                        // text, always valid UTF-8 without NUL
	Timestamptz                 // timestamp with time zone, microseconds
	JSONB                       // jsonb, held as its JSON text
	TextArray                   // text[], one dimension, no NULL elements
)

var typeNames = [...]string{
	Bool:        "boolean",
	Int4:        "integer",
	Int8:        "bigint",
	Float8:      "double precision",
	Text:        "text",
	Timestamptz: "timestamptz",
	JSONB:       "jsonb",
	TextArray:   "text[]",
}

// String returns PostgreSQL's name of t.
func (t Type) String() string {
	if t.valid() {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

func (t Type) valid() bool { return t >= Bool && t <= TextArray }

// dictionary reports whether a Vector of this type holds Dict and Codes.
func (t Type) dictionary() bool { return t == Text || t == JSONB || t == TextArray }

// integer reports whether a Vector of this type holds Ints.
func (t Type) integer() bool { return t == Int4 || t == Int8 || t == Timestamptz }

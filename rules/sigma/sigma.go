// Package sigma reads Sigma rules (specification 2) and makes rules of them
// that package rules loads: a header of comment lines and one SELECT.
//
// A rule that can not be answered from the event tables as it is written is
// refused with the reason; none is made weaker. Which field is which column is
// in the tables of fields.go.
//
// Text is compared without regard to case, as Sigma asks; of letters other than
// ASCII the simple case folding counts. A field that is missing is NULL: no
// comparison with it is true, and its negation is.
package sigma

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of Sigma files.
const (
	MaxFileBytes = 1 << 20 // of a file

	maxDocuments = 1_000  // of a file
	maxNodes     = 50_000 // YAML values of a file, those behind aliases each time
	maxDepth     = 32     // nesting of YAML values
	maxCondition = 8 << 10
	maxBrackets  = 64      // nesting of a condition
	maxTests     = 5_000   // comparisons of a rule
	maxValue     = 4 << 10 // bytes of a value
	maxWindash   = 8       // dashes of a value with windash
)

// Error says why a document is refused.
type Error struct {
	Line    int // in the file, from 1; 0: the document as a whole
	Message string
}

func (e *Error) Error() string { return e.Message }

func fail(line int, format string, args ...any) *Error {
	return &Error{Line: line, Message: fmt.Sprintf(format, args...)}
}

// Logsource says what a rule is about.
type Logsource struct{ Product, Category, Service string }

// String returns linux/process_creation, linux/auditd and so on.
func (l Logsource) String() string {
	parts := slices.DeleteFunc([]string{l.Product, l.Category, l.Service}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "/")
}

// Document is one document of a Sigma file: a rule, or a correlation of rules.
type Document struct {
	File string
	Line int // where it begins
	Err  *Error

	ID, Name, Title, Description     string
	Author, Date, Modified           string
	Status, Level                    string
	Tags, References, FalsePositives []string
	Logsource                        Logsource

	searches    map[string]node // by identifier
	condition   node
	correlation *correlation
}

// Correlates reports whether the document is a correlation of rules.
func (d *Document) Correlates() bool { return d.correlation != nil }

// node is a condition: and, or, not, *item or bool.
type node interface{}

type (
	and []node
	or  []node
	not struct{ node }
)

// item is one field of a search with what it is compared with.
type item struct {
	line  int
	field string   // "": keywords, which any field may hold
	all   bool     // all of values must be found, else one
	tests [][]test // for each value the forms that it may have
}

// operator is how a field is compared.
type operator uint8

const (
	opMatch operator = iota + 1 // pattern
	opRegexp
	opCIDR
	opExists // text is true or false
	opNull
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opField // text is the name of another field
)

// test is one comparison.
type test struct {
	op      operator
	pattern pattern
	text    string
	cased   bool
	flags   string // of opRegexp: i, m, s
	part    place  // of opField
}

// place is where a text is looked for.
type place uint8

const (
	whole place = iota
	within
	atStart
	atEnd
)

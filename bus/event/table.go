// Package event is the vocabulary of DaemonEye: the tables and columns that
// rules and queries see, and the batches in which their rows travel from the
// collector to the store, the matcher and the client.
//
// Everything that names a column (the SQL checker, the store, the PostgreSQL
// DDL, the docs) reads it from Tables; nothing repeats the list by hand.
// The package is a leaf: it imports nothing else of ours.
package event

import (
	"slices"
	"strings"
)

// Kind says how the rows of a table come to be.
type Kind uint8

const (
	Stream Kind = iota + 1 // rows are appended as things happen and never change
	State                  // rows are the present state of something and are replaced
)

func (k Kind) String() string {
	if k == Stream {
		return "stream"
	}
	return "state"
}

// Column is one column of the event view.
type Column struct {
	Name    string
	Type    Type
	Unit    string // of a number, "" when it has none: "bytes", "percent of one core"
	NotNull bool
	Doc     string // one line
}

// Table is one table of the event view.
type Table struct {
	Name    string
	Kind    Kind
	Doc     string // one line: what one row is
	Time    string // the column by which rows are ordered, pruned and retained
	Columns []Column

	index map[string]int
}

// Index returns the position of the named column, or -1.
func (t *Table) Index(column string) int {
	if i, ok := t.index[column]; ok {
		return i
	}
	return -1
}

// Tables returns every table of the event view, in the order of the docs.
// The result is shared and must not be changed.
func Tables() []*Table { return tables }

// Lookup returns the named table, or nil.
func Lookup(name string) *Table {
	i := slices.IndexFunc(tables, func(t *Table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return tables[i]
}

// define completes a table of the list in tables.go.
func define(t Table) *Table {
	t.index = make(map[string]int, len(t.Columns))
	for i, c := range t.Columns {
		t.index[c.Name] = i
	}
	return &t
}

// AppendDDL appends CREATE TABLE statements, with comments, that PostgreSQL
// accepts as they are.
func AppendDDL(dst []byte, list []*Table) []byte {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	for i, t := range list {
		if i > 0 {
			dst = append(dst, '\n')
		}
		dst = append(dst, "CREATE TABLE "+t.Name+" (\n"...)
		for j, c := range t.Columns {
			dst = append(dst, "    "+c.Name+" "+c.Type.String()...)
			if c.NotNull {
				dst = append(dst, " NOT NULL"...)
			}
			if j < len(t.Columns)-1 {
				dst = append(dst, ',')
			}
			dst = append(dst, '\n')
		}
		dst = append(dst, ");\n"...)
		dst = append(dst, "COMMENT ON TABLE "+t.Name+" IS "+quote(t.Doc)+";\n"...)
		for _, c := range t.Columns {
			dst = append(dst, "COMMENT ON COLUMN "+t.Name+"."+c.Name+" IS "+quote(c.describe())+";\n"...)
		}
	}
	return dst
}

func (c Column) describe() string {
	if c.Unit == "" {
		return c.Doc
	}
	return c.Doc + " (" + c.Unit + ")"
}

package sigma

import (
	"fmt"
	"strings"
	"unicode"
)

// expr is a condition of SQL: AND or OR of others, NOT of one, a comparison, or
// true or false.
type expr struct {
	join   string // AND, OR or NOT
	of     []expr
	sql    string
	unsafe bool // it may stand behind others only: the matcher looks up what is before
}

func leaf(sql string) expr { return expr{sql: sql} }

func constant(yes bool) expr {
	if yes {
		return expr{sql: "true"}
	}
	return expr{sql: "false"}
}

func (e expr) is(yes bool) bool { return e.join == "" && e.sql == constant(yes).sql }

// joined is the AND or OR of a list. In an AND what the matcher can look up comes first.
func joined(how string, list []expr) expr {
	decisive := how == "OR"
	var safe, unsafe []expr
	for _, e := range list {
		parts := []expr{e}
		switch {
		case e.is(!decisive):
			continue
		case e.is(decisive):
			return e
		case e.join == how:
			parts = e.of
		}
		for _, p := range parts {
			if p.unsafe {
				unsafe = append(unsafe, p)
			} else {
				safe = append(safe, p)
			}
		}
	}
	all := append(safe, unsafe...)
	switch len(all) {
	case 0:
		return constant(!decisive)
	case 1:
		return all[0]
	}
	return expr{join: how, of: all, unsafe: len(unsafe) > 0}
}

func negate(e expr) expr {
	switch {
	case e.is(true), e.is(false):
		return constant(e.is(false))
	}
	return expr{join: "NOT", of: []expr{e}, unsafe: e.unsafe}
}

// lineWidth is how long a condition may be that stands in one line.
const lineWidth = 110

// write writes the condition, in brackets where it is an AND or OR.
func (e expr) write(b *strings.Builder, depth int) {
	switch e.join {
	case "":
		b.WriteString(e.sql)
	case "NOT": // of what is NULL too
		e.of[0].brackets(b, depth)
		b.WriteString(" IS NOT TRUE")
	default:
		e.brackets(b, depth)
	}
}

// inline writes the condition without brackets around it into one line, and
// reports whether it is short enough.
func (e expr) inline(b *strings.Builder) bool {
	if e.join == "" {
		b.WriteString(e.sql)
		return b.Len() <= lineWidth
	}
	for i, part := range e.of {
		if i > 0 {
			b.WriteString(" " + e.join + " ")
		}
		group := part.join == "AND" || part.join == "OR" || e.join == "NOT"
		if group {
			b.WriteByte('(')
		}
		if !part.inline(b) {
			return false
		}
		if group {
			b.WriteByte(')')
		}
	}
	if e.join == "NOT" {
		b.WriteString(" IS NOT TRUE")
	}
	return b.Len() <= lineWidth
}

func (e expr) brackets(b *strings.Builder, depth int) {
	b.WriteByte('(')
	if e.join == "" || e.join == "NOT" {
		e.write(b, depth)
		b.WriteByte(')')
		return
	}
	var line strings.Builder
	if e.inline(&line) {
		b.WriteString(line.String() + ")")
		return
	}
	indent := "\n" + strings.Repeat("  ", depth+1)
	for i, part := range e.of {
		b.WriteString(indent)
		if i > 0 {
			b.WriteString(e.join + " ")
		}
		part.write(b, depth+1)
	}
	b.WriteString(indent[:len(indent)-2] + ")")
}

// quote writes a text as a constant of SQL. What can not be seen is written by
// its number.
func quote(s string) string {
	if strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0 {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteString("E'")
	for _, c := range s {
		switch {
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(c))
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, c)
		default:
			fmt.Fprintf(&b, `\u%04X`, c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

package sql

import (
	"fmt"
	"strings"

	"daemoneye/bus/event"
)

// exprText writes an expression for people, about as SQL.
func exprText(e expr) string {
	var b strings.Builder
	writeExpr(&b, e, false)
	const longest = 400
	if s := b.String(); len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return b.String()
}

func exprTexts(list []expr) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = exprText(e)
	}
	return strings.Join(out, ", ")
}

// writeExpr writes e, in brackets if it is an operator within another.
func writeExpr(b *strings.Builder, e expr, inner bool) {
	open := func() {
		if inner {
			b.WriteByte('(')
		}
	}
	shut := func() {
		if inner {
			b.WriteByte(')')
		}
	}
	list := func(name string, args []expr) {
		b.WriteString(name)
		b.WriteByte('(')
		for i, a := range args {
			if i > 0 {
				b.WriteString(", ")
			}
			writeExpr(b, a, false)
		}
		b.WriteByte(')')
	}
	switch e := e.(type) {
	case *colExpr:
		b.WriteString(e.label())
	case *constExpr:
		writeConstant(b, e)
	case *paramExpr:
		fmt.Fprintf(b, "$%d", e.slot+1)
	case *callExpr:
		if !operatorName(e.fn.name) {
			list(e.fn.name, e.args)
			return
		}
		open()
		if len(e.args) == 2 {
			writeExpr(b, e.args[0], true)
			b.WriteByte(' ')
		}
		b.WriteString(e.fn.name)
		b.WriteByte(' ')
		writeExpr(b, e.args[len(e.args)-1], true)
		shut()
	case *aggExpr:
		if len(e.args) == 0 {
			b.WriteString(e.fn.name + "(*)")
		} else if e.distinct {
			list(e.fn.name+"(DISTINCT ", e.args)
			b.WriteByte(')')
		} else {
			list(e.fn.name, e.args)
		}
		if e.filter != nil {
			b.WriteString(" FILTER (WHERE ")
			writeExpr(b, e.filter, false)
			b.WriteByte(')')
		}
	case *logicExpr:
		open()
		for i, a := range e.args {
			if e.kind == logicNot {
				b.WriteString("NOT ")
			} else if i > 0 {
				b.WriteString(" " + e.kind.String() + " ")
			}
			writeExpr(b, a, true)
		}
		shut()
	case *nullExpr:
		writeExpr(b, e.arg, true)
		b.WriteString(map[bool]string{false: " IS NULL", true: " IS NOT NULL"}[e.not])
	case *boolExpr:
		writeExpr(b, e.arg, true)
		b.WriteString(" " + e.test.String())
	case *distinctExpr:
		open()
		writeExpr(b, e.left, true)
		b.WriteString(map[bool]string{false: " IS DISTINCT FROM ", true: " IS NOT DISTINCT FROM "}[e.not])
		writeExpr(b, e.right, true)
		shut()
	case *caseExpr:
		b.WriteString("CASE")
		for i := range e.conds {
			b.WriteString(" WHEN ")
			writeExpr(b, e.conds[i], false)
			b.WriteString(" THEN ")
			writeExpr(b, e.results[i], false)
		}
		b.WriteString(" ELSE ")
		writeExpr(b, e.other, false)
		b.WriteString(" END")
	case *coalesceExpr:
		list("COALESCE", e.args)
	case *extremeExpr:
		list(map[bool]string{false: "LEAST", true: "GREATEST"}[e.greatest], e.args)
	case *arrayExpr:
		list("ARRAY", e.elements)
	case *quantExpr:
		open()
		writeExpr(b, e.left, true)
		b.WriteString(" " + e.fn.name + map[bool]string{false: " ANY ", true: " ALL "}[e.all])
		writeExpr(b, e.array, true)
		shut()
	case *relabelExpr:
		writeExpr(b, e.arg, inner)
	case *srfExpr:
		list(e.fn.name, e.args)
	case *subExpr:
		e.write(b)
	default:
		b.WriteString("…")
	}
}

// label is the column's name, qualified by an alias that is no table's name.
func (e *colExpr) label() string {
	alias, name, _ := strings.Cut(e.name, ".")
	switch {
	case name == "":
		return fmt.Sprintf("column %d", e.index+1)
	case alias == "" || event.Lookup(alias) != nil:
		return name
	}
	return e.name
}

func (e *subExpr) write(b *strings.Builder) {
	for i, t := range e.tests {
		if i > 0 {
			b.WriteString(", ")
		}
		writeExpr(b, t, true)
	}
	if len(e.pairs) > 0 {
		b.WriteString(" " + e.pairs[0].call.fn.name)
	}
	b.WriteString([...]string{"EXISTS", " ANY", " ALL", "", " ", "ARRAY"}[e.kind] + "(subquery)")
}

func operatorName(name string) bool {
	return name != "" && strings.IndexByte(operatorBytes, name[0]) >= 0
}

func writeConstant(b *strings.Builder, e *constExpr) {
	switch {
	case e.list != "":
		b.WriteString("list('" + strings.ReplaceAll(e.list, "'", "''") + "')")
	case e.v.null:
		b.WriteString("NULL")
	case e.t == Bool:
		b.WriteString(map[bool]string{false: "false", true: "true"}[e.v.truth()])
	case e.t.integer() || e.t == Float8 || e.t == Numeric:
		b.WriteString(output(e.t, e.v))
	default:
		b.WriteString("'" + strings.ReplaceAll(output(e.t, e.v), "'", "''") + "'")
	}
}

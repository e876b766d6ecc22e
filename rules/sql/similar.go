package sql

import (
	"strings"
	"unicode/utf8"
)

// similarPattern makes a regular expression of a SIMILAR TO pattern, as
// similar_escape_internal of PostgreSQL's regexp.c; escape "" is none. Two
// escaped double quotes separate the three parts of substring's pattern.
func similarPattern(pattern, escape string) (string, error) {
	if utf8.RuneCountInString(escape) > 1 {
		return "", fail(codeInvalidEscape, "invalid escape string").hint("the escape string must be empty or one character")
	}
	var b strings.Builder
	b.WriteString("^(?:")
	escaped := false
	depth, place, quotes := 0, 0, 0 // of brackets; within one; separators seen
	for _, r := range pattern {
		c := string(r)
		switch {
		case escaped && c == `"` && depth == 0:
			switch quotes {
			case 0:
				b.WriteString("){1,1}?(")
			case 1:
				b.WriteString("){1,1}(?:")
			default:
				return "", fail("2200C", "SQL regular expression may not contain more than two escape-double-quote separators")
			}
			quotes++
			escaped = false
		case escaped:
			b.WriteString(`\` + c)
			escaped, place = false, 3
		case c == escape:
			escaped = true
		case depth > 0:
			if c == `\` {
				b.WriteByte('\\')
			}
			b.WriteString(c)
			switch {
			case c == "]" && place > 2:
				depth--
			case c == "[":
				depth, place = depth+1, 3
			case c == "^":
				place++
			default:
				place = 3
			}
		case c == "[":
			b.WriteString(c)
			depth, place = 1, 1
		case c == "%":
			b.WriteString(".*")
		case c == "_":
			b.WriteByte('.')
		case c == "(":
			b.WriteString("(?:")
		case strings.Contains(`\.^$`, c):
			b.WriteString(`\` + c)
		default:
			b.WriteString(c)
		}
	}
	b.WriteString(")$")
	return b.String(), nil
}

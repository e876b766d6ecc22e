package sql

import (
	"strings"
	"unicode/utf8"
)

// parse turns text into a syntax tree, with :name parameters replaced by
// untyped literals. Positions are byte offsets in text.
func parse(text string, limits Limits, params map[string]string) (*queryExpr, error) {
	if len(text) > limits.Text {
		return nil, overLimit(-1, "text", limits.Text, "the statement has %d bytes, more than the limit of %d", len(text), limits.Text)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, failAt(i, codeCharacter, "the statement holds a NUL byte")
	}
	if !utf8.ValidString(text) {
		i := 0
		for i < len(text) {
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			i += n
		}
		return nil, failAt(i, codeCharacter, "the statement is not valid UTF-8: byte 0x%02x", text[i])
	}
	for name, v := range params {
		if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
			return nil, fail(codeCharacter, "the value of parameter %q is not valid UTF-8 text", name)
		}
	}
	subst, err := scanParams(text, limits, params)
	if err != nil {
		return nil, err
	}
	return parseText(subst, limits)
}

// substitution is a statement whose parameters are masked: each :name
// has become $1 and blanks, so that every offset stays as it was.
type substitution struct {
	text    string
	values  map[int]string // byte offset → value
	missing string         // the first :name without a value
}

// scanParams finds parameters outside of strings, quoted names and comments,
// by the lexical rules of section 4.1 of PostgreSQL's manual. A name without
// a value stays, as in psql: it is also how an array slice is written.
//
// It bounds what the parser would follow by recursion, on a C stack that
// can not grow: see nesting.
func scanParams(text string, limits Limits, params map[string]string) (substitution, error) {
	s := substitution{values: make(map[int]string)}
	out := []byte(text)
	nest := nesting{limits: limits, open: []chain{{}}}
	for i := 0; i < len(text); {
		var err error
		switch c := text[i]; {
		case c == '\'':
			i = skipQuoted(text, i, '\'', false)
		case (c == 'e' || c == 'E') && i+1 < len(text) && text[i+1] == '\'':
			i = skipEscaped(text, i+1)
		case c == '"':
			i = skipQuoted(text, i, '"', false)
		case strings.HasPrefix(text[i:], "--"):
			i = skipLine(text, i)
		case strings.HasPrefix(text[i:], "/*"):
			i = skipComment(text, i)
		case c == '$':
			if n := dollarQuoted(text[i:]); n > 0 {
				i += n
				break
			}
			if i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' {
				return s, failAt(i, codeUnsupported, "a numbered parameter is not supported").hint("write a parameter as :name")
			}
			i++
		case isNameByte(c):
			n := wordLength(text[i:])
			err = nest.word(i, text[i:i+n])
			i += n
		case c == ':' && i+1 < len(text) && (text[i+1] == ':' || text[i+1] == '='):
			err = nest.link(i, 1)
			i += 2
		case c == ':':
			i += s.param(text, i, out, params)
		case strings.IndexByte(operatorBytes, c) >= 0:
			n, count := operatorRun(text[i:])
			err = nest.link(i, count)
			i += n
		default:
			err = nest.mark(i, c)
			i++
		}
		if err != nil {
			return s, err
		}
	}
	s.text = string(out)
	return s, nil
}

// param masks the parameter at text[i] and returns its length in bytes, at least 1.
func (s *substitution) param(text string, i int, out []byte, params map[string]string) int {
	from, quoted := i+1, false
	if from < len(text) && text[from] == '\'' {
		from, quoted = from+1, true
	}
	to := from
	for to < len(text) && isNameByte(text[to]) {
		to++
	}
	name := text[from:to]
	if name == "" || !quoted && name[0] >= '0' && name[0] <= '9' {
		return 1
	}
	if quoted {
		if to >= len(text) || text[to] != '\'' {
			return 1
		}
		to++
	}
	value, ok := params[name]
	if !ok {
		if s.missing == "" {
			s.missing = name
		}
		return to - i
	}
	s.values[i] = value
	for k := i; k < to; k++ {
		out[k] = ' '
	}
	copy(out[i:], "$1")
	return to - i
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// wordLength returns the length of the name, keyword or number that s begins
// with; a name goes on over $, a number does not.
func wordLength(s string) int {
	number := s[0] >= '0' && s[0] <= '9'
	n := 1
	for n < len(s) && (isNameByte(s[n]) || !number && s[n] == '$' || number && s[n] == '.') {
		n++
	}
	return n
}

// skipLine returns the offset of the end of the line.
func skipLine(text string, i int) int {
	if n := strings.IndexAny(text[i:], "\r\n"); n >= 0 {
		return i + n
	}
	return len(text)
}

// skipEscaped returns the offset after the text of an E'…' that begins at i,
// with the parts that continue it on later lines.
func skipEscaped(text string, i int) int {
	for {
		end := skipQuoted(text, i, '\'', true)
		newline := false
		for i = end; i < len(text); {
			if c := text[i]; c == '\n' || c == '\r' {
				newline = true
			} else if strings.HasPrefix(text[i:], "--") {
				i = skipLine(text, i)
				continue
			} else if strings.IndexByte(" \t\f\v", c) < 0 {
				break
			}
			i++
		}
		if !newline || i >= len(text) || text[i] != '\'' {
			return end
		}
	}
}

// skipQuoted returns the offset after the quoted text that begins at i.
func skipQuoted(text string, i int, quote byte, escapes bool) int {
	for i++; i < len(text); i++ {
		switch {
		case text[i] == '\\' && escapes:
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// skipComment returns the offset after the comment that begins at i; comments nest.
func skipComment(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch {
		case strings.HasPrefix(text[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return i
}

// dollarQuoted returns the length of the $tag$…$tag$ string at the start of
// s, 0 when there is none.
func dollarQuoted(s string) int {
	n := 1
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	if n >= len(s) || s[n] != '$' || n > 1 && s[1] >= '0' && s[1] <= '9' {
		return 0
	}
	tag := s[:n+1]
	end := strings.Index(s[n+1:], tag)
	if end < 0 {
		return len(s)
	}
	return end + 2*len(tag)
}

package sigma

import (
	"strings"
	"unicode"
)

// pattern is a text with wildcards.
type pattern []piece

// piece is literal text, a wildcard or a choice of characters.
type piece struct {
	text   string
	many   bool   // any characters, also none
	one    bool   // one character
	choice string // one of these characters
}

// newPattern reads a value: * and ? are wildcards unless a backslash is before
// them; a backslash before a backslash stands for one; any other is itself.
func newPattern(s string) pattern {
	var p pattern
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			p = append(p, piece{text: b.String()})
			b.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`\*?`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '*':
			flush()
			p = append(p, piece{many: true})
		case c == '?':
			flush()
			p = append(p, piece{one: true})
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return p
}

func literal(s string) pattern {
	if s == "" {
		return nil
	}
	return pattern{{text: s}}
}

// plain returns the text of a pattern without wildcards.
func (p pattern) plain() (string, bool) {
	var b strings.Builder
	for _, e := range p {
		if e.text == "" {
			return "", false
		}
		b.WriteString(e.text)
	}
	return b.String(), true
}

func (p pattern) placed(at place) pattern {
	q := pattern{}
	if at == within || at == atEnd {
		q = append(q, piece{many: true})
	}
	q = append(q, p...)
	if at == within || at == atStart {
		q = append(q, piece{many: true})
	}
	return q
}

// dashes are what windash takes for each other.
const dashes = "-/–—―"

// windash lets each dash or slash that begins a word be any of dashes.
func (p pattern) windash() (pattern, int) {
	var q pattern
	count := 0
	before := ' '
	for _, e := range p {
		if e.text == "" {
			q, before = append(q, e), ' '
			continue
		}
		chars := []rune(e.text)
		var b []rune
		for i, c := range chars {
			if (c == '-' || c == '/') && !isWord(before) && i+1 < len(chars) && isWord(chars[i+1]) {
				if len(b) > 0 {
					q = append(q, piece{text: string(b)})
					b = nil
				}
				q = append(q, piece{choice: dashes})
				count++
			} else {
				b = append(b, c)
			}
			before = c
		}
		if len(b) > 0 {
			q = append(q, piece{text: string(b)})
		}
	}
	return q, count
}

func isWord(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

// folded makes choices of the letters that have other cases and are not ASCII.
func (p pattern) folded() pattern {
	var q pattern
	for _, e := range p {
		if e.text == "" {
			q = append(q, e)
			continue
		}
		start := 0
		for i, c := range e.text {
			if c < unicode.MaxASCII || unicode.SimpleFold(c) == c {
				continue
			}
			if start < i {
				q = append(q, piece{text: e.text[start:i]})
			}
			choice := string(c)
			for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
				choice += string(f)
			}
			q = append(q, piece{choice: choice})
			start = i + len(string(c))
		}
		if start < len(e.text) {
			q = append(q, piece{text: e.text[start:]})
		}
	}
	return q
}

// choices reports whether LIKE can not express the pattern.
func (p pattern) choices() bool {
	for _, e := range p {
		if e.choice != "" {
			return true
		}
	}
	return false
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// like writes the pattern for LIKE.
func (p pattern) like() string {
	var b strings.Builder
	for _, e := range p {
		switch {
		case e.many:
			b.WriteByte('%')
		case e.one:
			b.WriteByte('_')
		default:
			b.WriteString(likeEscapes.Replace(e.text))
		}
	}
	return b.String()
}

// regexp writes the pattern as a regular expression, without anchors.
func (p pattern) regexp() string {
	var b strings.Builder
	for _, e := range p {
		switch {
		case e.many:
			b.WriteString(".*")
		case e.one:
			b.WriteByte('.')
		case e.choice != "":
			b.WriteString("[" + e.choice + "]") // letters and dashes, - first
		default:
			b.WriteString(quoteRegexp(e.text))
		}
	}
	return b.String()
}

// quoteRegexp writes a text that stands for itself in PostgreSQL's regular expressions.
func quoteRegexp(s string) string {
	var b strings.Builder
	for _, c := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

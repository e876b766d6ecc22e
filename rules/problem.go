package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"daemoneye/rules/sql"
)

// Problem says why a rule or fixture file, or a part of it, was refused, and
// where.
type Problem struct {
	File    string
	Line    int // 1 is the first of the file; 0: the file as a whole
	Column  int // in characters, from 1; 0: the line as a whole
	Message string
	Hint    string // what is allowed instead, or ""
	Code    string // for programs: header, yaml, PostgreSQL's SQLSTATE of a SELECT, or "": the file

	caret string
}

// Error returns one line: `rules/a.sql:3:4: unknown key "titel" (did you mean "title"?)`.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Caret returns the line of the file and, below it, a mark under the column;
// "" when there is no position.
func (p *Problem) Caret() string { return p.caret }

// Refusal is a rule file, or a whole source, that is not in force.
type Refusal struct {
	File     string
	Header   Header     // as far as it could be read
	Problems []*Problem // at least one
}

// Error returns the problems, one a line.
func (r *Refusal) Error() string {
	lines := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func refuse(file, format string, args ...any) *Refusal {
	return &Refusal{File: file, Problems: []*Problem{{File: file, Message: fmt.Sprintf(format, args...)}}}
}

// sqlProblem carries a compiler's error over to the file in which the SELECT
// starts skipped lines below the top.
func sqlProblem(file, text string, skipped int, err error) *Problem {
	var e *sql.Error
	if !errors.As(err, &e) {
		return &Problem{File: file, Message: err.Error()}
	}
	p := &Problem{File: file, Message: e.Message, Hint: e.Hint, Code: e.Code}
	if e.Line > 0 {
		p.Line, p.Column = e.Line+skipped, e.Column
		p.caret = caret(text, p.Line, p.Column)
	}
	return p
}

// caretWidth is how much of a long line is shown around the marked column.
const caretWidth = 100

// caret renders a line of text with a mark under the column. Characters that
// would move a terminal's cursor are replaced, tabs kept in both lines.
func caret(text string, line, column int) string {
	if line < 1 || column < 1 {
		return ""
	}
	for ; line > 1; line-- {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return ""
		}
		text = rest
	}
	text, _, _ = strings.Cut(text, "\n")
	chars := []rune(strings.TrimSuffix(text, "\r"))
	column = min(column, len(chars)+1)
	from, to, mark := 0, len(chars), column-1
	var shown, below strings.Builder
	if to > caretWidth {
		from = max(0, min(mark-caretWidth/2, to-caretWidth))
		to = from + caretWidth
		if from > 0 {
			shown.WriteString("…")
			below.WriteByte(' ')
		}
	}
	for i, c := range chars[from:to] {
		under := ' '
		switch {
		case c == '\t':
			under = '\t'
		case !unicode.IsPrint(c):
			c = unicode.ReplacementChar
		}
		shown.WriteRune(c)
		if from+i < mark {
			below.WriteRune(under)
		}
	}
	if to < len(chars) {
		shown.WriteString("…")
	}
	return shown.String() + "\n" + below.String() + "^"
}

// nearest returns the word of list that is the likeliest meant by s, or "".
func nearest(s string, list []string) string {
	best, least := "", 1+max(1, len(s)/3)
	for _, w := range list {
		if d := editDistance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// meant asks, as a hint, for the word of list that is the likeliest meant by s;
// "" when none is.
func meant(s string, list []string) string {
	if near := nearest(s, list); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// meantKey is the hint at a key that is none of the known ones.
func meantKey[V any](key string, known map[string]V) string {
	names := slices.Sorted(maps.Keys(known))
	return cmp.Or(meant(key, names), "known keys are "+strings.Join(names, ", "))
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a. Only the first 64 bytes are looked at.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(b)]
}

package sql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is a refused statement or a failed execution. Code is PostgreSQL's
// SQLSTATE for it (appendix A of its manual); what this engine refuses though
// PostgreSQL accepts it has 0A000 (feature_not_supported), and what exceeds a
// limit 54000 (program_limit_exceeded).
type Error struct {
	Line, Column int    // from 1, columns in characters; 0 when there is no position
	Message      string // one line, lower case
	Hint         string // what to write instead, "" when nothing is known
	Code         string // SQLSTATE, five characters
	Text         string // the whole SQL, for the caret

	at    int  // byte offset in Text plus one; 0 when there is no position
	texts bool // of texts made of many rows at once: of fewer there may be none
}

// SQLSTATE codes used by the engine.
const (
	codeSyntax            = "42601"
	codeUndefinedColumn   = "42703"
	codeAmbiguousColumn   = "42702"
	codeUndefinedTable    = "42P01"
	codeUndefinedFunction = "42883"
	codeAmbiguousFunction = "42725"
	codeUndefinedObject   = "42704"
	codeDatatypeMismatch  = "42804"
	codeGrouping          = "42803"
	codeCannotCoerce      = "42846"
	codeIndeterminate     = "42P18"
	codeInvalidReference  = "42P10"
	codeUnsupported       = "0A000"
	codeLimit             = "54000"
	codeOutOfMemory       = "53200"
	codeTemporary         = "58030"
	codeInvalidText       = "22P02"
	codeOutOfRange        = "22003"
	codeDivisionByZero    = "22012"
	codeDatetimeFormat    = "22007"
	codeDatetimeOverflow  = "22008"
	codeIntervalOverflow  = "22015"
	codeInvalidParameter  = "22023"
	codeInvalidRegexp     = "2201B"
	codeInvalidEscape     = "22025"
	codeEscapeCharacter   = "22019"
	codeSubstring         = "22011"
	codeInvalidLimit      = "2201W"
	codeInvalidOffset     = "2201X"
	codeArraySubscript    = "2202E"
	codeCharacter         = "22021"
	codeWrongObject       = "42809"
	codeWindowing         = "42P20"
	codeInvalidRecursion  = "42P19"
	codeDuplicateAlias    = "42712"
	codeDuplicateColumn   = "42701"
	codeCanceled          = "57014"
	codeCardinality       = "21000"
	codeInvalidNtile      = "22014"
	codeInvalidNthValue   = "22016"
	codeInvalidFrame      = "22013"
)

// Error returns the message in one line, with its position and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Caret returns the source line and, under it, a line with a caret at the
// position; "" when the error has none. A long line is cut around the position.
func (e *Error) Caret() string {
	if e.Line <= 0 {
		return ""
	}
	lines := strings.Split(e.Text, "\n")
	if e.Line > len(lines) {
		return ""
	}
	const width = 100
	line := []rune(strings.TrimRight(lines[e.Line-1], "\r"))
	col := min(e.Column-1, len(line))
	if from := col - width*3/4; from > 0 && len(line) > width {
		line, col = append([]rune("…"), line[from:]...), col-from+1
	}
	if len(line) > width {
		line = append(line[:max(width, col+1)], '…')
	}
	under := make([]rune, 0, col+1)
	for _, r := range line[:min(col, len(line))] {
		if r != '\t' {
			r = ' '
		}
		under = append(under, r)
	}
	return string(line) + "\n" + string(under) + "^"
}

// locate fills in the line and column of an error at a byte offset of text.
func (e *Error) locate(text string) *Error {
	e.Text = text
	if e.at == 0 || e.Line > 0 {
		return e
	}
	before := text[:min(e.at-1, len(text))]
	e.Line = 1 + strings.Count(before, "\n")
	e.Column = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return e
}

// singleQuotes adds a hint to an unknown column in double quotes, which most
// often was meant as a text.
func (e *Error) singleQuotes() *Error {
	if e.Code != codeUndefinedColumn || e.at == 0 {
		return e
	}
	name, ok := strings.CutPrefix(e.Text[min(e.at-1, len(e.Text)):], `"`)
	if name, _, closed := strings.Cut(name, `"`); ok && closed {
		hint := "a text stands in single quotes: '" + strings.ReplaceAll(name, "'", "''") + "'"
		if e.Hint != "" {
			hint = e.Hint + " " + hint
		}
		e.Hint = hint
	}
	return e
}

func (e *Error) hint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// failAt is an error at byte offset pos of the statement; pos < 0: nowhere.
func failAt(pos int, code, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Code: code, at: max(pos+1, 0)}
}

// fail is an error that has no position, as those of execution.
func fail(code, format string, args ...any) *Error { return failAt(-1, code, format, args...) }

// positioned gives err the position pos if it is ours and has none.
func positioned(err error, pos int) error {
	if e, ok := err.(*Error); ok && e.at == 0 && pos >= 0 {
		e.at = pos + 1
	}
	return err
}

// didYouMean returns the hint `did you mean "x"?` for the name in list that
// is nearest to name, "" when none is near.
func didYouMean(name string, list []string) string {
	best, bestScore := "", 1<<30
	for _, s := range list {
		score := editDistance(name, s) * 4
		switch {
		case len(name) >= 3 && (strings.Contains(s, name) || len(s) >= len(name)/2 && strings.Contains(name, s)):
			score = min(score, 6)
		case sameLetters(name, s):
			score = min(score, 5)
		}
		if score < bestScore {
			best, bestScore = s, score
		}
	}
	if best == "" || bestScore > 4*max(min(2, len(name)/2), len(name)*2/5) {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// sameLetters reports whether a abbreviates b: its letters appear in b in
// order, and both start alike ("cmdline", "command_line").
func sameLetters(a, b string) bool {
	if len(a) < 3 || len(b) < len(a) || a[0] != b[0] {
		return false
	}
	i := 0
	for j := 0; j < len(b) && i < len(a); j++ {
		if a[i] == b[j] {
			i++
		}
	}
	return i == len(a)
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

package sql

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// compileRegexp translates PostgreSQL's advanced regular expressions (section
// 9.7.3 of its manual) to the same meaning in Go's, which run in linear time.
// What has no equal there (back references, look-around) is refused by name.
// Letters, digits and case are ASCII, by collation C.
func compileRegexp(pattern string, foldCase bool) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fail(codeLimit, "a regular expression has at most %d bytes", maxPattern)
	}
	t := &regexTranslator{in: pattern, fold: foldCase}
	out, err := t.translate()
	if err != nil {
		return nil, err
	}
	if err := checkRegexp(out); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(out)
	if err != nil {
		return nil, invalidRegexp("%v", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

func invalidRegexp(format string, args ...any) *Error {
	return fail(codeInvalidRegexp, "invalid regular expression: "+format, args...)
}

func refuseRegexp(what string) *Error {
	return refuse(-1, what+" in a regular expression").hint("matching takes linear time, which this can not")
}

type regexTranslator struct {
	in      string
	i       int
	fold    bool
	newline bool // . and [^…] stop at newlines
	anchors bool // ^ and $ match at newlines
	out     strings.Builder
	depth   int
	edges   int  // \m and \M so far
	atom    bool // something that a quantifier may follow came just before
}

func (t *regexTranslator) translate() (string, error) {
	if rest, ok := strings.CutPrefix(t.in, "***="); ok {
		t.quote(rest)
		return t.out.String(), nil
	}
	t.in = strings.TrimPrefix(t.in, "***:")
	if strings.HasPrefix(t.in, "***") {
		return "", invalidRegexp("quantifier operand invalid")
	}
	if err := t.options(); err != nil {
		return "", err
	}
	for t.i < len(t.in) {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	if t.depth > 0 {
		return "", invalidRegexp("parentheses () not balanced")
	}
	prefix := "(?s)"
	if t.newline {
		prefix = ""
	}
	if t.anchors {
		prefix += "(?m)"
	}
	return prefix + t.out.String(), nil
}

func (t *regexTranslator) quote(s string) {
	for _, r := range s {
		t.literal(r)
	}
}

// options reads embedded options (?xyz) at the start.
func (t *regexTranslator) options() error {
	if !strings.HasPrefix(t.in, "(?") || len(t.in) < 3 || t.in[2] < 'a' || t.in[2] > 'z' {
		return nil
	}
	end := strings.IndexByte(t.in, ')')
	if end < 0 {
		return invalidRegexp("invalid embedded option")
	}
	for _, o := range t.in[2:end] {
		switch o {
		case 'i':
			t.fold = true
		case 'c':
			t.fold = false
		case 'n', 'm':
			t.newline, t.anchors = true, true
		case 'p':
			t.newline, t.anchors = true, false
		case 'w':
			t.newline, t.anchors = false, true
		case 's':
			t.newline, t.anchors = false, false
		case 't':
		default:
			if strings.ContainsRune("bexq", o) {
				return refuse(-1, fmt.Sprintf("the option (?%c) in a regular expression", o))
			}
			return invalidRegexp("invalid embedded option")
		}
	}
	t.i = end + 1
	return nil
}

// next translates one element of the pattern.
func (t *regexTranslator) next() error {
	r, n := utf8.DecodeRuneInString(t.in[t.i:])
	rest := t.in[t.i+n:]
	switch r {
	case '(':
		return t.open(rest)
	case ')':
		t.i++
		if t.depth--; t.depth < 0 {
			return invalidRegexp("parentheses () not balanced")
		}
		t.emit(")", true)
		return nil
	case '|':
		t.i++
		t.emit("|", false)
		return nil
	case '^', '$':
		t.i++
		t.emit(string(r), false)
		return nil
	case '.':
		t.i++
		t.emit(".", true)
		return nil
	case '*', '+', '?':
		t.i++
		return t.quantifier(string(r))
	case '{':
		if rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return t.bounds()
		}
		t.i++
		t.literal('{')
		return nil
	case '[':
		return t.bracket()
	case '\\':
		return t.escape()
	}
	t.i += n
	t.literal(r)
	return nil
}

func (t *regexTranslator) emit(s string, atom bool) {
	t.out.WriteString(s)
	t.atom = atom
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isWord(r rune) bool { return r == '_' || r >= '0' && r <= '9' || isLetter(r) }

// literal emits one character, in both cases when case is folded.
func (t *regexTranslator) literal(r rune) {
	if t.fold && isLetter(r) {
		t.emit(fmt.Sprintf("[%c%c]", r&^0x20, r|0x20), true)
	} else {
		t.emit(regexp.QuoteMeta(string(r)), true)
	}
}

func (t *regexTranslator) open(rest string) error {
	switch {
	case strings.HasPrefix(rest, "?:"):
		t.i += 3
		t.emit("(?:", false)
	case strings.HasPrefix(rest, "?=") || strings.HasPrefix(rest, "?!"):
		return refuseRegexp("look-ahead (?" + rest[1:2])
	case strings.HasPrefix(rest, "?<="), strings.HasPrefix(rest, "?<!"):
		return refuseRegexp("look-behind (?" + rest[1:3])
	case strings.HasPrefix(rest, "?"):
		return invalidRegexp("quantifier operand invalid")
	default:
		t.i++
		t.emit("(", false)
	}
	t.depth++
	return nil
}

// quantifier emits * + ? or {m,n}, with a ? after it for non-greedy.
func (t *regexTranslator) quantifier(q string) error {
	if !t.atom {
		return invalidRegexp("quantifier operand invalid")
	}
	if t.i < len(t.in) && t.in[t.i] == '?' {
		t.i++
		q += "?"
	}
	t.emit(q, false)
	return nil
}

func (t *regexTranslator) bounds() error {
	end := strings.IndexByte(t.in[t.i:], '}')
	if end < 0 {
		return invalidRegexp("braces {} not balanced")
	}
	text := t.in[t.i+1 : t.i+end]
	low, high, ranged := strings.Cut(text, ",")
	m, err := strconv.Atoi(low)
	if err != nil || digits(low) != len(low) || m > 255 {
		return invalidRegexp("invalid repetition count(s)")
	}
	if ranged && high != "" {
		if n, err := strconv.Atoi(high); err != nil || digits(high) != len(high) || n > 255 || n < m {
			return invalidRegexp("invalid repetition count(s)")
		}
	}
	t.i += end + 1
	return t.quantifier("{" + text + "}")
}

// classes are the class escapes in the syntax of Go's brackets.
var regexClasses = map[byte]string{'d': "0-9", 's': `\t-\r `, 'w': "0-9A-Za-z_"}

// escape translates \x outside of brackets.
func (t *regexTranslator) escape() error {
	if t.i+1 >= len(t.in) {
		return invalidRegexp("invalid escape \\ sequence")
	}
	c := t.in[t.i+1]
	switch c {
	case 'd', 's', 'w':
		t.i += 2
		t.emit("["+regexClasses[c]+"]", true)
		return nil
	case 'D', 'S', 'W':
		t.i += 2
		t.emit("[^"+regexClasses[c|0x20]+"]", true)
		return nil
	case 'A':
		t.i += 2
		t.emit(`\A`, false)
		return nil
	case 'Z':
		t.i += 2
		t.emit(`\z`, false)
		return nil
	case 'y':
		t.i += 2
		t.emit(`\b`, false)
		return nil
	case 'Y':
		t.i += 2
		t.emit(`\B`, false)
		return nil
	case 'm', 'M':
		t.i += 2
		t.edges++
		t.emit(fmt.Sprintf(`(?P<%c%d>\b)`, c, t.edges), false)
		return nil
	}
	if c >= '1' && c <= '9' {
		return refuseRegexp(`the back reference \` + string(c))
	}
	t.i++
	r, err := t.escaped()
	if err != nil {
		return err
	}
	t.literal(r)
	return nil
}

// escaped reads the character after a backslash, at t.i.
func (t *regexTranslator) escaped() (rune, error) {
	r, n := utf8.DecodeRuneInString(t.in[t.i:])
	t.i += n
	switch r {
	case 'a':
		return '\a', nil
	case 'b':
		return '\b', nil
	case 'B':
		return '\\', nil
	case 'e':
		return 0x1b, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'v':
		return '\v', nil
	case '0': // octal, at most two more digits
		v := rune(0)
		for n := 0; n < 2 && t.i < len(t.in) && t.in[t.i] >= '0' && t.in[t.i] <= '7'; n++ {
			v = v*8 + rune(t.in[t.i]-'0')
			t.i++
		}
		return v, nil
	case 'u':
		return t.hex(4)
	case 'U':
		return t.hex(8)
	case 'x':
		n := 0
		for t.i+n < len(t.in) && strings.IndexByte("0123456789abcdefABCDEF", t.in[t.i+n]) >= 0 {
			n++
		}
		return t.hex(n)
	case 'c':
		if t.i >= len(t.in) {
			return 0, invalidRegexp("invalid escape \\ sequence")
		}
		r, n := utf8.DecodeRuneInString(t.in[t.i:])
		t.i += n
		return r & 0x1f, nil
	}
	if isLetter(r) || r >= '0' && r <= '9' {
		return 0, invalidRegexp("invalid escape \\ sequence")
	}
	return r, nil
}

func (t *regexTranslator) hex(n int) (rune, error) {
	if n < 1 || t.i+n > len(t.in) {
		return 0, invalidRegexp("invalid escape \\ sequence")
	}
	v, err := strconv.ParseUint(t.in[t.i:t.i+n], 16, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, invalidRegexp("invalid escape \\ sequence")
	}
	t.i += n
	return rune(v), nil
}

// bracket translates […].
func (t *regexTranslator) bracket() error {
	if strings.HasPrefix(t.in[t.i:], "[[:<:]]") || strings.HasPrefix(t.in[t.i:], "[[:>:]]") {
		return refuse(-1, "[[:<:]] in a regular expression").hint(`write \y`)
	}
	t.i++
	var b strings.Builder
	b.WriteByte('[')
	if t.i < len(t.in) && t.in[t.i] == '^' {
		b.WriteByte('^')
		if t.newline {
			b.WriteString(`\n`)
		}
		t.i++
	}
	for first := true; ; first = false {
		if t.i >= len(t.in) {
			return invalidRegexp("brackets [] not balanced")
		}
		if t.in[t.i] == ']' && !first {
			t.i++
			break
		}
		if err := t.bracketItem(&b, first); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	t.emit(b.String(), true)
	return nil
}

var regexPosix = map[string]string{
	"alpha": "A-Za-z", "digit": "0-9", "alnum": "0-9A-Za-z", "upper": "A-Z", "lower": "a-z", "space": `\t-\r `,
	"blank": ` \t`, "punct": "!-/:-@\\[-`{-~", "xdigit": "0-9A-Fa-f", "cntrl": `\x00-\x1f\x7f`, "print": " -~", "graph": "!-~", "word": "0-9A-Za-z_",
}

func (t *regexTranslator) bracketItem(b *strings.Builder, first bool) error {
	rest := t.in[t.i:]
	if strings.HasPrefix(rest, "[:") {
		end := strings.Index(rest, ":]")
		if end < 0 {
			return invalidRegexp("invalid character class")
		}
		class, ok := regexPosix[rest[2:end]]
		if !ok {
			return invalidRegexp("invalid character class")
		}
		if name := rest[2:end]; t.fold && (name == "upper" || name == "lower") {
			class = "A-Za-z"
		}
		b.WriteString(class)
		t.i += end + 2
		return nil
	}
	if strings.HasPrefix(rest, "[.") || strings.HasPrefix(rest, "[=") {
		return refuse(-1, "a collating element in a regular expression")
	}
	if rest[0] == '\\' && len(rest) > 1 {
		if class, ok := regexClasses[rest[1]]; ok {
			t.i += 2
			b.WriteString(class)
			return nil
		}
		if strings.IndexByte("DSW", rest[1]) >= 0 {
			t.i += 2
			b.WriteString(map[byte]string{'D': `\D`, 'S': `\x00-\x08\x0e-\x1f!-\x{10FFFF}`, 'W': `\W`}[rest[1]])
			return nil
		}
	}
	low, err := t.bracketChar(first)
	if err != nil {
		return err
	}
	high := low
	if r := t.in[t.i:]; len(r) > 1 && r[0] == '-' && r[1] != ']' {
		t.i++
		if high, err = t.bracketChar(true); err != nil {
			return err
		}
		if high < low {
			return invalidRegexp("invalid character range")
		}
	}
	t.writeRange(b, low, high)
	return nil
}

// bracketChar reads one character of a bracket.
func (t *regexTranslator) bracketChar(any bool) (rune, error) {
	if t.i >= len(t.in) {
		return 0, invalidRegexp("brackets [] not balanced")
	}
	r, n := utf8.DecodeRuneInString(t.in[t.i:])
	if r == '\\' {
		if t.i+1 >= len(t.in) {
			return 0, invalidRegexp("invalid escape \\ sequence")
		}
		t.i++
		return t.escaped()
	}
	if r == '-' && !any && t.i+1 < len(t.in) && t.in[t.i+1] != ']' {
		return 0, invalidRegexp("invalid character range")
	}
	t.i += n
	return r, nil
}

func (t *regexTranslator) writeRange(b *strings.Builder, low, high rune) {
	fmt.Fprintf(b, `\x{%x}-\x{%x}`, low, high)
	if !t.fold {
		return
	}
	for r := max(low, 'A'); r <= min(high, 'z'); r++ {
		if isLetter(r) {
			fmt.Fprintf(b, `\x{%x}`, r^0x20)
		}
	}
}

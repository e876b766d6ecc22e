package sql

import (
	"strings"
	"unicode/utf8"
)

func (c *catalog) addFormat() {
	c.entries = append(c.entries, entry{
		"format", "text with values put in: %s as text, %I as a name, %L as a literal, %1$s by position, %-10s with a width, %% for %",
		"SELECT format('Hello %s, %1$s', 'World')", "function", "Text",
	})
	f := &function{name: "format", args: []Type{Text, anyType}, ret: Text, variadic: true}
	f.typed = func(types []Type) *function {
		g := *f
		g.typed = nil
		g.eval = func(_ *env, a []value) (value, error) {
			if a[0].null {
				return null, nil
			}
			return formatText(a[0].s, types[1:], a[1:])
		}
		for _, t := range types {
			g.stable = g.stable || !t.textual()
		}
		return &g
	}
	plain := &function{name: "format", args: []Type{Text}, ret: Text, strict: true}
	plain.eval = func(_ *env, a []value) (value, error) { return formatText(a[0].s, nil, nil) }
	c.functions["format"] = []*function{plain, f}
}

// formatSpec is %[position$][-][width]type; a width of * is an argument.
type formatSpec struct {
	position      int // 0: the next
	left          bool
	width         int
	widthArg      bool
	widthPosition int
	verb          byte
}

func formatError(format string, args ...any) error {
	return fail(codeInvalidParameter, format, args...)
}

// number reads digits of a specification.
func formatNumber(s string) (n int, rest string, found bool, err error) {
	k := digits(s)
	for _, c := range s[:k] {
		if n = n*10 + int(c-'0'); n > 1<<31-1 {
			return 0, "", false, fail(codeOutOfRange, "number is out of range")
		}
	}
	if k > 0 && k == len(s) {
		return 0, "", false, formatError("unterminated format() type specifier").(*Error).hint(`for a single "%%" use "%%%%"`)
	}
	return n, s[k:], k > 0, nil
}

// parseFormatSpec reads what follows a %.
func parseFormatSpec(s string) (f formatSpec, rest string, err error) {
	unterminated := formatError("unterminated format() type specifier")
	n, rest, found, err := formatNumber(s)
	if err != nil {
		return f, "", err
	}
	if found {
		if rest[0] != '$' {
			f.width = n
			return f, rest, nil
		}
		if n == 0 {
			return f, "", formatError("format specifies argument 0, but arguments are numbered from 1")
		}
		if f.position, rest = n, rest[1:]; rest == "" {
			return f, "", unterminated
		}
	}
	for strings.HasPrefix(rest, "-") {
		if f.left, rest = true, rest[1:]; rest == "" {
			return f, "", unterminated
		}
	}
	if strings.HasPrefix(rest, "*") {
		f.widthArg = true
		if rest = rest[1:]; rest == "" {
			return f, "", unterminated
		}
		n, after, found, err := formatNumber(rest)
		if err != nil || !found {
			return f, rest, err
		}
		if after[0] != '$' {
			return f, "", formatError(`width argument position must be ended by "$"`)
		}
		if n == 0 {
			return f, "", formatError("format specifies argument 0, but arguments are numbered from 1")
		}
		if f.widthPosition, rest = n, after[1:]; rest == "" {
			return f, "", unterminated
		}
		return f, rest, nil
	}
	n, after, found, err := formatNumber(rest)
	if found {
		f.width, rest = n, after
	}
	return f, rest, err
}

// formatText is text_format.
func formatText(format string, types []Type, args []value) (value, error) {
	var b strings.Builder
	next := 0
	arg := func(position int) (value, Type, error) {
		if position > 0 {
			next = position - 1
		}
		if next >= len(args) {
			return null, 0, formatError("too few arguments for format()")
		}
		next++
		return args[next-1], types[next-1], nil
	}
	for {
		before, rest, found := strings.Cut(format, "%")
		if b.WriteString(before); !found {
			return limitedText(b.String())
		}
		if rest == "" {
			return null, formatError("unterminated format() type specifier")
		}
		if rest[0] == '%' {
			b.WriteByte('%')
			format = rest[1:]
			continue
		}
		spec, rest, err := parseFormatSpec(rest)
		if err != nil {
			return null, err
		}
		if rest == "" {
			return null, formatError("unterminated format() type specifier")
		}
		if spec.verb = rest[0]; strings.IndexByte("sIL", spec.verb) < 0 {
			r, _ := utf8.DecodeRuneInString(rest)
			return null, formatError("unrecognized format() type specifier %q", string(r))
		}
		format = rest[1:]
		if spec.widthArg {
			v, t, err := arg(spec.widthPosition)
			if err == nil {
				err = spec.setWidth(v, t)
			}
			if err != nil {
				return null, err
			}
		}
		v, t, err := arg(spec.position)
		if err == nil {
			err = spec.append(&b, v, t)
		}
		if err != nil {
			return null, err
		}
	}
}

func (f *formatSpec) setWidth(v value, t Type) error {
	if v.null {
		f.width = 0
		return nil
	}
	n := v
	if t != Int4 && t != Int2 {
		s, err := outputText(t, v)
		if err != nil {
			return err
		}
		if n, err = inputInt(Int4, s); err != nil {
			return err
		}
	}
	width := n.i
	if width < 0 {
		if width == -1<<31 {
			return fail(codeOutOfRange, "number is out of range")
		}
		f.left, width = true, -width
	}
	f.width = int(width)
	return nil
}

func (f *formatSpec) append(b *strings.Builder, v value, t Type) error {
	var s string
	var err error
	switch {
	case !v.null:
		if s, err = outputText(t, v); err != nil {
			return err
		}
		if f.verb != 's' && len(s) > maxText/2 {
			return errTooLong()
		}
		switch f.verb {
		case 'I':
			s = quoteIdentifier(s)
		case 'L':
			s = quoteLiteral(s)
		}
	case f.verb == 'L':
		s = "NULL"
	case f.verb == 'I':
		return fail("22004", "null values cannot be formatted as an SQL identifier")
	}
	pad := max(f.width-utf8.RuneCountInString(s), 0)
	if b.Len()+len(s)+pad > maxText {
		return errTooLong()
	}
	if !f.left {
		b.WriteString(strings.Repeat(" ", pad))
	}
	b.WriteString(s)
	if f.left {
		b.WriteString(strings.Repeat(" ", pad))
	}
	return nil
}

package sql

import (
	"crypto/md5"
	"encoding/hex"
	"math"
	"strings"
	"unicode/utf8"
)

func (c *catalog) addText() {
	const g = "Text"
	c.op(g, "||", "joined text; one side may be of any type but an array", "SELECT 'pid ' || 42", pairs{
		"text,text:text", func(a []value) (value, error) { return joinText(a[0].s, a[1].s) },
	})
	for _, t := range scalarTypes() {
		show := c.textOf(t)
		l := define("||", Text, t, Text, func(a []value) (value, error) {
			s, err := show(a[1])
			if err != nil {
				return null, err
			}
			return joinText(a[0].s, s)
		})
		r := define("||", t, Text, Text, func(a []value) (value, error) {
			s, err := show(a[0])
			if err != nil {
				return null, err
			}
			return joinText(s, a[1].s)
		})
		c.operators["||"] = append(c.operators["||"], l, r)
	}
	one := func(f func(string) string) pairs {
		return pairs{"text:text", func(a []value) value { return textValue(f(a[0].s)) }}
	}
	c.fn(g, "lower", "text in lower case (ASCII letters only, by collation C)", "SELECT lower('TOM')", one(lowerASCII))
	c.fn(g, "upper", "text in upper case (ASCII letters only, by collation C)", "SELECT upper('tom')", one(upperASCII))
	c.fn(g, "reverse", "characters in reverse order", "SELECT reverse('abc')", one(reverseText))
	c.fn(g, "md5", "MD5 digest in hex", "SELECT md5('abc')", one(func(s string) string {
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}))
	runes := pairs{"text:int4", func(a []value) value { return intValue(int64(utf8.RuneCountInString(a[0].s))) }}
	for _, name := range []string{"length", "char_length", "character_length"} {
		c.fn(g, name, "number of characters", "SELECT "+name+"('josé')", runes)
	}
	c.fn(g, "octet_length", "number of bytes", "SELECT octet_length('josé')", pairs{"text:int4", func(a []value) value { return intValue(int64(len(a[0].s))) }})
	c.fn(g, "ascii", "code point of the first character", "SELECT ascii('x')", pairs{"text:int4", func(a []value) value {
		if a[0].s == "" {
			return intValue(0)
		}
		r, _ := utf8.DecodeRuneInString(a[0].s)
		return intValue(int64(r))
	}})
	sub := pairs{
		"text,int4:text", func(a []value) (value, error) { return substring(a[0].s, a[1].i, 1<<40) },
		"text,int4,int4:text", func(a []value) (value, error) { return substring(a[0].s, a[1].i, a[2].i) },
	}
	c.fn(g, "substr", "part from a character, counted from 1, of a length", "SELECT substr('alphabet', 3, 2)", sub)
	c.fn(g, "substring", "the same; also substring(text FROM start FOR length)", "SELECT substring('Thomas' FROM 2 FOR 3)", sub)
	pos := pairs{"text,text:int4", func(a []value) value { return intValue(position(a[0].s, a[1].s)) }}
	c.fn(g, "strpos", "position of the second text in the first, counted from 1; 0 if it is not there", "SELECT strpos('high', 'ig')", pos)
	c.fn(g, "position", "the same, written position(part IN text)", "SELECT position('om' IN 'Thomas')", pos)
	c.fn(g, "starts_with", "whether the first text starts with the second", "SELECT starts_with('alphabet', 'alph')", pairs{
		"text,text:bool", func(a []value) value { return boolValue(strings.HasPrefix(a[0].s, a[1].s)) },
	})
	c.fn(g, "left", "first n characters; with n < 0 all but the last -n", "SELECT left('abcde', 2)", pairs{"text,int4:text", func(a []value) value {
		return textValue(leftRunes(a[0].s, cutLength(a[0].s, a[1].i)))
	}})
	c.fn(g, "right", "last n characters; with n < 0 all but the first -n", "SELECT right('abcde', 2)", pairs{"text,int4:text", func(a []value) value {
		if a[1].i == math.MinInt32 {
			return a[0] // text_right negates in 32 bits
		}
		n := max(utf8.RuneCountInString(a[0].s)-cutLength(a[0].s, a[1].i), 0)
		return textValue(a[0].s[len(leftRunes(a[0].s, n)):])
	}})
	c.fn(g, "replace", "each occurrence of the second text in the first replaced by the third", "SELECT replace('abcabc', 'b', 'x')", pairs{
		"text,text,text:text", func(a []value) (value, error) {
			if a[1].s == "" {
				return a[0], nil
			}
			n := strings.Count(a[0].s, a[1].s)
			if grown := len(a[2].s) - len(a[1].s); grown > 0 && n > (maxText-min(maxText, len(a[0].s)))/grown {
				return null, errTooLong()
			}
			return textValue(strings.ReplaceAll(a[0].s, a[1].s, a[2].s)), nil
		},
	})
	c.fn(g, "overlay", "part of a text replaced: overlay(text PLACING part FROM start FOR length)", "SELECT overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4)", pairs{
		"text,text,int4:text", func(a []value) (value, error) {
			return overlay(a[0].s, a[1].s, a[2].i, int64(utf8.RuneCountInString(a[1].s)), substring)
		},
		"text,text,int4,int4:text", func(a []value) (value, error) { return overlay(a[0].s, a[1].s, a[2].i, a[3].i, substring) },
	})
	c.fn(g, "translate", "characters of the second text replaced by those at the same place in the third", "SELECT translate('12345', '143', 'ax')", pairs{
		"text,text,text:text", func(a []value) (value, error) { return translate(a[0].s, a[1].s, a[2].s) },
	})
	c.fn(g, "split_part", "field n of a text split at a separator, from the end if n < 0", "SELECT split_part('a,b,c', ',', 2)", pairs{
		"text,text,int4:text", func(a []value) (value, error) { return splitPart(a[0].s, a[1].s, a[2].i) },
	})
	c.addTextJoins()
	c.addTrims()
}

// textOf is the cast of type t to text, of values that are not NULL.
func (c *catalog) textOf(t Type) func(v value) (string, error) {
	cast := c.casts[[2]Type{t, Text}]
	return func(v value) (string, error) {
		if cast == nil {
			return outputText(t, v)
		}
		shown, err := cast.eval(nil, []value{v})
		return shown.s, err
	}
}

// scalarTypes are the types of values that are not arrays, nor text.
func scalarTypes() []Type {
	return []Type{Bool, Int2, Int4, Int8, Float8, Numeric, Timestamptz, Timestamp, Date, Time, Interval, JSONB, Bytea, UUID, Inet, Cidr}
}

func (c *catalog) addTextJoins() {
	const g = "Text"
	c.fn(g, "repeat", "text n times", "SELECT repeat('ab', 3)", pairs{"text,int4:text", func(a []value) (value, error) {
		n := max(a[1].i, 0)
		if n*int64(len(a[0].s)) > maxText {
			return null, fail(codeLimit, "requested length too large")
		}
		return textValue(strings.Repeat(a[0].s, int(n))), nil
	}})
	pad := func(left bool) pairs {
		return pairs{
			"text,int4:text", func(a []value) (value, error) { return padText(a[0].s, a[1].i, " ", left) },
			"text,int4,text:text", func(a []value) (value, error) { return padText(a[0].s, a[1].i, a[2].s, left) },
		}
	}
	c.fn(g, "lpad", "text filled on the left, or cut, to a length", "SELECT lpad('7', 3, '0')", pad(true))
	c.fn(g, "rpad", "text filled on the right, or cut, to a length", "SELECT rpad('hi', 5, 'xy')", pad(false))
	c.entries = append(c.entries,
		entry{"concat", "text of all arguments joined; NULLs are left out", "SELECT concat('a', NULL, 1)", "function", g},
		entry{"concat_ws", "text of the arguments joined by the first; NULLs are left out", "SELECT concat_ws(',', 'a', NULL, 'b')", "function", g})
	concat := &function{name: "concat", args: []Type{anyType}, ret: Text, variadic: true}
	concat.typed = func(types []Type) *function { return concatFunction(concat, types) }
	c.functions["concat"] = []*function{concat}
	ws := &function{name: "concat_ws", args: []Type{Text, anyType}, ret: Text, variadic: true}
	ws.typed = func(types []Type) *function { return concatFunction(ws, types) }
	c.functions["concat_ws"] = []*function{ws}
}

// concatFunction is concat or concat_ws for arguments of the types given.
func concatFunction(fn *function, types []Type) *function {
	out := *fn
	out.typed = nil
	out.eval = func(_ *env, a []value) (value, error) {
		sep, rest, from := "", a, 0
		if fn.name == "concat_ws" {
			if a[0].null {
				return null, nil
			}
			sep, rest, from = a[0].s, a[1:], 1
		}
		var parts []string
		total := 0
		for i, v := range rest {
			if v.null {
				continue
			}
			s, err := outputText(types[from+i], v)
			if err != nil {
				return null, err
			}
			if total += len(s) + len(sep); total-len(sep) > maxText {
				return null, errTooLong()
			}
			parts = append(parts, s)
		}
		return textValue(strings.Join(parts, sep)), nil
	}
	for _, t := range types {
		out.stable = out.stable || !t.textual() // depends on output functions
	}
	return &out
}

func (c *catalog) addTrims() {
	const g = "Text"
	trim := func(f func(s, set string) string) pairs {
		return pairs{
			"text:text", func(a []value) value { return textValue(f(a[0].s, " ")) },
			"text,text:text", func(a []value) value { return textValue(f(a[0].s, a[1].s)) },
		}
	}
	c.fn(g, "btrim", "without spaces, or the characters given, at both ends; also trim(chars FROM text)", "SELECT btrim('xyabyx', 'xy')", trim(func(s, set string) string { return strings.TrimFunc(s, inSet(set)) }))
	c.fn(g, "ltrim", "without spaces, or the characters given, at the start", "SELECT ltrim('  a ')", trim(func(s, set string) string { return strings.TrimLeftFunc(s, inSet(set)) }))
	c.fn(g, "rtrim", "without spaces, or the characters given, at the end", "SELECT rtrim('a/', '/')", trim(func(s, set string) string { return strings.TrimRightFunc(s, inSet(set)) }))
}

// inSet returns the function that finds a character in set.
func inSet(set string) func(rune) bool {
	if len(set) <= 16 {
		return func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	m := runesOf(set)
	return func(r rune) bool { return m[r] }
}

func reverseText(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for s != "" {
		_, n := utf8.DecodeLastRuneInString(s)
		b.WriteString(s[len(s)-n:])
		s = s[:len(s)-n]
	}
	return b.String()
}

// cutLength is n, or the text's length without -n characters.
func cutLength(s string, n int64) int {
	if n < 0 {
		n += int64(utf8.RuneCountInString(s))
	}
	return int(max(min(n, int64(len(s))), 0))
}

// substring takes length characters from start, which may lie before the text.
func substring(s string, start, length int64) (value, error) {
	if length < 0 {
		return null, fail(codeSubstring, "negative substring length not allowed")
	}
	end := start + length // exclusive, counted from 1
	start = max(start, 1)
	if end <= start {
		return textValue(""), nil
	}
	rest := s[len(leftRunes(s, int(min(start-1, int64(len(s)))))):]
	return textValue(leftRunes(rest, int(min(end-start, int64(len(s)))))), nil
}

func position(s, part string) int64 {
	i := strings.Index(s, part)
	if i < 0 {
		return 0
	}
	return int64(utf8.RuneCountInString(s[:i])) + 1
}

func translate(s, from, to string) (value, error) {
	changes := make(map[rune]rune)
	for _, f := range from {
		r, n := utf8.DecodeRuneInString(to)
		if n == 0 {
			r = -1 // drops the character
		}
		to = to[n:]
		if _, ok := changes[f]; !ok {
			changes[f] = r
		}
	}
	n := 0
	for _, r := range s {
		if c, ok := changes[r]; ok {
			r = c
		}
		if r >= 0 {
			n += utf8.RuneLen(r)
		}
	}
	if n > maxText {
		return null, errTooLong()
	}
	return textValue(strings.Map(func(r rune) rune {
		if c, ok := changes[r]; ok {
			return c
		}
		return r
	}, s)), nil
}

func splitPart(s, sep string, n int64) (value, error) {
	if n == 0 {
		return null, fail(codeInvalidParameter, "field position must not be zero")
	}
	if sep == "" {
		if n == 1 || n == -1 {
			return textValue(s), nil
		}
		return textValue(""), nil
	}
	if n < 0 {
		n += int64(strings.Count(s, sep)) + 2
	}
	for more := true; n >= 1 && more; n-- {
		var part string
		if part, s, more = strings.Cut(s, sep); n == 1 {
			return textValue(part), nil
		}
	}
	return textValue(""), nil
}

func padText(s string, n int64, fill string, left bool) (value, error) {
	n = max(n, 0)
	if n > maxText/4 {
		return null, fail(codeLimit, "requested length too large")
	}
	have := utf8.RuneCountInString(s)
	if int(n) <= have {
		return textValue(leftRunes(s, int(n))), nil
	}
	if fill == "" {
		return textValue(s), nil
	}
	need := int(n) - have
	if len(s)+need > maxText {
		return null, errTooLong()
	}
	f := leftRunes(strings.Repeat(fill, need/utf8.RuneCountInString(fill)+1), need)
	if left {
		return textValue(f + s), nil
	}
	return textValue(s + f), nil
}

package sql

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func (c *catalog) addUnicode() {
	const g = "Text"
	c.fn(g, "chr", "character with a code point", "SELECT chr(65)", pairs{"int4:text", func(a []value) (value, error) {
		switch i := a[0].i; {
		case i < 0:
			return null, fail(codeInvalidParameter, "character number must be positive")
		case i == 0:
			return null, fail(codeLimit, "null character not permitted")
		case i > utf8.MaxRune:
			return null, fail(codeLimit, "requested character too large for encoding: %d", i)
		case !utf8.ValidRune(rune(i)):
			return null, fail(codeLimit, "requested character not valid for encoding: %d", i)
		default:
			return textValue(string(rune(i))), nil
		}
	}})
	c.fn(g, "unistr", `text with escapes \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX`, `SELECT unistr('d\0061t\+000061')`, pairs{
		"text:text", func(a []value) (value, error) { return unistr(a[0].s) },
	})
	forms := map[string]norm.Form{"nfc": norm.NFC, "nfd": norm.NFD, "nfkc": norm.NFKC, "nfkd": norm.NFKD}
	form := func(a []value) (norm.Form, error) {
		if len(a) < 2 {
			return norm.NFC, nil
		}
		f, ok := forms[lowerASCII(a[1].s)]
		if !ok {
			return 0, fail(codeInvalidParameter, "invalid normalization form: %s", a[1].s)
		}
		return f, nil
	}
	normalize := func(a []value) (value, error) {
		f, err := form(a)
		if err != nil {
			return null, err
		}
		if len(a[0].s) > maxText/16 { // a character may become 18
			return null, errTooLong()
		}
		return limitedText(f.String(a[0].s))
	}
	c.fn(g, "normalize", "text in a Unicode normalization form: normalize(text, NFC), NFD, NFKC or NFKD", "SELECT normalize('é', NFC) = 'é'", pairs{"text:text", normalize, "text,text:text", normalize})
	isNormalized := func(a []value) (value, error) {
		f, err := form(a)
		return boolValue(err == nil && f.IsNormalString(a[0].s)), err
	}
	c.fn(g, "is_normalized", "whether it is in that form; also text IS NFC NORMALIZED", "SELECT 'é' IS NFC NORMALIZED", pairs{"text:bool", isNormalized, "text,text:bool", isNormalized})
}

// unistr resolves the escapes of PostgreSQL's function of that name.
func unistr(s string) (value, error) {
	bad := func() (value, error) {
		return null, fail(codeSyntax, "invalid Unicode escape").hint(`escapes are \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX`)
	}
	badPair := fail(codeSyntax, "invalid Unicode surrogate pair")
	var b strings.Builder
	high := rune(0)
	for s != "" {
		if s[0] != '\\' {
			if high != 0 {
				return null, badPair
			}
			n := strings.IndexByte(s, '\\')
			if n < 0 {
				n = len(s)
			}
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		if strings.HasPrefix(s, `\\`) {
			if high != 0 {
				return null, badPair
			}
			b.WriteByte('\\')
			s = s[2:]
			continue
		}
		from, size := 1, 4
		switch {
		case strings.HasPrefix(s, `\+`):
			from, size = 2, 6
		case strings.HasPrefix(s, `\u`):
			from, size = 2, 4
		case strings.HasPrefix(s, `\U`):
			from, size = 2, 8
		}
		if len(s) < from+size {
			return bad()
		}
		p := &regexParser{in: s[from : from+size]}
		r, err := p.hexNumber(size)
		switch {
		case err != nil:
			return bad()
		case r == 0 || r > utf8.MaxRune:
			return null, fail(codeInvalidParameter, "invalid Unicode escape value")
		case high != 0:
			if r = utf16.DecodeRune(high, r); r == utf8.RuneError {
				return null, badPair
			}
			high = 0
		case r >= 0xd800 && r < 0xdc00:
			high = r
		case r >= 0xdc00 && r < 0xe000:
			return null, badPair
		}
		if high == 0 {
			b.WriteRune(r)
		}
		s = s[from+size:]
	}
	if high != 0 {
		return null, badPair
	}
	return textValue(b.String()), nil
}

package sql

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

func (c *catalog) addBytea() {
	const g = "Binary"
	c.op(g, "||", "", "", pairs{"bytea,bytea:bytea", func(a []value) (value, error) { return joinText(a[0].s, a[1].s) }})
	for _, name := range []string{"~~", "!~~"} {
		c.operators[name] = append(c.operators[name], &function{name: name, args: []Type{Bytea, Bytea}, ret: Bool, refused: "LIKE on bytea"})
	}
	c.fn(g, "encode", "bytes as text: base64, hex or escape", `SELECT encode('\x1234', 'base64')`, pairs{
		"bytea,text:text", func(a []value) (value, error) { return encode(a[0].s, a[1].s) },
	})
	c.fn(g, "decode", "bytes from text: base64, hex or escape", "SELECT decode('aGk=', 'base64')", pairs{
		"text,text:bytea", func(a []value) (value, error) { return decode(a[0].s, a[1].s) },
	})
	c.fn(g, "convert_from", "text from bytes in an encoding: UTF8, LATIN1 or SQL_ASCII", `SELECT convert_from('\x6869', 'UTF8')`, pairs{
		"bytea,text:text", stableFn(func(_ *env, a []value) (value, error) { return convertFrom(a[0].s, a[1].s) }),
	})
	c.fn(g, "convert_to", "bytes of a text in an encoding: UTF8, LATIN1 or SQL_ASCII", "SELECT convert_to('hi', 'UTF8')", pairs{
		"text,text:bytea", stableFn(func(_ *env, a []value) (value, error) { return convertTo(a[0].s, a[1].s) }),
	})
	bytes := func(a []value) value { return intValue(int64(len(a[0].s))) }
	c.more("length", pairs{"bytea:int4", bytes})
	c.more("length", pairs{"bytea,text:int4", stableFn(func(_ *env, a []value) (value, error) {
		v, err := convertFrom(a[0].s, a[1].s)
		return intValue(int64(utf8.RuneCountInString(v.s))), err
	})})
	c.more("octet_length", pairs{"bytea:int4", bytes})
	c.fn(g, "bit_length", "number of bits", "SELECT bit_length('jose')", pairs{
		"bytea:int4", func(a []value) value { return intValue(8 * int64(len(a[0].s))) },
		"text:int4", func(a []value) value { return intValue(8 * int64(len(a[0].s))) },
	})
	c.fn(g, "bit_count", "number of bits that are set", `SELECT bit_count('\x0f11'::bytea)`, pairs{"bytea:int8", func(a []value) value {
		n := 0
		for i := range len(a[0].s) {
			n += bits.OnesCount8(a[0].s[i])
		}
		return intValue(int64(n))
	}})
	sub := pairs{
		"bytea,int4:bytea", func(a []value) (value, error) { return byteSubstring(a[0].s, a[1].i, 1<<40) },
		"bytea,int4,int4:bytea", func(a []value) (value, error) { return byteSubstring(a[0].s, a[1].i, a[2].i) },
	}
	c.more("substr", sub)
	c.more("substring", sub)
	c.more("position", pairs{"bytea,bytea:int4", func(a []value) value { return intValue(int64(strings.Index(a[0].s, a[1].s)) + 1) }})
	trim := func(left, right bool) pairs {
		return pairs{"bytea,bytea:bytea", func(a []value) value { return textValue(trimBytes(a[0].s, a[1].s, left, right)) }}
	}
	c.more("btrim", trim(true, true))
	c.more("ltrim", trim(true, false))
	c.more("rtrim", trim(false, true))
	c.more("overlay", pairs{
		"bytea,bytea,int4:bytea", func(a []value) (value, error) {
			return overlay(a[0].s, a[1].s, a[2].i, int64(len(a[1].s)), byteSubstring)
		},
		"bytea,bytea,int4,int4:bytea", func(a []value) (value, error) { return overlay(a[0].s, a[1].s, a[2].i, a[3].i, byteSubstring) },
	})
	c.addBytes()
}

// more adds signatures to a function that another group documents.
func (c *catalog) more(name string, list pairs) {
	for i := 0; i < len(list); i += 2 {
		f := makeFunction(name, list[i].(string), list[i+1])
		if have := c.functions[name]; len(have) > 0 {
			f.group = have[0].group
		}
		c.functions[name] = append(c.functions[name], f)
	}
}

func (c *catalog) addBytes() {
	const g = "Binary"
	index := func(s string, n int64, size int64) error {
		if most := int64(len(s)) * size; n < 0 || n >= most {
			return fail(codeArraySubscript, "index %d out of valid range, 0..%d", n, most-1)
		}
		return nil
	}
	c.fn(g, "get_byte", "byte at an offset from 0", `SELECT get_byte('\x1234', 1)`, pairs{"bytea,int4:int4", func(a []value) (value, error) {
		if err := index(a[0].s, a[1].i, 1); err != nil {
			return null, err
		}
		return intValue(int64(a[0].s[a[1].i])), nil
	}})
	c.fn(g, "get_bit", "bit at an offset from 0, the lowest of a byte first", `SELECT get_bit('\x1234', 2)`, pairs{"bytea,int8:int4", func(a []value) (value, error) {
		if err := index(a[0].s, a[1].i, 8); err != nil {
			return null, err
		}
		return intValue(int64(a[0].s[a[1].i/8] >> (a[1].i % 8) & 1)), nil
	}})
	c.fn(g, "set_byte", "bytes with that at an offset changed", `SELECT set_byte('\x1234', 0, 255)`, pairs{"bytea,int4,int4:bytea", func(a []value) (value, error) {
		if err := index(a[0].s, a[1].i, 1); err != nil {
			return null, err
		}
		b := []byte(a[0].s)
		b[a[1].i] = byte(a[2].i)
		return textValue(string(b)), nil
	}})
	c.fn(g, "set_bit", "bytes with the bit at an offset changed", `SELECT set_bit('\x1234', 0, 1)`, pairs{"bytea,int8,int4:bytea", func(a []value) (value, error) {
		if err := index(a[0].s, a[1].i, 8); err != nil {
			return null, err
		}
		if a[2].i != 0 && a[2].i != 1 {
			return null, fail(codeInvalidParameter, "new bit must be 0 or 1")
		}
		b := []byte(a[0].s)
		at, shift := a[1].i/8, a[1].i%8
		b[at] = b[at]&^(1<<shift) | byte(a[2].i)<<shift
		return textValue(string(b)), nil
	}})
}

func (c *catalog) addDigests() {
	const g = "Binary"
	c.more("md5", pairs{"bytea:text", func(a []value) value {
		sum := md5.Sum([]byte(a[0].s))
		return textValue(hex.EncodeToString(sum[:]))
	}})
	for _, d := range []struct {
		name string
		sum  func(b []byte) []byte
	}{
		{"sha224", func(b []byte) []byte { s := sha256.Sum224(b); return s[:] }},
		{"sha256", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
		{"sha384", func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }},
		{"sha512", func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }},
	} {
		c.fn(g, d.name, strings.ToUpper(d.name[:3])+"-"+d.name[3:]+" digest; of a text: "+d.name+"(convert_to(text, 'UTF8'))", "SELECT "+d.name+"('abc')", pairs{
			"bytea:bytea", func(a []value) value { return textValue(string(d.sum([]byte(a[0].s)))) },
		})
	}
}

func byteSubstring(s string, start, length int64) (value, error) {
	if length < 0 {
		return null, fail(codeSubstring, "negative substring length not allowed")
	}
	end := min(start+length, int64(len(s))+1)
	start = max(start, 1)
	if end <= start {
		return textValue(""), nil
	}
	return textValue(s[start-1 : end-1]), nil
}

// trimBytes drops bytes of set at the ends.
func trimBytes(s, set string, left, right bool) string {
	for left && s != "" && strings.IndexByte(set, s[0]) >= 0 {
		s = s[1:]
	}
	for right && s != "" && strings.IndexByte(set, s[len(s)-1]) >= 0 {
		s = s[:len(s)-1]
	}
	return s
}

// overlay puts part in place of length characters (or bytes, as cut counts)
// from start on.
func overlay(s, part string, start, length int64, cut func(s string, start, length int64) (value, error)) (value, error) {
	if start <= 0 {
		return null, fail(codeSubstring, "negative substring length not allowed")
	}
	if start+length > math.MaxInt32 || start+length < math.MinInt32 {
		return null, outOfRange(Int4)
	}
	before, err := cut(s, 1, start-1)
	if err != nil {
		return null, err
	}
	after, err := cut(s, start+length, 1<<40)
	if err != nil {
		return null, err
	}
	if len(before.s)+len(part)+len(after.s) > maxText {
		return null, errTooLong()
	}
	return textValue(before.s + part + after.s), nil
}

// charset is the canonical name of an encoding, "" if it is not known here:
// letters of either case, and only letters and digits count.
func charset(name string) string {
	switch charsetKey(name) {
	case "utf8", "unicode":
		return "UTF8"
	case "latin1", "iso88591":
		return "LATIN1"
	case "sqlascii":
		return "SQL_ASCII"
	}
	return ""
}

func charsetKey(name string) string {
	return strings.Map(func(r rune) rune {
		if isWord(r) && r != '_' {
			return r
		}
		return -1
	}, lowerASCII(name))
}

// charsets that PostgreSQL knows beside those here.
var charsets = []string{
	"big5", "euccn", "eucjp", "eucjis2004", "euckr", "euctw", "gb18030", "gbk", "iso88592", "iso88593", "iso88594", "iso88595", "iso88596",
	"iso88597", "iso88598", "iso88599", "iso885910", "iso885913", "iso885914", "iso885915", "iso885916", "johab", "koi8r", "koi8u", "koi8",
	"latin2", "latin3", "latin4", "latin5", "latin6", "latin7", "latin8", "latin9", "latin10", "muleinternal", "sjis", "shiftjis",
	"shiftjis2004", "uhc", "win", "win866", "win874", "win932", "win936", "win949", "win950", "win1250", "win1251", "win1252", "win1253",
	"win1254", "win1255", "win1256", "win1257", "win1258", "windows949", "windows950", "windows1250", "windows1252", "abc", "tcvn", "tcvn5712", "vscii", "alt", "mskanji",
}

func unknownCharset(name string) error {
	if slices.Contains(charsets, charsetKey(name)) {
		return fail(codeUnsupported, "the encoding %q is not supported", name).hint("encodings: UTF8, LATIN1, SQL_ASCII")
	}
	return fail(codeInvalidParameter, "invalid encoding name %q", name)
}

func convertFrom(s, name string) (value, error) {
	set := charset(name)
	switch {
	case set == "":
		return null, unknownCharset(name)
	case strings.IndexByte(s, 0) >= 0 && set != "SQL_ASCII":
		return null, fail(codeCharacter, "invalid byte sequence for encoding %q: 0x00", set)
	case set == "LATIN1":
		var b strings.Builder
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		if b.Len() > maxText {
			return null, errTooLong()
		}
		return textValue(b.String()), nil
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return null, fail(codeCharacter, "invalid byte sequence for encoding %q", set)
	}
	return textValue(s), nil
}

func convertTo(s, name string) (value, error) {
	switch charset(name) {
	case "":
		return null, unknownCharset(name)
	case "LATIN1":
		b := make([]byte, 0, len(s))
		for _, r := range s {
			if r > 0xff {
				return null, fail("22P05", `character %q in encoding "UTF8" has no equivalent in encoding "LATIN1"`, r)
			}
			b = append(b, byte(r))
		}
		return textValue(string(b)), nil
	}
	return textValue(s), nil
}

// fromLatin1 is the text with a character for each byte.
func fromLatin1(s string) string {
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}

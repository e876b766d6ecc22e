package sql

import (
	"strconv"
	"strings"
)

// keywords are those that PostgreSQL 15 can not take as a name everywhere, so
// that it quotes them (all but the unreserved in its kwlist.h).
const keywords = ` all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
 character check coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role
 current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists extract
 false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect
 interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not
 notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real references
 returning right row select session_user setof similar smallint some substring symmetric table tablesample then time timestamp to trailing
 treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement
 xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable `

// quoteIdentifier quotes a name where that is needed.
func quoteIdentifier(s string) string {
	safe := s != "" && (s[0] >= 'a' && s[0] <= 'z' || s[0] == '_')
	for i := 0; i < len(s) && safe; i++ {
		safe = s[i] == '_' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9'
	}
	if safe {
		at := strings.Index(keywords, " "+s)
		end := at + len(s) + 1
		safe = at < 0 || keywords[end] != ' ' && keywords[end] != '\n' && !strings.Contains(keywords, " "+s+" ") && !strings.Contains(keywords, " "+s+"\n")
	}
	if safe {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// quoteLiteral quotes a text as a literal, with E when it has a backslash.
func quoteLiteral(s string) string {
	prefix := ""
	if strings.IndexByte(s, '\\') >= 0 {
		prefix = "E"
	}
	return prefix + "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(s) + "'"
}

func limitedText(s string) (value, error) {
	if len(s) > maxText {
		return null, errTooLong()
	}
	return textValue(s), nil
}

func (c *catalog) addQuoting() {
	const g = "Text"
	one := func(f func(string) string) pairs {
		return pairs{"text:text", func(a []value) (value, error) {
			if len(a[0].s) > maxText/2 {
				return null, errTooLong()
			}
			return limitedText(f(a[0].s))
		}}
	}
	c.fn(g, "quote_ident", "text as a name in SQL, quoted where needed", `SELECT quote_ident('Foo bar')`, one(quoteIdentifier))
	// A value of any type is quoted as its text.
	ofAny := func(name string, ofNull value) *function {
		f := &function{name: name, args: []Type{anyElement}, ret: Text}
		f.typed = func(types []Type) *function {
			show := c.textOf(types[0])
			g := *f
			g.stable = types[0].category() == 'D'
			g.typed, g.eval = nil, func(_ *env, a []value) (value, error) {
				if a[0].null {
					return ofNull, nil
				}
				s, err := show(a[0])
				if err != nil {
					return null, err
				}
				if len(s) > maxText/2 {
					return null, errTooLong()
				}
				return limitedText(quoteLiteral(s))
			}
			return &g
		}
		return f
	}
	c.fn(g, "quote_literal", "text as a literal in SQL", `SELECT quote_literal('O''Reilly')`, one(quoteLiteral))
	c.functions["quote_literal"] = append(c.functions["quote_literal"], ofAny("quote_literal", null))
	c.fn(g, "quote_nullable", "the same, NULL for NULL", "SELECT quote_nullable(NULL)", pairs{"text:text", notStrict(func(_ *env, a []value) (value, error) {
		if a[0].null {
			return textValue("NULL"), nil
		}
		if len(a[0].s) > maxText/2 {
			return null, errTooLong()
		}
		return limitedText(quoteLiteral(a[0].s))
	})})
	c.functions["quote_nullable"] = append(c.functions["quote_nullable"], ofAny("quote_nullable", textValue("NULL")))
	c.fn(g, "to_hex", "number in hexadecimal", "SELECT to_hex(2147483647)", pairs{
		"int4:text", func(a []value) value { return textValue(strconv.FormatUint(uint64(uint32(a[0].i)), 16)) },
		"int8:text", func(a []value) value { return textValue(strconv.FormatUint(uint64(a[0].i), 16)) },
	})
	c.fn(g, "initcap", "first letter of each word in upper case, the rest in lower case (ASCII only, by collation C)", "SELECT initcap('hi THOMAS')", pairs{"text:text", func(a []value) value {
		b := []byte(a[0].s)
		inside := false
		for i, ch := range b {
			switch {
			case ch >= 'a' && ch <= 'z' && !inside:
				b[i] = ch - 32
			case ch >= 'A' && ch <= 'Z' && inside:
				b[i] = ch + 32
			}
			inside = ch != '_' && isWord(rune(ch))
		}
		return textValue(string(b))
	}})
	for _, like := range []string{"<", "<=", ">", ">="} {
		name, op := "~"+like+"~", comparisons[like]
		c.op(g, name, "the same as "+like+", by bytes in every collation", "SELECT 'a' "+name+" 'b'", pairs{
			"text,text:bool", func(a []value) value { return boolValue(op.holds(strings.Compare(a[0].s, a[1].s))) },
		})
	}
	c.op(g, "^@", "starts with", "SELECT 'alphabet' ^@ 'alph'", pairs{"text,text:bool", func(a []value) value { return boolValue(strings.HasPrefix(a[0].s, a[1].s)) }})
}

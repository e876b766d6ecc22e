package generator

import (
	"slices"
	"strconv"
)

// call is a call of a function or operator that the engine lists, nil when it
// lists none with the result.
func (g *gen) call(s scope, typ string) *node {
	list := theCalls().byResult[typ]
	if !g.risk {
		list = slices.DeleteFunc(slices.Clone(list), signature.risky)
	}
	if len(list) == 0 {
		return nil
	}
	c := one(g, list)
	if c.operator {
		return g.operation(s, c)
	}
	args := listOf("", ", ", "")
	count := len(c.args)
	if c.variadic {
		count += g.below(3)
	}
	for i := range count {
		args.parts = append(args.parts, g.argument(s, c, i))
	}
	switch {
	case c.name == "extract":
		return typed(typ, "extract(", args.parts[0].(*node).unquoted(), " FROM ", args.parts[1], ")")
	case c.name == "position":
		return typed(typ, "position(", args.parts[0], " IN ", args.parts[1], ")")
	case count == 0:
		return typed(typ, c.name+"()")
	}
	return typed(typ, c.name+"(", args, ")")
}

// unquoted writes a constant as a word.
func (n *node) unquoted() string {
	text := n.String()
	return text[1 : len(text)-1]
}

func (g *gen) operation(s scope, c signature) *node {
	if len(c.args) == 1 {
		return typed(c.ret, "("+c.name+" ", g.argument(s, c, 0), ")")
	}
	l, r := g.argument(s, c, 0), g.argument(s, c, 1)
	return typed(c.ret, "(", l, " "+c.name+" ", r, ")")
}

// argument is one that the function takes: of those that take little of what
// their type allows, one of that.
func (g *gen) argument(s scope, c signature, i int) *node {
	typ := c.args[min(i, len(c.args)-1)]
	if typ == "any" {
		typ = g.plainType()
	}
	if list := arguments[c.name][i]; list != nil && fits(list[0], typ) {
		return seq(one(g, list))
	}
	switch {
	case (c.name == "extract" || c.name == "date_part") && i == 0:
		return seq(one(g, fieldsOf(c.args[1])))
	case c.name == "format" && len(c.args) == 1:
		return seq("'100%% é'")
	case c.name == "to_char" && i == 1:
		return seq(quote(one(g, formats[c.args[0]])))
	case slices.Contains([]string{"~", "~*", "!~", "!~*"}, c.name) && c.operator && i == 1 && typ == "text":
		return seq(quote(one(g, regexps)))
	case slices.Contains([]string{"~~", "!~~", "~~*", "!~~*"}, c.name) && i == 1:
		return seq(quote(one(g, patterns)))
	case slices.Contains([]string{"regexp_match", "regexp_replace", "regexp_count", "regexp_like", "regexp_instr", "regexp_substr", "regexp_split_to_array"}, c.name) && i > 0:
		return g.regexpArgument(c, i)
	case c.name == "substring" && i == 1 && typ == "text":
		return seq(quote(one(g, regexps)))
	case c.name == "substring" && i == 2 && typ == "text":
		return seq("'#'")
	case i > 0 && c.name != "||" && (typ == "text" || typ == "int4") && g.percent(50):
		if typ == "int4" {
			return g.count()
		}
		if typ == "text" {
			return seq(quote(one(g, words)))
		}
	}
	return g.expr(s, typ)
}

// fits reports whether a constant can stand for an argument of the type.
func fits(constant, typ string) bool {
	switch constant[0] {
	case '\'':
		return typ == "text" || typ == "text[]"
	case 'A':
		return typ == "int4[]"
	case 'i', 'N':
		return typ == "interval" || typ == "text"
	}
	return slices.Contains([]string{"int2", "int4", "int8", "numeric", "float8"}, typ)
}

// fieldsOf are the fields that a value of the type has.
func fieldsOf(typ string) []string {
	switch typ {
	case "time":
		return []string{"'hour'", "'minute'", "'second'", "'epoch'", "'milliseconds'", "'microseconds'"}
	case "date":
		return []string{"'day'", "'month'", "'year'", "'epoch'", "'century'", "'quarter'", "'decade'", "'dow'", "'doy'", "'week'", "'isoyear'"}
	case "interval":
		return fields
	}
	return slices.Concat(fields, []string{"'dow'", "'isodow'", "'doy'", "'week'", "'isoyear'"})
}

func (g *gen) regexpArgument(c signature, i int) *node {
	switch {
	case i == 1:
		return seq(quote(one(g, regexps)))
	case c.args[i] == "int4":
		return seq(strconv.Itoa(1 + g.below(3)))
	case c.name == "regexp_replace" && i == 2:
		return seq(quote(one(g, []string{"", "x", `<\1>`, `\&\&`, `\\`})))
	}
	if c.name == "regexp_replace" && c.args[i-1] == "text" {
		return seq(quote(one(g, []string{"g", "i", "", "gi"})))
	}
	return seq(quote(one(g, []string{"i", "", "n", "s"})))
}

// count is a number of characters, elements or times.
func (g *gen) count() *node {
	if g.risk && g.percent(20) {
		return seq(one(g, []string{"-1", "0", "-3"}))
	}
	return seq(strconv.Itoa(1 + g.below(8)))
}

// fields are those that every time has, and intervals too.
var fields = []string{"'hour'", "'day'", "'epoch'", "'minute'", "'second'", "'month'", "'year'", "'milliseconds'", "'microseconds'", "'century'", "'decade'", "'millennium'", "'quarter'"}

var small = []string{"1", "2", "3", "5", "8"}

// arguments are what stands at a place of a function that takes little, or
// whose cost grows with it.
var arguments = map[string]map[int][]string{
	"length":           {1: {"'UTF8'"}},
	"convert_from":     {1: {"'UTF8'"}},
	"convert_to":       {1: {"'UTF8'"}},
	"is_normalized":    {1: {"'NFC'", "'NFD'"}},
	"set_byte":         {1: {"0"}, 2: {"0", "65", "255"}},
	"set_bit":          {1: {"0", "3"}, 2: {"0", "1"}},
	"get_bit":          {1: {"0", "3"}},
	"date_trunc":       {0: {"'hour'", "'day'", "'minute'", "'second'", "'month'", "'year'", "'milliseconds'", "'quarter'", "'century'", "'decade'", "'millennium'", "'microseconds'"}},
	"date_bin":         {0: {"interval '15 minutes'", "interval '1 hour'", "interval '7 days'", "interval '1.5 seconds'"}},
	"timezone":         {0: {"'UTC'"}},
	"repeat":           {1: {"2", "0", "3", "-1"}},
	"lpad":             {1: {"5", "0", "12", "-1", "2"}, 2: {"'x'", "'ab'", "'é'", "''"}},
	"rpad":             {1: {"5", "0", "12", "-1", "2"}, 2: {"'x'", "'ab'", "'é'", "''"}},
	"substr":           {1: {"1", "2", "-1", "0", "4"}, 2: small},
	"substring":        {2: small},
	"overlay":          {2: small, 3: small},
	"split_part":       {1: {"'/'", "' '", "','", "'a'", "''"}, 2: {"1", "2", "-1", "3"}},
	"left":             {1: {"1", "3", "-1", "0", "100", "-2"}},
	"right":            {1: {"1", "3", "-1", "0", "100", "-2"}},
	"encode":           {1: {"'hex'", "'base64'", "'escape'"}},
	"decode":           {1: {"'hex'", "'base64'", "'escape'"}},
	"round":            {1: {"0", "1", "2", "-1", "5"}},
	"trunc":            {1: {"0", "1", "2", "-1", "5"}},
	"array_fill":       {1: {"ARRAY[2]", "ARRAY[0]", "ARRAY[2, 1]", "ARRAY[3]"}, 2: {"ARRAY[1]", "ARRAY[2]"}},
	"array_length":     {1: {"1", "2", "0"}},
	"array_upper":      {1: {"1", "2"}},
	"array_lower":      {1: {"1", "2"}},
	"make_interval":    {0: small, 1: small, 2: small, 3: small, 4: small, 5: small, 6: {"1.5", "59", "0"}},
	"make_date":        {0: {"2024", "1999"}, 1: {"1", "2", "12"}, 2: {"1", "28", "29"}},
	"make_time":        {0: {"0", "23"}, 1: {"0", "59"}, 2: {"0", "59.5"}},
	"make_timestamp":   {0: {"2024", "1999"}, 1: {"1", "2", "12"}, 2: {"1", "28", "29"}, 3: {"0", "23"}, 4: {"0", "59"}, 5: {"0", "59.5"}},
	"make_timestamptz": {0: {"2024", "1999"}, 1: {"1", "2", "12"}, 2: {"1", "28", "29"}, 3: {"0", "23"}, 4: {"0", "59"}, 5: {"0", "59.5"}, 6: {"'UTC'"}},
	"format":           {0: {"'%s'", "'%I'", "'%L'", "'<%s>'", "'%1$s %%'", "'%10s|'", "'%-10s|'"}},
	"to_date":          {0: {"'2024-03-01'", "'05 Dec 2000'"}, 1: {"'YYYY-MM-DD'", "'DD Mon YYYY'"}},
	"set_masklen":      {1: {"0", "8", "24", "32"}},
	"power":            {1: {"2", "0.5", "-1", "3"}},
	"chr":              {0: {"65", "233", "8364", "128512", "10"}},
	"get_byte":         {1: {"0"}},
	"factorial":        {0: {"0", "5", "20", "30"}},
	"width_bucket":     {1: {"0"}, 2: {"100"}, 3: small},
	"regexp_instr":     {2: small, 3: small, 4: {"0", "1"}, 5: {"'i'", "''"}, 6: {"0"}},
	"regexp_substr":    {2: small, 3: small, 4: {"'i'", "''"}, 5: {"0"}},
	"regexp_count":     {2: small},
	"jsonb_set":        {1: {"'{a}'", "'{a,b}'", "'{0}'"}},
	"normalize":        {1: {"NFC", "NFD"}},
}

// formats are to_char's templates by the type of what is written.
var formats = map[string][]string{
	"timestamptz": {"YYYY-MM-DD HH24:MI:SS", "HH12:MI:SS AM", "Day, DD Mon YYYY", "MS US", "YYYY-MM-DD\"T\"HH24:MI:SS.US", "IYYY-IW", "D DDD Q", "FMMonth FMDD", "J"},
	"timestamp":   {"YYYY-MM-DD HH24:MI:SS", "HH12:MI:SS AM", "Day, DD Mon YYYY", "MS US", "IYYY-IW", "D DDD Q", "FMMonth FMDD"},
	"interval":    {"HH24:MI:SS", "DD", "MS"},
	"int4":        {"999", "000", "FM9999", "S99", "9,999"},
	"int8":        {"999", "000", "FM9999", "S99", "9,999"},
	"numeric":     {"999.99", "FM990.00", "S99.9", "9G999D9"},
	"float8":      {"999.99", "FM990.00", "S99.9"},
	"date":        {"YYYY-MM-DD"},
}

// special are forms that are no plain call.
func (g *gen) special(s scope, typ string) *node {
	switch typ {
	case "text":
		switch g.below(4) {
		case 0:
			return typed(typ, "substring(", g.expr(s, "text"), " FROM ", one(g, []string{"1", "2", "0", "-1"}), optional(" FOR ", one(g, small)), ")")
		case 1:
			return typed(typ, "trim(", one(g, []string{"BOTH ", "LEADING ", "TRAILING "}), quote(one(g, words)), " FROM ", g.expr(s, "text"), ")")
		case 2:
			return typed(typ, "(", g.leaf(s, "text"), ` COLLATE "C" || '`, one(g, words[:5]), "')")
		}
		return typed(typ, "overlay(", g.expr(s, "text"), " PLACING ", quote(one(g, words)), " FROM ", one(g, small), ")")
	case "numeric":
		of := one(g, []string{"timestamptz", "timestamp", "interval", "timestamptz"})
		return typed(typ, "extract(", fieldOf(g), " FROM ", g.expr(s, of), ")")
	case "timestamptz":
		return typed(typ, "date_trunc(", one(g, arguments["date_trunc"][0]), ", ", g.expr(s, typ), ")")
	case "int4":
		return typed(typ, one(g, []string{"length(", "octet_length(", "ascii("}), g.expr(s, "text"), ")")
	case "bool":
		l := g.column(s, "timestamptz")
		if l != nil && g.percent(40) {
			return typed(typ, "(", l, " >= ", g.bare("timestamptz"), " AND ", l, " < timestamptz '2024-03-01 12:00:00' + interval ", quote(one(g, intervals[:2])), ")")
		}
	case "int8":
		return typed(typ, "(", g.expr(s, "int4"), ")::int8")
	}
	return nil
}

func fieldOf(g *gen) string {
	f := one(g, fields)
	return f[1 : len(f)-1]
}

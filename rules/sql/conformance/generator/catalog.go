package generator

import (
	"slices"
	"strings"
	"sync"

	"daemoneye/rules/sql"
)

// signature is one way to call a function or operator of the engine's list.
type signature struct {
	name     string
	args     []string
	ret      string
	operator bool
	variadic bool
}

// shortNames are the names of types as literals and casts write them.
var shortNames = map[string]string{
	"boolean": "bool", "smallint": "int2", "integer": "int4", "bigint": "int8", "double precision": "float8",
	"character varying": "varchar", "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
	"time without time zone": "time", `"any"`: "any", "interval": "interval", "numeric": "numeric", "text": "text",
	"date": "date", "jsonb": "jsonb", "bytea": "bytea", "uuid": "uuid", "inet": "inet", "cidr": "cidr",
	"anyelement": "anyelement", "anyarray": "anyarray", "anynonarray": "anynonarray",
	"anycompatible": "anycompatible", "anycompatiblearray": "anycompatiblearray",
}

func shortName(name string) string {
	elem, array := strings.CutSuffix(name, "[]")
	short, ok := shortNames[elem]
	switch {
	case !ok:
		return ""
	case array:
		return short + "[]"
	}
	return short
}

// calls is what the engine lists, by the type of the result.
type calls struct {
	byResult   map[string][]signature
	aggregates map[string][]signature
	inexact    []signature
	types      map[string]bool
}

// left out: what gives another answer at another time, or has a form of its own
// in this package.
var skipped = []string{
	"now", "current_timestamp", "localtimestamp", "current_date", "current_time", "localtime", "clock_timestamp", "statement_timestamp",
	"transaction_timestamp", "timeofday", "random", "string_agg", "array_agg", "jsonb_agg", "json_agg", "jsonb_object_agg", "mode", "percentile_cont",
	"percentile_disc", "rank", "dense_rank", "percent_rank", "cume_dist", "row_number", "ntile", "lag", "lead", "first_value", "last_value",
	"nth_value", "grouping", "unnest", "generate_series", "generate_subscripts", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_each", "jsonb_each_text",
	"jsonb_object_keys", "regexp_matches", "regexp_split_to_table", "string_to_table", "coalesce", "nullif", "greatest", "least", "case", "AND", "OR", "NOT",
}

// inexact are functions of double precision whose last digit depends on the C
// library; a column of the result is compared with a tolerance.
var inexact = []string{
	"exp", "ln", "log", "log10", "power", "pow", "^", "cbrt", "||/", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
	"asinh", "acosh", "atanh", "sind", "cosd", "tand", "cotd", "asind", "acosd", "atand", "atan2d", "degrees", "radians",
}

// theCalls reads the engine's list once.
var theCalls = sync.OnceValue(func() *calls {
	c := &calls{byResult: map[string][]signature{}, aggregates: map[string][]signature{}, types: map[string]bool{}}
	for _, f := range sql.Functions() {
		if slices.Contains(skipped, f.Name) {
			continue
		}
		for _, line := range strings.Split(f.Signature, "\n") {
			s, ok := parseSignature(f.Name, line, f.Kind == "operator")
			if !ok {
				continue
			}
			for _, t := range append(slices.Clone(s.args), s.ret) {
				c.types[strings.TrimSuffix(t, "[]")] = true
			}
			if f.Kind == "aggregate" {
				c.addAggregate(s)
			} else {
				c.add(s)
			}
		}
	}
	return c
})

// parseSignature reads "name(text, integer, …) → text" or "text || text → text".
func parseSignature(name, line string, operator bool) (s signature, ok bool) {
	call, ret, found := strings.Cut(line, " → ")
	if !found {
		return s, false
	}
	s = signature{name: name, operator: operator, ret: shortName(ret)}
	if operator {
		left, right, binary := strings.Cut(" "+call, " "+name+" ")
		if left = strings.TrimSpace(left); binary && left != "" {
			s.args = append(s.args, shortName(left))
		}
		s.args = append(s.args, shortName(strings.TrimSpace(right)))
	} else {
		inner := strings.TrimSuffix(strings.TrimPrefix(call, name+"("), ")")
		inner, s.variadic = strings.CutSuffix(inner, ", …")
		for _, arg := range strings.Split(inner, ", ") {
			if arg != "" {
				s.args = append(s.args, shortName(arg))
			}
		}
	}
	return s, s.ret != "" && !slices.Contains(s.args, "")
}

func (c *calls) add(s signature) {
	if s.name == "age" && len(s.args) == 1 || s.operator && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, s.name) {
		return // depends on the day; has a form of its own
	}
	if s.ret == "float8" && slices.Contains(inexact, s.name) {
		c.inexact = append(c.inexact, s)
		return
	}
	for _, s := range s.instances() {
		c.byResult[s.ret] = append(c.byResult[s.ret], s)
	}
}

func (c *calls) addAggregate(s signature) {
	for _, s := range s.instances() {
		c.aggregates[s.ret] = append(c.aggregates[s.ret], s)
	}
}

// instances puts types in the place of pseudo-types.
func (s signature) instances() []signature {
	all := append(slices.Clone(s.args), s.ret)
	if !slices.ContainsFunc(all, func(t string) bool { return strings.HasPrefix(t, "any") && t != "any" }) {
		return []signature{s}
	}
	var out []signature
	for _, elem := range []string{"text", "int4", "int8", "timestamptz", "numeric"} {
		put := func(t string) string {
			switch t {
			case "anyelement", "anynonarray", "anycompatible":
				return elem
			case "anyarray", "anycompatiblearray":
				return elem + "[]"
			}
			return t
		}
		i := s
		i.args, i.ret = nil, put(s.ret)
		for _, t := range s.args {
			i.args = append(i.args, put(t))
		}
		out = append(out, i)
	}
	return out
}

// risky reports whether a call can fail, so that whether it does may depend on
// what else is evaluated.
func (s signature) risky() bool {
	if s.operator {
		switch s.name {
		case "+", "-", "*", "/", "%", "<<", ">>":
			return !slices.Contains([]string{"inet", "cidr"}, s.args[0]) || s.name == "+" || s.name == "-"
		}
		return false
	}
	return !slices.Contains(harmless, s.name)
}

// harmless are the functions that fail for no argument that is given to them here.
var harmless = []string{
	"lower", "upper", "reverse", "md5", "length", "char_length", "character_length", "octet_length", "bit_length", "ascii", "substr", "strpos", "position",
	"starts_with", "left", "right", "replace", "translate", "split_part", "repeat", "lpad", "rpad", "concat", "concat_ws", "btrim", "ltrim", "rtrim", "trim",
	"initcap", "overlay", "quote_literal", "quote_nullable", "quote_ident", "sha256", "sha224", "sha384", "sha512", "encode", "to_hex",
	"cardinality", "array_length", "array_upper", "array_lower", "array_ndims", "array_position", "array_positions", "array_append", "array_prepend", "array_cat",
	"array_remove", "array_replace", "array_to_string", "string_to_array", "jsonb_typeof", "jsonb_strip_nulls", "to_jsonb",
	"floor", "ceil", "ceiling", "round", "trunc", "sign", "scale", "trim_scale", "min_scale", "extract", "date_part", "date_trunc", "age", "timezone", "justify_hours",
	"host", "masklen", "family", "text", "abbrev", "netmask", "network", "hostmask", "broadcast", "isfinite",
	"regexp_match", "regexp_replace", "regexp_count", "regexp_like", "regexp_instr", "regexp_substr", "regexp_split_to_array", "to_char", "date_bin",
	"md5", "get_byte", "num_nulls", "num_nonnulls", "count", "min", "max", "bool_and", "bool_or", "every",
}

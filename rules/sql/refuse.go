package sql

import "strings"

// instead says what to write in place of what refuse names.
var instead = map[string]string{
	"FOR UPDATE or FOR SHARE":               "leave it out: a query only reads",
	"SELECT INTO":                           "leave INTO out: a query only reads",
	"a statement other than SELECT in WITH": "a query only reads",
	"TABLESAMPLE":                           "a condition such as pid % 100 = 0 takes some of the rows, LIMIT the first ones",
	"SEARCH":                                "collect the way in an array column, path || pid, and ORDER BY that",
	"CYCLE":                                 "collect the way in an array column, path || pid, and go on WHERE pid <> ALL (path)",
	"a list of column definitions":          "take JSON apart with jsonb_array_elements(…) and ->>",
	"XMLTABLE":                              "there is no type xml",
	"an XML expression":                     "there is no type xml",
	"JSON_OBJECT":                           "write jsonb_build_object('key', value, …)",
	"JSON_OBJECTAGG":                        "write jsonb_object_agg(key, value)",
	"JSON_ARRAY":                            "write jsonb_build_array(value, …)",
	"JSON_ARRAYAGG":                         "write jsonb_agg(value)",
	"IS JSON":                               "a column of type jsonb always is",
	"DEFAULT":                               "only INSERT and UPDATE have it",
	"a bit string":                          `write bytes as '\x1f'::bytea`,
	"a function of another schema":          "leave out the schema",
	"an operator of another schema":         "leave out the schema",
	"a name of more than three parts":       "write column or alias.column",
	"a whole row as a value":                "name its columns; jsonb_build_object('pid', pid, …) makes one value of them",
	"this in FROM":                          "only a table, a subquery in brackets, or a call of a function",
	"current_time":                          "write localtime; times are in UTC",
	"current_user":                          "there is no database user; user_name is that of a process",
	"user":                                  "there is no database user; user_name is that of a process",
	"session_user":                          "there is no database user; user_name is that of a process",
	"current_role":                          "there is no database user; user_name is that of a process",
	"current_schema":                        "there are no schemas",
	"current_catalog":                       "there are no databases",
	"an array of more than one dimension":   "arrays have one dimension here; jsonb nests",
	"a row as a value":                      "jsonb_build_array(…) makes one value of several",
	"DISTINCT in a window function":         "count distinct values in a subquery with GROUP BY",
	"ORDER BY in a recursive query":         "order the query that reads it",
	"LIMIT in a recursive query":            "limit the query that reads it",
	"OFFSET in a recursive query":           "put it into the query that reads it",
}

// refuse is the error for what PostgreSQL has and this engine does not.
func refuse(pos int, what string) *Error {
	e := failAt(pos, codeUnsupported, "%s is not supported", what)
	e.Hint = instead[what]
	if strings.HasPrefix(what, "the schema ") {
		e.Hint = `leave it out; "daemoneye schema" lists the tables`
	}
	return e
}

// overLimit is the error for what exceeds the named one of Limits, which is n.
func overLimit(pos int, limit string, n int, format string, args ...any) *Error {
	e := failAt(pos, codeLimit, format, args...)
	switch {
	case n < limitByName(MaxLimits(), limit):
		return e.hint("sql.limits.%s in the configuration allows more", limit)
	case limit == "operators":
		return e.hint("write many alternatives as name IN (…) or name LIKE ANY (ARRAY[…])")
	}
	return e.hint("sql.limits.%s can not be higher", limit)
}

func limitByName(l Limits, name string) int {
	return map[string]int{
		"text": l.Text, "depth": l.Depth, "expressions": l.Nodes, "list": l.List, "tables": l.Tables, "ctes": l.CTEs, "operators": l.Operators,
	}[name]
}

// wordAt returns the offset of the first keyword of text, from offset i on,
// that is first and is followed by one of then; -1 when there is none. Strings,
// quoted names and comments are passed over.
func wordAt(text string, i int, first string, then ...string) int {
	found := -1
	for i < len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			i, found = skipQuoted(text, i, c, false), -1
		case (c == 'e' || c == 'E') && i+1 < len(text) && text[i+1] == '\'':
			i, found = skipEscaped(text, i+1), -1
		case strings.HasPrefix(text[i:], "--"):
			i = skipLine(text, i)
		case strings.HasPrefix(text[i:], "/*"):
			i = skipComment(text, i)
		case c == '$':
			i, found = i+max(1, dollarQuoted(text[i:])), -1
		case isNameByte(c):
			w := text[i : i+wordLength(text[i:])]
			for _, t := range then {
				if found >= 0 && strings.EqualFold(w, t) {
					return found
				}
			}
			if found = -1; strings.EqualFold(w, first) {
				found = i
			}
			i += len(w)
		default:
			if strings.IndexByte(" \t\r\n\f\v", c) < 0 {
				found = -1
			}
			i++
		}
	}
	return -1
}

// firstWord returns the first word of a statement, in capitals, and its offset.
func firstWord(text string) (word string, at int) {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "--"):
			i = skipLine(text, i)
		case strings.HasPrefix(text[i:], "/*"):
			i = skipComment(text, i)
		case isNameByte(c):
			return strings.ToUpper(text[i : i+wordLength(text[i:])]), i
		default:
			i++
		}
	}
	return "", 0
}

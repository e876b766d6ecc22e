package sql

import (
	"strings"
	"unicode/utf8"
)

// addTextRows adds the functions that take a text apart into rows.
func (c *catalog) addTextRows(add addRowsFunc) {
	matches := func(x *env, re *regex, all bool, s string, yield func([]value) error) error {
		return eachMatch(x, re, s, all, true, false, func(match []int) error {
			return yield([]value{regexGroups(s, match)})
		})
	}
	split := func(x *env, re *regex, _ bool, s string, yield func([]value) error) error {
		from := 0
		err := eachMatch(x, re, s, true, false, true, func(match []int) error {
			part := s[from:match[0]]
			from = match[1]
			return yield([]value{textValue(part)})
		})
		if err != nil {
			return err
		}
		return yield([]value{textValue(s[from:])})
	}
	for _, f := range []struct {
		name, doc, example, result string
		global                     bool
		run                        regexRows
	}{
		{"regexp_matches", "groups of the first match of a regular expression, or the whole if it has none; of all matches with the flag g", `SELECT regexp_matches('foobarbequebaz', 'ba.', 'g')`, "text[]", true, matches},
		{"regexp_split_to_table", "parts of a text between the matches", `SELECT regexp_split_to_table('hello world', '\s+')`, "text", false, split},
	} {
		for i, args := range []string{"text,text:", "text,text,text:"} {
			doc, example := f.doc, f.example
			if i > 0 {
				doc, example = "", ""
			}
			bind := boundRegexpRows(f.name, regexArgs{flags: 2 * i}, f.global, f.run)
			add(f.name, doc, example, nil, args+f.result, unboundRows(bind)).bindRows = bind
		}
	}
	const table = "parts of a text split at a separator, or its characters if that is NULL; parts equal to the third argument become NULL"
	add("string_to_table", table, "SELECT string_to_table('a,b', ',')", nil, "text,text:text", stringRows).strict = false
	add("string_to_table", table, "", nil, "text,text,text:text", stringRows).strict = false
}

func stringRows(_ *env, a []value, yield func([]value) error) error {
	if a[0].null {
		return nil
	}
	return eachPart(a[0].s, a[1], func(part string) error {
		if len(a) > 2 && !a[2].null && part == a[2].s {
			return yield([]value{null})
		}
		return yield([]value{textValue(part)})
	})
}

// eachPart calls f with the parts of s between separators.
func eachPart(s string, sep value, f func(part string) error) error {
	switch {
	case s == "":
		return nil
	case !sep.null && sep.s == "":
		return f(s)
	}
	for s != "" || !sep.null {
		part, rest, found := "", "", true
		if sep.null {
			_, n := utf8.DecodeRuneInString(s)
			part, rest = s[:n], s[n:]
		} else {
			part, rest, found = strings.Cut(s, sep.s)
		}
		if err := f(part); err != nil || !found {
			return err
		}
		s = rest
	}
	return nil
}

// regexRows is a set-returning regexp function; all is set by the flag g.
type regexRows func(x *env, re *regex, all bool, s string, yield func([]value) error) error

// boundRegexpRows is boundRegexp for a set-returning function.
func boundRegexpRows(name string, args regexArgs, global bool, run regexRows) func(consts []*value) (rowsFunc, error) {
	compile := regexCompiler(name, args, global)
	return func(consts []*value) (rowsFunc, error) {
		re, all, err := compile(consts)
		if re == nil || err != nil {
			return nil, err
		}
		return func(x *env, a []value, yield func([]value) error) error { return run(x, re, all, a[0].s, yield) }, nil
	}
}

// unboundRows binds anew for each row of arguments.
func unboundRows(bind func(consts []*value) (rowsFunc, error)) rowsFunc {
	return func(x *env, a []value, yield func([]value) error) error {
		consts := make([]*value, len(a))
		for i := range a[1:] {
			consts[i+1] = &a[i+1]
		}
		run, err := bind(consts)
		if err != nil {
			return err
		}
		return run(x, a, yield)
	}
}

// bindRows prepares a set-returning function whose arguments are constant as
// far as it needs.
func bindRows(e *srfExpr) (*srfExpr, error) {
	if e.fn.bindRows == nil {
		return e, nil
	}
	consts := make([]*value, len(e.args))
	for i, a := range e.args {
		c, ok := isConstant(a)
		if ok && c.v.null {
			return e, nil // no rows
		}
		if ok {
			consts[i] = &c.v
		}
	}
	run, err := e.fn.bindRows(consts)
	if err != nil {
		return nil, positioned(copyError(err), e.at)
	}
	if run == nil {
		return e, nil
	}
	out, fn := *e, *e.fn
	fn.rows = run
	out.fn = &fn
	return &out, nil
}

// eachMatch is regexMatches with an f that may fail.
func eachMatch(x *env, re *regex, s string, all, groups, split bool, f func(match []int) error) error {
	var failed error
	err := regexMatches(x, re, s, 1, all, groups, split, func(match []int) bool {
		failed = f(match)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

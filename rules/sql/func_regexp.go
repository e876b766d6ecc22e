package sql

import (
	"fmt"
	"unicode/utf8"
)

// regexArgs is where the arguments of a regexp function are, after the text
// and the pattern; 0 for one that it does not have.
type regexArgs struct{ flags int }

// regexRun is a regexp function; all is set by the flag g.
type regexRun func(x *env, re *regex, all bool, a []value) (value, error)

// regexCompiler returns what compiles the pattern and flags of the named
// function, nil if they are not constant. With global set, the flag g is allowed.
func regexCompiler(name string, args regexArgs, global bool) func(consts []*value) (re *regex, all bool, err error) {
	return func(consts []*value) (*regex, bool, error) {
		flags := ""
		if consts[1] == nil || args.flags > 0 && consts[args.flags] == nil {
			return nil, false, nil
		}
		if args.flags > 0 {
			flags = consts[args.flags].s
		}
		opt, all, err := regexFlags(flags)
		if err != nil {
			return nil, false, err
		}
		if all && !global {
			return nil, false, fail(codeInvalidParameter, `%s() does not support the "global" option`, name)
		}
		re, err := compileRegex(consts[1].s, opt)
		return re, all, err
	}
}

// boundRegexp makes a function of one that gets the compiled expression; when
// pattern and flags are constant it is compiled with the query.
func boundRegexp(name string, args regexArgs, global bool, run regexRun) bound {
	compile := regexCompiler(name, args, global)
	return func(consts []*value) (evalFunc, error) {
		re, all, err := compile(consts)
		if re == nil || err != nil {
			return nil, err
		}
		return func(x *env, a []value) (value, error) { return run(x, re, all, a) }, nil
	}
}

// regexFlags reads the letters of a flags argument (parse_re_flags).
func regexFlags(flags string) (opt regexOptions, all bool, err error) {
	opt.advanced = true
	for _, c := range flags {
		switch {
		case c == 'g':
			all = true
		case c == 'b', c == 'e': // which both mean basic expressions here
			return opt, false, refuse(-1, fmt.Sprintf("the regular expression option %c", c))
		case !opt.set(c):
			return opt, false, fail(codeInvalidParameter, "invalid regular expression option: %q", string(c))
		}
	}
	return opt, all, nil
}

// regexMatches calls yield with each match from character start (from 1) on,
// or the first, as setup_regexp_matches does, until it returns false. With
// split set, empty matches at an end or after another match do not count.
func regexMatches(x *env, re *regex, s string, start int64, all, groups, split bool, yield func(match []int) bool) error {
	if err := withinRegexpSteps(re.length, len(s)); err != nil {
		return err
	}
	from := len(leftRunes(s, int(min(start-1, int64(len(s))))))
	if start-1 > int64(len(s)) || start > 1 && start-1 > int64(utf8.RuneCountInString(s)) {
		return nil
	}
	if from == 0 && !re.loose.MatchString(s) {
		return nil
	}
	m := &reMachine{text: s, env: x}
	last := 0
	for from <= len(s) {
		match, err := m.find(re, from, groups && re.groups > 0)
		if match == nil || err != nil {
			return err
		}
		if !split || match[0] < len(s) && match[1] > last {
			if !yield(match) {
				return nil
			}
		}
		if last = match[1]; !all {
			return nil
		}
		from = last
		if match[0] == match[1] {
			if from == len(s) {
				return nil
			}
			_, n := utf8.DecodeRuneInString(s[from:])
			from += n
		}
	}
	return nil
}

// regexGroups is the array that regexp_match gives for one match: of its
// groups, or of the whole if it has none.
func regexGroups(s string, match []int) value {
	if len(match) > 2 {
		match = match[2:]
	}
	out := &array{elem: Text}
	for i := 0; i < len(match); i += 2 {
		v := null
		if match[i] >= 0 {
			v = textValue(s[match[i]:match[i+1]])
		}
		out.vals = append(out.vals, v)
	}
	return value{o: out}
}

// regexpMatches is regexp_matches: all its rows, an array each.
func regexpMatches(x *env, re *regex, all bool, s string) (rows []value, err error) {
	total := 0
	err = regexMatches(x, re, s, 1, all, true, false, func(match []int) bool {
		rows = append(rows, regexGroups(s, match))
		total += len(match)
		return total < 2*maxElements
	})
	if err == nil && total >= 2*maxElements {
		err = errTooMany()
	}
	return rows, err
}

func (c *catalog) addRegexps() {
	const g = "Patterns"
	match := func(x *env, re *regex, _ bool, a []value) (value, error) {
		rows, err := regexpMatches(x, re, false, a[0].s)
		if err != nil || len(rows) == 0 {
			return null, err
		}
		return rows[0], nil
	}
	c.fn(g, "regexp_match", "groups of the first match of a regular expression, or the whole if it has none", "SELECT regexp_match('foobarbequebaz', '(bar)(beque)')", pairs{
		"text,text:text[]", boundRegexp("regexp_match", regexArgs{}, false, match),
		"text,text,text:text[]", boundRegexp("regexp_match", regexArgs{2}, false, match),
	})
	like := func(x *env, re *regex, _ bool, a []value) (value, error) {
		ok, err := re.matches(x, a[0].s)
		return boolValue(ok), err
	}
	c.fn(g, "regexp_like", "whether a regular expression matches, with flags: i ignores case, n, p and w let newlines count, x allows comments, q takes the pattern as it is", "SELECT regexp_like('Hello World', 'world$', 'i')", pairs{
		"text,text:bool", boundRegexp("regexp_like", regexArgs{}, false, like), "text,text,text:bool", boundRegexp("regexp_like", regexArgs{2}, false, like),
	})
	count := func(x *env, re *regex, _ bool, a []value) (value, error) {
		start, err := positive(a, 2, "start")
		if err != nil {
			return null, err
		}
		n := int64(0)
		err = regexMatches(x, re, a[0].s, start, true, false, false, func([]int) bool { n++; return true })
		return intValue(n), err
	}
	c.fn(g, "regexp_count", "number of matches, from a character on", "SELECT regexp_count('123456789012', '\\d\\d\\d', 2)", pairs{
		"text,text:int4", boundRegexp("regexp_count", regexArgs{}, false, count),
		"text,text,int4:int4", boundRegexp("regexp_count", regexArgs{}, false, count),
		"text,text,int4,text:int4", boundRegexp("regexp_count", regexArgs{3}, false, count),
	})
	substring := func(x *env, re *regex, _ bool, a []value) (value, error) {
		rows, err := regexpMatches(x, re, false, a[0].s)
		if err != nil || len(rows) == 0 {
			return null, err
		}
		return elements(rows[0])[0], nil
	}
	c.more("substring", pairs{
		"text,text:text", boundRegexp("substring", regexArgs{}, false, substring),
		"text,text,text:text", similarBound(func(escape string) (string, error) { return escape, nil }, substring),
	})
	c.addSimilar()
	c.addRegexpSearch()
	c.addRegexpReplace()
	split := func(x *env, re *regex, _ bool, a []value) (value, error) {
		out := &array{elem: Text}
		from := 0
		err := regexMatches(x, re, a[0].s, 1, true, false, true, func(match []int) bool {
			out.vals = append(out.vals, textValue(a[0].s[from:match[0]]))
			from = match[1]
			return len(out.vals) < maxElements
		})
		if err == nil && len(out.vals) >= maxElements {
			err = errTooMany()
		}
		out.vals = append(out.vals, textValue(a[0].s[from:]))
		return value{o: out}, err
	}
	c.fn(g, "regexp_split_to_array", "parts of a text between the matches", "SELECT regexp_split_to_array('hello world', '\\s+')", pairs{
		"text,text:text[]", boundRegexp("regexp_split_to_array", regexArgs{}, false, split),
		"text,text,text:text[]", boundRegexp("regexp_split_to_array", regexArgs{2}, false, split),
	})
}

// positive returns argument i, which must be greater than 0; 1 when it is not given.
func positive(a []value, i int, name string) (int64, error) {
	if i >= len(a) {
		return 1, nil
	}
	if a[i].i <= 0 {
		return 0, fail(codeInvalidParameter, "invalid value for parameter %q: %d", name, a[i].i)
	}
	return a[i].i, nil
}

// similarBound is substring(text SIMILAR pattern ESCAPE escape).
func similarBound(escape func(string) (string, error), run regexRun) bound {
	return func(consts []*value) (evalFunc, error) {
		if consts[1] == nil || consts[2] == nil {
			return nil, nil
		}
		e, err := escape(consts[2].s)
		if err != nil {
			return nil, err
		}
		pattern, err := similarPattern(consts[1].s, e)
		if err != nil {
			return nil, err
		}
		re, err := compileRegex(pattern, regexOptions{advanced: true})
		if err != nil {
			return nil, err
		}
		return func(x *env, a []value) (value, error) { return run(x, re, false, a) }, nil
	}
}

func (c *catalog) addSimilar() {
	// The parser makes a call of this of the pattern, and the operator ~ of the rest.
	c.functions["similar_to_escape"] = []*function{
		makeFunction("similar_to_escape", "text:text", func(a []value) (value, error) {
			p, err := similarPattern(a[0].s, `\`)
			return textValue(p), err
		}),
		makeFunction("similar_to_escape", "text,text:text", func(a []value) (value, error) {
			p, err := similarPattern(a[0].s, a[1].s)
			return textValue(p), err
		}),
	}
}

package sql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// regexArgs is where the arguments of a regexp function are, after the text
// and the pattern; 0 for one that it does not have.
type regexArgs struct{ flags int }

// regexRun is a regexp function; all is set by the flag g.
type regexRun func(x *env, re *regex, all bool, a []value) (value, error)

// boundRegexp makes a function of one that gets the compiled expression; when
// pattern and flags are constant it is compiled with the query. With global
// set, the flag g is allowed.
func boundRegexp(name string, args regexArgs, global bool, run regexRun) bound {
	compile := func(pattern, flags string) (*regex, bool, error) {
		opt, all, err := regexFlags(flags)
		if err != nil {
			return nil, false, err
		}
		if all && !global {
			return nil, false, fail(codeInvalidParameter, `%s() does not support the "global" option`, name)
		}
		re, err := compileRegex(pattern, opt)
		return re, all, err
	}
	return func(consts []*value) (evalFunc, error) {
		flags := ""
		if consts[1] == nil || args.flags > 0 && consts[args.flags] == nil {
			return nil, nil
		}
		if args.flags > 0 {
			flags = consts[args.flags].s
		}
		re, all, err := compile(consts[1].s, flags)
		if err != nil {
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
	if err := withinSteps(re.length, len(s)); err != nil {
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

func (c *catalog) addRegexpSearch() {
	const g = "Patterns"
	// nth finds the nth match, and in it the group asked for.
	nth := func(x *env, re *regex, a []value, subexpr int) ([]int, error) {
		start, err := positive(a, 2, "start")
		if err != nil {
			return nil, err
		}
		n, err := positive(a, 3, "n")
		if err != nil {
			return nil, err
		}
		group := int64(0)
		if subexpr < len(a) {
			if group = a[subexpr].i; group < 0 {
				return nil, fail(codeInvalidParameter, "invalid value for parameter %q: %d", "subexpr", group)
			}
		}
		var found []int
		err = regexMatches(x, re, a[0].s, start, n > 1, group > 0, false, func(match []int) bool {
			if n--; n == 0 {
				found = match
			}
			return n > 0
		})
		switch {
		case found == nil || err != nil:
			return nil, err
		case group > int64(max(re.groups, 1)):
			return nil, nil
		case group > 0 && re.groups > 0:
			found = found[2*group:]
		}
		if found[0] < 0 {
			return nil, nil
		}
		return found[:2], nil
	}
	substr := func(x *env, re *regex, _ bool, a []value) (value, error) {
		at, err := nth(x, re, a, 5)
		if at == nil || err != nil {
			return null, err
		}
		return textValue(a[0].s[at[0]:at[1]]), nil
	}
	c.fn(g, "regexp_substr", "match n of a regular expression from a character on, with flags, or a group of it", "SELECT regexp_substr('ABCDEF', 'c(.)(..)', 1, 1, 'i', 2)", pairs{
		"text,text:text", boundRegexp("regexp_substr", regexArgs{}, false, substr), "text,text,int4:text", boundRegexp("regexp_substr", regexArgs{}, false, substr),
		"text,text,int4,int4:text", boundRegexp("regexp_substr", regexArgs{}, false, substr), "text,text,int4,int4,text:text", boundRegexp("regexp_substr", regexArgs{4}, false, substr),
		"text,text,int4,int4,text,int4:text", boundRegexp("regexp_substr", regexArgs{4}, false, substr),
	})
	instr := func(x *env, re *regex, _ bool, a []value) (value, error) {
		end := 0
		if len(a) > 4 {
			if a[4].i != 0 && a[4].i != 1 {
				return null, fail(codeInvalidParameter, "invalid value for parameter %q: %d", "endoption", a[4].i)
			}
			end = int(a[4].i)
		}
		at, err := nth(x, re, a, 6)
		if at == nil || err != nil {
			return intValue(0), err
		}
		return intValue(int64(utf8.RuneCountInString(a[0].s[:at[end]])) + 1), nil
	}
	c.fn(g, "regexp_instr", "position of match n from a character on, or with 1 of what follows it, with flags, or of a group", "SELECT regexp_instr('ABCDEF', 'c(.)(..)', 1, 1, 0, 'i', 2)", pairs{
		"text,text:int4", boundRegexp("regexp_instr", regexArgs{}, false, instr), "text,text,int4:int4", boundRegexp("regexp_instr", regexArgs{}, false, instr),
		"text,text,int4,int4:int4", boundRegexp("regexp_instr", regexArgs{}, false, instr), "text,text,int4,int4,int4:int4", boundRegexp("regexp_instr", regexArgs{}, false, instr),
		"text,text,int4,int4,int4,text:int4", boundRegexp("regexp_instr", regexArgs{5}, false, instr),
		"text,text,int4,int4,int4,text,int4:int4", boundRegexp("regexp_instr", regexArgs{5}, false, instr),
	})
}

func (c *catalog) addRegexpReplace() {
	simple := func(x *env, re *regex, all bool, a []value) (value, error) {
		n := int64(1)
		if all {
			n = 0
		}
		return regexReplace(x, re, a[0].s, a[2].s, 1, n)
	}
	from := func(x *env, re *regex, all bool, a []value) (value, error) {
		start, err := positive(a, 3, "start")
		if err != nil {
			return null, err
		}
		n := int64(1)
		if len(a) > 4 {
			if n = a[4].i; n < 0 {
				return null, fail(codeInvalidParameter, "invalid value for parameter %q: %d", "n", n)
			}
		}
		return regexReplace(x, re, a[0].s, a[2].s, start, n)
	}
	flagged := boundRegexp("regexp_replace", regexArgs{3}, true, simple)
	c.fn("Patterns", "regexp_replace", "the first match replaced, or with the flag g all, or from a character on match n (0: all); \\1 to \\9 in the new text stand for groups, \\& for the match", "SELECT regexp_replace('foobarbaz', 'b(..)', 'X\\1Y', 'g')", pairs{
		"text,text,text:text", boundRegexp("regexp_replace", regexArgs{}, true, simple),
		"text,text,text,text:text", bound(func(consts []*value) (evalFunc, error) {
			if f := consts[3]; f != nil && f.s != "" && f.s[0] >= '0' && f.s[0] <= '9' {
				return nil, fail(codeInvalidParameter, "invalid regular expression option: %q", f.s[:1]).hint("cast the fourth argument to integer to replace from a character on")
			}
			return flagged(consts)
		}),
		"text,text,text,int4:text", boundRegexp("regexp_replace", regexArgs{}, true, from),
		"text,text,text,int4,int4:text", boundRegexp("regexp_replace", regexArgs{}, true, from),
		"text,text,text,int4,int4,text:text", boundRegexp("regexp_replace", regexArgs{5}, true, from),
	})
}

// regexReplace is replace_text_regexp; n is the match to replace, 0 for all.
func regexReplace(x *env, re *regex, s, replacement string, start, n int64) (value, error) {
	var b strings.Builder
	done, count := 0, int64(0)
	needsGroups := strings.IndexByte(replacement, '\\') >= 0
	tooLong := false
	err := regexMatches(x, re, s, start, true, needsGroups, false, func(match []int) bool {
		if count++; n > 0 && count != n {
			return true
		}
		b.WriteString(s[done:match[0]])
		appendReplacement(&b, replacement, s, match)
		done = match[1]
		tooLong = b.Len() > maxText
		return n == 0 && !tooLong
	})
	if err == nil && (tooLong || b.Len()+len(s)-done > maxText) {
		err = errTooLong()
	}
	if err != nil {
		return null, err
	}
	b.WriteString(s[done:])
	return textValue(b.String()), nil
}

// appendReplacement appends the new text, in which \n stands for a group.
func appendReplacement(b *strings.Builder, replacement, s string, match []int) {
	for b.Len() <= maxText {
		before, after, found := strings.Cut(replacement, `\`)
		if b.WriteString(before); !found {
			return
		}
		group := -1
		switch {
		case after == "":
			b.WriteByte('\\')
			return
		case after[0] >= '1' && after[0] <= '9':
			group = int(after[0] - '0')
		case after[0] == '&':
			group = 0
		case after[0] == '\\':
			b.WriteByte('\\')
		default:
			b.WriteByte('\\')
			replacement = after
			continue
		}
		if group >= 0 && 2*group < len(match) && match[2*group] >= 0 {
			b.WriteString(s[match[2*group]:match[2*group+1]])
		}
		replacement = after[1:]
	}
}

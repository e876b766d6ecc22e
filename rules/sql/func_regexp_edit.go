package sql

import (
	"strings"
	"unicode/utf8"
)

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

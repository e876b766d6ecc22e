package sql

const (
	maxPattern = 64 << 10
	maxSteps   = 1 << 30 // bytes of a pattern times those of a text
)

// withinSteps gives an error when matching could take minutes.
func withinSteps(pattern, text int) error {
	if int64(pattern)*int64(text) > maxSteps {
		return fail(codeLimit, "a pattern of %d bytes can not be matched with a text of %d: too many steps", pattern, text)
	}
	return nil
}

// withinRegexpSteps is withinSteps for the instructions of an expression: Go's
// machine can not be stopped while it matches, at some 50 million steps a second.
func withinRegexpSteps(instructions, text int) error {
	if int64(instructions)*int64(text) > maxRegexpSteps {
		return fail(codeLimit, "a regular expression of %d instructions can not be matched with a text of %d bytes: too many steps", instructions, text)
	}
	return nil
}

// matcherFor makes an operator of a matcher that is compiled from the second
// argument; when that is constant it is compiled with the query.
func matcherFor(compile func(pattern string) (func(s string) (bool, error), error), not bool) bound {
	return func(consts []*value) (evalFunc, error) {
		if consts[1] == nil {
			return nil, nil
		}
		match, err := compile(consts[1].s)
		if err != nil {
			return nil, err
		}
		return func(_ *env, a []value) (value, error) {
			ok, err := match(a[0].s)
			return boolValue(ok != not), err
		}, nil
	}
}

func (c *catalog) addPatterns() {
	const g = "Patterns"
	like := likeMatcher
	ilike := func(p string) (func(string) (bool, error), error) {
		m, err := likeMatcher(lowerASCII(p))
		if err != nil {
			return nil, err
		}
		return func(s string) (bool, error) { return m(lowerASCII(s)) }, nil
	}
	regex := func(fold bool) func(p string) (func(string) (bool, error), error) {
		return func(p string) (func(string) (bool, error), error) {
			re, err := compileRegexp(p, fold)
			if err != nil {
				return nil, err
			}
			literals := newPrefilter(re.String())
			return func(s string) (bool, error) {
				if !literals.passes(s) {
					return false, withinRegexpSteps(re.length, len(s))
				}
				return re.matches(nil, s)
			}, nil
		}
	}
	for _, e := range []struct {
		name, not, doc, example string
		compile                 func(p string) (func(string) (bool, error), error)
		literal                 func(p string) string
	}{
		{"~~", "!~~", "LIKE: % stands for any text, _ for one character, \\ for itself before either (or what ESCAPE says)", "SELECT 'abc' LIKE 'a%'", like, likeLiteral},
		{"~~*", "!~~*", "ILIKE: the same, ASCII letters of either case alike", "SELECT 'ABC' ILIKE 'a_c'", ilike, nil},
		{"~", "!~", "matches a regular expression", "SELECT 'thomas' ~ 't.*ma'", regex(false), regexpLiteral},
		{"~*", "!~*", "the same, ASCII letters of either case alike", "SELECT 'thomas' ~* 'T.*MA'", regex(true), nil},
	} {
		c.op(g, e.name, e.doc, e.example, pairs{"text,text:bool", matcherFor(e.compile, false)})
		c.op(g, e.not, "not "+e.name, "SELECT 'abc' "+e.not+" 'x'", pairs{"text,text:bool", matcherFor(e.compile, true)})
		for _, name := range []string{e.name, e.not} {
			f := c.operators[name][len(c.operators[name])-1]
			f.literal, f.negated = e.literal, name == e.not
		}
	}
	// Of bytea each byte is a character.
	bytes := func(p string) (func(string) (bool, error), error) {
		m, err := likeMatcher(fromLatin1(p))
		if err != nil {
			return nil, err
		}
		return func(s string) (bool, error) { return m(fromLatin1(s)) }, nil
	}
	c.op(g, "~~", "", "", pairs{"bytea,bytea:bool", matcherFor(bytes, false)})
	c.op(g, "!~~", "", "", pairs{"bytea,bytea:bool", matcherFor(bytes, true)})
	c.addRegexps()
	c.functions["like_escape"] = []*function{makeFunction("like_escape", "text,text:text", func(a []value) (value, error) {
		p, err := likeEscape(a[0].s, a[1].s)
		return textValue(p), err
	})}
}

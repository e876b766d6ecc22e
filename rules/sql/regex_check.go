package sql

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRegexp bounds the instructions of a compiled regular expression, about.
const maxRegexp = 50_000

// checkRegexp looks at the translated pattern's tree: its size once counted
// repetitions are spelt out, and whether \m and \M (translated to the group
// m… or M… around \b) stand where a \b means the same: before something
// that starts with a word character, and after something that ends in one.
func checkRegexp(pattern string) error {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return invalidRegexp("%v", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if regexpSize(tree) > maxRegexp {
		return fail(codeLimit, "a regular expression is too large").hint("use smaller counts in {m,n}")
	}
	return checkEdges(tree, nil, nil)
}

func regexpSize(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, s := range re.Sub {
		n = min(n+regexpSize(s), 1<<30)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Max, re.Min, 1), 1<<30)
	}
	return n
}

// checkEdges walks re, which stands between the elements before and after it.
func checkEdges(re *syntax.Regexp, before, after []*syntax.Regexp) error {
	switch re.Op {
	case syntax.OpCapture:
		if strings.HasPrefix(re.Name, "m") && !startsInWord(after) {
			return refuse(-1, `\m before what need not start with a letter or digit, in a regular expression,`).hint(`write \y`)
		}
		if strings.HasPrefix(re.Name, "M") && !endsInWord(before) {
			return refuse(-1, `\M after what need not end in a letter or digit, in a regular expression,`).hint(`write \y`)
		}
		return checkEdges(re.Sub[0], before, after)
	case syntax.OpConcat:
		for i, s := range re.Sub {
			b := append(append([]*syntax.Regexp{}, before...), re.Sub[:i]...)
			a := append(append([]*syntax.Regexp{}, re.Sub[i+1:]...), after...)
			if err := checkEdges(s, b, a); err != nil {
				return err
			}
		}
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if err := checkEdges(s, before, after); err != nil {
				return err
			}
		}
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		// What comes before and after may be another round of the same.
		return checkEdges(re.Sub[0], nil, nil)
	}
	return nil
}

func startsInWord(list []*syntax.Regexp) bool {
	for _, re := range list {
		switch {
		case zeroWidth(re):
		case !edgeInWord(re, false):
			return false
		case !nullable(re):
			return true
		}
	}
	return false
}

func endsInWord(list []*syntax.Regexp) bool {
	for i := len(list) - 1; i >= 0; i-- {
		switch re := list[i]; {
		case zeroWidth(re):
		case !edgeInWord(re, true):
			return false
		case !nullable(re):
			return true
		}
	}
	return false
}

// nullable reports whether re can match nothing.
func nullable(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpQuest, syntax.OpEmptyMatch:
		return true
	case syntax.OpRepeat:
		return re.Min == 0 || nullable(re.Sub[0])
	case syntax.OpCapture, syntax.OpPlus:
		return nullable(re.Sub[0])
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, nullable)
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !nullable(s) })
	}
	return zeroWidth(re)
}

func zeroWidth(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	case syntax.OpCapture:
		return zeroWidth(re.Sub[0])
	}
	return false
}

// edgeInWord reports whether whatever re matches, but for nothing, begins (or,
// at the end, ends) with a word character.
func edgeInWord(re *syntax.Regexp, end bool) bool {
	switch re.Op {
	case syntax.OpLiteral:
		r := re.Rune[0]
		if end {
			r = re.Rune[len(re.Rune)-1]
		}
		return isWord(r) // only [Aa] becomes a literal that folds case
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r >= utf8.RuneSelf || !isWord(r) {
					return false
				}
			}
		}
		return true
	case syntax.OpCapture, syntax.OpPlus, syntax.OpStar, syntax.OpQuest, syntax.OpRepeat:
		return edgeInWord(re.Sub[0], end)
	case syntax.OpConcat:
		if end {
			return endsInWord(re.Sub)
		}
		return startsInWord(re.Sub)
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !zeroWidth(s) && !edgeInWord(s, end) {
				return false
			}
		}
		return true
	}
	return false
}

package sigma

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// parseCondition reads a condition over the searches.
func parseCondition(text string, line int, searches map[string]node) node {
	if len(text) > maxCondition {
		panic(fail(line, "the condition has more than %d bytes", maxCondition))
	}
	p := &conditionParser{line: line, tokens: conditionTokens(text, line), searches: searches}
	n := p.either(0)
	if p.at < len(p.tokens) {
		p.unexpected()
	}
	return n
}

func conditionTokens(text string, line int) (tokens []string) {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '(' || c == ')':
			tokens = append(tokens, text[i:i+1])
			i++
		case c == '|':
			panic(fail(line, "a condition with | is of Sigma 1: write a correlation rule"))
		default:
			end := i + strings.IndexAny(text[i:]+" ", " \t\r\n()|")
			tokens = append(tokens, text[i:end])
			i = end
		}
	}
	if len(tokens) == 0 {
		panic(fail(line, "the condition is empty"))
	}
	return tokens
}

type conditionParser struct {
	line     int
	tokens   []string
	at       int
	searches map[string]node
}

func (p *conditionParser) unexpected() {
	if p.at >= len(p.tokens) {
		panic(fail(p.line, "the condition ends too early"))
	}
	panic(fail(p.line, "condition: unexpected %q", oneLine(p.tokens[p.at])))
}

// next takes the token if it is that word.
func (p *conditionParser) next(word string) bool {
	if p.at < len(p.tokens) && strings.EqualFold(p.tokens[p.at], word) {
		p.at++
		return true
	}
	return false
}

func (p *conditionParser) either(depth int) node {
	list := or{p.both(depth)}
	for p.next("or") {
		list = append(list, p.both(depth))
	}
	return list
}

func (p *conditionParser) both(depth int) node {
	list := and{p.operand(depth)}
	for p.next("and") {
		list = append(list, p.operand(depth))
	}
	return list
}

func (p *conditionParser) operand(depth int) node {
	if depth > maxBrackets {
		panic(fail(p.line, "the condition is nested more than %d deep", maxBrackets))
	}
	switch {
	case p.next("not"):
		return not{p.operand(depth + 1)}
	case p.next("("):
		n := p.either(depth + 1)
		if !p.next(")") {
			p.unexpected()
		}
		return n
	case p.at >= len(p.tokens):
		p.unexpected()
	}
	if p.at+1 < len(p.tokens) && strings.EqualFold(p.tokens[p.at+1], "of") {
		return p.some()
	}
	name := p.tokens[p.at]
	n, ok := p.searches[name]
	if !ok {
		if slices.Contains([]string{")", "and", "or", "of"}, strings.ToLower(name)) {
			p.unexpected()
		}
		panic(fail(p.line, "condition: there is no %q in the detection", oneLine(name)))
	}
	p.at++
	return n
}

// some reads "1 of them", "all of selection_*" and such.
func (p *conditionParser) some() node {
	quantity := strings.ToLower(p.tokens[p.at])
	if quantity != "1" && quantity != "any" && quantity != "all" {
		panic(fail(p.line, "condition: %q of is not 1 of, any of or all of", oneLine(quantity)))
	}
	p.at += 2
	if p.at >= len(p.tokens) || p.tokens[p.at] == "(" || p.tokens[p.at] == ")" {
		p.unexpected()
	}
	wanted := p.tokens[p.at]
	p.at++
	var list []node
	for _, name := range slices.Sorted(maps.Keys(p.searches)) {
		if wanted == "them" && !strings.HasPrefix(name, "_") || wanted != "them" && matchName(wanted, name) {
			list = append(list, p.searches[name])
		}
	}
	switch {
	case len(list) == 0:
		panic(fail(p.line, "condition: nothing in the detection is called %q", oneLine(wanted)))
	case quantity == "all":
		return and(list)
	}
	return or(list)
}

// matchName reports whether a name is of a pattern with *.
func matchName(wanted, name string) bool {
	quoted := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `?`, `\?`).Replace(wanted)
	ok, err := path.Match(strings.ReplaceAll(quoted, "/", "\\/"), name)
	return err == nil && ok
}

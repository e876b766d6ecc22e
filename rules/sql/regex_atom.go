package sql

import (
	"strings"
	"unicode/utf8"
)

// atom reads one atom or constraint; of a group also its tree.
func (p *regexParser) atom() (*reNode, *subre, error) {
	if p.boundsFollow() {
		return nil, nil, invalidRegexp("quantifier operand invalid")
	}
	if p.opt.advanced && p.take(`\`) {
		n, err := p.escape()
		return n, nil, err
	}
	switch {
	case p.take(`\`):
		if p.rest() == "" {
			return nil, nil, invalidRegexp("invalid escape \\ sequence")
		}
		return p.literalNode(p.char()), nil, nil
	case p.take("[[:<:]]"):
		return &reNode{op: reWordBegin}, nil, nil
	case p.take("[[:>:]]"):
		return &reNode{op: reWordEnd}, nil, nil
	case p.take("["):
		set, err := p.bracket()
		return &reNode{op: reSet, set: set}, nil, err
	case p.take("."):
		if p.opt.newline {
			return &reNode{op: reSet, set: newRuneSet('\n', '\n').complement()}, nil, nil
		}
		return &reNode{op: reSet, set: newRuneSet(0, utf8.MaxRune)}, nil, nil
	case p.take("^"):
		if p.opt.anchors {
			return &reNode{op: reBeginLine}, nil, nil
		}
		return &reNode{op: reBeginText}, nil, nil
	case p.take("$"):
		if p.opt.anchors {
			return &reNode{op: reEndLine}, nil, nil
		}
		return &reNode{op: reEndText}, nil, nil
	case p.take("("):
		return p.group()
	case strings.IndexByte("*+?", p.rest()[0]) >= 0:
		return nil, nil, invalidRegexp("quantifier operand invalid")
	case p.rest()[0] == ')' && p.opt.advanced:
		return nil, nil, invalidRegexp("parentheses () not balanced")
	}
	return p.literalNode(p.char()), nil, nil
}

// group reads what follows a (.
func (p *regexParser) group() (*reNode, *subre, error) {
	capture := true
	if p.opt.advanced && p.take("?") {
		for _, look := range []string{"=", "!", "<=", "<!"} {
			if strings.HasPrefix(p.rest(), look) {
				name := map[bool]string{true: "look-ahead (?", false: "look-behind (?"}[len(look) == 1]
				return nil, nil, refuseRegexp(name + look)
			}
		}
		if !p.take(":") {
			return nil, nil, invalidRegexp("quantifier operand invalid")
		}
		capture = false
	}
	number := 0
	if capture {
		p.groups++
		number = p.groups
	}
	atom, err := p.alternatives(true)
	if err != nil {
		return nil, nil, err
	}
	if capture {
		if atom.cap != 0 {
			atom = &subre{op: '(', flags: atom.flags, kids: []*subre{atom}, lang: atom.lang}
		}
		atom.cap = number
		atom.flags |= captures
	}
	// A group is an atom even if it holds nothing but a constraint.
	return &reNode{op: reConcat, subs: []*reNode{atom.lang}}, atom, nil
}

// escape reads what follows a \ outside of brackets.
func (p *regexParser) escape() (*reNode, error) {
	if p.rest() == "" {
		return nil, invalidRegexp("invalid escape \\ sequence")
	}
	c := rune(p.rest()[0])
	if name, ok := regexEscapes[c|0x20]; ok && isLetter(c) {
		p.i++
		set := newRuneSet(regexClasses[name]...)
		if c < 'a' {
			set = set.complement()
		}
		return &reNode{op: reSet, set: set}, nil
	}
	constraints := map[rune]reOp{
		'A': reBeginText, 'Z': reEndText, 'y': reWordBoundary, 'Y': reNotBoundary, 'm': reWordBegin, 'M': reWordEnd,
	}
	if op, ok := constraints[c]; ok {
		p.i++
		return &reNode{op: op}, nil
	}
	if c >= '1' && c <= '9' {
		n := digits(p.rest())
		if n == 1 || n < 6 && number(p.rest()[:n]) <= p.groups {
			return nil, refuseRegexp(`the back reference \` + p.rest()[:n])
		}
	}
	r, err := p.escapedChar()
	if err != nil {
		return nil, err
	}
	return p.literalNode(r), nil
}

var regexControls = map[rune]rune{
	'a': '\a', 'b': '\b', 'B': '\\', 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// escapedChar reads the character that an escape, whose \ was read, stands for.
func (p *regexParser) escapedChar() (rune, error) {
	at := p.i
	r := p.char()
	if c, ok := regexControls[r]; ok {
		return c, nil
	}
	switch {
	case r == 'u':
		return p.hexNumber(4)
	case r == 'U':
		return p.hexNumber(8)
	case r == 'x':
		n := 0
		for n < len(p.rest()) && strings.IndexByte("0123456789abcdefABCDEF", p.rest()[n]) >= 0 {
			n++
		}
		zeros := len(p.rest()[:n]) - len(strings.TrimLeft(p.rest()[:n], "0"))
		if zeros = min(zeros, n-1); zeros > 0 {
			p.i, n = p.i+zeros, n-zeros
		}
		return p.hexNumber(n)
	case r == 'c' && p.rest() != "":
		return p.char() & 0x1f, nil
	case r >= '0' && r <= '9':
		p.i = at
		v := rune(0)
		n := 0
		for ; n < 3 && p.rest() != "" && p.rest()[0] >= '0' && p.rest()[0] <= '7' && v*8+rune(p.rest()[0]-'0') <= 0xff; n++ {
			v = v*8 + (p.char() - '0')
		}
		if n > 0 {
			return v, nil
		}
	case !isLetter(r):
		return r, nil
	}
	return 0, invalidRegexp("invalid escape \\ sequence")
}

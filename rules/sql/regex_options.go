package sql

import (
	"strconv"
	"strings"
)

// prefixes reads ***:, ***= and embedded options.
func (p *regexParser) prefixes() error {
	if p.opt.literal {
		return nil
	}
	switch {
	case p.take("***="):
		p.opt = regexOptions{fold: p.opt.fold, literal: true}
		return nil
	case p.take("***:"):
		p.opt.advanced = true
	case strings.HasPrefix(p.in, "***") && len(p.in) > 3:
		return invalidRegexp("quantifier operand invalid")
	}
	if rest := p.rest(); !p.opt.advanced || len(rest) < 3 || rest[:2] != "(?" || !isLetter(rune(rest[2])) {
		return nil
	}
	p.i += 2
	for p.rest() != "" && isLetter(rune(p.rest()[0])) {
		if c := p.char(); c == 'b' {
			return refuse(-1, "the option (?b) in a regular expression")
		} else if !p.opt.set(c) {
			return invalidRegexp("invalid embedded option")
		}
	}
	if !p.take(")") {
		return invalidRegexp("invalid embedded option")
	}
	if p.opt.literal {
		p.opt.expanded, p.opt.newline, p.opt.anchors = false, false, false
	}
	return nil
}

// set applies an option letter, and reports whether it is one.
func (o *regexOptions) set(c rune) bool {
	switch c {
	case 'c':
		o.fold = false
	case 'i':
		o.fold = true
	case 'e':
		o.advanced, o.literal = false, false
	case 'q':
		o.advanced, o.literal = false, true
	case 'm', 'n':
		o.newline, o.anchors = true, true
	case 'p':
		o.newline, o.anchors = true, false
	case 'w':
		o.newline, o.anchors = false, true
	case 's':
		o.newline, o.anchors = false, false
	case 't':
		o.expanded = false
	case 'x':
		o.expanded = true
	default:
		return false
	}
	return true
}

// quantifier reads * + ? {m} {m,} {m,n}, and a ? after it for non-greedy.
func (p *regexParser) quantifier() (least, most int, prefer subreFlags, err error) {
	p.skip()
	least, most = 1, 1
	switch {
	case p.take("*"):
		least, most = 0, -1
	case p.take("+"):
		most = -1
	case p.take("?"):
		least = 0
	case p.boundsFollow():
		var ranged bool
		if least, most, ranged, err = p.bounds(); err != nil {
			return 0, 0, 0, err
		}
		if !ranged {
			if p.opt.advanced {
				p.take("?")
			}
			return least, most, 0, nil
		}
	default:
		return 1, 1, 0, nil
	}
	if p.opt.advanced && p.take("?") {
		return least, most, shorter, nil
	}
	return least, most, longer, nil
}

// boundsFollow skips a { that begins bounds: those of an ordinary character
// are not followed by a digit.
func (p *regexParser) boundsFollow() bool {
	at := p.i
	if !p.take("{") {
		return false
	}
	p.skip()
	if rest := p.rest(); rest != "" && digits(rest) > 0 {
		return true
	}
	p.i = at
	return false
}

func (p *regexParser) bounds() (least, most int, ranged bool, err error) {
	bad := invalidRegexp("invalid repetition count(s)")
	number := func() (int, bool) {
		n := 0
		any := false
		for p.skip(); digits(p.rest()) > 0; p.skip() {
			n, any = min(n*10+int(p.char()-'0'), 1000), true
		}
		return n, any && n <= 255
	}
	least, ok := number()
	if !ok {
		return 0, 0, false, bad
	}
	most = least
	if ranged = p.take(","); ranged {
		most = -1
		if p.skip(); digits(p.rest()) > 0 {
			if most, ok = number(); !ok || most < least {
				return 0, 0, false, bad
			}
		}
	}
	p.skip()
	if !p.take("}") {
		return 0, 0, false, bad
	}
	return least, most, ranged, nil
}

func (p *regexParser) literalNode(r rune) *reNode {
	return &reNode{op: reSet, set: newRuneSet(p.cased(r, r)...)}
}

// hexNumber reads exactly n hex digits.
func (p *regexParser) hexNumber(n int) (rune, error) {
	rest := p.rest()
	if n < 1 || len(rest) < n {
		return 0, invalidRegexp("invalid escape \\ sequence")
	}
	v, err := strconv.ParseUint(rest[:n], 16, 31)
	if err != nil || strings.IndexByte(rest[:n], '_') >= 0 || v == 0x7fffffff {
		return 0, invalidRegexp("invalid escape \\ sequence")
	}
	p.i += n
	return rune(v), nil
}

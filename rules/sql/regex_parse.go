package sql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// regexOptions are the options of a regular expression.
type regexOptions struct {
	fold     bool // i
	newline  bool // . and [^…] stop at newlines
	anchors  bool // ^ and $ match at newlines
	expanded bool // x: white space and comments do not count
	literal  bool // q
	advanced bool // escapes, non-greedy quantifiers, (?:…); else as in POSIX
}

// reNode is the language of a part of a regular expression.
type reNode struct {
	op       reOp
	set      *runeSet
	subs     []*reNode
	min, max int // max < 0: no bound
}

type reOp uint8

const (
	reEmpty reOp = iota
	reSet
	reConcat
	reAlternate
	reRepeat
	reBeginText // constraints from here on
	reEndText
	reBeginLine
	reEndLine
	reWordBoundary
	reNotBoundary
	reWordBegin
	reWordEnd
)

// subre is a node of the tree by which a match is divided into its parts. It
// is that of PostgreSQL (parse and what it calls in regcomp.c), since what
// is grouped decides which parts are longest or shortest.
type subre struct {
	op    byte // '=' one piece, '.' two in a row, '|' one of them, '*' repeated, '(' captured
	flags subreFlags
	cap   int // number of the group captured here, 0 for none
	max   int // of '*', whose minimum is 0; negative: no bound
	kids  []*subre
	lang  *reNode
}

type subreFlags uint8

const (
	longer  subreFlags = 1 << iota // prefers a long match
	shorter                        // prefers a short one
	mixed                          // both below
	captures

	preference = longer | shorter
	messy      = mixed | captures
)

// up is what a node's flags say about the one above.
func (f subreFlags) up() subreFlags {
	out := f & messy
	if f&preference == preference {
		out |= mixed
	}
	return out
}

// combine joins the flags of two in a row: the first preference counts.
func combine(a, b subreFlags) subreFlags {
	p := a & preference
	if p == 0 {
		p = b & preference
	}
	return (a | b).up() | p
}

func invalidRegexp(format string, args ...any) *Error {
	return fail(codeInvalidRegexp, "invalid regular expression: "+format, args...)
}

func refuseRegexp(what string) *Error {
	return refuse(-1, what+" in a regular expression").hint("matching takes linear time, which this can not")
}

type regexParser struct {
	in     string
	i      int
	opt    regexOptions
	groups int
	depth  int
}

const maxRegexDepth = 500

// parseRegexp reads an expression of PostgreSQL's section 9.7.3.
func parseRegexp(pattern string, opt regexOptions) (*subre, int, error) {
	p := &regexParser{in: pattern, opt: opt}
	if opt.literal && (opt.expanded || opt.newline || opt.anchors) {
		return nil, 0, invalidRegexp("invalid argument to regex function")
	}
	if err := p.prefixes(); err != nil {
		return nil, 0, err
	}
	if p.opt.literal {
		top := &subre{op: '=', lang: &reNode{op: reConcat}}
		for p.rest() != "" {
			top.lang.subs = append(top.lang.subs, p.literalNode(p.char()))
		}
		return top, 0, nil
	}
	tree, err := p.alternatives(false)
	return tree, p.groups, err
}

func (p *regexParser) rest() string { return p.in[p.i:] }

// take skips s if it comes next.
func (p *regexParser) take(s string) bool {
	if !strings.HasPrefix(p.rest(), s) {
		return false
	}
	p.i += len(s)
	return true
}

func (p *regexParser) char() rune {
	r, n := utf8.DecodeRuneInString(p.rest())
	p.i += n
	return r
}

// until returns what comes before end, and skips both.
func (p *regexParser) until(end string) (string, bool) {
	before, _, ok := strings.Cut(p.rest(), end)
	if ok {
		p.i += len(before) + len(end)
	}
	return before, ok
}

// skip drops white space and comments where they do not count.
func (p *regexParser) skip() {
	for {
		switch {
		case p.opt.expanded && p.rest() != "" && strings.IndexByte(space, p.rest()[0]) >= 0:
			p.i++
		case p.opt.expanded && p.take("#"):
			if _, ok := p.until("\n"); !ok {
				p.i = len(p.in)
			}
		case p.opt.advanced && strings.HasPrefix(p.rest(), "(?#"):
			if _, ok := p.until(")"); !ok {
				p.i = len(p.in)
			}
		default:
			return
		}
	}
}

// alternatives reads branches up to the end, or to the ) of a group.
func (p *regexParser) alternatives(group bool) (*subre, error) {
	if p.depth++; p.depth > maxRegexDepth {
		return nil, fail(codeLimit, "a regular expression is nested more than %d deep", maxRegexDepth)
	}
	defer func() { p.depth-- }()
	out := &subre{op: '|', flags: longer, lang: &reNode{op: reAlternate}}
	for {
		branch, err := p.branch(group)
		if err != nil {
			return nil, err
		}
		out.kids = append(out.kids, branch)
		out.lang.subs = append(out.lang.subs, branch.lang)
		out.flags |= (out.flags | branch.flags).up()
		if !p.take("|") {
			break
		}
	}
	if group && !p.take(")") {
		return nil, invalidRegexp("parentheses () not balanced")
	}
	switch {
	case len(out.kids) == 1:
		return out.kids[0], nil
	case out.flags&messy == 0:
		out.op, out.kids = '=', nil
	}
	return out, nil
}

// atEnd reports whether a branch ends here.
func (p *regexParser) atEnd(group bool) bool {
	p.skip()
	rest := p.rest()
	return rest == "" || rest[0] == '|' || rest[0] == ')' && group
}

// branch reads what stands between two |. Chains of messy atoms are built
// from the right in the end, so that a long one needs no deep recursion.
func (p *regexParser) branch(group bool) (*subre, error) {
	type link struct {
		prefix, atom *subre
		below        subreFlags
	}
	var chain []link
	top := newPiece(0)
	for !p.atEnd(group) {
		atom, below, err := p.quantified(top)
		if err != nil {
			return nil, err
		}
		if atom != nil {
			chain = append(chain, link{top, atom, below})
			top = newPiece(0)
		}
	}
	rest := top
	for k, l := range slices.Backward(chain) {
		last := k == len(chain)-1 && len(rest.lang.subs) == 0
		if last {
			rest = nil
		}
		rest = join(l.prefix, l.atom, l.below, rest)
	}
	return rest, nil
}

func newPiece(flags subreFlags) *subre {
	return &subre{op: '=', flags: flags, lang: &reNode{op: reConcat}}
}

func pair(a, b *subre, flags subreFlags) *subre {
	return &subre{op: '.', flags: flags, kids: []*subre{a, b}, lang: &reNode{op: reConcat, subs: []*reNode{a.lang, b.lang}}}
}

// join is the end of parseqatom: prefix, a messy atom whose flags with those
// of its quantifier are below, and the rest of the branch.
func join(prefix, atom *subre, below subreFlags, rest *subre) *subre {
	empty := len(prefix.lang.subs) == 0
	flags := prefix.flags
	if rest == nil {
		if empty {
			return atom
		}
		return pair(prefix, atom, flags|combine(flags, atom.flags))
	}
	below |= combine(below, rest.flags)
	flags |= combine(flags, below)
	switch {
	case empty:
		return pair(atom, rest, flags)
	case atom.op == '=' && rest.op == '=' && (atom.flags|rest.flags).up()&messy == 0:
		merged := &subre{op: '=', flags: combine(atom.flags, rest.flags), lang: &reNode{op: reConcat, subs: []*reNode{atom.lang, rest.lang}}}
		return pair(prefix, merged, flags)
	}
	return pair(prefix, pair(atom, rest, below), flags)
}

// quantified reads an atom or constraint. What is simple goes into top; what
// is not is returned, with its flags and those of its quantifier.
func (p *regexParser) quantified(top *subre) (*subre, subreFlags, error) {
	lang, atom, err := p.atom()
	if err != nil {
		return nil, 0, err
	}
	if lang.op >= reBeginText {
		top.lang.subs = append(top.lang.subs, lang)
		return nil, 0, nil
	}
	least, most, prefer, err := p.quantifier()
	if err != nil {
		return nil, 0, err
	}
	if most == 0 {
		top.lang.subs = append(top.lang.subs, &reNode{op: reEmpty})
		return nil, 0, nil
	}
	f := top.flags | prefer
	if atom != nil {
		f |= atom.flags
	}
	if f.up()&messy == 0 {
		top.lang.subs = append(top.lang.subs, repeated(lang, least, most))
		top.flags = f
		return nil, 0, nil
	}
	if atom == nil {
		atom = &subre{op: '=', lang: lang}
	}
	f = combine(prefer, atom.flags)
	inner := atom.flags & (preference | mixed)
	switch {
	case least == 1 && most == 1 && (prefer == 0 || inner == 0 || prefer == inner):
		return atom, f, nil
	case atom.flags&captures == 0:
		return &subre{op: '=', flags: f, lang: repeated(lang, least, most)}, f, nil
	case least > 0:
		before := &subre{op: '=', flags: f & preference, lang: repeated(lang, least-1, most-min(most, 1))}
		if most < 0 {
			before.lang = repeated(lang, least-1, most)
		}
		return pair(before, atom, f), f, nil
	}
	return &subre{op: '*', flags: f, max: most, kids: []*subre{atom}, lang: repeated(lang, least, most)}, f, nil
}

func repeated(lang *reNode, least, most int) *reNode {
	switch {
	case least == 1 && most == 1:
		return lang
	case most == 0:
		return &reNode{op: reEmpty}
	}
	return &reNode{op: reRepeat, subs: []*reNode{lang}, min: least, max: most}
}

package sigma

import (
	"fmt"
	"net/netip"
	"regexp/syntax"
	"strings"
	"unicode"
)

// translate writes a regular expression of Sigma, which is of Perl's kind, as
// one of PostgreSQL's, where \b and . mean something else. fold says that it is
// to be matched without regard to case. Look-around and references to groups
// are not known.
func translate(text, flags string) (pattern string, fold bool, err error) {
	return new(regexpWriter).translate(text, flags)
}

// translateWords is translate for one of the words of a text.
func translateWords(text, flags string) (pattern string, fold bool, err error) {
	return (&regexpWriter{words: true}).translate(text, flags)
}

func (w *regexpWriter) translate(text, flags string) (pattern string, fold bool, err error) {
	mode := syntax.Perl
	for _, f := range flags {
		switch f {
		case 'i':
			mode |= syntax.FoldCase
		case 'm':
			mode &^= syntax.OneLine
		case 's':
			mode |= syntax.DotNL
		}
	}
	tree, err := syntax.Parse(text, mode)
	if err != nil {
		return "", false, fmt.Errorf("regular expression: %s", oneLine(strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
	}
	w.fold = strings.Contains(flags, "i") && !written(tree)
	if err := w.write(tree, 0); err != nil {
		return "", false, fmt.Errorf("regular expression: %w", err)
	}
	if w.lines {
		return "(?w)" + w.b.String(), w.fold, nil
	}
	return w.b.String(), w.fold, nil
}

// written reports whether some letters of the expression are to be as they are
// written.
func written(tree *syntax.Regexp) bool {
	if tree.Op == syntax.OpLiteral && tree.Flags&syntax.FoldCase == 0 && strings.ContainsFunc(string(tree.Rune), unicode.IsLetter) {
		return true
	}
	for _, sub := range tree.Sub {
		if written(sub) {
			return true
		}
	}
	return false
}

type regexpWriter struct {
	b     strings.Builder
	fold  bool // letters of ASCII need no choice
	words bool // the beginning and end are those of a word
	lines bool // ^ and $ are of lines
}

// maxRepeat is PostgreSQL's bound of a repetition.
const maxRepeat = 255

func (w *regexpWriter) write(tree *syntax.Regexp, depth int) error {
	switch tree.Op {
	case syntax.OpNoMatch:
		return fmt.Errorf("nothing matches it")
	case syntax.OpEmptyMatch:
		w.b.WriteString("(?:)")
	case syntax.OpLiteral:
		for _, c := range tree.Rune {
			w.letter(c, tree.Flags&syntax.FoldCase != 0)
		}
	case syntax.OpCharClass:
		w.class(tree.Rune)
	case syntax.OpAnyCharNotNL:
		w.b.WriteString(`[^\n]`)
	case syntax.OpAnyChar:
		w.b.WriteByte('.')
	case syntax.OpBeginText, syntax.OpEndText:
		w.edge(tree.Op == syntax.OpBeginText)
	case syntax.OpBeginLine:
		w.lines = true
		w.b.WriteByte('^')
	case syntax.OpEndLine:
		w.lines = true
		w.b.WriteByte('$')
	case syntax.OpWordBoundary:
		w.b.WriteString(`\y`)
	case syntax.OpNoWordBoundary:
		w.b.WriteString(`\Y`)
	case syntax.OpCapture:
		return w.group(tree.Sub[0], depth)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		if err := w.group(tree.Sub[0], depth); err != nil {
			return err
		}
		w.b.WriteByte(map[syntax.Op]byte{syntax.OpStar: '*', syntax.OpPlus: '+', syntax.OpQuest: '?'}[tree.Op])
	case syntax.OpRepeat:
		if tree.Min > maxRepeat || tree.Max > maxRepeat {
			return fmt.Errorf("a repetition of more than %d", maxRepeat)
		}
		if err := w.group(tree.Sub[0], depth); err != nil {
			return err
		}
		switch {
		case tree.Max < 0:
			fmt.Fprintf(&w.b, "{%d,}", tree.Min)
		case tree.Max == tree.Min:
			fmt.Fprintf(&w.b, "{%d}", tree.Min)
		default:
			fmt.Fprintf(&w.b, "{%d,%d}", tree.Min, tree.Max)
		}
	case syntax.OpConcat, syntax.OpAlternate:
		for i, sub := range tree.Sub {
			if tree.Op == syntax.OpAlternate && i > 0 {
				w.b.WriteByte('|')
			}
			write := w.write
			if sub.Op == syntax.OpAlternate {
				write = w.group
			}
			if err := write(sub, depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%v is not known", tree.Op)
	}
	return nil
}

// edge writes where the text begins or ends.
func (w *regexpWriter) edge(begin bool) {
	switch {
	case begin && w.words:
		w.b.WriteString(`(?:\A| )`)
	case begin:
		w.b.WriteString(`\A`)
	case w.words:
		w.b.WriteString(`(?: |\Z)`)
	default:
		w.b.WriteString(`\Z`)
	}
}

// group writes a part that something follows.
func (w *regexpWriter) group(tree *syntax.Regexp, depth int) error {
	for tree.Op == syntax.OpCapture {
		tree = tree.Sub[0]
	}
	if tree.Op == syntax.OpCharClass || tree.Op == syntax.OpAnyChar || tree.Op == syntax.OpAnyCharNotNL || tree.Op == syntax.OpLiteral && len(tree.Rune) == 1 {
		return w.write(tree, depth)
	}
	w.b.WriteString("(?:")
	if err := w.write(tree, depth+1); err != nil {
		return err
	}
	w.b.WriteByte(')')
	return nil
}

func (w *regexpWriter) letter(c rune, fold bool) {
	if !fold || w.fold && c < unicode.MaxASCII || unicode.SimpleFold(c) == c {
		if c == '\n' || c == '\t' || c == '\r' || !unicode.IsPrint(c) && c != ' ' {
			w.char(c)
			return
		}
		w.b.WriteString(quoteRegexp(string(c)))
		return
	}
	list := []rune{c, c}
	for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
		list = append(list, f, f)
	}
	w.class(list)
}

// class writes pairs of characters, each from the first to the second.
func (w *regexpWriter) class(pairs []rune) {
	w.b.WriteByte('[')
	if len(pairs) > 2 && pairs[0] == 0 && pairs[len(pairs)-1] == unicode.MaxRune { // of [^...]
		w.b.WriteByte('^')
		for i := 1; i+1 < len(pairs)-1; i += 2 {
			w.span(pairs[i]+1, pairs[i+1]-1)
		}
	} else {
		for i := 0; i+1 < len(pairs); i += 2 {
			w.span(pairs[i], pairs[i+1])
		}
	}
	w.b.WriteByte(']')
}

func (w *regexpWriter) span(from, to rune) {
	w.member(from)
	if to > from {
		if to > from+1 {
			w.b.WriteByte('-')
		}
		w.member(to)
	}
}

// member writes a character within brackets.
func (w *regexpWriter) member(c rune) {
	switch {
	case c == 0:
		c = 1 // no text has NUL
		fallthrough
	case !unicode.IsPrint(c) && c != ' ':
		w.char(c)
	case strings.ContainsRune(`\]^-[`, c):
		w.b.WriteString(`\` + string(c))
	default:
		w.b.WriteRune(c)
	}
}

// char writes a character by its number.
func (w *regexpWriter) char(c rune) {
	if c > 0xffff {
		fmt.Fprintf(&w.b, `\U%08x`, c)
		return
	}
	fmt.Fprintf(&w.b, `\u%04x`, c)
}

func checkCIDR(s string) error {
	if _, err := netip.ParsePrefix(s); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "%") {
		return nil
	}
	return fmt.Errorf("%q is not a network", oneLine(s))
}

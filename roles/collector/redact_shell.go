package collector

import "strings"

const (
	// maxScripts bounds scripts within quoted words of scripts, maxSubshells
	// the command substitutions within each other.
	maxScripts   = 8
	maxSubshells = 64
	// maxWords bounds the words of a command that are held at a time. When there
	// are more, the program and the last two are held on to.
	maxWords = 4096
)

// word is an argument, or a word of a script with its quotes removed.
type word struct {
	text   string
	out    *spans   // where its secrets are noted, by positions in the source
	start  int      // of the word in the source
	quotes *quoting // nil: the word stands in the source as it is
	source string   // the script; "" for an argument
}

// quoting leads from bytes of a word to those of its source.
type quoting struct {
	runs     []run
	sections []section
}

// run is a part of a word that stands in the source as it is.
type run struct {
	text, source int // where it begins in either
	section      int // quotes around it: index in sections plus 1, or 0
	escaped      bool
	literal      bool // "$" is no variable here
}

// section is a part of the source in quotes: the positions of both.
type section struct{ open, shut int }

// add notes text[from:to] as a secret. What begins within quotes that it does
// not end in takes the quotes with it. A variable of the shell is none.
func (w *word) add(from, to int) {
	if from >= to {
		return
	}
	if w.source == "" {
		w.out.add(from, to)
		return
	}
	first, last := w.start+from, w.start+to
	literal := false
	if q := w.quotes; q != nil {
		a, b := q.find(from), q.find(to-1)
		first, last = a.source+from-a.text, b.source+to-b.text
		literal = a.literal
		if a.escaped {
			first--
		}
		if a.section != b.section {
			if a.section > 0 {
				first = q.sections[a.section-1].open
			}
			if b.section > 0 {
				last = q.sections[b.section-1].shut + 1
			}
		}
		last = min(last, len(w.source))
	}
	if !literal && reference(w.source[first:last]) {
		return
	}
	w.out.add(first, last)
}

// find returns the run that holds byte i.
func (q *quoting) find(i int) run {
	low, high := 0, len(q.runs)
	for high-low > 1 {
		if middle := (low + high) / 2; q.runs[middle].text <= i {
			low = middle
		} else {
			high = middle
		}
	}
	return q.runs[low]
}

// reference reports whether s only says where the secret is: $NAME, ${NAME},
// or the output of a command that does not hold it.
func reference(s string) bool {
	if len(s) < 2 || s[0] != '$' && s[0] != '`' {
		return false
	}
	inner := ""
	switch {
	case s[0] == '`':
		if s[len(s)-1] != '`' || strings.Count(s, "`") != 2 {
			return false
		}
		inner = s[1 : len(s)-1]
	case s[1] == '(':
		if s[len(s)-1] != ')' || strings.Count(s, "$(") != 1 {
			return false
		}
		inner = s[2 : len(s)-1]
	case s[1] == '{':
		return len(s) > 3 && s[len(s)-1] == '}' && nameLength(s[2:]) == len(s)-3
	default:
		return nameLength(s[1:]) == len(s)-1
	}
	return !strings.Contains(inner, "echo") && !strings.Contains(inner, "printf") && !strings.Contains(inner, "<<<")
}

// nameLength returns how many bytes at the start of s can be a variable's name.
func nameLength(s string) int {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

// script walks the commands of a shell script and adds its secrets to out.
func (s *scan) script(text string, out *spans) {
	if s.scripts >= maxScripts {
		return
	}
	inner := scan{r: s.r, scripts: s.scripts + 1}
	p := parser{scan: &inner, source: text, out: out}
	for p.at < len(p.source) {
		p.commands(0)
	}
}

// parser cuts a script into commands and words.
type parser struct {
	scan      *scan
	source    string
	out       *spans
	at        int
	subshells int // around the present position
}

// commands walks commands until closer, ')' or '`', or the end.
func (p *parser) commands(closer byte) {
	var words []word
	parens, cases := 0, 0
	target := false // the next word is where a redirection leads
	flush := func() {
		if len(words) > 0 {
			switch words[0].text {
			case "case":
				cases++
			case "esac":
				cases = max(0, cases-1)
			}
			p.scan.command(words)
			words = words[:0]
		}
		target = false
	}
	defer flush()
	for p.at < len(p.source) {
		c := p.source[p.at]
		switch c {
		case ' ', '\t', '\r':
			p.at++
		case '\n', ';', '|':
			flush()
			p.at++
		case '&':
			if p.at++; p.at == len(p.source) || p.source[p.at] != '>' {
				flush()
			}
		case '(':
			flush()
			parens++
			p.at++
		case ')':
			flush()
			p.at++
			if parens == 0 && cases == 0 && closer == ')' {
				return
			}
			parens = max(0, parens-1)
		case '<', '>':
			for p.at++; p.at < len(p.source) && strings.IndexByte("<>&|", p.source[p.at]) >= 0; {
				p.at++
			}
			if p.at < len(p.source) && p.source[p.at] == '(' && p.subshells < maxSubshells {
				p.at++
				p.subshell(')')
				continue
			}
			target = true
		case '`':
			if closer == '`' {
				p.at++
				return
			}
			fallthrough
		default:
			w := p.word(closer)
			if target {
				target = false
				p.scan.value(&w, maybeScript)
				continue
			}
			if words = append(words, w); len(words) == maxWords {
				p.scan.command(words)
				words = append(words[:1], words[maxWords-2:]...)
			}
		}
	}
}

func (p *parser) subshell(closer byte) {
	p.subshells++
	p.commands(closer)
	p.subshells--
}

// builder makes a word's text without its quotes.
type builder struct {
	text  []byte
	quote *quoting
}

func (b *builder) literal(s string, at int, r run) {
	if s == "" {
		return
	}
	r.text, r.source = len(b.text), at
	b.quote.runs = append(b.quote.runs, r)
	b.text = append(b.text, s...)
}

// word reads one word, of which at least one byte is there.
func (p *parser) word(closer byte) word {
	start := p.at
	for p.at < len(p.source) && !special(p.source[p.at]) {
		p.at++
	}
	if p.at == len(p.source) || ends(p.source[p.at]) || p.source[p.at] == '`' && closer == '`' {
		return word{text: p.source[start:p.at], out: p.out, start: start, source: p.source}
	}
	b := builder{quote: &quoting{}}
	b.literal(p.source[start:p.at], start, run{})
	for p.at < len(p.source) {
		c := p.source[p.at]
		if ends(c) || c == '`' && closer == '`' {
			break
		}
		switch c {
		case '\'':
			p.single(&b)
		case '"':
			p.double(&b, closer)
		case '\\':
			p.escape(&b, 0)
		case '$', '`':
			p.dollar(&b, 0)
		default:
			from := p.at
			for p.at < len(p.source) && !special(p.source[p.at]) {
				p.at++
			}
			b.literal(p.source[from:p.at], from, run{})
		}
	}
	if len(b.quote.runs) == 0 {
		b.quote = nil
	}
	return word{text: string(b.text), out: p.out, start: start, quotes: b.quote, source: p.source}
}

// ends reports whether c ends a word that is not in quotes.
func ends(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ';', '&', '|', '(', ')', '<', '>':
		return true
	}
	return false
}

// special reports whether c is not just a letter of a word.
func special(c byte) bool {
	return ends(c) || c == '\'' || c == '"' || c == '\\' || c == '$' || c == '`'
}

func (p *parser) single(b *builder) {
	open := p.at
	n := strings.IndexByte(p.source[open+1:], '\'')
	if n < 0 {
		n = len(p.source) - open - 1
	}
	shut := open + 1 + n
	b.quote.sections = append(b.quote.sections, section{open, shut})
	b.literal(p.source[open+1:shut], open+1, run{section: len(b.quote.sections), literal: true})
	p.at = min(shut+1, len(p.source))
}

func (p *parser) double(b *builder, closer byte) {
	b.quote.sections = append(b.quote.sections, section{p.at, len(p.source)})
	number := len(b.quote.sections)
	p.at++
	from := p.at
	for p.at < len(p.source) {
		c := p.source[p.at]
		if c == '`' && closer == '`' { // of the substitution around it
			break
		}
		switch c {
		case '"':
			b.literal(p.source[from:p.at], from, run{section: number})
			b.quote.sections[number-1].shut = p.at
			p.at++
			return
		case '\\', '$', '`':
			b.literal(p.source[from:p.at], from, run{section: number})
			if c == '\\' {
				p.escape(b, number)
			} else {
				p.dollar(b, number)
			}
			from = p.at
		default:
			p.at++
		}
	}
	b.literal(p.source[from:p.at], from, run{section: number})
	b.quote.sections[number-1].shut = p.at
}

// escape takes a backslash and what follows it.
func (p *parser) escape(b *builder, number int) {
	at := p.at
	p.at = min(at+2, len(p.source))
	switch {
	case p.at < at+2: // the last byte of the script
		b.literal(p.source[at:p.at], at, run{section: number})
	case p.source[at+1] == '\n':
	case number > 0 && strings.IndexByte("\"\\$`", p.source[at+1]) < 0:
		b.literal(p.source[at:p.at], at, run{section: number})
	default:
		b.literal(p.source[at+1:p.at], at+1, run{section: number, escaped: true, literal: true})
	}
}

// dollar takes "$" or "`" and the substitution that it begins. In the word
// stands "$_" for it.
func (p *parser) dollar(b *builder, number int) {
	at, rest := p.at, p.source[p.at:]
	closer, skip := byte(0), 1
	switch {
	case rest[0] == '`':
		closer = '`'
	case strings.HasPrefix(rest, "$("):
		closer, skip = ')', 2
	}
	switch {
	case closer != 0 && p.subshells < maxSubshells:
		p.at += skip
		p.subshell(closer)
		b.literal("$", at, run{section: number})
		b.literal("_", p.at-1, run{section: number})
	case strings.HasPrefix(rest, "${"):
		name := 2 + nameLength(rest[2:])
		if name < len(rest) && rest[name] == '}' {
			name++
		}
		p.at += name
		b.literal(rest[:name], at, run{section: number})
	case len(rest) > 1 && rest[1] == '\'' && number == 0:
		p.at++ // $'…': the quotes alone matter
	default:
		p.at++
		b.literal("$", at, run{section: number})
	}
}

package sql

import "strings"

// numberWriter is NUMProc: the state of writing one number.
type numberWriter struct {
	f         *numberFormat
	out       []byte
	number    string // digits, with a point
	at        int    // in number
	last      int    // of the last digit that counts, -1: all do
	sign      byte
	wrote     bool // the sign
	after     bool // the sign comes after the digits
	bracket   bool
	in        bool // a digit was written
	current   int
	count     int
	spaces    int
	zeroStart int
	err       error
}

// write fills in number, which has no sign (NUM_processor).
func (f *numberFormat) write(number string, sign byte, spaces int) (string, error) {
	w := &numberWriter{f: f, number: number, sign: sign, spaces: spaces, last: -1, bracket: f.bracket, after: f.signAfter, zeroStart: max(f.zeroStart-1, 0)}
	if f.plus || f.minus {
		w.wrote = !f.plus || f.minus
	} else {
		if sign != '-' && f.fill {
			w.bracket = false
		}
		w.wrote = sign == '+' && f.fill && !f.sign
		if f.sign && !w.after && f.pre == f.signAt {
			w.after = true
		}
	}
	w.count = f.post + f.pre - 1
	if f.fill && f.decimal {
		w.trimDecimals()
	}
	if !w.wrote && spaces == 0 {
		w.count++
	}
	for _, n := range f.nodes {
		w.node(n)
	}
	text, _, _ := strings.Cut(string(w.out), "\x00")
	return text, w.err
}

func (w *numberWriter) trimDecimals() {
	point := strings.IndexByte(w.number, '.')
	if point < 0 {
		return
	}
	w.last = point
	for i := point + 1; i < len(w.number); i++ {
		if w.number[i] != '0' {
			w.last = i
		}
	}
	if w.f.zeroEnd > w.spaces {
		w.last = max(w.last, min(len(w.number)-1, w.f.zeroEnd-w.spaces))
	}
}

func (w *numberWriter) node(n formatNode) {
	blank := func(c byte, show bool) {
		switch {
		case show:
			w.out = append(w.out, c)
		case !w.f.fill:
			w.out = append(w.out, ' ')
		}
	}
	switch n.field {
	case "":
		w.out = append(w.out, n.text...)
	case "9", "0", ".", "D":
		w.digit(n.field)
	case ",", "G":
		blank(',', w.in)
	case "L":
		w.out = append(w.out, ' ')
	case "MI":
		blank('-', w.sign == '-')
	case "PL":
		blank('+', w.sign == '+')
	case "SG":
		w.out = append(w.out, w.sign)
	case "TH", "th":
		if w.number[0] != '#' && w.sign != '-' && !w.f.decimal {
			if c := w.number[len(w.number)-1]; c < '0' || c > '9' {
				w.err = fail(codeInvalidText, "%q is not a number", w.number)
			}
			w.out = append(w.out, ordinalSuffix(w.number, n.field)...)
		}
	}
}

// leadingZero: a 0 before the point that the format has no 0 for.
func (w *numberWriter) leadingZero() bool {
	return !w.f.zero && w.at == 0 && w.number[0] == '0' && w.f.post != 0
}

func (w *numberWriter) pointLast() bool { return w.last >= 0 && w.number[w.last] == '.' }

func (w *numberWriter) signText() byte {
	if w.sign == '-' {
		return '-'
	}
	return '+'
}

// digit is NUM_numpart_to_char.
func (w *numberWriter) digit(field string) {
	w.in = false
	f := w.f
	if !w.wrote && (w.current >= w.spaces || f.zero && w.zeroStart == w.current) && (!w.leadingZero() || w.pointLast()) {
		switch {
		case f.sign:
			if !w.after {
				w.out, w.wrote = append(w.out, w.signText()), true
			}
		case w.bracket:
			c := byte('<')
			if w.sign == '+' {
				c = ' '
			}
			w.out, w.wrote = append(w.out, c), true
		case w.sign == '+':
			if !f.fill {
				w.out = append(w.out, ' ')
			}
			w.wrote = true
		default:
			w.out, w.wrote = append(w.out, '-'), true
		}
	}
	switch {
	case w.current < w.spaces && (w.zeroStart > w.current || !f.zero):
		if !f.fill {
			w.out = append(w.out, ' ')
		}
	case f.zero && w.current < w.spaces && w.zeroStart <= w.current:
		w.out, w.in = append(w.out, '0'), true
	default:
		w.fromNumber(field)
	}
	end := w.count
	if w.spaces > 0 {
		end++
	}
	if f.decimal {
		end++
	}
	if w.last >= 0 && w.last == w.at {
		end = w.current
	}
	if w.current+1 == end {
		switch {
		case w.wrote && w.bracket:
			c := byte('>')
			if w.sign == '+' {
				c = ' '
			}
			w.out = append(w.out, c)
		case f.sign && w.after:
			w.out = append(w.out, w.signText())
		}
	}
	w.current++
}

func (w *numberWriter) fromNumber(field string) {
	c := byte(0) // after the digits; PostgreSQL's text ends with it
	if w.at < len(w.number) {
		c = w.number[w.at]
	}
	switch {
	case c == '.':
		if !w.pointLast() || w.f.fill {
			w.out = append(w.out, '.')
		}
	case w.last >= 0 && w.at > w.last && field != "0":
	case w.leadingZero():
		if !w.f.fill {
			w.out = append(w.out, ' ')
		} else if w.pointLast() {
			w.out = append(w.out, '0')
		}
	default:
		w.out, w.in = append(w.out, c), true
	}
	if c != 0 {
		w.at++
	}
}

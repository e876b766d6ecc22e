package sql

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

var numberFields = []string{"EEEE", "eeee", "FM", "fm", "MI", "mi", "PL", "pl", "PR", "pr", "RN", "rn", "SG", "sg", "SP", "sp", "TH", "th", "B", "b", "D", "d", "G", "g", "L", "l", "S", "s", "V", "v", "C", "c", "9", "0", ".", ","}

// numberFormat is NUMDesc of PostgreSQL's formatting.c: what a format says.
type numberFormat struct {
	nodes                                             []formatNode
	pre, post, multi, signAt                          int
	zeroStart, zeroEnd                                int
	decimal, fill, zero, sign, signAfter              bool // S, and after the digits
	minus, plus, bracket, roman, multiple, scientific bool
}

func numberFormatError(format string, args ...any) error { return fail(codeSyntax, format, args...) }

// parseNumberFormat is parse_format with NUMDesc_prepare.
func parseNumberFormat(s string) (*numberFormat, error) {
	f := &numberFormat{nodes: parseFormat(s, numberFields, false)}
	for i := range f.nodes {
		field := strings.ToUpper(f.nodes[i].field)
		if f.nodes[i].field != "TH" && f.nodes[i].field != "th" && f.nodes[i].field != "rn" {
			f.nodes[i].field = field
		}
		if err := f.element(field); err != nil {
			return nil, err
		}
	}
	for _, n := range f.nodes {
		if f.roman && !slices.Contains([]string{"", "RN", "rn", "FM", "9", "0"}, n.field) {
			return nil, refuse(-1, "RN beside "+n.field+" in a format")
		}
	}
	return f, nil
}

func (f *numberFormat) element(field string) error {
	if f.scientific && field != "" {
		return numberFormatError(`"EEEE" must be the last pattern used`)
	}
	switch field {
	case "9":
		switch {
		case f.bracket:
			return numberFormatError(`"9" must be ahead of "PR"`)
		case f.multiple:
			f.multi++
		case f.decimal:
			f.post++
		default:
			f.pre++
		}
	case "0":
		if f.bracket {
			return numberFormatError(`"0" must be ahead of "PR"`)
		}
		if !f.zero && !f.decimal {
			f.zero, f.zeroStart = true, f.pre+1
		}
		if f.decimal {
			f.post++
		} else {
			f.pre++
		}
		f.zeroEnd = f.pre + f.post
	case ".", "D":
		if f.decimal {
			return numberFormatError("multiple decimal points")
		}
		if f.multiple {
			return numberFormatError(`cannot use "V" and decimal point together`)
		}
		f.decimal = true
	case "FM":
		f.fill = true
	case "S":
		if f.sign {
			return numberFormatError(`cannot use "S" twice`)
		}
		if f.plus || f.minus || f.bracket {
			return numberFormatError(`cannot use "S" and "PL"/"MI"/"SG"/"PR" together`)
		}
		f.sign, f.signAfter, f.signAt = true, f.decimal, f.pre
	case "MI", "PL", "SG":
		if f.sign {
			return numberFormatError(`cannot use "S" and %q together`, field)
		}
		f.minus, f.plus = f.minus || field != "PL", f.plus || field != "MI"
	case "PR":
		if f.sign || f.plus || f.minus {
			return numberFormatError(`cannot use "PR" and "S"/"PL"/"MI"/"SG" together`)
		}
		f.bracket = true
	case "V":
		if f.decimal {
			return numberFormatError(`cannot use "V" and decimal point together`)
		}
		f.multiple = true
	case "EEEE":
		if f.fill || f.sign || f.bracket || f.minus || f.plus || f.roman || f.multiple {
			return numberFormatError(`"EEEE" is incompatible with other formats`)
		}
		f.scientific = true
	case "RN":
		f.roman = true
	}
	return nil
}

// fit pads a number to the format's digits before the point, or fills it
// with # when it does not fit.
func (f *numberFormat) fit(text string) (string, error) {
	sign := byte('+')
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = '-', rest
	}
	whole, _, _ := strings.Cut(text, ".")
	spaces := 0
	switch n := len(whole); {
	case n < f.pre:
		spaces = f.pre - n
	case n > f.pre:
		hashes := []byte(strings.Repeat("#", f.pre+f.post+1))
		hashes[f.pre] = '.'
		text = string(hashes)
	}
	return f.write(text, sign, spaces)
}

// roman writes 1 to 3999.
func (f *numberFormat) romanText(n int64) string {
	text := strings.Repeat("#", 15)
	if n >= 1 && n <= 3999 {
		var b strings.Builder
		for i, d := range []int64{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1} {
			for ; n >= d; n -= d {
				b.WriteString([]string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}[i])
			}
		}
		text = b.String()
	}
	var out strings.Builder
	for _, node := range f.nodes {
		switch {
		case node.field == "RN" || node.field == "rn":
			s := text
			if node.field == "rn" {
				s = strings.ToLower(s)
			}
			if !f.fill {
				s = strings.Repeat(" ", 15-len(s)) + s
			}
			out.WriteString(s)
		case node.field == "":
			out.WriteString(node.text)
		}
	}
	return out.String()
}

// numeric is numeric_to_char.
func (f *numberFormat) numeric(n *numeric) (string, error) {
	g := *f
	switch {
	case g.roman:
		i, err := n.toInt(Int4)
		return g.romanText(i), err
	case g.scientific:
		if n.kind != finite {
			hashes := []byte(strings.Repeat("#", g.pre+g.post+6))
			hashes[0], hashes[g.pre+1] = ' ', '.'
			return string(hashes), nil
		}
		return g.exponent(n), nil
	case g.multiple:
		n, _ = numericMul(n, numericFromBig(pow10(g.multi)))
		g.pre += g.multi
	}
	if n.kind != finite {
		return g.fit(n.String())
	}
	return g.fit(n.round(g.post).String())
}

// exponent writes d.ddde+xx with a place for the sign. As in PostgreSQL 15 the
// digits may round up to 10.
func (f *numberFormat) exponent(n *numeric) string {
	power := 0
	if n.sign() != 0 {
		power = len(new(big.Int).Abs(&n.coef).String()) - 1 - n.scale
	}
	r := n.round(f.post - power)
	c := new(big.Int).Abs(&r.coef)
	if over := r.scale - (f.post - power); over > 0 {
		c.Quo(c, pow10(over))
	}
	digits := c.String()
	digits = strings.Repeat("0", max(f.post+1-len(digits), 0)) + digits
	out := " "
	if n.sign() < 0 {
		out = "-"
	}
	whole := len(digits) - f.post
	if out += digits[:whole]; f.post > 0 {
		out += "." + digits[whole:]
	}
	sign := "+"
	if power < 0 {
		sign, power = "-", -power
	}
	e := strconv.Itoa(power)
	return out + "e" + sign + strings.Repeat("0", max(2-len(e), 0)) + e
}

// float is float8_to_char: with 15 digits at most.
func (f *numberFormat) float(x float64) (string, error) {
	g := *f
	switch {
	case g.roman:
		return g.romanText(int64(math.RoundToEven(min(max(x, 0), 4000)))), nil
	case g.scientific:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return g.numeric(special(x))
		}
		s := strconv.FormatFloat(x, 'e', g.post, 64)
		if x >= 0 {
			s = " " + s
		}
		return s, nil
	case g.multiple:
		x *= math.Pow(10, float64(g.multi))
		g.pre += g.multi
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return g.fit(string(appendFloat(nil, x)))
	}
	whole := len(strconv.FormatFloat(math.Abs(x), 'f', 0, 64))
	g.post = max(min(g.post, 15-whole), 0)
	return g.fit(strconv.FormatFloat(x, 'f', g.post, 64))
}

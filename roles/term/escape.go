package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Escape returns s as a terminal may receive it. What Unicode does not call
// graphic is shown instead of sent: \n, \r and \t as such, other ASCII control
// characters and bytes that are not UTF-8 as \xHH, everything else (C1
// controls, bidirectional overrides, zero-width and unassigned characters,
// line separators) as \u{HHHH}. A backslash stays as it is, so the result is
// for reading, not for parsing.
func Escape(s string) string { return escape(s, unicode.IsGraphic) }

// EscapeASCII is Escape for a terminal that shows ASCII only.
func EscapeASCII(s string) string {
	return escape(s, func(r rune) bool { return r < 0x7f && r >= ' ' })
}

func escape(s string, shown func(rune) bool) string {
	clean := 0
	for clean < len(s) && s[clean] >= ' ' && s[clean] < 0x7f {
		clean++
	}
	if clean == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:clean])
	for i := clean; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case shown(r):
			b.WriteString(s[i : i+n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		}
		i += n
	}
	return b.String()
}

// EscapeJSON returns the JSON text as a terminal may receive it: what Escape
// would escape, and with ascii what is not ASCII, stands as \uXXXX, two of them
// beyond the basic plane (RFC 8259, section 7). It stays JSON of the same value;
// bytes that are not UTF-8 become U+FFFD. Blanks between tokens stay blanks.
func EscapeJSON(text []byte, ascii bool) []byte {
	var out []byte
	clean := 0 // text[clean:i] needs nothing and is not in out yet
	for i := 0; i < len(text); {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text[i:])
		}
		broken := r == utf8.RuneError && n == 1
		switch {
		case r == '\n', r < 0x7f && r >= ' ', !broken && !ascii && unicode.IsGraphic(r):
			i += n
			continue
		}
		out = append(out, text[clean:i]...)
		switch {
		case r < ' ': // only between tokens
			out = append(out, ' ')
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
		clean = i
	}
	if out == nil {
		return text
	}
	return append(out, text[clean:]...)
}

// Width returns the number of terminal cells that the escaped s takes.
func Width(s string) int {
	cells := 0
	for _, r := range s {
		cells += runeWidth(r)
	}
	return cells
}

// runeWidth follows UAX #11, which leaves combining characters open: those
// take no cell of their own, nor do the vowels and finals of Hangul syllables
// (U+1160–U+11FF), which join the character before.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me), r >= 0x1160 && r <= 0x11ff:
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Truncate returns the escaped s in at most cells terminal cells, its end
// replaced by ellipsis when it is longer.
func Truncate(s string, cells int, ellipsis string) string {
	if len(s) <= cells || Width(s) <= cells {
		return s
	}
	room := cells - Width(ellipsis)
	if room < 0 {
		return strings.Repeat(".", max(cells, 0))
	}
	used := 0
	for i, r := range s {
		w := runeWidth(r)
		if used+w > room {
			return s[:i] + ellipsis
		}
		used += w
	}
	return s
}

// Pad returns the escaped s with spaces after it to cells terminal cells.
func Pad(s string, cells int) string {
	return s + strings.Repeat(" ", max(cells-Width(s), 0))
}

// PadLeft returns the escaped s with spaces before it.
func PadLeft(s string, cells int) string {
	return strings.Repeat(" ", max(cells-Width(s), 0)) + s
}

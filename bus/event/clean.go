package event

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Clean returns s as PostgreSQL's text can hold it: each byte that is not
// part of valid UTF-8, and each NUL, becomes the four characters \xHH.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

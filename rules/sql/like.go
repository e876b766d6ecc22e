package sql

import (
	"strings"
	"unicode/utf8"
)

// errEscapeAtEnd is raised only when matching gets to the pattern's end, as
// PostgreSQL does.
var errEscapeAtEnd = fail(codeInvalidEscape, "LIKE pattern must not end with escape character")

// likeMatcher compiles a LIKE pattern. Patterns of literals between %, which
// are most, become substring searches; others are walked as PostgreSQL does.
func likeMatcher(pattern string) (func(s string) (bool, error), error) {
	if len(pattern) > maxPattern {
		return nil, fail(codeLimit, "a LIKE pattern has at most %d bytes", maxPattern)
	}
	parts, simple := splitLike(pattern)
	if !simple {
		return func(s string) (bool, error) {
			if err := withinSteps(len(pattern), len(s)); err != nil {
				return false, err
			}
			r, err := matchLike(s, pattern)
			return r == likeTrue, err
		}, nil
	}
	if len(parts) == 1 {
		return func(s string) (bool, error) { return s == parts[0], nil }, nil
	}
	first, last, middle := parts[0], parts[len(parts)-1], parts[1:len(parts)-1]
	return func(s string) (bool, error) {
		if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
			return false, nil
		}
		s = s[len(first) : len(s)-len(last)]
		for _, m := range middle {
			i := strings.Index(s, m)
			if i < 0 {
				return false, nil
			}
			s = s[i+len(m):]
		}
		return true, nil
	}, nil
}

// splitLike splits a pattern at %, not simple if it has _ or ends in an escape.
func splitLike(p string) (parts []string, simple bool) {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '_':
			return nil, false
		case '\\':
			if i++; i >= len(p) {
				return nil, false
			}
			b.WriteByte(p[i])
		case '%':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(p[i])
		}
	}
	return append(parts, b.String()), true
}

type likeResult int8

const (
	likeFalse likeResult = iota
	likeTrue
	likeAbort // no match, and none at a later start either
)

// matchLike is MatchText of PostgreSQL's like_match.c for UTF-8.
func matchLike(t, p string) (likeResult, error) {
	if p == "%" {
		return likeTrue, nil
	}
	for t != "" && p != "" {
		switch p[0] {
		case '\\':
			if p = p[1:]; p == "" {
				return likeFalse, errEscapeAtEnd
			}
			if p[0] != t[0] {
				return likeFalse, nil
			}
		case '%':
			return matchPercent(t, p[1:])
		case '_':
			_, n := utf8.DecodeRuneInString(t)
			t, p = t[n:], p[1:]
			continue
		default:
			if p[0] != t[0] {
				return likeFalse, nil
			}
		}
		t, p = t[1:], p[1:]
	}
	if t != "" {
		return likeFalse, nil
	}
	if p = strings.TrimLeft(p, "%"); p == "" {
		return likeTrue, nil
	}
	return likeAbort, nil
}

// matchPercent matches after a %, at each place where the next literal fits.
func matchPercent(t, p string) (likeResult, error) {
	for p != "" && (p[0] == '%' || p[0] == '_') {
		if p[0] == '_' {
			if t == "" {
				return likeAbort, nil
			}
			_, n := utf8.DecodeRuneInString(t)
			t = t[n:]
		}
		p = p[1:]
	}
	if p == "" {
		return likeTrue, nil
	}
	first := p[0]
	if first == '\\' {
		if len(p) < 2 {
			return likeFalse, errEscapeAtEnd
		}
		first = p[1]
	}
	for t != "" {
		if t[0] == first {
			if r, err := matchLike(t, p); r != likeFalse || err != nil {
				return r, err
			}
		}
		_, n := utf8.DecodeRuneInString(t)
		t = t[n:]
	}
	return likeAbort, nil
}

// lowerASCII and upperASCII are lower and upper under collation C.
func lowerASCII(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

func upperASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

// likeEscape rewrites a pattern with another escape character to one with
// the backslash, as like_escape.
func likeEscape(pattern, escape string) (string, error) {
	switch {
	case escape == `\`:
		return pattern, nil
	case utf8.RuneCountInString(escape) > 1:
		return "", fail(codeInvalidEscape, "invalid escape string").hint("the escape string must be empty or one character")
	}
	var b strings.Builder
	after := false
	for _, r := range pattern {
		switch {
		case string(r) == escape && !after:
			b.WriteByte('\\')
			after = true
			continue
		case r == '\\':
			if !after {
				b.WriteByte('\\')
			}
			b.WriteByte('\\')
		default:
			b.WriteRune(r)
		}
		after = false
	}
	return b.String(), nil
}

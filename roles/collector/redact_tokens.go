package collector

import "strings"

// token looks whether a token of a known form begins at i, and returns where
// it ends, i if there is none.
func (f *finder) token(i int) int {
	s := f.text[i:]
	switch s[0] {
	case '-':
		return f.privateKey(i)
	case 'A':
		// Ids of AWS keys, keys of Google.
		if strings.HasPrefix(s, "AKIA") || strings.HasPrefix(s, "ASIA") {
			if n := length(s, upperByte); n == 20 {
				return f.mark(i, n)
			}
		}
		return f.prefixed(i, "AIza", 35)
	case 'd':
		return f.prefixed(i, "dckr_pat_", 20)
	case 'e':
		return f.jwt(i)
	case 'g':
		if len(s) > 4 && s[1] == 'h' && s[3] == '_' && strings.IndexByte("pousr", s[2]) >= 0 {
			return f.prefixed(i, s[:4], 16)
		}
		return max(f.prefixed(i, "github_pat_", 20), f.prefixed(i, "glpat-", 16))
	case 'h':
		return max(f.prefixed(i, "hf_", 30), f.prefixed(i, "hvs.", 20))
	case 'n':
		return f.prefixed(i, "npm_", 30)
	case 's':
		return max(f.prefixed(i, "sk-", 20), f.prefixed(i, "sk_live_", 16))
	case 'x':
		if len(s) > 5 && s[1] == 'o' && s[2] == 'x' && s[4] == '-' && strings.IndexByte("abeoprs", s[3]) >= 0 {
			return f.prefixed(i, s[:5], 8)
		}
	}
	return i
}

func (f *finder) mark(i, n int) int {
	f.word.add(i, i+n)
	return i + n
}

// prefixed takes a token of prefix and at least least bytes of letters,
// digits, "_" and "-".
func (f *finder) prefixed(i int, prefix string, least int) int {
	s := f.text[i:]
	if !strings.HasPrefix(s, prefix) {
		return i
	}
	n := length(s[len(prefix):], tokenByte)
	if n < least || prefix == "sk-" && !strings.ContainsAny(s[:len(prefix)+n], "0123456789") {
		return i
	}
	return f.mark(i, len(prefix)+n)
}

func tokenByte(c byte) bool { return wordByte(c) || c == '-' }

func upperByte(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

// length returns how many bytes at the start of s are of a kind.
func length(s string, kind func(byte) bool) int {
	n := 0
	for n < len(s) && kind(s[n]) {
		n++
	}
	return n
}

// jwt takes a JSON web token: two or more parts in base64, of which the first
// is an object.
func (f *finder) jwt(i int) int {
	if i < f.noJWT || !strings.HasPrefix(f.text[i:], "eyJ") {
		return i
	}
	n := length(f.text[i:], tokenByte)
	f.noJWT = i + n
	end := i + n
	if n < 8 || end == len(f.text) || f.text[end] != '.' {
		return i
	}
	m := length(f.text[end+1:], tokenByte)
	f.noJWT = max(f.noJWT, end+1+m)
	if m < 8 {
		return i
	}
	for range 4 {
		end += 1 + m
		if end == len(f.text) || f.text[end] != '.' {
			break
		}
		m = length(f.text[end+1:], tokenByte)
	}
	return f.mark(i, end-i)
}

// privateKey takes what stands between the lines that begin and end a private
// key in PEM.
func (f *finder) privateKey(i int) int {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "PRIVATE KEY"
	s := f.text[i:]
	if !strings.HasPrefix(s, begin) {
		return i
	}
	head := s[len(begin):min(len(s), 64)]
	n := strings.Index(head, dashes)
	if n < 0 {
		return i
	}
	n += len(dashes)
	if m := strings.Index(head[n:], "-----"); m == 0 || m == len(" BLOCK") {
		n += m + 5
	} else {
		return i
	}
	from := len(begin) + n
	to := len(s)
	if m := strings.Index(s[from:], end); m >= 0 {
		to = from + m
	}
	f.word.add(i+from, i+to)
	return i + to
}

package collector

import "strings"

// finder looks for secrets that are known by their form and by what stands
// around them, in one pass over a text: name=value, "name": value, headers,
// URLs, tokens, private keys.
type finder struct {
	text  string
	word  *word // where they are noted
	shell bool  // text is a script: operators end a value, and so on
	list  bool  // text is a list with commas, such as that of mount -o

	urlEnd, urlAt int // the end of the URL last seen, and the last "@" in it
	noJWT         int // none begins before this position
}

func (f *finder) find() {
	s := f.text
	for i := 0; i < len(s); {
		switch s[i] {
		case '=':
			i = f.assignment(i)
		case ':':
			if strings.HasPrefix(s[i:], "://") {
				i = f.url(i)
			} else {
				i = f.field(i)
			}
		case '@':
			i = f.source(i)
		case '\'', '"':
			i = f.clause(i)
		case '-', 'A', 'd', 'e', 'g', 'h', 'n', 's', 'x':
			if i > 0 && wordByte(s[i-1]) {
				i++
				continue
			}
			i = max(i+1, f.token(i))
		default:
			i++
		}
	}
}

func wordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func quote(c byte) bool { return c == '"' || c == '\'' }

// name returns where the name before position i begins and ends: behind
// closing quotes and brackets, and blanks. quoted says that there were quotes.
func (f *finder) name(i int) (from, to int, quoted, spaced bool) {
	s := f.text
	to = i
	for n := 0; to > 0 && blank(s[to-1]) && n < 8; n++ {
		to--
		spaced = true
	}
	for n := 0; to > 0 && n < 8 && (quote(s[to-1]) || s[to-1] == '\\' || s[to-1] == ']'); n++ {
		to--
		quoted = true
	}
	from = to
	for from > 0 && to-from < 64 && (wordByte(s[from-1]) || s[from-1] == '-' || s[from-1] == '.') {
		from--
	}
	return from, to, quoted, spaced
}

// assignment looks at the "=" at i, and returns where to go on.
func (f *finder) assignment(i int) int {
	s := f.text
	end := i
	if i > 0 && (s[i-1] == ':' || s[i-1] == '+') {
		end--
	}
	from, to, quoted, spaced := f.name(end)
	name := strings.TrimLeft(s[from:to], "-")
	signature := name == "sig" || endsFolded(name, "signature")
	if !secretName(name) && !signature {
		return i + 1
	}
	var before byte
	if from > 0 {
		before = s[from-1]
	}
	if signature && before != '?' && before != '&' {
		return i + 1
	}
	at := i + 1
	for at < len(s) && at < i+3 && (s[at] == '=' || s[at] == '>') && (spaced || quoted || f.shell) {
		at++
	}
	if spaced || quoted {
		for at < len(s) && blank(s[at]) {
			at++
		}
	}
	if whole := !f.shell && !f.list && !spaced && !quoted && f.whole(before, from); whole {
		f.secret(name, at, len(s))
		return len(s)
	}
	if at < len(s) && (quote(s[at]) || s[at] == '\\') {
		if a, b, next, ok := f.quoted(at); ok {
			f.secret(name, a, b)
			return next
		}
	}
	to = f.valueEnd(at, before)
	f.secret(name, at, to)
	return max(i+1, to)
}

// whole reports whether a name that begins at from is that of a variable
// which is all of the argument, NAME=value or --option=NAME=value.
func (f *finder) whole(before byte, from int) bool {
	return from == 0 || before == '=' && f.text[0] == '-' && strings.IndexByte(f.text, '=') == from-1
}

// valueEnd returns where a value that begins at position at and has no quotes
// ends. before is what stands before its name.
func (f *finder) valueEnd(at int, before byte) int {
	s := f.text
	stop := " \t\n\"'"
	switch {
	case f.shell:
		stop = " \t\n\"';|&()<>`"
	case f.list:
		stop = ","
	case before == '?' || before == '&':
		stop = " \t\n\"'&#"
	case before == ';':
		stop = ";\n\"'"
	case before == ',':
		stop = ", \t\n\"'"
	case before == '{' || before == '(' || before == '[':
		stop = ",)}] \t\n\"'"
	}
	return upTo(s, at, stop)
}

// upTo returns where the first byte of stop is, not before at; the end of s
// when there is none. What stands where a secret was is one piece.
func upTo(s string, at int, stop string) int {
	if strings.HasPrefix(s[at:], redacted) {
		at += len(redacted)
	}
	if n := strings.IndexAny(s[at:], stop); n >= 0 {
		return at + n
	}
	return len(s)
}

// quoted returns the string in the quotes at position at, and where to go on.
// The quotes may themselves be escaped.
func (f *finder) quoted(at int) (from, to, next int, ok bool) {
	s := f.text
	from = at
	for from < len(s) && s[from] == '\\' && from-at < 8 {
		from++
	}
	if from == len(s) || !quote(s[from]) {
		return 0, 0, 0, false
	}
	mark, slashes := s[from], from-at
	from++
	seen := 0 // backslashes before i
	for i := from; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			seen++
			continue
		case s[i] == mark && (slashes > 0 && seen <= slashes || slashes == 0 && seen%2 == 0):
			return from, i - min(seen, slashes), i + 1, true
		}
		seen = 0
	}
	// In a script it may be a quote by itself.
	return from, len(s), len(s), !f.shell
}

// secret notes a value, unless it is harmless.
func (f *finder) secret(name string, from, to int) {
	if from >= to {
		return
	}
	v := f.text[from:to]
	if harmlessValue(name, v) || f.shell && (v[0] == '$' || v[0] == '`') {
		return
	}
	f.word.add(from, to)
}

// field looks at the ":" at i: a header, a member of an object, a line of
// YAML. It returns where to go on.
func (f *finder) field(i int) int {
	s := f.text
	from, to, quoted, spaced := f.name(i)
	name := s[from:to]
	if len(name) < 4 || spaced && !quoted {
		return i + 1
	}
	if from == 0 && strings.HasPrefix(name, "-H") {
		from, name = 2, name[2:]
	}
	start := from == 0 || s[from-1] == '\n' || s[0] == '-' && (from == 2 || f.whole(s[from-1], from))
	for n := from; !start && n > 0 && from-n < 16 && (blank(s[n-1]) || quote(s[n-1]) || s[n-1] == '-'); n-- {
		start = n == 1 || s[n-2] == '\n'
	}
	inner := from > 0 && (s[from-1] == '{' || s[from-1] == ',')
	at := i + 1
	for at < len(s) && blank(s[at]) {
		at++
	}
	header, scheme := headerName(name)
	switch {
	case header:
	case !secretName(name) || !quoted && !inner && (!start || at == i+1):
		return i + 1
	}
	if at < len(s) && !header && (s[at] == '{' || s[at] == '[') { // an object, a list
		return at
	}
	if at < len(s) && (quote(s[at]) || s[at] == '\\') {
		if a, b, next, ok := f.quoted(at); ok {
			if scheme {
				a = schemeEnd(s, a, b)
			}
			f.secret(name, a, b)
			return next
		}
	}
	if scheme {
		at = schemeEnd(s, at, len(s))
	}
	stop := "\n\"'"
	switch {
	case header && start && !f.shell:
		stop = "\n"
	case header && from > 0 && quote(s[from-1]):
		stop = "\n" + s[from-1:from]
	case header:
		stop = " \t\n\"'"
	case quoted || inner:
		stop = ",}] \t\n\"'"
	case f.shell:
		stop = " \t\n\"';|&()<>`"
	}
	to = upTo(s, at, stop)
	f.secret(name, at, to)
	return max(i+1, to)
}

// clause looks at the quote at i: PASSWORD 'secret' and IDENTIFIED BY 'secret' in
// SQL. It returns where to go on.
func (f *finder) clause(i int) int {
	if f.shell || i < 3 || !blank(f.text[i-1]) {
		return i + 1
	}
	from, to, quoted, _ := f.name(i)
	name := f.text[from:to]
	by := strings.EqualFold(name, "by") && from >= 11 && strings.EqualFold(f.text[from-11:from], "identified ")
	if quoted || !by && !strings.EqualFold(name, "password") {
		return i + 1
	}
	a, b, next, _ := f.quoted(i)
	f.secret("password", a, b)
	return next
}

// headerName reports whether name is that of a header whose value is a secret,
// and whether a scheme comes before it.
func headerName(name string) (header, scheme bool) {
	if len(name) > 40 {
		return false, false
	}
	name = strings.ToLower(name)
	switch name {
	case "authorization", "proxy-authorization", "x-authorization":
		return true, true
	case "cookie", "set-cookie", "private-token", "api-key", "apikey", "x-auth", "job-token", "deploy-token":
		return true, false
	}
	if !strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "x-idempotency") {
		return false, false
	}
	for _, end := range []string{"key", "token", "secret", "auth", "password", "signature"} {
		if strings.HasSuffix(name, end) {
			return true, false
		}
	}
	return false, false
}

// schemeEnd returns where the credentials begin after Bearer, Basic and so on.
func schemeEnd(s string, from, to int) int {
	for i := from; i < min(to, from+24); i++ {
		if s[i] != ' ' {
			continue
		}
		switch strings.ToLower(s[from:i]) {
		case "bearer", "basic", "token", "digest", "negotiate", "ntlm", "apikey", "api-key", "aws4-hmac-sha256", "sharedkey", "hawk", "key", "splunk", "sso-key", "oauth":
			for i < to && s[i] == ' ' {
				i++
			}
			return i
		}
		break
	}
	return from
}

// url looks at the "://" at i, and returns where to go on.
func (f *finder) url(i int) int {
	s := f.text
	scheme := i
	for scheme > 0 && i-scheme < 32 && (wordByte(s[scheme-1]) || strings.IndexByte("+-.", s[scheme-1]) >= 0) {
		scheme--
	}
	at := i + 3
	if at > f.urlEnd {
		stop := " \t\n\"'<>`\\"
		if f.shell {
			stop = " \t\n\"'<>`\\;|()"
		} else if scheme == 0 {
			stop = " \t\n"
		}
		f.urlEnd = len(s)
		if n := strings.IndexAny(s[at:], stop); n >= 0 {
			f.urlEnd = at + n
		}
		f.urlAt = at + strings.LastIndexByte(s[at:f.urlEnd], '@')
	}
	if at >= f.urlEnd || f.urlAt < at {
		return at
	}
	end := f.urlEnd
	if n := strings.IndexAny(s[at:end], "/?#"); n >= 0 {
		end = at + n
	}
	user := strings.LastIndexByte(s[at:end], '@')
	colon := strings.IndexByte(s[at:end], ':')
	if user < 0 {
		// A password with "/" in it, or a port and an "@" further on.
		if colon < 0 || s[at] == '[' || colon+1 == end-at || digits(s[at+colon+1:end]) {
			return at
		}
		user = f.urlAt - at
	}
	if colon >= 0 && colon < user {
		password := s[at+colon+1 : at+user]
		if password == "" || password == "x-oauth-basic" || password == "x-token-auth" {
			if !plainUser(s[at : at+colon]) {
				f.word.add(at, at+colon)
			}
			return at + user
		}
		if !f.shell || password[0] != '$' {
			f.word.add(at+colon+1, at+user)
		}
		return at + user
	}
	if web := strings.ToLower(s[scheme:i]); (strings.HasSuffix(web, "http") || strings.HasSuffix(web, "https")) && !plainUser(s[at:at+user]) {
		if !f.shell || s[at] != '$' {
			f.word.add(at, at+user)
		}
	}
	return at + user
}

// plainUser reports whether a user in a URL without a password is the name of
// one, rather than a token.
func plainUser(s string) bool {
	if len(s) > 20 {
		return false
	}
	count := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			count++
		case c < 'a' && c != '-' && c != '_' && c != '.' || c > 'z':
			return false
		}
	}
	return count <= 4
}

// source looks at the "@" at i of a data source such as user:secret@tcp(host)/db.
func (f *finder) source(i int) int {
	s := f.text
	rest := s[i+1:]
	if !strings.HasPrefix(rest, "tcp(") && !strings.HasPrefix(rest, "unix(") && !strings.HasPrefix(rest, "tcp6(") && !strings.HasPrefix(rest, "(") && !strings.HasPrefix(rest, "//") {
		return i + 1
	}
	from := i
	for from > 0 && i-from < 256 && !blank(s[from-1]) && !quote(s[from-1]) && s[from-1] != '\n' {
		from--
	}
	if n := strings.Index(s[from:i], "://"); n >= 0 {
		from += n + 3
	}
	if n := strings.Index(s[from:i], ":thin:"); n >= 0 { // jdbc:oracle:thin:user/secret@//host
		if m := strings.IndexByte(s[from+n:i], '/'); m >= 0 {
			f.word.add(from+n+m+1, i)
		}
		return i + 1
	}
	if n := strings.IndexByte(s[from:i], ':'); n >= 0 && rest[0] != '/' && (!f.shell || s[from+n+1] != '$') {
		f.word.add(from+n+1, i)
	}
	return i + 1
}

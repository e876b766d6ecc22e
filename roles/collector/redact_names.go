package collector

import "strings"

// secretName reports whether a variable, property or field of this name holds
// a secret. Names of files, ids, limits and the like do not.
func secretName(name string) bool {
	if len(name) < 2 {
		return false
	}
	var snake, flat [96]byte
	n, m := fold(name, snake[:], flat[:])
	s, f := string(snake[:n]), string(flat[:m])
	last, rest := s, ""
	if i := strings.LastIndexByte(s, '_'); i >= 0 {
		last, rest = s[i+1:], s[:i]
	}
	switch last {
	case "pwd", "pass", "pw", "psk", "passin", "passout":
		return name != "OLDPWD"
	case "auth":
		return rest == "" && name[0] == '_' || rest != "" && rest != "enable" && rest != "require"
	case "sig":
		return rest == ""
	}
	if !holdsSecretWord(f) || harmlessEnd(last) {
		return false
	}
	if last == "tokens" || last == "token" {
		return !harmlessToken(rest, last)
	}
	return !strings.HasSuffix(f, "file") && !strings.HasSuffix(f, "path") && !strings.HasSuffix(f, "tokens")
}

// fold writes name in small letters into snake, its parts joined by "_", and
// into flat, without that. It returns the lengths. Of a name that is too long
// only the end counts.
func fold(name string, snake, flat []byte) (n, m int) {
	if max := len(snake) / 2; len(name) > max {
		name = name[len(name)-max:]
	}
	small := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_' || c == '-' || c == '.':
			if n > 0 && snake[n-1] != '_' {
				snake[n] = '_'
				n++
			}
			small = false
			continue
		case c >= 'A' && c <= 'Z':
			if small {
				snake[n] = '_'
				n++
			}
			c += 'a' - 'A'
			small = false
		default:
			small = c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		}
		snake[n] = c
		n++
		flat[m] = c
		m++
	}
	return n, m
}

func holdsSecretWord(flat string) bool {
	for i := range len(flat) {
		rest := flat[i:]
		switch flat[i] {
		case 'p':
			if strings.HasPrefix(rest, "pass") && (strings.HasPrefix(rest, "password") || strings.HasPrefix(rest, "passwd") ||
				strings.HasPrefix(rest, "passphrase") || strings.HasPrefix(rest, "passcode")) || strings.HasPrefix(rest, "privatekey") {
				return true
			}
		case 's':
			if strings.HasPrefix(rest, "secret") || strings.HasPrefix(rest, "signingkey") || strings.HasPrefix(rest, "sharedkey") ||
				strings.HasPrefix(rest, "storepass") {
				return true
			}
		case 't':
			if strings.HasPrefix(rest, "token") && !strings.HasPrefix(rest, "tokeniz") {
				return true
			}
		case 'a':
			if strings.HasPrefix(rest, "apikey") || strings.HasPrefix(rest, "accesskey") || strings.HasPrefix(rest, "accountkey") ||
				strings.HasPrefix(rest, "authkey") {
				return true
			}
		case 'c':
			if strings.HasPrefix(rest, "credential") {
				return true
			}
		case 'e':
			if strings.HasPrefix(rest, "encryptionkey") {
				return true
			}
		case 'k':
			if strings.HasPrefix(rest, "keypass") {
				return true
			}
		case 'm':
			if strings.HasPrefix(rest, "masterkey") || strings.HasPrefix(rest, "masterauth") {
				return true
			}
		case 'r':
			if strings.HasPrefix(rest, "requirepass") {
				return true
			}
		}
	}
	return false
}

// harmlessEnd: the last part of names that say something about a secret.
func harmlessEnd(part string) bool {
	switch part {
	case "file", "files", "path", "id", "ids", "dir", "type", "name", "names", "expiry", "expires", "expiration", "ttl", "length", "len",
		"policy", "sock", "socket", "provider", "endpoint", "size", "encryption", "timeout", "lifetime", "duration", "issuer", "audience",
		"algorithm", "algo", "url", "uri", "host", "port", "enabled", "required", "mode", "format", "class", "location", "manager", "backend",
		"parallelism", "count", "limit", "max", "min", "prefix", "header", "field", "attempts", "retries", "service", "namespace", "ref",
		"version", "rotation", "check", "prompt", "command", "cmd", "stdin", "fd", "webhook", "interval", "store", "method", "driver", "scope",
		"days", "hint", "engine", "arn", "region", "budget", "authenticator", "authentication", "threshold", "index", "bucket", "burst":
		return true
	}
	return false
}

// harmlessToken: tokens that are counted, or are marks in a text.
func harmlessToken(rest, last string) bool {
	part := rest[strings.LastIndexByte(rest, '_')+1:]
	if last == "tokens" {
		return part != "access" && part != "auth" && part != "api" && part != "secret"
	}
	switch part {
	case "page", "next", "continuation", "eos", "bos", "pad", "unk", "sep", "mask", "cls", "stop", "max", "min", "num", "per", "last", "first":
		return true
	}
	return false
}

// harmlessValue: a value that is no secret although its name is one's: none,
// a switch, or a path where a name can be that of a file as well.
func harmlessValue(name, v string) bool {
	if v == "" || len(v) <= 5 && switchValue(v) {
		return true
	}
	if v[0] == '=' && digits(strings.ReplaceAll(v[1:], ".", "")) { // a version of a package
		return len(v) < 16
	}
	if name == "PWD" {
		return v[0] == '/'
	}
	c := name[len(name)-1]
	switch {
	case c == 'y' || c == 'Y': // private key
		return endsFolded(name, "privatekey") && pathValue(v)
	case c == 's' || c == 'S' || c == 'l' || c == 'L':
		switch {
		case endsFolded(name, "credentials"), endsFolded(name, "credential"):
			return pathValue(v)
		case len(v) == 1 && endsFolded(name, "pass"): // the passes of an encoder
			return v[0] >= '0' && v[0] <= '9'
		}
	case c == 'n' || c == 'N':
		return len(v) < 5 && digits(v) // a number of tokens
	case c == 'h' || c == 'H':
		return endsFolded(name, "auth") && (authMethod(v) || pathValue(v))
	}
	return false
}

func switchValue(v string) bool {
	switch strings.ToLower(v) {
	case "", "-", "true", "false", "yes", "no", "none", "null", "on", "off":
		return true
	}
	return false
}

func authMethod(v string) bool {
	switch strings.ToLower(v) {
	case "basic", "digest", "password", "trust", "md5", "scram-sha-256", "peer", "ident", "oauth", "oauth2", "ntlm", "any", "negotiate",
		"kerberos", "gssapi", "certificate", "cert", "token", "jwt", "ldap", "pam", "sspi", "required", "optional", "bearer", "iam", "oidc", "tls":
		return true
	}
	return false
}

// endsFolded reports whether name ends with the letters of word, whatever
// their case and what separates them.
func endsFolded(name, word string) bool {
	i := len(name)
	for j := len(word) - 1; j >= 0; j-- {
		for i > 0 && (name[i-1] == '_' || name[i-1] == '-' || name[i-1] == '.') {
			i--
		}
		if i == 0 || name[i-1]|0x20 != word[j] {
			return false
		}
		i--
	}
	return true
}

// pathValue reports whether v is the path of a file rather than a key. Base64
// has slashes, too.
func pathValue(v string) bool {
	if strings.HasPrefix(v, "./") || strings.HasPrefix(v, "../") || strings.HasPrefix(v, "~") || strings.HasPrefix(v, "id_") ||
		strings.HasPrefix(v, "@") || strings.HasPrefix(v, "file:") || strings.HasPrefix(v, "/") && !strings.HasSuffix(v, "=") {
		return !strings.ContainsAny(v, "\n")
	}
	for _, end := range []string{".pem", ".key", ".json", ".p12", ".pfx", ".pk8", ".ppk", ".der", ".crt", ".yaml", ".yml", ".txt", ".toml"} {
		if strings.HasSuffix(v, end) {
			return true
		}
	}
	return false
}

func digits(v string) bool {
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	return v != ""
}

// optionKind is what an option's name says about its value.
type optionKind int

const (
	plainOption  optionKind = iota
	secretOption            // the value is a secret; it may begin with "-"
	loginOption             // user:secret, or the way to log in
	keptOption              // its value is none, whatever it looks like
	bareOption              // a secret only behind "="
)

// kindOfOption judges the name of a long option, without dashes before it.
func kindOfOption(name string) optionKind {
	if len(name) < 2 || len(name) > 64 {
		return plainOption
	}
	switch name[len(name)-1] | 0x20 { // most names end here
	case 'd', 'e', 't', 'n', 'y', 's', 'w', 'r', 'h', 'k':
	default:
		return plainOption
	}
	var snake, flat [96]byte
	n, _ := fold(name, snake[:], flat[:])
	s := string(snake[:n])
	if i := strings.IndexByte(s, '_'); i >= 0 {
		switch s[:i] {
		case "no", "ask", "prompt", "use", "without", "skip", "force", "change", "reset", "max", "min", "num", "enable", "disable",
			"require", "allow", "show", "hide", "generate", "gen", "random", "print", "create", "expire", "list", "rotate", "with":
			return plainOption
		}
	}
	last, before := s, ""
	if i := strings.LastIndexByte(s, '_'); i >= 0 {
		last, before = s[i+1:], s[:i]
		before = before[strings.LastIndexByte(before, '_')+1:]
	}
	switch last {
	case "pwd", "pw", "pass", "bearer", "psk", "passin", "passout", "credential", "credentials", "passwords", "secrets", "passcode", "masterauth":
		return secretOption
	case "auth":
		if before == "" || before == "basic" || before == "proxy" || before == "http" || before == "user" {
			return loginOption
		}
		return plainOption
	case "secret":
		if before == "pull" || before == "tls" || before == "ca" {
			return plainOption
		}
		return secretOption
	case "token":
		if harmlessToken(s[:len(s)-len(last)-min(1, len(s)-len(last))], last) {
			return plainOption
		}
		return secretOption
	case "key", "keys":
		switch before {
		case "api", "access", "secret", "private", "account", "encryption", "signing", "master", "auth", "shared":
			return secretOption
		}
		return plainOption
	case "tokens":
		if harmlessToken(s[:len(s)-len(last)-min(1, len(s)-len(last))], last) {
			return plainOption
		}
		return secretOption
	}
	for _, end := range []string{"password", "passwd", "passphrase", "token", "secret", "apikey", "accesskey", "secretkey", "privatekey", "storepass", "keypass", "requirepass"} {
		if strings.HasSuffix(last, end) {
			return secretOption
		}
	}
	return plainOption
}

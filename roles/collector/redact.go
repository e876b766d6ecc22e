package collector

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// redacted stands where a secret was.
const redacted = "[REDACTED]"

// Redaction says which secrets are taken out of arguments and environments.
type Redaction struct {
	Off      bool     // keep everything as it is
	Options  []string // names of further options whose value is a secret, such as --api-key
	Patterns []string // regular expressions (RE2); their first group is the secret, else the whole match
}

// redactor replaces secrets. Secrets are known by the name of an option or a
// variable, by the program that an option is for, or by their form.
type redactor struct {
	off      bool
	options  map[string]bool
	programs map[string]program
	forms    []form
	patterns []*regexp.Regexp
}

// program lists the short options of a program that carry a secret, as their
// letters.
type program struct {
	attached string // -pSECRET
	separate string // -p SECRET
	login    string // -u user:SECRET, attached or separate
	command  string // only with this subcommand before them; "": with all
}

// form is a secret that is known by what stands around it.
type form struct {
	expression *regexp.Regexp
	// replace gets the submatches and returns what comes in their place.
	replace func(m []string) string
}

func newRedactor(config Redaction) (*redactor, error) {
	r := &redactor{off: config.Off, options: map[string]bool{}, programs: programs(), forms: forms()}
	for _, o := range config.Options {
		r.options[optionName(o)] = true
	}
	for _, p := range config.Patterns {
		e, err := regexp.Compile(p)
		if err != nil {
			return nil, fmt.Errorf("redaction pattern %q: %w", p, err)
		}
		r.patterns = append(r.patterns, e)
	}
	return r, nil
}

func programs() map[string]program {
	m := map[string]program{}
	add := func(p program, names ...string) {
		for _, n := range names {
			m[n] = p
		}
	}
	add(program{attached: "p"}, "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlslap", "mysqlbinlog", "mysqlpump",
		"mariadb", "mariadb-dump", "mariadb-admin", "mariadb-import", "mariadb-show", "mariadb-check", "mariadb-slap", "mariadb-binlog",
		"7z", "7za", "7zr", "rar", "unrar", "xtrabackup", "mariabackup")
	add(program{attached: "p", separate: "p"}, "sshpass", "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport", "rdesktop")
	add(program{separate: "p", command: "login"}, "az", "docker", "podman", "buildah", "skopeo", "nerdctl", "helm")
	add(program{attached: "P", separate: "P"}, "zip", "unzip", "sqlcmd", "isql", "tsql", "ipmitool", "bcp")
	add(program{attached: "a", separate: "a"}, "redis-cli", "valkey-cli", "keydb-cli", "redis-benchmark")
	add(program{attached: "w", separate: "w"}, "ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldappasswd", "ldapwhoami", "ldapcompare", "ldapmodrdn", "ldapexop")
	add(program{separate: "AX"}, "snmpget", "snmpwalk", "snmpset", "snmpgetnext", "snmpbulkwalk")
	add(program{login: "uU"}, "curl", "wget", "aria2c")
	add(program{login: "a"}, "http", "https", "httpie", "ab")
	// Started by another of these, they end its options.
	add(program{}, "ssh", "scp", "sftp", "rsync", "ssh-copy-id", "sh", "bash", "env", "sudo", "mkdir", "psql", "nmap", "tar", "cp")
	return m
}

// secretWords are what names of secret values hold.
const secretWords = `pass(?:word|wd|phrase)|secret|token|api[_-]?key|apikey|access[_-]?key|secret[_-]?key|private[_-]?key|credentials?`

func forms() []form {
	keep := func(m []string) string { return m[1] + redacted }
	return []form{
		// scheme://user:SECRET@host
		{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@'":]*:)[^\s/?#'"]+@`), func(m []string) string { return m[1] + redacted + "@" }},
		// Authorization: Bearer SECRET
		{regexp.MustCompile(`(?i)((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token|digest|negotiate|apikey)\s+)?)[^\s"']+`), keep},
		// X-Api-Key: SECRET
		{regexp.MustCompile(`(?i)(\b(?:x-[a-z0-9-]*(?:key|token|secret|auth)|private-token|api-?key|cookie|set-cookie)\s*:\s*)[^"']+`), keep},
		// {"password": "SECRET"}
		{regexp.MustCompile(`(?i)(["'][a-z0-9_.-]*(?:` + secretWords + `)["']\s*:\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[0-9]+)`), func(m []string) string { return m[1] + `"` + redacted + `"` }},
		// db.password=SECRET, ?token=SECRET&, Password=SECRET;
		{regexp.MustCompile(`(?i)((?:^|[\s,;&?"'{=:(])-{0,2}([a-z0-9_.-]*(?:` + secretWords + `|_pwd)[a-z0-9_]*)=)("[^"]*"|'[^']*'|[^\s,;&"']+)`), assignment},
		// tokens that are known by their prefix
		{regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,})`), func([]string) string { return redacted }},
	}
}

func assignment(m []string) string {
	if !secretName(m[2]) || harmlessValue(m[3]) {
		return m[0]
	}
	return m[1] + redacted
}

// args returns the arguments with their secrets replaced.
func (r *redactor) args(list []string) []string {
	if r.off || len(list) == 0 {
		return list
	}
	out := make([]string, len(list))
	r.words(list, out, true)
	return out
}

// words redacts a list of words, of which those with blanks are themselves
// looked into: the script of "sh -c", a title that a program gave itself.
func (r *redactor) words(list, out []string, nested bool) {
	var known, pending program
	secretNext, loginNext := false, false
	for i, arg := range list {
		word := unquote(arg)
		switch {
		case secretNext && !strings.HasPrefix(word, "-") && !harmlessValue(word):
			out[i], secretNext = redacted, false
			continue
		case loginNext && strings.Contains(word, ":"):
			out[i], loginNext = redactLogin(arg), false
			continue
		}
		secretNext, loginNext = false, false
		if p, ok := r.programs[strings.ToLower(path.Base(word))]; ok && !strings.HasPrefix(word, "-") {
			known, pending = p, program{}
			if p.command != "" {
				known, pending = program{}, p
			}
		} else if pending.command != "" && word == pending.command {
			known = pending
		}
		out[i] = arg
		if strings.HasPrefix(word, "-") && len(word) > 1 {
			out[i], secretNext, loginNext = r.option(arg, word, known)
		}
		if out[i] == arg {
			out[i] = r.inside(arg, nested)
		}
	}
}

// option redacts a value that is part of an option, and says whether the next
// word is one.
func (r *redactor) option(arg, word string, known program) (out string, secretNext, loginNext bool) {
	if !strings.HasPrefix(word, "--") {
		// The program's own short options first: -phunter2secret is no option of that name.
		letter := word[1:2]
		switch {
		case strings.Contains(known.login, letter):
			return word[:2] + redactLogin(word[2:]), false, len(word) == 2
		case len(word) == 2 && strings.Contains(known.separate, letter):
			return arg, true, false
		case len(word) > 2 && strings.Contains(known.attached, letter):
			return word[:2] + redacted, false, false
		}
	}
	name, value, joined := strings.Cut(word, "=")
	long := optionName(name)
	switch {
	case len(long) < 2 && !r.options[long]:
		return arg, false, false
	case r.secretOption(long):
		if !joined {
			return arg, true, false
		}
		if harmlessValue(unquote(value)) {
			return arg, false, false
		}
		return name + "=" + redacted, false, false
	case known.login != "" && (long == "user" || long == "proxy-user" || long == "auth"):
		if joined {
			return name + "=" + redactLogin(value), false, false
		}
		return arg, false, true
	}
	return arg, false, false
}

// redactLogin takes the password out of user:password.
func redactLogin(s string) string {
	user, _, ok := strings.Cut(s, ":")
	if !ok {
		return s
	}
	return user + ":" + redacted
}

// inside redacts what is a secret by its form, and the words of arg.
func (r *redactor) inside(arg string, nested bool) string {
	s := r.replaceForms(arg)
	if !nested || !strings.ContainsAny(s, " \t\n") {
		return s
	}
	words := splitWords(s)
	list := make([]string, 0, len(words)/2+1)
	for i := 0; i < len(words); i += 2 {
		list = append(list, words[i])
	}
	out := make([]string, len(list))
	r.words(list, out, false)
	for i := range out {
		words[2*i] = out[i]
	}
	return strings.Join(words, "")
}

func (r *redactor) replaceForms(s string) string {
	for _, f := range r.forms {
		s = f.expression.ReplaceAllStringFunc(s, func(match string) string {
			return f.replace(f.expression.FindStringSubmatch(match))
		})
	}
	for _, e := range r.patterns {
		s = replaceGroup(e, s)
	}
	return s
}

// replaceGroup replaces the first group of each match, or the whole match of
// an expression without one.
func replaceGroup(e *regexp.Regexp, s string) string {
	var b strings.Builder
	last := 0
	for _, at := range e.FindAllStringSubmatchIndex(s, -1) {
		from, to := at[0], at[1]
		if len(at) > 2 && at[2] >= 0 {
			from, to = at[2], at[3]
		}
		if from < last || from == to {
			continue
		}
		b.WriteString(s[last:from])
		b.WriteString(redacted)
		last = to
	}
	b.WriteString(s[last:])
	return b.String()
}

// splitWords cuts s into words and the blanks between them, in turn, a word
// first; quotes hold a word together.
func splitWords(s string) []string {
	var list []string
	start, quote, blank := 0, byte(0), false
	for i := range len(s) {
		c := s[i]
		space := quote == 0 && (c == ' ' || c == '\t' || c == '\n')
		if space != blank {
			list = append(list, s[start:i])
			start, blank = i, space
		}
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return append(list, s[start:])
}

// unquote takes quotes off both ends.
func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// optionName returns the name of an option as it is compared.
func optionName(option string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimLeft(option, "-")), "_", "-")
}

func (r *redactor) secretOption(name string) bool {
	if r.options[name] {
		return true
	}
	for _, prefix := range []string{"no-", "ask-", "prompt-", "use-", "without-", "skip-", "force-", "change-", "reset-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	switch name {
	case "pass", "passin", "passout", "bearer", "apikey", "storepass", "keypass", "requirepass", "masterauth":
		return true
	}
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "token", "api-key", "access-key", "secret-key"} {
		if strings.HasSuffix(name, word) {
			return true
		}
	}
	return false
}

// secretName reports whether a variable of this name holds a secret. Names of
// files, and ids, do not.
func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{"_file", "-file", ".file", "file", "_path", "path", "_id", "_dir", "_type", "_name", "_expiry", "_ttl", "_length", "_policy", "_sock"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	plain := strings.NewReplacer("_", "", "-", "", ".", "", "tokeniz", "").Replace(name)
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey", "credential"} {
		if strings.Contains(plain, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "_pwd") || strings.HasSuffix(name, "_pass") || strings.HasSuffix(name, "_auth")
}

// harmlessValue: a value that says where the secret is, or that there is none.
func harmlessValue(v string) bool {
	switch strings.ToLower(v) {
	case "", "-", "true", "false", "yes", "no", "stdin", "prompt", "ask", "[redacted]":
		return true
	}
	for _, prefix := range []string{"file:", "env:", "fd:", "$"} {
		if strings.HasPrefix(v, prefix) {
			return true
		}
	}
	return false
}

// variable returns the value of an environment variable, redacted.
func (r *redactor) variable(name, value string) string {
	switch {
	case r.off:
		return value
	case secretName(name) || r.options[optionName(name)]:
		if value == "" {
			return value
		}
		return redacted
	}
	return r.replaceForms(value)
}

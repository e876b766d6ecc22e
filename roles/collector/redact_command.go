package collector

import (
	"slices"
	"strings"
)

// textMode says how a word is looked into.
type textMode int

const (
	formsOnly    textMode = iota // forms of secrets only
	maybeScript                  // it might be a script or a command line
	surelyScript                 // it is a script
)

// scan walks command lines.
type scan struct {
	r       *redactor
	scripts int // around the present one
}

// value looks into a word: for secrets by their form, and, if it may be a
// script, for commands.
func (s *scan) value(w *word, mode textMode) { s.item(w, mode, false) }

func (s *scan) item(w *word, mode textMode, list bool) {
	f := finder{text: w.text, word: w, shell: mode == surelyScript, list: list}
	f.find()
	if mode != formsOnly {
		s.nested(w, 0)
	}
}

// nested looks for commands in the part of a word that begins at from.
func (s *scan) nested(w *word, from int) {
	if !strings.ContainsAny(w.text, " \t\n;|&()`<>") {
		return
	}
	var found spans
	s.script(w.text[from:], &found)
	for _, at := range found {
		w.add(from+at.from, from+at.to)
	}
}

// command walks the words of one command.
func (s *scan) command(words []word) {
	c := command{scan: s, words: words}
	for i := 0; i < len(words); {
		i = c.step(i)
	}
}

// command is the state of a walk over the words of a command.
type command struct {
	*scan
	words   []word
	started bool     // the word that names the program was seen
	program *program // nil: none that is known
	active  bool     // its subcommand was seen, or it needs none
	unsure  bool     // the program was found somewhere among the words of another
	skip    int      // words before the command that the program runs
	script  bool     // the next word that is no option is a script
}

// mode says how to look into words whose meaning is not known.
func (c *command) mode() textMode {
	if c.program != nil && (c.program.kind == plain || c.program.kind == client) {
		return formsOnly
	}
	return maybeScript
}

func (c *command) begin(p *program, unsure bool) {
	c.started, c.program, c.unsure, c.script = true, p, unsure, false
	c.active, c.skip = p == nil || p.command == "", 0
	if p != nil {
		c.skip = p.skip
	}
}

// step looks at word i, and returns the word to go on with.
func (c *command) step(i int) int {
	w := &c.words[i]
	option := len(w.text) > 1 && w.text[0] == '-'
	switch {
	case !c.started && (i == 0 || !option):
		n := nameLength(w.text)
		if n == 0 || n == len(w.text) || w.text[n] != '=' {
			c.begin(c.r.lookup(w.text), false)
		} else if p := c.r.lookup(w.text[n+1:]); p != nil && p.kind == wrapper && p.secret != "" {
			c.begin(p, false) // ProxyCommand=sshpass -p …
		}
		if option && c.program == nil {
			return c.option(i)
		}
		c.value(w, maybeScript)
		return i + 1
	case option:
		return c.option(i)
	}
	return c.plain(i)
}

// plain looks at a word that is no option.
func (c *command) plain(i int) int {
	w, p := &c.words[i], c.program
	before := ""
	if i > 0 {
		before = c.words[i-1].text
	}
	switch {
	case c.script:
		c.value(w, surelyScript)
		c.program, c.script, c.unsure = nil, false, true
		return i + 1
	case i > 1 && (before == "=" || c.words[1].text == "config" || strings.EqualFold(c.words[i-2].text, "set")) && c.setting(i, before):
		w.add(0, len(w.text))
		return i + 1
	case p == nil || p.kind == launcher:
		return c.launched(i, before)
	case p.kind == shell:
		c.started = false
		return c.step(i)
	case p.kind == wrapper && p.module == " ": // find
		if strings.HasPrefix(before, "-exec") || strings.HasPrefix(before, "-ok") {
			c.started = false
			return c.step(i)
		}
		c.value(w, formsOnly)
		return i + 1
	case p.kind == wrapper:
		if c.skip > 0 {
			c.skip--
			c.value(w, maybeScript)
			return i + 1
		}
		c.started = false
		return c.step(i)
	case p.after != "" && before == p.after && w.text != "":
		w.add(0, len(w.text))
		return i + 1
	case p.last != "" && i > 2 && i == len(c.words)-1 && len(c.words[1].text) < 16 && strings.ContainsAny(c.words[1].text, p.last):
		w.add(0, len(w.text))
		return i + 1
	case p.colon != "" && strings.HasPrefix(w.text, p.colon):
		w.add(len(p.colon), len(w.text))
		return i + 1
	case p.slash:
		if user, password, ok := strings.Cut(w.text, "/"); ok && user != "" && !strings.HasPrefix(w.text, "@") {
			end := len(w.text)
			if n := strings.LastIndexByte(password, '@'); n >= 0 {
				end = len(user) + 1 + n
			}
			w.add(len(user)+1, end)
		}
	}
	c.item(w, c.mode(), listOption(before))
	return i + 1
}

// setting reports whether the words before i name a secret: "set NAME", "NAME =".
func (c *command) setting(i int, before string) bool {
	name := before
	if before == "=" {
		name = c.words[i-2].text
	}
	name = strings.TrimLeft(name, "-")
	v := c.words[i].text
	return len(name) <= 64 && v != "" && (secretName(name) || strings.EqualFold(name, "requirepass")) && !harmlessValue(name, v)
}

// launched looks for the program that a command of unknown meaning runs.
func (c *command) launched(i int, before string) int {
	w, p := &c.words[i], c.program
	if p != nil && p.command != "" && !c.active && w.text == p.command {
		c.active = true
		return i + 1
	}
	if p == nil || !c.active || p.command == "" {
		if q := c.r.lookup(w.text); q != nil && q.kind != plain && !q.word && (before == "" || before[0] != '-' || strings.Contains(before, "=") || flagOption(before)) {
			c.begin(q, before != "--")
			return i + 1
		}
	}
	c.item(w, maybeScript, listOption(before))
	return i + 1
}

// flagOption: options of launchers that take no value, behind which a program
// may stand.
func flagOption(s string) bool {
	switch s {
	case "--", "-", "-it", "-ti", "-i", "-t", "-T", "-d", "--rm", "--init", "-exec", "--interactive", "--tty", "--privileged", "--pty", "--wait", "--scope":
		return true
	}
	return false
}

// listOption: the next word is a list with commas of NAME=value.
func listOption(s string) bool {
	switch s {
	case "-o", "--set", "--set-string", "--opt", "--options", "--mount", "--driver-opts":
		return true
	}
	return false
}

// option looks at an option, and at its value.
func (c *command) option(i int) int {
	w := &c.words[i]
	t := w.text
	if t == "--" {
		return i + 1
	}
	if strings.HasPrefix(t, "---") {
		c.value(w, c.mode())
		return i + 1
	}
	if t[1] != '-' && c.program != nil && !c.program.names && c.active {
		if next := c.cluster(i); next > 0 {
			return next
		}
	}
	end := strings.IndexByte(t, '=')
	joined := end >= 0
	if !joined {
		end = len(t)
	}
	name := strings.TrimLeft(t[:end], "-")
	switch kind := c.kind(name, t[1] != '-'); {
	case kind == keptOption && joined:
		return i + 1
	case kind == keptOption:
		return i + 2
	case (kind == secretOption || kind == bareOption) && joined:
		if !harmlessValue(name, t[end+1:]) {
			w.add(end+1, len(t))
		}
		return i + 1
	case kind == bareOption:
		return i + 1
	case kind == secretOption:
		return c.secretNext(i, name)
	case kind == loginOption:
		if joined {
			c.loginValue(w, end+1, name)
			return i + 1
		}
		if i+1 < len(c.words) && !strings.HasPrefix(c.words[i+1].text, "-") {
			c.loginValue(&c.words[i+1], 0, name)
			return i + 2
		}
	}
	if next := c.known(i, name, end); next > 0 {
		return next
	}
	c.item(w, c.mode(), joined && listOption(t[:end]))
	return i + 1
}

// known looks at a long option that means something to the present program,
// and returns the word to go on with, 0 when it does not. end is where the name
// ends, with dashes.
func (c *command) known(i int, name string, end int) int {
	w, p := &c.words[i], c.program
	joined := end < len(w.text)
	switch {
	case p == nil:
		return 0
	case p.cookie != "" && (name == "cookie" || name == "proxy" || name == "preproxy"):
		letter := p.address[0]
		if name == "cookie" {
			letter = p.cookie[0]
		}
		if joined {
			return c.letter(letter, w, end+1, i+1)
		}
		if i+1 < len(c.words) {
			return c.letter(letter, &c.words[i+1], 0, i+2)
		}
	case joined || i+1 == len(c.words):
	case p.script != "" && (name == "command" || name == "session-command"):
		c.value(&c.words[i+1], surelyScript)
		return i + 2
	case p.values != "" && strings.Contains(p.values, " "+name+" "):
		c.value(&c.words[i+1], maybeScript)
		return i + 2
	}
	return 0
}

// kind judges a long option of the present program. One dash before it makes a
// long option only of a long name.
func (c *command) kind(name string, single bool) optionKind {
	if len(c.r.options) > 0 && len(name) <= 64 && c.r.options[optionName(name)] {
		return secretOption
	}
	if p := c.program; p != nil {
		switch {
		case p.long != "" && name != "" && len(name) < 40 && strings.Contains(p.long, " "+name+" "):
			return secretOption
		case p.kept != "" && strings.Contains(p.kept, " "+name+" "):
			return keptOption
		case p.login != "" && (name == "user" || name == "proxy-user"):
			return loginOption
		case p.percent != "" && name == "user":
			return loginOption
		case p.bare && name == "password": // its value is joined, or is asked for
			return bareOption
		}
	}
	if single && (len(name) < 4 || name[0] == 'D') { // -DNAME of compilers and java
		return plainOption
	}
	return kindOfOption(name)
}

// secretNext takes the word after option i as its secret, and returns the word
// to go on with.
func (c *command) secretNext(i int, name string) int {
	if i+1 == len(c.words) {
		return i + 1
	}
	w := &c.words[i+1]
	v := w.text
	if len(v) > 1 && v[0] == '-' && (c.program != nil && c.program.prompts || longOption(v)) {
		return i + 1 // it has none
	}
	if harmlessValue(name, v) || strings.HasPrefix(name, "pass") && c.program != nil && c.program.names && passReference(v) {
		return i + 2
	}
	w.add(0, len(v))
	return i + 2
}

// longOption reports whether v is a long option, with or without a value.
func longOption(v string) bool {
	if len(v) < 4 || !strings.HasPrefix(v, "--") || v[2] < 'a' || v[2] > 'z' {
		return false
	}
	for i := 3; i < len(v) && v[i] != '='; i++ {
		if c := v[i]; (c < 'a' || c > 'z') && c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// passReference: what openssl reads a password from.
func passReference(v string) bool {
	return v == "stdin" || strings.HasPrefix(v, "file:") || strings.HasPrefix(v, "env:") || strings.HasPrefix(v, "fd:")
}

// loginValue takes the secret out of user:secret, which begins at from.
func (c *command) loginValue(w *word, from int, name string) {
	v := w.text[from:]
	mark := byte(':')
	if c.program != nil && c.program.percent != "" {
		mark = '%'
	}
	if n := strings.IndexByte(v, mark); n >= 0 {
		w.add(from+n+1, len(w.text))
		return
	}
	if endsFolded(name, "auth") && !harmlessValue(name, v) {
		w.add(from, len(w.text))
		return
	}
	c.value(w, formsOnly)
}

// address takes the secret out of user:secret@host, which begins at from.
func (c *command) address(w *word, from int) {
	v := w.text[from:]
	if a, b := strings.IndexByte(v, ':'), strings.LastIndexByte(v, '@'); !strings.Contains(v, "://") && a >= 0 && a < b {
		w.add(from+a+1, from+b)
		return
	}
	c.value(w, formsOnly)
}

// cluster walks short options written together, and returns the word to go on
// with, 0 when they mean nothing here.
func (c *command) cluster(i int) int {
	w, p := &c.words[i], c.program
	t := w.text
	for j := 1; j < len(t); j++ {
		letter := t[j]
		if !wordByte(letter) {
			return 0
		}
		is := func(letters string) bool { return strings.IndexByte(letters, letter) >= 0 }
		rest := j + 1
		if rest < len(t) && t[rest] == '=' && !is(p.attached) {
			rest++
		}
		switch {
		case is(p.attached):
			if rest < len(t) && !(c.unsure && usualLong(t[j:])) {
				w.add(rest, len(t))
			}
			return i + 1
		case p.kind == shell && letter == 'c':
			c.script = true
		case is(p.secret), is(p.login), is(p.percent), is(p.cookie), is(p.address), is(p.script), is(p.module), is(p.takes):
			at := w
			next := i + 1
			if rest >= len(t) {
				if i+1 == len(c.words) {
					return i + 1
				}
				at, rest, next = &c.words[i+1], 0, i+2
			}
			return c.letter(letter, at, rest, next)
		}
	}
	if c.script {
		return i + 1
	}
	return 0
}

// letter looks at the value of a short option, which begins at from in w.
func (c *command) letter(letter byte, w *word, from, next int) int {
	p := c.program
	is := func(letters string) bool { return strings.IndexByte(letters, letter) >= 0 }
	switch {
	case is(p.secret):
		v := w.text[from:]
		if from == 0 && len(v) > 1 && v[0] == '-' && p.prompts {
			return next - 1
		}
		if !switchValue(v) {
			w.add(from, len(w.text))
		}
		return next
	case is(p.cookie):
		if strings.Contains(w.text[from:], "=") {
			w.add(from, len(w.text))
		}
		return next
	case is(p.address):
		c.address(w, from)
		return next
	case is(p.login), is(p.percent):
		c.loginValue(w, from, "")
		return next
	case is(p.script):
		c.value(w, formsOnly)
		c.nested(w, from)
		return next
	case is(p.module) && from == 0:
		c.started = false
		return next - 1
	}
	c.value(w, c.mode())
	return next
}

// usualLong: what looks like -pSECRET of a client, and is a long option with
// one dash of other programs.
func usualLong(s string) bool {
	name, _, _ := strings.Cut(s, "=")
	return slices.Contains([]string{
		"port", "path", "perm", "print", "print0", "printf", "prune", "pid", "pidfile", "protocol", "profile", "prefix",
		"pattern", "parent", "project", "properties", "prompt", "progress", "parallel", "platform", "package", "params", "page", "pretty", "proxy",
	}, name)
}

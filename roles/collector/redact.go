package collector

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	// redacted stands where a secret was.
	redacted = "[REDACTED]"
	// maxGrowth bounds by how much a command line becomes longer, in bytes. Once
	// it is used up, short secrets become as many asterisks.
	maxGrowth = 8 << 10
	// maxPasses bounds how often a command line is looked at again after
	// something was taken out of it, until nothing more is found.
	maxPasses = 6
)

// Redaction says which secrets are taken out of arguments and environments.
type Redaction struct {
	Off      bool     // keep everything as it is
	Options  []string // names of further options whose value is a secret, such as --api-key
	Patterns []string // regular expressions (RE2); what their groups match is the secret, else the whole match
}

// redactor replaces secrets. Secrets are known by the name of an option or a
// variable, by the program that an option is for, or by their form.
//
// An argument vector is walked word by word (command). An argument that is
// itself a shell script, or might be one, is cut into commands and words as a
// shell would (script), and each command is walked in the same way. Every
// word is searched for what is a secret by its form (finder). All these
// produce spans, which are replaced at the end. The work is linear in the
// length of the arguments, times the depth of scripts within scripts.
type redactor struct {
	off      bool
	options  map[string]bool
	programs map[string]*program
	patterns []*regexp.Regexp
}

func newRedactor(config Redaction) (*redactor, error) {
	r := &redactor{off: config.Off, options: map[string]bool{}, programs: programs()}
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

// optionName returns the name of an option as it is compared.
func optionName(option string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimLeft(option, "-")), "_", "-")
}

// args returns the arguments with their secrets replaced; list itself when it
// has none.
func (r *redactor) args(list []string) []string {
	if r.off || len(list) == 0 {
		return list
	}
	growth := maxGrowth
	for range maxPasses {
		next := r.pass(list, &growth)
		if next == nil {
			break
		}
		list = next
	}
	return list
}

// pass returns the arguments with what one look finds replaced, nil when it
// finds nothing.
func (r *redactor) pass(list []string, growth *int) []string {
	found := make([]spans, len(list))
	words := make([]word, len(list))
	for i, arg := range list {
		words[i] = word{text: arg, out: &found[i]}
	}
	s := scan{r: r}
	if len(list) == 1 && strings.ContainsAny(list[0], " \t") {
		// A title that the program wrote over its arguments.
		s.value(&words[0], maybeScript)
	} else {
		s.command(words)
	}
	var out []string
	for i, arg := range list {
		if len(r.patterns) > 0 {
			r.match(arg, &found[i])
		}
		if len(found[i]) == 0 {
			continue
		}
		if text := replace(arg, found[i], growth); text != arg {
			if out == nil {
				out = slices.Clone(list)
			}
			out[i] = text
		}
	}
	return out
}

// variable returns the value of an environment variable, redacted.
func (r *redactor) variable(name, value string) string {
	if r.off || value == "" {
		return value
	}
	growth := maxGrowth
	if r.options[optionName(name)] || secretName(name) && !harmlessValue(name, value) {
		if masked(value) {
			return value
		}
		return redacted
	}
	for range maxPasses {
		var found spans
		s := scan{r: r}
		w := word{text: value, out: &found}
		s.value(&w, maybeScript)
		r.match(value, &found)
		text := replace(value, found, &growth)
		if text == value {
			break
		}
		value = text
	}
	return value
}

// match adds what the operator's patterns find.
func (r *redactor) match(s string, out *spans) {
	for _, e := range r.patterns {
		for _, at := range e.FindAllStringSubmatchIndex(s, -1) {
			if len(at) == 2 {
				out.add(at[0], at[1])
			}
			for i := 2; i < len(at); i += 2 {
				out.add(at[i], at[i+1])
			}
		}
	}
}

// span is what is replaced: the bytes from ≤ i < to.
type span struct{ from, to int }

type spans []span

func (s *spans) add(from, to int) {
	if from >= 0 && from < to {
		*s = append(*s, span{from, to})
	}
}

// replace returns s with the spans replaced, taking from growth the bytes by
// which it became longer.
func replace(s string, found spans, growth *int) string {
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	last := 0
	for i := 0; i < len(found); {
		at := found[i]
		for i++; i < len(found) && found[i].from < at.to; i++ {
			at.to = max(at.to, found[i].to)
		}
		if masked(s[at.from:at.to]) {
			continue
		}
		b.WriteString(s[last:at.from])
		if more := len(redacted) - (at.to - at.from); more <= 0 {
			b.WriteString(redacted)
		} else if more <= *growth {
			*growth -= more
			b.WriteString(redacted)
		} else {
			b.WriteString(strings.Repeat("*", at.to-at.from))
		}
		last = at.to
	}
	if last == 0 {
		return s
	}
	b.WriteString(s[last:])
	return b.String()
}

// masked reports whether a secret was already replaced, here or by the
// program itself.
func masked(s string) bool {
	return s == redacted || strings.Trim(s, "*") == ""
}

package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where   string // file, environment variable or --flag
	Line    int    // in the file, from 1; 0: not known
	Key     string // "" when it is about the whole file
	Value   string // as it was written, quoted; only with Key
	Message string // what is wrong and what is expected
}

// String is one line: `config.yaml:3: log.level = "loud": expected debug,
// info, warn or error`.
func (p Problem) String() string {
	text := p.Where
	if p.Line > 0 {
		text += ":" + strconv.Itoa(p.Line)
	}
	if p.Key != "" {
		text += ": " + printable(p.Key) + " = " + p.Value
	}
	return text + ": " + p.Message
}

// Error is all that is wrong with the configuration.
type Error struct {
	Problems []Problem
}

// Error is one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// quote shows a value: text in quotation marks, without control characters
// and not too long.
func quote(value any) string {
	const longest = 80
	text, ok := value.(string)
	if ok {
		if len(text) > longest {
			text = truncate(text, longest) + "…"
		}
		return strconv.Quote(text)
	}
	b, err := json.Marshal(value)
	if err != nil {
		b = []byte(fmt.Sprint(value)) // NaN and infinity
	}
	if len(b) > longest {
		return printable(truncate(string(b), longest)) + "…"
	}
	return printable(string(b))
}

// truncate cuts text to at most n bytes between characters.
func truncate(text string, n int) string {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// printable is text as it is, or quoted when it holds what a terminal or a
// reader could stumble over.
func printable(text string) string {
	const longest = 200
	if len(text) > longest {
		text = truncate(text, longest) + "…"
	}
	if q := strconv.Quote(text); strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) || !utf8.ValidString(text) {
		return q
	}
	return text
}

// unknown says which keys could have been meant. name writes a key as the
// source has it.
func unknown(key string, settings []Setting, name func(Setting) string) string {
	if likely := similar(key, settings); len(likely) > 0 {
		names := make([]string, len(likely))
		for i, s := range likely {
			names[i] = name(s)
		}
		return "unknown key; did you mean " + orList(names) + "?"
	}
	// The deepest section that exists, or the top.
	for section := key; ; {
		i := strings.LastIndexByte(section, '.')
		if i < 0 {
			break
		}
		section = section[:i]
		if names := below(section, settings); len(names) > 0 {
			return "unknown key; " + section + " has " + strings.Join(names, ", ")
		}
	}
	return "unknown key; expected " + orList(below("", settings))
}

// below are the next segments of the keys in a section.
func below(section string, settings []Setting) []string {
	prefix := section
	if prefix != "" {
		prefix += "."
	}
	var names []string
	for _, s := range settings {
		if rest, ok := strings.CutPrefix(s.Key, prefix); ok {
			segment, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, segment) {
				names = append(names, segment)
			}
		}
	}
	return names
}

// similar are the settings that a mistyped key may mean: the nearest by edit
// distance or, if none is near, those whose last segment it has.
func similar(key string, settings []Setting) []Setting {
	const longest = 64 // no key is longer: do not measure
	if len(key) > longest {
		return nil
	}
	plain := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, likely := max(2, len(plain)/5), []Setting(nil)
	for _, s := range settings {
		switch d := distance(plain, s.Key); {
		case d < best || d == best && likely == nil:
			best, likely = d, []Setting{s}
		case d == best:
			likely = append(likely, s)
		}
	}
	if likely != nil {
		return likely
	}
	last := plain[strings.LastIndexByte(plain, '.')+1:]
	for _, s := range settings {
		if last != "enabled" && s.Key[strings.LastIndexByte(s.Key, '.')+1:] == last {
			likely = append(likely, s)
		}
	}
	return likely
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

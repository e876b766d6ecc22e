package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	hashWord  = regexp.MustCompile(`(?i)\bexecutable_(hash|blake3)\b`)
	whereWord = regexp.MustCompile(`(?i)\bwhere\b`)
	// What event is compared with: '…', (…), ANY (…).
	eventIs    = regexp.MustCompile(`(?i)\bevent\s*(?:=\s*'[^']*'|=\s*any\s*\([^)]*\)|\bin\s*\([^)]*\))`)
	eventIsNot = regexp.MustCompile(`(?i)\bevent\s*(?:(?:<>|!=)\s*'[^']*'|\bnot\s+in\s*\([^)]*\))`)
)

// Warnings says what is good in the rule and yet probably not meant.
func (r *Rule) Warnings() []string {
	var list []string
	if slices.Contains(r.Tables, "process_events") && r.missesHashes() {
		list = append(list, "the hash of an executable comes a moment after the process, in a row whose event is 'changed', and the rule leaves those out")
	}
	now := time.Now()
	for _, table := range r.Tables {
		if x := r.reach(table, now); x.Window == "header" && strings.Contains(x.Text, "though the SELECT") {
			list = append(list, fmt.Sprintf("of %s it sees %s; a longer window in the header sees more", table, x.Text))
		}
	}
	return list
}

// missesHashes reports whether WHERE looks at hashes, and at event in a way
// that leaves out the rows that bring them.
func (r *Rule) missesHashes() bool {
	code := withoutComments(r.SQL)
	at := whereWord.FindStringIndex(withoutStrings(code))
	if at == nil || !hashWord.MatchString(withoutStrings(code)[at[1]:]) {
		return false
	}
	where := code[at[1]:]
	changed := func(s string) bool { return strings.Contains(s, "'changed'") }
	wanted := eventIs.FindAllString(where, -1)
	return len(wanted) > 0 && !slices.ContainsFunc(wanted, changed) ||
		slices.ContainsFunc(eventIsNot.FindAllString(where, -1), changed)
}

// withoutStrings returns SQL with blanks in place of what is between quotes.
func withoutStrings(text string) string {
	b := []byte(text)
	inside := false
	for i, c := range b {
		if c == '\'' {
			inside = !inside
		} else if inside {
			b[i] = ' '
		}
	}
	return string(b)
}

// withoutComments returns SQL with blanks in place of its comments.
func withoutComments(text string) string {
	b := []byte(text)
	var quote byte // of the string or name that is open
	for i := 0; i < len(b); {
		end := i + 1
		switch rest := text[i:]; {
		case quote != 0:
			if b[i] == quote {
				quote = 0
			}
		case b[i] == '\'', b[i] == '"':
			quote = b[i]
		case strings.HasPrefix(rest, "--"):
			end = i + len(rest)
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				end = i + n
			}
			blank(b[i:end])
		case strings.HasPrefix(rest, "/*"):
			end = i + commentLength(rest)
			blank(b[i:end])
		}
		i = end
	}
	return string(b)
}

// commentLength is that of the comment at the start of text; they nest.
func commentLength(text string) int {
	depth := 0
	for i := 0; i < len(text)-1; {
		switch text[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
		default:
			i++
		}
		if depth == 0 {
			return i
		}
	}
	return len(text)
}

func blank(b []byte) {
	for i := range b {
		b[i] = ' '
	}
}

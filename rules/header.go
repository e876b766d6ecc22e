package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// entry is one key of a header with its value and where both stand.
type entry struct {
	key        string
	value      string // lines joined by one blank
	line       int
	keyColumn  int // in characters, from 1
	valueStart int // column of the value on its first line
}

// headerReader reads the header of one file and gathers what is wrong.
type headerReader struct {
	file, text string
	problems   []*Problem
}

func (r *headerReader) fail(line, column int, hint, format string, args ...any) {
	r.problems = append(r.problems, &Problem{
		File: r.file, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...), Hint: hint, Code: "header", caret: caret(r.text, line, column),
	})
}

// parseHeader reads the header of a rule file. It returns what stands below
// the header and how many lines are above that.
func parseHeader(file, text string) (h Header, body string, skipped int, problems []*Problem) {
	r := &headerReader{file: file, text: text}
	entries, body, skipped := r.split()
	h = Header{Status: "stable", Window: defaultRange, Enabled: true}
	seen := map[string]int{}
	for _, e := range entries {
		f, ok := headerFields[e.key]
		switch {
		case !ok:
			r.unknownKey(e)
			continue
		case seen[e.key] > 0:
			r.fail(e.line, e.keyColumn, "", "key %q was given on line %d already", e.key, seen[e.key])
			continue
		}
		seen[e.key] = e.line
		if e.value == "" {
			r.fail(e.line, e.keyColumn, "", "key %q has no value", e.key)
		} else if n := utf8.RuneCountInString(e.value); n > maxText {
			r.fail(e.line, e.keyColumn, "", "key %q has %d characters, the limit is %d", e.key, n, maxText)
		} else if hint, err := f(&h, e.value); err != nil {
			r.fail(e.line, e.valueStart, hint, "%s: %v", e.key, err)
		}
	}
	var missing []string
	for _, key := range []string{"id", "title", "severity"} {
		if seen[key] == 0 {
			missing = append(missing, key)
		}
	}
	if len(r.problems) == 0 && len(missing) > 0 {
		r.fail(1, 0, fmt.Sprintf("a rule file begins with lines like `-- %s: …`", missing[0]), "the header has no %s", strings.Join(missing, ", no "))
	}
	return h, body, skipped, r.problems
}

// split divides the text into the header's entries and the rest.
func (r *headerReader) split() (entries []entry, body string, skipped int) {
	body = r.text
	for strings.HasPrefix(body, "--") {
		line, rest, _ := strings.Cut(body, "\n")
		body = rest
		skipped++
		line = strings.TrimRight(line, " \t\r")
		content := strings.TrimLeft(line[2:], " \t")
		blanks := len(line) - 2 - len(content)
		column := 3 + blanks
		switch {
		case content == "":
		case blanks >= 2 || line[2] == '\t':
			if len(entries) == 0 {
				r.fail(skipped, column, "a continued value needs a `-- key: value` line above it", "the header begins with a continuation line")
				continue
			}
			last := &entries[len(entries)-1]
			if last.value == "" {
				last.value = content
			} else {
				last.value += " " + content
			}
		default:
			key, value, ok := strings.Cut(content, ":")
			if !ok || !keyForm.MatchString(key) {
				r.fail(skipped, column, "continue a value with two blanks after --; put other comments below an empty line after the header",
					"not a `key: value` line")
				continue
			}
			trimmed := strings.TrimLeft(value, " \t")
			entries = append(entries, entry{
				key: key, value: trimmed, line: skipped, keyColumn: column,
				valueStart: column + len(key) + 1 + len(value) - len(trimmed),
			})
		}
	}
	return entries, body, skipped
}

var keyForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,39}$`)

func (r *headerReader) unknownKey(e entry) {
	r.fail(e.line, e.keyColumn, meantKey(strings.ToLower(e.key), headerFields), "unknown key %q", e.key)
}

// headerFields has for each key the function that checks and stores its
// value; the hint says what would have been right.
var headerFields = map[string]func(h *Header, value string) (hint string, err error){
	"id":    setID,
	"title": setTitle,
	"description": func(h *Header, v string) (string, error) {
		h.Description = v
		return "", nil
	},
	"author": func(h *Header, v string) (string, error) {
		h.Author = v
		return "", nil
	},
	"version": func(h *Header, v string) (string, error) {
		h.Version = v
		return "", nil
	},
	"date":     setDate,
	"severity": func(h *Header, v string) (string, error) { return setWord(&h.Severity, v, severities) },
	"status":   func(h *Header, v string) (string, error) { return setWord(&h.Status, v, statuses) },
	"enabled": func(h *Header, v string) (string, error) {
		var word string
		hint, err := setWord(&word, v, []string{"true", "false"})
		h.Enabled = word == "true"
		return hint, err
	},
	"tags":           setTags,
	"dedup":          setDedup,
	"window":         setWindow,
	"every":          setEvery,
	"references":     func(h *Header, v string) (string, error) { return "", setList(&h.References, v) },
	"falsepositives": func(h *Header, v string) (string, error) { return "", setList(&h.FalsePositives, v) },
}

var (
	severities = []string{"low", "medium", "high", "critical"}
	statuses   = []string{"experimental", "test", "stable", "deprecated"}

	idForm        = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,79}$`)
	columnForm    = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	tagForm       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,79}$`)
	techniqueForm = regexp.MustCompile(`^(t[0-9]{4}(\.[0-9]{3})?|[gs][0-9]{4})$`)

	// The tactics of ATT&CK for Enterprise. Version 19 divided
	// defense-evasion into stealth and defense-impairment; rules written
	// before then keep its old name.
	tactics = []string{
		"reconnaissance", "resource-development", "initial-access", "execution", "persistence",
		"privilege-escalation", "stealth", "defense-impairment", "defense-evasion", "credential-access",
		"discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
	}
)

func setID(h *Header, v string) (string, error) {
	if !idForm.MatchString(v) {
		return "an id has at most 80 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit", fmt.Errorf("%q is not an id", v)
	}
	h.ID = v
	return "", nil
}

func setTitle(h *Header, v string) (string, error) {
	if n := utf8.RuneCountInString(v); n > maxTitle {
		return "put the rest into the description", fmt.Errorf("%d characters, the limit is %d", n, maxTitle)
	}
	h.Title = v
	return "", nil
}

func setDate(h *Header, v string) (string, error) {
	t, err := time.Parse(time.DateOnly, strings.ReplaceAll(v, "/", "-"))
	if err != nil {
		return "write it as YYYY-MM-DD", fmt.Errorf("%q is not a date", v)
	}
	h.Date = t.Format(time.DateOnly)
	return "", nil
}

func setWord(dst *string, v string, allowed []string) (string, error) {
	if !slices.Contains(allowed, v) {
		hint := "allowed are " + strings.Join(allowed, ", ")
		if near := nearest(strings.ToLower(v), allowed); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return hint, fmt.Errorf("%q is not allowed", v)
	}
	*dst = v
	return "", nil
}

func setList(dst *[]string, v string) error {
	var list []string
	for item := range strings.SplitSeq(v, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "":
			return fmt.Errorf("an item of the list is empty")
		case slices.Contains(list, item):
			return fmt.Errorf("%q is in the list twice", item)
		case len(list) == maxItems:
			return fmt.Errorf("more than %d items", maxItems)
		}
		list = append(list, item)
	}
	*dst = list
	return nil
}

func setTags(h *Header, v string) (string, error) {
	var tags []string
	if err := setList(&tags, strings.ToLower(v)); err != nil {
		return "", err
	}
	for _, tag := range tags {
		if !tagForm.MatchString(tag) {
			return "a tag has a-z, 0-9, '.', '_' and '-'", fmt.Errorf("%q is not a tag", tag)
		}
		if knownTag(tag) {
			continue
		}
		name := strings.TrimPrefix(tag, "attack.")
		hint := "attack.tNNNN, attack.tNNNN.NNN, attack.sNNNN, attack.gNNNN or attack.<tactic>, such as attack.execution"
		if near := nearest(name, tactics); near != "" {
			hint = fmt.Sprintf("did you mean %q?", "attack."+near)
		}
		return hint, fmt.Errorf("%q is neither an ATT&CK id nor a tactic", tag)
	}
	h.Tags = tags
	return "", nil
}

// knownTag reports whether a tag that begins with attack. is of ATT&CK.
func knownTag(tag string) bool {
	name, ok := strings.CutPrefix(tag, "attack.")
	return !ok || techniqueForm.MatchString(name) || slices.Contains(tactics, strings.ReplaceAll(name, "_", "-"))
}

func setDedup(h *Header, v string) (string, error) {
	var columns []string
	if err := setList(&columns, v); err != nil {
		return "", err
	}
	for _, c := range columns {
		if !columnForm.MatchString(c) {
			return "name columns of the result or of the event table, separated by commas", fmt.Errorf("%q is not a column name", c)
		}
	}
	h.Dedup = columns
	return "", nil
}

func setWindow(h *Header, v string) (string, error) {
	d, err := parseWindow(v)
	if err != nil {
		return "write it as 90s, 1h30m, 2 hours or 1 day", err
	}
	if d < minWindow || d > maxWindow {
		return "", fmt.Errorf("%s is outside 1 second to 90 days", v)
	}
	h.Window, h.WindowSet = d, true
	return "", nil
}

func setEvery(h *Header, v string) (string, error) {
	d, err := parseWindow(v)
	if err != nil {
		return "write it as 90s, 1h30m, 2 hours or 1 day", err
	}
	if d < minWindow || d > maxEvery {
		return "", fmt.Errorf("%s is outside 1 second to 1 day", v)
	}
	h.Every = d
	return "", nil
}

var (
	windowForm = regexp.MustCompile(`^(?:[0-9]{1,9} ?[a-z]+ ?)+$`)
	windowPart = regexp.MustCompile(`([0-9]+) ?([a-z]+)`)
)

// parseWindow reads a span of time as Go writes it (1h30m) or as PostgreSQL's
// interval does (1 day 2 hours). Months and years have no fixed length and
// are not taken.
func parseWindow(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a span of time", s)
	if !windowForm.MatchString(s) {
		return 0, bad
	}
	var total time.Duration
	for _, part := range windowPart.FindAllStringSubmatch(s, -1) {
		unit, ok := windowUnits[part[2]]
		if one := strings.TrimSuffix(part[2], "s"); !ok && len(one) > 1 {
			unit, ok = windowUnits[one]
		}
		if !ok {
			return 0, bad
		}
		var n time.Duration
		for _, digit := range part[1] {
			n = n*10 + time.Duration(digit-'0')
		}
		if total > maxWindow || n > maxWindow/unit+1 {
			return maxWindow + 1, nil
		}
		total += n * unit
	}
	return total, nil
}

var windowUnits = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
}

package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// errValue says that a value is not what Setting.Expected says.
var errValue = errors.New("bad value")

// origin is what a value's meaning depends on beside the value.
type origin struct {
	dir  string // relative paths start here
	home string // for ~/, "" when it is not known
	text bool   // from an environment variable or a flag: lists are written with commas
}

// parse turns raw, as a parser of a file gives it or a string, into the value
// of the setting's Go type. The error says what is wrong beyond "not as
// expected"; errValue says no more than that.
func (s Setting) parse(raw any, from origin) (any, error) {
	switch s.Type {
	case List, PathList:
		return s.parseList(raw, from)
	case Bool:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		text, ok := raw.(string)
		if !ok {
			return nil, errValue
		}
		return parseBool(text)
	case Text, Path, Choice:
		text, ok := raw.(string)
		if n, isNumber := wholeNumber(raw); isNumber && s.Type == Text {
			text, ok = strconv.FormatInt(n, 10), true // a user's number
		}
		if !ok {
			return nil, errValue
		}
		return s.parseText(text, from)
	}
	text, ok := raw.(string)
	if !ok {
		n, isNumber := wholeNumber(raw)
		if !isNumber {
			return nil, errValue
		}
		text = strconv.FormatInt(n, 10)
	}
	return s.parseNumber(strings.TrimSpace(text))
}

func (s Setting) parseNumber(text string) (any, error) {
	var n int64
	var err error
	switch s.Type {
	case Duration:
		var d time.Duration
		d, err = ParseDuration(text)
		n = int64(d)
	case Size:
		n, err = ParseSize(text)
	case Count:
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil || !s.inRange(n) {
		return nil, errValue
	}
	if s.Type == Duration {
		return time.Duration(n), nil
	}
	return n, nil
}

func (s Setting) inRange(n int64) bool {
	if n == 0 && s.zero {
		return true
	}
	return n >= s.min && (s.max == 0 || n <= s.max)
}

func (s Setting) parseText(text string, from origin) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not valid UTF-8")
	}
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("it holds a NUL character")
	}
	if s.Type == Choice && !slices.Contains(s.choices, text) {
		return nil, errValue
	}
	if s.check != nil && !s.check(text) {
		return nil, errValue
	}
	if s.Type == Path || s.Type == PathList {
		return from.absolute(text)
	}
	return text, nil
}

// absolute is path, relative to the directory of the file that names it or to
// the working directory. The shell expands ~ in a flag, nothing does in a file.
func (from origin) absolute(path string) (string, error) {
	switch {
	case path == "":
		return "", nil
	case path == "~" || strings.HasPrefix(path, "~/"):
		if from.home == "" {
			return "", errors.New("~ is not known: HOME is not set")
		}
		return filepath.Join(from.home, path[1:]), nil
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	case from.dir == "":
		return "", errors.New("the working directory is not known: name an absolute path")
	}
	return filepath.Join(from.dir, path), nil
}

func (s Setting) parseList(raw any, from origin) (any, error) {
	var items []any
	switch raw := raw.(type) {
	case []any:
		items = raw
	case []string:
		for _, text := range raw {
			items = append(items, text)
		}
	case string:
		if !from.text {
			return nil, errValue // "a, b" in a file: one or two?
		}
		list, err := SplitList(raw)
		if err != nil {
			return nil, err
		}
		for _, text := range list {
			items = append(items, text)
		}
	default:
		return nil, errValue
	}
	out := make([]string, 0, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok || text == "" {
			return nil, fmt.Errorf("item %d is not text", i+1)
		}
		v, err := s.parseText(text, from)
		if errors.Is(err, errValue) {
			return nil, fmt.Errorf("item %d, %s, is not good", i+1, quote(text))
		} else if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		out = append(out, v.(string))
	}
	return out, nil
}

// SplitList reads a list as environment variables and flags have it: commas
// between the items; an item that holds a comma, begins with a quotation mark,
// or begins or ends with a space is in double quotes, a quotation mark in it
// doubled, as in CSV (RFC 4180). Space around items and empty items are left
// out.
func SplitList(text string) ([]string, error) {
	var items []string
	for more := true; more; {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		var item string
		if rest, quoted := strings.CutPrefix(text, `"`); quoted {
			var ok bool
			if item, text, ok = cutQuoted(rest); !ok {
				return nil, errors.New("a quotation mark is not closed")
			}
			var after string
			after, text, more = strings.Cut(text, ",")
			if strings.TrimSpace(after) != "" {
				return nil, fmt.Errorf("a comma is missing after %s", quote(item))
			}
		} else {
			item, text, more = strings.Cut(text, ",")
			item = strings.TrimSpace(item)
			if strings.ContainsAny(item, "\r\n") {
				return nil, errors.New("it has more than one line")
			}
		}
		if item != "" {
			items = append(items, item)
		}
	}
	return items, nil
}

// cutQuoted is text up to its first quotation mark that is not doubled, and
// what comes after that mark; false: there is none.
func cutQuoted(text string) (item, rest string, ok bool) {
	var b strings.Builder
	for {
		part, after, found := strings.Cut(text, `"`)
		if !found {
			return "", "", false
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, `"`) {
			return b.String(), after, true
		}
		b.WriteByte('"')
		text = after[1:]
	}
}

// JoinList writes a list for SplitList: what a flag that may be given several
// times is passed on as.
func JoinList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		if strings.ContainsAny(item, "\",\r\n") || item != strings.TrimSpace(item) {
			item = `"` + strings.ReplaceAll(item, `"`, `""`) + `"`
		}
		quoted[i] = item
	}
	return strings.Join(quoted, ",")
}

func parseBool(text string) (any, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return nil, errValue
}

// wholeNumber is raw, if it is one of the parsers' numbers without a fraction.
// JSON has only floating point numbers: above 2^53 they are not exact.
func wholeNumber(raw any) (int64, bool) {
	switch n := raw.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) <= 1<<53
	}
	return 0, false
}

// ParseDuration is time.ParseDuration with days in front: 30d, 1d12h. A day has
// 24 hours.
func ParseDuration(text string) (time.Duration, error) {
	number, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	days, err := strconv.ParseUint(number, 10, 31)
	if err != nil || days > uint64(math.MaxInt64/day) {
		return 0, fmt.Errorf("parse duration %q: bad number of days", text)
	}
	d := time.Duration(days) * day
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || rest[0] == '+' || rest[0] == '-' || d+more < d {
		return 0, fmt.Errorf("parse duration %q: bad time after the days", text)
	}
	return d + more, nil
}

// FormatDuration writes d so that ParseDuration reads it: 30d, 1h30m, 500ms.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sizeUnit is the number of bytes of a unit in lower case; 0: there is no such
// unit. K, M and G by themselves mean one thing here and another there: they
// are none.
func sizeUnit(unit string) int64 {
	switch unit {
	case "", "b":
		return 1
	case "kb":
		return 1e3
	case "mb":
		return 1e6
	case "gb":
		return 1e9
	case "tb":
		return 1e12
	case "kib":
		return kib
	case "mib":
		return mib
	case "gib":
		return gib
	case "tib":
		return tib
	}
	return 0
}

// ParseSize reads a number of bytes: 4096, 64MiB, 1GB, 1.5 GiB.
func ParseSize(text string) (int64, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	number := text[:end]
	unit := sizeUnit(strings.ToLower(strings.TrimSpace(text[end:])))
	if unit == 0 {
		return 0, fmt.Errorf("parse size %q: no such unit", text)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n <= math.MaxInt64/unit {
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || unit == 1 || !strings.Contains(number, ".") || f*float64(unit) >= 1<<63 {
		return 0, fmt.Errorf("parse size %q: bad number", text)
	}
	return int64(f * float64(unit)), nil
}

// FormatSize writes n without loss, in the largest unit that divides it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"TiB", tib}, {"GiB", gib}, {"MiB", mib}, {"KiB", kib}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// format writes a value of the setting's Go type as text.
func (s Setting) format(value any) string {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v)
	case time.Duration:
		return FormatDuration(v)
	case int64:
		switch s.Type {
		case Duration:
			return FormatDuration(time.Duration(v))
		case Size:
			return FormatSize(v)
		}
		return strconv.FormatInt(v, 10)
	case []string:
		return JoinList(v)
	case string:
		return v
	}
	return fmt.Sprint(value)
}

// get and set are the setting's field of c.
func (s Setting) get(c *Config) any {
	switch p := s.field(c).(type) {
	case *bool:
		return *p
	case *int64:
		return *p
	case *time.Duration:
		return *p
	case *string:
		return *p
	case *[]string:
		return *p
	default:
		panic(fmt.Sprintf("config: %s has a field of type %T", s.Key, p))
	}
}

func (s Setting) set(c *Config, value any) {
	switch p := s.field(c).(type) {
	case *bool:
		*p = value.(bool)
	case *int64:
		*p = value.(int64)
	case *time.Duration:
		*p = value.(time.Duration)
	case *string:
		*p = value.(string)
	case *[]string:
		*p = value.([]string)
	default:
		panic(fmt.Sprintf("config: %s has a field of type %T", s.Key, p))
	}
}

package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap/zapcore"
)

// console writes `15:04:05Z warn  procmond  message  key=value correlation=…`,
// one line for each entry, whatever is in it.
type console struct {
	zapcore.LevelEnabler
	role, correlation string
	color             bool
	fields            []zapcore.Field
	out               *sink
}

func (c *console) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.fields = slices.Concat(c.fields, fields)
	return &clone
}

func (c *console) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *console) Sync() error { return c.out.Sync() }

func (c *console) Write(e zapcore.Entry, fields []zapcore.Field) error {
	var b strings.Builder
	b.WriteString(e.Time.UTC().Format("15:04:05Z"))
	level := fmt.Sprintf("%-5s", e.Level)
	if color := levelColor(e.Level); c.color && color != "" {
		level = "\x1b[" + color + "m" + level + "\x1b[0m"
	}
	b.WriteString(" " + level + " " + escape(c.role))
	if e.LoggerName != "" {
		b.WriteString("." + escape(e.LoggerName))
	}
	b.WriteString("  " + escape(e.Message) + " ")
	prefix := ""
	for _, f := range slices.Concat(c.fields, fields) {
		prefix = appendField(&b, prefix, f)
	}
	b.WriteString(" correlation=" + value(c.correlation) + "\n")
	_, err := c.out.Write([]byte(b.String()))
	return err
}

// levelColor is the parameter of SGR (ECMA-48, 8.3.117).
func levelColor(l zapcore.Level) string {
	switch {
	case l >= zapcore.ErrorLevel:
		return "31"
	case l == zapcore.WarnLevel:
		return "33"
	case l == zapcore.DebugLevel:
		return "2"
	}
	return ""
}

// appendField writes f as " key=value" and returns the prefix of the keys that
// follow it, which a namespace makes longer.
func appendField(b *strings.Builder, prefix string, f zapcore.Field) string {
	if f.Type == zapcore.NamespaceType {
		return prefix + f.Key + "."
	}
	// One field can bring more than one: an error its details, an inlined
	// object its members.
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	for _, key := range slices.Sorted(maps.Keys(m.Fields)) {
		if f.Type == zapcore.ErrorType && key == f.Key+"Verbose" {
			continue // it repeats the error with a stack
		}
		b.WriteString(" " + value(prefix+key) + "=" + value(text(m.Fields[key])))
	}
	return prefix
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case error:
		return v.Error()
	}
	return fmt.Sprint(v)
}

// value is s as it is when that cannot be misread, else as a Go string.
func value(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || r == '"' || r == '=' || r == unicode.ReplacementChar || !strconv.IsPrint(r)
	}) {
		return strconv.Quote(s)
	}
	return s
}

// escape is s with Go's escapes for what is not printable: control characters,
// bytes that are not UTF-8, marks that reverse the direction of writing.
func escape(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !strconv.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	// Quotation marks need no escape here.
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
